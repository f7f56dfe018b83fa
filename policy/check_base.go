package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stemma"
)

// base refuses a block that asks for nothing, or for what nothing could be.
func (c *checker) base(s *Set, p *loaded) {
	b := p.spec.Base
	if b == nil {
		return
	}
	for _, path := range slices.Sorted(maps.Keys(b.policies())) {
		name := b.policies()[path]
		known := []string{}
		for _, q := range s.policies {
			if q.namespace == "" && (len(s.spec.Policies) == 0 || slices.Contains(s.spec.Policies, q.name)) {
				known = append(known, q.name)
			}
		}
		if !slices.Contains(known, name) {
			c.fail("spec."+path, suggestion(name, known), "no policy named %q is in force", name)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(b.names())) {
		if names := b.names()[path]; len(names) > 0 {
			c.named(p, "spec."+path, By{AtLeast: 1, Of: names}, "signature")
		}
	}
	for i, e := range b.EndsAt {
		if slices.Contains(b.EndsAt[:i], e) {
			c.fail(fmt.Sprintf("spec.base.endsAt[%d]", i), "keep one", "%q stands twice", e)
		}
	}
	if slices.Contains(b.EndsAt, EndFoundation) && len(b.Foundations) == 0 {
		c.fail("spec.base.endsAt", "add foundations, or leave it out", "the chain may end at a foundation, and there is none")
	}
	if len(b.EndsAt) > 0 && len(b.Foundations) > 0 && !slices.Contains(b.EndsAt, EndFoundation) {
		c.fail("spec.base.foundations", "add foundation to endsAt", "there are foundations, and no chain may end at one")
	}
	c.images("spec.base.images", b.Images...)
	c.captures("spec.base.images", b.Images, p)
	c.atDepth(b, p)
	if b.MaxAge > 0 && b.Policy == "" {
		c.fail("spec.base.maxAge", "add policy: NAME", "an age runs from a signature by whom a policy names, and no policy is named for bases")
	}
	c.foundations(b)
	for i, v := range b.VSA {
		if v.Level < 0 || v.Level > 3 {
			c.fail(fmt.Sprintf("spec.base.vsa[%d].level", i), "write 1, 2 or 3", "SLSA Build has no level %d", v.Level)
		}
	}
	if st := b.Stages; st != nil {
		if st.Policy == "" && len(st.Images) == 0 {
			c.fail("spec.base.stages", "write policy or images", "stages asks for nothing")
		}
		c.images("spec.base.stages.images", st.Images...)
		c.captures("spec.base.stages.images", st.Images, p)
	}
	for i, e := range b.DenyEnv {
		if strings.Contains(string(e), "=") || len(e.captures()) > 0 || strings.Contains(string(e), "/") {
			c.fail(fmt.Sprintf("spec.base.denyEnv[%d]", i), "write names, with * for a part: LD_*", "%q is not the name of a variable", e)
		}
	}
}

// captures refuses captures that match.images does not bind.
func (c *checker) captures(path string, patterns []Pattern, p *loaded) {
	for i, pattern := range patterns {
		c.captured(fmt.Sprintf("%s[%d]", path, i), pattern, p.spec.Match.Images)
	}
}

func (c *checker) atDepth(b *Base, p *loaded) {
	for i, a := range b.AtDepth {
		at := fmt.Sprintf("spec.base.atDepth[%d]", i)
		switch {
		case a.Depth < 1 || a.Depth > maxSteps:
			c.fail(join(at, "depth"), "write 1 for what the image itself stands on", "no image stands at depth %d", a.Depth)
		case slices.ContainsFunc(b.AtDepth[:i], func(o AtDepth) bool { return o.Depth == a.Depth }):
			c.fail(join(at, "depth"), "keep one", "depth %d stands twice", a.Depth)
		case a.Proof == "" && a.Policy == "" && len(a.Images) == 0 && a.MaxAge == 0:
			c.fail(at, "write proof, policy, images or maxAge", "nothing is asked at depth %d", a.Depth)
		case a.MaxAge > 0 && b.asked(a.Depth).Policy == "":
			c.fail(join(at, "maxAge"), "add policy: NAME", "an age runs from a signature by whom a policy names, and no policy is named for this depth")
		}
		c.images(join(at, "images"), a.Images...)
		c.captures(join(at, "images"), a.Images, p)
	}
}

// foundations refuses those that would take more on trust than an image that somebody looked at.
func (c *checker) foundations(b *Base) {
	for i, f := range b.Foundations {
		at := fmt.Sprintf("spec.base.foundations[%d]", i)
		c.images(join(at, "image"), f.Image)
		if len(f.Image.captures()) > 0 {
			c.fail(join(at, "image"), "write * for one component and ** for several", "%q has captures, which nothing binds here", f.Image)
		}
		if len(f.Digests) == 0 && len(f.By) == 0 {
			c.fail(at, "add digests: [sha256:…], or by: [names of signers]", "a name alone is no foundation: whoever can push there could lay it")
		}
		if len(f.By) == 0 && strings.ContainsAny(string(f.Image), "*") {
			c.fail(join(at, "image"), "name the repository", "%q is not the name of one repository", f.Image)
		}
		for k, d := range f.Digests {
			if _, err := stemma.ParseDigest(d); err != nil {
				c.fail(fmt.Sprintf("%s.digests[%d]", at, k), "write sha256: and 64 lower-case hex digits", "%q is not a digest", d)
			}
		}
	}
}
