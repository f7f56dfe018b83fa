package policy

import (
	"strings"

	"stemma"
)

// Level computes the SLSA Build level that evidence supports by itself, and what the next one lacks. It never exceeds
// 2: that a builder isolates its signing from its tenants cannot be read from evidence, so level 3 is credited by a
// policy only.
func Level(a *stemma.Attestation, p *stemma.Provenance) (stemma.Level, string) {
	switch {
	case a == nil || p == nil:
		return 0, "L1 needs a provenance"
	case a.Signer.KeyID != "":
		return 2, "L3 if a policy credits key " + a.Signer.KeyID + " with it"
	case a.Signer.Claims[stemma.ClaimBuildSignerURI] == "" && a.Signer.Claims[stemma.ClaimGitHubRepository] == "":
		return 1, "L2 needs a provenance signed by a hosted builder; " + a.Signer.Subject + " is not known as one"
	}
	if !isolated(a.Signer) {
		return 2, "L3 needs a reusable workflow in a repository of its own: this one is built and signed by the source's own workflow"
	}
	return 2, "L3 if a policy credits " + workflowRepository(a.Signer.Subject) + " with it"
}

// isolated reports whether the signing workflow lives in another repository than the source, which is what keeps a
// tenant's own changes out of it.
func isolated(id stemma.Identity) bool {
	if id.KeyID != "" {
		return true
	}
	source := strings.TrimPrefix(id.Claims[stemma.ClaimSourceRepositoryURI], "https://github.com/")
	if source == "" {
		source = id.Claims[stemma.ClaimGitHubRepository]
	}
	signer := workflowRepository(id.Subject)
	return source != "" && signer != "" && !strings.EqualFold(source, signer)
}

func workflowRepository(subject string) string {
	w, ok := stemma.ParseWorkflow(subject)
	if !ok {
		return ""
	}
	parts := strings.SplitN(w.Path, "/", 3)
	return parts[0] + "/" + parts[1]
}

// level is the level of a candidate under this policy: what its builder is credited with, up to what evidence supports.
func (j *judgement) level(c *candidate) (stemma.Level, string) {
	own, why := Level(c.attestation, c.provenance)
	credit, name := j.credit(c)
	switch {
	case name == "":
		return min(own, 1), "the signer is none of the builders that this policy credits with a level"
	case credit > int(own) && own >= 2 && isolated(c.attestation.Signer):
		return stemma.Level(credit), ""
	case credit < int(own):
		return stemma.Level(credit), "the policy credits " + name + " with no more"
	}
	return own, why
}
