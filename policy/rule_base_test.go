package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stemma"
)

// basesPolicy is what bases must meet in these tests.
const basesPolicy = `---
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: bases}
spec:
  match: {images: ["registry.example/base/*"]}
  signers:
    base-team: {oidc: {issuer: "https://issuer.example", subject: base-team}}
  signature: {by: [base-team]}
`

// stacked is f0Policy with a base block and a policy for bases.
func stacked(lines ...string) string {
	return f0Policy + "  base:\n    " + strings.Join(lines, "\n    ") + "\n" + basesPolicy
}

// debian is a line of foundations.
const debian = `foundations: [{image: docker.io/library/debian, digests: ["%s"], owner: platform, reason: publishes no provenance, until: %s}]`

func foundation(until string) string { return fmt.Sprintf(debian, digest("debian"), until) }

func baseTeam() stemma.Identity {
	return stemma.Identity{Trust: PublicGood, Issuer: "https://issuer.example", Subject: "base-team", Key: digest("key of base-team")}
}

// signedBase is about a base, which the base team signed.
func signedBase(name string) *stemma.Evidence {
	e := none()
	e.Image = stemma.Image{Repository: "registry.example/base/" + name, Digest: digest(name)}
	s := signature("signature of "+name, baseTeam())
	s.Binding.Member = e.Image.Digest
	e.Attestations = []stemma.Attestation{s}
	return e
}

func unsignedBase(repository, name string) *stemma.Evidence {
	e := none()
	e.Image = stemma.Image{Repository: repository, Digest: digest(name)}
	return e
}

// stands is a lineage of a grade.
func stands(grade stemma.BaseGrade, base *stemma.Evidence) *stemma.Lineage {
	return &stemma.Lineage{Grade: grade, Base: base.Image, Layers: 1, How: "blob-identical", Evidence: base, FilesRead: true, Steps: grade == stemma.BaseProven}
}

func ground(grade stemma.BaseGrade) *stemma.Lineage {
	return &stemma.Lineage{Grade: grade, Why: "nothing names what it stands on"}
}

// threeLevels stands the image on golden, that on debian, under which nothing is known.
func threeLevels() *stemma.Lineage {
	last := unsignedBase("docker.io/library/debian", "debian")
	last.Base = ground(stemma.BaseUnknown)
	golden := signedBase("golden")
	golden.Base = stands(stemma.BaseLayers, last)
	return stands(stemma.BaseProven, golden)
}

// based gives the image a lineage, with changes.
func based(l *stemma.Lineage, changes ...func(*stemma.Lineage)) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		for _, c := range changes {
			c(l)
		}
		e.Base = l
	}
}

func levels(changes ...func(*stemma.Lineage)) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) { based(threeLevels(), changes...)(e) }
}

// under changes the lineage of the base.
func under(change func(*stemma.Lineage)) func(*stemma.Lineage) {
	return func(l *stemma.Lineage) { change(l.Evidence.Base) }
}

// regrade gives a lineage another grade, as Find does for the reason.
func regrade(grade stemma.BaseGrade, reason stemma.Reason, signals ...stemma.Signal) func(*stemma.Lineage) {
	return func(l *stemma.Lineage) {
		l.Grade, l.Reason, l.Signals = grade, reason, signals
		if !grade.Based() {
			l.Evidence, l.Why = nil, "so it is"
		}
		if grade != stemma.BaseClaimed && !grade.Based() {
			l.Base = stemma.Image{}
		}
	}
}

func annotated(outcome stemma.SignalOutcome, reason stemma.Reason) stemma.Signal {
	return stemma.Signal{
		Kind: stemma.SignalAnnotation, Binding: stemma.BindingLoose, Outcome: outcome, Reason: reason, Detail: "as it is",
		Image: stemma.Image{Repository: "registry.example/base/golden", Digest: digest("golden")},
	}
}

// evidenceOf changes what was found about the base.
func evidenceOf(change func(*stemma.Evidence)) func(*stemma.Lineage) {
	return func(l *stemma.Lineage) { change(l.Evidence) }
}

func summary(change ...func(*stemma.VSA, *stemma.Attestation)) func(*stemma.Lineage) {
	return evidenceOf(func(e *stemma.Evidence) {
		v := stemma.VSA{
			Bundle: digest("summary"), Verifier: "https://gate.example", Time: now().At.AddDate(0, 0, -1), Resource: e.Image.Repository,
			Policy: "https://gate.example/bases", Result: "PASSED", Levels: []string{"SLSA_BUILD_LEVEL_2"},
		}
		a := attest("summary", baseTeam())
		a.Binding.Member = e.Image.Digest
		a.Statement.PredicateType = "https://slsa.dev/verification_summary/v1"
		for _, c := range change {
			c(&v, &a)
		}
		e.Summaries, e.Attestations = append(e.Summaries, v), append(e.Attestations, a)
	})
}

const summaries = `vsa: [{by: [gate], verifier: "https://gate.example", policy: "https://gate.example/bases", level: 2, maxAge: 7d}]`

func withGate(text string) string {
	return strings.Replace(text, "  provenance: {by: [release]", "  signers:\n    gate: {oidc: {issuer: \"https://issuer.example\", subject: base-team}}\n  provenance: {by: [release]", 1)
}

type lineageCase struct {
	name    string
	policy  string
	change  func(*stemma.Evidence)
	rule    string // that does not pass; "": the image is allowed
	outcome stemma.Outcome
	reason  stemma.Reason
}

// lineageCases stand each negative beside its nearest positive.
func lineageCases() []lineageCase {
	full := stacked("policy: bases", foundation("2026-12-31"))
	full = strings.Replace(full, `["registry.example/base/*"]`, `["registry.example/base/*"]`, 1)
	none := stacked("endsAt: [none]")
	scratch := stacked("endsAt: [scratch]")
	vsa := withGate(stacked("policy: bases", summaries))
	files := stacked("endsAt: [none]", "denyOverwrite: [loader, certificates]")
	env := stacked("endsAt: [none]", `denyEnv: ["LD_*"]`, "denySettings: [user]")
	stages := stacked("endsAt: [scratch]", "stages: {policy: bases}")
	pass := func(name, policy string, change func(*stemma.Evidence)) lineageCase {
		return lineageCase{name, policy, change, "", stemma.Pass, ""}
	}
	fail := func(name, policy string, change func(*stemma.Evidence), rule string, reason stemma.Reason) lineageCase {
		return lineageCase{name, policy, change, rule, stemma.Fail, reason}
	}
	unknown := func(name, policy string, change func(*stemma.Evidence), rule string, reason stemma.Reason) lineageCase {
		return lineageCase{name, policy, change, rule, stemma.Unknown, reason}
	}
	direct := func(grade stemma.BaseGrade, signals ...stemma.Signal) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) {
			e.Base = ground(grade)
			e.Base.Signals = signals
			e.Base.Steps = grade == stemma.BaseScratch
		}
	}
	stage := func(binding stemma.SignalBinding, e *stemma.Evidence, change ...func(*stemma.Stage)) func(*stemma.Evidence) {
		return func(top *stemma.Evidence) {
			direct(stemma.BaseScratch)(top)
			s := stemma.Stage{Image: e.Image, Binding: binding, Evidence: e}
			for _, c := range change {
				c(&s)
			}
			top.Base.Stages = []stemma.Stage{s}
		}
	}
	foreign := unsignedBase("registry.example/base/tool", "tool")
	golden := func(l *stemma.Lineage) { l.Evidence.Base = ground(stemma.BaseUnknown) }
	cases := []lineageCase{
		pass("to a foundation", full, levels()),
		fail("foundation that ended", stacked("policy: bases", foundation("2026-05-31")), levels(), "base.ends", stemma.ReasonExpired),
		pass("foundation on its last day", stacked("policy: bases", foundation("2026-06-01")), levels()),
		fail("foundation of another digest", change2(full, string(digest("debian")), string(digest("other"))), levels(), "base.ends", stemma.ReasonBaseEnd),
		fail("foundation of another host with its name in front", full, levels(under(func(l *stemma.Lineage) {
			l.Base.Repository = "docker.io.evil.example/library/debian"
		})), "base.ends", stemma.ReasonBaseEnd),
		pass("foundation by the index that lists it", full, levels(under(func(l *stemma.Lineage) {
			l.Base.Digest, l.Index = digest("of a platform"), digest("debian")
		}))),
		fail("foundation that is claimed", full, levels(under(regrade(stemma.BaseClaimed, "", annotated(stemma.SignalUnproven, "")))), "base.ends", stemma.ReasonBaseProof),

		fail("contradicted", full, levels(regrade(stemma.BaseContradicted, "")), "base.proven", stemma.ReasonBaseMismatch),
		fail("contradicted below", full, levels(under(regrade(stemma.BaseContradicted, ""))), "base.proven", stemma.ReasonBaseMismatch),
		fail("layers alone where proven is asked", stacked("proof: proven", "policy: bases", foundation("2026-12-31")), levels(), "base.proven", stemma.ReasonBaseProof),
		pass("layers alone at another depth", stacked("proof: layers", "atDepth: [{depth: 1, proof: proven}]", "policy: bases", foundation("2026-12-31")), levels()),
		fail("layers alone at this depth", stacked("proof: layers", "atDepth: [{depth: 2, proof: proven}]", "policy: bases", foundation("2026-12-31")), levels(), "base.proven", stemma.ReasonBaseProof),
		pass("sealed where sealed is asked", stacked("proof: sealed", "atDepth: [{depth: 2, proof: layers}]", "policy: bases", foundation("2026-12-31")), levels(regrade(stemma.BaseSealed, ""))),
		fail("sealed where proven is asked", stacked("proof: proven", "atDepth: [{depth: 2, proof: layers}]", "policy: bases", foundation("2026-12-31")), levels(regrade(stemma.BaseSealed, "")), "base.proven", stemma.ReasonBaseProof),
		fail("claimed", none, levels(regrade(stemma.BaseClaimed, "", annotated(stemma.SignalUnproven, ""))), "base.proven", stemma.ReasonBaseProof),
		unknown("claimed, and could not be read", none, levels(regrade(stemma.BaseClaimed, stemma.ReasonRateLimited, annotated(stemma.SignalUnresolved, stemma.ReasonRateLimited))), "base.proven", stemma.ReasonRateLimited),
		pass("claimed by a stranger who says so beside the image", none, levels(regrade(stemma.BaseClaimed, "", stemma.Signal{
			Kind: stemma.SignalSteps, Binding: stemma.BindingLoose, Outcome: stemma.SignalUnresolved, Image: stemma.Image{Repository: "registry.example/base/golden", Digest: digest("golden")},
		}))),

		pass("nothing known underneath", none, direct(stemma.BaseUnknown)),
		fail("nothing known underneath, where it must be", stacked("endsAt: [scratch]"), direct(stemma.BaseUnknown), "base.ends", stemma.ReasonBaseEnd),
		fail("nothing known underneath, by default", stacked("proof: layers"), direct(stemma.BaseUnknown), "base.ends", stemma.ReasonBaseEnd),
		fail("H04 base by tag alone", none, direct(stemma.BaseUnknown, stemma.Signal{Kind: stemma.SignalAnnotation, Outcome: stemma.SignalNameless, Image: stemma.Image{Repository: "docker.io/library/debian", Tag: "12"}}), "base.ends", stemma.ReasonUnpinned),
		pass("a comment in the history names no base", none, direct(stemma.BaseUnknown, stemma.Signal{Kind: stemma.SignalHistory, Outcome: stemma.SignalNameless})),
		unknown("a candidate that could not be read", none, direct(stemma.BaseUnknown, annotated(stemma.SignalUnresolved, stemma.ReasonTimeout)), "base.ends", stemma.ReasonTimeout),
		fail("a candidate that is not there", none, direct(stemma.BaseUnknown, annotated(stemma.SignalUnresolved, "")), "base.ends", stemma.ReasonBaseProof),
		unknown("the index of known images does not answer", none, direct(stemma.BaseUnknown, stemma.Signal{Kind: stemma.SignalLayers, Outcome: stemma.SignalUnresolved, Reason: stemma.ReasonUnreachable}), "base.ends", stemma.ReasonUnreachable),
		unknown("a place that does not answer may name a base", none, func(e *stemma.Evidence) { direct(stemma.BaseUnknown)(e); e.Unavailable = []stemma.Unavailable{away()} }, "base.ends", stemma.ReasonRateLimited),
		unknown("not looked for", none, func(*stemma.Evidence) {}, "base.ends", stemma.ReasonUnreachable),

		pass("scratch", scratch, direct(stemma.BaseScratch)),
		fail("H08 scratch by the word of an annotation", scratch, direct(stemma.BaseNoneClaimed), "base.proven", stemma.ReasonBaseProof),
		pass("scratch by an annotation, where a claim is enough", stacked("proof: claimed", "endsAt: [scratch]"), direct(stemma.BaseNoneClaimed)),
		pass("scratch, sealed", stacked("proof: sealed", "endsAt: [scratch]"), direct(stemma.BaseNoneClaimed, stemma.Signal{Kind: stemma.SignalSteps, Binding: stemma.BindingSealed, Scratch: true, Outcome: stemma.SignalScratch})),
		fail("scratch, sealed, where proven is asked", stacked("proof: proven", "endsAt: [scratch]"), direct(stemma.BaseNoneClaimed, stemma.Signal{Kind: stemma.SignalSteps, Binding: stemma.BindingSealed, Scratch: true, Outcome: stemma.SignalScratch}), "base.proven", stemma.ReasonBaseProof),
		fail("scratch, where only nothing known may be", none, direct(stemma.BaseScratch), "base.ends", stemma.ReasonBaseEnd),

		fail("H05 base without evidence", full, levels(evidenceOf(nothing)), "base.policy", stemma.ReasonBasePolicy),
		fail("base signed by somebody else", full, levels(evidenceOf(func(e *stemma.Evidence) { e.Attestations[0].Signer.Subject = "other-team" })), "base.policy", stemma.ReasonBasePolicy),
		fail("base with a signature of another digest", full, levels(evidenceOf(func(e *stemma.Evidence) { e.Attestations[0].Binding.Member = digest("other") })), "base.policy", stemma.ReasonBasePolicy),
		unknown("base of which a place is silent", full, levels(evidenceOf(func(e *stemma.Evidence) { nothing(e); e.Unavailable = []stemma.Unavailable{away()} })), "base.policy", stemma.ReasonRateLimited),
		fail("base that the policy is not about", full, levels(evidenceOf(func(e *stemma.Evidence) { e.Image.Repository = "registry.example.evil.io/base/golden" })), "base.policy", stemma.ReasonNoPolicy),
		unknown("base that could not be looked at", full, levels(func(l *stemma.Lineage) { l.Evidence, l.Stopped, l.Reason = nil, "503", stemma.ReasonUnreachable }), "base.policy", stemma.ReasonUnreachable),
		unknown("H02 limit", full, levels(func(l *stemma.Lineage) {
			l.Evidence, l.Stopped, l.Reason = nil, "16 images stand on one another, and no more are looked at", stemma.ReasonTruncated
		}), "base.ends", stemma.ReasonTruncated),
		fail("base whose repository nobody tells", full, levels(func(l *stemma.Lineage) { l.Evidence, l.Reason = nil, stemma.ReasonNotStated }), "base.policy", stemma.ReasonNotStated),
		fail("base that is distrusted", full+"---\napiVersion: policy.stemma.dev/v1alpha1\nkind: Distrust\nmetadata: {name: incident}\nspec: {reason: stolen key, digests: [\""+string(digest("golden"))+"\"]}\n", levels(), "base.policy", stemma.ReasonDistrusted),

		pass("summary", vsa, levels(evidenceOf(nothing), summary())),
		fail("summary of an index", vsa, levels(evidenceOf(nothing), summary(func(_ *stemma.VSA, a *stemma.Attestation) { a.Binding.Kind = stemma.BindingViaIndex })), "base.policy", stemma.ReasonBasePolicy),
		fail("summary by a stranger", vsa, levels(evidenceOf(nothing), summary(func(_ *stemma.VSA, a *stemma.Attestation) { a.Signer.Subject = "stranger" })), "base.policy", stemma.ReasonBasePolicy),
		fail("summary by another verifier", vsa, levels(evidenceOf(nothing), summary(func(v *stemma.VSA, _ *stemma.Attestation) { v.Verifier += "/x" })), "base.policy", stemma.ReasonBasePolicy),
		fail("summary that failed", vsa, levels(evidenceOf(nothing), summary(func(v *stemma.VSA, _ *stemma.Attestation) { v.Result = "FAILED" })), "base.policy", stemma.ReasonBasePolicy),
		fail("summary that passed in small letters", vsa, levels(evidenceOf(nothing), summary(func(v *stemma.VSA, _ *stemma.Attestation) { v.Result = "passed" })), "base.policy", stemma.ReasonBasePolicy),
		fail("summary of another repository", vsa, levels(evidenceOf(nothing), summary(func(v *stemma.VSA, _ *stemma.Attestation) { v.Resource += "-other" })), "base.policy", stemma.ReasonBasePolicy),
		fail("summary by another policy", vsa, levels(evidenceOf(nothing), summary(func(v *stemma.VSA, _ *stemma.Attestation) { v.Policy = "" })), "base.policy", stemma.ReasonBasePolicy),
		fail("summary of a lower level", vsa, levels(evidenceOf(nothing), summary(func(v *stemma.VSA, _ *stemma.Attestation) { v.Levels = []string{"SLSA_BUILD_LEVEL_1"} })), "base.policy", stemma.ReasonBasePolicy),
		fail("summary that is too old", vsa, levels(evidenceOf(nothing), summary(func(v *stemma.VSA, _ *stemma.Attestation) { v.Time = now().At.AddDate(0, 0, -8) })), "base.policy", stemma.ReasonBasePolicy),
		fail("summary of the future", vsa, levels(evidenceOf(nothing), summary(func(v *stemma.VSA, _ *stemma.Attestation) { v.Time = now().At.Add(time.Hour) })), "base.policy", stemma.ReasonBasePolicy),
		fail("summary without a time", vsa, levels(evidenceOf(nothing), summary(func(v *stemma.VSA, _ *stemma.Attestation) { v.Time = time.Time{} })), "base.policy", stemma.ReasonBasePolicy),
		fail("summary of the source", vsa, levels(evidenceOf(nothing), summary(func(v *stemma.VSA, _ *stemma.Attestation) { v.Commit = commitOfSource })), "base.policy", stemma.ReasonBasePolicy),

		pass("repository that is accepted", stacked("endsAt: [none]", `images: ["registry.example/base/*", docker.io/library/debian]`), levels()),
		fail("repository that is not accepted", stacked("endsAt: [none]", `images: ["registry.example/base/*"]`), levels(), "base.image", stemma.ReasonInput),
		fail("repository with an accepted one in front", stacked("endsAt: [none]", `images: ["registry.example/base/*"]`), levels(func(l *stemma.Lineage) {
			golden(l)
			l.Base.Repository = "registry.example.evil.io/base/golden"
		}), "base.image", stemma.ReasonInput),
		unknown("repositories of a chain whose end is not known", stacked("endsAt: [none]", `images: ["registry.example/base/*"]`), levels(func(l *stemma.Lineage) { l.Evidence, l.Reason = nil, stemma.ReasonTimeout }), "base.image", stemma.ReasonTimeout),
		pass("repository of a mirror", stacked("endsAt: [none]", `images: ["registry.example/base/*"]`)+inSet(`mirrors: [{from: "corp.example/hub/**", is: "registry.example/**"}]`), levels(func(l *stemma.Lineage) {
			golden(l)
			l.Base.Repository = "corp.example/hub/base/golden"
		})),

		pass("young enough", stacked("endsAt: [none]", "policy: bases", "maxAge: 30d"), levels(golden)),
		fail("too old", stacked("endsAt: [none]", "policy: bases", "maxAge: 30d"), levels(golden, evidenceOf(signedAt(now().At.AddDate(0, 0, -31)))), "base.age", stemma.ReasonAge),
		fail("too old, and signed again", stacked("endsAt: [none]", "policy: bases", "maxAge: 30d"), levels(golden, evidenceOf(func(e *stemma.Evidence) {
			again := e.Attestations[0]
			again.Bundle = digest("again")
			again.SignedAt = slices.Clone(again.SignedAt)
			e.Attestations = append(e.Attestations, again)
			signedAt(now().At.AddDate(0, 0, -31))(e)
		})), "base.age", stemma.ReasonAge),
		unknown("without a proven time", stacked("endsAt: [none]", "policy: bases", "maxAge: 30d"), levels(golden, evidenceOf(func(e *stemma.Evidence) { e.Attestations[0].SignedAt = nil })), "base.age", stemma.ReasonNoTime),

		pass("files kept", files, levels()),
		fail("loader replaced", files, levels(overwrite("loader")), "base.files", stemma.ReasonOverwritten),
		pass("another kind of file replaced", files, levels(overwrite("packages"))),
		fail("any file replaced", change2(files, "[loader, certificates]", "[any]"), levels(overwrite("other")), "base.files", stemma.ReasonOverwritten),
		fail("loader replaced in the base", files, levels(under(overwrite("loader"))), "base.files", stemma.ReasonOverwritten),
		unknown("files not compared", files, levels(func(l *stemma.Lineage) { l.FilesRead = false }), "base.files", stemma.ReasonUnreachable),
		unknown("files that could not be read", files, levels(func(l *stemma.Lineage) {
			l.FilesRead, l.FilesWhy, l.FilesReason = false, "503", stemma.ReasonUnreachable
		}), "base.files", stemma.ReasonUnreachable),

		pass("settings kept", env, levels(func(l *stemma.Lineage) {
			l.Changes = []stemma.Change{{Setting: "env PATH", Is: "/bin"}, {Setting: "cmd", Is: "[\"sh\"]"}}
		})),
		fail("library preloaded", env, levels(func(l *stemma.Lineage) { l.Changes = []stemma.Change{{Setting: "env LD_PRELOAD", Is: "/x.so"}} }), "base.settings", stemma.ReasonSetting),
		fail("user changed", env, levels(func(l *stemma.Lineage) { l.Changes = []stemma.Change{{Setting: "user", Was: "65532", Is: "0"}} }), "base.settings", stemma.ReasonSetting),
		unknown("settings not compared", change2(env, "endsAt: [none]", "proof: claimed\n    endsAt: [none]"), levels(regrade(stemma.BaseClaimed, stemma.ReasonTimeout, annotated(stemma.SignalUnresolved, stemma.ReasonTimeout))), "base.settings", stemma.ReasonTimeout),

		pass("stage that meets its policy", stages, stage(stemma.BindingSigned, signedBase("golang"))),
		fail("H06 stage that does not", stages, stage(stemma.BindingSigned, foreign), "base.stages", stemma.ReasonBasePolicy),
		fail("stage that the policy is not about", stages, stage(stemma.BindingSigned, unsignedBase("docker.io/library/golang", "golang")), "base.stages", stemma.ReasonNoPolicy),
		pass("stage by the word of a stranger", stages, stage(stemma.BindingLoose, foreign)),
		unknown("stage that could not be looked at", stages, stage(stemma.BindingSigned, foreign, func(s *stemma.Stage) { s.Evidence, s.Reason = nil, stemma.ReasonUnauthorized }), "base.stages", stemma.ReasonUnauthorized),
		fail("stage by tag alone", stages, stage(stemma.BindingSigned, foreign, func(s *stemma.Stage) { s.Evidence, s.Reason = nil, stemma.ReasonUnpinned }), "base.stages", stemma.ReasonUnpinned),
		unknown("more stages than are looked at", stages, func(e *stemma.Evidence) { direct(stemma.BaseScratch)(e); e.Base.MoreStages = true }, "base.stages", stemma.ReasonTruncated),
		fail("steps that nobody tells", change2(stages, "endsAt: [scratch]", "endsAt: [none]"), direct(stemma.BaseUnknown), "base.stages", stemma.ReasonUnreported),
		pass("stage of an accepted repository", stacked("endsAt: [scratch]", `stages: {images: ["registry.example/base/*"]}`), stage(stemma.BindingSigned, foreign)),
		fail("stage of another repository", stacked("endsAt: [scratch]", `stages: {images: ["registry.example/other/*"]}`), stage(stemma.BindingSigned, foreign), "base.stages", stemma.ReasonInput),
	}
	newest := func(word string) string { return stacked("endsAt: [none]", "newer: "+word) }
	tag := func(to stemma.Digest, reason stemma.Reason) func(*stemma.Lineage) {
		return func(l *stemma.Lineage) {
			golden(l)
			l.Tagged = &stemma.Tagged{Tag: "12", Digest: to, Reason: reason, Why: "as it is"}
		}
	}
	return append(
		cases,
		pass("the newest build", newest("refuse"), levels(tag(digest("golden"), ""))),
		fail("an older build", newest("refuse"), levels(tag(digest("newer"), "")), "base.newer", stemma.ReasonOutdated),
		pass("an older build, reported", newest("warn"), levels(tag(digest("newer"), ""))),
		unknown("a tag that does not answer", newest("refuse"), levels(tag("", stemma.ReasonTimeout)), "base.newer", stemma.ReasonTimeout),
	)
}

func overwrite(class string) func(*stemma.Lineage) {
	return func(l *stemma.Lineage) {
		l.Files, l.FilesBy = 1, map[string]int{class: 1}
		l.Overwrites = []stemma.Overwrite{{Path: "lib/ld-musl-x86_64.so.1", Class: strings.TrimPrefix(class, "other"), Layer: 2}}
	}
}

func change2(text, old, replacement string) string {
	if !strings.Contains(text, old) {
		panic(old + " is not in the policy")
	}
	return strings.Replace(text, old, replacement, 1)
}

// TestBase: what an image stands on is judged as a policy asks. Each negative fails by its own rule and reason.
func TestBase(t *testing.T) {
	for _, c := range lineageCases() {
		t.Run(c.name, func(t *testing.T) {
			d := evaluate(t, c.policy, c.change)
			if c.rule == "" {
				allowed(t, d)
				return
			}
			f := finding(t, d, c.rule)
			want := map[stemma.Outcome]stemma.Verdict{stemma.Fail: stemma.Deny, stemma.Unknown: stemma.Undetermined}[c.outcome]
			if f.Outcome != c.outcome || f.Reason != c.reason || d.Verdict != want || d.Effect != stemma.Refuse {
				t.Errorf("%s: want %s, %s of %s\n%s", d.Verdict, c.outcome, c.reason, c.rule, render(d))
			}
		})
	}
}

// baseRuleCases are those of TestBase as TestRules wants them.
func baseRuleCases() []ruleCase {
	var out []ruleCase
	for _, c := range lineageCases() {
		if c.rule != "" {
			out = append(out, ruleCase{c.rule, c.outcome, c.reason, c.policy, []func(*stemma.Evidence){c.change}})
			continue
		}
		set, err := Load(files(c.policy)...)
		if err != nil {
			panic(err)
		}
		for _, p := range set.policies {
			for _, r := range baseRules() {
				if p.name == "app" && r.inForce(p) && !strings.Contains(c.name, "reported") {
					out = append(out, ruleCase{r.ID, stemma.Pass, "", c.policy, []func(*stemma.Evidence){c.change}})
				}
			}
		}
	}
	return out
}

// TestBase_deep: a policy that asks of bases what they ask of theirs judges each image once. Judged anew at each step, forty
// images would be judged a million million times.
func TestBase_deep(t *testing.T) {
	policy := f0Policy + "  base: {policy: bases, endsAt: [none]}\n" + strings.Replace(basesPolicy, "  signature:", "  base: {policy: bases, endsAt: [none]}\n  signature:", 1)
	below := ground(stemma.BaseUnknown)
	for i := range 40 {
		e := signedBase(fmt.Sprintf("level%d", i))
		e.Base = below
		below = stands(stemma.BaseLayers, e)
	}
	allowed(t, evaluate(t, policy, based(below)))
	lowest := below
	for lowest.Evidence.Base.Evidence != nil {
		lowest = lowest.Evidence.Base
	}
	nothing(lowest.Evidence)
	d := evaluate(t, policy, based(below))
	if f := finding(t, d, "base.policy"); d.Verdict != stemma.Deny || f.Outcome != stemma.Fail || f.Reason != stemma.ReasonBasePolicy {
		t.Errorf("%s", render(d))
	}
}
