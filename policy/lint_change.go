package policy

import (
	"fmt"
	"slices"
	"strings"
)

func waiverEnded(l *linter) {
	for _, w := range l.set.waivers {
		if l.ended(w.spec.Until) {
			l.warn(w.page(), "until", "remove it, or renew it after a review", "waiver %s ended on %s", w.name, onDay(w.spec.Until))
		}
	}
}

func waiverEnds(l *linter) {
	for _, w := range l.set.waivers {
		if l.ends(w.spec.Until, 14) {
			l.warn(w.page(), "until", "mend what it is for, or have it renewed ("+w.spec.Owner+")", "waiver %s ends on %s", w.name, onDay(w.spec.Until))
		}
	}
}

func waiverRepository(l *linter) {
	for _, w := range l.set.waivers {
		for i, image := range w.spec.Images {
			if _, digest := image.split(); digest == "" {
				l.warn(w.page(), fmt.Sprintf("images[%d]", i), "name the image by its digest: "+string(image)+"@sha256:…", "waiver %s is for every image of %s", w.name, image)
			}
		}
	}
}

func waiverBroad(l *linter) {
	for _, w := range l.set.waivers {
		if n := len(w.spec.Rules); n > 3 && len(w.spec.Namespaces) == 0 {
			l.warn(w.page(), "rules", "add namespaces, or waive fewer rules", "waiver %s is for %d rules in every namespace", w.name, n)
		}
	}
}

func waiverTicket(l *linter) {
	for _, w := range l.set.waivers {
		if w.spec.Ticket == "" {
			l.warn(w.page(), "reason", "add ticket: where it is followed up", "waiver %s has no ticket", w.name)
		}
	}
}

// neverNamesNothing knows the rules that there are, and those that the policies add.
func neverNamesNothing(l *linter) {
	if l.set.spec.Waivers == nil {
		return
	}
	var ids, known []string
	for _, r := range Rules() {
		ids = append(ids, r.ID)
	}
	for _, p := range append(slices.Clone(l.set.policies), l.set.idle...) {
		for _, r := range p.rules {
			ids = append(ids, r.ID)
		}
	}
	for _, id := range ids {
		block, _, _ := strings.Cut(id, ".")
		known = append(known, id, block+".*")
	}
	slices.Sort(known)
	known = slices.Compact(known)
	for i, n := range l.set.spec.Waivers.Never {
		block, all := strings.CutSuffix(n, ".*")
		if all && slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(id, block+".") }) || slices.Contains(ids, n) {
			continue
		}
		hint := suggestion(n, known)
		if strings.HasPrefix(hint, "known here") {
			hint = "stemma policy explain lists the rules"
		}
		l.warn(l.set.page(), fmt.Sprintf("waivers.never[%d]", i), hint, "%q names no rule", n)
	}
}

func exemptionEnded(l *linter) {
	for i, e := range l.set.spec.Exempt {
		if l.ended(e.Until) {
			l.warn(l.set.page(), fmt.Sprintf("exempt[%d].until", i), "remove it, or renew it after a review", "the exemption of namespace %s ended on %s", e.Namespace, onDay(e.Until))
		}
	}
}

func exemptionLong(l *linter) {
	for i, e := range l.set.spec.Exempt {
		if e.Until.After(l.at.AddDate(0, 0, 365)) {
			l.warn(l.set.page(), fmt.Sprintf("exempt[%d].until", i), "end it within a year, and renew it if need be", "namespace %s is exempt until %s", e.Namespace, onDay(e.Until))
		}
	}
}

func approvalEnded(l *linter) {
	for _, p := range l.set.policies {
		for i, a := range p.spec.Approved {
			if l.ended(a.Until) {
				l.in(p, fmt.Sprintf("approved[%d].until", i), "remove it, or renew it after a review ("+a.Owner+")", "the approval of %s ended on %s", a.Image, onDay(a.Until))
			}
		}
	}
}

// distrustEnded leaves alone what happens once: runs, commits and digests of an incident that is over.
func distrustEnded(l *linter) {
	for _, d := range l.set.distrust {
		if s := d.spec; l.ended(s.Until) && len(s.Keys)+len(s.Signers)+len(s.Issuers)+len(s.Builders)+len(s.Repositories) > 0 {
			l.warn(d.page(), "until", "remove until if what is named must not be believed again", "what Distrust %s names is believed again after %s", d.name, onDay(s.Until))
		}
	}
}

func notEnforced(l *linter) {
	for _, p := range l.set.policies {
		if p.mode() != Enforce {
			l.in(p, "mode", "write enforceFrom: and a day instead, until which it warns", "policy %s never refuses (mode %s)", p.name, p.mode())
		}
	}
}

func dateWithoutEffect(l *linter) {
	for _, p := range l.set.policies {
		if p.mode() != Enforce && !p.spec.EnforceFrom.IsZero() {
			l.in(p, "enforceFrom", "remove mode: before the day it warns all the same", "policy %s does not enforce from %s: mode %s says otherwise", p.name, onDay(p.spec.EnforceFrom), p.mode())
		}
	}
}

func enforcedLate(l *linter) {
	for _, p := range l.set.policies {
		if p.mode() == Enforce && p.spec.EnforceFrom.After(l.at.AddDate(0, 0, 180)) {
			l.in(p, "enforceFrom", "choose a day within half a year", "policy %s only warns until %s", p.name, onDay(p.spec.EnforceFrom))
		}
	}
}

// nothingEnforced leaves one policy alone, of which lint.not-enforced says the same.
func nothingEnforced(l *linter) {
	if len(l.set.policies) < 2 || slices.ContainsFunc(l.set.policies, func(p *loaded) bool { return p.mode() == Enforce }) {
		return
	}
	l.in(l.set.policies[0], "mode", "let one of them enforce: mode: enforce, with enforceFrom if need be", "none of the %d policies of the set refuses anything", len(l.set.policies))
}

func unmatchedAllowed(l *linter) {
	if l.set.spec.Unmatched == UnmatchedAllow {
		l.warn(l.set.page(), "unmatched", "write unmatched: warn, then refuse, and a policy for what is left", "an image that no policy is about is admitted without a word")
	}
}

func undeterminedWarns(l *linter) {
	if u := l.set.spec.Undetermined; u != nil && u.Otherwise == OtherwiseWarn {
		l.warn(l.set.page(), "undetermined.otherwise", "write lastKnownGood: 72h, which admits what was allowed before", "an image that could not be judged is admitted")
	}
}

func keptForGood(l *linter) {
	if r := l.set.spec.Running; r.Keep && r.For == 0 {
		l.warn(l.set.page(), "running", "write keep:90d", "an image that was admitted once is never too old")
	}
}

func weakWord(l *linter) {
	for _, p := range l.ways() {
		if s := p.spec.Source; s != nil && (s.SaidBy == "tenant" || s.SaidBy == "unsigned") {
			l.in(p, "source.saidBy", "write saidBy: builder, or leave it out for the certificate", "the source counts as it is said by %s", map[SaidBy]string{"tenant": "whoever runs the build", "unsigned": "nobody"}[s.SaidBy])
		}
	}
}

func unreportedIgnored(l *linter) {
	for _, p := range l.ways() {
		if in := p.spec.Inputs; in != nil && in.Unreported == UnreportedIgnore {
			l.in(p, "inputs.unreported", "write unreported: warn", "inputs that the builder does not name are ignored")
		}
	}
}

func mayDisagree(l *linter) {
	for _, p := range l.set.policies {
		for i, d := range p.spec.AllowDisagreement {
			for k, on := range d.On {
				if on == "repository" || on == "commit" {
					l.in(p, fmt.Sprintf("allowDisagreement[%d].on[%d]", i, k), "find out which is wrong, and name its signer in a Distrust", "provenance by %s may name another %s", strings.Join(d.By, " or "), on)
				}
			}
		}
	}
}
