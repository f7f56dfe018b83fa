package policy

import (
	"fmt"
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
