package oci

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
)

// quality is by what possible evidence is chosen when there is more than the bounds allow.
type quality struct {
	rank    int // of the declared type
	size    int64
	created string
	digest  stemma.Digest
	at      int // where it stands in the lists
}

// cost is what it takes of the bounds. Each is a request, so that a thousand listed children with as many referrers of one
// byte each must end, too.
func (q quality) cost() int64 { return max(q.size, requestCost) }

// referrer is a manifest that some place lists as being about a node.
type referrer struct {
	desc    descriptor
	quality quality
	places  []*place
	doc     *document
	err     error
}

// candidate is a layer that may be evidence about a node.
type candidate struct {
	layer   descriptor
	format  stemma.Format
	quality quality
	places  []*place
	sources []source
	data    []byte // of a service, which has sent it already
	sealed  bool
	idle    bool    // a statement that nobody signed: whether it is wanted is not known yet
	chosen  bool    // it is fetched
	late    bool    // it waits until nothing else is left to do
	holders []*node // attached manifests that it lies in
}

// pieceKey names a blob to fetch: the same digest with another size is another claim.
type pieceKey struct {
	digest stemma.Digest
	size   int64
}

type piece struct {
	data  []byte
	err   error
	asked bool
	from  []source // where it may be
	next  []source // those of them that were not asked yet
}

// declared ranks what a descriptor says that it is: what is most likely to be verifiable evidence is looked at first
// when there is more than the bounds allow. It is only a hint, and excludes nothing (aicr #1957: a bundle listed as
// application/vnd.oci.empty.v1+json).
func declared(t string) int {
	switch {
	case strings.HasPrefix(t, mediaTypeBundlePrefix):
		return 0
	case t == mediaTypeDSSE, t == mediaTypeInToto, t == mediaTypeDockerAttest, strings.HasPrefix(t, "application/vnd.dev.cosign."):
		return 1
	case t == "" || !isArtifact(t) || t == v1.MediaTypeEmptyJSON:
		return 2
	}
	return 3
}

// choose keeps at most so many, of at most so many bytes: by turns the best by declared type, size and age, and the
// first that is listed with the best type there is. Who wants to crowd a piece of evidence out has to declare its type,
// be smaller, and be listed before it, two hundred times (CVE-2023-33958). What it keeps is ordered by quality.
func choose[T comparable](list []T, of func(T) quality, most int, bytes int64) []T {
	best := slices.Clone(list)
	slices.SortStableFunc(best, func(x, y T) int {
		a, b := of(x), of(y)
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.size, b.size), cmp.Compare(b.created, a.created), cmp.Compare(a.digest, b.digest))
	})
	var listed []T
	total := int64(0)
	for _, x := range best {
		if total += of(x).cost(); of(x).rank == of(best[0]).rank {
			listed = append(listed, x)
		}
	}
	if len(best) <= most && total <= bytes {
		return best
	}
	slices.SortStableFunc(listed, func(x, y T) int { return cmp.Compare(of(x).at, of(y).at) })
	kept := map[T]bool{}
	turns := [2][]T{best, listed}
	room := [2]int64{bytes, bytes / 4} // large junk that is listed first must not take it all
	for turn := 0; len(kept) < most && len(turns[0])+len(turns[1]) > 0; turn = 1 - turn {
		for len(turns[turn]) > 0 {
			x := turns[turn][0]
			turns[turn] = turns[turn][1:]
			if cost := of(x).cost(); !kept[x] && cost <= room[turn] && cost <= room[0] {
				kept[x] = true
				room[0] -= cost
				if turn == 1 {
					room[1] -= cost
				}
				break
			}
		}
	}
	return slices.DeleteFunc(best, func(x T) bool { return !kept[x] })
}

// readReferrers reads the manifests that the referrers API and the fallback tag list, at most maxPieces for a node. All
// nodes of a round together take no more than half of what is left, and each of them a fair share of it: what lies about
// the index leaves some for its platforms, and what lies about one platform some for the others.
func (d *discovery) readReferrers(nodes []*node) []task {
	var listed []*node
	for _, n := range nodes {
		if n.list(); len(n.referrers) > 0 {
			listed = append(listed, n)
		}
	}
	var tasks []task
	shares(&d.manifests, 2, len(listed), func(i int, room int64) { tasks = append(tasks, d.readListed(listed[i], room)...) })
	return tasks
}

// shares gives each of n takers, in their order, its share of a part of what is left, and what those before it left over.
func shares(left *int64, part int64, n int, take func(i int, room int64)) {
	all := max(0, *left) / part
	end := *left - all
	for i := range n {
		others := all / int64(n) * int64(n-i-1)
		take(i, *left-end-others)
	}
}

func (d *discovery) readListed(n *node, room int64) []task {
	all := n.referrers
	n.referrers = choose(n.referrers, func(r *referrer) quality { return r.quality }, maxPieces, room)
	if len(n.referrers) < len(all) {
		n.lost(all[0].places[0], &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("%d referrers, of which %d were looked at", len(all), len(n.referrers))})
	}
	var tasks []task
	for _, r := range n.referrers {
		d.manifests -= r.quality.cost()
		// An attestation manifest may be a child of the index and a referrer at once (BuildKit since 0.32).
		if i := slices.IndexFunc(d.nodes, func(n *node) bool {
			return n.doc != nil && n.doc.descriptor().Digest == r.desc.Digest && n.desc.Size == r.desc.Size && n.doc.mediaType == r.desc.MediaType
		}); i >= 0 {
			r.doc = d.nodes[i].doc
			continue
		}
		tasks = append(tasks, task{run: func(ctx context.Context) {
			for _, s := range sourcesOf(r.places) {
				if r.doc, r.err = s.manifest(ctx, r.desc); r.err == nil {
					return
				}
			}
		}})
	}
	return tasks
}

// sourcesOf are the repositories that places are in.
func sourcesOf(places []*place) []source {
	var list []source
	for _, p := range places {
		if p.source != nil && !slices.Contains(list, p.source) {
			list = append(list, p.source)
		}
	}
	return list
}

// list unites what the places list. Its order is that of the lists, the first of each first: a long one must not stand
// before what another place lists.
func (n *node) list() {
	known := map[pieceKey]*referrer{}
	for i, p := range n.places {
		bad := 0
		var first error
		for at, desc := range p.list {
			if err := desc.check(maxManifest); err != nil {
				if bad++; first == nil {
					first = err
				}
				continue
			}
			key := pieceKey{desc.Digest, desc.Size}
			r := known[key]
			if r == nil {
				r = &referrer{desc: desc, quality: quality{declared(desc.ArtifactType), desc.Size, desc.Annotations[v1.AnnotationCreated], desc.Digest, at*len(n.places) + i}}
				known[key] = r
				n.referrers = append(n.referrers, r)
			}
			r.quality.rank = min(r.quality.rank, declared(desc.ArtifactType))
			r.quality.at = min(r.quality.at, at*len(n.places)+i)
			if !slices.Contains(r.places, p) {
				r.places = append(r.places, p)
			}
		}
		if bad > 0 {
			n.reject(p, "", "descriptor", stemma.ReasonMalformed, fmt.Sprintf("%d of the listed descriptors, the first because: %v", bad, first))
		}
		p.list = nil
	}
}

// collect finds the layers that may be evidence in what was read about the node, and the manifests attached to it.
func (d *discovery) collect(n *node) {
	if n.doc == nil {
		return
	}
	var attached []attachment
	for _, r := range n.referrers {
		p := r.places[0]
		switch {
		case r.err != nil:
			n.lost(p, fmt.Errorf("referrer %s: %w", r.desc.Digest.Short(), r.err))
		case r.doc.body.Subject == nil:
			n.reject(p, r.desc.Digest, "referrer", stemma.ReasonSubjectMismatch, "it is listed as a referrer and names no subject")
		case r.doc.body.Subject.Digest != n.desc.Digest:
			// "…the referrers API […] response MUST be an image index containing a list of descriptors […] Each
			// descriptor is of an image manifest or index in the same <name> namespace with a subject field that
			// specifies the value of <digest>."
			n.reject(p, r.desc.Digest, "referrer", stemma.ReasonSubjectMismatch, "it is listed as a referrer and its subject is "+string(r.doc.body.Subject.Digest))
		default:
			attached = append(attached, attachment{doc: r.doc, places: r.places})
		}
	}
	for _, p := range n.places {
		for _, doc := range p.docs {
			switch {
			case p.kind == placeSBOM:
				p.found += len(doc.body.Layers)
				attached = append(attached, attachment{doc: doc, places: []*place{p}, byTag: true})
			case doc.isIndex():
				n.reject(p, doc.digest, doc.mediaType, stemma.ReasonUnsupported, "the tag is an index, and cosign writes a manifest")
			default:
				p.found += n.layers(attachment{doc: doc, places: []*place{p}}, nil, p)
			}
		}
		for _, raw := range p.raws {
			n.received(p, raw)
		}
		p.raws = nil
	}
	d.attach(n, attached)
}

// layers adds the layers of a manifest that are evidence about the node, and returns their number.
func (n *node) layers(a attachment, holder *node, p *place) int {
	found := 0
	for i, layer := range a.doc.body.Layers {
		if i >= maxLayers {
			n.lost(p, &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("%s has %d layers, of which %d were looked at", a.doc.digest.Short(), len(a.doc.body.Layers), i)})
			break
		}
		format, ok := formatOf(layer.MediaType)
		if !ok {
			if holder != nil {
				holder.holds = holder.holds || layer.MediaType != v1.MediaTypeEmptyJSON
				if isSBOM(layer.MediaType) {
					holder.file(layer)
					continue
				}
			}
			if p.skipped == nil {
				p.skipped = map[string]int{}
			}
			p.skipped[stemma.Printable(layer.MediaType, 60)]++
			continue
		}
		found++
		if err := layer.check(maxEvidence); err != nil {
			n.reject(p, layer.Digest, string(format), layerReason(err), err.Error())
			continue
		}
		layer.Annotations = signing(layer.Annotations)
		c := &candidate{
			layer: layer, format: format, places: []*place{p}, sources: a.sources(), sealed: a.sealed,
			quality: quality{declared(layer.MediaType), layer.Size, a.doc.body.Annotations[v1.AnnotationCreated], layer.Digest, a.at*maxLayers + i},
		}
		if format == stemma.FormatStatement && holder != nil {
			c.holders = []*node{holder}
		}
		// A statement in an artifact of its own may be a bundle by another name, and is read to see; in BuildKit's
		// attestation manifests nothing is signed.
		c.idle = format == stemma.FormatStatement && a.marked
		n.candidate(c)
	}
	return found
}

// received adds what a service has sent.
func (n *node) received(p *place, raw stemma.Raw) {
	p.found++
	d := descriptor{MediaType: string(raw.Format), Digest: stemma.SHA256(raw.Data), Size: int64(len(raw.Data)), Annotations: raw.Annotations}
	n.candidate(&candidate{
		layer: d, format: raw.Format, places: []*place{p}, data: raw.Data,
		quality: quality{rank: 0, size: d.Size, digest: d.Digest, at: p.found},
	})
}

// layerReason: what is wrong with a layer's descriptor is wrong with the evidence, not with the look at it.
func layerReason(err error) stemma.Reason {
	if f := asFault(err); f.reason == stemma.ReasonTruncated {
		return stemma.ReasonLimit
	}
	return stemma.ReasonMalformed
}

// signing keeps the annotations that carry a signature and what proves it. Any other would make another piece of the
// same evidence, as often as somebody cares to list it.
func signing(annotations map[string]string) map[string]string {
	var kept map[string]string
	for k, v := range annotations {
		if strings.HasPrefix(k, "dev.cosignproject.cosign/") || strings.HasPrefix(k, "dev.sigstore.cosign/") {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[k] = v
		}
	}
	return kept
}

// candidate adds a layer once, wherever it stands. Two that differ in an annotation are two: annotations carry
// signatures.
func (n *node) candidate(c *candidate) {
	key := stemma.Raw{Data: fmt.Appendf(nil, "%s %d %s", c.layer.Digest, c.layer.Size, c.layer.MediaType), Annotations: c.layer.Annotations}.ID()
	known := n.known[key]
	if known == nil {
		if n.known == nil {
			n.known = map[stemma.Digest]*candidate{}
		}
		n.known[key] = c
		n.candidates = append(n.candidates, c)
		return
	}
	known.sealed = known.sealed || c.sealed
	known.idle = known.idle && c.idle
	for _, p := range c.places {
		if !slices.Contains(known.places, p) {
			known.places = append(known.places, p)
		}
	}
	for _, s := range c.sources {
		if !slices.Contains(known.sources, s) {
			known.sources = append(known.sources, s)
		}
	}
	for _, h := range c.holders {
		if !slices.Contains(known.holders, h) {
			known.holders = append(known.holders, h)
		}
	}
}

// fetch plans the pieces that are to be fetched and were not yet, within the bounds of count and size. In a round the
// new ones take no more than half of what is left, and those of each node a fair share of it. What is over waits until
// nothing else is left to do, and then has all the room there is: otherwise a piece as large as the bounds allow, which
// whoever can push attaches to an image, would keep out what is found later, about its platforms or by whom it is signed.
func (d *discovery) fetch(last bool) []task {
	type waiting struct {
		node  *node
		fresh []*candidate
		files []*file
	}
	var all []waiting
	var tasks []task
	for _, n := range d.nodes {
		w := waiting{node: n}
		for _, c := range n.candidates {
			switch c.idle = c.idle && !d.wakes(c); {
			case c.chosen && c.data == nil: // it may have come to be known where else it is
				tasks = append(tasks, d.get(pieceKey{c.layer.Digest, c.layer.Size}, c.sources)...)
			case !c.chosen && !c.idle && c.late == last:
				w.fresh = append(w.fresh, c)
			}
		}
		if d.want == nil || d.want.Unsigned || n.step == stepRead && n.signed() {
			for _, f := range n.files {
				if !f.chosen && f.late == last && f.layer.check(maxEvidence) == nil {
					w.files = append(w.files, f)
				}
			}
		}
		if len(w.fresh)+len(w.files) > 0 {
			all = append(all, w)
		}
	}
	part := int64(2)
	if last {
		part = 1
	}
	shares(&d.evidence, part, len(all), func(i int, room int64) {
		tasks = append(tasks, d.take(all[i].node, all[i].fresh, all[i].files, room, last)...)
	})
	return tasks
}

// take plans the pieces of one node.
func (d *discovery) take(n *node, fresh []*candidate, files []*file, room int64, last bool) []task {
	var tasks []task
	for _, c := range choose(fresh, func(c *candidate) quality { return c.quality }, maxPieces-n.pieces, room) {
		// Bytes that are fetched once are verified and kept as often as they are listed: each counts.
		n.pieces++
		d.evidence -= c.quality.cost()
		room -= c.quality.cost()
		if c.chosen = true; c.data == nil {
			tasks = append(tasks, d.get(pieceKey{c.layer.Digest, c.layer.Size}, c.sources)...)
		}
	}
	lost := 0
	for _, c := range fresh {
		if c.late = true; !c.chosen {
			lost++
		}
	}
	if last && lost > 0 {
		n.candidates = slices.DeleteFunc(n.candidates, func(c *candidate) bool { return !c.chosen && !c.idle })
		n.lost(fresh[0].places[0], &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("%d pieces of evidence, of which %d were looked at", n.pieces+lost, n.pieces)})
	}
	for _, f := range files {
		if f.late = true; f.layer.Size <= room {
			f.chosen = true
			d.evidence -= f.layer.Size
			room -= f.layer.Size
			tasks = append(tasks, d.get(pieceKey{f.layer.Digest, f.layer.Size}, d.at(n))...)
		}
	}
	return tasks
}

// get plans one piece, once. Where it is in several repositories, each is tried until one has it; also when they come to
// be known one after the other, so that what is listed where it is not does not keep it from being had where it is.
func (d *discovery) get(key pieceKey, from []source) []task {
	got := d.pieces[key]
	planned := got != nil && !got.asked
	if got == nil {
		got = &piece{}
		d.pieces[key] = got
	}
	for _, s := range from {
		if !slices.Contains(got.from, s) {
			got.from, got.next = append(got.from, s), append(got.next, s)
		}
	}
	if planned || got.asked && got.err == nil || len(got.next) == 0 {
		return nil
	}
	return []task{{run: func(ctx context.Context) {
		next := got.next
		got.asked, got.next = true, nil
		for _, s := range next {
			if got.data, got.err = s.blob(ctx, descriptor{Digest: key.digest, Size: key.size}, maxEvidence); got.err == nil {
				return
			}
		}
	}}}
}

// keep has the manifests that a statement lies in reported, although it was not read.
func (c *candidate) keep() {
	for _, h := range c.holders {
		h.holds = true
	}
}

// raws makes evidence of the pieces: one of each, wherever it was found, in the order of their IDs.
func (n *node) raws(pieces map[pieceKey]*piece) []stemma.Raw {
	// The same bytes in two forms are two pieces: otherwise evidence could be hidden by listing it as what it is not.
	type identity struct {
		id     stemma.Digest
		format stemma.Format
	}
	type found struct {
		raw     stemma.Raw
		places  []*place
		holders []*node
	}
	at := map[identity]*found{}
	for _, c := range n.candidates {
		if !c.chosen {
			c.keep()
			continue
		}
		raw := stemma.Raw{Format: c.format, Data: c.data, Of: n.desc.Digest, Sealed: c.sealed}
		if c.data == nil {
			p := pieces[pieceKey{c.layer.Digest, c.layer.Size}]
			if p.err != nil {
				n.lost(c.places[0], fmt.Errorf("layer %s: %w", c.layer.Digest.Short(), p.err))
				c.keep()
				continue
			}
			raw.Data = p.data
		}
		if raw.Format == stemma.FormatStatement {
			// Some store signed statements under the media type of the statement.
			if is := classify(raw.Data).format; is == stemma.FormatBundle || is == stemma.FormatDSSE {
				raw.Format = is
			}
		}
		if raw.Format == stemma.FormatDSSE || raw.Format == stemma.FormatSimpleSigning {
			raw.Annotations = c.layer.Annotations
		}
		id := identity{raw.ID(), raw.Format}
		f := at[id]
		if f == nil {
			f = &found{raw: raw}
			at[id] = f
		}
		f.raw.Sealed = f.raw.Sealed || c.sealed
		f.places = append(f.places, c.places...)
		f.holders = append(f.holders, c.holders...)
	}
	order := slices.SortedFunc(maps.Keys(at), func(a, b identity) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.format, b.format))
	})
	var sorted []stemma.Raw
	for _, id := range order {
		f := at[id]
		slices.SortFunc(f.places, func(a, b *place) int { return cmp.Compare(a.rank, b.rank) })
		var names []string
		for _, p := range slices.Compact(f.places) {
			if name := p.String(); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		f.raw.Place = strings.Join(names, ", ")
		sorted = append(sorted, f.raw)
		for i, h := range f.holders {
			if f.raw.Format == stemma.FormatStatement && !slices.Contains(f.holders[:i], h) {
				h.statements = append(h.statements, f.raw)
			}
		}
	}
	return sorted
}
