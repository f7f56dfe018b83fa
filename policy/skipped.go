package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"stemma"
)

// limitsAge reports whether something in the policy has a greatest age.
func (p *loaded) limitsAge() bool {
	return slices.ContainsFunc(append([]*loaded{p}, p.alternatives...), func(q *loaded) bool {
		s := &q.spec
		return s.Provenance != nil && s.Provenance.MaxAge > 0 || s.Signature != nil && s.Signature.MaxAge > 0 ||
			s.SBOM != nil && s.SBOM.MaxAge > 0 || s.Vulnerabilities != nil && s.Vulnerabilities.MaxAge > 0 ||
			slices.ContainsFunc(s.Attestations, func(a Attested) bool { return a.MaxAge > 0 })
	})
}

// weakened says which of the policy's own exceptions are in force for the target.
func (j *judgement) weakened() []string {
	var out []string
	if a, _, _ := j.approval(); a != nil {
		out = append(out, fmt.Sprintf("approved: %s is taken on trust by %s until %s: %s", stemma.Digest(a.Digest).Short(), a.Owner, a.Until.Format(time.DateOnly), a.Reason))
	}
	for _, d := range j.spec.AllowDisagreement {
		out = append(out, fmt.Sprintf("allowDisagreement: provenance by %s may differ in %s: %s", strings.Join(d.By, ", "), strings.Join(d.On, ", "), d.Reason))
	}
	return out
}

// skipped says, for every trust domain under which the policy accepts identities, what its signatures need not prove.
func (s *Set) skipped(p *loaded) []string {
	var out []string
	if s.spec.ConfigSubjects == ConfigsAccepted {
		out = append(out, "configSubjects: accept (nothing compares the layers that a lazy runtime pulls with the config)")
	}
	for _, name := range p.trust() {
		if name == GitHubTrust {
			out = append(out, "trust domain github does not require: log, sct (GitHub's instance offers neither)")
		}
		for _, t := range s.spec.Trust {
			if t.Name != name {
				continue
			}
			var none []string
			if t.Requires.Log == None {
				none = append(none, "log")
			}
			// A log entry carries a time of its own, so that only where neither is required time comes from nowhere.
			if t.Requires.Timestamp == None && t.Requires.Log == None {
				none = append(none, "timestamp")
			}
			if t.Requires.SCT == None {
				none = append(none, "sct")
			}
			if len(none) > 0 {
				out = append(out, "trust domain "+name+" does not require: "+strings.Join(none, ", "))
			}
			switch {
			case t.Time == None:
				out = append(out, "trust domain "+name+" proves no signing time")
			case len(t.Keys) > 0 && p.limitsAge():
				// A certificate is valid for minutes. A key is for years, and anybody can have its signatures stamped anew.
				out = append(out, "ages under trust domain "+name+" are those of the timestamp: a key's signature may be older")
			}
		}
	}
	return out
}
