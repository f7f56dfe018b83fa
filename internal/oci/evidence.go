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

// referrer is a manifest that some place lists as being about a node.
type referrer struct {
	desc   descriptor
	places []int
	doc    *document
	err    error
}

// candidate is a layer that may be evidence about a node.
type candidate struct {
	layer   descriptor
	format  stemma.Format
	places  []int
	sealed  bool
	created string // org.opencontainers.image.created of the manifest
}

// pieceKey names a blob to fetch: the same digest with another size is another claim.
type pieceKey struct {
	digest stemma.Digest
	size   int64
}

type piece struct {
	data []byte
	err  error
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

// readReferrers reads the manifests that the referrers API and the fallback tag list, at most maxPieces for a node: by
// declared type, then the smallest, then the newest.
func (d *discovery) readReferrers(ctx context.Context) {
	var tasks []func()
	total := int64(0)
	for _, n := range d.nodes {
		n.list()
		slices.SortStableFunc(n.referrers, func(a, b *referrer) int {
			return cmp.Or(cmp.Compare(declared(a.desc.ArtifactType), declared(b.desc.ArtifactType)), cmp.Compare(a.desc.Size, b.desc.Size),
				cmp.Compare(b.desc.Annotations[v1.AnnotationCreated], a.desc.Annotations[v1.AnnotationCreated]), cmp.Compare(a.desc.Digest, b.desc.Digest))
		})
		for i, r := range n.referrers {
			if total += r.desc.Size; i >= maxPieces || total > maxManifestsTotal {
				n.lost(r.places[0], &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("%d referrers, of which %d were looked at", len(n.referrers), i)})
				n.referrers = n.referrers[:i]
				break
			}
			// An attestation manifest may be a child of the index and a referrer at once (BuildKit since 0.32).
			if i := slices.IndexFunc(d.nodes, func(n *node) bool { return n.doc.digest == r.desc.Digest && n.desc.Size == r.desc.Size }); i >= 0 && d.nodes[i].doc.mediaType == r.desc.MediaType {
				r.doc = d.nodes[i].doc
				continue
			}
			tasks = append(tasks, func() { r.doc, r.err = d.source.manifest(ctx, r.desc) })
		}
	}
	d.parallel(tasks)
}

// list unites what the two places list.
func (n *node) list() {
	known := map[pieceKey]*referrer{}
	for _, place := range []int{placeReferrers, placeFallback} {
		bad := 0
		var first error
		for _, desc := range n.places[place].list {
			if err := desc.check(maxManifest); err != nil {
				if bad++; first == nil {
					first = err
				}
				continue
			}
			key := pieceKey{desc.Digest, desc.Size}
			r := known[key]
			if r == nil {
				r = &referrer{desc: desc}
				known[key] = r
				n.referrers = append(n.referrers, r)
			}
			if !slices.Contains(r.places, place) {
				r.places = append(r.places, place)
			}
		}
		if bad > 0 {
			n.reject(place, "", "descriptor", stemma.ReasonMalformed, fmt.Sprintf("%d of the listed descriptors, the first because: %v", bad, first))
		}
		n.places[place].list = nil
	}
}

// collect finds the layers that may be evidence in what was read about the node.
func (n *node) collect() {
	for _, r := range n.referrers {
		place := r.places[0]
		switch {
		case r.err != nil:
			n.lost(place, fmt.Errorf("referrer %s: %w", r.desc.Digest.Short(), r.err))
			continue
		case r.doc.body.Subject == nil:
			n.reject(place, r.desc.Digest, "referrer", stemma.ReasonSubjectMismatch, "it is listed as a referrer and names no subject")
			continue
		case r.doc.body.Subject.Digest != n.desc.Digest:
			// "…the referrers API […] response MUST be an image index containing a list of descriptors […] Each
			// descriptor is of an image manifest or index in the same <name> namespace with a subject field that
			// specifies the value of <digest>."
			n.reject(place, r.desc.Digest, "referrer", stemma.ReasonSubjectMismatch, "it is listed as a referrer and its subject is "+string(r.doc.body.Subject.Digest))
			continue
		}
		for _, place := range r.places {
			p := &n.places[place]
			p.found += n.layers(place, r.doc, p, false)
		}
	}
	for _, place := range []int{placeSig, placeAtt} {
		p := &n.places[place]
		for _, doc := range p.docs {
			if doc.isIndex() {
				n.reject(place, doc.digest, doc.mediaType, stemma.ReasonUnsupported, "the tag is an index, and cosign writes a manifest")
				continue
			}
			p.found += n.layers(place, doc, p, false)
		}
	}
	// What cosign attached as an SBOM nobody signed: it is counted, and not read.
	for _, doc := range n.places[placeSBOM].docs {
		n.places[placeSBOM].found += len(doc.body.Layers)
	}
}

// layers adds the layers of a manifest that are evidence about the node, and returns their number.
func (n *node) layers(place int, doc *document, p *probe, sealed bool) int {
	found := 0
	for i, layer := range doc.body.Layers {
		if i >= maxLayers {
			n.lost(place, &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("%s has %d layers, of which %d were looked at", doc.digest.Short(), len(doc.body.Layers), i)})
			break
		}
		format, ok := formatOf(layer.MediaType)
		if !ok {
			if p.skipped == nil {
				p.skipped = map[string]int{}
			}
			p.skipped[stemma.Printable(layer.MediaType, 60)]++
			continue
		}
		found++
		if err := layer.check(maxEvidence); err != nil {
			n.reject(place, layer.Digest, string(format), layerReason(err), err.Error())
			continue
		}
		layer.Annotations = signing(layer.Annotations)
		n.candidate(&candidate{layer: layer, format: format, places: []int{place}, sealed: sealed, created: doc.body.Annotations[v1.AnnotationCreated]})
	}
	return found
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
	if !slices.Contains(known.places, c.places[0]) {
		known.places = append(known.places, c.places[0])
	}
	known.sealed = known.sealed || c.sealed
}

// fetch gets every piece once, the image's own first, within the bounds of count and size.
func (d *discovery) fetch(ctx context.Context) map[pieceKey]piece {
	var keys []pieceKey
	planned := map[pieceKey]bool{}
	total := int64(0)
	for _, n := range d.nodes {
		slices.SortStableFunc(n.candidates, func(a, b *candidate) int {
			return cmp.Or(cmp.Compare(declared(a.layer.MediaType), declared(b.layer.MediaType)), cmp.Compare(a.layer.Size, b.layer.Size),
				cmp.Compare(b.created, a.created), cmp.Compare(a.layer.Digest, b.layer.Digest))
		})
		for i, c := range n.candidates {
			key := pieceKey{c.layer.Digest, c.layer.Size}
			// Bytes that are fetched once are verified and kept as often as they are listed: each counts.
			total += key.size
			if i >= maxPieces || total > maxEvidenceTotal {
				n.lost(c.places[0], &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("%d pieces of evidence, of which %d were looked at", len(n.candidates), i)})
				n.candidates = n.candidates[:i]
				break
			}
			if !planned[key] {
				planned[key] = true
				keys = append(keys, key)
			}
		}
	}
	got := make([]piece, len(keys))
	var tasks []func()
	for i, key := range keys {
		tasks = append(tasks, func() {
			got[i].data, got[i].err = d.source.blob(ctx, descriptor{Digest: key.digest, Size: key.size}, maxEvidence)
		})
	}
	d.parallel(tasks)
	pieces := make(map[pieceKey]piece, len(keys))
	for i, key := range keys {
		pieces[key] = got[i]
	}
	return pieces
}

// raws makes evidence of the pieces: one of each, wherever it was found, in the order of their IDs.
func (n *node) raws(pieces map[pieceKey]piece) []stemma.Raw {
	// The same bytes in two forms are two pieces: otherwise evidence could be hidden by listing it as what it is not.
	type identity struct {
		id     stemma.Digest
		format stemma.Format
	}
	var raws []stemma.Raw
	at := map[identity]int{}
	places := map[identity][]int{}
	for _, c := range n.candidates {
		p := pieces[pieceKey{c.layer.Digest, c.layer.Size}]
		if p.err != nil {
			n.lost(c.places[0], fmt.Errorf("layer %s: %w", c.layer.Digest.Short(), p.err))
			continue
		}
		raw := stemma.Raw{Format: c.format, Data: p.data, Of: n.desc.Digest, Sealed: c.sealed}
		if raw.Format == stemma.FormatStatement {
			// Some store signed statements under the media type of the statement.
			if is := classify(p.data).format; is == stemma.FormatBundle || is == stemma.FormatDSSE {
				raw.Format = is
			}
		}
		if raw.Format == stemma.FormatDSSE || raw.Format == stemma.FormatSimpleSigning {
			raw.Annotations = c.layer.Annotations
		}
		id := identity{raw.ID(), raw.Format}
		i, ok := at[id]
		if !ok {
			i = len(raws)
			at[id] = i
			raws = append(raws, raw)
		}
		raws[i].Sealed = raws[i].Sealed || c.sealed
		places[id] = append(places[id], c.places...)
	}
	for id, i := range at {
		var names []string
		for _, place := range slices.Compact(slices.Sorted(slices.Values(places[id]))) {
			names = append(names, placeName(place))
		}
		raws[i].Place = strings.Join(names, ", ")
	}
	order := slices.SortedFunc(maps.Keys(at), func(a, b identity) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.format, b.format))
	})
	sorted := make([]stemma.Raw, len(order))
	for i, id := range order {
		sorted[i] = raws[at[id]]
	}
	return sorted
}

// text is what a place answered, with what lies there and was not read.
func (p *probe) text() string {
	s := p.answer
	for _, t := range slices.Sorted(maps.Keys(p.skipped)) {
		s += fmt.Sprintf("; %d of type %s not read", p.skipped[t], cmp.Or(t, `""`))
	}
	return s
}

// summarize keeps a few of many failures of the same kind: one dead registry is one thing to report.
func summarize(list []stemma.Unavailable) []stemma.Unavailable {
	const most = 4
	type group struct {
		place  string
		reason stemma.Reason
	}
	slices.SortFunc(list, func(a, b stemma.Unavailable) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail))
	})
	list = slices.Compact(list)
	count := map[group]int{}
	var out []stemma.Unavailable
	for _, u := range list {
		g := group{u.Place, u.Reason}
		if count[g]++; count[g] <= most {
			out = append(out, u)
		}
	}
	for i := range out {
		g := group{out[i].Place, out[i].Reason}
		last := i+1 == len(out) || out[i+1].Place != g.place || out[i+1].Reason != g.reason
		if over := count[g] - most; last && over > 0 {
			out[i].Detail += fmt.Sprintf(" (and %d more)", over)
		}
	}
	return out
}

func sortRejected(list []stemma.Rejection) {
	slices.SortFunc(list, func(a, b stemma.Rejection) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Bundle, b.Bundle), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail))
	})
}
