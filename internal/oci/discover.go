package oci

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"stemma"
)

// The places where evidence about a manifest may lie, in the order in which they are reported.
const (
	placeReferrers = iota
	placeFallback
	placeSig
	placeAtt
	placeSBOM
	placeChildren
	placeCount
)

func placeName(place int) string {
	return [placeCount]string{"referrers", "fallback tag", ".sig tag", ".att tag", ".sbom tag", "index children"}[place]
}

// probe is what one place answered about one manifest.
type probe struct {
	asked   bool
	answer  string
	err     error
	list    []descriptor   // referrers and fallback tag
	docs    []*document    // cosign tags
	found   int            // pieces of possible evidence
	skipped map[string]int // layers of media types that are not evidence
}

// node is one manifest of the image: the image itself, or a child of an index.
type node struct {
	desc     descriptor // what led here
	doc      *document  // nil until it was read, and when it could not be
	err      error
	depth    int
	children []*node // of an index
	places   [placeCount]probe
	platform stemma.Platform
	attests  stemma.Digest // of a BuildKit attestation manifest: the manifest that it is about
	isAttest bool

	referrers   []*referrer
	candidates  []*candidate
	known       map[stemma.Digest]*candidate
	rejected    []stemma.Rejection
	unavailable []stemma.Unavailable
}

func (n *node) lost(place int, err error) {
	n.unavailable = append(n.unavailable, unavailable(placeName(place), err))
}

func (n *node) reject(place int, d stemma.Digest, format string, reason stemma.Reason, detail string) {
	n.rejected = append(n.rejected, stemma.Rejection{Bundle: d, Format: stemma.Printable(format, 100), Place: placeName(place), Reason: reason, Detail: stemma.Printable(detail, 300)})
}

// discovery is one look at one image. It goes in steps, each of which has all its requests under way at once and
// depends on what the one before found: manifests and places, referrer manifests, evidence. What is planned between
// the steps does not depend on the order in which answers came.
type discovery struct {
	source source
	limit  int
	nodes  []*node // in the order in which they were listed, the image first
	bytes  int64   // of all children
}

func (c *Client) discover(ctx context.Context, src source, image stemma.Image, root *document) (*Found, error) {
	d := &discovery{source: src, limit: c.config.Concurrency}
	top := d.add(root.descriptor(), 0)
	top.doc = root
	for batch := append([]*node{top}, d.expand(top)...); len(batch) > 0; {
		var tasks []func()
		for _, n := range batch {
			tasks = append(tasks, d.look(ctx, n)...)
		}
		d.parallel(tasks)
		var next []*node
		for _, n := range batch {
			if n != top {
				next = append(next, d.expand(n)...)
			}
		}
		batch = next
	}
	d.settle()
	d.readReferrers(ctx)
	for _, n := range d.nodes {
		n.collect()
	}
	d.sealed()
	pieces := d.fetch(ctx)
	return d.found(top, image, pieces), nil
}

// parallel runs tasks, at most limit at a time. A panic in one is carried over to the caller, who can recover from it:
// in a goroutine of its own it would end the process.
func (d *discovery) parallel(tasks []func()) {
	next := make(chan func())
	panics := make(chan any, len(tasks))
	var wg sync.WaitGroup
	for range min(d.limit, len(tasks)) {
		wg.Go(func() {
			for task := range next {
				func() {
					defer func() {
						if p := recover(); p != nil {
							panics <- p
						}
					}()
					task()
				}()
			}
		})
	}
	for _, task := range tasks {
		next <- task
	}
	close(next)
	wg.Wait()
	if len(panics) > 0 {
		panic(<-panics)
	}
}

func (d *discovery) add(desc descriptor, depth int) *node {
	n := &node{desc: desc, depth: depth, platform: desc.Platform.value()}
	d.nodes = append(d.nodes, n)
	return n
}

// expand makes nodes of the children that an index lists.
func (d *discovery) expand(n *node) []*node {
	if n.doc == nil || !n.doc.isIndex() {
		return nil
	}
	for i, desc := range n.doc.body.Manifests {
		if err := desc.check(maxManifest); err != nil {
			n.lost(placeChildren, fmt.Errorf("child %d of the index: %w", i, err))
			continue
		}
		// Listed twice is there once: otherwise one manifest could be made to cost thousands of requests.
		if slices.ContainsFunc(n.children, func(c *node) bool {
			return c.desc.Digest == desc.Digest && c.desc.Size == desc.Size && c.desc.MediaType == desc.MediaType && c.platform == desc.Platform.value()
		}) {
			continue
		}
		d.bytes += desc.Size
		if len(d.nodes) >= maxNodes || n.depth+1 >= maxDepth || d.bytes > maxManifestsTotal {
			n.lost(placeChildren, &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("the index lists %d manifests, of which %d were looked at", len(n.doc.body.Manifests), i)})
			break
		}
		child := d.add(desc, n.depth+1)
		if desc.Annotations[annotationReferenceType] == attestationManifest {
			child.isAttest, child.attests = true, stemma.Digest(desc.Annotations[annotationReferenceDigest])
		}
		n.children = append(n.children, child)
	}
	return n.children
}

// look is every question about a node that can be asked when its digest is known.
func (d *discovery) look(ctx context.Context, n *node) []func() {
	tasks := []func(){func() {
		if n.doc == nil {
			if n.doc, n.err = d.source.manifest(ctx, n.desc); n.err != nil {
				return
			}
		}
		d.readPlatform(ctx, n)
	}}
	digest := n.desc.Digest
	tasks = append(tasks, func() {
		p := &n.places[placeReferrers]
		p.asked = true
		p.list, p.answer, p.err = d.source.referrers(ctx, digest)
	}, func() {
		p := &n.places[placeFallback]
		var docs []*document
		p.asked = true
		docs, p.answer, p.err = d.source.tagged(ctx, fallbackTag(digest))
		for _, doc := range docs {
			if !doc.isIndex() {
				p.err = badAnswer("the fallback tag is not an index but %s", doc.mediaType)
				continue
			}
			p.list = append(p.list, doc.body.Manifests...)
		}
	})
	for i, suffix := range []string{".sig", ".att", ".sbom"} {
		place, tag := placeSig+i, tagOf(digest, suffix)
		tasks = append(tasks, func() {
			p := &n.places[place]
			p.asked = true
			if len(tag) > 128 { // "<reference> as a tag MUST be at most 128 characters in length"
				p.answer = "not asked (the digest is too long for a tag)"
				return
			}
			p.docs, p.answer, p.err = d.source.tagged(ctx, tag)
		})
	}
	return tasks
}

// readPlatform takes the platform from the config of a manifest that no index gives one.
func (d *discovery) readPlatform(ctx context.Context, n *node) {
	config := n.doc.body.Config
	if n.platform != (stemma.Platform{}) || n.doc.isIndex() || config == nil || isArtifact(config.MediaType) {
		return
	}
	data, err := d.source.blob(ctx, *config, maxManifest)
	var p platform
	if err == nil {
		err = stemma.DecodeJSON(data, &p)
	}
	switch {
	case err == nil:
		n.platform = p.value()
	case !isMissing(err): // layouts of evidence alone have no configs, and need none
		n.unavailable = append(n.unavailable, unavailable("config", err))
	}
}

// settle reports the children that could not be read, each beside its index, and takes them out.
func (d *discovery) settle() {
	for _, n := range d.nodes {
		kept := n.children[:0]
		for _, child := range n.children {
			if child.err != nil {
				n.lost(placeChildren, fmt.Errorf("child %s: %w", child.desc.Digest.Short(), child.err))
				continue
			}
			kept = append(kept, child)
		}
		n.children = kept
	}
	live := d.nodes[:0]
	for _, n := range d.nodes {
		if n.doc != nil {
			n.isAttest = n.isAttest || n.doc.isAttestation()
			live = append(live, n)
		}
	}
	d.nodes = live
}

// sealed files the statements of BuildKit's attestation manifests under the manifests that they are about. The digest
// of the index covers them, and nobody says them.
func (d *discovery) sealed() {
	for _, n := range d.nodes {
		if !n.doc.isIndex() {
			continue
		}
		p := &n.places[placeChildren]
		p.asked, p.answer = true, fmt.Sprintf("%d listed", len(n.doc.body.Manifests))
		for _, child := range n.children {
			if child.desc.Annotations[annotationReferenceType] != attestationManifest {
				continue
			}
			var target *node
			for _, other := range n.children {
				if other.desc.Digest == child.attests && other != child {
					target = other
					break
				}
			}
			if target == nil {
				n.reject(placeChildren, child.desc.Digest, attestationManifest, stemma.ReasonSubjectMismatch,
					fmt.Sprintf("it is about %s, which the index does not list", child.attests))
				continue
			}
			p.found += target.layers(placeChildren, child.doc, p, true)
		}
	}
}

// found assembles the answer.
func (d *discovery) found(n *node, image stemma.Image, pieces map[pieceKey]piece) *Found {
	image.Digest = n.desc.Digest
	f := &Found{
		Image: image, MediaType: n.doc.mediaType, Manifest: n.doc.data, Platform: n.platform, AttestationManifest: n.isAttest,
	}
	f.Raw = n.raws(pieces)
	for place := range n.places {
		p := &n.places[place]
		if !p.asked {
			continue
		}
		if p.err != nil {
			n.lost(place, p.err)
		}
		f.Places = append(f.Places, stemma.Place{Name: placeName(place), Of: n.desc.Digest, Answer: p.text(), Found: p.found})
	}
	f.Unavailable = summarize(n.unavailable)
	f.Rejected = n.rejected
	sortRejected(f.Rejected)
	child := image
	child.Tag = ""
	for _, c := range n.children {
		f.Children = append(f.Children, d.found(c, child, pieces))
	}
	return f
}

func tagOf(d stemma.Digest, suffix string) string {
	return d.Algorithm() + "-" + d.Hex() + suffix
}

// fallbackTag follows the referrers tag schema: the algorithm and at most 64 characters of the digest.
func fallbackTag(d stemma.Digest) string {
	hex := d.Hex()
	return d.Algorithm() + "-" + hex[:min(64, len(hex))]
}
