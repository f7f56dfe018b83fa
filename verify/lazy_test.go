package verify_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
)

// drawn stages an image of random parts: platforms listed in many ways, evidence of many kinds about any member of its
// family, and a request that asks about one of them in one of the ways there are.
func (s *stage) drawn(r *rand.Rand, number int) {
	s.Helper()
	yes := func(percent int) bool { return r.IntN(100) < percent }
	spec := stemmatest.ImageSpec{
		Repository: stemmatest.Repository, Tags: []string{fmt.Sprint("drawn-", number)}, Content: fmt.Sprint(number), Subject: yes(50), Docker: yes(20),
		Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}, {OS: "windows", Architecture: "amd64"}}[:1+r.IntN(3)],
	}
	if yes(60) {
		spec.Attest = func(p stemma.Platform, manifest stemma.Digest) []*stemmatest.Statement {
			if yes(10) {
				manifest = s.Image.Digest()
			}
			return []*stemmatest.Statement{stemmatest.BuildKit{Platform: p, Repository: "ghcr.io/acme/app", Tag: "x", Source: "https://github.com/acme/app.git", Commit: s.Build.SHA}.V1(manifest)}
		}
	}
	s.image = must[*stemmatest.Image](s)(s.Registry.PutImage(spec))
	if yes(40) {
		s.image = must[*stemmatest.Image](s)(reindex(s.image, spec.Tags[0], func(children []v1.Descriptor) []v1.Descriptor {
			for i := range children {
				switch r.IntN(10) {
				case 0:
					children[i].Platform = &v1.Platform{OS: "linux", Architecture: "amd64"}
				case 1:
					children[i].Platform = &v1.Platform{OS: "Linux", Architecture: "x86_64"}
				case 2:
					children[i].Platform = nil
				case 3:
					children[i].Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
				case 4:
					children[i].Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": string(children[r.IntN(len(children))].Digest)}
				case 5:
					children[i].Platform = &v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: fmt.Sprintf("10.0.20348.%d", i)}
				case 6:
					children[i].Size++
				case 7:
					children = append(children, children[i])
				}
			}
			return children
		}))
	}
	identity := func() stemmatest.Vary {
		if yes(25) {
			return build(func(g *stemmatest.GitHub) { g.Builder = "evil/builders/.github/workflows/build.yml@refs/tags/v1.2.3" })
		}
		if yes(20) {
			return build(func(g *stemmatest.GitHub) { g.Ref, g.SHA = "refs/heads/wip", "" })
		}
		return stemmatest.Vary{}
	}
	about := func(d v1.Descriptor) stemmatest.Artifact {
		v := identity()
		change := v.Statement
		v.Statement = func(st *stemmatest.Statement) {
			if st.Subject = []stemma.ResourceDescriptor{stemmatest.Subject("app", stemma.Digest(d.Digest))}; change != nil {
				change(st)
			}
		}
		return stemmatest.BundleArtifact(s.attest(v))
	}
	signed := func(d v1.Descriptor) stemmatest.Artifact {
		_, data, err := s.Registry.Manifest(stemmatest.Repository, string(d.Digest))
		check(s, err)
		return stemmatest.BundleArtifact(must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: s.Build}, data)))
	}
	attach := func(d v1.Descriptor, a stemmatest.Artifact) v1.Descriptor {
		a.Subject = &d
		if yes(20) {
			return must[v1.Descriptor](s)(s.image.AttachFallback(a))
		}
		if yes(10) {
			elsewhere := *s.image
			elsewhere.Repository = "acme/evidence"
			return elsewhere.AttachReferrer(a)
		}
		return s.image.AttachReferrer(a)
	}
	for i, d := range append([]v1.Descriptor{s.image.Descriptor}, s.image.Children...) {
		if yes(50) {
			attach(d, about(d))
		}
		if yes(30) {
			attach(d, signed(d))
		}
		if i > 0 && yes(15) {
			attach(d, about(v1.Descriptor{Digest: must[*v1.Manifest](s)(s.manifest(d)).Config.Digest}))
		}
		if yes(10) {
			attach(d, about(s.Image.Descriptor)) // about something else
		}
		if yes(20) {
			sbom := attach(d, stemmatest.Artifact{Type: "application/spdx+json", Layers: []stemmatest.Layer{{MediaType: "application/spdx+json", Data: []byte(`{"spdxVersion":"SPDX-2.3"}`)}}})
			if _, _, err := s.Registry.Manifest(stemmatest.Repository, string(sbom.Digest)); err == nil && yes(50) {
				attach(sbom, signed(sbom))
			}
		}
	}
	s.request.Image = "ghcr.io/acme/app:" + spec.Tags[0]
	s.request.Index = ""
	switch r.IntN(5) {
	case 0:
		s.ask(r.IntN(len(s.image.Children)), "")
	case 1:
		s.ask(r.IntN(len(s.image.Children)), ":"+spec.Tags[0])
	case 2:
		s.ask(r.IntN(len(s.image.Children)), "")
		s.request.Index = string(s.image.Digest())
	}
	s.request.Situation.Platforms = [][]string{nil, nil, {"linux/amd64"}, {"linux/arm64", "windows/amd64:10.0.20348.1"}}[r.IntN(4)]
}

func (s *stage) manifest(d v1.Descriptor) (*v1.Manifest, error) {
	var m v1.Manifest
	_, data, err := s.Registry.Manifest(stemmatest.Repository, string(d.Digest))
	if err == nil {
		err = stemma.DecodeJSON(data, &m)
	}
	return &m, err
}

// cells are the outcomes of all requirements, each with the platform that it is about.
func cells(d *stemma.Decision) map[string]stemma.Outcome {
	out := map[string]stemma.Outcome{}
	for _, f := range d.Findings {
		out[strings.Join([]string{f.Policy, f.Rule, f.Platform, string(f.Of)}, " ")] = f.Outcome
	}
	return out
}

// unread counts what could not be looked at.
func unread(e *stemma.Evidence) int {
	n := len(e.Unavailable)
	for _, c := range e.Platforms {
		n += unread(c)
	}
	return n
}

// What verify leaves alone, because no policy can need it, changes no requirement: looked at in full, the same image has
// the same cells under the same policies (docs/decisions/0010-lazy.md). Where more is looked at, more can fail to be
// read; then what is absent is not known to be.
func TestLazyAgreesWithFull(t *testing.T) {
	s := newStage(t)
	random := rand.New(rand.NewPCG(10, 11))
	verdicts := map[stemma.Verdict]int{}
	also := "evidence: [{for: \"ghcr.io/acme/*\", also: [\"ghcr.io/acme/evidence\"]}]\n"
	docker := in(dockerChain(), "platforms: [linux/amd64]", also+"  platforms: all")
	policies := []string{
		trusting, under("platforms: index"), under(also + "platforms: all"), under("platforms: nodes"), under(also + "platforms: [linux/amd64]"),
		under("platforms: [linux/arm64, \"windows/amd64:10.0.20348.2\"]"), under("configSubjects: accept\nplatforms: all"), under("configSubjects: accept"),
		docker, in(docker, "platforms: all", "platforms: index"),
		in(under("platforms: all"), "  provenance:", "  signature: {by: [trusted-builder]}\n  provenance:"),
		in(under("platforms: index"), "level: 3, maxAge", "agreement: complete, level: 3, maxAge"),
	}
	for number := range 80 {
		s.drawn(random, number)
		for i, text := range policies {
			s.policy = text
			set := must[*policy.Set](t)(policy.Load(policy.File{Name: "policy.yaml", Data: []byte(text)}))
			v, err := s.verifier()
			check(t, err)
			lazy, err := v.Verify(context.Background(), s.request)
			if err != nil {
				break // it cannot be opened at all
			}
			evidence, err := v.Collect(context.Background(), s.request)
			check(t, err)
			full := policy.Evaluate(set, evidence, s.request.Situation)
			verdicts[lazy.Decision.Verdict]++
			if lazy.Decision.Verdict == full.Verdict && lazy.Decision.Effect == full.Effect && lazy.Decision.Level == full.Level && maps.Equal(cells(lazy.Decision), cells(full)) {
				continue
			}
			// Where more is looked at and cannot be read, and only there, more is not known.
			known := cells(lazy.Decision)
			for cell, outcome := range cells(full) {
				if outcome == stemma.Unknown && unread(evidence) > unread(lazy.Evidence) {
					known[cell] = outcome
				}
			}
			if maps.Equal(known, cells(full)) {
				continue
			}
			t.Errorf("image %d, policy %d: lazily %s, in full %s\n%v\n%s%s\nin full\n%s%s", number, i, lazy.Decision.Verdict, full.Verdict, s.request,
				findings(lazy.Decision), refusals(lazy.Evidence), findings(full), refusals(evidence))
			return
		}
	}
	if least := slices.Min(slices.Collect(maps.Values(verdicts))); len(verdicts) < 3 || least < 8 {
		t.Errorf("%v", verdicts)
	}
	t.Log(verdicts)
}
