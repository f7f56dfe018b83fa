package policy

import (
	"fmt"
	"slices"
	"strings"

	"stemma"
)

// distrusted is one Distrust document.
type distrusted struct {
	name   string
	spec   Distrust
	places map[string]position
	file   string
}

// where is file:line of a path below spec, or of the document.
func (d *distrusted) where(path string) string {
	if at, ok := d.places["spec."+path]; ok {
		return at.String()
	}
	return d.file
}

// distrust refuses entries that could never name anything: a list of revocations that is believed to work and does not
// is worse than none.
func (c *checker) distrust(d Distrust) {
	lists := []int{len(d.Digests), len(d.Signers), len(d.Issuers), len(d.Keys), len(d.Builders), len(d.Repositories), len(d.Commits), len(d.Runs)}
	if slices.Max(lists) == 0 {
		c.fail("spec", "write digests, signers, issuers, keys, builders, repositories, commits or runs", "it names nothing to distrust")
	}
	digests := func(key string, list []string) {
		for i, s := range list {
			if _, err := stemma.ParseDigest(s); err != nil {
				c.fail(fmt.Sprintf("spec.%s[%d]", key, i), "write sha256: and 64 lower-case hex digits", "%q is not a digest", s)
			}
		}
	}
	digests("digests", d.Digests)
	digests("keys", d.Keys)
	for i, s := range d.Commits {
		if !stemma.IsCommit(s) {
			c.fail(fmt.Sprintf("spec.commits[%d]", i), "write all 40 lower-case hex digits", "%q is not a full commit", s)
		}
	}
	for key, list := range map[string][]Pattern{"signers": d.Signers, "builders": d.Builders, "repositories": d.Repositories, "runs": d.Runs} {
		for i, p := range list {
			at := fmt.Sprintf("spec.%s[%d]", key, i)
			switch {
			case strings.Contains(string(p), "://"):
				_, rest, _ := strings.Cut(string(p), "://")
				c.fail(at, fmt.Sprintf("write %q", rest), "%q has a scheme, which the names that it is compared with have not", p)
			case len(p.captures()) > 0:
				c.fail(at, "write * for one component and ** for several", "%q has captures, which nothing binds here", p)
			}
		}
	}
	if !d.Until.IsZero() && d.Until.Before(d.From.Time) {
		c.fail("spec.until", "", "it ends before it begins")
	}
}

// approvals checks what weakens a policy.
func (c *checker) approvals(p *loaded) {
	for i, a := range p.spec.Approved {
		at := fmt.Sprintf("spec.approved[%d]", i)
		c.images(join(at, "image"), a.Image)
		if _, err := stemma.ParseDigest(a.Digest); err != nil {
			c.fail(join(at, "digest"), "write sha256: and 64 lower-case hex digits", "%q is not a digest", a.Digest)
		}
	}
	for i, d := range p.spec.AllowDisagreement {
		at := fmt.Sprintf("spec.allowDisagreement[%d]", i)
		if p.spec.Provenance == nil {
			c.fail(at, "remove it", "this policy does not judge provenance, so nothing can disagree")
			return
		}
		known := []string{"repository", "commit", "ref", "run", "builder"}
		for j, on := range d.On {
			if !slices.Contains(known, on) {
				c.fail(fmt.Sprintf("%s.on[%d]", at, j), suggestion(on, known), "%q is nothing that is compared", on)
			}
		}
		names := p.names()
		for j, name := range d.By {
			if !slices.Contains(names, name) {
				c.fail(fmt.Sprintf("%s.by[%d]", at, j), suggestion(name, names), "no builder named %q", name)
			} else if p.builders[name].shared() {
				// Whoever shares its key would be let off, and not those alone whom its block accepts.
				c.fail(fmt.Sprintf("%s.by[%d]", at, j), "name a builder with an identity of its own", "%s signs for several, who could all say something else then", name)
			}
		}
	}
}

// names lists the builders that the policy can name.
func (p *loaded) names() []string {
	var names []string
	for name := range p.builders {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// alternatives makes of each alternative a policy of its own: the blocks of the policy and those of the alternative.
func (c *checker) alternatives(p *loaded) {
	blocks := func(s *Spec) map[string]bool {
		return map[string]bool{
			"signature": s.Signature != nil, "provenance": s.Provenance != nil, "source": s.Source != nil, "inputs": s.Inputs != nil,
			"sbom": s.SBOM != nil, "vulnerabilities": s.Vulnerabilities != nil, "attestations": len(s.Attestations) > 0,
		}
	}
	own := blocks(&p.spec)
	if len(p.spec.AnyOf) == 1 {
		c.fail("spec.anyOf", "write a second one, or move its blocks into the policy", "one alternative is none")
	}
	for i, a := range p.spec.AnyOf {
		at := fmt.Sprintf("anyOf[%d]", i)
		theirs := blocks(&Spec{
			Signature: a.Signature, Provenance: a.Provenance, Source: a.Source, Inputs: a.Inputs,
			SBOM: a.SBOM, Vulnerabilities: a.Vulnerabilities, Attestations: a.Attestations,
		})
		some := false
		for _, name := range []string{"signature", "provenance", "source", "inputs", "sbom", "vulnerabilities", "attestations"} {
			if theirs[name] && own[name] {
				c.fail(join("spec."+at, name), "keep it in one of the two", "%s stands in the policy, too", name)
			}
			some = some || theirs[name]
		}
		switch {
		case !some:
			c.fail("spec."+at, "write the blocks that it requires", "alternative %q requires nothing", a.Name)
		case !validName(a.Name):
			c.fail(join("spec."+at, "name"), "use lower-case letters, digits and '-'", "%q is not a name", a.Name)
		case slices.ContainsFunc(p.spec.AnyOf[:i], func(o Alternative) bool { return o.Name == a.Name }):
			c.fail(join("spec."+at, "name"), "use another name", "a second alternative named %q", a.Name)
		}
		p.alternatives = append(p.alternatives, p.with(a, at, theirs))
	}
}

// with is the policy with the blocks of an alternative.
func (p *loaded) with(a Alternative, at string, blocks map[string]bool) *loaded {
	q := *p
	q.alternatives, q.spec.AnyOf = nil, nil
	q.alternative, q.at, q.blocks = a.Name, at, blocks
	if a.Signature != nil {
		q.spec.Signature = a.Signature
	}
	if a.Provenance != nil {
		q.spec.Provenance = a.Provenance
	}
	if a.Source != nil {
		q.spec.Source = a.Source
	}
	if a.Inputs != nil {
		q.spec.Inputs = a.Inputs
	}
	if a.SBOM != nil {
		q.spec.SBOM = a.SBOM
	}
	if a.Vulnerabilities != nil {
		q.spec.Vulnerabilities = a.Vulnerabilities
	}
	if len(a.Attestations) > 0 {
		q.spec.Attestations = a.Attestations
	}
	return &q
}

// place is the path of a requirement in the document: that of a block of an alternative lies below it.
func (p *loaded) place(path string) string {
	head := path
	if i := strings.IndexAny(path, ".["); i >= 0 {
		head = path[:i]
	}
	if p.blocks[head] {
		return p.at + "." + path
	}
	return path
}
