package oci

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"stemma"
)

// The places where evidence about a manifest may lie, in the order in which they are reported: first those of the
// image's own repository, then those of each further one, then services.
const (
	placeReferrers = iota
	placeFallback
	placeSig
	placeAtt
	placeSBOM
	placeChildren
	placeIndex
	placeIndexTag
	placesOfRepository

	placeService = 1 << 16
)

func placeName(kind int) string {
	return [placesOfRepository]string{"referrers", "fallback tag", ".sig tag", ".att tag", ".sbom tag", "index children", "index", "index by tag"}[kind]
}

// place is what one place answered about one manifest.
type place struct {
	rank    int           // of its order
	kind    int           // placeReferrers and so on
	name    string        // "referrers"
	in      string        // the repository, where it is not the image's own
	of      stemma.Digest // what was asked about
	source  source        // where what it lists is fetched from; nil for a service
	answer  string
	err     error
	list    []descriptor   // referrers and fallback tag
	docs    []*document    // cosign's tags
	raws    []stemma.Raw   // services
	found   int            // pieces of possible evidence
	skipped map[string]int // layers of media types that are not evidence
}

// String names the place for people.
func (p *place) String() string {
	if p.in == "" {
		return p.name
	}
	return p.name + " in " + p.in
}

// repository is one of those that are looked at: the image's own, or a further one.
type repository struct {
	name   string // "": the image's own
	source source
}

// The steps of a node, each of which depends on what the requests of the one before brought.
const (
	stepNew    = iota // nothing was asked yet
	stepAsked         // its manifest and its places were asked for
	stepListed        // the manifests that places list were asked for
	stepRead          // they were read, and evidence is being asked for
)

// node is one manifest that is looked at: the image itself, a child of an index, an index that lists it, or what is
// attached to one of them.
type node struct {
	desc    descriptor // what led here; without a size for an image asked for by digest
	doc     *document  // nil until it was read, and when it could not be
	err     error
	step    int
	sources []source // where it is; none: where the image is

	depth    int // indexes above it
	nested   int // manifests that it is attached to, one to another
	children []*node
	indexes  []*node
	attached []*node
	of       *node         // what it is attached to
	attests  stemma.Digest // of a BuildKit attestation manifest: the manifest that it is about
	isAttest bool
	isParent bool // an index that is here because it lists the image: its children are not looked at for its sake
	opened   bool // what its manifest leads to was planned
	sealed   bool // the attestation manifests among its children were read

	places      []*place
	platform    stemma.Platform
	labels      map[string]string // of the config, when it was read
	referrers   []*referrer
	candidates  []*candidate
	known       map[stemma.Digest]*candidate
	pieces      int // how many candidates are fetched
	files       []*file
	statements  []stemma.Raw // of an attached manifest
	holds       bool         // of an attached manifest: something in it is no statement
	left        []string     // what was not wanted
	rejected    []stemma.Rejection
	unavailable []stemma.Unavailable
	raw         []stemma.Raw
	result      *Found
}

func (n *node) lost(p *place, err error) {
	n.unavailable = append(n.unavailable, unavailable(p.String(), err))
}

func (n *node) reject(p *place, d stemma.Digest, format string, reason stemma.Reason, detail string) {
	n.rejected = append(n.rejected, stemma.Rejection{Bundle: d, Format: stemma.Printable(format, 100), Place: p.String(), Reason: reason, Detail: stemma.Printable(detail, 300)})
}

// place returns one of the image's own repository, which is added when it is not there.
func (n *node) place(kind int) *place {
	for _, p := range n.places {
		if p.rank == kind {
			return p
		}
	}
	p := &place{rank: kind, kind: kind, name: placeName(kind), of: n.desc.Digest}
	n.places = append(n.places, p)
	return p
}

// config is the config that the manifest names, if it is that of a container image. Its descriptor is not checked.
func (n *node) config() *descriptor {
	c := n.doc.body.Config
	if n.doc.isIndex() || c == nil || isArtifact(c.MediaType) {
		return nil
	}
	return c
}

// idle reports whether nothing takes the manifest for an image: it is attached to another one, or it is an attestation
// manifest and of no platform. That it is marked as one says nothing, since runtimes do not look at the mark: a child
// of linux/amd64 would otherwise be hidden from whoever verifies the index, and run.
func (n *node) idle() bool {
	if !n.isAttest || n.doc != nil && n.doc.isIndex() {
		return false
	}
	return n.nested > 0 || n.platform.Unknown() || n.platform == (stemma.Platform{}) && n.doc != nil && n.config() == nil
}

// discovery is one look at one image. It goes in rounds, each of which has all its requests under way at once. What is
// planned between them does not depend on the order in which answers came.
type discovery struct {
	client       *Client
	look         Look
	want         *Want // nil: everything
	limit        int
	repositories []repository
	room         *room
	held         *atomic.Int64

	nodes     []*node // in the order in which they were found, the image first
	family    int     // how many of them are not attached
	seeking   []*seek
	evidence  int64 // bytes of evidence that may still be fetched
	manifests int64 // bytes of manifests that may still be fetched
	share     int64 // bytes of each list and tag of a round that are kept in any case
	shared    int64 // bytes of all shares up to now
	asked     int   // lists and tags of a round
	pieces    map[pieceKey]*piece
}

// task is one request, or a few that depend on each other.
type task struct {
	run   func(ctx context.Context)
	vital bool // it may take all the time there is: without it there is no answer
}

// run looks at everything. An error is that of the image itself.
func (d *discovery) run(ctx context.Context, top *node) (*Found, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d.pieces = map[pieceKey]*piece{}
	for {
		tasks, more := d.plan(ctx, stop, top)
		d.parallel(ctx, tasks)
		if top.doc == nil {
			return nil, opening(d.look.Ref, top.err)
		}
		if !more {
			break
		}
	}
	for _, n := range d.nodes {
		if n.doc != nil {
			n.raw = n.raws(d.pieces)
		}
	}
	ref := d.look.Ref
	f := d.found(top, ref.Repository)
	f.Image.Tag = ref.Tag
	return f, nil
}

// plan takes every node one step further with what is known, and returns the requests of the next round. When no node
// goes any further there is no more to do.
func (d *discovery) plan(ctx context.Context, stop func(), top *node) (tasks []task, more bool) {
	if top.step == stepNew {
		tasks = append(tasks, d.seek()...)
	} else {
		d.judge(top)
	}
	var listing []*node
	d.asked = 0
	for i := 0; i < len(d.nodes); i++ { // which grow meanwhile
		n := d.nodes[i]
		switch n.step {
		case stepNew:
			if n.doc == nil {
				tasks = append(tasks, d.read(n, n == top, stop))
			} else {
				tasks = append(tasks, d.opened(n)...)
			}
			tasks = append(tasks, d.ask(n)...)
			n.step = stepAsked
		case stepAsked:
			if n.doc == nil { // its index says so
				n.step = stepRead
				break
			}
			if !n.opened {
				tasks = append(tasks, d.opened(n)...)
			}
			listing = append(listing, n)
			n.step = stepListed
		case stepListed:
			d.collect(n)
			n.step = stepRead
		default:
			continue
		}
		more = true
	}
	if d.asked > 0 {
		all := (maxShares - d.shared) / 2
		d.share = all / int64(d.asked)
		d.shared += all
	}
	tasks = append(tasks, d.readReferrers(listing)...)
	d.seal(top)
	tasks = append(tasks, d.fetch(false)...)
	if !more && len(tasks) == 0 {
		tasks = d.fetch(true)
	}
	return tasks, more || len(tasks) > 0
}

// parallel runs tasks, at most limit at a time. A panic in one is carried over to the caller, who can recover from it:
// in a goroutine of its own it would end the process.
func (d *discovery) parallel(ctx context.Context, tasks []task) {
	next := make(chan task)
	panics := make(chan any, len(tasks))
	d.room.hold = d.patience(ctx) / 2
	var wg sync.WaitGroup
	for range min(d.limit, len(tasks)) {
		wg.Go(func() {
			for t := range next {
				func() {
					defer func() {
						if p := recover(); p != nil {
							panics <- p
						}
					}()
					if t.vital {
						t.run(ctx)
						return
					}
					bounded, cancel := context.WithTimeout(ctx, d.patience(ctx))
					defer cancel()
					t.run(bounded)
				}()
			}
		})
	}
	for _, t := range tasks {
		next <- t
	}
	close(next)
	wg.Wait()
	if len(panics) > 0 {
		panic(<-panics)
	}
}

// patience is how long one place may take: half of what is left when it is asked, so that one that stalls is given up
// while there is time for what the others answered, and many that stall, too many to be asked at a time, as well.
func (d *discovery) patience(ctx context.Context) time.Duration {
	deadline, bounded := ctx.Deadline()
	if !bounded || d.client.config.Clock == nil {
		return maxWaiting
	}
	left := deadline.Sub(d.client.config.Clock())
	if left <= 0 { // or the clock is another one than that of the deadline, which holds in any case
		return maxWaiting
	}
	return min(maxWaiting, left/2)
}

func (d *discovery) add(n *node) *node {
	if d.nodes = append(d.nodes, n); n.of == nil {
		d.family++
	}
	return n
}

// at are the repositories that a node's manifest, and what lies in it, is read from.
func (d *discovery) at(n *node) []source {
	if len(n.sources) > 0 {
		return n.sources
	}
	return []source{d.repositories[0].source}
}

// read gets the manifest of a node. When that of the image fails there is nothing to look at.
func (d *discovery) read(n *node, vital bool, stop func()) task {
	return task{vital: vital, run: func(ctx context.Context) {
		if vital {
			if n.doc, n.err = d.at(n)[0].named(ctx, "", n.desc.Digest); n.err != nil {
				stop()
				return
			}
			n.desc = n.doc.descriptor()
			return
		}
		n.doc, n.err = d.at(n)[0].manifest(ctx, n.desc)
	}}
}

// opened plans what can be known once the manifest is there: the children of an index, the platform, and what services
// keep under the digest of the config.
func (d *discovery) opened(n *node) []task {
	n.opened = true
	n.isAttest = n.isAttest || n.doc.isAttestation()
	if n.doc.isIndex() {
		if !n.isParent && n.of == nil {
			d.expand(n)
		}
		return nil
	}
	config := n.config()
	if config == nil || n.nested > 0 || n.idle() {
		return nil
	}
	// Of what looks like an attestation manifest only the platform tells whether it is anything else.
	untold := n.platform == (stemma.Platform{}) && (d.want == nil || d.want.Children || len(d.want.Platforms) > 0 || n.isAttest)
	if err := config.check(maxManifest); err != nil {
		if untold {
			n.unavailable = append(n.unavailable, unavailable("config", err))
		}
		return nil
	}
	tasks := d.services(n, config.Digest, 1)
	if untold || d.want == nil || d.want.Unsigned {
		tasks = append(tasks, task{run: func(ctx context.Context) { d.readConfig(ctx, n, *config, untold) }})
	}
	return tasks
}

// readConfig takes the labels from a config, and of a manifest that no index gives a platform, that. Labels are what the
// producer wrote; that they could not be read hides nothing that anybody would believe.
func (d *discovery) readConfig(ctx context.Context, n *node, config descriptor, untold bool) {
	data, err := d.at(n)[0].blob(ctx, config, maxManifest)
	var p platform
	if err == nil {
		err = stemma.DecodeJSON(data, &p)
	}
	switch l, ok := d.at(n)[0].(*layout); {
	case err == nil:
		var c struct {
			Config struct {
				Labels map[string]string `json:"Labels"`
			} `json:"config"`
		}
		if stemma.DecodeJSON(data, &c) == nil {
			n.labels = c.Config.Labels
		}
		if untold {
			n.platform = p.value()
		}
	case !untold:
	case ok && isMissing(err) && !l.holdsAny(n.doc.body.Layers):
		// Layouts of evidence alone have no configs, and need none.
	default:
		n.unavailable = append(n.unavailable, unavailable("config", err))
	}
}

// expand makes nodes of the children that an index lists, of those that are wanted.
func (d *discovery) expand(n *node) {
	p := n.place(placeChildren)
	p.answer = fmt.Sprintf("%d listed", len(n.doc.body.Manifests))
	var platforms, attestations int
	wanted := d.wanted(n.doc.body.Manifests)
	type listed struct {
		key       pieceKey
		mediaType string
		platform  stemma.Platform
	}
	known := map[listed]bool{}
	for i, desc := range n.doc.body.Manifests {
		if err := desc.check(maxManifest); err != nil {
			n.lost(p, fmt.Errorf("child %d of the index: %w", i, err))
			continue
		}
		// Listed twice is there once: otherwise one manifest could be made to cost thousands of requests.
		key := listed{pieceKey{desc.Digest, desc.Size}, desc.MediaType, desc.Platform.value()}
		if known[key] {
			continue
		}
		known[key] = true
		child := &node{desc: desc, depth: n.depth + 1, platform: desc.Platform.value()}
		if desc.isAttestation() {
			child.isAttest, child.attests = true, stemma.Digest(desc.Annotations[annotationReferenceDigest])
		}
		if !wanted(desc) {
			if child.idle() {
				attestations++
			} else {
				platforms++
			}
			continue
		}
		d.manifests -= max(desc.Size, requestCost)
		if d.family >= maxNodes || child.depth >= maxDepth || d.manifests < 0 {
			n.lost(p, &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("the index lists %d manifests, of which %d were looked at", len(n.doc.body.Manifests), i)})
			break
		}
		n.children = append(n.children, d.add(child))
	}
	if platforms+attestations > 0 {
		p.answer += fmt.Sprintf(", %d not wanted", platforms+attestations)
	}
	n.leave(platforms, "platform of the index", "platforms of the index")
	n.leave(attestations, "attestation manifest of the index", "attestation manifests of the index")
}

// wanted says which children of an index can be needed: those of the platforms in question, those whose platform only
// they themselves say, indexes of whatever platform, and what attests any of these. What is marked as an attestation
// manifest and is of a platform may run like any other.
func (d *discovery) wanted(list []descriptor) func(descriptor) bool {
	runs := func(desc descriptor) bool {
		p := desc.Platform.value()
		switch {
		case d.want == nil:
			return true
		case !d.want.Children:
			return false
		case isIndex(desc.MediaType) || desc.MediaType == "" || p == (stemma.Platform{}):
			return true
		case desc.isAttestation() && p.Unknown():
			return false
		}
		return len(d.want.Platforms) == 0 ||
			slices.ContainsFunc(d.want.Platforms, func(w stemma.Platform) bool { return w.Takes(p) })
	}
	about := map[stemma.Digest]bool{}
	for _, desc := range list {
		about[desc.Digest] = about[desc.Digest] || runs(desc)
	}
	return func(desc descriptor) bool {
		return runs(desc) || desc.isAttestation() && about[stemma.Digest(desc.Annotations[annotationReferenceDigest])]
	}
}

// leave notes what exists and was not wanted.
func (n *node) leave(count int, one, many string) {
	if count > 0 {
		n.left = append(n.left, counted(count, one, many))
	}
}

func counted(count int, one, many string) string {
	if count == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", count, many)
}

// ask is every question about a node that needs no more than its digest, in every repository and to every service.
func (d *discovery) ask(n *node) []task {
	var tasks []task
	last := placeAtt
	switch {
	case n.of != nil || n.idle(): // nobody attaches files by a tag to what is attached itself
	case d.want == nil:
		last = placeSBOM
	default:
		n.left = append(n.left, ".sbom tag")
	}
	for i, r := range d.repositories {
		for kind := placeReferrers; kind <= last; kind++ {
			p := &place{rank: i*placesOfRepository + kind, kind: kind, name: placeName(kind), in: r.name, of: n.desc.Digest, source: r.source}
			n.places = append(n.places, p)
			tasks = append(tasks, task{run: p.look})
			d.asked++
		}
	}
	if n.of == nil && !n.idle() {
		tasks = append(tasks, d.services(n, n.desc.Digest, 0)...)
	}
	return tasks
}

// look asks a place of a repository.
func (p *place) look(ctx context.Context) {
	switch p.kind {
	case placeReferrers:
		p.list, p.answer, p.err = p.source.referrers(ctx, p.of)
	case placeFallback:
		var docs []*document
		docs, p.answer, p.err = p.source.tagged(ctx, fallbackTag(p.of))
		for _, doc := range docs {
			if !doc.isIndex() {
				p.err = badAnswer("the fallback tag is not an index but %s", doc.mediaType)
				continue
			}
			p.list = append(p.list, doc.body.Manifests...)
		}
	default:
		tag := tagOf(p.of, map[int]string{placeSig: ".sig", placeAtt: ".att", placeSBOM: ".sbom"}[p.kind])
		if len(tag) > 128 { // "<reference> as a tag MUST be at most 128 characters in length"
			p.answer = "not asked (the digest is too long for a tag)"
			return
		}
		p.docs, p.answer, p.err = p.source.tagged(ctx, tag)
	}
}

// services asks every service about a digest of a node's family.
func (d *discovery) services(n *node, about stemma.Digest, member int) []task {
	var tasks []task
	for i, s := range d.look.Sources {
		p := &place{rank: placeService + 2*i + member, kind: placeService, name: fmt.Sprint(s), of: about}
		n.places = append(n.places, p)
		tasks = append(tasks, task{run: func(ctx context.Context) { p.raws, p.answer, p.err = d.consult(ctx, s, about) }})
	}
	return tasks
}

func tagOf(d stemma.Digest, suffix string) string {
	return d.Algorithm() + "-" + d.Hex() + suffix
}

// fallbackTag follows the referrers tag schema: the algorithm and at most 64 characters of the digest.
func fallbackTag(d stemma.Digest) string {
	hex := d.Hex()
	return d.Algorithm() + "-" + hex[:min(64, len(hex))]
}
