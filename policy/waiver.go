package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"stemma"
)

// waiver is one Waiver document.
type waiver struct {
	name   string
	id     stemma.Digest // of the canonical JSON of kind, name and spec
	of     stemma.Digest // of the file that it stands in
	spec   Waiver
	places map[string]position
	file   string

	canonical []byte // what id is the digest of
}

func (l *loader) waiver(d *decoder, n *yaml.Node, w *waiver) {
	for _, other := range l.set.waivers {
		if other.name == w.name && w.name != "" {
			d.failAt("metadata.name", n, "give it another name", "a second Waiver named %q", w.name)
		}
	}
	l.set.waivers = append(l.set.waivers, w)
	l.later(d, n, func(c *checker) { c.waiver(l.set, w.spec) })
	end := len(l.checks) - 1
	l.checks, l.last = l.checks[:end], append(l.last, l.checks[end])
}

// waiver refuses what the set does not let anybody grant.
func (c *checker) waiver(s *Set, w Waiver) {
	limits := s.spec.Waivers
	if limits == nil {
		c.fail("spec", "add waivers: {approvedBy: [NAME]} to the PolicySet", "nobody may approve waivers")
		return
	}
	if !slices.Contains(limits.ApprovedBy, w.ApprovedBy) {
		c.fail("spec.approvedBy", suggestion(w.ApprovedBy, limits.ApprovedBy), "waivers.approvedBy of the PolicySet does not name %q", w.ApprovedBy)
	}
	i := slices.IndexFunc(s.policies, func(p *loaded) bool { return p.name == w.Policy })
	if i < 0 {
		names := make([]string, len(s.policies))
		for i, p := range s.policies {
			names[i] = p.name
		}
		c.fail("spec.policy", suggestion(w.Policy, names), "no policy named %q was given", w.Policy)
	}
	for k, id := range w.Rules {
		at := fmt.Sprintf("spec.rules[%d]", k)
		if i >= 0 {
			if known := s.policies[i].ruleIDs(); !slices.Contains(known, id) {
				c.fail(at, suggestion(id, known), "policy %q has no rule %q in force", w.Policy, id)
			}
		}
		if never, ok := s.neverWaived(id); ok {
			c.fail(at, "", "%s is never waived (%s)", id, never)
		}
		if slices.Contains(w.Rules[:k], id) {
			c.fail(at, "keep one", "%q stands twice", id)
		}
	}
	for k, image := range w.Images {
		at := fmt.Sprintf("spec.images[%d]", k)
		pattern, digest := image.split()
		c.images(at, pattern)
		if strings.Contains(string(image), "@") {
			if _, err := stemma.ParseDigest(digest); err != nil {
				c.fail(at, "write repository@sha256: and 64 lower-case hex digits", "%q is not a digest", digest)
			}
		}
		if len(pattern.captures()) > 0 {
			c.fail(at, "write * for one component and ** for several", "%q has captures, which nothing binds here", pattern)
		}
	}
	for k, ns := range w.Namespaces {
		if !validNamespace(ns) {
			c.fail(fmt.Sprintf("spec.namespaces[%d]", k), "name each namespace", "%q is not the name of a namespace", ns)
		}
	}
	longest := cmp.Or(time.Duration(limits.Longest), longestWaiver)
	switch {
	case w.Until.Before(w.From.Time):
		c.fail("spec.until", "", "it ends before it begins")
	case w.Until.Sub(w.From.Time)+24*time.Hour > longest:
		c.fail("spec.until", "end it by "+w.From.Add(longest-24*time.Hour).Format(time.DateOnly)+", and renew it if need be", "it lasts longer than %s, the longest that the PolicySet allows", Duration(longest))
	}
}

// neverWaived says by what a rule is never waived.
func (s *Set) neverWaived(id string) (by string, never bool) {
	if id == imageDistrusted().ID || id == UnmatchedRule().ID {
		return "no set can allow it", true
	}
	if s.spec.Waivers == nil {
		return "", false
	}
	for _, n := range s.spec.Waivers.Never {
		if n == id || strings.HasSuffix(n, ".*") && strings.HasPrefix(id, strings.TrimSuffix(n, "*")) {
			return "waivers.never has " + n, true
		}
	}
	return "", false
}

// ruleIDs lists the rules that the policy, or one of its alternatives, asks for.
func (p *loaded) ruleIDs() []string {
	var out []string
	for _, q := range append([]*loaded{p}, p.alternatives...) {
		for _, r := range append(Rules(), q.rules...) {
			if r.inForce(q) && !slices.Contains(out, r.ID) {
				out = append(out, r.ID)
			}
		}
	}
	return out
}

// validNamespace is the form of the name of a namespace of Kubernetes: an RFC 1123 label.
func validNamespace(s string) bool {
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && s[0] != '-' && s[len(s)-1] != '-'
}

// about reports whether a waiver names the image.
func (w *waiver) about(image stemma.Image) bool {
	return slices.ContainsFunc(w.spec.Images, func(i WaivedImage) bool {
		pattern, digest := i.split()
		_, ok := pattern.match(image.Repository, nil)
		return ok && (digest == "" || stemma.Digest(digest) == image.Digest)
	})
}

// standing says who approved a waiver, and why it does not count now, or "".
func (s *Set) standing(w *waiver, at stemma.Situation) (approved, ignored string) {
	signer := s.spec.Signers[w.spec.ApprovedBy]
	var near string
	for _, e := range at.Endorsed {
		if e.Of != w.of && e.Of != w.id {
			continue
		}
		if signer.speaks(e.Signer) {
			approved = e.Signer.String()
			break
		}
		near = e.Signer.String()
		if signer.accepts(e.Signer) {
			near += ", run for " + quoteEmpty(signer.guest(e.Signer).repository)
		}
	}
	today := at.At.UTC()
	switch {
	case approved == "" && near != "":
		ignored = "signed by " + near + ", which is not " + w.spec.ApprovedBy
	case approved == "":
		ignored = "not signed by " + w.spec.ApprovedBy
	case len(w.spec.Namespaces) > 0 && !slices.Contains(w.spec.Namespaces, at.Namespace):
		ignored = "for namespace " + strings.Join(w.spec.Namespaces, ", ") + " alone"
	case today.Before(w.spec.From.Time):
		ignored = "begins on " + w.spec.From.Format(time.DateOnly)
	case !today.Before(w.spec.Until.AddDate(0, 0, 1)):
		ignored = "ended on " + w.spec.Until.Format(time.DateOnly)
	}
	return approved, ignored
}

// waived lists the rules of each policy that are waived for the image. What is to be met by one piece of evidence as a
// whole is then all but these: neither may a waiver keep evidence from being held together in what it does not waive, nor
// ask of the whole what it waives of the part.
func (s *Set) waived(image stemma.Image, at stemma.Situation) map[string][]string {
	out := map[string][]string{}
	for _, w := range s.waivers {
		if w.about(image) {
			if _, ignored := s.standing(w, at); ignored == "" {
				out[w.spec.Policy] = append(out[w.spec.Policy], w.spec.Rules...)
			}
		}
	}
	return out
}

// waive gives what is not met and waived its outcome, and says what became of each waiver about the image. Each rule is
// judged by itself: two waivers together grant what each of them says and no more (GHSA-gg4x).
func (s *Set) waive(d *stemma.Decision) {
	for _, w := range s.waivers {
		if !w.about(d.Image) {
			continue
		}
		ref := stemma.WaiverRef{
			Name: w.name, Digest: w.id, Policy: w.spec.Policy, Rules: w.spec.Rules, Reason: w.spec.Reason, Ticket: w.spec.Ticket,
			Owner: w.spec.Owner, Until: w.spec.Until.Time,
		}
		ref.Approved, ref.Ignored = s.standing(w, d.Situation)
		for i := range d.Findings {
			f := &d.Findings[i]
			unmet := f.Outcome == stemma.Fail || f.Outcome == stemma.Unknown && !f.Advisory
			if ref.Ignored != "" || !unmet || f.Policy != w.spec.Policy || !slices.Contains(w.spec.Rules, f.Rule) {
				continue
			}
			f.Outcome, f.Waiver = stemma.Waived, w.name
			if !slices.Contains(ref.Used, f.Rule) {
				ref.Used = append(ref.Used, f.Rule)
			}
		}
		d.Waivers = append(d.Waivers, ref)
	}
	slices.SortFunc(d.Waivers, func(a, b stemma.WaiverRef) int { return cmp.Compare(a.Name, b.Name) })
}
