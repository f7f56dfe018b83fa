package policy

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"stemma"
)

// The words that Platforms can be.
const (
	platformsIndex = "index"
	platformsAll   = "all"
	platformsNodes = "nodes"
)

// Bounds of what a set and a situation may list.
const maxPlatforms = 64

func (p *Platforms) decodeYAML(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode {
		switch s := d.text(n, path); s {
		case "", platformsIndex:
		case platformsAll, platformsNodes:
			*p = Platforms{s}
		default:
			hint := suggestion(s, []string{platformsIndex, platformsAll, platformsNodes})
			if strings.Contains(s, "/") {
				hint = "write a list: [" + s + "]"
			}
			d.fail(n, hint, "%s cannot be %q", last(path), s)
		}
		return
	}
	var list []string
	d.value(n, reflect.ValueOf(&list).Elem(), path)
	if len(list) > maxPlatforms {
		d.fail(n, "write all", "%s lists %d platforms, limit %d", last(path), len(list), maxPlatforms)
		return
	}
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		w, ok := parsePlatform(s)
		switch {
		case s == "":
		case !ok:
			d.failAt(at, n, "write OS/architecture, as in an index: linux/amd64, linux/arm/v7, windows/amd64:10.0.20348.2227", "%q is not a platform", s)
		case s != w.normal().String() && !(w.platform.Variant != "" && w.normal().Variant == ""):
			// A name that no index uses would look like a platform of its own.
			d.failAt(at, n, fmt.Sprintf("write %q", w.normal().String()), "%q is another name of %s", s, w.normal())
		case slices.Contains(list[:i], s):
			d.failAt(at, n, "keep one", "%q stands twice", s)
		}
	}
	*p = list
}

// wanted is a platform that is asked for.
type wanted struct {
	text     string
	platform stemma.Platform // as it is written; zero when the text is not a platform, so that nothing is of it
}

// ParsePlatform reads OS/architecture[/variant][:os.version], as platforms of a PolicySet and of a situation are written.
func ParsePlatform(s string) (stemma.Platform, bool) {
	w, ok := parsePlatform(s)
	return w.platform, ok
}

// parsePlatform reads OS/architecture[/variant][:os.version].
func parsePlatform(s string) (wanted, bool) {
	w := wanted{text: s}
	name, version, versioned := strings.Cut(s, ":")
	parts := strings.Split(name, "/")
	const characters = lower + digits + "._-"
	if len(s) > 128 || len(parts) < 2 || len(parts) > 3 || versioned && !onlyOf(version, characters) ||
		slices.ContainsFunc(parts, func(c string) bool { return !onlyOf(strings.ToLower(c), characters) }) {
		return w, false
	}
	p := stemma.Platform{OS: parts[0], Architecture: parts[1], OSVersion: version}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	if n := p.Normal(); n.OS == "unknown" || n.Architecture == "unknown" {
		return w, false // what attestations are listed as, and nothing runs on
	}
	w.platform = p
	return w, true
}

// normal is the platform in normal form, with a variant only where one is asked for.
func (w wanted) normal() stemma.Platform {
	p := w.platform.Normal()
	if w.platform.Variant == "" {
		p.Variant = ""
	}
	return p
}

// takes reports whether a runtime on the wanted platform could take p for it.
func (w wanted) takes(p stemma.Platform) bool { return w.platform.Takes(p) }

// wanted is the mode in which an index is judged, and the platforms that are wanted of it: none means all.
func (p Platforms) wanted(situation stemma.Situation) (mode string, list []wanted) {
	texts := situation.Platforms
	switch {
	case len(p) == 0:
		mode = platformsIndex
	case len(p) == 1 && p[0] == platformsAll:
		return platformsAll, nil
	case len(p) == 1 && p[0] == platformsNodes:
		mode = platformsNodes
	default:
		mode, texts = "list", p
	}
	for _, s := range slices.Compact(slices.Sorted(slices.Values(texts))) {
		w, _ := parsePlatform(s)
		list = append(list, w)
	}
	return mode, list
}

// target is one thing that the rules judge: the digest asked for, one platform of it, or a platform for which there is
// nothing to judge.
type target struct {
	evidence *stemma.Evidence   // nil: nothing to judge
	above    []*stemma.Evidence // indexes that led to it
	platform string             // "" when the digest is judged as a whole, or no platform is told
	of       stemma.Digest      // "" when the digest is judged as a whole, or there is nothing to judge
	listings []listing
	derived  string // how it is made of the image whose evidence is judged
}

// digest is what is judged.
func (t target) digest() stemma.Digest {
	if t.evidence == nil {
		return t.of
	}
	return t.evidence.Image.Digest
}

// listing is what image.platform says of one platform.
type listing struct {
	platform string
	of       stemma.Digest
	result
}

// leaf is a manifest that an index lists, at any depth.
type leaf struct {
	evidence *stemma.Evidence
	above    []*stemma.Evidence
	platform stemma.Platform // in normal form
}

// family is what an index lists and may run, and why that may not be all.
type family struct {
	leaves []leaf
	unread []stemma.Unavailable
}

func isIndex(e *stemma.Evidence) bool {
	return len(e.Platforms) > 0 || e.MediaType == "application/vnd.oci.image.index.v1+json" ||
		e.MediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}

// unreadChildren is the place under which children that could not be read are reported with their index, and unreadConfig
// the one of a platform that could not be.
const (
	unreadChildren = "index children"
	unreadConfig   = "config"
)

func (f *family) add(e *stemma.Evidence, above []*stemma.Evidence) {
	for _, u := range e.Unavailable {
		if u.Place == unreadChildren {
			f.unread = append(f.unread, u)
		}
	}
	above = append(slices.Clone(above), e)
	for _, c := range e.Platforms {
		switch {
		case c == nil:
			f.unread = append(f.unread, stemma.Unavailable{Place: unreadChildren, Reason: stemma.ReasonBadAnswer, Detail: "nothing is known of a child"})
		case isIndex(c):
			f.add(c, above)
		case runnable(c):
			f.leaves = append(f.leaves, leaf{c, above, c.Platform.Normal()})
			if u := untold(c); u != nil {
				f.unread = append(f.unread, *u)
			}
		}
	}
}

// untold reports a manifest that may be of any platform: the index says none, and what its config says was not read.
func untold(e *stemma.Evidence) *stemma.Unavailable {
	if e.Platform != (stemma.Platform{}) {
		return nil
	}
	if i := slices.IndexFunc(e.Unavailable, func(u stemma.Unavailable) bool { return u.Place == unreadConfig }); i >= 0 {
		return &e.Unavailable[i]
	}
	if !configured(e) {
		return nil
	}
	return &stemma.Unavailable{Place: unreadChildren, Reason: stemma.ReasonBadAnswer, Detail: "nothing says of which platform " + e.Image.Digest.Short() + " is"}
}

// configured reports whether a manifest has a config that could say something: not the empty one, {}.
func configured(e *stemma.Evidence) bool {
	return e.Config != "" && e.Config != stemma.SHA256([]byte("{}"))
}

// runnable reports whether a runtime may take the manifest for an image. It looks at nothing but the platform, that of
// the index or else of the config: what calls itself an attestation manifest runs like any other.
func runnable(e *stemma.Evidence) bool {
	if e.Platform.Unknown() {
		return false
	}
	return !e.Attestation || e.Platform != (stemma.Platform{}) || untold(e) != nil
}

// targets says what is judged of an image.
func (s *Set) targets(top *stemma.Evidence, situation stemma.Situation) (out []target) {
	defer func() {
		if p := recover(); p != nil {
			out = []target{{listings: []listing{{result: panicked(p)}}}}
		}
	}()
	mode, want := s.spec.Platforms.wanted(situation)
	if !isIndex(top) {
		if mode == platformsIndex {
			return []target{{evidence: top}}
		}
		return []target{s.single(top, want)}
	}
	var f family
	f.add(top, nil)
	slices.SortFunc(f.unread, compareUnavailable)
	if mode == platformsIndex {
		t := target{evidence: top}
		for _, w := range want {
			for _, found := range f.of(w) {
				l := found.listings[0]
				if !slices.ContainsFunc(t.listings, func(o listing) bool { return o.platform == l.platform && o.of == l.of }) {
					t.listings = append(t.listings, l)
				}
			}
		}
		return []target{t}
	}
	if len(want) == 0 {
		return f.all()
	}
	for _, w := range want {
		for _, t := range f.of(w) {
			// Two patterns may be of one platform.
			if !slices.ContainsFunc(out, func(o target) bool { return o.platform == t.platform && o.evidence == t.evidence }) {
				out = append(out, t)
			}
		}
	}
	return out
}

// single is an image that is one manifest: it must be of one of the wanted platforms.
func (s *Set) single(e *stemma.Evidence, want []wanted) target {
	l := listing{platform: e.Platform.String(), of: e.Image.Digest, result: pass("a single manifest of " + cmp.Or(e.Platform.String(), "no platform"))}
	names := make([]string, len(want))
	for i, w := range want {
		names[i] = w.text
	}
	unread := slices.IndexFunc(e.Unavailable, func(u stemma.Unavailable) bool { return u.Place == unreadConfig })
	switch {
	case !runnable(e):
		l.result = result{outcome: stemma.Fail, reason: stemma.ReasonPlatform, got: "a manifest that runs nowhere", want: "an image"}
	case len(want) == 0 || slices.ContainsFunc(want, func(w wanted) bool { return w.takes(e.Platform) }):
	case e.Platform == (stemma.Platform{}) && unread >= 0:
		l.result = unknownBecause(e.Unavailable[unread:unread+1], "an image of "+enumerate(names, " or "))
	default:
		l.result = result{outcome: stemma.Fail, reason: stemma.ReasonPlatform, got: "a single manifest of " + cmp.Or(e.Platform.String(), "no platform"), want: "an image of " + enumerate(names, " or ")}
	}
	l.path = "platforms"
	return target{evidence: e, platform: l.platform, of: l.of, listings: []listing{l}}
}

// all is every platform that the index lists.
func (f *family) all() []target {
	if len(f.leaves) == 0 {
		l := listing{result: result{outcome: stemma.Fail, reason: stemma.ReasonPlatform, got: "an index that lists nothing that runs", want: "at least one platform", path: "platforms"}}
		if len(f.unread) > 0 {
			l.result = unknownBecause(f.unread, l.want)
		}
		return []target{{listings: []listing{l}}}
	}
	return f.grouped(f.leaves, "every platform listed once")
}

// of is what the index lists for one wanted platform.
func (f *family) of(w wanted) []target {
	want := w.text + ", listed once"
	var found []leaf
	for _, l := range f.leaves {
		if w.takes(l.platform) {
			found = append(found, l)
		}
	}
	if len(found) > 0 {
		return f.grouped(found, want)
	}
	l := listing{platform: w.text, result: result{outcome: stemma.Fail, reason: stemma.ReasonPlatform, got: "not listed", want: want, path: "platforms"}}
	var names []string
	for _, other := range f.leaves {
		names = append(names, cmp.Or(other.evidence.Platform.String(), "no platform"))
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) > 0 {
		l.detail = "the index lists " + enumerate(names, ", ")
	}
	if len(f.unread) > 0 {
		l.result = unknownBecause(f.unread, want)
	}
	return []target{{platform: w.text, listings: []listing{l}}}
}

// grouped makes a target of each of leaves. That two are of one platform is a failure of each: which of them runs is up to
// whoever pulls (B14).
func (f *family) grouped(leaves []leaf, want string) []target {
	groups := map[stemma.Platform][]leaf{}
	for _, l := range leaves {
		groups[l.platform] = append(groups[l.platform], l)
	}
	var out []target
	keys := slices.SortedFunc(maps.Keys(groups), func(a, b stemma.Platform) int {
		return cmp.Or(cmp.Compare(a.OS, b.OS), cmp.Compare(a.Architecture, b.Architecture), cmp.Compare(a.Variant, b.Variant), cmp.Compare(a.OSVersion, b.OSVersion))
	})
	for _, key := range keys {
		same := groups[key]
		slices.SortFunc(same, func(a, b leaf) int {
			order := cmp.Or(cmp.Compare(a.evidence.Image.Digest, b.evidence.Image.Digest), cmp.Compare(a.evidence.Platform.String(), b.evidence.Platform.String()))
			if order == 0 {
				order = cmp.Compare(DigestOf(a.evidence), DigestOf(b.evidence))
			}
			return order
		})
		same = slices.CompactFunc(same, func(a, b leaf) bool { return a.evidence.Image.Digest == b.evidence.Image.Digest })
		var names []string
		for _, l := range same {
			names = append(names, l.evidence.Image.Digest.Short())
		}
		for _, l := range same {
			t := target{evidence: l.evidence, above: l.above, platform: l.evidence.Platform.String(), of: l.evidence.Image.Digest}
			r := pass("listed, " + t.of.Short())
			switch {
			case len(same) > 1:
				r = result{outcome: stemma.Fail, reason: stemma.ReasonPlatform, got: fmt.Sprintf("listed %d times: %s", len(names), enumerate(names, ", ")), want: want}
			case len(f.unread) > 0:
				// What could not be read may be the same platform once more, and the one that runs.
				r = unknownBecause(f.unread, want)
			}
			r.path = "platforms"
			t.listings = []listing{{t.platform, t.of, r}}
			out = append(out, t)
		}
	}
	return out
}

func unknownBecause(u []stemma.Unavailable, want string) result {
	r := result{outcome: stemma.Unknown, reason: u[0].Reason, want: want, detail: u[0].Place + ": " + u[0].Detail, path: "platforms"}
	r.fix = "nothing is known to be wrong with the image; " + remedy(r.reason)
	return r
}

// enumerate joins the first few of a list.
func enumerate(list []string, separator string) string {
	const most = 8
	if n := len(list) - most; n > 0 {
		list = append(slices.Clone(list[:most]), fmt.Sprintf("%d more", n))
	}
	return strings.Join(list, separator)
}

func compareUnavailable(a, b stemma.Unavailable) int {
	return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail))
}

func imagePlatform() Rule {
	return Rule{
		ID:    "image.platform",
		Title: "the image does not list a platform that it may run on exactly once",
		Why: "Each platform of an index is an image of its own, and the node chooses which one runs. One that is missing, that is listed twice, " +
			"or that could not be read was not judged, whatever is known of the others.",
		Fix:       "deploy an image that was built for the platform, in an index that lists it once; or say in platforms of the PolicySet which ones matter",
		Since:     "0.2",
		Controls:  []string{"CM-14", "SI-7(15)"},
		inForce:   func(*loaded) bool { return true },
		platforms: func(j *judgement) []listing { return j.target.listings },
	}
}
