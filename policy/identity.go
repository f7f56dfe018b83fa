package policy

import (
	"cmp"
	"slices"
	"strings"

	"stemma"
)

// difference is the first way in which an identity is not the one wanted; the zero difference is none. Rank orders
// differences by how close the identity came, so that the explanation is about the builder that was meant.
type difference struct {
	reason stemma.Reason
	got    string
	want   string
	path   string // below the builder or signer
	rank   int
}

// differs compares a verified identity with a wanted one. Events and runner have rules of their own.
func (g Signer) differs(id stemma.Identity) difference {
	if trust := cmp.Or(g.Trust, PublicGood); id.Trust != trust {
		return difference{stemma.ReasonTrustDomain, describe(id) + ", verified under " + id.Trust, g.describe() + " under " + trust, "trust", 1}
	}
	switch {
	case g.GitHub != nil:
		return g.GitHub.differs(id)
	case g.OIDC != nil:
		if id.Issuer != g.OIDC.Issuer {
			return difference{stemma.ReasonIssuer, "issuer " + quoteEmpty(id.Issuer), "issuer " + g.OIDC.Issuer, "oidc.issuer", 2}
		}
		if id.Subject != g.OIDC.Subject {
			return difference{stemma.ReasonSigner, describe(id), g.describe(), "oidc.subject", 3}
		}
		return difference{}
	}
	if id.KeyID == "" || !slices.Contains(g.Keys, id.KeyID) {
		return difference{stemma.ReasonSigner, describe(id), g.describe(), "keys", 2}
	}
	return difference{}
}

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

func (g Signer) describe() string {
	switch {
	case g.GitHub != nil:
		return g.GitHub.describe()
	case g.OIDC != nil:
		return g.OIDC.Subject
	}
	return "key " + strings.Join(g.Keys, " or ")
}

// describe names an identity the way policies write it.
func describe(id stemma.Identity) string {
	if w, ok := stemma.ParseWorkflow(id.Subject); ok {
		return w.Path + " @ " + w.Ref
	}
	return id.String()
}

func caller(id stemma.Identity) string {
	if uri := id.Claims[stemma.ClaimSourceRepositoryURI]; uri != "" {
		return " (" + strings.TrimPrefix(uri, "https://") + ")"
	}
	return ""
}

func quoteEmpty(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// distinct is the largest number of different identities that can each be given a different name among those they
// match: one signer who fits two names counts once (GHSA-3633, GHSA-c346).
func distinct(matches map[string][]string) int {
	owner := map[string]string{} // name → identity
	var place func(id string, tried map[string]bool) bool
	place = func(id string, tried map[string]bool) bool {
		for _, name := range matches[id] {
			if tried[name] {
				continue
			}
			tried[name] = true
			if have, ok := owner[name]; !ok || place(have, tried) {
				owner[name] = id
				return true
			}
		}
		return false
	}
	n := 0
	for id := range matches {
		if place(id, map[string]bool{}) {
			n++
		}
	}
	return n
}

// distinctID is what makes two signers the same one: the key, or the issuer and the subject. Of a workflow the ref does
// not count: who controls it controls it at all its tags. The trust domain does not count either.
func distinctID(id stemma.Identity) string {
	if id.KeyID != "" {
		return "key\x00" + string(id.Key)
	}
	if w, ok := stemma.ParseWorkflow(id.Subject); ok {
		return id.Issuer + "\x00" + foldOwner(w.Path)
	}
	return id.Issuer + "\x00" + id.Subject
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
