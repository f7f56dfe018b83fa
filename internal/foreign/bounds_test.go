package foreign

import (
	"fmt"
	"strings"
	"testing"
	"time"

	language "stemma/policy"
)

// Whatever is written to take long takes no longer than any other file of its size, and becomes a policy or an error.
func TestBounds(t *testing.T) {
	const head = "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: x}\nspec:\n  images: [{glob: 'GLOB'}]\n  authorities:\n"
	keyless := func(identities string) string {
		return strings.Replace(head, "GLOB", "a.example/x", 1) + "  - {keyless: {identities: [" + identities + "]}}\n"
	}
	globs := func(glob, more string) string {
		return strings.Replace(head, "{glob: 'GLOB'}", "{glob: '"+glob+"'}"+more, 1) + "  - {keyless: {identities: [{issuer: a, subject: b}]}}\n"
	}
	var many strings.Builder
	for i := range 600 {
		fmt.Fprintf(&many, "{issuer: 'https://i%d', subject: 's%d'}, ", i, i)
	}
	for name, c := range map[string]struct{ text, err string }{
		"identities":        {keyless(many.String()), "over 500 signers"},
		"one identity":      {keyless(strings.Repeat("{issuer: 'https://i', subject: 's'}, ", 25000)), ""},
		"alternatives":      {keyless(strings.Repeat("{issuerRegExp: '(a|b)(a|b)(a|b)(a|b)(a|b)', subjectRegExp: '(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)?'}, ", 8000)), "over 500 notes"},
		"many names":        {keyless("{issuerRegExp: '^(a|b)(a|b)(a|b)(a|b)(a|b)$', subjectRegExp: '^(a|b)(a|b)(a|b)(a|b)(a|b)$'}"), "over 500 signers"},
		"nested":            {keyless("{issuer: a, subjectRegExp: '" + strings.Repeat("(", 400) + "a" + strings.Repeat(")", 400) + "'}"), ""},
		"beginnings":        {strings.Replace(head, "GLOB", "a.example/x", 1) + "  - {key: {data: '" + strings.Repeat("-----BEGIN ", 60000) + "'}}\n", ""},
		"globs":             {globs("a.example/x*y**z", strings.Repeat(", {glob: 'a.example/x*y**z'}", 20000)), "over 200 policies"},
		"one glob":          {globs("a.example/*", strings.Repeat(", {glob: 'a.example/*'}", 20000)), ""},
		"components":        {globs(strings.Repeat("a/", 200000)+"*", ""), ""},
		"stars":             {globs(strings.Repeat("*a", 300)+"/x*", ""), ""},
		"stars of a host":   {globs(strings.Repeat("*a", 150)+"/x*", ""), ""},
		"several stars":     {globs("a.example/**/a/**/b/**/c/**/d/**/e*", ""), ""},
		"rules":             {"apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nspec:\n  rules: [" + strings.Repeat("{verifyImages: [{imageReferences: ['a']}]}, ", 20000) + "]\n", "over 200 policies"},
		"scopes":            {`{"default": [{"type": "reject"}], "transports": {"docker": {` + scopes(199) + "}}}", ""},
		"length of a scope": {`{"default": [{"type": "reject"}], "transports": {"docker": {"a.example/` + strings.Repeat("a/", 300) + `a": [{"type": "reject"}]}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			r, err := Import(File{Name: "p.yaml", Data: []byte(c.text)})
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%v", took)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("%.300v, want %s", err, c.err)
			}
			if err != nil {
				return
			}
			if _, err := language.Load(language.File{Name: "imported.yaml", Data: []byte(r.Policy)}); err != nil {
				t.Errorf("%.1000v", err)
			}
		})
	}
}
