package verify_test

import (
	"testing"

	"stemma"
	"stemma/stemmatest"
	"stemma/verify"
)

// stands is a chain of debian, run and shop, of which change varies the image itself, and what becomes of it.
func stands(t *testing.T, policy string, change func(l *level, run *stemmatest.Image), base func(*level)) *stemma.Decision {
	t.Helper()
	s := newStage(t)
	debian := level{stage: s, name: "debian"}.put()
	below := level{stage: s, name: "run", on: debian}
	base(&below)
	run := below.put()
	l := level{stage: s, name: "shop", on: run}
	change(&l, run)
	l.put()
	s.policy = policy
	v := must[*verify.Verifier](t)(s.verifier())
	return must[*verify.Result](t)(v.Verify(t.Context(), verify.Request{Image: "ghcr.io/acme/shop:v1", Situation: stemma.Situation{At: s.Now}})).Decision
}

// refusedFor checks that a rule is not met for a reason.
func refusedFor(t *testing.T, d *stemma.Decision, rule string, reason stemma.Reason) {
	t.Helper()
	for _, f := range d.Findings {
		if f.Rule == rule && f.Reason == reason && f.Outcome == stemma.Fail && d.Verdict == stemma.Deny && d.Effect == stemma.Refuse {
			return
		}
	}
	t.Errorf("want %s for %s:\n%s", rule, reason, unmet(d))
}

func asIs(*level)                       {}
func plainly(*level, *stemmatest.Image) {}

// The positive of all that follow.
func TestReg_H_chain(t *testing.T) {
	if d := stands(t, basing("proof: proven", "policy: services", "endsAt: [scratch]"), plainly, asIs); d.Verdict != stemma.Allow {
		t.Error(unmet(d))
	}
}

// H03: what an annotation names has other layers.
func TestReg_H03_lie(t *testing.T) {
	d := stands(t, basing("proof: layers", "endsAt: [none]"), func(l *level, run *stemmatest.Image) {
		l.plain, l.spec.Annotations = true, naming(run)
		l.on = level{stage: l.stage, name: "other", silent: true}.put()
	}, asIs)
	refusedFor(t, d, "base.proven", stemma.ReasonBaseMismatch)
}

// H04: a base by tag alone is none, and is not nothing either.
func TestReg_H04_tag(t *testing.T) {
	d := stands(t, basing("proof: layers", "endsAt: [none]"), func(l *level, _ *stemmatest.Image) {
		l.plain, l.spec.Annotations = true, map[string]string{"org.opencontainers.image.base.name": "ghcr.io/acme/run:v1"}
	}, asIs)
	refusedFor(t, d, "base.ends", stemma.ReasonUnpinned)
}

// H05: a base without provenance does not meet a policy that asks for it.
func TestReg_H05_missing(t *testing.T) {
	policy := basing("proof: layers", "atDepth: [{depth: 1, proof: proven}]", "policy: services", "endsAt: [none]")
	d := stands(t, policy, plainly, func(l *level) { l.silent = true })
	refusedFor(t, d, "base.policy", stemma.ReasonBasePolicy)
}

// H07: the base of another platform.
func TestReg_H07_platform(t *testing.T) {
	d := stands(t, basing("proof: proven", "endsAt: [scratch]"), func(l *level, _ *stemmatest.Image) {
		arm := stemma.Platform{OS: "linux", Architecture: "arm64"}
		l.on = level{stage: l.stage, name: "multi", silent: true, spec: stemmatest.ImageSpec{Platforms: []stemma.Platform{linuxAMD64(), arm}}}.put()
		other := *l.on
		other.Descriptor, other.Children = l.on.Children[1], nil
		l.names = &other
	}, asIs)
	refusedFor(t, d, "base.proven", stemma.ReasonPlatform)
}

// H08: an image under which nothing can be known is a root only where it is listed, or where the policy says that none is enough.
func TestReg_H08_root(t *testing.T) {
	squash := func(l *level, _ *stemmatest.Image) { l.on, l.plain = nil, true }
	refusedFor(t, stands(t, basing("proof: layers", "endsAt: [scratch]"), squash, asIs), "base.ends", stemma.ReasonBaseEnd)
	refusedFor(t, stands(t, basing("proof: layers"), squash, asIs), "base.ends", stemma.ReasonBaseEnd)
	if d := stands(t, basing("proof: layers", "endsAt: [none]"), squash, asIs); d.Verdict != stemma.Allow {
		t.Error(unmet(d))
	}
}
