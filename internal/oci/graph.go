package oci

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"stemma"
)

// Bounds of one copy.
const (
	maxGraph      = 2048      // manifests
	maxGraphBytes = 128 << 20 // bytes of all manifests together
	maxGraphDepth = 4         // manifests about manifests about …
	atOnce        = 16        // requests about manifests under way at a time
)

// part is a manifest of an image's graph: the image itself, a child, or something that is about another part.
type part struct {
	doc      *document
	nested   int           // manifests that it is about, one about another; 0: the image and its children
	height   int           // indexes below it count one more than what they list
	of       stemma.Digest // what it is about
	tag      string        // cosign's tag that it bears
	children []*part
}

// kind names the part for people.
func (p *part) kind() string {
	switch {
	case p.tag != "":
		return "cosign " + p.tag[len(p.tag)-4:]
	case p.nested > 0:
		return "referrer"
	case p.doc.isIndex():
		return "image index"
	case p.doc.isAttestation():
		return "attestation manifest"
	}
	return "image manifest"
}

// graph is all that belongs to an image in one repository or layout: what it consists of, what lists it as its subject,
// what bears a tag made of its digest, and the same of each of these. Everything in it was compared with its digest.
type graph struct {
	source source
	parts  []*part // in the order in which they were found
	lost   []CopiedItem
	known  map[string]*part // by digest and tag
	bytes  int64
}

// walk finds the graph of an image. An error means that a part of the image itself cannot be read: what is about it and
// cannot be read is lost, and said.
func walk(ctx context.Context, from source, root *document) (*graph, error) {
	g := &graph{source: from, known: map[string]*part{}}
	top, err := g.add(root, 0, "", "")
	for batch := []*part{top}; len(batch) > 0 && err == nil; {
		if batch, err = g.below(ctx, batch); err != nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	for settled := false; !settled; { // it ends, since nothing lists what lists it: digests do not allow that
		settled = true
		for _, p := range g.parts {
			for _, c := range p.children {
				if p.height <= c.height {
					p.height, settled = c.height+1, false
				}
			}
		}
	}
	slices.SortFunc(g.lost, func(a, b CopiedItem) int {
		return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Why, b.Why))
	})
	return g, nil
}

// add returns nil for a part that is there already.
func (g *graph) add(doc *document, nested int, of stemma.Digest, tag string) (*part, error) {
	key := string(doc.digest) + tag
	if g.known[key] != nil {
		return nil, nil
	}
	if g.bytes += int64(len(doc.data)); len(g.parts) >= maxGraph || g.bytes > maxGraphBytes {
		return nil, &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("more than %d manifests, or %d MiB of them, belong to the image", maxGraph, maxGraphBytes>>20)}
	}
	p := &part{doc: doc, nested: nested, of: of, tag: tag}
	g.parts, g.known[key] = append(g.parts, p), p
	return p, nil
}

// found is what was asked about one part.
type found struct {
	children []*document // nil where one could not be read
	errs     []error     // of the children
	about    []*document
	tagged   [3]*document
	lost     []CopiedItem
}

// below finds what hangs below parts, in one round for each.
func (g *graph) below(ctx context.Context, parts []*part) ([]*part, error) {
	answers := make([]found, len(parts))
	var mu sync.Mutex
	var tasks []func()
	for i, p := range parts {
		a := &answers[i]
		a.children, a.errs = make([]*document, len(p.doc.body.Manifests)), make([]error, len(p.doc.body.Manifests))
		for j, d := range p.doc.body.Manifests {
			tasks = append(tasks, func() { a.children[j], a.errs[j] = g.source.manifest(ctx, d) })
		}
		if p.tag != "" || p.nested >= maxGraphDepth {
			continue // nobody signs a signature under a tag
		}
		tasks = append(tasks, func() { g.referrers(ctx, p, a, &mu) })
		for k, suffix := range []string{".sig", ".att", ".sbom"} {
			tasks = append(tasks, func() { g.cosign(ctx, p, k, suffix, a, &mu) })
		}
	}
	each(atOnce, len(tasks), func(i int) { tasks[i]() })
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var next []*part
	for i, p := range parts {
		more, err := g.take(p, &answers[i])
		if err != nil {
			return nil, err
		}
		next = append(next, more...)
	}
	return next, nil
}

// take adds what was found about a part.
func (g *graph) take(p *part, a *found) ([]*part, error) {
	var next []*part
	put := func(doc *document, nested int, of stemma.Digest, tag string) error {
		more, err := g.add(doc, nested, of, tag)
		if more != nil {
			next = append(next, more)
		}
		return err
	}
	g.lost = append(g.lost, a.lost...)
	for j, doc := range a.children {
		switch {
		case a.errs[j] != nil && p.nested == 0 && p.tag == "":
			return nil, fmt.Errorf("reading child %s of the index: %w", stemma.Printable(string(p.doc.body.Manifests[j].Digest), 80), a.errs[j])
		case a.errs[j] != nil:
			g.lose("child of a "+p.kind(), p.doc.body.Manifests[j], p.of, a.errs[j])
			continue
		}
		if err := put(doc, p.nested, p.of, ""); err != nil {
			return nil, err
		}
		if child := g.known[string(doc.digest)]; child != p {
			p.children = append(p.children, child)
		}
	}
	for _, doc := range a.about {
		if err := put(doc, p.nested+1, p.doc.digest, ""); err != nil {
			return nil, err
		}
	}
	for k, suffix := range []string{".sig", ".att", ".sbom"} {
		if doc := a.tagged[k]; doc != nil {
			if err := put(doc, p.nested+1, p.doc.digest, tagOf(p.doc.digest, suffix)); err != nil {
				return nil, err
			}
		}
	}
	return next, nil
}

func (g *graph) lose(kind string, d descriptor, of stemma.Digest, err error) {
	g.lost = append(g.lost, lostItem(kind, d, of, err))
}

func lostItem(kind string, d descriptor, of stemma.Digest, err error) CopiedItem {
	f := asFault(err)
	return CopiedItem{
		Kind: kind, Digest: shown(d.Digest), Of: of, Size: d.Size,
		Result: NotRead, Status: f.status, Why: stemma.Printable(err.Error(), 400),
	}
}

// referrers reads the manifests that name the part as their subject, wherever they are listed.
func (g *graph) referrers(ctx context.Context, p *part, a *found, mu *sync.Mutex) {
	lose := func(kind string, d descriptor, err error) {
		mu.Lock()
		defer mu.Unlock()
		a.lost = append(a.lost, lostItem(kind, d, p.doc.digest, err))
	}
	list, _, err := g.source.referrers(ctx, p.doc.digest)
	if err != nil {
		lose("referrers", descriptor{}, err)
	}
	docs, _, err := g.source.tagged(ctx, fallbackTag(p.doc.digest))
	if err != nil {
		lose("fallback tag", descriptor{}, err)
	}
	for _, doc := range docs {
		list = append(list, doc.body.Manifests...)
	}
	seen := map[stemma.Digest]bool{}
	for _, d := range list {
		if seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		doc, err := g.source.manifest(ctx, d)
		switch {
		case err != nil:
			lose("referrer", d, err)
		case doc.body.Subject == nil || doc.body.Subject.Digest != p.doc.digest:
			// It is listed here and is about something else: it belongs to that, if to anything.
			item := lostItem("referrer", d, p.doc.digest, badAnswer("it is listed as a referrer of %s, which is not its subject", p.doc.digest.Short()))
			item.Result = LeftOut
			mu.Lock()
			a.lost = append(a.lost, item)
			mu.Unlock()
		default:
			a.about = append(a.about, doc)
		}
	}
}

func (g *graph) cosign(ctx context.Context, p *part, k int, suffix string, a *found, mu *sync.Mutex) {
	tag := tagOf(p.doc.digest, suffix)
	if len(tag) > 128 { // "<reference> as a tag MUST be at most 128 characters in length"
		return
	}
	docs, _, err := g.source.tagged(ctx, tag)
	if len(docs) > 0 {
		a.tagged[k] = docs[0]
	}
	if err == nil && len(docs) > 1 {
		err = fmt.Errorf("%d manifests bear the tag, of which one can be copied", len(docs))
	}
	if err != nil {
		mu.Lock()
		defer mu.Unlock()
		item := lostItem("cosign "+suffix, descriptor{}, p.doc.digest, err)
		item.Tag = tag
		a.lost = append(a.lost, item)
	}
}

// each calls f with 0 to n-1, at most limit at a time. A panic in one is carried over to the caller, who can recover
// from it: in a goroutine of its own it would end the process.
func each(limit, n int, f func(i int)) {
	next := make(chan int)
	panics := make(chan any, n)
	var wg sync.WaitGroup
	one := func(i int) {
		defer func() {
			if p := recover(); p != nil {
				panics <- p
			}
		}()
		f(i)
	}
	for range min(limit, n) {
		wg.Go(func() {
			for i := range next {
				one(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	if len(panics) > 0 {
		panic(<-panics)
	}
}

// isForeign recognises layers that their author does not let be redistributed, and that registries do not have.
func isForeign(d descriptor) bool {
	switch d.MediaType {
	case "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "application/vnd.docker.image.rootfs.foreign.diff.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd":
		return true
	}
	return false
}

// blobs are what a manifest consists of: config and layers.
func (d *document) blobs() []descriptor {
	var list []descriptor
	if d.body.Config != nil {
		list = append(list, *d.body.Config)
	}
	return append(list, d.body.Layers...)
}
