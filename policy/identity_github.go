package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stemma"
)

func (GitHub) key() string { return "github" }

func (g GitHub) controls() controls { return controls{events: g.Events, runner: g.Runner} }

// gitHubHost is where the repositories of an issuer of GitHub Actions are: an Enterprise with a host of its own has an
// issuer of its own.
func gitHubHost(issuer string) string {
	if host, ok := strings.CutPrefix(issuer, "https://token.actions."); ok && strings.HasSuffix(host, ".ghe.com") {
		return host
	}
	return "github.com"
}

func (g GitHub) differs(id stemma.Identity) difference {
	if issuer := cmp.Or(g.Issuer, GitHubIssuer); id.Issuer != issuer {
		return difference{stemma.ReasonIssuer, describe(id) + ", issuer " + quoteEmpty(id.Issuer), g.describe() + ", issuer " + issuer, "github.workflow", 2}
	}
	got, ok := stemma.ParseWorkflow(id.Subject)
	if !ok || !strings.HasPrefix(got.Repository, gitHubHost(id.Issuer)+"/") {
		return difference{stemma.ReasonBuilder, describe(id), g.describe(), "github.workflow", 3}
	}
	if _, ok := Pattern(foldOwner(string(g.Workflow))).match(foldOwner(got.Path), nil); !ok {
		return difference{stemma.ReasonBuilder, got.Path + " @ " + got.Ref, g.describe(), "github.workflow", 3 + common(got.Path, string(g.Workflow))}
	}
	if !g.acceptsRef(got.Ref, id.Claims[stemma.ClaimBuildSignerDigest]) {
		return difference{stemma.ReasonBuilderRef, got.Path + " @ " + got.Ref, g.describe(), "github.workflowRefs", 20}
	}
	if c := g.Caller; c != nil {
		for _, check := range []struct{ name, claim, want string }{
			{"ownerID", id.Claims[stemma.ClaimSourceOwnerID], c.OwnerID},
			{"repositoryID", id.Claims[stemma.ClaimSourceRepositoryID], c.RepositoryID},
		} {
			if check.want != "" && check.claim != check.want {
				reason := stemma.ReasonCaller
				if check.claim == "" {
					reason = stemma.ReasonNotStated
				}
				return difference{reason, "caller " + check.name + " " + quoteEmpty(check.claim) + caller(id), "caller " + check.name + " " + check.want, "github.caller." + check.name, 21}
			}
		}
	}
	return difference{}
}

// acceptsRef: a workflow called at a branch or tag carries that ref; one called at a commit carries the commit, which
// any fork can offer, so a commit counts only when it is listed.
func (g GitHub) acceptsRef(ref, commit string) bool {
	if slices.Contains(g.WorkflowCommits, ref) || commit != "" && slices.Contains(g.WorkflowCommits, commit) {
		return true
	}
	if !strings.HasPrefix(ref, "refs/") {
		return false
	}
	return slices.ContainsFunc(g.WorkflowRefs, func(p Pattern) bool { _, ok := p.match(ref, nil); return ok })
}

// common counts leading path components that are equal.
func common(a, b string) int {
	n := 0
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for n < len(as) && n < len(bs) && as[n] == bs[n] {
		n++
	}
	return n
}

func (g GitHub) describe() string {
	refs := make([]string, 0, len(g.WorkflowRefs)+len(g.WorkflowCommits))
	for _, r := range g.WorkflowRefs {
		refs = append(refs, string(r))
	}
	for _, c := range g.WorkflowCommits {
		refs = append(refs, c[:12]+"…")
	}
	return string(g.Workflow) + " @ " + strings.Join(refs, " or ")
}

func caller(id stemma.Identity) string {
	if uri := id.Claims[stemma.ClaimSourceRepositoryURI]; uri != "" {
		return " (" + strings.TrimPrefix(uri, "https://") + ")"
	}
	return ""
}

// foldOwner lower-cases owner and repository of a workflow's path, which name the same thing on GitHub in any case. The
// rest is the path of a file, where case counts.
func foldOwner(path string) string {
	parts := strings.SplitN(path, "/", 3)
	for i := range min(2, len(parts)) {
		parts[i] = strings.ToLower(parts[i])
	}
	return strings.Join(parts, "/")
}

// check refuses what would accept workflows that nobody meant.
func (g GitHub) check(c *checker, path string) {
	parts := strings.Split(string(g.Workflow), "/")
	if len(parts) < 5 || parts[2] != ".github" || parts[3] != "workflows" {
		c.fail(join(path, "workflow"), "write owner/repository/.github/workflows/file.yml, without host and ref", "%q is not the path of a workflow", g.Workflow)
	} else if strings.ContainsAny(parts[0], "*{") {
		// "*/build" would accept any organisation's repository of that name.
		c.fail(join(path, "workflow"), "name the owner", "%q accepts workflows of any owner", g.Workflow)
	}
	for _, captured := range g.Workflow.captures() {
		c.fail(join(path, "workflow"), "write * for one component", "{%s} cannot be used here: builders are shared by images", captured)
	}
	if len(g.WorkflowRefs) == 0 && len(g.WorkflowCommits) == 0 {
		c.fail(path, `write workflowRefs: ["refs/tags/v*"] or workflowCommits: [...]`, "%s does not say at which refs the workflow is accepted", last(path))
	}
	for i, r := range g.WorkflowRefs {
		for _, captured := range r.captures() {
			c.fail(fmt.Sprintf("%s[%d]", join(path, "workflowRefs"), i), "write * for one component", "{%s} cannot be used here: builders are shared by images", captured)
		}
		if !strings.HasPrefix(string(r), "refs/") {
			c.fail(fmt.Sprintf("%s[%d]", join(path, "workflowRefs"), i), fmt.Sprintf("write refs/tags/%s or refs/heads/%s", r, r), "%q is not a full ref", r)
		}
	}
	for i, commit := range g.WorkflowCommits {
		if len(commit) != 40 || strings.Trim(commit, "0123456789abcdef") != "" {
			c.fail(fmt.Sprintf("%s[%d]", join(path, "workflowCommits"), i), "write all 40 lower-case hex digits", "%q is not a full commit", commit)
		}
	}
	if g.Runner != "" && g.Runner != "github-hosted" && g.Runner != "self-hosted" {
		c.fail(join(path, "runner"), suggestion(g.Runner, []string{"github-hosted", "self-hosted"}), "unknown runner %q", g.Runner)
	}
}
