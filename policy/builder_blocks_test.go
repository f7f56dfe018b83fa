package policy

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"stemma"
)

// keyedPolicy is one builder of the key chains-2026, and what it must say besides.
func keyedPolicy(id, block, rest string) string {
	return keySet + `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: keyed}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  builders:
    keyed:
      trust: chains
      keys: [chains-2026]
      id: ` + id + `
      ` + block + `
  provenance: {by: [keyed]}
` + rest
}

func tektonPolicy() string {
	return keyedPolicy("https://tekton.dev/chains/v2", `tekton:
        namespaces: [acme-tenant, "team-*"]
        serviceAccounts: [build-pipeline]
        tasks: {trusted: ["quay.io/acme/tasks/**", "github.com/Acme/Tasks/build/*.yaml"], commits: [`+commitOfBuilder+`]}
        sourceFrom: {task: clone, url: url, commit: commit}`, `  source: {repository: "github.com/acme/{service}", saidBy: builder}
`)
}

func gcbPolicy() string {
	return keyedPolicy("https://cloudbuild.googleapis.com/GoogleHostedWorker", "gcb: {projects: [acme-build], triggers: [release-app, 0c2bf0f1]}", "")
}

func buildkitPolicy() string {
	return strings.Replace(f0Policy, "      level: 3\n", "      level: 3\n      buildkit: {mode: max}\n", 1)
}

// chained makes evidence of one provenance by Tekton Chains: a task that clones and one that builds.
func chained(e *stemma.Evidence) {
	*e = *none()
	add(e, "chains", keySigner("chains", "chains-2026"), func(a *stemma.Attestation, p *stemma.Provenance) {
		a.SignedAt, a.Log = nil, nil
		p.Known, p.BuildType, p.TasksReported, p.ResultsReported = "Tekton Chains", "tekton.dev/v1/PipelineRun", stemma.ReportedAll, stemma.ReportedAll
		p.Claims = map[stemma.Field]stemma.Claim{
			stemma.FieldBuilder:        said("https://tekton.dev/chains/v2", stemma.SaidByBuilder, "/builder/id"),
			stemma.FieldRepository:     said("github.com/acme/app", stemma.SaidByTenant, "/invocation/parameters/git-url"),
			stemma.FieldNamespace:      said("acme-tenant", stemma.SaidByBuilder, "/namespace"),
			stemma.FieldServiceAccount: said("build-pipeline", stemma.SaidByBuilder, "/account"),
		}
		p.Tasks = []stemma.Task{
			{
				Name: "clone", Ref: "quay.io/acme/tasks/git-clone", Digest: string(digest("git-clone")), Where: "/buildConfig/tasks/0",
				Outputs: map[string]string{"url": "https://github.com/acme/app.git", "commit": commitOfSource},
			},
			{Name: "build", Ref: "github.com/acme/tasks/build/Image.yaml", Digest: commitOfBuilder, Where: "/buildConfig/tasks/1", Results: []stemma.Digest{imageDigest()}},
		}
	})
}

func clouded(e *stemma.Evidence) {
	*e = *none()
	add(e, "gcb", keySigner("chains", "chains-2026"), func(a *stemma.Attestation, p *stemma.Provenance) {
		a.SignedAt, a.Log = nil, nil
		p.Known, p.Claims = "Google Cloud Build", map[stemma.Field]stemma.Claim{
			stemma.FieldBuilder:   said("https://cloudbuild.googleapis.com/GoogleHostedWorker", stemma.SaidByBuilder, "/builder/id"),
			stemma.FieldNamespace: said("acme-build", stemma.SaidByBuilder, "/project"),
			stemma.FieldTrigger:   said("release-app", stemma.SaidByBuilder, "/trigger"),
			stemma.FieldTriggerID: said("11111111", stemma.SaidByBuilder, "/triggerId"),
		}
	})
}

// stepped makes F0's provenance one of BuildKit that tells its steps.
func stepped(e *stemma.Evidence) {
	p := &e.Provenance[0]
	p.Known, p.Mode, p.Tasks = "BuildKit", "max", []stemma.Task{{Name: "RUN make"}}
}

func task(i int, change func(*stemma.Task)) func(*stemma.Evidence) {
	return provenanceHas(func(p *stemma.Provenance) { change(&p.Tasks[i]) })
}

func extraTask(t stemma.Task) func(*stemma.Evidence) {
	return provenanceHas(func(p *stemma.Provenance) { p.Tasks = append(p.Tasks, t) })
}

func othersAllowed(t testing.TB) string {
	return change(t, tektonPolicy(), `tasks: {`, `tasks: {others: allow, `)
}

func blockRuleCases() []ruleCase {
	type many = []func(*stemma.Evidence)
	unread := func(change func(*stemma.Evidence)) many { return many{change, unavailable} }
	return []ruleCase{
		{"builder.namespace", stemma.Pass, "", tektonPolicy(), many{chained}},
		{"builder.namespace", stemma.Pass, "", tektonPolicy(), many{chained, claim(stemma.FieldNamespace, said("team-a", stemma.SaidByBuilder, "/x"))}},
		{"builder.namespace", stemma.Fail, stemma.ReasonCaller, tektonPolicy(), many{chained, claim(stemma.FieldNamespace, said("evil", stemma.SaidByBuilder, "/x"))}},
		{"builder.namespace", stemma.Fail, stemma.ReasonCaller, tektonPolicy(), many{chained, claim(stemma.FieldNamespace, said("team-a/x", stemma.SaidByBuilder, "/x"))}},
		{"builder.namespace", stemma.Fail, stemma.ReasonNotStated, tektonPolicy(), many{chained, claim(stemma.FieldNamespace, said("acme-tenant", stemma.SaidByTenant, "/labels"))}},
		{"builder.namespace", stemma.Fail, stemma.ReasonNotStated, tektonPolicy(), many{chained, claim(stemma.FieldNamespace, stemma.Claim{})}},
		{"builder.namespace", stemma.Fail, stemma.ReasonCaller, tektonPolicy(), many{chained, claim(stemma.FieldServiceAccount, said("default", stemma.SaidByBuilder, "/x"))}},
		{"builder.namespace", stemma.Fail, stemma.ReasonNotStated, tektonPolicy(), many{chained, claim(stemma.FieldServiceAccount, stemma.Claim{})}},
		{"builder.namespace", stemma.Unknown, stemma.ReasonRateLimited, tektonPolicy(), unread(chained)},
		{"builder.namespace", stemma.Pass, "", gcbPolicy(), many{clouded}},
		{"builder.namespace", stemma.Fail, stemma.ReasonCaller, gcbPolicy(), many{clouded, claim(stemma.FieldNamespace, said("acme-build2", stemma.SaidByBuilder, "/x"))}},
		{"builder.namespace", stemma.Fail, stemma.ReasonNotStated, gcbPolicy(), many{clouded, claim(stemma.FieldNamespace, stemma.Claim{})}},
		{"builder.trigger", stemma.Pass, "", gcbPolicy(), many{clouded}},
		{"builder.trigger", stemma.Pass, "", gcbPolicy(), many{clouded, claim(stemma.FieldTrigger, stemma.Claim{}), claim(stemma.FieldTriggerID, said("0c2bf0f1", stemma.SaidByBuilder, "/x"))}},
		{"builder.trigger", stemma.Fail, stemma.ReasonTrigger, gcbPolicy(), many{clouded, claim(stemma.FieldTrigger, said("release-app2", stemma.SaidByBuilder, "/x"))}},
		{"builder.trigger", stemma.Fail, stemma.ReasonNotStated, gcbPolicy(), many{clouded, claim(stemma.FieldTrigger, stemma.Claim{}), claim(stemma.FieldTriggerID, stemma.Claim{})}},
		{"builder.trigger", stemma.Fail, stemma.ReasonNotStated, gcbPolicy(), many{clouded, claim(stemma.FieldTriggerID, stemma.Claim{}), claim(stemma.FieldTrigger, said("release-app", stemma.SaidByTenant, "/substitutions"))}},
		{"builder.tasks", stemma.Pass, "", tektonPolicy(), many{chained}},
		{"builder.tasks", stemma.Fail, stemma.ReasonTask, tektonPolicy(), many{chained, extraTask(stemma.Task{Name: "inline"})}},
		{"builder.tasks", stemma.Fail, stemma.ReasonNotStated, tektonPolicy(), many{chained, provenanceHas(func(p *stemma.Provenance) { p.Tasks = nil })}},
		{"builder.tasks", stemma.Unknown, stemma.ReasonRateLimited, tektonPolicy(), unread(chained)},
		{"builder.steps", stemma.Pass, "", buildkitPolicy(), many{stepped}},
		{"builder.steps", stemma.Fail, stemma.ReasonNotStated, buildkitPolicy(), many{stepped, provenanceHas(func(p *stemma.Provenance) { p.Mode = "min" })}},
		{"builder.steps", stemma.Fail, stemma.ReasonNotStated, buildkitPolicy(), many{stepped, provenanceHas(func(p *stemma.Provenance) { p.Tasks = nil })}},
		{"builder.steps", stemma.Unknown, stemma.ReasonRateLimited, buildkitPolicy(), unread(stepped)},
	}
}

// A block is about the provenance of one kind of builder, whoever signs.
func TestBlockOfFamily(t *testing.T) {
	for _, c := range []struct {
		policy string
		make   func(*stemma.Evidence)
		known  []string
	}{
		{tektonPolicy(), chained, []string{"", "tekton chains", "Google Cloud Build", "GitHub Actions"}},
		{gcbPolicy(), clouded, []string{"", "Tekton Chains", "BuildKit"}},
		{buildkitPolicy(), stepped, []string{"", "GitHub Actions", "Tekton Chains"}},
	} {
		allowed(t, evaluate(t, c.policy, c.make))
		for _, known := range c.known {
			d := evaluate(t, c.policy, c.make, provenanceHas(func(p *stemma.Provenance) { p.Known = known }))
			if f := finding(t, d, "builder.approved"); d.Verdict != stemma.Deny || f.Reason != stemma.ReasonBuilder || !strings.Contains(f.Got, "provenance of ") {
				t.Errorf("%q: %s, %+v", known, d.Verdict, f)
			}
		}
	}
}

// chains#1346: Chains signs any digest that a task writes into its results.
func TestReg_C18_tekton_tasks(t *testing.T) {
	inline := stemma.Task{Name: "inline", Where: "/buildConfig/tasks/2"}
	lint := stemma.Task{Name: "lint", Ref: "quay.io/evil/tasks/lint", Digest: string(digest("lint"))}
	claims := func(t stemma.Task) stemma.Task {
		t.Results = []stemma.Digest{imageDigest()}
		return t
	}
	moved := func(ref string) func(*stemma.Evidence) { return task(1, func(t *stemma.Task) { t.Ref = ref }) }
	type many = []func(*stemma.Evidence)
	for _, c := range []struct {
		name    string
		changes many
		refused stemma.Reason // with others: refuse; "" when it is allowed
		let     stemma.Reason // with others: allow
	}{
		{"trusted tasks only", nil, "", ""},
		{"one in the run itself", many{extraTask(inline)}, stemma.ReasonTask, ""},
		{"one from elsewhere", many{extraTask(lint)}, stemma.ReasonTask, ""},
		{"the image by one in the run itself", many{task(1, func(t *stemma.Task) { t.Results = nil }), extraTask(claims(inline))}, stemma.ReasonTask, stemma.ReasonTask},
		{"the image by one from elsewhere", many{task(1, func(t *stemma.Task) { t.Results = nil }), extraTask(claims(lint))}, stemma.ReasonTask, stemma.ReasonTask},
		{"the image by a trusted one and another", many{extraTask(claims(inline))}, stemma.ReasonTask, stemma.ReasonTask},
		{"another image by another", many{extraTask(func() stemma.Task { x := lint; x.Results = []stemma.Digest{digest("other")}; return x }())}, stemma.ReasonTask, stemma.ReasonTask},
		{"the image by none", many{task(1, func(t *stemma.Task) { t.Results = nil })}, stemma.ReasonTask, stemma.ReasonTask},
		{"another image by the trusted one", many{task(1, func(t *stemma.Task) { t.Results = []stemma.Digest{digest("other")} })}, stemma.ReasonTask, stemma.ReasonTask},
		{"not pinned", many{task(1, func(t *stemma.Task) { t.Digest = "" })}, stemma.ReasonTask, stemma.ReasonTask},
		{"appended", many{moved("github.com/acme/tasks/build/Image.yaml/x")}, stemma.ReasonTask, stemma.ReasonTask},
		{"prepended", many{moved("evil.example/github.com/acme/tasks/build/Image.yaml")}, stemma.ReasonTask, stemma.ReasonTask},
		{"another owner", many{moved("github.com/acme-evil/tasks/build/Image.yaml")}, stemma.ReasonTask, stemma.ReasonTask},
		{"another directory", many{moved("github.com/acme/tasks/evil/Image.yaml")}, stemma.ReasonTask, stemma.ReasonTask},
		{"another host", many{moved("quay.io.evil.example/acme/tasks/x")}, stemma.ReasonTask, stemma.ReasonTask},
		{"no tasks", many{provenanceHas(func(p *stemma.Provenance) { p.Tasks = nil })}, stemma.ReasonNotStated, stemma.ReasonNotStated},
		{"results are not told", many{provenanceHas(func(p *stemma.Provenance) {
			p.ResultsReported, p.Tasks = "", p.Tasks[1:]
			p.Tasks[0].Results = nil
		})}, "", stemma.ReasonNotStated},
		{"results are not told, but those of images are", many{provenanceHas(func(p *stemma.Provenance) { p.ResultsReported = "" })}, "", stemma.ReasonNotStated},
		{"some tasks are told", many{provenanceHas(func(p *stemma.Provenance) { p.TasksReported = stemma.ReportedSome })}, stemma.ReasonNotStated, ""},
		{"it is not known whether all tasks are told", many{provenanceHas(func(p *stemma.Provenance) { p.TasksReported = "" })}, stemma.ReasonNotStated, ""},
		{"the one that built failed", many{task(1, func(t *stemma.Task) { t.Status = "Failed" })}, stemma.ReasonTask, stemma.ReasonTask},
		{"it is said to have succeeded", many{task(1, func(t *stemma.Task) { t.Status = "Succeeded" })}, "", ""},
		// A forge serves the commits of every fork under the name of the repository.
		{"at a commit that is not listed", many{task(1, func(t *stemma.Task) { t.Digest = strings.Repeat("e", 40) })}, stemma.ReasonTask, stemma.ReasonTask},
		{"at a commit that begins like a listed one", many{task(1, func(t *stemma.Task) { t.Digest += strings.Repeat("0", 24) })}, stemma.ReasonTask, stemma.ReasonTask},
	} {
		t.Run(c.name, func(t *testing.T) {
			for text, want := range map[string]stemma.Reason{
				change(t, tektonPolicy(), "\n        sourceFrom: {task: clone, url: url, commit: commit}", "", "saidBy: builder", "saidBy: tenant"):   c.refused,
				change(t, othersAllowed(t), "\n        sourceFrom: {task: clone, url: url, commit: commit}", "", "saidBy: builder", "saidBy: tenant"): c.let,
			} {
				if d := evaluate(t, text, append(many{chained}, c.changes...)...); want == "" {
					allowed(t, d)
				} else {
					only(t, d, "builder.tasks", want)
				}
			}
		})
	}
}

// The source of a run of Tekton is what its clone task says, and that only as good as the task.
func TestSourceFromTask(t *testing.T) {
	allowed(t, evaluate(t, tektonPolicy(), chained))
	tenant := othersAllowed(t)
	expect := func(change func(*stemma.Task), outcome stemma.Outcome, reason stemma.Reason, rule, policy string) {
		t.Helper()
		f := finding(t, evaluate(t, policy, chained, task(0, change)), rule)
		if f.Outcome != outcome || f.Reason != reason {
			t.Errorf("%s %s %s, want %s %s", f.Rule, f.Outcome, f.Reason, outcome, reason)
		}
	}
	output := func(name, value string) func(*stemma.Task) {
		return func(t *stemma.Task) {
			t.Outputs = map[string]string{"url": "https://github.com/acme/app.git", "commit": commitOfSource}
			t.Outputs[name] = value
		}
	}
	const repository = "source.repository"
	expect(output("url", "git@github.com:Acme/App.git"), stemma.Pass, "", repository, tektonPolicy())
	expect(output("url", "https://github.com/evil/app"), stemma.Fail, stemma.ReasonRepository, repository, tektonPolicy())
	// A parameter of the run names the right repository, and that is not asked for.
	expect(output("url", ""), stemma.Fail, stemma.ReasonNotStated, repository, tektonPolicy())
	expect(output("url", "https://github.com/acme/app/../evil"), stemma.Fail, stemma.ReasonNotStated, repository, tektonPolicy())
	expect(func(t *stemma.Task) { t.Name = "clone2" }, stemma.Fail, stemma.ReasonNotStated, repository, tektonPolicy())
	// Of a task that is not trusted it is the tenant's word.
	expect(func(t *stemma.Task) { t.Ref = "quay.io/evil/git-clone" }, stemma.Fail, stemma.ReasonSaidBy, repository, tenant)
	expect(func(t *stemma.Task) { t.Digest = "" }, stemma.Fail, stemma.ReasonSaidBy, repository, tenant)
	// Another task may have written into what a trusted one cloned.
	expect(output("url", "https://github.com/acme/app"), stemma.Fail, stemma.ReasonSaidBy, repository, tenant)
	expect(func(t *stemma.Task) { t.Status = "Failed" }, stemma.Fail, stemma.ReasonNotStated, repository, tektonPolicy())
	twice := evaluate(t, tenant, chained, provenanceHas(func(p *stemma.Provenance) { p.Tasks = append(p.Tasks, p.Tasks[0]) }))
	only(t, twice, repository, stemma.ReasonNotStated)

	// What is expected of a deployment is compared with the same.
	at := now()
	at.Expect = map[stemma.Field]string{stemma.FieldCommit: commitOfSource}
	e := f0()
	chained(e)
	allowed(t, Evaluate(load(t, tektonPolicy()), e, at))
	e.Provenance[0].Tasks[0].Outputs["commit"] = commitOfBuilder
	only(t, Evaluate(load(t, tektonPolicy()), e, at), "provenance.expected", stemma.ReasonExpected)
	e.Provenance[0].Tasks[0].Outputs["commit"] = "main"
	if d := Evaluate(load(t, tektonPolicy()), e, at); d.Verdict != stemma.Deny || finding(t, d, "provenance.expected").Outcome != stemma.Fail {
		t.Errorf("a branch for a commit:\n%s", render(d))
	}
}

// A view never changes what it is a view of: other builders and rules read the same evidence.
func TestViewChangesNothing(t *testing.T) {
	set := load(t, tektonPolicy())
	e, same := f0(), f0()
	chained(e)
	chained(same)
	Evaluate(set, e, now())
	if !reflect.DeepEqual(e, same) {
		t.Error("the evidence was changed")
	}
	// And what the certificate says stays first.
	p := &e.Provenance[0]
	p.Claims[stemma.FieldRepository] = said("github.com/acme/app", stemma.SaidByCertificate, "certificate .12", said("github.com/acme/x", stemma.SaidByTenant, "/x").Said)
	view := saying(p, map[stemma.Field]stemma.Said{stemma.FieldRepository: {Value: "github.com/evil/app", By: stemma.SaidByBuilder, Where: "/y"}})
	want := said("github.com/acme/app", stemma.SaidByCertificate, "certificate .12", stemma.Said{Value: "github.com/evil/app", By: stemma.SaidByBuilder, Where: "/y"})
	if got := view.Claims[stemma.FieldRepository]; !reflect.DeepEqual(got, want) || got.Contradicted() == nil {
		t.Errorf("%+v", got)
	}
	view = saying(p, map[stemma.Field]stemma.Said{stemma.FieldRepository: {}, stemma.FieldCommit: {}})
	if got := view.Claims[stemma.FieldRepository]; got.By != stemma.SaidByCertificate || len(got.Others) > 0 {
		t.Errorf("%+v", got)
	}
	if fields := len(view.Claims); fields != len(p.Claims) || !slices.ContainsFunc(p.Claims[stemma.FieldRepository].Others, func(s stemma.Said) bool { return s.Value == "github.com/acme/x" }) {
		t.Errorf("%d fields, %+v", fields, p.Claims)
	}
}

// What is distrusted is so where a policy finds it, too, and not only where a reader does.
func TestDistrustedWhereMapped(t *testing.T) {
	distrusting := func(list string) string {
		return tektonPolicy() + "---\napiVersion: policy.stemma.dev/v1alpha1\nkind: Distrust\nmetadata: {name: incident}\nspec: {reason: poisoned, " + list + "}\n"
	}
	allowed(t, evaluate(t, distrusting(`commits: [`+strings.Repeat("d", 40)+`], repositories: ["github.com/acme/app2"]`), chained))
	for _, list := range []string{`commits: [` + commitOfSource + `]`, `repositories: ["github.com/acme/cloned"]`} {
		cloned := task(0, func(t *stemma.Task) {
			if strings.Contains(list, "cloned") {
				t.Outputs["url"] = "https://github.com/acme/cloned"
			}
		})
		d := evaluate(t, distrusting(list), chained, cloned)
		if f := finding(t, d, "image.distrusted"); d.Verdict != stemma.Deny || f.Reason != stemma.ReasonDistrusted {
			t.Errorf("%s: %s", list, render(d))
		}
	}
}

// A builder's mapping is about its own provenance: what a stranger says is compared with it as it stands.
func TestStrangerIsNotMapped(t *testing.T) {
	stranger := func(repository string) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) {
			add(e, "stranger", keySigner("acme-kms", "review"), func(_ *stemma.Attestation, p *stemma.Provenance) {
				p.Known, p.Claims = "Tekton Chains", map[stemma.Field]stemma.Claim{
					stemma.FieldBuilder:    said("https://tekton.dev/chains/v2", stemma.SaidByBuilder, "/builder/id"),
					stemma.FieldRepository: said(repository, stemma.SaidByBuilder, "/materials/0"),
				}
			})
		}
	}
	if f := finding(t, evaluate(t, tektonPolicy(), chained, stranger("github.com/acme/app")), "provenance.agreement"); f.Outcome != stemma.Pass {
		t.Errorf("%+v", f)
	}
	if f := finding(t, evaluate(t, tektonPolicy(), chained, stranger("github.com/evil/app")), "provenance.agreement"); f.Reason != stemma.ReasonDisagreement {
		t.Errorf("%+v", f)
	}
}

// What one task cloned shows nothing of what was built, where the run names another source, too (threat C18).
func TestReg_C18_tekton_other_source(t *testing.T) {
	clone := func(url, commit string) func(*stemma.Evidence) {
		return extraTask(stemma.Task{
			Name: "clone-2", Ref: "quay.io/acme/tasks/git-clone", Digest: string(digest("git-clone")), Where: "/buildConfig/tasks/2",
			Outputs: map[string]string{"url": url, "commit": commit},
		})
	}
	material := func(kind stemma.InputKind, role stemma.InputRole, name, commit string) func(*stemma.Evidence) {
		return provenanceHas(func(p *stemma.Provenance) {
			in := stemma.Input{Kind: kind, Role: role, Canonical: name, Where: "/materials/3"}
			in.Digest = map[string]string{"sha1": commit}
			p.Inputs = append(p.Inputs, in)
		})
	}
	other := strings.Repeat("d", 40)
	for _, c := range []struct {
		name    string
		change  func(*stemma.Evidence)
		refused bool
	}{
		{"the same, cloned twice", clone("git@github.com:acme/app.git", commitOfSource), false},
		{"another repository is cloned, too", clone("https://github.com/evil/app", commitOfSource), true},
		{"another commit is cloned, too", clone("https://github.com/acme/app", other), true},
		{"another task has a result of the name", clone("https://registry.example/acme/app:1", "1.2"), false},
		{"a parameter names another repository", claim(stemma.FieldRepository, said("github.com/evil/app", stemma.SaidByTenant, "/invocation/parameters/git-url")), true},
		{"the source is among the materials", material(stemma.InputGit, stemma.RoleSource, "github.com/acme/app", commitOfSource), false},
		{"another repository is among the materials", material(stemma.InputGit, "", "github.com/evil/app", other), true},
		{"another commit is among the materials", material(stemma.InputGit, stemma.RoleSource, "github.com/acme/app", other), true},
		{"a definition is among the materials", material(stemma.InputAction, stemma.RoleDefinition, "github.com/acme/pipelines", other), false},
		{"an image is among the materials", material(stemma.InputImage, "", "quay.io/acme/go", other), false},
	} {
		d := evaluate(t, tektonPolicy(), chained, c.change)
		if !c.refused {
			allowed(t, d)
			continue
		}
		if f := finding(t, d, "provenance.consistent"); d.Verdict != stemma.Deny || f.Reason != stemma.ReasonContradiction {
			t.Errorf("%s: %s", c.name, render(d))
		}
	}
}

// Who may run a pipeline under the key of a cluster, or a build under Google's keys, must be said: forms that say it not
// are refused at load.
func TestWhoseRuns(t *testing.T) {
	const (
		tasks  = `tasks: {trusted: ["quay.io/acme/tasks/**"]}`
		source = `sourceFrom: {task: clone, url: url, commit: commit}`
		id     = "0c2bf0f1-1234-4abc-8def-0123456789ab"
	)
	for block, want := range map[string]string{
		"tekton: {namespaces: [acme]}":            "",
		`tekton: {namespaces: ["*"]}`:             "",
		"tekton: {" + tasks + ", " + source + "}": "",
		"tekton: {serviceAccounts: [build]}":      "does not say whose runs are accepted",
		"tekton: {" + tasks + "}":                 "does not say whose runs are accepted",
		"tekton: {" + source + "}":                "does not say whose runs are accepted",
		`tekton: {` + strings.Replace(tasks, "{", "{others: allow, ", 1) + ", " + source + "}": "does not say whose runs are accepted",
		`tekton: {namespaces: [a], tasks: {trusted: ["github.com/**"]}}`:                       "trusts the tasks of everybody on github.com",
		`tekton: {namespaces: [a], tasks: {trusted: ["quay.io/*/tasks/**"]}}`:                  "trusts the tasks of everybody on quay.io",
		`tekton: {namespaces: [a], tasks: {trusted: ["registry.acme.example/**"]}}`:            "",
		`tekton: {namespaces: [a], tasks: {trusted: ["github.com/acme/**"], commits: [main]}}`: `"main" is not a commit`,
		"gcb: {projects: [acme]}":                    "",
		"gcb: {triggers: [" + id + "]}":              "",
		"gcb: {projects: [acme], triggers: [build]}": "",
		`gcb: {projects: ["*"], triggers: [build]}`:  "",
		`gcb: {projects: ["*", acme]}`:               "none of Google's names",
		`gcb: {projects: ["acme-*"]}`:                "none of Google's names",
		"gcb: {triggers: [build]}":                   "a trigger of any project may have it",
		"gcb: {triggers: [" + id + ", build]}":       "a trigger of any project may have it",
	} {
		switch _, err := Load(files(keyedPolicy("https://ci.example/b", block, ""))...); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", block, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", block, err, want)
		}
	}
	any := change(t, tektonPolicy(), `[acme-tenant, "team-*"]`, `["*"]`)
	allowed(t, evaluate(t, any, chained))
	allowed(t, evaluate(t, any, chained, claim(stemma.FieldNamespace, stemma.Claim{})))
	only(t, evaluate(t, any, chained, claim(stemma.FieldServiceAccount, said("default", stemma.SaidByBuilder, "/x"))), "builder.namespace", stemma.ReasonCaller)
}
