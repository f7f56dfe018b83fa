package policy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"stemma"
)

// familyRounds is how often each property is checked over all policies.
const familyRounds = 4

// familyPolicies judge f0's evidence in every mode.
func familyPolicies(t testing.TB) []*Set {
	var out []string
	for _, spec := range []string{
		"  platforms: index", "  platforms: all", "  platforms: nodes", "  platforms: [linux/amd64, linux/arm64]", `  platforms: ["windows/amd64", linux/amd64]`,
		"  configSubjects: accept", "  platforms: all\n  configSubjects: accept",
	} {
		out = append(out, setOf(spec)+f0Policy, setOf(spec)+strings.Replace(f0Policy, "maxAge: 90d", "maxAge: 90d, agreement: complete", 1))
	}
	out = append(out, setOf("  platforms: all")+f0Policy+"---\n"+strictPolicy)
	sets := make([]*Set, len(out))
	for i, text := range out {
		sets[i] = load(t, text)
	}
	return sets
}

// drawFamily makes an index of platforms, or one manifest of one, with evidence that meets, half meets and misses what is
// asked for, tied in every way.
func drawFamily(t *rapid.T) (*stemma.Evidence, stemma.Situation) {
	pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	n := 0
	var node func(platform string, depth int) *stemma.Evidence
	node = func(platform string, depth int) *stemma.Evidence {
		n++
		e := child(platform)
		e.Image.Digest = digest(fmt.Sprint("node ", n))
		e.Config = digest(fmt.Sprint("config ", n))
		e.Attestations[0].Bundle = digest(fmt.Sprint("bundle ", n))
		e.Provenance[0].Bundle = e.Attestations[0].Bundle
		tie := &e.Attestations[0].Binding
		switch tie.Member = e.Image.Digest; pick("tie", "exact", "exact", "exact", "exact", "index", "config", "manifest", "other") {
		case "index":
			*tie = stemma.Binding{Kind: stemma.BindingViaIndex, Member: digest("index")}
		case "config":
			*tie = stemma.Binding{Kind: stemma.BindingViaConfig, Member: e.Config}
		case "manifest":
			tie.Kind, tie.Via = stemma.BindingViaManifest, digest("attestations")
		case "other":
			tie.Member = digest("other")
		}
		if pick("listed", "yes", "no") == "yes" {
			e.Indexes = []stemma.Digest{digest("another index"), digest("index")}
		}
		switch pick("evidence", "good", "good", "good", "good", "good", "none", "wip", "silent", "two") {
		case "none":
			nothing(e)
		case "wip":
			byCertificate(stemma.FieldRef, "refs/heads/wip")(e)
		case "silent":
			e.Unavailable = []stemma.Unavailable{away()}
		case "two":
			add(e, fmt.Sprint("second ", n), githubSigner(trustedSAN), func(a *stemma.Attestation, p *stemma.Provenance) {
				a.Binding.Member = e.Image.Digest
				if pick("agrees", "yes", "yes", "no") == "no" {
					p.Claims[stemma.FieldCommit] = said("dead000000000000000000000000000000000003", stemma.SaidByCertificate, "certificate .13")
				}
			})
		}
		if depth > 1 || pick("kind", "index", "index", "index", "manifest") == "manifest" {
			return e
		}
		e.MediaType, e.Indexes, e.Config = "application/vnd.oci.image.index.v1+json", nil, ""
		for range rapid.IntRange(0, 4).Draw(t, "children") {
			e.Platforms = append(e.Platforms, node(pick("platform", "linux/amd64", "linux/arm64", "linux/arm64/v8", "linux/x86_64", "windows/amd64:1", "windows/amd64:2", "unknown/unknown", "/"), depth+1+rapid.IntRange(0, 1).Draw(t, "inner")))
		}
		if pick("children read", "all", "all", "all", "all", "some") == "some" {
			unread(e)
		}
		return e
	}
	e := node(pick("platform", "linux/amd64", "linux/arm64", ""), 0)
	situation := now()
	situation.Platforms = rapid.SampledFrom([][]string{nil, {"linux/amd64"}, {"linux/arm64", "linux/amd64"}, {"windows/amd64"}, {"x"}}).Draw(t, "nodes")
	return e, situation
}

// each visits copies of a tree of evidence that differ from it in one node; change returns false when it has no more to do
// to that node.
func each(e *stemma.Evidence, change func(*stemma.Evidence, int) bool, visit func(stemma.Evidence)) {
	for i := 0; ; i++ {
		c := *e
		if !change(&c, i) {
			break
		}
		visit(c)
	}
	for i, child := range e.Platforms {
		each(child, change, func(changed stemma.Evidence) {
			c := *e
			c.Platforms = slices.Clone(e.Platforms)
			c.Platforms[i] = &changed
			visit(c)
		})
	}
}

// TestRemovingFromFamily: whatever is withheld of a family (a piece of evidence, an index, a config, a platform), no
// requirement is met that was not, and nothing is allowed that was not; but for agreement, as above.
func TestRemovingFromFamily(t *testing.T) {
	verdicts := map[stemma.Verdict]int{}
	sets := familyPolicies(t)
	for i := range familyRounds {
		t.Run(fmt.Sprint(i), rapid.MakeCheck(func(t *rapid.T) {
			set := sets[rapid.IntRange(0, len(sets)-1).Draw(t, "set")]
			e, situation := drawFamily(t)
			before := Evaluate(set, e, situation)
			verdicts[before.Verdict]++
			had := cells(before)
			agreed := true
			for _, f := range before.Findings {
				agreed = agreed && (!negative(" "+f.Rule+" ") || f.Outcome != stemma.Fail)
			}
			for what, change := range map[string]func(*stemma.Evidence, int) bool{
				"attestation": func(e *stemma.Evidence, i int) bool {
					if i >= len(e.Attestations) {
						return false
					}
					e.Attestations = without(e.Attestations, i)
					return true
				},
				"provenance": func(e *stemma.Evidence, i int) bool {
					if i >= len(e.Provenance) {
						return false
					}
					e.Provenance = without(e.Provenance, i)
					return true
				},
				"index": func(e *stemma.Evidence, i int) bool {
					if i >= len(e.Indexes) {
						return false
					}
					e.Indexes = without(e.Indexes, i)
					return true
				},
				"config": func(e *stemma.Evidence, i int) bool {
					had := e.Config != ""
					e.Config = ""
					return had && i == 0 && e.Platform != (stemma.Platform{}) // else the platform is no longer untold
				},
				"platform": func(e *stemma.Evidence, i int) bool {
					if i >= len(e.Platforms) {
						return false
					}
					e.Platforms = without(e.Platforms, i)
					e.Unavailable = slices.Clone(e.Unavailable)
					unread(e)
					return true
				},
				"a place": func(e *stemma.Evidence, i int) bool {
					e.Unavailable = append(slices.Clone(e.Unavailable), away())
					return i == 0
				},
			} {
				each(e, change, func(e stemma.Evidence) {
					after := Evaluate(set, &e, situation)
					for cell, outcome := range cells(after) {
						if was, ok := had[cell]; ok && was != stemma.Pass && outcome == stemma.Pass && !negative(cell) {
							t.Fatalf("without %s, %s passes:\n%s\n%s", what, cell, render(before), render(after))
						}
					}
					if after.Verdict == stemma.Allow && before.Verdict != stemma.Allow && agreed {
						t.Fatalf("without %s it is allowed:\n%s\n%s", what, render(before), render(after))
					}
					if what == "platform" && after.Verdict == stemma.Allow && (len(set.spec.Platforms) > 0 || len(situation.Platforms) > 0) {
						t.Fatalf("a platform was withheld, and it is allowed:\n%s", render(after))
					}
				})
			}
		}))
	}
	least := 20
	if testing.Short() {
		least = 1 // a fifth of the draws
	}
	if min(verdicts[stemma.Allow], verdicts[stemma.Deny], verdicts[stemma.Undetermined]) < least {
		t.Errorf("the generator does not reach all verdicts: %v", verdicts)
	}
}

// TestOrderOfFamily: the order of children, indexes and evidence, at every depth, is nothing.
func TestOrderOfFamily(t *testing.T) {
	sets := familyPolicies(t)
	for i := range familyRounds {
		t.Run(fmt.Sprint(i), rapid.MakeCheck(func(t *rapid.T) {
			set := sets[rapid.IntRange(0, len(sets)-1).Draw(t, "set")]
			e, situation := drawFamily(t)
			before := Evaluate(set, e, situation)
			want := encode(before)
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
			var mix func(*stemma.Evidence)
			mix = func(e *stemma.Evidence) {
				shuffle(r, e)
				r.Shuffle(len(e.Platforms), func(i, j int) { e.Platforms[i], e.Platforms[j] = e.Platforms[j], e.Platforms[i] })
				r.Shuffle(len(e.Indexes), func(i, j int) { e.Indexes[i], e.Indexes[j] = e.Indexes[j], e.Indexes[i] })
				for _, c := range e.Platforms {
					mix(c)
				}
			}
			mix(e)
			backwards := situation
			backwards.Platforms = slices.Clone(situation.Platforms)
			slices.Reverse(backwards.Platforms)
			if after := Evaluate(set, e, backwards); after.Verdict != before.Verdict || !bytes.Equal(encode(after.Findings), encode(before.Findings)) {
				t.Fatalf("another order of nodes, other findings:\n%s\n%s", render(before), render(after))
			}
			if got := encode(Evaluate(set, e, situation)); !bytes.Equal(got, want) {
				t.Fatalf("another order, another decision:\n%s\n%s", want, got)
			}
		}))
	}
}

// needed leaves of evidence what a look brings that is bounded by needs.
func needed(e *stemma.Evidence, n Needs, top bool) *stemma.Evidence {
	c := *e
	if !n.Unsigned {
		c.Unsigned = nil
	}
	if !n.Indexes {
		c.Indexes = nil
		c.Attestations = slices.DeleteFunc(slices.Clone(c.Attestations), func(a stemma.Attestation) bool { return top && a.Binding.Kind == stemma.BindingViaIndex })
	}
	c.Platforms = nil
	for _, child := range e.Platforms {
		p := child.Platform
		ofWanted := len(n.Platforms) == 0 || isIndex(child) || p == (stemma.Platform{}) || slices.ContainsFunc(n.Platforms, func(w stemma.Platform) bool { return w.Takes(p) })
		if n.Children && ofWanted {
			c.Platforms = append(c.Platforms, needed(child, n, false))
		}
	}
	return &c
}

// TestNeedsSuffice: what a set says that it does not need changes no outcome.
func TestNeedsSuffice(t *testing.T) {
	left := 0
	sets := familyPolicies(t)
	for i := range familyRounds {
		t.Run(fmt.Sprint(i), rapid.MakeCheck(func(t *rapid.T) {
			set := sets[rapid.IntRange(0, len(sets)-1).Draw(t, "set")]
			e, situation := drawFamily(t)
			e.Unsigned = []stemma.Unsigned{{Bundle: digest("u")}}
			less := needed(e, set.Needs(e.Image.Repository, situation), true)
			if DigestOf(less) != DigestOf(e) {
				left++
			}
			before, after := Evaluate(set, e, situation), Evaluate(set, less, situation)
			if before.Verdict != after.Verdict || before.Effect != after.Effect || before.Level != after.Level || before.Decided != after.Decided {
				t.Fatalf("what is not needed matters:\n%s\n%s", render(before), render(after))
			}
		}))
	}
	if left == 0 {
		t.Error("nothing was ever left out")
	}
	// A set of which no policy matches needs nothing, and refuses all the same.
	e := f0()
	e.Image.Repository = "ghcr.io/other/app"
	set := load(t, f0Policy)
	if d := Evaluate(set, needed(e, set.Needs(e.Image.Repository, now()), true), now()); d.Verdict != stemma.Deny {
		t.Errorf("%s", render(d))
	}
}

// BenchmarkEvaluateIndex judges an index of three platforms, each with F0's evidence.
func BenchmarkEvaluateIndex(b *testing.B) {
	set, e := load(b, platformsSet("all")+f0Policy), f0()
	index("linux/amd64", "linux/arm64", "windows/amd64:10.0.20348.2227")(e)
	b.ReportAllocs()
	for b.Loop() {
		if Evaluate(set, e, now()).Verdict != stemma.Allow {
			b.Fatal("not allowed")
		}
	}
}
