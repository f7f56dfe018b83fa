package policy

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"stemma"
)

func allExcepted(l *linter) {
	for _, p := range l.set.policies {
		m := p.spec.Match
		excepted := func(image Pattern) bool {
			return slices.ContainsFunc(m.Except, func(e Pattern) bool { return l.covers(e, image) })
		}
		if !slices.ContainsFunc(m.Images, func(image Pattern) bool { return !excepted(image) }) {
			l.in(p, "match.except", "remove the policy, or narrow match.except", "policy %s excepts all the images that it matches", p.name)
		}
	}
}

// contradiction finds pairs of policies of which one is about all that a pattern of the other matches, and whose
// requirements on the source no image can meet at once.
func contradiction(l *linter) {
	for i, b := range l.set.policies {
		for _, a := range l.set.policies[:i] {
			if a.namespace != "" && b.namespace != "" && a.namespace != b.namespace || a.mode() != Enforce || b.mode() != Enforce ||
				len(a.spec.AllowDisagreement)+len(b.spec.AllowDisagreement) > 0 {
				continue
			}
			if l.enough() {
				return
			}
			path, got, want := l.exclusive(a.spec.Source, b.spec.Source)
			if path == "" {
				continue
			}
			if image := l.both(a, b); image != "" {
				l.in(b, path, "let one of them except the images: match: {except: [...]}", "policy %s wants %s of %s, and policy %s wants %s", b.name, want, image, a.name, got)
				break
			}
		}
	}
}

// both is a pattern that two policies are about as a whole, or "".
func (l *linter) both(a, b *loaded) Pattern {
	for _, x := range a.spec.Match.Images {
		for _, y := range b.spec.Match.Images {
			if l.enough() {
				return ""
			}
			image := y
			if !l.covers(x, y) {
				if image = x; !l.covers(y, x) {
					continue
				}
			}
			touched := func(p Pattern) bool { return l.overlap(p, image) }
			exceptions := slices.Concat(a.spec.Source.Exceptions, b.spec.Source.Exceptions)
			if slices.ContainsFunc(slices.Concat(a.spec.Match.Except, b.spec.Match.Except), touched) ||
				slices.ContainsFunc(exceptions, func(e Exception) bool { return touched(e.Image) }) {
				continue
			}
			return image
		}
	}
	return ""
}

// exclusive says in what two requirements on the source exclude each other. A capture may be anything.
func (l *linter) exclusive(a, b *Source) (path, first, second string) {
	if a == nil || b == nil {
		return "", "", ""
	}
	if !l.overlap(foldGitHub(a.Repository), foldGitHub(b.Repository)) {
		return "source.repository", string(a.Repository), string(b.Repository)
	}
	disjoint := func(x, y []Pattern) bool {
		return len(x) > 0 && len(y) > 0 && !slices.ContainsFunc(x, func(p Pattern) bool {
			return slices.ContainsFunc(y, func(q Pattern) bool { return l.overlap(p, q) })
		})
	}
	patterns := func(list []string) []Pattern {
		out := make([]Pattern, len(list))
		for i, s := range list {
			out[i] = Pattern(s)
		}
		return out
	}
	for _, list := range []struct {
		key  string
		a, b []Pattern
	}{
		{"refs", a.Refs, b.Refs},
		{"repositoryIDs", patterns(a.RepositoryIDs), patterns(b.RepositoryIDs)},
		{"ownerIDs", patterns(a.OwnerIDs), patterns(b.OwnerIDs)},
	} {
		if disjoint(list.a, list.b) {
			return "source." + list.key, strings.Join(texts(list.a), " or "), strings.Join(texts(list.b), " or ")
		}
	}
	return "", "", ""
}

// credited counts the builders whose credit is enough for the level that is required, and names the others.
func (p *loaded) credited() (enough int, others []string) {
	for _, name := range p.spec.Provenance.By.Of {
		if cmp.Or(p.builders[name].Level, defaultCredit) >= p.spec.Provenance.Level {
			enough++
		} else {
			others = append(others, name)
		}
	}
	return enough, others
}

func levelUnreachable(l *linter) {
	for _, p := range l.ways() {
		if p.spec.Provenance == nil || p.spec.Provenance.Level == 0 {
			continue
		}
		if n, others := p.credited(); n < p.spec.Provenance.By.AtLeast {
			l.in(p, "provenance.level", fmt.Sprintf("credit the builder after a review: level: %d", p.spec.Provenance.Level), "level %d is required, and %s credited with less", p.spec.Provenance.Level, isOrAre(others))
		}
	}
}

func isOrAre(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

func levelAboveCredit(l *linter) {
	for _, p := range l.ways() {
		if p.spec.Provenance == nil || p.spec.Provenance.Level == 0 {
			continue
		}
		if n, others := p.credited(); n >= p.spec.Provenance.By.AtLeast && len(others) > 0 {
			l.in(p, "provenance.level", "remove it from provenance.by, or credit it after a review", "level %d is required, and %s credited with less", p.spec.Provenance.Level, isOrAre(others))
		}
	}
}

// writes lists the formats of provenance that a builder is known to write; none when it is not known.
func (b Builder) writes() []string {
	switch {
	case b.Internal != nil && b.Internal.Type == stemma.PredicateSLSAv1:
		return []string{"slsa/v1"}
	case b.Internal != nil && b.Internal.Type == stemma.PredicateSLSAv02:
		return []string{"slsa/v0.2"}
	case b.Internal != nil && b.Internal.Type != "":
		return []string{b.Internal.Type}
	case b.GitHub != nil && strings.EqualFold(string(b.GitHub.Workflow), "slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml"):
		return []string{"slsa/v0.2"}
	}
	return nil
}

func formatNeverWritten(l *linter) {
	for _, p := range l.ways() {
		if p.spec.Provenance == nil || len(p.spec.Provenance.Formats) == 0 {
			continue
		}
		for _, name := range p.spec.Provenance.By.Of {
			written := p.builders[name].writes()
			if len(written) > 0 && !slices.ContainsFunc(written, func(f string) bool { return slices.Contains(p.spec.Provenance.Formats, f) }) {
				l.in(p, "provenance.formats", "add the format, or leave formats out", "%s writes %s", name, strings.Join(written, " or "))
			}
		}
	}
}

func unusedIdentity(l *linter) {
	shared := map[string]bool{}
	for _, name := range l.set.spec.SignedBy {
		shared[name] = true
	}
	if w := l.set.spec.Waivers; w != nil {
		for _, name := range w.ApprovedBy {
			shared[name] = true
		}
	}
	own := map[*loaded]map[string]bool{}
	for _, p := range append(slices.Clone(l.set.policies), l.set.idle...) {
		own[p] = map[string]bool{}
		for _, name := range p.by() {
			shared[name], own[p][name] = true, true
		}
	}
	for _, p := range l.identities() {
		what := "signer"
		if p.builder != nil {
			what = "builder"
		}
		switch {
		case p.of == nil && !shared[p.name]:
			l.warn(p.page, p.path, "remove it, or name it where it was meant", "nothing in the set uses %s %s", what, p.name)
		case p.of != nil && !own[p.of][p.name]:
			l.warn(p.page, p.path, "remove it, or name it in by", "policy %s does not use %s %s", p.of.name, what, p.name)
		}
	}
}

func unusedTrust(l *linter) {
	domains, keys := map[string]bool{}, map[string]bool{}
	use := func(g Signer) {
		domains[g.Trust] = true
		for _, k := range g.Keys {
			keys[g.Trust+"/"+k] = true
		}
	}
	for _, p := range l.identities() {
		use(p.Signer)
	}
	for _, p := range l.set.idle {
		for _, name := range slices.Sorted(maps.Keys(p.spec.Builders)) {
			use(p.spec.Builders[name].Signer)
		}
		for _, name := range slices.Sorted(maps.Keys(p.spec.Signers)) {
			use(p.spec.Signers[name])
		}
	}
	for i, t := range l.set.spec.Trust {
		if !domains[t.Name] {
			l.warn(l.set.page(), fmt.Sprintf("trust[%d].name", i), "remove it, or name it in trust of a builder or signer", "no builder and no signer is of trust domain %s", t.Name)
			continue
		}
		for k, key := range t.Keys {
			if !keys[t.Name+"/"+key.Name] {
				l.warn(l.set.page(), fmt.Sprintf("trust[%d].keys[%d].name", i, k), "remove it, or name it in keys of a builder or signer", "no builder and no signer has key %s of %s", key.Name, t.Name)
			}
		}
	}
}

// matched reports whether some policy may be about images that a pattern names.
func (l *linter) matched(image Pattern) bool {
	about := func(p *loaded) bool { return l.about(p, image) }
	return slices.ContainsFunc(l.set.policies, about) || slices.ContainsFunc(l.set.idle, about)
}

// about reports whether a policy may be about images that a pattern names.
func (l *linter) about(p *loaded, image Pattern) bool {
	return slices.ContainsFunc(p.spec.Match.Images, func(own Pattern) bool { return l.overlap(own, image) }) &&
		!slices.ContainsFunc(p.spec.Match.Except, func(e Pattern) bool { return l.covers(e, image) })
}

func unusedPlace(l *linter) {
	for i, m := range l.set.spec.Mirrors {
		if !l.matched(m.Is) {
			l.warn(l.set.page(), fmt.Sprintf("mirrors[%d].is", i), "remove it, or write a policy for what it is a copy of", "no policy matches %q", m.Is)
		}
	}
	for i, e := range l.set.spec.Evidence {
		if !l.matched(e.For) {
			l.warn(l.set.page(), fmt.Sprintf("evidence[%d].for", i), "remove it, or write it as in match.images", "no policy matches %q", e.For)
		}
	}
}

func emptyExcept(l *linter) {
	for _, p := range l.set.policies {
		for i, e := range p.spec.Match.Except {
			if !slices.ContainsFunc(p.spec.Match.Images, func(image Pattern) bool { return l.overlap(image, e) }) {
				l.in(p, fmt.Sprintf("match.except[%d]", i), "remove it, or write it as in match.images", "match.images has nothing that %q could exclude", e)
			}
		}
	}
}

func unreachedException(l *linter) {
	for _, p := range l.ways() {
		if s := p.spec.Source; s != nil {
			for i, e := range s.Exceptions {
				at := fmt.Sprintf("source.exceptions[%d].image", i)
				switch {
				case !l.about(p, e.Image):
					l.in(p, at, "remove it, or write it as in match.images", "policy %s is not about %q", p.name, e.Image)
				case slices.ContainsFunc(s.Exceptions[:i], func(o Exception) bool { return l.covers(o.Image, e.Image) }):
					l.in(p, at, "put it before the other one", "an earlier exception fits %q", e.Image)
				}
			}
		}
	}
	for _, p := range l.set.policies {
		for i, a := range p.spec.Approved {
			if !l.about(p, a.Image) {
				l.in(p, fmt.Sprintf("approved[%d].image", i), "remove it, or write it as in match.images", "policy %s is not about %q", p.name, a.Image)
			}
		}
	}
	for _, w := range l.set.waivers {
		i := slices.IndexFunc(l.set.policies, func(p *loaded) bool { return p.name == w.spec.Policy })
		if i < 0 {
			l.warn(w.page(), "policy", "remove it, or list the policy in policies of the PolicySet", "policy %s is not in force", w.spec.Policy)
			continue
		}
		for k, image := range w.spec.Images {
			if pattern, _ := image.split(); !l.about(l.set.policies[i], pattern) {
				l.warn(w.page(), fmt.Sprintf("images[%d]", k), "remove it, or write it as in match.images", "policy %s is not about %q", w.spec.Policy, pattern)
			}
		}
	}
}

func shadowedMirror(l *linter) {
	for i, m := range l.set.spec.Mirrors {
		for _, o := range l.set.spec.Mirrors[:i] {
			if l.covers(o.From, m.From) {
				l.warn(l.set.page(), fmt.Sprintf("mirrors[%d].from", i), "put it before the other one", "%q is never reached: %q comes first", m.From, o.From)
				break
			}
		}
	}
}

func redundantAlternative(l *linter) {
	for _, p := range l.set.policies {
		asks := make([]map[string]any, len(p.spec.AnyOf))
		for i := range p.spec.AnyOf {
			asks[i], _ = canonical(reflect.ValueOf(p.spec.AnyOf[i])).(map[string]any)
			delete(asks[i], "name")
		}
		for i, more := range asks {
			for k, less := range asks {
				same := len(less) == len(more)
				if i == k || same && i < k || l.enough() {
					continue
				}
				met := true
				for block, want := range less {
					met = met && reflect.DeepEqual(more[block], want)
				}
				if met {
					l.in(p, fmt.Sprintf("anyOf[%d].name", i), "remove it, or ask for something that the other does not", "whatever meets %s meets %s", p.spec.AnyOf[i].Name, p.spec.AnyOf[k].Name)
					break
				}
			}
		}
	}
}

func notInForce(l *linter) {
	for _, p := range l.set.idle {
		l.warn(page{p.places, p.file}, "match", "add it to policies of the PolicySet, or remove it", "policies of the PolicySet does not list %s", p.name)
	}
}
