package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"stemma"
)

func untimed(e *stemma.Evidence) {
	for i := range e.Attestations {
		e.Attestations[i].SignedAt = nil
	}
}

func nothing(e *stemma.Evidence) { e.Attestations, e.Provenance = nil, nil }

func unavailable(e *stemma.Evidence) {
	nothing(e)
	e.Unavailable = []stemma.Unavailable{away()}
}

func signed(signers ...stemma.Identity) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		nothing(e)
		for _, s := range signers {
			e.Attestations = append(e.Attestations, signature("signature by "+s.String()+string(s.Key), s))
		}
	}
}

// second adds another provenance by the trusted workflow.
func second(change func(*stemma.Attestation, *stemma.Provenance)) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) { add(e, "second", githubSigner(trustedSAN), change) }
}

type ruleCase struct {
	rule    string
	outcome stemma.Outcome
	reason  stemma.Reason
	policy  string
	changes []func(*stemma.Evidence)
}

func ruleCases() []ruleCase {
	review := signed(keySigner("acme-kms", "review"))
	noTime := func(e *stemma.Evidence) { review(e); untimed(e) }
	wrongRef := func(_ *stemma.Attestation, p *stemma.Provenance) {
		p.Claims[stemma.FieldRef] = said("refs/heads/wip", stemma.SaidByCertificate, "certificate .14")
	}
	same := func(*stemma.Attestation, *stemma.Provenance) {}
	type many = []func(*stemma.Evidence)
	cases := []ruleCase{
		{"image.authentic", stemma.Pass, "", f0Policy, nil},
		{"image.authentic", stemma.Pass, "", signedPolicy, many{review}},
		{"image.authentic", stemma.Fail, stemma.ReasonNoEvidence, f0Policy, many{nothing}},
		{"signature.by", stemma.Pass, "", signedPolicy, many{review}},
		{"signature.by", stemma.Fail, stemma.ReasonNoSignature, signedPolicy, nil},
		{"signature.by", stemma.Fail, stemma.ReasonSigner, signedPolicy, many{signed(keySigner("acme-kms", "intern"))}},
		{"signature.by", stemma.Fail, stemma.ReasonSigner, signedPolicy, many{signed(keySigner("chains", "review"))}},
		{"signature.by", stemma.Unknown, stemma.ReasonNoTime, signedPolicy, many{noTime}},
		{"signature.by", stemma.Unknown, stemma.ReasonRateLimited, signedPolicy, many{unavailable}},
		{"provenance.present", stemma.Pass, "", f0Policy, nil},
		{"provenance.present", stemma.Fail, stemma.ReasonNoProvenance, f0Policy, many{nothing}},
		{"builder.approved", stemma.Pass, "", f0Policy, nil},
		{"builder.approved", stemma.Fail, stemma.ReasonBuilder, f0Policy, many{san("https://github.com/acme/app/.github/workflows/x.yml@refs/tags/v1.2.3")}},
		// A stranger's provenance is there whatever a silent place holds: no answer could make it right.
		{"builder.approved", stemma.Fail, stemma.ReasonBuilder, f0Policy, many{san("https://github.com/acme/app/.github/workflows/x.yml@refs/tags/v1.2.3"), func(e *stemma.Evidence) { e.Unavailable = []stemma.Unavailable{away()} }}},
		{"builder.trigger", stemma.Pass, "", f0Policy, nil},
		{"builder.trigger", stemma.Fail, stemma.ReasonTrigger, f0Policy, many{byCertificate(stemma.FieldTrigger, "workflow_run")}},
		{"builder.trigger", stemma.Fail, stemma.ReasonNotStated, f0Policy, many{claim(stemma.FieldTrigger, stemma.Claim{})}},
		{"builder.trigger", stemma.Fail, stemma.ReasonNotStated, f0Policy, many{claim(stemma.FieldTrigger, said("push", stemma.SaidByBuilder, "/event"))}},
		{"builder.runner", stemma.Pass, "", f0Policy, nil},
		{"builder.runner", stemma.Fail, stemma.ReasonRunner, f0Policy, many{byCertificate(stemma.FieldRunner, "self-hosted")}},
		{"builder.runner", stemma.Fail, stemma.ReasonNotStated, f0Policy, many{claim(stemma.FieldRunner, said("github-hosted", stemma.SaidByTenant, "/runner"))}},
		{"provenance.format", stemma.Pass, "", f0Policy, nil},
		{"provenance.format", stemma.Fail, stemma.ReasonFormat, f0Policy, many{func(e *stemma.Evidence) { e.Provenance[0].Format = "slsa/v0.2" }}},
		{"provenance.level", stemma.Pass, "", f0Policy, nil},
		{"provenance.level", stemma.Fail, stemma.ReasonLevel, f0Policy, many{signerIs(func(id *stemma.Identity) {
			id.Claims[stemma.ClaimSourceRepositoryURI] = "https://github.com/Trusted/Builders"
		})}},
		{"provenance.age", stemma.Pass, "", f0Policy, nil},
		{"provenance.age", stemma.Fail, stemma.ReasonAge, f0Policy, many{signedAt(time.Date(2026, 3, 2, 23, 59, 59, 0, time.UTC))}},
		{"provenance.age", stemma.Pass, "", f0Policy, many{signedAt(time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC))}},
		{"provenance.age", stemma.Pass, "", f0Policy, many{signedAt(now().At.Add(5 * time.Minute))}},
		{"provenance.age", stemma.Fail, stemma.ReasonAge, f0Policy, many{signedAt(now().At.Add(5*time.Minute + time.Second))}},
		{"provenance.age", stemma.Unknown, stemma.ReasonNoTime, f0Policy, many{untimed}},
		{"provenance.consistent", stemma.Pass, "", f0Policy, nil},
		{"provenance.consistent", stemma.Fail, stemma.ReasonContradiction, f0Policy, many{claim(stemma.FieldCommit, said(commitOfSource, stemma.SaidByCertificate, "certificate .13", bySelf("dead", "/x")))}},
		{"provenance.agreement", stemma.Pass, "", f0Policy, nil},
		{"provenance.agreement", stemma.Pass, "", f0Policy, many{second(same)}},
		{"provenance.agreement", stemma.Fail, stemma.ReasonDisagreement, f0Policy, many{second(func(_ *stemma.Attestation, p *stemma.Provenance) {
			p.Claims[stemma.FieldRepository] = said("github.com/evil/app", stemma.SaidByCertificate, "certificate .12")
		})}},
		{"provenance.whole", stemma.Pass, "", f0Policy, many{second(same)}},
		{"provenance.whole", stemma.Pass, "", f0Policy, many{second(wrongRef)}},
		{"provenance.whole", stemma.Fail, stemma.ReasonRef, f0Policy, many{byCertificate(stemma.FieldRunner, "self-hosted"), second(wrongRef)}},
		{"provenance.whole", stemma.Unknown, stemma.ReasonNoTime, f0Policy, many{untimed, second(wrongRef)}},
		{"source.repository", stemma.Pass, "", f0Policy, nil},
		{"source.repository", stemma.Fail, stemma.ReasonRepository, f0Policy, many{byCertificate(stemma.FieldRepository, "github.com/acme/other")}},
		{"source.repository", stemma.Fail, stemma.ReasonNotStated, f0Policy, many{claim(stemma.FieldRepository, stemma.Claim{})}},
		{"source.repository", stemma.Fail, stemma.ReasonSaidBy, f0Policy, many{claim(stemma.FieldRepository, said("github.com/acme/app", stemma.SaidByBuilder, "/x"))}},
		{"source.ref", stemma.Pass, "", f0Policy, nil},
		{"source.ref", stemma.Fail, stemma.ReasonRef, f0Policy, many{byCertificate(stemma.FieldRef, "refs/heads/main2")}},
		{"source.ref", stemma.Fail, stemma.ReasonNotStated, f0Policy, many{claim(stemma.FieldRef, stemma.Claim{})}},
		{"image.policy", stemma.Fail, stemma.ReasonNoPolicy, f0Policy, many{func(e *stemma.Evidence) { e.Image.Repository = "" }}},
	}
	cases = slices.Concat(cases, blockRuleCases(), expectRuleCases(), inputRuleCases(), bomRuleCases(), baseRuleCases(), approvalRuleCases())
	both := platformsSet("[linux/amd64, linux/arm64]") + f0Policy
	cases = append(cases,
		ruleCase{"image.platform", stemma.Pass, "", both, many{index("linux/amd64", "linux/arm64")}},
		ruleCase{"image.platform", stemma.Fail, stemma.ReasonPlatform, both, many{index("linux/s390x")}},
		ruleCase{"image.platform", stemma.Unknown, stemma.ReasonUnreachable, both, many{index("linux/amd64"), unread}},
		ruleCase{"image.authentic", stemma.Fail, stemma.ReasonPlatform, both, many{index("linux/s390x")}},
		ruleCase{"image.authentic", stemma.Fail, stemma.ReasonBinding, both, many{index("linux/amd64"), func(e *stemma.Evidence) { add(e, "bundle", githubSigner(trustedSAN)); nothing(e.Platforms[0]) }}},
		ruleCase{"image.derived", stemma.Pass, "", f0Policy + inSet("derived: [recompressed]"), many{func(e *stemma.Evidence) {
			of := *e
			e.Image.Digest, e.Attestations, e.Provenance = digest("compressed anew"), nil, nil
			e.Base = stands(stemma.BaseLayers, &of)
			e.Base.Equivalent = true
		}}},
		ruleCase{"image.tag", stemma.Pass, "", f0Policy + inSet("tags: refuse"), nil},
		ruleCase{"image.tag", stemma.Fail, stemma.ReasonTag, f0Policy + inSet("tags: refuse"), nil},
		ruleCase{"image.tag", stemma.Fail, stemma.ReasonTag, f0Policy + inSet("tags: pin"), nil},
		ruleCase{"image.authentic", stemma.Fail, stemma.ReasonNotMirrored, f0Policy, many{nothing, func(e *stemma.Evidence) { e.From = "registry.corp.example/hub/app" }}},
	)
	// Without provenance, and with a place that gave no answer, no rule about provenance knows anything.
	set, err := Load(files(f0Policy)...)
	if err != nil {
		panic(err)
	}
	for _, r := range Rules() {
		if r.inForce(set.policies[0]) && r.ID != "provenance.whole" && r.ID != "image.platform" && r.ID != "provenance.expected" {
			cases = append(cases, ruleCase{r.ID, stemma.Unknown, stemma.ReasonRateLimited, f0Policy, many{unavailable}})
		}
	}
	return cases
}

func signedAt(at time.Time) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) { e.Attestations[0].SignedAt[0].Time = at }
}

func TestRules(t *testing.T) {
	seen := map[string][]stemma.Outcome{}
	for _, c := range ruleCases() {
		name := c.rule + "/" + string(c.outcome)
		if c.reason != "" {
			name += "/" + string(c.reason)
		}
		t.Run(name, func(t *testing.T) {
			d := judgedCase(t, c)
			f := finding(t, d, c.rule)
			if f.Outcome != c.outcome || f.Reason != c.reason {
				t.Errorf("%s %s, want %s %s\n%s", f.Outcome, f.Reason, c.outcome, c.reason, render(d))
			}
			switch {
			case f.Needs != "" && f.Needs != f.Rule: // another finding says what to do
			case c.outcome == stemma.Fail && (f.Want == "" || f.Got == "" || f.Fix == "" || f.Where == "" && c.rule != "image.policy"):
				t.Errorf("a failure needs got, want, where and fix: %+v", f)
			case c.outcome == stemma.Unknown && f.Detail == "" && f.Fix == "":
				t.Errorf("an unknown needs to say what was tried: %+v", f)
			case c.outcome != stemma.Pass && d.Verdict == stemma.Allow && !f.Advisory:
				t.Error("allowed")
			}
			checkKeys(t, f.Fix)
		})
		seen[c.rule] = append(seen[c.rule], c.outcome)
	}
	impossible := map[string][]stemma.Outcome{
		"image.tag":      {stemma.Unknown},              // but as advice, under observe
		"image.derived":  {stemma.Fail, stemma.Unknown}, // where it is not made of another, its own evidence decides
		"image.approved": {stemma.Fail},                 // one that ended weighs nothing, and the other rules decide
		"image.policy":   {stemma.Pass, stemma.Unknown}, // it is listed only when no policy matches, which is always known
	}
	for _, r := range append(Rules(), UnmatchedRule()) {
		for _, o := range []stemma.Outcome{stemma.Pass, stemma.Fail, stemma.Unknown} {
			if !slices.Contains(seen[r.ID], o) && !slices.Contains(impossible[r.ID], o) {
				t.Errorf("%s has no case that ends in %s", r.ID, o)
			}
		}
		if r.Title == "" || r.Why == "" || r.Fix == "" || r.Since == "" || len(r.Controls) == 0 {
			t.Errorf("%s lacks title, why, fix, since or controls", r.ID)
		}
		for i, control := range r.Controls {
			var family string
			var number, enhancement int
			n, _ := fmt.Sscanf(strings.ReplaceAll(control, "-", " "), "%2s %d(%d)", &family, &number, &enhancement)
			back := fmt.Sprintf("%s-%d", family, number)
			if n == 3 {
				back += fmt.Sprintf("(%d)", enhancement)
			}
			if n < 2 || back != control || strings.ToUpper(family) != family || slices.Contains(r.Controls[:i], control) {
				t.Errorf("%s: %q is no control, or stands twice", r.ID, control)
			}
		}
		kinds := 0
		for _, is := range []bool{r.image != nil, r.each != nil, r.platforms != nil} {
			if is {
				kinds++
			}
		}
		if kinds != 1 && r.ID != "image.policy" {
			t.Errorf("%s must judge the image, each provenance, or what an index lists", r.ID)
		}
		checkKeys(t, r.Fix)
	}
}

// checkKeys fails for a key of the policy language that does not exist: "provenance.by", "saidBy".
func checkKeys(t *testing.T, fix string) {
	t.Helper()
	keys := map[string]bool{}
	schema(reflect.TypeFor[Spec](), "", keys)
	schema(reflect.TypeFor[SetSpec](), "", keys)
	if !keys["provenance.by"] || !keys["source.saidBy"] || !keys["builders.github.workflowRefs"] || !keys["trust.keys.pem"] {
		t.Fatalf("the walk of the schema is broken: %v", keys)
	}
	for _, word := range strings.Fields(fix) {
		word = strings.Trim(word, ".,;:()")
		camel := strings.IndexFunc(word, unicode.IsUpper) > 0
		if !camel && !strings.Contains(word, ".") || strings.ContainsAny(word, "/@") || word == "PolicySet" {
			continue
		}
		if !keys[word] {
			t.Errorf("the fix %q names %q, which is no key", fix, word)
		}
	}
}

func schema(typ reflect.Type, path string, keys map[string]bool) {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		schema(typ.Elem(), path, keys)
	case reflect.Struct:
		if typ == reflect.TypeFor[Date]() {
			return
		}
		names, fields, _ := keysOf(typ)
		for _, name := range names {
			p := join(path, name)
			keys[p], keys[name] = true, true
			schema(typ.FieldByIndex(fields[name]).Type, p, keys)
		}
	}
}

// A panic inside a rule is an Unknown of that rule (INV-2).
func TestPanicInRule(t *testing.T) {
	r := guard(func() result { panic("boom") })
	if r.outcome != stemma.Unknown || r.reason.Class() != stemma.CouldNotCheck || !strings.Contains(r.detail, "boom") {
		t.Errorf("%+v", r)
	}
	// And outside of a rule, one of the policy: here a platform of which nothing says why there is none.
	p := &loaded{name: "x", spec: Spec{Match: Match{Images: []Pattern{"**"}}, Provenance: &Provenance{}}}
	j := &judgement{set: &SetSpec{}, policy: p, spec: &p.spec, top: f0()}
	findings, level := j.run()
	if verdictOf(findings) != stemma.Undetermined || level != 0 || !strings.Contains(findings[0].Detail, "internal error") {
		t.Errorf("level %d, %+v", level, findings)
	}
}

func TestReference(t *testing.T) {
	page := Reference()
	for _, r := range append(Rules(), UnmatchedRule()) {
		if strings.Count(page, "\n### "+r.ID+"\n") != 1 || !strings.Contains(page, r.Why) {
			t.Errorf("%s is not on the page once", r.ID)
		}
	}
}
