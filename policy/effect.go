package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"stemma"
)

// changes checks the parts of a set that say who may change it, and what becomes of a verdict.
func (c *checker) changes(s *Set) {
	signers := func(path string, names []string) {
		for i, name := range names {
			at := fmt.Sprintf("%s[%d]", path, i)
			if _, ok := s.spec.Signers[name]; !ok {
				known := []string{}
				for n := range s.spec.Signers {
					known = append(known, n)
				}
				slices.Sort(known)
				c.fail(at, cmp.Or(suggestion(name, known), "define it under signers of the PolicySet"), "no signer named %q", name)
			}
			if slices.Contains(names[:i], name) {
				c.fail(at, "keep one", "%q stands twice", name)
			}
		}
	}
	signers("spec.signedBy", s.spec.SignedBy)
	if len(s.spec.SignedBy) > 0 && s.spec.Version == 0 {
		c.fail("spec.signedBy", "add version: 1, and raise it with every change", "a signed set without a version could be replaced by an older one")
	}
	c.oneFile(s)
	if w := s.spec.Waivers; w != nil {
		signers("spec.waivers.approvedBy", w.ApprovedBy)
		for i, n := range w.Never {
			block := strings.TrimSuffix(n, ".*")
			if strings.ContainsAny(block, "*{") {
				c.fail(fmt.Sprintf("spec.waivers.never[%d]", i), "write the id of a rule, or a block and .*: signature.*", "%q is no rule", n)
				continue
			}
			// Rules of one's own may be those of a policy that is not given here. What is misspelt would protect nothing.
			var ids []string
			for _, r := range Rules() {
				if strings.HasPrefix(r.ID, strings.SplitN(block, ".", 2)[0]+".") {
					ids = append(ids, r.ID)
				}
			}
			if len(ids) > 0 && block == n && !slices.Contains(ids, n) {
				c.fail(fmt.Sprintf("spec.waivers.never[%d]", i), suggestion(n, ids), "no rule is called %q", n)
			}
		}
	}
	for i, e := range s.spec.Exempt {
		if !validNamespace(e.Namespace) {
			c.fail(fmt.Sprintf("spec.exempt[%d].namespace", i), "name each namespace", "%q is not the name of a namespace", e.Namespace)
		}
		if slices.ContainsFunc(s.spec.Exempt[:i], func(o Exemption) bool { return o.Namespace == e.Namespace }) {
			c.fail(fmt.Sprintf("spec.exempt[%d].namespace", i), "keep one", "%q is exempt twice", e.Namespace)
		}
	}
}

func imageTag() Rule {
	return Rule{
		ID:       "image.tag",
		Title:    "the image is asked for by a tag, which can be another image tomorrow",
		Why:      "What was judged is a digest. A tag can be moved between the judgement and the pull, and by the next restart; then what runs was never judged.",
		Fix:      "ask for the image by its digest, or let the deployment pin it",
		Since:    "0.1",
		Controls: []string{"CM-2", "SI-7(15)"},
		inForce:  func(p *loaded) bool { return p.tags != "" },
		image:    checkTag,
	}
}

func checkTag(j *judgement) result {
	r := result{
		reason: stemma.ReasonTag, got: "the tag " + quoteEmpty(j.top.Image.Tag), want: "the digest " + string(j.top.Image.Digest), path: "tags",
		outcome: stemma.Fail,
	}
	switch {
	case !j.at.ByTag:
		return pass("asked for by digest")
	case j.at.Pinned:
		return pass("the digest is deployed instead of the tag")
	case j.set.Tags == TagsObserved:
		r.outcome, r.advisory = stemma.Unknown, true
	}
	return r
}

// timeBased reports whether a finding is about nothing but time that passed, so that it can become unmet without any
// change of image, evidence or policy.
func timeBased(f stemma.Finding) bool {
	return f.Outcome == stemma.Fail && f.Reason == stemma.ReasonAge
}

// effect is what an edge does with the verdict of one policy on the findings, and why it is milder than the verdict.
func (s *Set) effect(p *loaded, findings []stemma.Finding, at stemma.Situation) (stemma.Effect, string) {
	verdict := verdictOf(findings)
	if verdict == stemma.Allow {
		return stemma.Admit, ""
	}
	if slices.ContainsFunc(findings, func(f stemma.Finding) bool { return f.Reason == stemma.ReasonDistrusted }) && p.mode() == Enforce {
		return stemma.Refuse, "" // of an incident no date, namespace or restart makes less
	}
	switch mode := p.mode(); {
	case mode == Audit:
		return stemma.Admit, "policy " + p.name + " only observes (mode audit)"
	case mode == WarnAll:
		return stemma.Warn, "policy " + p.name + " only warns (mode warn)"
	case at.At.Before(p.spec.EnforceFrom.Time):
		return stemma.Warn, "policy " + p.name + " warns until it enforces from " + p.spec.EnforceFrom.Format(time.DateOnly)
	}
	if e := s.exempt(at); e != nil {
		return stemma.Admit, fmt.Sprintf("namespace %s is exempt until %s (%s): %s", e.Namespace, e.Until.Format(time.DateOnly), e.Owner, e.Reason)
	}
	if s.kept(at) {
		rest := slices.DeleteFunc(slices.Clone(findings), timeBased)
		if len(rest) < len(findings) && verdictOf(rest) == stemma.Allow {
			return stemma.Warn, "it was admitted here on " + at.Admitted.UTC().Format(time.DateOnly) + ", and nothing but time has passed (running: keep)"
		}
	}
	if u := s.spec.Undetermined; verdict == stemma.Undetermined && u != nil && tried(findings) {
		known := time.Duration(u.LastKnownGood)
		switch {
		case known > 0 && !at.LastGood.IsZero() && !at.LastGood.After(at.At) && at.At.Sub(at.LastGood) <= known:
			return stemma.Warn, "the same set allowed it on " + at.LastGood.UTC().Format("2006-01-02 15:04Z") + ", and not all of it can be looked at now (undetermined.lastKnownGood)"
		case u.Otherwise == OtherwiseWarn:
			return stemma.Warn, "not all of it could be looked at (undetermined.otherwise: warn)"
		}
	}
	return stemma.Refuse, ""
}

// tried reports whether what is unknown is so for want of an answer. What is waived, or was never asked, is nothing that
// another look would settle.
func tried(findings []stemma.Finding) bool {
	unknown := false
	for _, f := range findings {
		if f.Outcome == stemma.Unknown && !f.Advisory {
			if f.Reason.Class() != stemma.CouldNotCheck {
				return false
			}
			unknown = true
		}
	}
	return unknown
}

// exempt finds the exemption in force for the namespace.
func (s *Set) exempt(at stemma.Situation) *Exemption {
	for i := range s.spec.Exempt {
		if e := &s.spec.Exempt[i]; at.Namespace != "" && e.Namespace == at.Namespace && at.At.Before(e.Until.AddDate(0, 0, 1)) {
			return e
		}
	}
	return nil
}

// kept reports whether this is the restart of an image that ages no longer refuse.
func (s *Set) kept(at stemma.Situation) bool {
	r := s.spec.Running
	return r.Keep && !at.Admitted.IsZero() && !at.Admitted.After(at.At) && (r.For == 0 || at.At.Sub(at.Admitted) <= time.Duration(r.For))
}

func (p *loaded) mode() Mode { return cmp.Or(p.spec.Mode, Enforce) }

func stronger(a, b stemma.Effect) stemma.Effect {
	order := []stemma.Effect{stemma.Admit, stemma.Warn, stemma.Refuse}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}
