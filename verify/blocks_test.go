package verify_test

import (
	"strings"
	"testing"

	"stemma"
	"stemma/stemmatest"
)

// chains#1346: what Tekton Chains signs, in the three forms that have the results of tasks or not, judged by the tasks that
// took part.
func TestReg_C18_tekton(t *testing.T) {
	key := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "chains-2026"))
	run := stemmatest.Chains{
		Repository: "https://git.acme.example/acme/app", Branch: "main", Commit: stemmatest.Commit("app"), Pipelines: "https://git.acme.example/acme/pipelines",
		Tasks: "quay.io/acme/tasks", Namespace: "acme-tenant", ServiceAccount: "build-pipeline",
	}
	const tekton = `id: "https://tekton.dev/chains/v2", level: 2, tekton: {serviceAccounts: [build-pipeline], tasks: {trusted: ["quay.io/acme/tasks/*"]}, sourceFrom: {task: clone-repository, url: url, commit: commit}}}`
	text := in(in(keyed(key), `id: "https://ci.acme.example/builder", level: 2}`, tekton), "saidBy: tenant", "saidBy: builder")
	namespaced := in(text, "serviceAccounts: [build-pipeline]", "namespaces: [acme-tenant]")
	type write func(c stemmatest.Chains, subject ...stemma.ResourceDescriptor) *stemmatest.Statement
	by := func(c stemmatest.Chains, w write, change func(st *stemmatest.Statement)) func(s *stage) {
		return func(s *stage) {
			s.byKey(bare(key), func(st *stemmatest.Statement) {
				*st = *w(c, st.Subject...)
				if change != nil {
					change(st)
				}
			})
		}
	}
	as := func(change func(c *stemmatest.Chains)) stemmatest.Chains {
		c := run
		change(&c)
		return c
	}
	set := func(pointer string, value any) func(st *stemmatest.Statement) {
		return func(st *stemmatest.Statement) { st.Set(pointer, value) }
	}
	const task = "/buildConfig/tasks/1"
	inline := set(task+"/ref", map[string]any{})
	var cases []reg
	add := func(name, policy string, good write, play func(s *stage), w want) {
		cases = append(cases, reg{name: name, policy: policy, control: by(run, good, nil), play: play, want: w})
	}
	untrusted, unstated := fails("builder.tasks", stemma.ReasonTask), fails("builder.namespace", stemma.ReasonNotStated)
	konflux, runs := stemmatest.Chains.Konflux, stemmatest.Chains.V1Runs
	add("v0.2, a task of the tenant's", text, konflux, by(run, konflux, func(st *stemmatest.Statement) {
		inline(st)
		st.Set(task+"/invocation/configSource", map[string]any{})
	}), untrusted)
	add("v0.2, tasks from elsewhere", text, konflux, by(as(func(c *stemmatest.Chains) { c.Tasks = "quay.io/evil/tasks" }), konflux, nil), untrusted)
	add("v0.2, the digest is no result of a task", text, konflux, by(run, konflux, set(task+"/results", []any{})), untrusted)
	add("v0.2, a result of the task that cloned", text, konflux, by(run, konflux, func(st *stemmatest.Statement) {
		// It is trusted, too: whatever a trusted task says that it built is believed.
		st.Set("/buildConfig/tasks/0/results/0", map[string]any{"name": "IMAGE_DIGEST", "type": "string", "value": "sha256:" + st.Subject[0].Digest["sha256"]})
		st.Set(task+"/results", []any{})
	}), want{})
	add("v0.2, a task by its tag", text, konflux, by(run, konflux, func(st *stemmatest.Statement) {
		st.Set(task+"/ref/params/1/value", "quay.io/acme/tasks/buildah:0.1")
		st.Set(task+"/invocation/configSource", map[string]any{})
	}), untrusted)
	add("v0.2, another account", text, konflux, by(as(func(c *stemmatest.Chains) { c.ServiceAccount = "default" }), konflux, nil), fails("builder.namespace", stemma.ReasonCaller))
	add("v0.2, two accounts", text, konflux, by(run, konflux, set(task+"/serviceAccountName", "default")), unstated)
	add("v0.2, another repository", text, konflux, by(as(func(c *stemmatest.Chains) { c.Repository = "https://git.acme.example/evil/app" }), konflux, nil), fails("source.repository", stemma.ReasonRepository))
	add("v0.2, nothing was cloned", text, konflux, by(run, konflux, set("/buildConfig/tasks/0/name", "fetch")), fails("source.repository", stemma.ReasonNotStated))
	add("v0.2, a label names the namespace", namespaced, runs, by(run, konflux, set("/invocation/environment/labels/tekton.dev~1namespace", "acme-tenant")), unstated)
	add("v1, another namespace", namespaced, runs, by(as(func(c *stemmatest.Chains) { c.Namespace = "evil" }), runs, nil), fails("builder.namespace", stemma.ReasonCaller))
	add("v1, tasks from elsewhere", namespaced, runs, by(as(func(c *stemmatest.Chains) { c.Tasks = "quay.io/acme/tasks/evil" }), runs, nil), untrusted)
	add("v1, the runs are not told", namespaced, runs, by(run, stemmatest.Chains.V1, nil), unstated)
	add("v0.2, runs as well", text, konflux, by(run, runs, nil), want{})
	add("another kind of provenance", text, konflux, func(s *stage) {
		s.byKey(bare(key), func(st *stemmatest.Statement) { st.Set("/runDetails/builder/id", "https://tekton.dev/chains/v2") })
	}, fails("builder.approved", stemma.ReasonBuilder))
	play(t, cases...)
	if !strings.Contains(text, "sourceFrom") || !strings.Contains(namespaced, "namespaces") {
		t.Fatal("the policies ask for nothing")
	}
}

// One envelope that two managed keys signed is the word of two builders; one that a key signed twice is that of one.
func TestTwoKeysOneEnvelope(t *testing.T) {
	a, b := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "ci-a")), must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "ci-b"))
	text := keyedBy("requires: {log: none, timestamp: none, sct: none}\n      time: none", "", a, b)
	text = in(text, `ci: {trust: ci, keys: [ci-a, ci-b], id: "https://ci.acme.example/builder", level: 2}`,
		`a: {trust: ci, keys: [ci-a], id: "https://ci.acme.example/builder", level: 2}`+"\n"+`    b: {trust: ci, keys: [ci-b], id: "https://ci.acme.example/builder", level: 2}`)
	text = in(text, "by: [ci]", "by: {atLeast: 2, of: [a, b]}")
	by := func(first *stemmatest.Signer, more ...*stemmatest.Signer) func(s *stage) {
		return func(s *stage) {
			x := must[*stemmatest.Signed](s)(s.Sigstore.Attest(bare(first), generic(s.Subject(s.image)).JSON()))
			for _, k := range more {
				if err := x.Envelope.Sign(k); err != nil {
					s.Fatal(err)
				}
			}
			s.image.AttachCosign(".att", must[stemmatest.Layer](s)(x.CosignAttestation())) // a bundle has one signature
		}
	}
	too := fails("builder.approved", stemma.ReasonThreshold)
	play(
		t,
		reg{name: "in the other order", policy: text, control: by(a, b), play: by(b, a), want: want{}},
		reg{name: "one", policy: text, control: by(a, b), play: by(a), want: too},
		reg{name: "the other", policy: text, control: by(a, b), play: by(b), want: too},
		reg{name: "one twice", policy: text, control: by(a, b), play: by(a, a), want: too},
	)
}
