package foreign

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	language "stemma/policy"
)

const (
	google = "https://accounts.google.com"
	strict = "strict@acme.example"
	weak   = "weak@acme.example"
)

// cip is a ClusterImagePolicy by one signer.
func cip(name, glob, signer string) string {
	return fmt.Sprintf("apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: %s}\nspec:\n  images: [{glob: %q}]\n"+
		"  authorities: [{keyless: {identities: [{issuer: %q, subject: %s}]}}]\n", name, glob, google, signer)
}

// kyvernoPolicy is a ClusterPolicy with one rule.
func kyvernoPolicy(name, images, signer string) string {
	return fmt.Sprintf("apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: %s}\nspec:\n  validationFailureAction: Enforce\n  rules:\n  - name: r\n    verifyImages:\n"+
		"    - {%s, mutateDigest: false, verifyDigest: false, attestors: [{entries: [{keyless: {issuer: %q, subject: %s}}]}]}\n", name, images, google, signer)
}

func imported(t interface{ Fatalf(string, ...any) }, documents ...string) *language.Set {
	r, err := Import(File{Name: "p.yaml", Data: []byte(strings.Join(documents, "---\n"))})
	if err != nil {
		t.Fatalf("%v\n%s", err, documents)
	}
	set, err := language.Load(language.File{Name: "imported.yaml", Data: []byte(r.Policy)})
	if err != nil {
		t.Fatalf("%v\n%s", err, r.Policy)
	}
	return set
}

// forms are the ways in which an image of a repository is asked for.
func forms(image string) []string {
	return []string{image + ":v1", image + "@sha256:" + strings.Repeat("0a", 32), image + ":latest"}
}

// wildcard is an expression for a glob: what its stars stand for.
func wildcard(glob, two, one, query string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(glob)
	quoted = strings.ReplaceAll(quoted, `\*\*`, "\x00")
	quoted = strings.ReplaceAll(quoted, `\*`, one)
	quoted = strings.ReplaceAll(quoted, `\?`, query)
	return regexp.MustCompile("^" + strings.ReplaceAll(quoted, "\x00", two) + "$")
}

func draw(t *rapid.T) (glob, image string) {
	pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
	host := pick("host", "ghcr.io", "docker.io", "r.example:5000")
	image = host + "/" + pick("owner", "acme", "library", "acme/team") + "/" + pick("name", "app", "ap", "web")
	var parts []string
	for _, c := range strings.Split(image, "/") {
		switch pick("as", "itself", "itself", "itself", "star", "two", "start", "starts", "end", "query", "none", "upper") {
		case "star":
			c = "*"
		case "two":
			c = "**"
		case "start":
			c = c[:1] + "*"
		case "starts":
			c = c[:1] + "**"
		case "end":
			c = "*" + c[1:]
		case "query":
			c = c[:1] + "?" + c[2:]
		case "upper":
			c = strings.ToUpper(c)
		case "none":
			continue
		}
		parts = append(parts, c)
	}
	return strings.Join(parts, "/") + pick("tag", "", "", "", ":*", ":**", ":v1", ":v*", "*", "**", ":?1"), image
}

// A policy that policy-controller has for fewer images admits no others, and one for some images leaves none of them to
// the policies of others.
func TestGlobsNeverLooser(t *testing.T) {
	tried := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		glob, image := draw(t)
		if strings.Contains(glob, "?") || glob == "" {
			return // no glob
		}
		if glob == "*" {
			glob = "index.docker.io/library/*"
		} else if glob == "*/*" {
			glob = "index.docker.io/*/*"
		}
		means := wildcard(glob, ".*", "[^/]*", "[?]")
		about := func(form string) bool {
			return means.MatchString(form) || means.MatchString(strings.Replace(form, "docker.io/", "index.docker.io/", 1)) ||
				means.MatchString(strings.Replace(form, "docker.io/library/", "docker.io/", 1)) || means.MatchString(strings.Replace(form, "docker.io/library/", "index.docker.io/", 1)) ||
				means.MatchString(strings.TrimPrefix(form, "docker.io/")) || means.MatchString(strings.TrimPrefix(form, "docker.io/library/"))
		}
		one := imported(t, cip("narrow", glob, strict), cip("other", "nothing.example/x", weak))
		if accepts(one, image, google, strict) {
			tried["accepted"]++
			// A glob without a tag is about the repository.
			if !about(image) && !about(forms(image)[0]) && !about(forms(image)[1]) {
				t.Fatalf("%s is not about %s", glob, image)
			}
		}
		both := imported(t, cip("narrow", glob, strict), cip("wide", "**", weak))
		if !accepts(both, image, google, weak) {
			tried["refused"]++
			return
		}
		for _, form := range forms(image) {
			if about(form) {
				t.Fatalf("%s is about %s, which is left to another policy", glob, form)
			}
		}
	})
	if !testing.Short() && (tried["accepted"] < 5 || tried["refused"] < 20) { // a short run draws too little to tell
		t.Errorf("%v: too few of either", tried)
	}
}

// A rule of Kyverno that is about some images leaves none of them to others, and is skipped by no more than it was.
func TestReferencesNeverLooser(t *testing.T) {
	tried := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		glob, image := draw(t)
		if glob == "" {
			return
		}
		means := wildcard(glob, ".*", ".*", ".")
		wide := kyvernoPolicy("wide", `imageReferences: ["*"]`, weak)
		both := imported(t, kyvernoPolicy("narrow", fmt.Sprintf("imageReferences: [%q]", glob), strict), wide)
		left := accepts(both, image, google, weak)
		leaves := means
		if rapid.Bool().Draw(t, "stem") {
			glob = image[:rapid.IntRange(1, len(image)).Draw(t, "of")] + rapid.SampledFrom([]string{"*", ":*", "/*", ""}).Draw(t, "end")
			means = wildcard(glob, ".*", ".*", ".")
		}
		skips := imported(t, kyvernoPolicy("narrow", fmt.Sprintf(`imageReferences: ["*"], skipImageReferences: [%q]`, glob), strict), wide)
		skipped := accepts(skips, image, google, weak)
		for _, form := range forms(image) {
			form = strings.Replace(form, "docker.io/library/", "docker.io/", rapid.IntRange(0, 1).Draw(t, "short"))
			if left && leaves.MatchString(form) {
				t.Fatalf("%s is about %s, which is left to another policy", glob, form)
			}
			if skipped && !means.MatchString(form) {
				t.Fatalf("%s does not skip %s", glob, form)
			}
		}
		tried[fmt.Sprint("left ", left)]++
		tried[fmt.Sprint("skipped ", skipped)]++
	})
	if tried["left false"] == 0 || tried["skipped false"] == 0 {
		t.Errorf("%v: some did not happen", tried)
	}
}

// What images become, of each verifier's wildcards.
func TestImages(t *testing.T) {
	for _, c := range []struct{ glob, controller, kyverno, skipped string }{
		{"ghcr.io/acme/*", "ghcr.io/acme/*", "ghcr.io/acme/**", "ghcr.io/acme/**"},
		{"ghcr.io/acme/**", "ghcr.io/acme/**", "~ghcr.io/acme/**", ""},
		{"ghcr.io/acme/app*", "ghcr.io/acme/app*", "ghcr.io/acme/app* ghcr.io/acme/app*/**", "ghcr.io/acme/app* ghcr.io/acme/app*/**"},
		{"ghcr.io/acme/app**", "ghcr.io/acme/app* ghcr.io/acme/app*/**", "~ghcr.io/acme/**", ""},
		{"ghcr.io/*/app*", "ghcr.io/*/app*", "~ghcr.io/**", ""},
		{"ghcr.io/**/app*", "ghcr.io/**/app*", "~ghcr.io/**", ""},
		{"ghcr.io/acme/app:*", "ghcr.io/acme/app", "ghcr.io/acme/app", ""},
		{"ghcr.io/acme/app", "ghcr.io/acme/app", "ghcr.io/acme/app", ""},
		{"ghcr.io/acme/app:v1", "!ghcr.io/acme/app", "ghcr.io/acme/app", ""},
		{"ghcr.io/acme/app:v*", "!ghcr.io/acme/app", "~ghcr.io/acme/app", ""},
		{"ghcr.io/acme/a**p", "!ghcr.io/acme/**", "~ghcr.io/acme/**", ""},
		{"ghcr.io/Acme/*", "!ghcr.io/**", "~ghcr.io/**", ""},
		{"r.example:5000/*", "r.example:5000/*", "r.example:5000/**", "r.example:5000/**"},
		{"**", "**", "~**", ""},
		{"*", "docker.io/library/*", "**", "**"},
		{"*/*", "docker.io/*/*", "**", "**"},
		{"nginx", "docker.io/library/nginx", "docker.io/library/nginx", ""},
		{"index.docker.io/library/nginx*", "docker.io/library/nginx*", "docker.io/library/nginx* docker.io/library/nginx*/**", ""},
		{"docker.io/*", "docker.io/* docker.io/library/*", "docker.io/**", "docker.io/**"},
		{"*.example.com/**", "*.example.com/**", "~**", ""},
		{"{{ image }}", "!**", "~**", ""},
	} {
		fresh := func() part {
			t := &translation{keys: map[string]*key{}}
			p := part{t: t, file: "p.yaml", node: &yaml.Node{Kind: yaml.ScalarNode, Value: c.glob}}
			return t.policy(p, "x", "x")
		}
		p := fresh()
		patterns, ok := p.controllerGlob(c.glob)
		if got := strings.Join(patterns, " "); !ok {
			if got = "!" + strings.Join(wider(c.glob, "*"), " "); got != c.controller {
				t.Errorf("%s: %s, want %s", c.glob, got, c.controller)
			}
		} else if got != c.controller {
			t.Errorf("%s: %s, want %s", c.glob, got, c.controller)
		}
		p = fresh()
		p.kyvernoImages()
		got := strings.Join(p.in.images, " ")
		if len(p.t.notes) > 0 {
			got = "~" + got
		}
		if got != c.kyverno {
			t.Errorf("Kyverno, %s: %s, want %s", c.glob, got, c.kyverno)
		}
		p = fresh()
		p.skipped()
		if got := strings.Join(p.in.except, " "); got != c.skipped {
			t.Errorf("skipping %s: %s, want %s", c.glob, got, c.skipped)
		}
	}
}

// What would admit more than the original is refused, beside the same without it.
func TestConditionsRefuse(t *testing.T) {
	authority := func(more string) string {
		return strings.Replace(cip("x", "ghcr.io/acme/app", strict), "[{keyless:", "[{"+more+" keyless:", 1)
	}
	identity := func(fields string) string {
		return strings.Replace(cip("x", "ghcr.io/acme/app", strict), "subject: "+strict, fields, 1)
	}
	rule := func(spec, entry string) string {
		s := kyvernoPolicy("x", `imageReferences: ["ghcr.io/acme/app*"]`+entry, strict)
		return strings.Replace(s, "  rules:", spec+"  rules:", 1)
	}
	for _, c := range []struct {
		name, good, bad string
		note            string // that the second has
	}{
		{"timestamps", authority(""), authority("rfc3161timestamp: {trustRootRef: x},"), "lost  p.yaml:6:36: spec.authorities[0].rfc3161timestamp"},
		{"another log", authority("ctlog: {url: https://rekor.sigstore.dev},"), authority("ctlog: {url: https://rekor.acme.example},"), "another transparency log"},
		{"labels", cip("x", "ghcr.io/acme/app", strict) + "  match: [{resource: pods}]\n", cip("x", "ghcr.io/acme/app", strict) + "  match: [{resource: pods, selector: {matchLabels: {a: b}}}]\n", "resources by their labels"},
		{"both forms", identity("subjectRegExp: " + strict), identity("subject: " + strict + ", subjectRegExp: x"), "both subject and subjectRegExp"},
		{"private rune", identity(`subjectRegExp: "strict\\x40acme.example"`), identity(`subjectRegExp: "\\x{E000}"`), "characters that are not printed"},
		{"private rune, exact", identity(`subject: "strict@acme.example"`), identity(`subject: "\uE000"`), "characters that are not printed"},
		{"long", identity("subject: " + strict), identity("subject: " + strings.Repeat("a", 1001)), "very many"},
		{"unknown field of a policy", cip("x", "ghcr.io/acme/app", strict), cip("x", "ghcr.io/acme/app", strict) + "other: 1\n", "lost  p.yaml:7:8: other: this field is not known"},
		{"tag", cip("x", "ghcr.io/acme/app:*", strict), cip("x", "ghcr.io/acme/app:v1", strict), "images of ghcr.io/acme/app are refused"},
		{"official images", cip("x", "**", strict), cip("x", "*", strict), "Docker Hub alone"},
		{"unknown field of a spec", rule("", ""), rule("  newField: 1\n", ""), "lost  p.yaml:6:13: spec.newField"},
		{"unknown field of a rule", rule("", ""), strings.Replace(rule("", ""), "name: r", "name: r\n    newField: 1", 1), "lost  p.yaml:8:15: spec.rules[0].newField"},
		{"hash", rule("", ""), strings.Replace(rule("", ""), "entries: [{", "entries: [{signatureAlgorithm: sha512, ", 1), "signatures with sha512"},
		{"log of certificates", rule("", ""), strings.Replace(rule("", ""), "keyless: {", "keyless: {ctlog: {pubkey: x}, ", 1), "another log of certificates"},
		{"count", strings.Replace(rule("", ""), "[{entries", "[{count: 1, entries", 1), strings.Replace(rule("", ""), "[{entries", "[{count: 1x, entries", 1), "a count that is none"},
		{"nobody", rule("", ""), strings.Replace(rule("", ""), "attestors: [", "attestors: [{entries: []}, ", 1), "a list of nobody"},
		{"annotations", rule("", ""), strings.Replace(rule("", ""), "entries: [{", "entries: [{annotations: {a: b}, ", 1), "annotations of signatures"},
		{"two kinds", cip("x", "ghcr.io/acme/app", strict), strings.Replace(cip("x", "ghcr.io/acme/app", strict), "[{keyless", "[{key: {kms: x}, keyless", 1), "an authority of several kinds"},
		{"digests", rule("", ""), strings.Replace(rule("", ""), ", verifyDigest: false", "", 1), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if set := imported(t, c.good); !accepts(set, "ghcr.io/acme/app", google, strict) {
				t.Fatalf("refused\n%s", c.good)
			}
			r, err := Import(File{Name: "p.yaml", Data: []byte(c.bad)})
			if err != nil {
				t.Fatal(err)
			}
			if c.note == "" {
				if !strings.Contains(r.Policy, "tags: refuse") {
					t.Errorf("tags are not refused\n%s", r.Policy)
				}
				return
			}
			if accepts(imported(t, c.bad), "ghcr.io/acme/app", google, strict) {
				t.Errorf("accepted\n%s", r.Policy)
			}
			var notes strings.Builder
			for _, n := range r.Notes {
				notes.WriteString(string(n.Kind) + "  " + n.String() + "\n")
			}
			if !strings.Contains(notes.String(), c.note) {
				t.Errorf("%s\nwant %s", notes.String(), c.note)
			}
		})
	}
}

// A failure is audited only where Kyverno audits it.
func TestActions(t *testing.T) {
	const overridden = "  validationFailureActionOverrides: [{action: %s, namespaces: [prod]}]\n"
	for _, c := range []struct {
		action, more, entry string
		audits              bool
	}{
		{"Audit", "", "", true},
		{"audit", "", "", true},
		{"", "", "", true},
		{"Enforce", "", "", false},
		{"other", "", "", false},
		{"Audit", fmt.Sprintf(overridden, "Audit"), "", true},
		{"Audit", fmt.Sprintf(overridden, "Enforce"), "", false},
		{"Audit", "", ", failureAction: Enforce", false},
		{"Enforce", "", ", failureAction: Audit", true},
		{"Audit", "", ", failureActionOverrides: [{action: Enforce, namespaces: [prod]}]", false},
	} {
		s := strings.Replace(kyvernoPolicy("x", `imageReferences: ["*"]`+c.entry, strict), "  validationFailureAction: Enforce\n", "", 1)
		if c.action != "" {
			c.more = "  validationFailureAction: " + c.action + "\n" + c.more
		}
		r, err := Import(File{Name: "p.yaml", Data: []byte(strings.Replace(s, "  rules:", c.more+"  rules:", 1))})
		if err != nil || strings.Contains(r.Policy, "mode: audit") != c.audits {
			t.Errorf("%+v: %v\n%+v", c, err, r)
		}
	}
}

// Of several keys in one field another reader may take another one.
func TestOneKey(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/cip-keys.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, key := range regexp.MustCompile(`(?s)-----BEGIN.*?END PUBLIC KEY-----`).FindAllString(string(archive.Files[0].Data), 2) {
		keys = append(keys, strings.ReplaceAll(key, "          ", "")+"\n")
	}
	for text, lost := range map[string]int{keys[0]: 0, keys[0] + keys[1]: 1} {
		s := `{"default": [{"type": "sigstoreSigned", "signedIdentity": {"type": "matchRepository"}, "keyData": "` + base64.StdEncoding.EncodeToString([]byte(text)) + `"}]}`
		r, err := Import(File{Name: "policy.json", Data: []byte(s)})
		if err != nil || r.Count(Lost) != lost || strings.Contains(r.Policy, "never") != (lost > 0) {
			t.Errorf("%v, %+v", err, r)
		}
	}
}

// Expressions that are understood only in part of their form are not understood.
func TestValidations(t *testing.T) {
	const usual = "images.containers.map(image, verifyImageSignatures(image, [attestors.a])).all(e, e > 0)"
	for expression, ok := range map[string]bool{
		usual: true,
		"images.containers.size() > 1 && " + usual:                                    false,
		"images.containers.filter(i, true).map" + strings.SplitN(usual, ".map", 2)[1]: false,
		usual + " && false":                                     false,
		strings.Replace(usual, "e > 0", "e > 1", 1):             false,
		strings.Replace(usual, ".all(", ".exists(", 1):          false,
		strings.Replace(usual, "attestors.a", "attestors.b", 1): false,
		"!" + usual: false,
	} {
		s := "apiVersion: policies.kyverno.io/v1\nkind: ImageValidatingPolicy\nmetadata: {name: x}\nspec:\n  matchImageReferences: [{glob: \"*\"}]\n" +
			"  attestors: [{name: a, cosign: {keyless: {identities: [{issuer: " + google + ", subject: " + strict + "}]}}}]\n  validations: [{expression: \"" + expression + "\"}]\n"
		if got := accepts(imported(t, s), "ghcr.io/acme/app", google, strict); got != ok {
			t.Errorf("%s: %t", expression, got)
		}
	}
}
