package policy

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"stemma"
)

// FuzzLoad: whatever the bytes, there is an error with a place, or a set that does not allow an image without evidence.
func FuzzLoad(f *testing.F) {
	for _, text := range propertyPolicies() {
		f.Add([]byte(text))
	}
	names, _ := filepath.Glob("testdata/errors/*.txtar")
	for _, name := range names {
		if archive, err := txtar.ParseFile(name); err == nil {
			f.Add(archive.Files[0].Data)
		}
	}
	f.Add([]byte("\ufeffa: b\r\n"))
	f.Add([]byte("--- |\n\u0085\u2028x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := Load(File{Name: "policy.yaml", Data: data})
		if err != nil {
			if set != nil || !strings.HasPrefix(err.Error(), "policy.yaml:") {
				t.Errorf("%v beside %v", err, set)
			}
			return
		}
		repositories := []string{"", "ghcr.io/acme/app"}
		for _, p := range set.policies {
			for _, image := range p.spec.Match.Images {
				repositories = append(repositories, strings.NewReplacer("**", "x", "*", "x", "{", "", "}", "").Replace(string(image)))
			}
		}
		for _, repository := range repositories {
			e := none()
			e.Image.Repository = repository
			if d := Evaluate(set, e, now()); d.Verdict != stemma.Deny {
				t.Errorf("no evidence about %q is not denied:\n%s", repository, render(d))
			}
		}
		again, err := Load(File{Name: "policy.yaml", Data: data})
		if err != nil || again.Digest != set.Digest {
			t.Errorf("two digests of one text: %v", err)
		}
	})
}

// FuzzPattern compares with a reference that is slow and simple: components by recursion, '*' by recursion over
// characters, and no bound.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{
		{"ghcr.io/acme/*", "ghcr.io/acme/app"},
		{"**", "a"},
		{"a/**/b", "a/x/y/b"},
		{"{x}/{y**}", "a/b/c"},
		{"*a*b*", "xaxbx"},
		{"a*a", "a"},
		{"refs/tags/v*", "refs/tags/v1/2"},
		{"**/a", "a"},
		{"*", ""},
		{"é*", "éa"},
		{"a", "a\n"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if problem, _ := checkPattern(pattern); problem != "" || len(pattern) > 24 || len(name) > 24 {
			return
		}
		vars, got := Pattern(pattern).match(name, nil)
		clean := true
		for c := range strings.SplitSeq(name, "/") {
			clean = clean && !notCanonical(c)
		}
		if want := clean && slow(strings.Split(pattern, "/"), strings.Split(name, "/")); got != want && strings.ToValidUTF8(name, "") == name {
			t.Errorf("%q on %q: %v, want %v", pattern, name, got, want)
		}
		if !got {
			return
		}
		if strings.Count(pattern, "/") > strings.Count(name, "/") {
			t.Errorf("%q on %q: fewer components than the pattern has", pattern, name)
		}
		if !strings.Contains(pattern, "**") && strings.Count(pattern, "/") != strings.Count(name, "/") {
			t.Errorf("%q on %q: a '*' went over a '/'", pattern, name)
		}
		// What was bound, written into the pattern, matches again and is bound alike.
		expanded := Pattern(pattern).expand(vars)
		if _, ok := Pattern(pattern).match(name, vars); !ok {
			t.Errorf("%q on %q does not match with its own captures %v (%q)", pattern, name, vars, expanded)
		}
	})
}

func slow(pattern, name []string) bool {
	if len(pattern) == 0 || len(name) == 0 {
		return len(pattern) == len(name)
	}
	p := pattern[0]
	if p == "**" || strings.HasPrefix(p, "{") && strings.HasSuffix(p, "**}") {
		return slow(pattern[1:], name[1:]) || slow(pattern, name[1:])
	}
	return (strings.HasPrefix(p, "{") || slowPart(p, name[0])) && slow(pattern[1:], name[1:])
}

func slowPart(p, s string) bool {
	switch {
	case p == "":
		return s == ""
	case p[0] == '*':
		return slowPart(p[1:], s) || s != "" && slowPart(p, s[1:])
	}
	return s != "" && p[0] == s[0] && slowPart(p[1:], s[1:])
}

// FuzzEvaluate: whatever the evidence, nothing is allowed without an attestation about this digest by the identity that
// the policy names, of each platform where platforms are judged; and the decision is complete and the same a second time.
func FuzzEvaluate(f *testing.F) {
	seeds := []*stemma.Evidence{f0(), none(), crowd(), {}, made(index("linux/amd64", "linux/arm64"), attestations("unknown/unknown")), made(index("linux/amd64", "windows/amd64:10.0.20348.2227"), unread)}
	for _, kind := range []stemma.BindingKind{stemma.BindingViaIndex, stemma.BindingViaConfig, stemma.BindingViaManifest} {
		seeds = append(seeds, familyOf(kind, false))
	}
	for _, e := range seeds {
		f.Add(mustJSON(f, e))
	}
	names, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range names {
		if archive, err := txtar.ParseFile(name); err == nil {
			f.Add(archive.Files[1].Data)
		}
	}
	sets := map[string]*Set{}
	for _, mode := range []string{"index", "all", "nodes", "[linux/amd64]"} {
		sets[mode] = load(f, platformsSet(mode)+f0Policy)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e stemma.Evidence
		if json.Unmarshal(data, &e) != nil {
			return
		}
		for mode, set := range sets {
			for _, situation := range []stemma.Situation{now(), on("linux/amd64")} {
				d := Evaluate(set, &e, situation)
				if len(d.Findings) == 0 || d.Verdict == "" || d.Effect == "" || d.ID == "" {
					t.Fatalf("%s: incomplete: %+v", mode, d)
				}
				if (d.Effect == stemma.Admit) != (d.Verdict == stemma.Allow) {
					t.Errorf("%s: %s and %s", mode, d.Verdict, d.Effect)
				}
				if again := Evaluate(set, &e, situation); again.ID != d.ID {
					t.Errorf("%s: two decisions: %s and %s", mode, d.ID, again.ID)
				}
				if d.Verdict == stemma.Allow && !attested(&e, mode, situation) {
					t.Errorf("%s, %v: allowed without the builder:\n%s", mode, situation.Platforms, render(d))
				}
			}
		}
	})
}

// attested reports whether all that an Allow is about is attested by the builder of f0Policy. It knows nothing of how
// that is judged.
func attested(e *stemma.Evidence, mode string, situation stemma.Situation) bool {
	builder := func(e *stemma.Evidence, indexes []stemma.Digest) bool {
		return slices.ContainsFunc(e.Attestations, func(a stemma.Attestation) bool {
			bound := a.Binding.Member == e.Image.Digest && (a.Binding.Kind == stemma.BindingExact || a.Binding.Kind == stemma.BindingViaManifest) ||
				a.Binding.Kind == stemma.BindingViaIndex && slices.Contains(indexes, a.Binding.Member)
			return bound && a.Binding.Member != "" && a.Signer.Trust == PublicGood && a.Signer.Issuer == GitHubIssuer &&
				strings.HasPrefix(strings.ToLower(a.Signer.Subject), "https://github.com/trusted/builders/.github/workflows/build.yml@refs/tags/v1.")
		})
	}
	isIndex := strings.Contains(e.MediaType, "index") || strings.Contains(e.MediaType, "list") || len(e.Platforms) > 0
	if mode == "index" {
		listed := !isIndex || len(situation.Platforms) == 0 || strings.Contains(string(mustEncode(e.Platforms)), "64")
		return builder(e, e.Indexes) && listed
	}
	if !isIndex {
		return builder(e, nil)
	}
	seen := 0
	var walk func(e *stemma.Evidence) bool
	walk = func(e *stemma.Evidence) bool {
		for _, c := range e.Platforms {
			if c == nil {
				return false
			}
			if len(c.Platforms) > 0 || strings.Contains(c.MediaType, "index") || strings.Contains(c.MediaType, "list") {
				if !walk(c) {
					return false
				}
				continue
			}
			wanted := mode == "all" || mode == "nodes" && len(situation.Platforms) == 0 || c.Platform == stemma.Platform{OS: "linux", Architecture: "amd64"}
			if strings.EqualFold(c.Platform.OS, "unknown") || c.Attestation && c.Platform == (stemma.Platform{}) || !wanted {
				continue
			}
			if seen++; !builder(c, nil) {
				return false
			}
		}
		return true
	}
	// What is spelled otherwise than here is judged, too, so that there may be none of this spelling.
	return walk(e) && (seen > 0 || mode != "all")
}

func mustEncode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// BenchmarkEvaluate judges F0 by the policy that asks for everything it has.
func BenchmarkEvaluate(b *testing.B) {
	set, e := load(b, f0Policy), f0()
	b.ReportAllocs()
	for b.Loop() {
		if Evaluate(set, e, now()).Verdict != stemma.Allow {
			b.Fatal("not allowed")
		}
	}
}
