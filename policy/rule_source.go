package policy

import (
	"fmt"
	"slices"
	"strings"

	"stemma"
)

func sourceRepository() Rule {
	return Rule{
		ID:       "source.repository",
		Title:    "built from another repository than this image belongs to",
		Why:      "A trusted reusable workflow builds for whoever calls it: only the source repository ties an image to its project, and a fork passes every other check.",
		Fix:      "deploy an image that was built from the expected repository; if it moved, change source.repository or add an exception",
		Since:    "0.1",
		Controls: []string{"SA-10", "SR-4"},
		inForce:  func(p *loaded) bool { return p.spec.Source != nil },
		each: func(j *judgement, c *candidate) result {
			want, vars, path := j.source()
			return j.claimed(c, stemma.FieldRepository, stemma.ReasonRepository, want.expand(vars), path, func(got string) bool {
				_, ok := foldGitHub(want).match(got, vars)
				return ok
			})
		},
	}
}

// source is the repository that the image must be built from, and where that is written.
func (j *judgement) source() (want Pattern, vars map[string]string, path string) {
	for i, e := range j.spec.Source.Exceptions {
		if bound, ok := e.Image.match(j.evidence.Image.Repository, nil); ok {
			return e.Repository, bound, exceptionPath(i)
		}
	}
	return j.spec.Source.Repository, j.vars, "source.repository"
}

// called is the difference of a run of somebody else's: where nothing says who may call a shared workflow, only a run for the
// source of the image counts. Of provenance the rules of the source say it; of all else that is signed the certificate
// does.
func (j *judgement) called(g Signer, id stemma.Identity) difference {
	if j.spec.Source == nil {
		return difference{}
	}
	guest := g.guest(id)
	if guest == nil {
		return difference{}
	}
	want, vars, _ := j.source()
	if _, ok := foldGitHub(want).match(guest.repository, vars); ok {
		return difference{}
	}
	d := difference{stemma.ReasonCaller, "run for " + guest.repository, "run for " + want.expand(vars) + ", or an identity with " + guest.limit, guest.path, 21}
	if guest.repository == "" {
		d.reason, d.got = stemma.ReasonNotStated, "the certificate does not state for whom it ran"
	}
	return d
}

func sourceRef() Rule {
	return Rule{
		ID:       "source.ref",
		Title:    "built from a ref that is not accepted",
		Why:      "Branch protection and reviews guard some refs only; anybody who can push can build any other.",
		Fix:      "deploy an image that was built from an accepted branch or tag",
		Since:    "0.1",
		Controls: []string{"CM-3", "CM-5", "SA-10"},
		inForce:  func(p *loaded) bool { return p.spec.Source != nil && len(p.spec.Source.Refs) > 0 },
		each: func(j *judgement, c *candidate) result {
			refs := make([]string, len(j.spec.Source.Refs))
			for i, r := range j.spec.Source.Refs {
				refs[i] = string(r)
			}
			return j.claimed(c, stemma.FieldRef, stemma.ReasonRef, strings.Join(refs, " or "), "source.refs", func(got string) bool {
				for _, r := range j.spec.Source.Refs {
					if _, ok := r.match(got, j.vars); ok {
						return true
					}
				}
				return false
			})
		},
	}
}

func sourceIdentity() Rule {
	return Rule{
		ID:       "source.identity",
		Title:    "the source repository, or its owner, has another number than accepted",
		Why:      "A name is given away when an account is renamed or deleted, and whoever takes it builds under it. The number of a repository and of its owner is never given twice.",
		Fix:      "deploy an image that was built from the very repository that source.repositoryIDs and source.ownerIDs mean; if it was recreated, add its new number after a review",
		Since:    "0.1",
		Controls: []string{"SR-4", "SR-11"},
		inForce: func(p *loaded) bool {
			return p.spec.Source != nil && len(p.spec.Source.RepositoryIDs)+len(p.spec.Source.OwnerIDs) > 0
		},
		each: func(j *judgement, c *candidate) result {
			var got []string
			for _, id := range []struct {
				field stemma.Field
				key   string
				list  []string
			}{
				{stemma.FieldRepositoryID, "repositoryIDs", j.spec.Source.RepositoryIDs},
				{stemma.FieldOwnerID, "ownerIDs", j.spec.Source.OwnerIDs},
			} {
				if len(id.list) == 0 {
					continue
				}
				claim := c.provenance.Claims[id.field]
				r := result{
					outcome: stemma.Fail, got: string(id.field) + " " + claim.Value, want: string(id.field) + " " + strings.Join(id.list, " or ") + ", said by certificate",
					proof: c.proof(), path: "source." + id.key,
				}
				switch {
				case claim.Value == "":
					r.reason, r.got = stemma.ReasonNotStated, string(id.field)+" not stated"
					return r
				case claim.By != stemma.SaidByCertificate:
					// Whoever writes the name into the provenance writes the number that fits it, too.
					r.reason, r.got = stemma.ReasonSaidBy, r.got+", said by "+grade(claim.By)
					r.fix = "build with a builder whose certificate states it"
					return r
				case !slices.Contains(id.list, claim.Value):
					r.reason, r.got = stemma.ReasonRepository, r.got+" ("+claim.Where+")"
					return r
				}
				got = append(got, r.got)
			}
			return pass(strings.Join(got, ", ")+", said by certificate", c.provenance.Bundle)
		},
	}
}

func exceptionPath(i int) string { return fmt.Sprintf("source.exceptions[%d].repository", i) }

// foldGitHub lower-cases a pattern for GitHub's hosts, where two names that differ only in case are the same repository.
// The canonical form of the claims is lower-case there for the same reason.
func foldGitHub(p Pattern) Pattern {
	if host, rest, ok := strings.Cut(string(p), "/"); ok && (strings.EqualFold(host, "github.com") || strings.HasSuffix(strings.ToLower(host), ".ghe.com")) {
		parts := strings.Split(rest, "/")
		for i, c := range parts {
			if !strings.HasPrefix(c, "{") {
				parts[i] = strings.ToLower(c)
			}
		}
		return Pattern(strings.ToLower(host) + "/" + strings.Join(parts, "/"))
	}
	return p
}

// claimed judges one claim of the provenance: its value, and whether it is said by somebody whose word is enough.
func (j *judgement) claimed(c *candidate, field stemma.Field, reason stemma.Reason, want, path string, ok func(string) bool) result {
	need := j.grade()
	claim := c.provenance.Claims[field]
	r := result{outcome: stemma.Fail, got: claim.Value, want: want, proof: c.proof(), path: path}
	switch {
	case claim.Value == "":
		r.reason, r.got = stemma.ReasonNotStated, "not stated"
	case claim.By.Rank() < need.Rank():
		r.reason = stemma.ReasonSaidBy
		by := grade(claim.By)
		r.got = claim.Value + ", said by " + by
		r.want = want + ", said by " + string(need) + " or better"
		if j.spec.Source.SaidBy != "" {
			r.path = "source.saidBy"
		}
		r.fix = "build with a builder whose certificate states it, or, if the word of " + by + " is enough, say so with source.saidBy"
	case !ok(claim.Value):
		r.reason = reason
		r.got = claim.Value + " (" + claim.Where + ")"
	default:
		p := pass(claim.Value+", said by "+string(claim.By), c.provenance.Bundle)
		return p
	}
	return r
}
