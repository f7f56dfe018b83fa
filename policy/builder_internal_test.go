package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stemma"
)

const (
	ownType  = "https://ci.acme.example/attestation/v1"
	ownBuild = "https://ci.acme.example/build/v1"
	ownID    = "https://ci.acme.example/builder"
)

// ownPolicy asks for provenance of a predicate type of one's own, by a key.
const ownPolicy = keySet + `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: own}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  builders:
    ci:
      trust: chains
      keys: [chains-2026]
      id: ` + ownID + `
      internal: {type: ` + ownType + `, id: /by, repository: /run/repository, commit: /run/commit, ref: /run/ref, run: /run/url, trigger: /run/event}
  provenance: {by: [ci]}
  source: {repository: "git.acme.example/acme/{service}", refs: ["refs/tags/v*"], saidBy: builder}
`

const ownPredicate = `{"by": "` + ownID + `", "run": {"repository": "https://git.acme.example/acme/app.git", "commit": "` + commitOfSource + `",
	"ref": "refs/tags/v2.0.0", "url": "https://ci.acme.example/runs/7", "event": "push"}}`

// own is evidence of a predicate of one's own, as it is collected: who signed, and what the certificate says.
func own(name string, signer stemma.Identity, predicate string, claims map[stemma.Field]stemma.Claim) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		a := attest(name, signer)
		a.Statement.PredicateType, a.Statement.Predicate = ownType, json.RawMessage(predicate)
		e.Attestations = append(e.Attestations, a)
		e.Other = append(e.Other, stemma.Provenance{Bundle: a.Bundle, Author: author(signer), Claims: claims})
	}
}

func owned(t testing.TB, policy, predicate string) *stemma.Decision {
	t.Helper()
	return evaluate(t, policy, nothing, own("own", keySigner("chains", "chains-2026"), predicate, nil))
}

func TestInternalPointers(t *testing.T) {
	const absent = ""
	deep := strings.Repeat(`{"a":`, 60) + `"deep"` + strings.Repeat("}", 60)
	for _, c := range []struct{ name, predicate, pointer, want string }{
		{"member", `{"a": {"b": "x"}}`, "/a/b", "x"},
		{"no such member", `{"a": {"b": "x"}}`, "/a/c", absent},
		{"another case", `{"a": {"B": "x"}}`, "/a/b", absent},
		{"member of text", `{"a": "x"}`, "/a/b", absent},
		{"escaped slash", `{"a/b": "x", "a": {"b": "y"}}`, "/a~1b", "x"},
		{"escaped tilde", `{"a~b": "x"}`, "/a~0b", "x"},
		{"escaped escape", `{"~1": "x", "/": "y"}`, "/~01", "x"},
		{"member without a name", `{"": "x"}`, "/", "x"},
		{"member without a name below", `{"a": {"": "x"}}`, "/a/", "x"},
		{"escape of JSON", `{"\u0061": "\u0078"}`, "/a", "x"},
		{"percent is no escape", `{"a b": "x"}`, "/a%20b", absent},
		{"element", `{"a": ["x", "y"]}`, "/a/1", "y"},
		{"first element", `{"a": ["x", "y"]}`, "/a/0", "x"},
		{"behind the last", `{"a": ["x", "y"]}`, "/a/2", absent},
		{"leading zero", `{"a": ["x", "y"]}`, "/a/01", absent},
		{"sign", `{"a": ["x", "y"]}`, "/a/+1", absent},
		{"negative", `{"a": ["x", "y"]}`, "/a/-1", absent},
		{"RFC 6901 -, the element that is none", `{"a": ["x", "y"]}`, "/a/-", absent},
		{"a member named -", `{"a": {"-": "x"}}`, "/a/-", "x"},
		{"a member named 01", `{"a": {"01": "x"}}`, "/a/01", "x"},
		{"whole predicate", `"x"`, "/x", absent},
		{"empty text", `{"a": ""}`, "/a", absent},
		{"null", `{"a": null}`, "/a", absent},
		{"number", `{"a": 7}`, "/a", absent},
		{"boolean", `{"a": true}`, "/a", absent},
		{"object", `{"a": {"value": "x"}}`, "/a", absent},
		{"list of one", `{"a": ["x"]}`, "/a", absent},
		{"deep", deep, strings.Repeat("/a", 60), "deep"},
		// What two readers could understand differently says nothing at all.
		{"twice", `{"a": "x", "a": "y"}`, "/a", absent},
		{"twice elsewhere", `{"a": "x", "b": {"c": 1, "c": 2}}`, "/a", absent},
		{"twice by escape", `{"a": "x", "\u0061": "y"}`, "/a", absent},
		{"bytes behind", `{"a": "x"} {}`, "/a", absent},
		{"cut short", `{"a": "x"`, "/a", absent},
		{"too deep", strings.Repeat(`{"a":`, 70) + `"deep"` + strings.Repeat("}", 70), "/a", absent},
		{"nothing", ``, "/a", absent},
		{"lone surrogate", `{"a": "\ud800"}`, "/a", absent},
		{"control character", `{"a": "x\ny"}`, "/a", absent},
		{"characters that turn around", `{"a": "x\u202ey"}`, "/a", absent},
		{"replacement character", `{"a": "x\ufffd"}`, "/a", absent},
		{"longest", `{"a": "` + strings.Repeat("x", 2048) + `"}`, "/a", strings.Repeat("x", 2048)},
		{"too long", `{"a": "` + strings.Repeat("x", 2049) + `"}`, "/a", absent},
		{"much too long", `{"a": "` + strings.Repeat("x", 1<<20) + `"}`, "/a", absent},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &stemma.Attestation{Statement: stemma.Statement{PredicateType: ownType, Predicate: json.RawMessage(c.predicate)}}
			p := &stemma.Provenance{Author: stemma.SaidByBuilder}
			got, away := Internal{Type: ownType, Trigger: c.pointer}.view(a, p)
			if away.reason != "" {
				t.Fatalf("%+v", away)
			}
			want := map[stemma.Field]stemma.Claim{}
			if c.want != absent {
				want[stemma.FieldTrigger] = said(c.want, stemma.SaidByBuilder, c.pointer)
			}
			if diff := cmp.Diff(want, got.Claims, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if noted := len(got.Notes) > 0; noted == (c.want != absent) {
				t.Errorf("notes %q", got.Notes)
			}
		})
	}
}

func TestInternalValues(t *testing.T) {
	other := strings.Repeat("ab", 32)
	for _, c := range []struct {
		field       stemma.Field
		value, want string
	}{
		{stemma.FieldBuilder, `"` + ownID + `"`, ownID},
		{stemma.FieldBuilder, `7`, ""},
		{stemma.FieldRepository, `"https://git.acme.example/acme/app.git"`, "git.acme.example/acme/app"},
		{stemma.FieldRepository, `"git@GitHub.com:Acme/App.git"`, "github.com/acme/app"},
		{stemma.FieldRepository, `"git+https://git.acme.example/acme/app@refs/heads/main"`, "git.acme.example/acme/app"},
		{stemma.FieldRepository, `"https://git.acme.example/acme/../evil/app"`, ""},
		{stemma.FieldRepository, `"https://git.acme.example%2facme@evil.example/acme/app"`, ""},
		{stemma.FieldRepository, `"acme"`, ""},
		{stemma.FieldRepository, `["https://git.acme.example/acme/app"]`, ""},
		{stemma.FieldCommit, `"` + commitOfSource + `"`, commitOfSource},
		{stemma.FieldCommit, `"` + other + `"`, other},
		{stemma.FieldCommit, `"` + strings.ToUpper(other) + `"`, ""},
		{stemma.FieldCommit, `"c0ffee0"`, ""},
		{stemma.FieldCommit, `"main"`, ""},
		{stemma.FieldCommit, `1234567890123456789012345678901234567890`, ""},
		{stemma.FieldRef, `"refs/tags/v1"`, "refs/tags/v1"},
		{stemma.FieldRef, `"v1"`, "v1"}, // whether it is a branch or a tag is not told
		{stemma.FieldRef, `"refs/tags/../heads/main"`, ""},
		{stemma.FieldRef, `"refs/tags/v1 "`, ""},
		{stemma.FieldRef, `1`, ""},
		{stemma.FieldRun, `"https://ci.acme.example/runs/7"`, "https://ci.acme.example/runs/7"},
		{stemma.FieldRun, `7`, "7"},
		{stemma.FieldRun, `9007199254740993`, "9007199254740993"}, // no number of a float64
		{stemma.FieldRun, `-7`, ""},
		{stemma.FieldRun, `7.0`, ""},
		{stemma.FieldRun, `7e0`, ""},
		{stemma.FieldRun, strings.Repeat("7", 2049), ""},
		{stemma.FieldRun, `true`, ""},
		{stemma.FieldTrigger, `"push"`, "push"},
		{stemma.FieldTrigger, `1`, ""},
	} {
		t.Run(string(c.field)+" "+c.value[:min(40, len(c.value))], func(t *testing.T) {
			a := &stemma.Attestation{Statement: stemma.Statement{PredicateType: ownType, Predicate: json.RawMessage(`{"x": [` + c.value + `]}`)}}
			i := mapping(c.field, "/x/0")
			i.Type = ownType
			got, _ := i.view(a, &stemma.Provenance{Author: stemma.SaidByTenant})
			claim := stemma.Claim{}
			if c.want != "" {
				claim = said(c.want, stemma.SaidByTenant, "/x/0")
			}
			if diff := cmp.Diff(claim, got.Claims[c.field], cmpopts.EquateEmpty()); diff != "" || len(got.Claims) > 1 {
				t.Errorf("-want +got\n%s%v", diff, got.Claims)
			}
			// What is written there and is no value is no leave to believe what stands elsewhere.
			told := &stemma.Provenance{Claims: map[stemma.Field]stemma.Claim{c.field: said("elsewhere", stemma.SaidByBuilder, "/elsewhere", bySelf("or here", "/here"))}, Author: stemma.SaidByTenant}
			got, _ = i.view(a, told)
			if diff := cmp.Diff(claim, got.Claims[c.field], cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("with another saying of the body, -want +got\n%s", diff)
			}
		})
	}
}

// mapping is an internal builder with one pointer.
func mapping(f stemma.Field, pointer string) Internal {
	return map[stemma.Field]Internal{
		stemma.FieldBuilder: {ID: pointer}, stemma.FieldRepository: {Repository: pointer}, stemma.FieldCommit: {Commit: pointer},
		stemma.FieldRef: {Ref: pointer}, stemma.FieldRun: {Run: pointer}, stemma.FieldTrigger: {Trigger: pointer},
	}[f]
}

// What the certificate says stays first; another spelling of it is the same, and everything else contradicts it.
func TestInternalCertificate(t *testing.T) {
	const run = "https://github.com/acme/app/actions/runs/42"
	for _, c := range []struct {
		field              stemma.Field
		certificate, value string
		same               bool
	}{
		{stemma.FieldRepository, "github.com/acme/app", `"https://github.com/Acme/App.git"`, true},
		{stemma.FieldRepository, "github.com/acme/app", `"https://github.com/acme/app2"`, false},
		{stemma.FieldCommit, commitOfSource, `"` + commitOfSource + `"`, true},
		{stemma.FieldCommit, commitOfSource, `"` + commitOfBuilder + `"`, false},
		{stemma.FieldRef, "refs/tags/v1", `"refs/tags/v1"`, true},
		{stemma.FieldRef, "refs/tags/v1", `"v1"`, true},
		{stemma.FieldRef, "refs/tags/v1", `"refs/heads/v1"`, false},
		{stemma.FieldRef, "refs/tags/v1", `"tags/v1"`, false},
		{stemma.FieldRef, "refs/pull/1", `"1"`, false},
		{stemma.FieldRun, run + "/attempts/2", `"` + run + `/attempts/2"`, true},
		{stemma.FieldRun, run + "/attempts/2", `"` + run + `"`, true},
		{stemma.FieldRun, run + "/attempts/2", `"https://github.com/Acme/App/actions/runs/42"`, true},
		{stemma.FieldRun, run + "/attempts/2", `42`, true},
		{stemma.FieldRun, run + "/attempts/2", `2`, false},
		{stemma.FieldRun, run + "/attempts/2", `"` + run + `/attempts/1"`, false},
		{stemma.FieldRun, run + "/attempts/2", `"` + run + `3"`, false},
		{stemma.FieldTrigger, "push", `"push"`, true},
		{stemma.FieldTrigger, "workflow_dispatch", `"push"`, false},
		{stemma.FieldBuilder, trustedSAN, `"` + ownID + `"`, false},
	} {
		t.Run(string(c.field)+" "+c.value, func(t *testing.T) {
			first := stemma.Said{Value: c.certificate, By: stemma.SaidByCertificate, Where: "certificate"}
			p := &stemma.Provenance{Author: stemma.SaidByTenant, Claims: map[stemma.Field]stemma.Claim{c.field: {Said: first, Others: []stemma.Said{bySelf("elsewhere", "/elsewhere")}}}}
			i := mapping(c.field, "/x")
			i.Type = ownType
			a := &stemma.Attestation{Statement: stemma.Statement{PredicateType: ownType, Predicate: json.RawMessage(`{"x": ` + c.value + `}`)}}
			got, _ := i.view(a, p)
			claim := got.Claims[c.field]
			if claim.Said != first || len(claim.Others) != 1 || claim.Others[0].Where != "/x" || (claim.Contradicted() == nil) != c.same {
				t.Errorf("%+v", claim)
			}
			a.Statement.Predicate = json.RawMessage(`{}`)
			got, _ = i.view(a, p)
			if diff := cmp.Diff(stemma.Claim{Said: first}, got.Claims[c.field], cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("absent: -want +got\n%s", diff)
			}
		})
	}
}

// External parameters are the tenant's word, whoever signed the provenance; what is no longer read of a source goes with it.
func TestInternalSLSA(t *testing.T) {
	a := &stemma.Attestation{Statement: stemma.Statement{PredicateType: stemma.PredicateSLSAv1, Predicate: json.RawMessage(`{
		"buildDefinition": {"externalParameters": {"repository": "https://git.acme.example/acme/app"}, "internalParameters": {"repository": "https://git.acme.example/acme/app"},
			"externalParametersOfOurs": {"repository": "https://git.acme.example/acme/app"}},
		"invocation": {"parameters": ["https://git.acme.example/acme/app"]}, "recipe": {"arguments": "https://git.acme.example/acme/app"}}`)}}
	p := &stemma.Provenance{Format: "slsa/v1", BuildType: ownBuild, Author: stemma.SaidByBuilder, Claims: map[stemma.Field]stemma.Claim{
		stemma.FieldRepository: said("git.acme.example/acme/app", stemma.SaidByTenant, "/x"),
		stemma.FieldCommit:     said(commitOfSource, stemma.SaidByBuilder, "/y"),
		stemma.FieldTrigger:    said("push", stemma.SaidByBuilder, "/z"),
	}}
	for pointer, want := range map[string]stemma.Grade{
		"/buildDefinition/internalParameters/repository":       stemma.SaidByBuilder,
		"/buildDefinition/externalParametersOfOurs/repository": stemma.SaidByBuilder,
		"/buildDefinition/externalParameters/repository":       stemma.SaidByTenant,
		"/invocation/parameters/0":                             stemma.SaidByTenant,
		"/recipe/arguments":                                    stemma.SaidByTenant,
	} {
		got, away := Internal{BuildType: ownBuild, Repository: pointer}.view(a, p)
		if claim := got.Claims[stemma.FieldRepository]; away.reason != "" || claim.By != want || claim.Where != pointer || claim.Value != "git.acme.example/acme/app" {
			t.Errorf("%s: %+v, %+v", pointer, claim, away)
		}
		if got.Value(stemma.FieldCommit) != commitOfSource || got.Value(stemma.FieldTrigger) != "push" {
			t.Errorf("%s: what is not mapped is gone: %v", pointer, got.Claims)
		}
	}
	nobody := *p
	nobody.Author = stemma.SaidByNobody
	if got, _ := (Internal{Repository: "/buildDefinition/externalParameters/repository"}).view(a, &nobody); got.Claims[stemma.FieldRepository].By != stemma.SaidByNobody {
		t.Errorf("graded up: %v", got.Claims)
	}
	// The commit was read of the source that the reader found, and is none of another.
	elsewhere := *p
	elsewhere.Claims = map[stemma.Field]stemma.Claim{
		stemma.FieldRepository: said("git.acme.example/acme/library", stemma.SaidByTenant, "/x"),
		stemma.FieldCommit:     said(commitOfSource, stemma.SaidByBuilder, "/y"),
		stemma.FieldTrigger:    said("push", stemma.SaidByBuilder, "/z"),
	}
	got, _ := Internal{Repository: "/recipe/arguments"}.view(a, &elsewhere)
	if got.Value(stemma.FieldCommit) != "" || got.Value(stemma.FieldTrigger) != "push" {
		t.Errorf("%v", got.Claims)
	}
}

func TestInternalDiffers(t *testing.T) {
	slsa := stemma.Provenance{Format: "slsa/v0.2", BuildType: ownBuild}
	for name, c := range map[string]struct {
		i    Internal
		typ  string
		p    stemma.Provenance
		path string // of the difference
	}{
		"type":                          {Internal{Type: ownType}, ownType, stemma.Provenance{}, ""},
		"another type":                  {Internal{Type: ownType}, ownType + "2", stemma.Provenance{}, "internal.type"},
		"no type":                       {Internal{Type: ownType}, "", stemma.Provenance{}, "internal.type"},
		"SLSA in place of one's own":    {Internal{Type: ownType}, stemma.PredicateSLSAv02, slsa, "internal.type"},
		"SLSA":                          {Internal{Commit: "/x"}, stemma.PredicateSLSAv02, slsa, ""},
		"one's own in place of SLSA":    {Internal{Commit: "/x"}, ownType, stemma.Provenance{}, "internal.type"},
		"another's in place of SLSA":    {Internal{Commit: "/x"}, "https://witness.dev/attestation-collection/v0.1", stemma.Provenance{Format: "witness"}, "internal.type"},
		"nothing in place of SLSA":      {Internal{}, "", stemma.Provenance{}, "internal.type"},
		"build type":                    {Internal{BuildType: ownBuild}, stemma.PredicateSLSAv02, slsa, ""},
		"another build type":            {Internal{BuildType: ownBuild + "2"}, stemma.PredicateSLSAv02, slsa, "internal.buildType"},
		"build type that begins alike":  {Internal{BuildType: ownBuild[:len(ownBuild)-1]}, stemma.PredicateSLSAv02, slsa, "internal.buildType"},
		"no build type":                 {Internal{BuildType: ownBuild}, stemma.PredicateSLSAv02, stemma.Provenance{Format: "slsa/v0.2"}, "internal.buildType"},
		"C19 signed for somebody else":  {Internal{Commit: "/x"}, stemma.PredicateSLSAv1, stemma.Provenance{Format: "slsa/v1", Delegate: "https://evil.example/x"}, "internal"},
		"build type in another's place": {Internal{BuildType: ownBuild}, ownType, stemma.Provenance{BuildType: ownBuild}, "internal.type"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &stemma.Attestation{Statement: stemma.Statement{PredicateType: c.typ, Predicate: json.RawMessage(`{}`)}}
			got, away := c.i.view(a, &c.p)
			if away.path != c.path || (away.reason == stemma.ReasonBuilder) != (c.path != "") || c.path != "" && (away.rank != 25 || got != &c.p) {
				t.Errorf("%+v", away)
			}
		})
	}
}

func TestInternalDecisions(t *testing.T) {
	allowed(t, owned(t, ownPolicy, ownPredicate))
	swap := func(pairs ...string) string { return change(t, ownPredicate, pairs...) }
	for name, c := range map[string]struct {
		predicate string
		rule      string
		reason    stemma.Reason
	}{
		"C17 another id":         {swap(`"`+ownID, `"`+ownID+"2"), "builder.approved", stemma.ReasonBuilder},
		"C17 no id":              {swap(`"by"`, `"builder"`), "builder.approved", stemma.ReasonBuilder},
		"another repository":     {swap("acme/app.git", "evil/app.git"), "source.repository", stemma.ReasonRepository},
		"no repository":          {swap(`"repository"`, `"repo"`), "source.repository", stemma.ReasonNotStated},
		"repository in a list":   {swap(`"https://git.acme.example/acme/app.git"`, `["https://git.acme.example/acme/app.git"]`), "source.repository", stemma.ReasonNotStated},
		"repository of two ways": {swap("git.acme.example/acme/app", "git.acme.example@evil.example/acme/app"), "source.repository", stemma.ReasonNotStated},
		"another ref":            {swap("refs/tags/v2.0.0", "refs/heads/main"), "source.ref", stemma.ReasonRef},
		"a short ref":            {swap("refs/tags/v2.0.0", "v2.0.0"), "source.ref", stemma.ReasonRef},
		"no ref":                 {swap("refs/tags/v2.0.0", ""), "source.ref", stemma.ReasonNotStated},
	} {
		t.Run(name, func(t *testing.T) { only(t, owned(t, ownPolicy, c.predicate), c.rule, c.reason) })
	}
	// One's own type under the key of somebody else, and of the right key under a trust domain that is not the builder's.
	for _, signer := range []stemma.Identity{keySigner("chains", "other"), keySigner("acme-kms", "chains-2026"), githubSigner(trustedSAN)} {
		d := evaluate(t, ownPolicy, nothing, own("own", signer, ownPredicate, nil))
		if f := finding(t, d, "builder.approved"); d.Verdict != stemma.Deny || f.Outcome != stemma.Fail {
			t.Errorf("%s:\n%s", signer, render(d))
		}
	}
	// Another type is no provenance at all.
	d := evaluate(t, change(t, ownPolicy, ownType, ownType+"0"), nothing, own("own", keySigner("chains", "chains-2026"), ownPredicate, nil))
	if f := finding(t, d, "provenance.present"); d.Verdict != stemma.Deny || f.Reason != stemma.ReasonNoProvenance {
		t.Errorf("%s", render(d))
	}
	// It has no format that a policy can list.
	only(t, owned(t, change(t, ownPolicy, "{by: [ci]}", "{by: [ci], formats: [slsa/v1, slsa/v0.2]}"), ownPredicate), "provenance.format", stemma.ReasonFormat)
	// Two statements that name different sources are a disagreement, as of all provenance.
	d = evaluate(t, ownPolicy, nothing, own("own", keySigner("chains", "chains-2026"), ownPredicate, nil),
		own("other", keySigner("chains", "chains-2026"), change(t, ownPredicate, commitOfSource, commitOfBuilder), nil))
	only(t, d, "provenance.agreement", stemma.ReasonDisagreement)
	// A key is credited with what the policy gives it.
	three := change(t, ownPolicy, "{by: [ci]}", "{by: [ci], level: 3}")
	only(t, owned(t, three, ownPredicate), "provenance.level", stemma.ReasonLevel)
	allowed(t, owned(t, change(t, three, "      internal:", "      level: 3\n      internal:"), ownPredicate))
}

// A lie against the certificate is a contradiction wherever the predicate tells it.
func TestInternalLies(t *testing.T) {
	text := change(t, f0Policy, "      level: 3\n", "      internal: {type: "+ownType+", repository: /run/repository, commit: /run/commit, ref: /run/ref, run: /run/url, trigger: /run/event}\n",
		"formats: [slsa/v1], level: 3, ", "")
	predicate := change(t, ownPredicate, "git.acme.example", "github.com", "https://ci.acme.example/runs/7", "https://github.com/acme/app/actions/runs/42")
	evaluated := func(predicate string) *stemma.Decision {
		claims := provenance("own", githubSigner(trustedSAN)).Claims
		claims[stemma.FieldRun] = said("https://github.com/acme/app/actions/runs/42/attempts/1", stemma.SaidByCertificate, "certificate .21")
		return evaluate(t, text, nothing, own("own", githubSigner(trustedSAN), predicate, claims))
	}
	allowed(t, evaluated(predicate))
	allowed(t, evaluated(`{}`)) // the certificate says it all
	for name, pair := range map[string][2]string{
		"repository": {"acme/app.git", "evil/app.git"},
		"commit":     {commitOfSource, commitOfBuilder},
		"ref":        {"refs/tags/v2.0.0", "refs/heads/main"},
		"run":        {"runs/42", "runs/43"},
		"trigger":    {"push", "release"},
	} {
		t.Run(name, func(t *testing.T) {
			only(t, evaluated(change(t, predicate, pair[0], pair[1])), "provenance.consistent", stemma.ReasonContradiction)
		})
	}
}

// The view is another provenance: what other builders, and other rules, see of it stays as it was read.
func TestInternalUnchanged(t *testing.T) {
	make := func() *stemma.Provenance {
		p := provenance("bundle", githubSigner(trustedSAN))
		p.Notes = append([]string{"mode=min"}, "spare")[:1:2]
		for f, c := range p.Claims {
			c.Others = append(c.Others, bySelf("spare", "/spare"))[:len(c.Others)]
			p.Claims[f] = c
		}
		return &p
	}
	whole := func(p *stemma.Provenance) any { // with what lies behind the end of its lists
		others := map[stemma.Field][]stemma.Said{}
		for f, c := range p.Claims {
			others[f] = slices.Clone(c.Others[:len(c.Others)+1])
		}
		return []any{*p, p.Notes[:2], others}
	}
	p := make()
	for _, predicate := range []string{ownPredicate, `{}`, `{`, `{"by": 1, "run": {"repository": ".."}}`} {
		for _, i := range []Internal{
			{ID: "/by", Repository: "/run/repository", Commit: "/run/commit", Ref: "/run/ref", Run: "/run/url", Trigger: "/run/event"},
			{Repository: "/run/repository"},
			{BuildType: ownBuild, ID: "/by"},
			{Type: stemma.PredicateSLSAv1, ID: "/by"},
			{},
		} {
			a := attest("bundle", githubSigner(trustedSAN))
			a.Statement.Predicate = json.RawMessage(predicate)
			got, away := i.view(&a, p)
			if away.reason == "" {
				got.Claims["scratch"] = stemma.Claim{}
				got.Notes = append(got.Notes, "scratch")
			}
			if diff := cmp.Diff(whole(make()), whole(p)); diff != "" {
				t.Fatalf("%+v on %s changed it: -want +got\n%s", i, predicate, diff)
			}
		}
	}
	none := stemma.Provenance{}
	if got, _ := (Internal{Type: ownType, Commit: "/x"}).view(&stemma.Attestation{Statement: stemma.Statement{PredicateType: ownType}}, &none); none.Claims != nil || got.Claims == nil {
		t.Errorf("%v, %v", none.Claims, got.Claims)
	}
}

// FuzzInternal: whatever the predicate, it is allowed only if another reader of JSON, too, finds what is asked for where
// the policy says.
func FuzzInternal(f *testing.F) {
	for _, seed := range []string{
		ownPredicate, strings.ReplaceAll(ownPredicate, "acme", "evil"), `{}`, `[]`, `null`, ``, `{"by": ["x"]}`,
		change(f, ownPredicate, `{"by"`, `{"run": {}, "by"`), change(f, ownPredicate, `"ref"`, `"\u0072ef"`), change(f, ownPredicate, `acme/app`, `acme\/app`),
	} {
		f.Add([]byte(seed))
	}
	set := load(f, ownPolicy)
	f.Fuzz(func(t *testing.T, predicate []byte) {
		e := none()
		own("own", keySigner("chains", "chains-2026"), string(predicate), nil)(e)
		d := Evaluate(set, e, now())
		var told struct {
			By  string `json:"by"`
			Run struct {
				Repository string `json:"repository"`
				Ref        string `json:"ref"`
			} `json:"run"`
		}
		err := json.Unmarshal(predicate, &told)
		repository, _ := stemma.CanonicalRepository(told.Run.Repository)
		good := err == nil && told.By == ownID && repository == "git.acme.example/acme/app" && strings.HasPrefix(told.Run.Ref, "refs/tags/v")
		if d.Verdict == stemma.Allow && !good {
			t.Errorf("allowed:\n%s", predicate)
		}
	})
}
