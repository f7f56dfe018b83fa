package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stemma"
)

func approvalRules() []Rule { return []Rule{imageApproved(), imageDistrusted(), policyAlternative()} }

func imageApproved() Rule {
	return Rule{
		ID:       "image.approved",
		Title:    "this digest is not, or no longer, taken on trust",
		Why:      "Some images have no evidence and never will. Naming the digest, who answers for it and until when keeps the exception visible and small; a looser policy would let in everything else, too.",
		Fix:      "get evidence for the image, or have its owner renew the approval after a review",
		Since:    "0.1",
		Controls: []string{"CM-7(5)", "RA-7"},
		inForce:  func(p *loaded) bool { return len(p.spec.Approved) > 0 },
		image:    checkApproved,
	}
}

// approval finds the approval of what is judged: of its own digest, or of the index it was asked for by. It also returns
// the one that ended last, when none is in force.
func (j *judgement) approval() (current, ended *Approval, path string) {
	for i := range j.spec.Approved {
		a := &j.spec.Approved[i]
		if _, ok := a.Image.match(j.top.Image.Repository, nil); !ok {
			continue
		}
		if d := stemma.Digest(a.Digest); d == "" || d != j.top.Image.Digest && d != j.target.digest() {
			continue
		}
		at := fmt.Sprintf("approved[%d]", i)
		// "until: last day": whole days in UTC, inclusive.
		if j.at.At.Before(a.Until.AddDate(0, 0, 1)) {
			return a, nil, at
		}
		if ended == nil || a.Until.After(ended.Until.Time) {
			ended, path = a, at
		}
	}
	return nil, ended, path
}

func checkApproved(j *judgement) result {
	current, ended, path := j.approval()
	switch {
	case current != nil:
		r := pass("taken on trust until " + current.Until.Format(time.DateOnly) + " by " + current.Owner + ": " + current.Reason)
		r.detail, r.path = strings.TrimSpace("nothing else of this policy was required of it "+current.Ticket), path
		return r
	case ended != nil:
		// What is required of every other image is required of this one again, and the findings say whether it is met.
		return result{
			outcome: stemma.Unknown, reason: stemma.ReasonExpired, advisory: true, path: path,
			got: "taken on trust until " + ended.Until.Format(time.DateOnly) + " by " + ended.Owner, want: "an approval that has not ended", fix: "ask " + ended.Owner + " to renew it, if the reason still holds: " + ended.Reason,
		}
	}
	return result{outcome: stemma.NotApplicable}
}

// underApproval reports whether a rule is judged although the digest is taken on trust.
func underApproval(r Rule) bool {
	return slices.ContainsFunc(append(expectRules(), imageApproved(), imageDistrusted(), imagePlatform()), func(o Rule) bool { return o.ID == r.ID })
}

func imageDistrusted() Rule {
	return Rule{
		ID:       "image.distrusted",
		Title:    "something that is said of this image is distrusted",
		Why:      "A stolen key, a compromised run or a poisoned commit leaves evidence that verifies for ever. Only a list of what is known to be bad takes it back.",
		Fix:      "rebuild the image from what is not distrusted, and find out how far the incident reached",
		Since:    "0.1",
		Controls: []string{"IR-4", "SI-5"},
		inForce:  func(p *loaded) bool { return len(p.distrust) > 0 },
		image:    checkDistrusted,
	}
}

// checkDistrusted looks at everything authentic that is said of what is judged, accepted or not, and of the indexes above
// it. It passes only when all of it could be compared with every list.
func checkDistrusted(j *judgement) result {
	var cites []stemma.Digest
	type read struct {
		a        *stemma.Attestation
		readings []*stemma.Provenance
	}
	var all []read
	for _, e := range append([]*stemma.Evidence{j.top, j.evidence}, j.target.above...) {
		if e == nil {
			continue
		}
		for i := range e.Attestations {
			a := &e.Attestations[i]
			cites = append(cites, a.Bundle)
			all = append(all, read{a, j.policy.readings(a, e)})
		}
	}
	unknown := ""
	for _, d := range j.policy.distrust {
		named := []struct{ what, digest string }{{"image", string(j.top.Image.Digest)}, {"image", string(j.target.digest())}}
		if j.evidence != nil {
			named = append(named, struct{ what, digest string }{"config", string(j.evidence.Config)})
		}
		for _, n := range named {
			if i := slices.Index(d.spec.Digests, n.digest); i >= 0 && n.digest != "" {
				return d.found(n.what+" "+n.digest, fmt.Sprintf("digests[%d]", i), "")
			}
		}
		for _, r := range all {
			what, path, unclear := d.names(r.a, r.readings)
			if what != "" {
				found := d.found(what, path, proof(r.a))
				found.cites = []stemma.Digest{r.a.Bundle}
				return found
			}
			unknown = max(unknown, unclear)
		}
	}
	if unknown != "" {
		return result{
			outcome: stemma.Unknown, reason: stemma.ReasonBadAnswer, got: unknown, want: "a name that can be compared with what is distrusted",
			detail: "it has characters or parts that no canonical name has, so that no pattern can be compared with it",
		}
	}
	return pass(count(len(j.policy.distrust), "Distrust document")+" names nothing of it", cites...)
}

func (d *distrusted) found(got, path, proof string) result {
	return result{
		outcome: stemma.Fail, reason: stemma.ReasonDistrusted, got: got, want: "nothing that Distrust " + d.name + " names",
		detail: strings.TrimSpace(d.spec.Reason + " " + d.spec.Ticket), proof: proof, place: d.where(path),
	}
}

// readings are all that an attestation says of a build: as it was read, and as each builder of the policy that signed it
// means it. What is distrusted is so wherever a policy finds it.
func (p *loaded) readings(a *stemma.Attestation, e *stemma.Evidence) []*stemma.Provenance {
	var out []*stemma.Provenance
	for _, list := range [][]stemma.Provenance{e.Provenance, e.Other} {
		for i := range list {
			if list[i].Bundle != a.Bundle {
				continue
			}
			out = append(out, &list[i])
			for _, name := range slices.Sorted(maps.Keys(p.builders)) {
				b := p.builders[name]
				if !slices.ContainsFunc(append([]stemma.Identity{a.Signer}, a.Cosigners...), func(id stemma.Identity) bool { return b.differs(id).reason == "" }) {
					continue
				}
				if view, away := b.view(a, &list[i]); away.reason == "" && view != &list[i] {
					out = append(out, view)
				}
			}
		}
	}
	return out
}

// names reports what of an attestation the document names. A name that no pattern can be compared with is unclear: it
// must not slip through a list of what is bad.
func (d *distrusted) names(a *stemma.Attestation, readings []*stemma.Provenance) (what, path, unclear string) {
	if t := a.Time(); !t.IsZero() && (t.Before(d.spec.From.Time) || !d.spec.Until.IsZero() && !t.Before(d.spec.Until.AddDate(0, 0, 1))) {
		return "", "", ""
	}
	exact := func(list []string, key, name, value string) bool {
		i := slices.Index(list, value)
		if i < 0 || value == "" || what != "" {
			return false
		}
		what, path = name+" "+value, fmt.Sprintf("%s[%d]", key, i)
		return true
	}
	like := func(list []Pattern, key, name, value string) {
		if value == "" || what != "" || len(list) == 0 {
			return
		}
		plain := plainName(value)
		if _, ok := Pattern("**").match(plain, nil); !ok {
			unclear = name + " " + value
			return
		}
		for i, p := range list {
			if _, ok := Pattern(plainName(string(p))).match(plain, nil); ok {
				what, path = name+" "+value, fmt.Sprintf("%s[%d]", key, i)
				return
			}
		}
	}
	exact(d.spec.Digests, "digests", "evidence", string(a.Bundle))
	for _, id := range append([]stemma.Identity{a.Signer}, a.Cosigners...) {
		exact(d.spec.Keys, "keys", "key", string(id.Key))
		exact(d.spec.Issuers, "issuers", "issuer", id.Issuer)
		like(d.spec.Signers, "signers", "signer", id.Subject)
		exact(d.spec.Commits, "commits", "commit", id.Claims[stemma.ClaimSourceRepositoryHash])
		exact(d.spec.Commits, "commits", "commit of the workflow", id.Claims[stemma.ClaimBuildSignerDigest])
		like(d.spec.Runs, "runs", "run", id.Claims[stemma.ClaimRunInvocationURI])
		like(d.spec.Repositories, "repositories", "repository", id.Claims[stemma.ClaimSourceRepositoryURI])
	}
	for _, p := range readings {
		for _, f := range stemma.Fields() {
			claim := p.Claims[f]
			for _, s := range append([]stemma.Said{claim.Said}, claim.Others...) {
				switch f {
				case stemma.FieldBuilder:
					like(d.spec.Builders, "builders", "builder", s.Value)
				case stemma.FieldRepository:
					like(d.spec.Repositories, "repositories", "repository", s.Value)
				case stemma.FieldCommit, stemma.FieldWorkflowCommit:
					exact(d.spec.Commits, "commits", string(f), s.Value)
				case stemma.FieldRun:
					like(d.spec.Runs, "runs", "run", s.Value)
				}
			}
		}
		like(d.spec.Builders, "builders", "builder", p.Delegate)
	}
	return what, path, unclear
}

// plainName is a name as lists of distrust compare it: without scheme, in lower case, and with the double slash of GitLab
// as one. What is bad stays bad in another spelling.
func plainName(name string) string {
	if _, rest, ok := strings.Cut(name, "://"); ok {
		name = rest
	}
	name = strings.ToLower(name)
	for strings.Contains(name, "//") {
		name = strings.ReplaceAll(name, "//", "/")
	}
	return strings.TrimSuffix(name, "/")
}

func policyAlternative() Rule {
	return Rule{
		ID:       "policy.alternative",
		Title:    "none of the alternatives of the policy is met as a whole",
		Why:      "Alternatives that could be met by halves would be none: the builder of the one and the signature of the other are no way in which anybody makes images.",
		Fix:      "see what the nearest alternative lacks",
		Since:    "0.1",
		Controls: []string{"CM-7(5)"},
		inForce:  func(p *loaded) bool { return p.alternative != "" },
		// The outcome is that of all other rules together; see judge.
		image: func(*judgement) result { return result{outcome: stemma.NotApplicable} },
	}
}

// judged is what one policy says of one target.
type judged struct {
	findings []stemma.Finding
	level    stemma.Level
	policy   *loaded // the policy, or the alternative that was chosen
}

// judge applies a policy to a target: as it is, or the alternative that comes closest to being met.
func (j *judgement) judge() judged {
	if len(j.policy.alternatives) == 0 {
		findings, level := j.run()
		return judged{findings, level, j.policy}
	}
	rank := map[stemma.Verdict]int{stemma.Allow: 0, stemma.Undetermined: 1}
	var best judged
	var lacking []string
	order := [2]int{4, 0}
	for _, p := range j.policy.alternatives {
		alternative := *j
		alternative.policy, alternative.spec = p, &p.spec
		findings, level := alternative.run()
		var lacks []string
		for _, f := range findings {
			if badness(f.Outcome) > 0 && !f.Advisory && f.Needs == "" {
				lacks = append(lacks, f.Rule)
			}
		}
		slices.Sort(lacks)
		lacking = append(lacking, fmt.Sprintf("%s: %s", p.alternative, strings.Join(slices.Compact(lacks), ", ")))
		verdict, ok := rank[verdictOf(findings)]
		if !ok {
			verdict = 2
		}
		if now := [2]int{verdict, len(lacks)}; slices.Compare(now[:], order[:]) < 0 {
			best, order = judged{findings, level, p}, now
		}
	}
	r := pass("alternative " + best.policy.alternative)
	if order[0] > 0 {
		r = result{
			outcome: stemma.Fail, reason: stemma.ReasonAlternatives, got: "nearest: " + best.policy.alternative,
			want: "all of one alternative", items: lacking,
		}
	}
	if order[0] == 1 {
		i := slices.IndexFunc(best.findings, func(f stemma.Finding) bool { return badness(f.Outcome) == 1 && !f.Advisory })
		r.outcome, r.reason, r.detail = stemma.Unknown, stemma.ReasonUnreachable, "of the nearest alternative, something could not be looked at"
		if i >= 0 {
			r.reason = best.findings[i].Reason
		}
	}
	r.path = "anyOf"
	alternative := policyAlternative()
	best.findings = append(best.findings, j.finding(&alternative, r))
	return best
}
