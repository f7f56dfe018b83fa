package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stemma"
)

func (Tekton) key() string { return "tekton" }

// view is provenance of Tekton Chains whose source is what the task of sourceFrom wrote.
func (k Tekton) view(_ *stemma.Attestation, p *stemma.Provenance) (*stemma.Provenance, difference) {
	p, away := ofFamily("Tekton Chains", "tekton", p)
	if k.SourceFrom == nil || away.reason != "" {
		return p, away
	}
	repository, commit := k.source(p)
	out := saying(p, map[stemma.Field]stemma.Said{stemma.FieldRepository: repository, stemma.FieldCommit: commit})
	for f, others := range k.elsewhere(p, repository.Value, commit.Value) {
		if claim := out.Claims[f]; claim.Value != "" {
			claim.Others = append(claim.Others, others...)
			out.Claims[f] = claim
		}
	}
	return out, difference{}
}

// source is what the one task of that name says was built. It is the builder's word where the task is trusted, for what it
// does is then known, and so is that its results are what it cloned; and where all others are, for any task may write into
// what it cloned.
func (k Tekton) source(p *stemma.Provenance) (repository, commit stemma.Said) {
	named := slices.DeleteFunc(slices.Clone(p.Tasks), func(t stemma.Task) bool { return t.Name != k.SourceFrom.Task })
	if len(named) != 1 || !succeeded(named[0]) {
		return repository, commit
	}
	task := named[0]
	by := stemma.SaidByTenant
	if k.Tasks != nil && k.Tasks.Others != OthersAllowed && k.Tasks.problem(task) == "" {
		by = p.Author
	}
	at := func(result string) string { return task.Where + " result " + result }
	if name, err := stemma.CanonicalRepository(task.Outputs[k.SourceFrom.URL]); err == nil {
		repository = stemma.Said{Value: name, By: by, Where: at(k.SourceFrom.URL)}
	}
	if hex := task.Outputs[k.SourceFrom.Commit]; stemma.IsCommit(hex) {
		commit = stemma.Said{Value: hex, By: by, Where: at(k.SourceFrom.Commit)}
	}
	return repository, commit
}

// elsewhere is what the run says of a source in other places: parameters, other tasks with results of those names, and
// repositories among its inputs. That one task cloned the right repository shows nothing of what was built while another
// cloned a wrong one (threat C18).
func (k Tekton) elsewhere(p *stemma.Provenance, repository, commit string) map[stemma.Field][]stemma.Said {
	out := map[stemma.Field][]stemma.Said{}
	names := func(r, c, where string) {
		if r != "" && r != repository {
			out[stemma.FieldRepository] = append(out[stemma.FieldRepository], stemma.Said{Value: r, By: stemma.SaidByTenant, Where: where})
		} else if c != "" && c != commit {
			out[stemma.FieldCommit] = append(out[stemma.FieldCommit], stemma.Said{Value: c, By: stemma.SaidByTenant, Where: where})
		}
	}
	read := p.Claims[stemma.FieldRepository]
	for _, s := range append([]stemma.Said{read.Said}, read.Others...) {
		names(s.Value, "", s.Where)
	}
	for _, t := range p.Tasks {
		if t.Name == k.SourceFrom.Task {
			continue
		}
		r, err := stemma.CanonicalRepository(t.Outputs[k.SourceFrom.URL])
		if c := t.Outputs[k.SourceFrom.Commit]; err == nil && stemma.IsCommit(c) {
			names(r, c, t.Where)
		}
	}
	for _, in := range p.Inputs {
		if in.Kind != stemma.InputGit || in.Role == stemma.RoleDefinition {
			continue
		}
		commits := slices.DeleteFunc(slices.Sorted(maps.Values(in.Digest)), func(c string) bool { return !stemma.IsCommit(c) })
		for _, c := range append(commits, in.Version) {
			if !stemma.IsCommit(c) {
				c = ""
			}
			names(in.Canonical, c, in.Where)
		}
	}
	return out
}

// succeeded reports whether a task did its work, as far as that is told: what it wrote before it failed shows nothing.
func succeeded(t stemma.Task) bool { return t.Status == "" || t.Status == "Succeeded" }

// problem says why a task is not trusted; "" when it is. A tag of a bundle can be moved, and a definition in the run
// itself is the tenant's. A commit must be listed: forges serve those of every fork under the name of the repository.
func (t *Tasks) problem(task stemma.Task) string {
	switch {
	case task.Ref == "":
		return "defined in the run itself, or by what names no repository"
	case !slices.ContainsFunc(t.Trusted, func(p Pattern) bool { _, ok := foldAction(p).match(task.Ref, nil); return ok }):
		return task.Ref + " is not trusted"
	case task.Digest == "":
		return task.Ref + " is not pinned by digest or commit"
	case stemma.IsCommit(task.Digest) && !slices.Contains(t.Commits, task.Digest):
		return task.Ref + " is at commit " + task.Digest + ", which tasks.commits does not list"
	}
	return ""
}

func builderTasks() Rule {
	return Rule{
		ID:       "builder.tasks",
		Title:    "a task took part in the build, or says it built the image, that is not trusted",
		Why:      "Tekton Chains signs whatever digest a task writes into its results: a task that a tenant defined can claim any image, and one that shares the workspace can change what the others build.",
		Fix:      "build with trusted tasks only, each named by digest or commit; add a task to builders.tekton.tasks.trusted after a review",
		Since:    "0.1",
		Controls: []string{"CM-5", "SA-15", "SR-3"},
		inForce: func(p *loaded) bool {
			return p.asksBuilder(func(b Builder) bool { return b.Tekton != nil && b.Tekton.Tasks != nil })
		},
		each: checkTasks,
	}
}

func checkTasks(j *judgement, c *candidate) result {
	b := j.policy.builders[c.builder]
	if b.Tekton == nil || b.Tekton.Tasks == nil {
		return result{outcome: stemma.NotApplicable}
	}
	tasks, image := b.Tekton.Tasks, c.attestation.Binding.Member
	r := result{
		outcome: stemma.Fail, reason: stemma.ReasonTask, want: "only " + anyPattern(tasks.Trusted, nil) + ", each by digest or commit",
		proof: c.proof(), path: j.builderPath(c.builder, "tekton.tasks"),
	}
	var bad []string
	told, trusted, built := c.provenance.ResultsReported == stemma.ReportedAll, 0, false
	for _, t := range c.provenance.Tasks {
		problem := tasks.problem(t)
		trusted += map[bool]int{true: 1}[problem == ""]
		switch {
		case problem == "":
			built = built || succeeded(t) && slices.Contains(t.Results, image)
		case tasks.Others != OthersAllowed:
			bad = append(bad, taskItem(t, problem))
		case len(t.Results) > 0:
			bad = append(bad, taskItem(t, problem+", and says that it built "+count(len(t.Results), "image")))
		}
	}
	switch {
	case len(bad) > 0:
		return several(c, r, bad, fmt.Sprintf("%d of %s", len(bad), count(len(c.provenance.Tasks), "task")))
	case trusted == 0:
		r.reason, r.got = stemma.ReasonNotStated, "no trusted task is named"
		return r
	case tasks.Others != OthersAllowed && c.provenance.TasksReported != stemma.ReportedAll:
		// Of a pipeline that is resolved elsewhere the form slsa names the remote tasks only: those that stand in it are
		// hidden.
		r.reason, r.got = stemma.ReasonNotStated, "not all tasks of the run are told: its pipeline is defined elsewhere"
		r.want = "provenance that tells them: format slsa/v1 of Chains, or build type slsa-tekton"
		return r
	case told && !built:
		// Then the digest came from a parameter, or from a result of the pipeline that no task wrote (threat C18).
		r.got, r.want = "no trusted task says that it built "+image.Short(), "a trusted task among whose results it is"
		return r
	case !told && tasks.Others == OthersAllowed:
		r.reason, r.got = stemma.ReasonNotStated, "the results of tasks are not told: any task may have built the image"
		r.want = "provenance that tells them, or others: refuse"
		return r
	}
	return pass(count(trusted, "trusted task"), c.provenance.Bundle)
}

// taskItem is the line of a finding about one task.
func taskItem(t stemma.Task, problem string) string {
	name := shortened(t.Name)
	if name == "" {
		name = "a task without a name"
	}
	return name + ": " + shortened(problem) + " (" + shortened(t.Where) + ")"
}

// check refuses what would trust tasks that nobody meant, and what no provenance of Chains has.
func (k Tekton) check(c *checker, path string, b Builder) {
	c.signedBy(path, "Tekton Chains", b, "keys", "oidc")
	for _, list := range []struct {
		name     string
		patterns []Pattern
	}{{"namespaces", k.Namespaces}, {"serviceAccounts", k.ServiceAccounts}} {
		for i, p := range list.patterns {
			at := fmt.Sprintf("%s[%d]", join(path, list.name), i)
			c.noCaptures(at, p)
			if strings.Contains(string(p), "/") || p == "**" {
				c.fail(at, "write a name: acme-tenant, or team-*", "%q is no name of Kubernetes", p)
			}
		}
	}
	if len(k.Namespaces) == 0 && !k.proven() {
		c.fail(path, `write namespaces, ["*"] on a cluster of one tenant; or tasks with others: refuse, and sourceFrom`, "%s does not say whose runs are accepted: one key signs for every namespace", last(path))
	}
	if k.Tasks != nil {
		for i, commit := range k.Tasks.Commits {
			if !stemma.IsCommit(commit) {
				c.fail(fmt.Sprintf("%s[%d]", join(path, "tasks.commits"), i), "write all 40 lower-case hex digits, or 64", "%q is not a commit", commit)
			}
		}
		for i, p := range k.Tasks.Trusted {
			at := fmt.Sprintf("%s[%d]", join(path, "tasks.trusted"), i)
			c.noCaptures(at, p)
			if first, rest, _ := strings.Cut(string(p), "/"); rest == "" || strings.ContainsAny(first, "*{") || !strings.ContainsAny(first, ".:") && first != "localhost" {
				c.fail(at, "write quay.io/acme/tasks/** for bundles, github.com/acme/tasks/** for files of a repository", "%q does not begin with the name of a host", p)
			} else if owner, _, _ := strings.Cut(rest, "/"); publicHost(first) && strings.ContainsAny(owner, "*{") {
				// Anybody may have an account there.
				c.fail(at, "name the owner: "+first+"/acme/tasks/**", "%q trusts the tasks of everybody on %s", p, first)
			}
		}
	}
}

// anyNamespace asks nothing of the namespace, not even that it is told.
const anyNamespace Pattern = "*"

// proven reports whether it matters little who ran the pipeline: nothing but trusted tasks took part, and they say what
// they cloned.
func (k Tekton) proven() bool {
	return k.Tasks != nil && k.Tasks.Others != OthersAllowed && k.SourceFrom != nil
}

// publicHost reports a host on which anybody may have an account.
func publicHost(host string) bool {
	return slices.Contains([]string{
		"github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "quay.io", "docker.io", "ghcr.io", "gcr.io", "registry.gitlab.com", "public.ecr.aws",
	}, host)
}
