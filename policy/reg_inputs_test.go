package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"stemma"
)

// The regression cases of the threat model about source and inputs that a policy answers, by their ids. The names
// themselves are read by package stemma and internal/predicate, whose tests have the same ids.

// Two spellings of one repository are one: what a pattern says in another case on GitHub, and what is expected as a URL.
func TestReg_D02_canonical(t *testing.T) {
	allowed(t, evaluate(t, f0Policy))
	for _, repository := range []string{"github.com/Acme/{service}", "GitHub.com/acme/{service}", "github.com/ACME/APP"} {
		allowed(t, evaluate(t, change(t, f0Policy, "github.com/acme/{service}", repository)))
	}
	for _, uri := range []string{
		"git+https://github.com/acme/app@refs/tags/v2", "https://github.com/acme/app.git", "https://github.com:443/acme/app", "https://GITHUB.com/acme/app",
		"ssh://git@github.com/acme/app", "git@github.com:acme/app.git", "pkg:github/acme/app",
	} {
		allowed(t, expecting(t, f0Policy, map[stemma.Field]string{"repository": uri}))
	}
}

// CVE-2021-41087, CVE-2026-39821, CVE-2026-26205: names that two readers understand differently. None matches, whether it
// is a source, an input or expected.
func TestReg_D03_confusing_names(t *testing.T) {
	allowed(t, evaluate(t, inputsPolicy, built))
	for _, name := range []string{
		"github.com/acme/app/../evil", "github.com/acme/../evil/app", "github.com.evil.com/acme/app", "github.com@evil.com/acme/app",
		"evil.com/github.com/acme/app", "github.com//acme/app", "github.com/acme//app", "github.com./acme/app", "gіthub.com/acme/app",
		"github.com/acme/app\x00", "github.com/acme/app\n", "/github.com/acme/app", "github.com/./acme/app", "https://github.com/acme/app",
	} {
		only(t, evaluate(t, f0Policy, byCertificate(stemma.FieldRepository, name)), "source.repository", stemma.ReasonRepository)
		only(t, evaluate(t, inputsPolicy, built, also(input(stemma.InputGit, name))), "inputs.git", stemma.ReasonInput)
	}
	for _, uri := range []string{
		"https://github.com/acme/app%2F..%2Fapp", "https://github.com/acme/app/../app", "https://github.com@evil.com/acme/app", "https://github.com//acme/app",
		"https://github.com./acme/app", "https://gіthub.com/acme/app", "https://github.com/acme/app\x00", "https://user:pass@github.com/acme/app",
	} {
		only(t, expecting(t, f0Policy, map[stemma.Field]string{"repository": uri}), "provenance.expected", stemma.ReasonExpected)
	}
}

// On GitHub's hosts two names that differ in case are one repository; anywhere else they are two.
func TestReg_D04_owner_case(t *testing.T) {
	for host, same := range map[string]bool{"github.com": true, "acme.ghe.com": true, "gitlab.com": false, "git.acme.example": false} {
		text := change(t, f0Policy, "github.com/acme/{service}", host+"/ACME/{service}")
		d := evaluate(t, text, byCertificate(stemma.FieldRepository, host+"/acme/app"))
		lists := change(t, inputsPolicy, "github.com/Acme/**", host+"/Acme/**", `"Actions/**"`, `"Actions/**", "`+host+`/ACME/**"`)
		git := evaluate(t, lists, built, provenanceHas(func(p *stemma.Provenance) { p.Inputs[3].Canonical = host + "/acme/lib" }))
		action := evaluate(t, lists, built, provenanceHas(func(p *stemma.Provenance) {
			p.Inputs[3].Canonical, p.Inputs[5].Canonical = "github.com/acme/app", host+"/acme/tasks/build.yaml"
		}))
		if same {
			allowed(t, d)
			allowed(t, git)
			allowed(t, action)
			continue
		}
		only(t, d, "source.repository", stemma.ReasonRepository)
		only(t, git, "inputs.git", stemma.ReasonInput)
		only(t, action, "inputs.actions", stemma.ReasonInput)
	}
	// The file of an action is another one in another case.
	exact := change(t, inputsPolicy, `"Actions/**"`, `"github.com/Actions/Toolkit/Sub"`)
	sub := func(path string) func(*stemma.Evidence) {
		return provenanceHas(func(p *stemma.Provenance) { p.Inputs[5].Canonical = path })
	}
	allowed(t, evaluate(t, exact, built, sub("actions/toolkit/Sub")))
	only(t, evaluate(t, exact, built, sub("actions/toolkit/sub")), "inputs.actions", stemma.ReasonInput)
}

// SLSA: the right branch at another commit than the one that was reviewed.
func TestReg_D05_expected_commit(t *testing.T) {
	expect := map[stemma.Field]string{stemma.FieldCommit: commitOfSource}
	allowed(t, expecting(t, f0Policy, expect))
	for name, c := range map[string]struct {
		reason stemma.Reason
		claim  stemma.Claim
	}{
		"another":       {stemma.ReasonExpected, said(commitOfBuilder, stemma.SaidByCertificate, "certificate .13")},
		"absent":        {stemma.ReasonNotStated, stemma.Claim{}},
		"abbreviated":   {stemma.ReasonExpected, said(commitOfSource[:7], stemma.SaidByCertificate, "certificate .13")},
		"longer":        {stemma.ReasonExpected, said(commitOfSource+strings.Repeat("0", 24), stemma.SaidByCertificate, "certificate .13")},
		"other case":    {stemma.ReasonExpected, said(strings.ToUpper(commitOfSource), stemma.SaidByCertificate, "certificate .13")},
		"of the tenant": {stemma.ReasonSaidBy, said(commitOfSource, stemma.SaidByTenant, "/vcs")},
	} {
		t.Run(name, func(t *testing.T) {
			only(t, expecting(t, f0Policy, expect, claim(stemma.FieldCommit, c.claim)), "provenance.expected", c.reason)
		})
	}
	// A prefix is met by nothing, the commit that begins with it included.
	for _, short := range []string{commitOfSource[:7], commitOfSource[:39], ""} {
		d := expecting(t, f0Policy, map[stemma.Field]string{stemma.FieldCommit: short}, byCertificate(stemma.FieldCommit, short))
		only(t, d, "provenance.expected", stemma.ReasonExpected)
	}
	// A policy that reads no provenance does not ignore what is expected of it.
	review := signed(keySigner("acme-kms", "review"))
	allowed(t, expecting(t, signedPolicy, nil, review))
	only(t, expecting(t, signedPolicy, expect, review), "provenance.expected", stemma.ReasonNotStated)
}

// slsa-verifier provenance_forgeable: the body names another commit than the certificate, and what is expected is the
// body's.
func TestReg_D06_certificate_against_body(t *testing.T) {
	forged := claim(stemma.FieldCommit, said(commitOfSource, stemma.SaidByCertificate, "certificate .13", bySelf(commitOfBuilder, "/commit")))
	only(t, evaluate(t, f0Policy, forged), "provenance.consistent", stemma.ReasonContradiction)
	d := expecting(t, f0Policy, map[stemma.Field]string{"commit": commitOfBuilder}, forged)
	if f := finding(t, d, "provenance.expected"); d.Verdict != stemma.Deny || f.Outcome != stemma.Fail || f.Reason != stemma.ReasonExpected {
		t.Errorf("%s", render(d))
	}
}

// SLSA, verifying artifacts, step 2: external parameters that nobody checked.
func TestReg_D07_unknown_parameter(t *testing.T) {
	allowed(t, evaluate(t, inputsPolicy, built))
	for _, name := range []string{"entitlements", "VERSION2", "version", "XVERSION", "VERSION/x", "", " VERSION", "LABEL", "LABEL_/x"} {
		for _, kind := range []string{"unknown", "build-arg", "secret", "", "Variable"} {
			only(t, evaluate(t, inputsPolicy, built, parameter(kind, name)), "inputs.parameters", stemma.ReasonParameter)
		}
	}
	// GitLab writes every variable of CI into its provenance.
	allowed(t, evaluate(t, inputsPolicy, built, parameter("variable", "CI_COMMIT_SHA")))
	lists := f0Policy + "  inputs: {images: [docker.io/library/debian, \"gcr.io/distroless/**\"]}\n"
	allowed(t, evaluate(t, lists, built, parameter("build-arg", "DEBUG")))
	only(t, evaluate(t, lists, built, parameter("unknown", "entitlements")), "inputs.parameters", stemma.ReasonParameter)
}

// SLSA threats of dependencies: an input that no list has, one without digest, an action at a tag.
func TestReg_D08_unexpected_input(t *testing.T) {
	allowed(t, evaluate(t, inputsPolicy, built))
	for _, c := range []struct {
		rule   string
		reason stemma.Reason
		in     stemma.Input
	}{
		{"inputs.images", stemma.ReasonInput, input(stemma.InputImage, "docker.io/evil/debian")},
		{"inputs.images", stemma.ReasonInput, input(stemma.InputImage, "docker.io/library/debian-evil")},
		{"inputs.images", stemma.ReasonInput, input(stemma.InputImage, "registry.evil.com/docker.io/library/debian")},
		{"inputs.packages", stemma.ReasonInput, input(stemma.InputPackage, "pkg:npm/lib", from("registry.npmjs.org"))},
		{"inputs.git", stemma.ReasonInput, input(stemma.InputGit, "github.com/evil/app")},
		{"inputs.digests", stemma.ReasonUnpinned, input(stemma.InputAction, "actions/cache", unpinned("v4"))},
		{"inputs.digests", stemma.ReasonUnpinned, input(stemma.InputGit, "github.com/acme/lib", unpinned("refs/heads/main"))},
		{"inputs.digests", stemma.ReasonUnpinned, input(stemma.InputImage, "docker.io/library/debian", unpinned("12"))},
		{"inputs.digests", stemma.ReasonUnpinned, input(stemma.InputHTTP, "dl.acme.example/a", func(in *stemma.Input) { in.Digest = map[string]string{"md5": "d41d8cd98f00b204e9800998ecf8427e"} })},
		{"inputs.digests", stemma.ReasonUnpinned, input(stemma.InputGit, "github.com/acme/lib", func(in *stemma.Input) { in.Digest = map[string]string{"gitTree": commitOfSource} })},
	} {
		d := evaluate(t, inputsPolicy, built, also(c.in))
		only(t, d, c.rule, c.reason)
		if f := finding(t, d, c.rule); len(f.Items) != 1 || !strings.Contains(f.Items[0], c.in.Canonical) || !strings.HasSuffix(f.Items[0], "("+c.in.Where+")") {
			t.Errorf("%q", f.Items)
		}
	}
	// The source at another commit is the source; that of a fork is not.
	allowed(t, evaluate(t, inputsPolicy, built, also(input(stemma.InputGit, "github.com/acme/app"))))
	// Nor is a repository without a name the source that nobody states.
	sourceless := change(t, inputsPolicy, "  source:\n    repository: github.com/acme/{service}\n    refs: [refs/heads/main, \"refs/tags/v*\"]\n", "")
	unstated := claim(stemma.FieldRepository, stemma.Claim{})
	allowed(t, evaluate(t, sourceless, built, unstated))
	only(t, evaluate(t, sourceless, built, unstated, also(input(stemma.InputGit, ""))), "inputs.git", stemma.ReasonInput)
	narrow := change(t, inputsPolicy, `git: ["github.com/Acme/**"]`, "git: [github.com/acme/lib]")
	allowed(t, evaluate(t, narrow, built))
	only(t, evaluate(t, narrow, built, also(input(stemma.InputGit, "github.com/acme/app2"))), "inputs.git", stemma.ReasonInput)
}

// GHSA-vmvj: what is compared with nothing passed.
func TestReg_D09_no_inputs(t *testing.T) {
	for _, demand := range []string{
		"images: [docker.io/library/debian]", "git: [github.com/acme/lib]", `http: ["dl.acme.example/**"]`, `actions: ["actions/**"]`,
		`packages: ["pkg:npm/@acme/**"]`, "digests: required", "declared: required", `unreported: ignore, images: [docker.io/library/debian]`,
		`unreported: refuse, images: [docker.io/library/debian]`,
	} {
		text := f0Policy + "  inputs: {" + demand + "}\n"
		for name, inputs := range map[string][]stemma.Input{"nil": nil, "empty": {}} {
			d := evaluate(t, text, built, provenanceHas(func(p *stemma.Provenance) { p.Inputs = inputs }))
			f := finding(t, d, "inputs.present")
			if d.Verdict != stemma.Deny || f.Outcome != stemma.Fail || f.Reason != stemma.ReasonNoInputs {
				t.Errorf("%s, %s:\n%s", demand, name, render(d))
			}
			for _, f := range d.Findings {
				if strings.HasPrefix(f.Rule, "inputs.") && f.Outcome == stemma.Pass && f.Rule != "inputs.parameters" {
					t.Errorf("%s passes without inputs", f.Rule)
				}
			}
		}
	}
	allowed(t, evaluate(t, f0Policy+"  inputs: {images: [docker.io/library/debian]}\n", built, provenanceHas(func(p *stemma.Provenance) { p.Inputs = p.Inputs[:2] })))
}

// BuildKit's vcs metadata is what the client said of itself: "can't be trusted".
func TestReg_D12_vcs_hint(t *testing.T) {
	hint := func(f stemma.Field, value string) func(*stemma.Evidence) {
		return claim(f, said(value, stemma.SaidByTenant, "/runDetails/metadata/buildkit_metadata/vcs/source"))
	}
	only(t, evaluate(t, f0Policy, hint(stemma.FieldRepository, "github.com/acme/app")), "source.repository", stemma.ReasonSaidBy)
	builder := change(t, f0Policy, "    refs:", "    saidBy: builder\n    refs:")
	only(t, evaluate(t, builder, hint(stemma.FieldRepository, "github.com/acme/app")), "source.repository", stemma.ReasonSaidBy)
	tenant := change(t, f0Policy, "    refs:", "    saidBy: tenant\n    refs:")
	allowed(t, evaluate(t, tenant, hint(stemma.FieldRepository, "github.com/acme/app")))
	only(t, evaluate(t, tenant, hint(stemma.FieldRepository, "github.com/evil/app")), "source.repository", stemma.ReasonRepository)
	only(t, expecting(t, f0Policy, map[stemma.Field]string{"commit": commitOfSource}, hint(stemma.FieldCommit, commitOfSource)), "provenance.expected", stemma.ReasonSaidBy)
	only(t, evaluate(t, inputsPolicy, built, claim(stemma.FieldHermetic, said("true", stemma.SaidByTenant, "/x"))), "inputs.hermetic", stemma.ReasonSaidBy)
}

func warnPolicy() string {
	return strings.Replace(inputsPolicy, "unreported: refuse", "unreported: warn", 1)
}

// quorumInputsPolicy wants two builders that both name what they used.
const quorumInputsPolicy = quorumPolicy + `  inputs: {unreported: refuse, images: [docker.io/library/debian], digests: required, parameters: {allow: [VERSION]}}
`

// drawBuilt makes evidence that is F0's as often as it is anything.
func drawBuilt(t *rapid.T) *stemma.Evidence {
	e := f0()
	switch rapid.SampledFrom([]string{"one", "one", "two", "any", "away"}).Draw(t, "evidence") {
	case "away":
		unavailable(e)
	case "two":
		second(func(*stemma.Attestation, *stemma.Provenance) {})(e)
	case "any":
		e = drawEvidence(t)
	}
	drawInputs(t, e)
	return e
}

// drawInputs gives every provenance inputs, parameters and tasks that meet, half meet and miss what the policies ask for.
func drawInputs(t *rapid.T, e *stemma.Evidence) {
	pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	for i := range e.Provenance {
		one := f0()
		built(one)
		p, q := &e.Provenance[i], &one.Provenance[0]
		p.Inputs, p.Reported, p.External, p.Parameters, p.Tasks = q.Inputs, q.Reported, q.External, q.Parameters, q.Tasks
		p.Claims[stemma.FieldHermetic] = q.Claims[stemma.FieldHermetic]
		for n := range rapid.IntRange(0, 2).Draw(t, "changes") {
			where := func(in *stemma.Input) { in.Where = fmt.Sprint("/", n) }
			switch pick("change", "none", "none", "image", "package", "other", "unpinned", "gap", "parameter", "network", "empty", "undeclared") {
			case "image":
				p.Inputs = append(p.Inputs, input(stemma.InputImage, pick("name", "docker.io/evil/x", "docker.io/library/debian", ""), where))
			case "package":
				p.Inputs = append(p.Inputs, input(stemma.InputPackage, "pkg:npm/x", from(pick("host", "proxy.acme.example", "evil.com", "")), where))
			case "other":
				p.Inputs = append(p.Inputs, input(stemma.InputOther, "", where))
			case "unpinned":
				p.Inputs = append(p.Inputs, input(stemma.InputAction, "actions/cache", unpinned("v4"), where))
			case "gap":
				p.Reported[rapid.SampledFrom(stemma.InputKinds()).Draw(t, "kind")] = stemma.Reported(pick("how", "", "some", "all"))
			case "parameter":
				p.Parameters = append(p.Parameters, stemma.Parameter{Name: pick("parameter", "VERSION", "DEBUG"), Kind: pick("kind of parameter", "build-arg", "unknown", "variable"), Where: "/p"})
			case "network":
				p.Tasks = append(p.Tasks, stemma.Task{Name: "fetch", Network: pick("network", "used", "none", ""), Where: "/t"})
			case "empty":
				p.Inputs = nil
			case "undeclared":
				p.Inputs = append(p.Inputs, input(stemma.InputHTTP, "dl.acme.example/y", where, func(in *stemma.Input) { in.Undeclared = true }))
			}
		}
	}
}

// TestReg_D13_monotonic_inputs: what is kept back never makes a requirement on inputs met that was not, nor an image that
// was refused good.
func TestReg_D13_monotonic_inputs(t *testing.T) {
	verdicts := map[stemma.Verdict]int{}
	for i, text := range []string{inputsPolicy, warnPolicy(), quorumInputsPolicy} {
		set := load(t, text)
		t.Run(fmt.Sprint(i), rapid.MakeCheck(func(t *rapid.T) {
			e, at := drawBuilt(t), now()
			if rapid.Bool().Draw(t, "expects") {
				at.Expect = map[stemma.Field]string{"commit": commitOfSource, "trigger": "push"}
			}
			before := Evaluate(set, e, at)
			verdicts[before.Verdict]++
			had := cells(before)
			disputed := slices.ContainsFunc(before.Findings, func(f stemma.Finding) bool {
				return f.Outcome == stemma.Fail && slices.Contains([]string{"provenance.agreement", "provenance.run", "provenance.builders"}, f.Rule)
			})
			less := func(what string, e stemma.Evidence) {
				after := Evaluate(set, &e, at)
				for cell, outcome := range cells(after) {
					rule := strings.Fields(cell)[1]
					if was, judged := had[cell]; judged && was != stemma.Pass && outcome == stemma.Pass && (strings.HasPrefix(rule, "inputs.") || rule == "provenance.expected" || strings.HasPrefix(rule, "source.")) {
						t.Fatalf("without %s, %s passes:\n%s\n%s", what, cell, render(before), render(after))
					}
				}
				if after.Verdict == stemma.Allow && before.Verdict != stemma.Allow && !disputed {
					t.Fatalf("without %s it is allowed:\n%s\n%s", what, render(before), render(after))
				}
			}
			for i := range e.Provenance {
				c := *e
				c.Provenance = without(e.Provenance, i)
				less(fmt.Sprint("provenance ", i), c)
			}
			for i := range e.Attestations {
				c := *e
				c.Attestations = without(e.Attestations, i)
				less(fmt.Sprint("attestation ", i), c)
			}
		}))
	}
	if testing.Short() {
		return // too few are drawn to reach all verdicts
	}
	if verdicts[stemma.Allow] == 0 || verdicts[stemma.Deny] == 0 || verdicts[stemma.Undetermined] == 0 {
		t.Errorf("the generator does not reach all verdicts: %v", verdicts)
	}
}

// accountable reports whether an accepted provenance keeps to the lists of inputsPolicy. It knows nothing of how that is
// judged: its lists are the names themselves, and what is not among them is outside.
func accountable(p *stemma.Provenance, refuse bool) bool {
	names := []string{
		"image docker.io/library/debian", "image gcr.io/distroless/static", "git github.com/acme/app", "git github.com/acme/lib", "http dl.acme.example/x/tool.tgz",
		"http dl.acme.example/y", "action actions/checkout", "action actions/cache", "action quay.io/acme/tasks/clone", "package pkg:npm/%40acme/lib",
	}
	for _, in := range p.Inputs {
		named := slices.Contains(names, string(in.Kind)+" "+in.Canonical) || in.Kind == stemma.InputPackage && in.Canonical != "" && in.Host == "proxy.acme.example"
		if !named && in.Kind != stemma.InputOther || in.Undeclared || len(in.Digest) == 0 {
			return false
		}
		if refuse && in.Kind == stemma.InputOther {
			return false
		}
	}
	for _, k := range stemma.InputKinds()[:5] {
		if refuse && p.Reported[k] != stemma.ReportedAll {
			return false
		}
	}
	for _, x := range p.Parameters {
		if x.Kind != "variable" && x.Name != "VERSION" && x.Name != "LABEL_A" {
			return false
		}
	}
	return len(p.Inputs) > 0 && !slices.ContainsFunc(p.Tasks, func(t stemma.Task) bool { return t.Network == "used" })
}

// TestInputsProperty: nothing is allowed whose every provenance has something outside the lists, and the order in which
// inputs are written is nothing.
func TestInputsProperty(t *testing.T) {
	allows := 0
	for _, text := range []string{inputsPolicy, warnPolicy()} {
		set := load(t, text)
		t.Run("", rapid.MakeCheck(func(t *rapid.T) {
			e := drawBuilt(t)
			d := Evaluate(set, e, now())
			if d.Verdict == stemma.Allow {
				allows++
				if !slices.ContainsFunc(e.Provenance, func(p stemma.Provenance) bool { return accountable(&p, text == inputsPolicy) }) {
					t.Fatalf("allowed:\n%s\n%s", render(d), encode(e.Provenance))
				}
			}
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
			for i := range e.Provenance {
				p := &e.Provenance[i]
				p.Inputs = slices.Clone(p.Inputs)
				r.Shuffle(len(p.Inputs), func(a, b int) { p.Inputs[a], p.Inputs[b] = p.Inputs[b], p.Inputs[a] })
			}
			if again := Evaluate(set, e, now()); again.Decided != d.Decided || !bytes.Equal(encode(again.Findings), encode(d.Findings)) {
				t.Fatalf("another order, another decision:\n%s\n%s", encode(d.Findings), encode(again.Findings))
			}
		}))
	}
	if allows == 0 {
		t.Error("the generator never reaches an Allow")
	}
}

// FuzzInputs: whatever a provenance says of what went in, it is not allowed with an image whose name is not on the list,
// nor with nothing; and judging it twice is the same.
func FuzzInputs(f *testing.F) {
	e := f0()
	built(e)
	f.Add(mustJSON(f, e.Provenance[0].Inputs), "all")
	also(input(stemma.InputImage, "docker.io/evil/x"))(e)
	f.Add(mustJSON(f, e.Provenance[0].Inputs), "some")
	f.Add([]byte(`[{"kind":"image","canonical":"docker.io/library/debian\n"},{}]`), "")
	f.Add([]byte(`[{"kind":"image","canonical":"docker.io/library//debian","digest":{"sha256":null}}]`), "all")
	set, err := Load(files(f0Policy + "  inputs: {unreported: refuse, images: [docker.io/library/debian], digests: required}\n")...)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, how string) {
		var inputs []stemma.Input
		if json.Unmarshal(data, &inputs) != nil {
			return
		}
		e := f0()
		e.Provenance[0].Inputs, e.Provenance[0].Reported = inputs, map[stemma.InputKind]stemma.Reported{stemma.InputImage: stemma.Reported(how)}
		d := Evaluate(set, e, now())
		good := len(inputs) > 0 && how == "all"
		for _, in := range inputs {
			good = good && (in.Kind != stemma.InputImage || in.Canonical == "docker.io/library/debian") && slices.Contains(stemma.InputKinds()[:5], in.Kind) && len(in.Digest) > 0
		}
		if d.Verdict == stemma.Allow && !good {
			t.Errorf("allowed:\n%s\n%s", data, render(d))
		}
		if again := Evaluate(set, e, now()); again.ID != d.ID {
			t.Errorf("two decisions: %s and %s", d.ID, again.ID)
		}
		for _, f := range d.Findings {
			if len(f.Items) > maxItems+1 {
				t.Errorf("%d items", len(f.Items))
			}
		}
	})
}
