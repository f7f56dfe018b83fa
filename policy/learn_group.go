package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stemma"
)

// group is images that one policy is about.
type group struct {
	lesson
	learner      *learner
	repositories []string // of the images
	image        int      // component of their names that varies with the source, when it is not 0
	source       int      // and the component of the name of the source
	builders     []*learnedBuilder
	signers      []*learnedSigner
}

// groups puts together what one policy can be about: the images of one repository, of repositories that are built from
// one source, and of those of which the name of the source is in the name of the image. All others have policies of their
// own.
func (l *learner) groups() []*group {
	var out []*group
	by := func(key func(*group) string) {
		index := map[string]*group{}
		var merged []*group
		for _, g := range out {
			k := key(g)
			if have := index[k]; have != nil && k != "" {
				have.images = append(have.images, g.images...)
				have.repositories = append(have.repositories, g.repositories...)
				continue
			}
			index[k] = g
			merged = append(merged, g)
		}
		out = merged
	}
	for _, i := range l.images {
		out = append(out, &group{lesson: lesson{basis: map[string]string{}, images: []*studied{i}}, learner: l, repositories: []string{i.top.Image.Repository}})
	}
	by(func(g *group) string { return g.repositories[0] })
	for _, g := range out {
		g.repositories = g.repositories[:1]
	}
	by(func(g *group) string {
		if from := g.from(); from != "" {
			return from + "\x00" + g.shape(unchanged)
		}
		return ""
	})
	shapes := map[string]int{}
	for _, g := range out {
		for _, s := range g.covary() {
			shapes[s.key]++
		}
	}
	by(func(g *group) string {
		for _, s := range g.covary() {
			if shapes[s.key] > 1 {
				g.image, g.source = s.image, s.source
				return s.key
			}
		}
		return ""
	})
	for _, g := range out {
		if len(g.repositories) == 1 {
			g.image, g.source = 0, 0
		}
		g.varies = g.image > 0
	}
	return out
}

func unchanged(path string) string { return path }

// from is the one repository that all images are built from, or "".
func (g *group) from() string {
	t := tally{}
	for _, i := range g.images {
		if len(i.said) == 0 {
			return ""
		}
		for _, s := range i.said {
			t.add(s.provenance.Value(stemma.FieldRepository), i)
		}
	}
	return t.single()
}

// shape is who built the images, whose source they have in common, and whose that source is.
func (g *group) shape(wild func(string) string) string {
	t := tally{}
	for _, i := range g.images {
		for _, s := range slices.Concat(i.said, i.also) {
			_, key := formOf(s.attestation.Signer, wild)
			t.add(key+"\x00"+s.id()+"\x00"+s.provenance.Value(stemma.FieldOwnerID), i)
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(t)), "\x01")
}

// covariance is a way in which the name of an image has a component of the name of its source.
type covariance struct {
	key           string
	image, source int
}

// covary lists such ways. Neither registry and owner of the source nor the registry of the image may vary: a policy that
// any owner fits is none.
func (g *group) covary() []covariance {
	from := strings.Split(g.from(), "/")
	if len(g.repositories) != 1 || !literal(g.from()) || !literal(g.repositories[0]) {
		return nil
	}
	name := strings.Split(g.repositories[0], "/")
	var out []covariance
	for i := len(name) - 1; i > 0; i-- {
		for k := len(from) - 1; k > 1; k-- {
			if name[i] != from[k] {
				continue
			}
			one := group{lesson: g.lesson, image: i, source: k}
			image, source := slices.Clone(name), slices.Clone(from)
			image[i], source[k] = "{name}", "{name}"
			out = append(out, covariance{strings.Join(image, "/") + "\x00" + strings.Join(source, "/") + "\x00" + g.shape(one.wild()), i, k})
		}
	}
	return out
}

// wild is how paths of workflows and configurations that lie in the source itself are written: with a wildcard where the
// source has the component that varies.
func (g *group) wild() func(string) string {
	own := map[string]bool{}
	for _, i := range g.images {
		for _, s := range i.said {
			_, path, _ := strings.Cut(s.provenance.Value(stemma.FieldRepository), "/")
			own[path] = g.source > 0
		}
	}
	return func(path string) string {
		parts := strings.Split(path, "/")
		n := len(parts)
		if at := slices.Index(parts, ".github"); at > 0 {
			n = at
		}
		if k := g.source - 1; k > 0 && k < n && own[strings.Join(parts[:n], "/")] {
			parts[k] = "*"
		}
		return strings.Join(parts, "/")
	}
}

// learnedBuilder is an identity that signs provenance of one kind.
type learnedBuilder struct {
	Builder
	name string
	said []exhibit
}

// id is the builder that a key, or a workflow that signs for others, speaks for.
func (s exhibit) id() string {
	switch _, ok := isGitHub(s.attestation.Signer); {
	case s.attestation.Signer.KeyID != "":
		return s.provenance.Value(stemma.FieldBuilder)
	case ok:
		return s.provenance.Delegate
	}
	return ""
}

// learn writes the policy.
func (g *group) learn() (string, error) {
	g.spec.Match.Images = g.named()
	ways, err := g.ways()
	if err != nil {
		return "", err
	}
	if err := g.build(); err != nil {
		return "", err
	}
	for n, w := range ways {
		var a Alternative
		path := ""
		if len(ways) > 1 {
			a.Name = fmt.Sprintf("way-%d", n+1)
			path = fmt.Sprintf("anyOf[%d]", n)
			g.because(path+".name", "%s", g.of("another source in the provenance", len(w)))
		}
		if a.Provenance, err = g.provenance(join(path, "provenance"), w); err != nil {
			return "", err
		}
		if a.Source, err = g.sourced(join(path, "source"), w); err != nil {
			return "", err
		}
		a.Inputs = g.inputs(join(path, "inputs"), w)
		if len(ways) > 1 {
			g.spec.AnyOf = append(g.spec.AnyOf, a)
			continue
		}
		g.spec.Provenance, g.spec.Source, g.spec.Inputs = a.Provenance, a.Source, a.Inputs
	}
	g.documents()
	name := g.name()
	return g.settle(name)
}

// named are the patterns of the images.
func (g *group) named() []Pattern {
	t := tally{}
	for _, i := range g.images {
		t.add(i.top.Image.Repository, i)
	}
	if g.image > 0 {
		parts := strings.Split(g.repositories[0], "/")
		parts[g.image] = "{name}"
		g.because("match.images", "%s: %s", g.of("name, which has the name of the source,", len(g.images)), anyPattern(patterns(t.values()), nil))
		return []Pattern{Pattern(strings.Join(parts, "/"))}
	}
	g.all("match.images", "name", t, t.values())
	return patterns(t.values())
}

// name is a name for the policy that no other has.
func (g *group) name() string {
	parts := strings.Split(g.repositories[0], "/")
	if g.image > 0 {
		parts[g.image] = ""
	}
	base := g.learner.options.Name
	for i := len(parts) - 1; i >= 0 && base == ""; i-- {
		base = slug(parts[i])
	}
	base = cmp.Or(base, "learned")
	name := base
	for n := 2; g.learner.names[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	g.learner.names[name] = true
	return name
}

// slug is text as a name, or "" when nothing is left.
func slug(text string) string {
	text = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	text = strings.Trim(strings.TrimLeft(text, "-0123456789"), "-")
	if len(text) > 40 {
		text = strings.Trim(text[:40], "-")
	}
	return text
}

// ways parts the provenance by the source that it names: what one pattern cannot be about is an alternative of its own.
// Where one image has provenance and another has none, no policy is tight for both.
func (g *group) ways() ([][]exhibit, error) {
	bySource := map[string][]exhibit{}
	var none *studied
	for _, i := range g.images {
		if len(i.said) == 0 {
			none = i
		}
		for _, s := range i.said {
			source := s.provenance.Value(stemma.FieldRepository)
			if g.image > 0 {
				source = ""
			}
			bySource[source] = append(bySource[source], s)
		}
	}
	if none != nil && len(bySource) > 0 {
		return nil, &Unlearnable{none.top.Image, "it has no provenance, and other images of its repository have", "learn from those that have, or from it alone"}
	}
	var out [][]exhibit
	for _, source := range slices.Sorted(maps.Keys(bySource)) {
		out = append(out, bySource[source])
	}
	return out, nil
}

// build learns the builders.
func (g *group) build() error {
	index := map[string]*learnedBuilder{}
	names := map[string]int{}
	for _, i := range g.images {
		for _, s := range slices.Concat(i.said, i.also) {
			form, key := formOf(s.attestation.Signer, g.wild())
			if form == "keys" && s.id() == "" {
				continue // see ways: it speaks for nobody
			}
			key += "\x00" + s.id() + "\x00" + s.provenance.Known + "\x00" + s.chains.mode()
			b := index[key]
			if b == nil {
				b = &learnedBuilder{name: form}
				if names[form]++; names[form] > 1 {
					b.name = fmt.Sprintf("%s-%d", form, names[form])
				}
				index[key] = b
				g.builders = append(g.builders, b)
			}
			b.said = append(b.said, s)
		}
	}
	for _, b := range g.builders {
		path := "builders." + b.name
		b.Signer = g.signer(path, b.said, g.wild())
		b.ID = b.said[0].id()
		n := b.images()
		g.because(path+".id", "%s", g.of("builder.id in the provenance", n))
		level := stemma.Level(2)
		for _, s := range b.said {
			level = min(level, Assess(s.attestation, s.provenance).Level)
		}
		b.Level = max(1, int(level))
		g.because(path+".level", "what the evidence shows; no evidence shows that its tenants cannot sign as it, so that 3 takes a review")
		g.block(path, b)
		if g.spec.Builders == nil {
			g.spec.Builders = map[string]Builder{}
		}
		g.spec.Builders[b.name] = b.Builder
	}
	return nil
}

func (b *learnedBuilder) images() int {
	t := tally{}
	for _, s := range b.said {
		t.add("", s.image)
	}
	return len(t[""])
}

// provenance is the block of that name: who must have built it, in which format, at which level.
func (g *group) provenance(path string, way []exhibit) (*Provenance, error) {
	out := &Provenance{By: By{AtLeast: len(way)}}
	by, formats, level := tally{}, tally{}, stemma.Level(3)
	perImage := map[*studied][]exhibit{}
	for _, s := range way {
		formats.add(s.provenance.Format, s.image)
		level = min(level, Assess(s.attestation, s.provenance).Level)
		perImage[s.image] = append(perImage[s.image], s)
	}
	for _, b := range g.builders {
		for _, s := range b.said {
			if perImage[s.image] != nil {
				by.add(b.name, s.image)
			}
		}
	}
	out.By.Of = by.values()
	if len(out.By.Of) == 0 {
		i := way[0].image
		return nil, &Unlearnable{i.top.Image, "its provenance is signed with a key and names no builder.id, so that the key would speak for anybody", ""}
	}
	// Where each image has the provenance of all of several builders, all are asked for.
	for image, all := range perImage {
		ids := map[string][]string{}
		for _, b := range g.builders {
			for _, s := range all {
				if slices.Contains(b.said, s) {
					id := distinctID(s.attestation.Signer)
					ids[id] = append(ids[id], b.name)
				}
			}
		}
		n := distinct(ids)
		if n < len(out.By.Of) || len(image.also) > 0 {
			n = 1
		}
		out.By.AtLeast = min(out.By.AtLeast, n)
	}
	g.because(path+".by", "%s", g.of("signer of the provenance", len(perImage)))
	g.all(path+".by", "signer of the provenance", by, out.By.Of)
	for k, name := range out.By.Of {
		b := g.builders[slices.IndexFunc(g.builders, func(b *learnedBuilder) bool { return b.name == name })]
		if !slices.ContainsFunc(b.said, func(s exhibit) bool { return slices.Contains(way, s) }) {
			g.because(fmt.Sprintf("%s.by[%d]", path, k), "REVIEW: also claims %d of %s, and says less of the source; what is required below it does not meet alone", len(by[name]), count(len(g.images), "image"))
		}
	}
	out.Formats = formats.values()
	if slices.ContainsFunc(out.Formats, func(f string) bool { return f != "slsa/v1" && f != "slsa/v0.2" }) {
		g.leave("%s.formats: %s has no name there", path, strings.Join(out.Formats, ", "))
		out.Formats = nil
	}
	g.all(path+".formats", "predicate type", formats, out.Formats)
	if out.Level = int(level); level == 0 {
		g.leave("%s.level: the evidence supports none", path)
	}
	g.because(path+".level", "%s", g.of("computed from signer, builder.id and isolation", len(perImage)))
	return out, nil
}

// sourced is the block source: which repository and which refs, said by whom.
func (g *group) sourced(path string, way []exhibit) (*Source, error) {
	repositories, refs, ids, owners := tally{}, tally{}, tally{}, tally{}
	weakest := stemma.SaidByCertificate
	certified := func(s exhibit, f stemma.Field) string {
		if c := s.provenance.Claims[f]; c.By == stemma.SaidByCertificate {
			return number(c.Value)
		}
		return ""
	}
	for _, s := range way {
		c := s.provenance.Claims[stemma.FieldRepository]
		repositories.add(c.Value, s.image)
		if c.By.Rank() < weakest.Rank() {
			weakest = c.By
		}
		ids.add(certified(s, stemma.FieldRepositoryID), s.image)
		owners.add(certified(s, stemma.FieldOwnerID), s.image)
	}
	all := repositories.values()
	if len(all) == 0 {
		g.leave("%s: no provenance says from which repository: ANYTHING that the builder builds fits", path)
		return nil, nil
	}
	out := &Source{Repository: Pattern(all[0]), SaidBy: SaidBy(weakest)}
	where := way[0].provenance.Claims[stemma.FieldRepository].Where
	g.because(path+".repository", "%s", g.of(where, len(repositories[all[0]])))
	if g.image > 0 {
		parts := strings.Split(all[0], "/")
		parts[g.source] = "{name}"
		out.Repository = Pattern(strings.Join(parts, "/"))
		g.because(path+".repository", "%s: %s", g.of(where, len(g.images)), anyPattern(patterns(all), nil))
	}
	host, rest, _ := strings.Cut(all[0], "/")
	if slices.ContainsFunc(all, func(name string) bool { return !literal(name) }) || !strings.Contains(host, ".") || rest == "" {
		return nil, &Unlearnable{way[0].image.top.Image, fmt.Sprintf("no pattern matches only the name of its source, %.100q", all[0]), ""}
	}
	n := len(perSaid(way))
	g.because(path+".saidBy", "%s", g.of("who says it, the weakest,", n))
	if g.image == 0 {
		out.RepositoryIDs = ids.values()
	}
	out.OwnerIDs = owners.values()
	g.all(path+".repositoryIDs", "certificate extension .15", ids, out.RepositoryIDs)
	g.all(path+".ownerIDs", "certificate extension .17", owners, out.OwnerIDs)
	if len(out.OwnerIDs) == 0 {
		g.leave("%s.ownerIDs, repositoryIDs: the certificates do not state them", path)
	}
	for _, s := range way {
		c := s.provenance.Claims[stemma.FieldRef]
		if c.By.Rank() < weakest.Rank() || !strings.HasPrefix(c.Value, "refs/") || !literal(c.Value) {
			refs.add("", s.image)
		} else {
			refs.add(c.Value, s.image)
		}
	}
	if out.Refs = g.refs(path+".refs", cmp.Or(way[0].provenance.Claims[stemma.FieldRef].Where, "ref"), refs); len(out.Refs) == 0 {
		g.leave("%s.refs: not every provenance states a full ref, or not as well as the repository", path)
	}
	return out, nil
}

func perSaid(way []exhibit) map[*studied]bool {
	out := map[*studied]bool{}
	for _, s := range way {
		out[s.image] = true
	}
	return out
}
