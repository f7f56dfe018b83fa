package policy

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"stemma"
)

// LearnOptions says what Learn has besides evidence.
type LearnOptions struct {
	Trust   *Set   // declares the trust domains under which the evidence was verified, as LoadTrust makes it; nil: the built-in ones
	Name    string // of the policy; the last part of the name of its images when it is empty
	Explain bool   // say what looser policies would also accept
}

// Learned is what images have in common, as a policy.
type Learned struct {
	Policy string   // YAML; each line says in a comment what it rests on
	Wider  []string // what looser patterns would also accept, when that was asked for
}

// Unlearnable says why nothing can be learned from an image.
type Unlearnable struct {
	Image   stemma.Image // zero: it is no image's fault
	Problem string
	Hint    string // what to do, or ""
}

func (u *Unlearnable) Error() string {
	if u.Image == (stemma.Image{}) {
		return "learning: " + u.Problem
	}
	return "learning from " + u.Image.String() + ": " + u.Problem
}

// Learn makes the tightest policies that images satisfy, from the evidence of each. It generalises in nothing but what
// the images vary in, and never takes a wildcard for what they have in common. Nobody has verified that what they have in
// common is what it should be: the policy says so. Whatever it returns, its own images are allowed by.
func Learn(evidence []*stemma.Evidence, options LearnOptions) (*Learned, error) {
	if len(evidence) == 0 {
		return nil, &Unlearnable{Problem: "no image to learn from"}
	}
	if options.Name != "" && !validName(options.Name) {
		return nil, &Unlearnable{Problem: fmt.Sprintf("%q is not a name for a policy", options.Name), Hint: "use lower-case letters, digits and '-', beginning with a letter"}
	}
	l := &learner{options: options, set: options.Trust, names: map[string]bool{}}
	if l.set == nil {
		l.set = &Set{}
	}
	for _, e := range evidence {
		if err := l.study(e); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(l.images, func(a, b *studied) int { return cmp.Compare(a.String(), b.String()) })
	l.images = slices.CompactFunc(l.images, func(a, b *studied) bool { return a.String() == b.String() })
	learned := &Learned{}
	var text strings.Builder
	text.WriteString(l.title())
	for i, g := range l.groups() {
		document, err := g.learn()
		if err != nil {
			return nil, err
		}
		if i > 0 {
			text.WriteString("---\n")
		}
		text.WriteString(document)
		if options.Explain {
			learned.Wider = append(learned.Wider, g.wider()...)
		}
	}
	learned.Policy = text.String()
	if err := l.prove(learned.Policy); err != nil {
		return nil, err
	}
	return learned, nil
}

// learner holds what is studied for all policies.
type learner struct {
	options LearnOptions
	set     *Set
	images  []*studied
	names   map[string]bool // of policies
}

// studied is what is judged of an image: all of it, or a platform.
type studied struct {
	*judgement
	said   []exhibit            // provenance that says most of where the image is from
	also   []exhibit            // provenance of builders that say less
	others []stemma.Attestation // about it, by anybody, that are no provenance
}

func (i *studied) String() string {
	text := i.top.Image.String()
	if i.evidence != i.top {
		text += " " + cmp.Or(i.target.platform, i.evidence.Image.Digest.Short())
	}
	return text
}

// exhibit is one provenance, or any other attestation, and who signed it.
type exhibit struct {
	image       *studied
	attestation *stemma.Attestation
	provenance  *stemma.Provenance // nil of all else
	chains      *Tekton            // as which it is read, of a run of Tekton Chains
}

// study reads what is authentic of an image, and of each platform where the trust that was given judges platforms.
func (l *learner) study(e *stemma.Evidence) error {
	switch {
	case e == nil:
		return errors.New("learning from evidence that is not there")
	case e.Image.Repository == "":
		return &Unlearnable{e.Image, "it has no name, and a policy is about names", "say which image it is with --name REPOSITORY"}
	case !literal(e.Image.Repository):
		return &Unlearnable{e.Image, "no pattern matches only its name", ""}
	}
	for _, t := range l.set.targets(e, stemma.Situation{At: e.CollectedAt}) {
		if t.evidence == nil {
			return &Unlearnable{e.Image, "nothing to judge of " + cmp.Or(t.platform, "it") + ": " + t.listings[0].result.got, ""}
		}
		i := &studied{judgement: &judgement{
			set: &l.set.spec, policy: &loaded{}, spec: &Spec{}, top: e, target: t, evidence: t.evidence, at: stemma.Situation{At: e.CollectedAt},
		}}
		i.read()
		if len(i.said)+len(i.others) == 0 {
			return i.silent()
		}
		for _, a := range i.all() {
			if err := l.known(e.Image, a.attestation.Signer); err != nil {
				return err
			}
		}
		l.images = append(l.images, i)
	}
	return nil
}

// read sorts the attestations about the image. Of several provenances those count for what the policy requires that say
// best where the image is from; the others are by builders that are named and of which no more is asked.
func (i *studied) read() {
	best := -1
	for k := range i.evidence.Attestations {
		a := &i.evidence.Attestations[k]
		if !i.bound(a) {
			continue
		}
		provenance := false
		for n := range i.evidence.Provenance {
			p := &i.evidence.Provenance[n]
			if p.Bundle == "" || p.Bundle != a.Bundle || a.Signature {
				continue
			}
			provenance = true
			s := exhibit{image: i, attestation: a, provenance: p}
			if s.chains = s.tekton(); s.chains != nil {
				s.provenance, _ = s.chains.view(a, p)
			}
			rank := s.provenance.Claims[stemma.FieldRepository].By.Rank()
			if a.Signer.KeyID != "" && p.Value(stemma.FieldBuilder) == "" {
				rank = 0 // a key speaks for a builder.id, and here is none
			}
			switch {
			case rank > best:
				i.said, i.also, best = []exhibit{s}, append(i.also, i.said...), rank
			case rank == best:
				i.said = append(i.said, s)
			default:
				i.also = append(i.also, s)
			}
		}
		if !provenance {
			i.others = append(i.others, *a)
		}
	}
}

// all lists everything that is authentic.
func (i *studied) all() []exhibit {
	out := slices.Concat(i.said, i.also)
	for k := range i.others {
		out = append(out, exhibit{image: i, attestation: &i.others[k]})
	}
	return out
}

// silent is the error about an image of which nothing is authentic.
func (i *studied) silent() error {
	u := &Unlearnable{Image: i.top.Image, Problem: "nothing authentic is about it", Hint: "only evidence that verifies can be learned from; see what there is with stemma inspect " + i.top.Image.String()}
	if i.evidence != i.top {
		u.Problem += " as " + i.target.platform
	}
	for _, c := range i.evidence.Platforms {
		if c != nil && len(c.Attestations) > 0 && !c.Attestation {
			u.Problem, u.Hint = "nothing authentic is about the index, only about its platforms", "judge them: give --policy a PolicySet with platforms: all"
		}
	}
	if r := nearestRejection(i.evidence.Rejected); r != nil {
		u.Problem += "; rejected: " + stemma.Printable(string(r.Reason)+": "+r.Detail, 300)
	}
	return u
}

// known refuses an identity of a trust domain that the policy could not refer to.
func (l *learner) known(image stemma.Image, id stemma.Identity) error {
	k := slices.IndexFunc(l.set.spec.Trust, func(t Trust) bool { return t.Name == id.Trust })
	if id.KeyID == "" && (k >= 0 || id.Trust == PublicGood || id.Trust == GitHubTrust) ||
		k >= 0 && slices.ContainsFunc(l.set.spec.Trust[k].Keys, func(key Key) bool { return key.Name == id.KeyID }) {
		return nil
	}
	return &Unlearnable{
		image, fmt.Sprintf("%s signed under trust domain %q, which nothing that was given declares", describe(id), id.Trust),
		"give --policy a PolicySet that lists the domain under spec.trust",
	}
}

// title is the head of the file.
func (l *learner) title() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# learned, not verified: the tightest policy of %s; nobody has said that it is what it should be\n", count(len(l.images), "image"))
	for n, i := range l.images {
		if n == maxItems {
			fmt.Fprintf(&b, "#   and %d more\n", len(l.images)-n)
			break
		}
		fmt.Fprintf(&b, "#   %s\n", comment(i.String()))
	}
	for _, i := range l.images {
		if len(i.evidence.Unavailable) > 0 {
			u := i.evidence.Unavailable[0]
			fmt.Fprintf(&b, "# not all could be looked at of %s: %s\n", comment(i.String()), comment(u.Place+": "+u.Detail))
			break
		}
	}
	return b.String()
}

// prove judges every image by the policy that was learned from it. One that is not allowed is an error: nothing is
// loosened until it is.
func (l *learner) prove(text string) error {
	set, err := l.load(text)
	if err != nil {
		return fmt.Errorf("learning: the policy does not load, which is a defect: %v", err) // no mistake of whoever reads it
	}
	for _, i := range l.images {
		d := Evaluate(set, i.top, i.at)
		if d.Verdict == stemma.Allow {
			continue
		}
		for _, f := range d.Findings {
			if f.Outcome == stemma.Pass || f.Advisory || f.Needs != "" {
				continue
			}
			problem := fmt.Sprintf("%s: %s: got %s, want %s", f.Rule, f.Title, f.Got, f.Want)
			if slices.Contains(unteachable(), f.Rule) {
				return &Unlearnable{i.top.Image, problem, "no policy that is learned puts up with it; see stemma policy explain " + f.Rule}
			}
			return fmt.Errorf("learning: %s is not allowed by the policy that was learned from it, which is a defect: %s (%s)", i.top.Image, problem, f.Detail)
		}
		return fmt.Errorf("learning: %s is %s by the policy that was learned from it, which is a defect", i.top.Image, d.Verdict)
	}
	return nil
}

// unteachable lists the requirements that no line of a policy asks for, and that an image can be at odds with whatever is
// learned.
func unteachable() []string {
	return []string{"provenance.consistent", "provenance.agreement", "provenance.run", "provenance.builders", "provenance.whole", "image.platform"}
}

// load reads a learned policy as part of a set with the trust domains that were given.
func (l *learner) load(text string) (*Set, error) {
	files := []File{{Name: "learned.yaml", Data: []byte(text)}}
	if context := contextOf(l.set); context != "" {
		files = append(files, File{Name: "trust.yaml", Data: []byte(context)})
	}
	return Load(files...)
}

// contextOf is the part of a set that says what evidence is verified under and what is judged of an image, as a document.
func contextOf(set *Set) string {
	spec, _ := canonical(reflect.ValueOf(SetSpec{
		Trust: set.spec.Trust, ConfigSubjects: set.spec.ConfigSubjects, Mirrors: set.spec.Mirrors, Evidence: set.spec.Evidence,
	})).(map[string]any)
	if spec == nil {
		spec = map[string]any{}
	}
	switch p := set.spec.Platforms; {
	case len(p) == 1 && (p[0] == platformsAll || p[0] == platformsNodes):
		spec["platforms"] = p[0]
	case len(p) > 0:
		spec["platforms"] = []string(p)
	}
	if len(spec) == 0 {
		return ""
	}
	return string(encode(map[string]any{"apiVersion": APIVersion, "kind": KindSet, "metadata": map[string]any{"name": "trust"}, "spec": spec}))
}

// LoadTrust reads files for what they say of trust domains, mirrors, places of evidence and platforms. The set that it
// returns verifies under every domain that they declare and under the built-in ones, and allows no image: its only policy
// asks for the signatures of all domains, and is about none.
func LoadTrust(files ...File) (*Set, error) {
	const nothing = "apiVersion: " + APIVersion + "\nkind: " + KindPolicy + "\nmetadata: {name: stemma-learn}\nspec:\n" +
		"  match: {images: [learn.invalid/none]}\n"
	const nobody = "oidc: {issuer: \"https://learn.invalid\", subject: \"https://learn.invalid/nobody\"}}\n"
	text := nothing + "  signers:\n"
	by := []string{}
	signer := func(rest string) {
		by = append(by, fmt.Sprintf("s%d", len(by)))
		text += "    " + by[len(by)-1] + ": {" + rest
	}
	signer(nobody)
	signer("trust: " + GitHubTrust + ", " + nobody)
	set, err := Load(files...)
	if err != nil {
		// A PolicySet without a policy is as good here.
		if set, err = Load(append(slices.Clone(files), File{Name: "learn.yaml", Data: []byte(text + "  signature: {by: [s0]}\n")})...); err != nil {
			return nil, err
		}
	}
	for _, t := range set.spec.Trust {
		rest := "trust: " + t.Name + ", "
		if len(t.Keys) > 0 {
			signer(rest + "keys: [" + string(encode(t.Keys[0].Name)) + "]}\n")
			continue
		}
		signer(rest + nobody)
	}
	text += "  signature: {by: [" + strings.Join(by, ", ") + "]}\n"
	again := []File{{Name: "learn.yaml", Data: []byte(text)}}
	if context := contextOf(set); context != "" {
		again = append(again, File{Name: "trust.yaml", Data: []byte(context)})
	}
	return Load(again...)
}
