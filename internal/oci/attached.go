package oci

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
)

// attachment is a manifest about a node: a referrer, what a tag holds, or an attestation manifest in an index.
type attachment struct {
	doc    *document
	places []*place
	at     int  // its position among the others
	marked bool // BuildKit marks it as an attestation manifest, in which nothing is signed
	sealed bool // the digest of the image covers it
	byTag  bool // it is no evidence by itself
}

func (a attachment) sources() []source { return sourcesOf(a.places) }

// file is a layer of an attached manifest that is an SBOM as it stands.
type file struct {
	layer  descriptor
	chosen bool
	late   bool // it waits until nothing else is left to do
}

func (n *node) file(layer descriptor) {
	if len(n.files) < maxLayers && !slices.ContainsFunc(n.files, func(f *file) bool { return f.layer.Digest == layer.Digest && f.layer.Size == layer.Size }) {
		n.files = append(n.files, &file{layer: layer})
	}
}

// contentOther is the content of a manifest that is neither statements nor SBOMs.
const contentOther = 2

// content is what a manifest that was read holds besides signed evidence: 0 statements, 1 SBOMs, 2 anything else; -1
// means that nothing in it would be signed by signing the manifest. Nobody signs a bundle.
func (d *document) content() int {
	if d.isIndex() || isSignature(d.body.ArtifactType) {
		return -1
	}
	content := -1
	for _, l := range d.body.Layers {
		is := contentOther
		switch format, ok := formatOf(l.MediaType); {
		case ok && format != stemma.FormatStatement:
			return -1
		case ok:
			is = 0
		case isSBOM(l.MediaType):
			is = 1
		case isSignature(l.MediaType) || l.MediaType == v1.MediaTypeEmptyJSON:
			continue
		}
		if content < 0 || is < content {
			content = is
		}
	}
	return content
}

// attach takes what manifests about a node hold as evidence about it, and has those that may be signed as a whole
// looked at themselves: BuildKit's provenance is signed by a signature of the attestation manifest that it lies in, and
// an SBOM by one of its manifest. A client that lists the referrers of the image alone sees neither.
func (d *discovery) attach(n *node, list []attachment) {
	quality := func(i int) quality {
		a := list[i]
		return quality{a.doc.content(), int64(len(a.doc.data)), a.doc.body.Annotations[v1.AnnotationCreated], a.doc.digest, i}
	}
	var worth []int
	for i := range list {
		list[i].at = i
		list[i].marked = list[i].marked || list[i].doc.body.ArtifactType == mediaTypeDockerAttest
		if list[i].doc.content() >= 0 {
			worth = append(worth, i)
		}
	}
	slices.SortStableFunc(worth, func(i, j int) int {
		a, b := quality(i), quality(j)
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.size, b.size), cmp.Compare(b.created, a.created), cmp.Compare(a.digest, b.digest))
	})
	holders, told := map[int]*node{}, false
	for at, i := range worth {
		a := list[i]
		// What is looked at in any case, such as a child of the index, takes no room, and is not crowded out by what
		// whoever can push attaches (CVE-2023-33958).
		many := (len(n.attached) >= maxAttached || len(d.nodes)-d.family >= maxAttachedTotal) && d.node(n, a.doc.digest) == nil
		if !many && n.nested < maxNested {
			holders[i] = d.holder(n, a)
		} else if !told {
			told = true
			n.lost(a.places[0], &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("%d manifests are attached to %s, %d levels down, of which %d were looked at", len(worth), n.desc.Digest.Short(), n.nested+1, at)})
		}
	}
	for i, a := range list {
		if a.byTag && holders[i] == nil {
			continue
		}
		for _, p := range a.places {
			found := n.layers(a, holders[i], p)
			if !a.byTag {
				p.found += found
			}
		}
	}
}

// node is the one of a manifest that was read: that which is attached to n already, or any other. One that could not be
// read is none, though somebody else may have read the same manifest meanwhile.
func (d *discovery) node(n *node, digest stemma.Digest) *node {
	for _, list := range [][]*node{n.attached, d.nodes} {
		if i := slices.IndexFunc(list, func(x *node) bool { return x.doc != nil && x.desc.Digest == digest }); i >= 0 {
			return list[i]
		}
	}
	return nil
}

// holder is the node of a manifest that is attached to another one: that which there is, or a new one. It is nil when
// the manifest is attached to something else already, or the other one hangs from it: the marks of an index can say
// both of two manifests, and a tree must come of it (oras GHSA-298f).
func (d *discovery) holder(n *node, a attachment) *node {
	if x := d.node(n, a.doc.digest); x != nil {
		for above := n; above != nil; above = above.of {
			if above == x {
				return nil
			}
		}
		if x.of != nil && x.of != n || x.isParent {
			return nil
		}
		if x.of = n; !slices.Contains(n.attached, x) {
			n.attached = append(n.attached, x)
		}
		return x
	}
	x := d.add(&node{desc: a.doc.descriptor(), doc: a.doc, of: n, nested: n.nested + 1, isAttest: a.marked, sources: a.sources()})
	n.attached = append(n.attached, x)
	return x
}

// signed reports whether something may sign the manifest of a node.
func (n *node) signed() bool {
	return slices.ContainsFunc(n.candidates, func(c *candidate) bool { return !c.idle })
}

// unseen reports whether something that signs the manifest may have been missed.
func (n *node) unseen() bool {
	return len(n.unavailable) > 0 || slices.ContainsFunc(n.places, func(p *place) bool { return p.err != nil })
}

// wakes reports whether a statement that nobody signed is to be read: when it is wanted as such, and when the manifest
// that it lies in is signed as a whole, or may be.
func (d *discovery) wakes(c *candidate) bool {
	return d.want == nil || d.want.Unsigned || slices.ContainsFunc(c.holders, func(h *node) bool { return h.step == stepRead && (h.signed() || h.unseen()) })
}

// seal files what BuildKit's attestation manifests hold under the manifests that they are about. The digest of the index
// covers them, and nobody says them.
func (d *discovery) seal(top *node) {
	for _, n := range d.nodes {
		if n.sealed || n.doc == nil || !n.doc.isIndex() || slices.ContainsFunc(n.children, func(c *node) bool { return c.step < stepListed }) || n.step < stepAsked {
			continue
		}
		n.sealed = true
		kept := n.children[:0]
		for _, child := range n.children {
			if child.err != nil {
				n.lost(n.place(placeChildren), fmt.Errorf("child %s: %w", child.desc.Digest.Short(), child.err))
				continue
			}
			kept = append(kept, child)
		}
		n.children = kept
		for _, child := range n.children {
			if !child.desc.isAttestation() {
				continue
			}
			i := slices.IndexFunc(n.children, func(other *node) bool { return other.desc.Digest == child.attests && other != child })
			if i < 0 {
				n.reject(n.place(placeChildren), child.desc.Digest, attestationManifest, stemma.ReasonSubjectMismatch,
					fmt.Sprintf("it is about %s, which the index does not list", child.attests))
				continue
			}
			d.adopt(n, n.children[i], child, true)
		}
	}
	for _, s := range d.seeking {
		// The image that was asked for is not the index: its digest covers none of this.
		for _, sibling := range s.siblings {
			if sibling.step < stepListed || s.adopted[sibling] {
				continue
			}
			s.adopted[sibling] = true
			if sibling.err != nil {
				s.index.lost(s.index.place(placeChildren), fmt.Errorf("child %s: %w", sibling.desc.Digest.Short(), sibling.err))
				continue
			}
			d.adopt(s.index, top, sibling, false)
		}
	}
}

// adopt attaches an attestation manifest of an index to what it is about.
func (d *discovery) adopt(index, target, m *node, sealed bool) {
	p := index.place(placeChildren)
	if subject := m.doc.body.Subject; subject != nil && subject.Digest != target.desc.Digest {
		index.reject(p, m.desc.Digest, attestationManifest, stemma.ReasonSubjectMismatch,
			fmt.Sprintf("the index marks it as being about %s, and its subject is %s", target.desc.Digest.Short(), subject.Digest))
		return
	}
	// Marks could lead round in a ring, which would be broken up where it matters: what is no evidence is attached to
	// nothing by a mark alone.
	if m.doc.content() == contentOther {
		index.reject(p, m.desc.Digest, attestationManifest, stemma.ReasonUnsupported,
			fmt.Sprintf("the index marks it as being about %s, and it holds neither statements nor an SBOM", target.desc.Digest.Short()))
		return
	}
	p.source = d.repositories[0].source
	d.attach(target, []attachment{{doc: m.doc, places: []*place{p}, marked: true, sealed: sealed}})
}

// seek is one index that may list the image: the one that was named, the one that the tag leads to, or one of a layout.
type seek struct {
	kind     int
	tag      string
	digest   stemma.Digest
	doc      *document
	err      error
	asked    bool
	judged   bool
	index    *node
	siblings []*node // attestation manifests that it lists about the image
	adopted  map[*node]bool
}

// seekIndexes prepares to ask for the indexes that may list the image.
func (d *discovery) seekIndexes(top *node) {
	ref := d.look.Ref
	if d.want != nil && !d.want.Indexes {
		return
	}
	if l, ok := d.repositories[0].source.(*layout); ok {
		for i, doc := range l.parents(top.desc) {
			if i == maxIndexes {
				top.lost(top.place(placeIndex), &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("more than %d indexes list it", maxIndexes)})
				break
			}
			d.seeking = append(d.seeking, &seek{kind: placeIndex, digest: doc.digest, doc: doc, asked: true})
		}
	}
	known := slices.ContainsFunc(d.seeking, func(s *seek) bool { return s.digest == d.look.Index })
	if d.look.Index != "" && d.look.Index != top.desc.Digest && !known {
		d.seeking = append(d.seeking, &seek{kind: placeIndex, digest: d.look.Index})
	}
	if ref.Digest != "" && ref.Tag != "" {
		d.seeking = append(d.seeking, &seek{kind: placeIndexTag, tag: ref.Tag})
	}
}

// seek asks for the indexes, each once.
func (d *discovery) seek() []task {
	var tasks []task
	for _, s := range d.seeking {
		if !s.asked {
			s.asked = true
			tasks = append(tasks, task{run: func(ctx context.Context) { s.doc, s.err = d.repositories[0].source.named(ctx, s.tag, s.digest) }})
		}
	}
	return tasks
}

// judge looks at the indexes that were asked for. One that lists the very digest and size of the image is a member of
// its family; that it was named, or has the tag, proves nothing.
func (d *discovery) judge(top *node) {
	for _, s := range d.seeking {
		if s.judged || top.doc == nil {
			continue
		}
		s.judged = true
		p := top.place(s.kind)
		switch {
		case isMissing(s.err):
			p.answer = "404"
		case s.err != nil:
			p.answer, p.err = statusOf(s.err), s.err
		case s.doc.digest == top.doc.digest:
			p.answer = "200, the image itself"
		case !s.doc.lists(top.doc.descriptor()):
			p.answer = "200, does not list it"
		default:
			p.answer = "200, lists it"
			d.parent(top, s)
		}
	}
}

// parent adds an index that lists the image.
func (d *discovery) parent(top *node, s *seek) {
	if slices.ContainsFunc(d.nodes, func(n *node) bool { return n.desc.Digest == s.doc.digest }) {
		return
	}
	s.index = d.add(&node{desc: s.doc.descriptor(), doc: s.doc, isParent: true})
	s.index.place(placeChildren).answer = fmt.Sprintf("%d listed", len(s.doc.body.Manifests))
	s.adopted = map[*node]bool{}
	top.indexes = append(top.indexes, s.index)
	for _, desc := range s.doc.body.Manifests {
		if !desc.isAttestation() || stemma.Digest(desc.Annotations[annotationReferenceDigest]) != top.doc.digest || desc.Digest == top.doc.digest || desc.check(maxManifest) != nil {
			continue
		}
		if slices.ContainsFunc(d.nodes, func(n *node) bool { return n.desc.Digest == desc.Digest }) {
			continue
		}
		if len(s.siblings) == maxAttached || desc.Size > d.manifests {
			s.index.lost(s.index.place(placeChildren), &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("the index lists more than %d attestation manifests about %s", len(s.siblings), top.doc.digest.Short())})
			break
		}
		d.manifests -= desc.Size
		s.siblings = append(s.siblings, d.add(&node{desc: desc, of: nil, nested: 1, isAttest: true, platform: desc.Platform.value(), attests: top.doc.digest}))
	}
}
