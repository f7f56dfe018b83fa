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

// form is one way to say who signs: exactly one is written.
type form interface {
	key() string                           // under which it is written: "github"
	differs(id stemma.Identity) difference // of a verified identity under the right trust domain
	describe() string                      // as it is written, for people
	controls() controls                    // what the certificate must say besides
	check(c *checker, path string)         // when it is loaded
}

// controls are requirements of a run that are judged by what the certificate says: of provenance by rules of their own, of
// all else with the identity. What is zero is not asked.
type controls struct {
	events []string // that may start it
	runner string   // kind of machine
}

// forms lists what is written.
func (g Signer) forms() []form {
	var out []form
	if g.GitHub != nil {
		out = append(out, g.GitHub)
	}
	if g.GitLab != nil {
		out = append(out, g.GitLab)
	}
	if g.Buildkite != nil {
		out = append(out, g.Buildkite)
	}
	if g.CircleCI != nil {
		out = append(out, g.CircleCI)
	}
	if g.OIDC != nil {
		out = append(out, g.OIDC)
	}
	if len(g.Keys) > 0 {
		out = append(out, keyed(g.Keys))
	}
	return out
}

// form is the one that is written; what is loaded has exactly one. The zero Signer is nobody.
func (g Signer) form() form {
	switch {
	case g.GitHub != nil:
		return g.GitHub
	case g.GitLab != nil:
		return g.GitLab
	case g.Buildkite != nil:
		return g.Buildkite
	case g.CircleCI != nil:
		return g.CircleCI
	case g.OIDC != nil:
		return g.OIDC
	}
	return keyed(g.Keys)
}

// differs compares a verified identity with a wanted one. Events and runner have rules of their own.
func (g Signer) differs(id stemma.Identity) difference {
	if trust := cmp.Or(g.Trust, PublicGood); id.Trust != trust {
		return difference{stemma.ReasonTrustDomain, describe(id) + ", verified under " + id.Trust, g.describe() + " under " + trust, "trust", 1}
	}
	return g.form().differs(id)
}

// under compares a verified identity, which is the wanted one, with the controls that it is wanted under, as its certificate
// states them. Provenance has rules of its own for it; all else that is signed has nothing but the certificate.
func (g Signer) under(id stemma.Identity) difference {
	form := g.form()
	compare := func(key string, reason stemma.Reason, allowed []string, claims ...string) difference {
		var got []string
		for _, c := range claims {
			if v := id.Claims[c]; v != "" && !slices.Contains(got, v) {
				got = append(got, v)
			}
		}
		d := difference{reason, strings.Join(got, ", "), strings.Join(allowed, " or "), form.key() + "." + key, 4}
		switch {
		case len(allowed) == 0:
			return difference{}
		case len(got) == 0:
			d.reason, d.got = stemma.ReasonNotStated, "not stated by the certificate"
			return d
		case slices.ContainsFunc(got, func(v string) bool { return !slices.Contains(allowed, v) }):
			return d
		}
		return difference{}
	}
	asked := form.controls()
	if d := compare("events", stemma.ReasonTrigger, asked.events, stemma.ClaimBuildTrigger, stemma.ClaimGitHubTrigger); d.reason != "" {
		return d
	}
	var runner []string
	if asked.runner != "" {
		runner = []string{asked.runner}
	}
	return compare("runner", stemma.ReasonRunner, runner, stemma.ClaimRunnerEnvironment)
}

// accepts reports whether a verified identity is the wanted one, under the controls that are written.
func (g Signer) accepts(id stemma.Identity) bool {
	return g.differs(id).reason == "" && g.under(id).reason == ""
}

// guest is who ran a workflow or a CI configuration of another repository, of which the policy does not say who may.
type guest struct {
	repository string // canonical, or "" where the certificate does not state it
	path       string // below the signer, where the policy could say it
	limit      string // and by what
}

// guest tells the run of a guest by the certificate of an accepted identity; nil: there is none, or the policy says who may
// be one. Whoever calls what is shared gets signatures by its identity, of what he likes.
func (g Signer) guest(id stemma.Identity) *guest {
	var own, path, limit string
	switch {
	case g.GitHub != nil && g.GitHub.Caller == nil:
		w, _ := stemma.ParseWorkflow(id.Subject)
		own, path, limit = w.Repository, "github.workflow", "caller"
	case g.GitLab != nil && len(g.GitLab.GroupIDs)+len(g.GitLab.ProjectIDs) == 0:
		project, _, _, _ := gitLabConfig(id.Issuer, id.Subject)
		own, path, limit = strings.TrimPrefix(id.Issuer, "https://")+"/"+project, "gitlab.config", "groupIDs or projectIDs"
	default:
		return nil
	}
	uri := id.Claims[stemma.ClaimSourceRepositoryURI]
	if name := id.Claims[stemma.ClaimGitHubRepository]; uri == "" && name != "" {
		uri = "https://" + gitHubHost(id.Issuer) + "/" + name
	}
	from, err := stemma.CanonicalRepository(uri)
	if err == nil && strings.EqualFold(from, own) {
		return nil
	}
	return &guest{from, path, limit}
}

// speaks reports whether an identity is the wanted one and speaks for nobody else: what no source ties to an image, a
// signature over a policy or a waiver, counts by nothing but who signed it.
func (g Signer) speaks(id stemma.Identity) bool { return g.accepts(id) && g.guest(id) == nil }

func (g Signer) describe() string { return g.form().describe() }

func (OIDC) key() string            { return "oidc" }
func (OIDC) controls() controls     { return controls{} }
func (OIDC) check(*checker, string) {}
func (o OIDC) describe() string     { return o.Subject }

func (o OIDC) differs(id stemma.Identity) difference {
	if id.Issuer != o.Issuer {
		return difference{stemma.ReasonIssuer, "issuer " + quoteEmpty(id.Issuer), "issuer " + o.Issuer, "oidc.issuer", 2}
	}
	if id.Subject != o.Subject {
		return difference{stemma.ReasonSigner, describe(id), o.describe(), "oidc.subject", 3}
	}
	// What the forms of these services refuse of every job is no less another's word for being written as a subject.
	d := difference{}
	if isCircleCI(id.Issuer) {
		d = byMachine(id)
	} else if _, _, _, ok := gitLabConfig(id.Issuer, id.Subject); ok {
		d = ofMergeRequest(id)
	}
	if d.reason != "" {
		d.path = "oidc.subject"
	}
	return d
}

// keyed is a signer by names of keys.
type keyed []string

func (keyed) key() string            { return "keys" }
func (keyed) controls() controls     { return controls{} }
func (keyed) check(*checker, string) {}
func (k keyed) describe() string     { return "key " + strings.Join(k, " or ") }

func (k keyed) differs(id stemma.Identity) difference {
	if id.KeyID == "" || !slices.Contains(k, id.KeyID) {
		return difference{stemma.ReasonSigner, describe(id), k.describe(), "keys", 2}
	}
	return difference{}
}

// describe names an identity the way policies write it.
func describe(id stemma.Identity) string {
	if w, ok := stemma.ParseWorkflow(id.Subject); ok {
		return w.Path + " @ " + w.Ref
	}
	return id.String()
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
	if len(matches) <= 1 {
		for _, names := range matches {
			return min(1, len(names))
		}
		return 0
	}
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

// distinctID is what makes two signers the same one: the key, or the issuer and the subject. Of a workflow and of a CI
// configuration the ref does not count: who controls it controls it at all its tags. Nor does which issuer a job of
// CircleCI asked for its token, or the trust domain.
func distinctID(id stemma.Identity) string {
	if id.KeyID != "" {
		return "key\x00" + string(id.Key)
	}
	if w, ok := stemma.ParseWorkflow(id.Subject); ok {
		// An enterprise may have an issuer of its own for the same repositories.
		issuer := id.Issuer
		if strings.HasPrefix(issuer, GitHubIssuer+"/") {
			issuer = GitHubIssuer
		}
		return issuer + "\x00" + foldOwner(w.Path)
	}
	if project, file, _, ok := gitLabConfig(id.Issuer, id.Subject); ok {
		// A project may be renamed to another case, and no two differ in case only.
		return id.Issuer + "\x00" + strings.ToLower(project) + "//" + file
	}
	if isCircleCI(id.Issuer) && strings.HasPrefix(id.Subject, circleCIProjects) {
		return circleCIIssuer + "\x00" + id.Subject
	}
	return id.Issuer + "\x00" + id.Subject
}
