package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stemma"
	"stemma/internal/oci"
	"stemma/internal/predicate"
	"stemma/internal/sigstore"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

// real is one piece of the corpus, as evidence about an image of a name of its own.
type real struct {
	family, path string
	evidence     *stemma.Evidence
}

// realProvenance lists all provenance of the corpus that verifies under Sigstore's public good instance or Google's keys,
// each piece once.
func realProvenance(t *testing.T) []real {
	t.Helper()
	a, dir := realTrust(t), corpus(t)
	var out []real
	seen := map[stemma.Digest]bool{}
	for line := range bytes.Lines(read(t, dir, "index.jsonl")) {
		var r struct {
			Family, Path string
			Facts        json.RawMessage
		}
		var facts struct {
			Subjects []struct{ Alg, Digest string }
		}
		if json.Unmarshal(line, &r) != nil || json.Unmarshal(r.Facts, &facts) != nil || len(facts.Subjects) == 0 {
			continue // no statement
		}
		path, _, _ := strings.Cut(r.Path, "#")
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.IsDir() {
			continue
		}
		e := &stemma.Evidence{
			Image:       stemma.Image{Repository: "corpus.example/" + r.Family + fmt.Sprintf("/n%d", len(out)), Digest: stemma.Digest(facts.Subjects[0].Alg + ":" + facts.Subjects[0].Digest)},
			CollectedAt: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC),
		}
		raws, _ := oci.ReadEvidenceFile(filepath.Base(path), read(t, dir, path))
		for _, raw := range raws {
			att, rejection := a.Authenticate(raw, sigstore.Artifact{Digest: e.Image.Digest, Now: e.CollectedAt})
			if rejection != nil {
				continue
			}
			said, err := predicate.Read(*att)
			if err != nil || said.Provenance == nil || seen[att.Bundle] {
				continue
			}
			seen[att.Bundle] = true
			e.Attestations, e.Provenance = append(e.Attestations, *att), append(e.Provenance, *said.Provenance)
		}
		if len(e.Provenance) > 0 {
			out = append(out, real{r.Family, r.Path, e})
		}
	}
	return out
}

// origin is who built it from what, as far as two pieces of evidence are of the same builder and source.
func (r real) origin() string {
	var all []string
	for i, a := range r.evidence.Attestations {
		p := &r.evidence.Provenance[i]
		signer, _, _ := strings.Cut(a.Signer.Subject, "@")
		all = append(all, a.Signer.KeyID+signer+" "+p.Delegate+" "+p.Value(stemma.FieldRepository))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "; ")
}

// googleTrust declares the keys of Google Cloud Build.
func googleTrust(t *testing.T) policy.File {
	t.Helper()
	return policy.File{Name: "google.yaml", Data: []byte(strings.Split(gcbPolicy(t), "---\n")[0])}
}

// TestLearnCorpus: the policy that is learned from one piece of real evidence allows it, and denies what others built, or
// what was built from other sources, even where it is given the name of the image.
func TestLearnCorpus(t *testing.T) {
	all, google := realProvenance(t), googleTrust(t)
	trust := must[*policy.Set](t)(policy.LoadTrust(google))
	learned, pairs, families, refused := 0, 0, map[string]int{}, []string{}
	for _, one := range all {
		l, err := policy.Learn([]*stemma.Evidence{one.evidence}, policy.LearnOptions{Trust: trust})
		var none *policy.Unlearnable
		if errors.As(err, &none) {
			rule, _, _ := strings.Cut(none.Problem, ":")
			refused = append(refused, filepath.Base(one.path)+" "+rule)
			continue
		}
		check(t, err)
		learned++
		families[one.family]++
		set := must[*policy.Set](t)(policy.Load(policy.File{Name: "learned.yaml", Data: []byte(l.Policy)}, google))
		at := stemma.Situation{At: one.evidence.CollectedAt}
		if d := policy.Evaluate(set, one.evidence, at); d.Verdict != stemma.Allow {
			t.Errorf("%s is not allowed by its own policy:\n%s", one.path, findings(d))
		}
		for _, other := range all {
			if other.origin() == one.origin() {
				continue
			}
			e := *other.evidence
			e.Image.Repository = one.evidence.Image.Repository
			d := policy.Evaluate(set, &e, at)
			approved, source := finds(d, "builder.approved"), finds(d, "source.repository")
			if d.Verdict != stemma.Deny || !strings.HasPrefix(approved, "fail") && !strings.HasPrefix(source, "fail") {
				t.Errorf("%s under the policy of %s: %s, builder %s, source %s\n%s", other.path, one.path, d.Verdict, approved, source, l.Policy)
			}
			pairs++
		}
	}
	// Two contradict themselves, which no policy puts up with: one whose signer is not the builder that it names, and one of
	// the conformance tests.
	slices.Sort(refused)
	if want := "MODULE-wrong-signer.bazel.intoto.jsonl provenance.consistent; bundle.sigstore.json provenance.consistent"; strings.Join(refused, "; ") != want {
		t.Errorf("nothing is learned from %q, want %q", refused, want)
	}
	if learned < 60 || len(families) < 8 || pairs < 3000 {
		t.Errorf("%d pieces of %v, compared with %d", learned, families, pairs)
	}
}

// TestLearnContainers: the five images that slsa-github-generator attested differ in the version of the generator, and in
// whether a branch or a tag was built. So does the policy of all of them; the rest is as in that of one.
func TestLearnContainers(t *testing.T) {
	dir := corpus(t)
	v := must[*verify.Verifier](t)(verify.New(context.Background(), verify.Config{
		Roots: map[string][]byte{policy.PublicGood: read(t, dir, publicGoodRoot)}, Clock: func() time.Time { return time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC) },
	}))
	var images []*stemma.Evidence
	for _, c := range containers() {
		images = append(images, must[*stemma.Evidence](t)(v.Collect(context.Background(), verify.Request{Image: "oci:" + c.layout(dir), Name: containerName})))
	}
	l := must[*policy.Learned](t)(policy.Learn(images, policy.LearnOptions{}))
	for _, want := range []string{
		`workflow: slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml `,
		`workflowRefs: ["refs/tags/v*.*.*"] `, "      - refs/heads/main ", "      - refs/tags/v13.0.30 ", `repository: github.com/slsa-framework/example-package `,
	} {
		if !strings.Contains(l.Policy, want) {
			t.Errorf("lacks %q in\n%s", want, l.Policy)
		}
	}
	// What one of them is learned from does not fit the next.
	one := must[*policy.Learned](t)(policy.Learn(images[:1], policy.LearnOptions{}))
	d := policy.Evaluate(loaded(t, one.Policy), images[1], stemma.Situation{At: images[1].CollectedAt})
	if got := finds(d, "builder.approved"); d.Verdict != stemma.Deny || got != "fail builder-ref" {
		t.Errorf("%s, %s", d.Verdict, got)
	}
}

// TestLearnVersions: of two versions of an image of the world the versions vary, and nothing else.
func TestLearnVersions(t *testing.T) {
	s := newStage(t)
	collect := func(tag, builder string, v stemmatest.Vary) *stemma.Evidence {
		image := must[*stemmatest.Image](t)(s.PutImage(tag))
		build := v.Build
		v.Build = func(g *stemmatest.GitHub) {
			g.Ref, g.Builder = "refs/tags/"+tag, "trusted/builders/.github/workflows/build.yml@refs/tags/"+builder
			if build != nil {
				build(g)
			}
		}
		s.Attach(image, must[*stemmatest.Signed](t)(s.Attest(image, v)))
		return must[*stemma.Evidence](t)(must[*verify.Verifier](t)(s.verifier()).Collect(context.Background(), verify.Request{Image: "ghcr.io/acme/app:" + tag, Situation: s.request.Situation}))
	}
	first, second := collect("v3.0.0", "v1.2.3", stemmatest.Vary{}), collect("v3.1.0", "v1.3.0", stemmatest.Vary{})
	lines := func(images ...*stemma.Evidence) (out []string) {
		for line := range strings.Lines(must[*policy.Learned](t)(policy.Learn(images, policy.LearnOptions{})).Policy) {
			if text, _, _ := strings.Cut(strings.TrimSpace(line), "  #"); text != "" && text[0] != '#' {
				out = append(out, strings.TrimSpace(text))
			}
		}
		return out
	}
	one, both := lines(first), lines(first, second)
	var differ []string
	for i := range one {
		if len(both) != len(one) || one[i] != both[i] {
			differ = append(differ, both[i])
		}
	}
	if got, want := strings.Join(differ, "; "), `workflowRefs: ["refs/tags/v1.*"]; refs: ["refs/tags/v3.*"]`; got != want {
		t.Fatalf("differs in %q, want %q", got, want)
	}
	set := loaded(t, must[*policy.Learned](t)(policy.Learn([]*stemma.Evidence{first, second}, policy.LearnOptions{})).Policy)
	for _, c := range []struct {
		tag, builder string
		vary         stemmatest.Vary
		want         string // rule and what it finds; "" for Allow
	}{
		{tag: "v3.2.0", builder: "v1.9.9"},
		{tag: "v4.0.0", builder: "v1.3.0", want: "source.ref fail ref"},
		{tag: "v3.3.0", builder: "v2.0.0", want: "builder.approved fail builder-ref"},
		{tag: "v3.4.0", builder: "v1.3.0", vary: stemmatest.Vary{Build: func(g *stemmatest.GitHub) { g.Repository = "acme/other" }}, want: "source.repository fail repository"},
		{tag: "v3.5.0", builder: "v1.3.0", vary: stemmatest.Vary{Build: func(g *stemmatest.GitHub) { g.Event = "workflow_dispatch" }}, want: "builder.trigger fail trigger"},
	} {
		d := policy.Evaluate(set, collect(c.tag, c.builder, c.vary), s.request.Situation)
		rule, want, _ := strings.Cut(c.want, " ")
		if (d.Verdict == stemma.Allow) != (c.want == "") || c.want != "" && finds(d, rule) != want {
			t.Errorf("%s by %s: %s, want %q\n%s", c.tag, c.builder, d.Verdict, c.want, findings(d))
		}
	}
}
