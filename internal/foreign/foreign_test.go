package foreign

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"stemma"
	language "stemma/policy"
)

var update = flag.Bool("update", false, "rewrite what is wanted")

// TestImport translates every archive in testdata. What comes out must be a policy.
func TestImport(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 12 {
		t.Fatalf("%d archives (%v)", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil || len(archive.Files) != 3 {
				t.Fatal(err)
			}
			r, err := Import(File{Name: archive.Files[0].Name, Data: archive.Files[0].Data})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := language.Load(language.File{Name: "imported.yaml", Data: []byte(r.Policy)}); err != nil {
				t.Errorf("it does not load: %v\n%s", err, r.Policy)
			}
			var notes strings.Builder
			for _, n := range r.Notes {
				notes.WriteString(string(n.Kind) + "  " + n.String() + "\n")
			}
			if *update {
				archive.Files[1].Data, archive.Files[2].Data = []byte(r.Policy), []byte(notes.String())
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), r.Policy); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if diff := cmp.Diff(string(archive.Files[2].Data), notes.String()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func scopes(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("\"a.example/%d\": [{\"type\": \"reject\"}]", i)
	}
	return strings.Join(all, ", ")
}

// What is no policy, or may be read in two ways, is an error.
func TestImportRefused(t *testing.T) {
	const cip = "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: x}\n"
	for _, c := range []struct{ text, want string }{
		{"", "no policy of"},
		{"apiVersion: v1\nkind: Pod\n", "another kind, v1 Pod"},
		{"a: [", "policy.yaml: yaml"},
		{cip + "spec: {mode: warn, mode: enforce}\n", `policy.yaml:4:20: "mode" stands twice`},
		{cip + "spec: &a {}\nother: *a\n", "an alias"},
		{cip + "spec: {<<: {mode: warn}}\n", "a key that is no plain name"},
		{cip + "spec: {mode: !!binary d2Fybg==}\n", "policy.yaml:4:14: a tag"},
		{cip + "spec: {mode: \xff}\n", "not valid UTF-8"},
		{"{\"default\": []}\n---\n{\"default\": []}\n", "policies of several verifiers"},
		{cip + "---\napiVersion: kyverno.io/v1\nkind: ClusterPolicy\n", "policies of several verifiers"},
		{cip + "spec: {images: []}\n", "no authority was carried over"},
		{"apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: x}\n", "no rule of it verifies images"},
		{cip + "spec:\n  images: [{glob: a.example/x}]\n  authorities:\n" + strings.Repeat("  - {x: 1}\n", 501), "over 500 notes"},
		{"{\"default\": [{\"type\": \"reject\"}], \"transports\": {\"docker\": {" + scopes(201) + "}}}", "over 200 scopes"},
		{cip + "spec: {? [a] : b}\n", "a key that is no plain name"},
		{cip + "spec: " + strings.Repeat("[", 60) + strings.Repeat("]", 60), "nested more than 40 deep"},
		{strings.Repeat("---\na: b\n", 300), "more than 256 documents"},
		{strings.Repeat("#", 2<<20), "over the limit"},
	} {
		if r, err := Import(File{Name: "policy.yaml", Data: []byte(c.text)}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v, %v, want %s", r, err, c.want)
		}
	}
	if _, err := Import(); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
}

// accepts reports whether the policies allow an image because somebody signed it.
func accepts(set *language.Set, image, issuer, subject string) bool {
	d := stemma.SHA256([]byte("image"))
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	claims := map[string]string{stemma.ClaimBuildSignerURI: subject, stemma.ClaimBuildConfigURI: subject, stemma.ClaimSourceOwnerID: "1"}
	e := &stemma.Evidence{
		Image: stemma.Image{Repository: image, Digest: d}, CollectedAt: at,
		Attestations: []stemma.Attestation{{
			Bundle: stemma.SHA256([]byte("bundle")), Format: "sigstore-bundle v0.3", Signature: true, SignedAt: []stemma.SignedTime{{Time: at}},
			Signer:  stemma.Identity{Trust: language.PublicGood, Issuer: issuer, Subject: subject, Claims: claims, Key: stemma.SHA256([]byte("key"))},
			Binding: stemma.Binding{Kind: stemma.BindingExact, Member: d},
		}},
	}
	return language.Evaluate(set, e, stemma.Situation{At: at}).Verdict == stemma.Allow
}

// Whoever an imported policy accepts, the expression that it came from accepts, too.
func TestNeverLooser(t *testing.T) {
	tried := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
		github := rapid.Bool().Draw(t, "GitHub")
		issuer, host := gitlabIssuer, "https://gitlab.com/"
		if github {
			issuer, host = githubIssuer, "https://github.com/"
		}
		piece := func(name string, plain ...string) (expression, instance string) {
			value := rapid.SampledFrom(plain).Draw(t, name)
			switch pick(name+" as", "itself", "itself", "any", "some", "component", "named", "group", "nested", "part", "class", "optional", "fold", "anchor", "one") {
			case "any":
				return ".*", value
			case "some":
				return ".+", value
			case "component":
				return "[^/]*", value
			case "named":
				return "[^/]+", value
			case "group":
				return "(" + regexp.QuoteMeta(value) + "|other)", value
			case "nested":
				return "((?:" + regexp.QuoteMeta(value) + ")|(x|(?:y|" + regexp.QuoteMeta(value[1:]) + ")))", value
			case "fold":
				return "(?i:" + strings.ToUpper(regexp.QuoteMeta(value)) + ")", value
			case "anchor":
				return pick("anchor", "(^|x)", "($|x)?", "(?:^)?", "($|"+regexp.QuoteMeta(value)+")") + regexp.QuoteMeta(value), value
			case "one":
				return "[" + value[:1] + "xX.]" + regexp.QuoteMeta(value[1:]), value
			case "part":
				return regexp.QuoteMeta(value[:1]) + pick("part", ".*", ".+", "[^/]*", "[^/]+"), value
			case "class":
				return "[a-z./]+", value
			case "optional":
				return regexp.QuoteMeta(value) + "?", value
			}
			return pick("dots", regexp.QuoteMeta(value), value), value
		}
		var expression, subject string
		add := func(e, s string) { expression, subject = expression+e, subject+s }
		add(pick("start", "^", "", ".*")+pick("host", host, regexp.QuoteMeta(host)), host)
		add(piece("owner", "acme", "acme-x"))
		add("/", "/")
		add(piece("repository", "app", "web", "a/b"))
		if github {
			add("/"+pick("dir", ".github", `\.github`)+"/workflows/", "/.github/workflows/")
		} else {
			add("//", "//")
		}
		add(piece("file", "x.yml", "y.yml"))
		add("@", "@")
		add(piece("ref", "refs/heads/main", "refs/tags/v1", "refs/heads/a/b"))
		add(pick("end", "$", ""), "")
		r, err := Import(File{Name: "p.yaml", Data: []byte("apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: x}\nspec:\n  images: [{glob: ghcr.io/acme/app}]\n" +
			"  authorities: [{keyless: {identities: [{issuer: \"" + issuer + "\", subjectRegExp: " + quoted(expression) + "}]}}]\n")})
		if err != nil {
			t.Fatal(err)
		}
		set, err := language.Load(language.File{Name: "imported.yaml", Data: []byte(r.Policy)})
		if err != nil {
			t.Fatalf("%v\n%s", err, r.Policy)
		}
		// The subject that it is about, and ones like it.
		for _, other := range []string{
			subject, strings.Replace(subject, "acme", "evil", 1), strings.Replace(subject, "main", "main2", 1), strings.Replace(subject, "app", "ap", 1),
			strings.Replace(subject, ".yml", "Xyml", 1), strings.Replace(subject, ".github/", "Xgithub/", 1), subject + "x", strings.Replace(subject, "refs/heads/", "refs/tags/", 1),
			strings.Replace(subject, "refs/tags/v1", "refs/tags/v", 1), strings.Replace(subject, "x.yml", ".yml", 1), strings.Replace(subject, "x.yml", "x", 1),
		} {
			ok := accepts(set, "ghcr.io/acme/app", issuer, other)
			tried[ok]++
			if ok && !regexp.MustCompile(expression).MatchString(other) {
				t.Fatalf("%s does not accept %s, and this does\n%s", expression, other, r.Policy)
			}
			if accepts(set, "ghcr.io/acme/app", "https://evil.example", other) {
				t.Fatalf("of another issuer, %s\n%s", other, r.Policy)
			}
		}
	})
	if !testing.Short() && (tried[true] < 10 || tried[false] < 100) { // a short run draws too little to tell
		t.Errorf("%v: too few of either", tried)
	}
}

// Whatever is read, what is written is a policy, and admits nothing that nobody signed.
func FuzzImport(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range names {
		if archive, err := txtar.ParseFile(name); err == nil {
			f.Add(archive.Files[0].Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Import(File{Name: "policy.yaml", Data: data})
		if err != nil {
			return
		}
		set, err := language.Load(language.File{Name: "imported.yaml", Data: []byte(r.Policy)})
		if err != nil {
			t.Fatalf("it does not load: %v\n%s", err, r.Policy)
		}
		e := &stemma.Evidence{Image: stemma.Image{Repository: "ghcr.io/acme/app", Digest: stemma.SHA256([]byte("x"))}, CollectedAt: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
		if d := language.Evaluate(set, e, stemma.Situation{At: e.CollectedAt}); d.Verdict == stemma.Allow {
			t.Fatalf("allowed\n%s", r.Policy)
		}
	})
}
