package oci

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"stemma"
)

const (
	blobsAtOnce = 4       // blobs under way at a time
	maxBlob     = 1 << 40 // bytes of a layer that is passed on
)

// CopyResult is what became of one item of a copy.
type CopyResult string

// The results of an item. What is Refused or NotRead is missing at the destination.
const (
	CopyDone     CopyResult = "copied"
	Mounted      CopyResult = "mounted" // the registry took it from another repository of its own
	AlreadyThere CopyResult = "already there"
	NotTaken     CopyResult = "refused"  // by the destination, or because it would take away what is there
	NotRead      CopyResult = "not read" // the source did not give it, or gave something else
	LeftOut      CopyResult = "left out" // it is not to be copied
)

// CopiedItem is one manifest, blob or tag of a copy.
type CopiedItem struct {
	Kind   string        `json:"kind"` // "image manifest", "layer", "referrer", "cosign .att", "tag"
	Digest stemma.Digest `json:"digest,omitempty"`
	Tag    string        `json:"tag,omitempty"`
	Of     stemma.Digest `json:"of,omitempty"`   // the manifest that it is about, or, of a blob, that it is a part of
	Type   string        `json:"type,omitempty"` // artifact type, or media type
	Size   int64         `json:"size,omitempty"`
	Result CopyResult    `json:"result"`
	Status int           `json:"status,omitempty"` // HTTP status of a refusal
	Why    string        `json:"why,omitempty"`
}

// Copied is what a copy did, in the order in which it was done.
type Copied struct {
	Image stemma.Image // at the destination
	Items []CopiedItem
	Bytes int64 // that were sent
	// Fallback says that the destination lists no referrers, and that fallback tags list them there.
	Fallback bool
}

// Copy copies an image and everything that is about it (children, configs, layers, attestation manifests, referrers,
// cosign's tags, and the same of each of these) to a repository. from names the image by its digest, so that what is
// copied is what was looked at. What the destination refuses of what is about the image is reported and does not end
// the copy. An error means that the image itself is not there, or not whole: then its tag was not set.
//
// Every byte from the source is hashed on its way, and the destination is never given the last byte of what does not
// match its digest: it cannot be made to keep it, even if it compares nothing itself.
func (c *Client) Copy(ctx context.Context, from, to Reference, progress func(done, total int)) (*Copied, error) {
	if from.Digest == "" || to.Layout != "" || to.Digest != "" || to.Repository == "" {
		return nil, &Error{Kind: Invalid, Ref: to.String(), doing: "copying to", Err: errors.New("a copy goes from a digest to a repository, with or without a tag"), Hint: "Write registry/repository[:tag]."}
	}
	if to.Repository == from.Repository && from.Layout == "" {
		return nil, &Error{Kind: Invalid, Ref: to.String(), doing: "copying to", Err: errors.New("that is where the image is"), Hint: "Name another repository."}
	}
	source, root, closing, err := c.streaming(ctx, from)
	if err != nil {
		return nil, c.opening(ctx, from, err)
	}
	defer closing()
	g, err := walk(ctx, source, root)
	if err != nil {
		return nil, c.opening(ctx, from, err)
	}
	k := c.newCopier(ctx, source, from, to)
	k.total, k.progress = g.steps()+min(1, len(to.Tag)), progress
	k.copied.Items = g.lost
	k.copied.Image = stemma.Image{Repository: to.Repository, Digest: root.digest, Tag: to.Tag}
	return k.copied, k.run(ctx, g, root)
}

// streamer is a source that also gives blobs of any size.
type streamer interface {
	source
	stream(ctx context.Context, d descriptor) (io.ReadCloser, error)
}

func (c *Client) streaming(ctx context.Context, from Reference) (streamer, *document, func(), error) {
	if from.Layout == "" {
		r := c.at(from)
		root, err := r.named(ctx, "", from.Digest)
		return r, root, func() {}, err
	}
	dir, err := os.OpenRoot(from.Layout)
	if err != nil {
		return nil, nil, nil, noDirectory(from, err)
	}
	var root *document
	l, err := openLayout(dir)
	if err == nil {
		root, err = l.resolve(from)
	}
	if err != nil {
		_ = dir.Close() // it was only read
		return nil, nil, nil, err
	}
	return l, root, func() { _ = dir.Close() }, nil
}

// at is a repository outside of any look.
func (c *Client) at(ref Reference) *registry {
	return newRegistry(&discovery{client: c, room: newRoom(), held: &atomic.Int64{}}, ref)
}

// accepting names the types that are accepted in requests to a registry that name none: requests without are those to a
// token service.
type accepting struct{ client *auth.Client }

// Do implements remote.Client.
func (a accepting) Do(req *http.Request) (*http.Response, error) {
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "*/*")
	}
	return a.client.Do(req)
}

// copier writes to one repository.
type copier struct {
	source  streamer
	opening func(err error) error // what an error of the source means
	to      Reference
	there   *registry // the destination, to read
	remote  *remote.Repository
	mount   string // repository on the destination's host that blobs can be mounted from

	mu       sync.Mutex
	copied   *Copied
	sent     map[stemma.Digest]error // blobs that were dealt with
	total    int
	done     int
	progress func(done, total int)
}

// newCopier writes with oras-go, which knows the ways to upload, and keeps the fallback tags of a registry that lists no
// referrers. Nothing is ever deleted, as it would do with a fallback tag that it has replaced.
func (c *Client) newCopier(ctx context.Context, source streamer, from, to Reference) *copier {
	session := c.session(to.Host, to.path())
	session.Cache = auth.NewCache() // tokens to write are not those to read
	k := &copier{source: source, to: to, there: c.at(to), copied: &Copied{}, sent: map[stemma.Digest]error{}}
	k.opening = func(err error) error { return c.opening(ctx, from, err) }
	k.remote = &remote.Repository{
		Client:          accepting{session},
		Reference:       orasregistry.Reference{Registry: to.Host, Repository: to.path()},
		PlainHTTP:       slices.Contains(c.config.PlainHTTP, to.Host),
		SkipReferrersGC: true,
	}
	if from.Layout == "" && from.Host == to.Host {
		k.mount = from.path()
	}
	return k
}

// steps is how many items there are to copy.
func (g *graph) steps() int {
	n := len(g.parts)
	blobs := map[stemma.Digest]bool{}
	for _, p := range g.parts {
		for _, d := range p.doc.blobs() {
			blobs[d.Digest] = true
		}
	}
	return n + len(blobs)
}

// run copies first what the image consists of, then what is about it, what is about that, and so on; the tag of the
// image comes last, so that nobody finds half an image under it, nor an image whose evidence is still on its way.
func (k *copier) run(ctx context.Context, g *graph, root *document) error {
	groups := map[[3]int][]*part{}
	for _, p := range g.parts {
		order := [3]int{p.nested, p.height, 0}
		if p.doc.body.Subject != nil {
			order[2] = 1
		}
		groups[order] = append(groups[order], p)
	}
	probed := false
	for _, order := range slices.SortedFunc(maps.Keys(groups), func(a, b [3]int) int { return slices.Compare(a[:], b[:]) }) {
		parts := groups[order]
		k.blobs(ctx, parts)
		if order[2] == 1 && !probed {
			// By now there is something in the repository, of which many registries say before that it does not exist.
			probed = true
			k.probe(ctx, root.digest)
		}
		items := make([]CopiedItem, len(parts))
		errs := make([]error, len(parts))
		each(blobsAtOnce, len(parts), func(i int) {
			items[i], errs[i] = k.manifest(ctx, parts[i])
			k.step()
		})
		k.copied.Items = append(k.copied.Items, items...)
		if err := ctx.Err(); err != nil {
			return k.failed(err)
		}
		for i, p := range parts {
			if p.nested == 0 && errs[i] != nil {
				return k.failed(errs[i])
			}
		}
	}
	if k.to.Tag == "" {
		return nil
	}
	item := CopiedItem{Kind: "tag", Digest: root.digest, Tag: k.to.Tag, Type: root.mediaType, Result: CopyDone}
	if now, err := k.remote.Manifests().Resolve(ctx, k.to.Tag); err == nil && now.Digest == digest.Digest(root.digest) {
		item.Result = AlreadyThere
	} else if err := k.remote.Manifests().PushReference(ctx, describe(root.descriptor()), bytes.NewReader(root.data), k.to.Tag); err != nil {
		item = refusedItem(item, err)
		k.copied.Items = append(k.copied.Items, item)
		return k.failed(err)
	}
	k.copied.Items = append(k.copied.Items, item)
	k.step()
	return nil
}

// probe finds out whether the destination lists referrers. That it answers a push as if it did is not enough: some do, and
// do not.
func (k *copier) probe(ctx context.Context, about stemma.Digest) {
	_, answer, err := k.there.referrers(ctx, about)
	if err != nil {
		return // oras-go decides by the answers to pushes
	}
	lists := strings.HasPrefix(answer, "200")
	k.copied.Fallback = !lists
	_ = k.remote.SetReferrersCapability(lists) // it is known already when something else was answered before
}

func (k *copier) step() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.done++; k.progress != nil {
		k.progress(min(k.done, k.total), k.total)
	}
}

func describe(d descriptor) v1.Descriptor {
	return v1.Descriptor{MediaType: d.MediaType, Digest: digest.Digest(d.Digest), Size: d.Size}
}

// blobs copies the blobs of some manifests, each once.
func (k *copier) blobs(ctx context.Context, parts []*part) {
	var items []CopiedItem
	var wanted []descriptor
	for _, p := range parts {
		for i, d := range p.doc.blobs() {
			if _, twice := k.sent[d.Digest]; twice || slices.ContainsFunc(wanted, func(o descriptor) bool { return o.Digest == d.Digest }) {
				continue
			}
			kind := "layer"
			if i == 0 && p.doc.body.Config != nil {
				kind = "config"
			}
			wanted = append(wanted, d)
			items = append(items, CopiedItem{Kind: kind, Digest: shown(d.Digest), Of: p.doc.digest, Type: stemma.Printable(d.MediaType, 100), Size: d.Size})
		}
	}
	errs := make([]error, len(items))
	each(blobsAtOnce, len(items), func(i int) {
		items[i], errs[i] = k.blob(ctx, items[i], wanted[i])
		k.step()
	})
	for i, d := range wanted {
		k.sent[d.Digest] = errs[i]
		if items[i].Result == CopyDone {
			k.copied.Bytes += d.Size
		}
	}
	k.copied.Items = append(k.copied.Items, items...)
}

// blob copies one blob. Content that the destination has is not sent again, however much of it the source would give.
func (k *copier) blob(ctx context.Context, item CopiedItem, d descriptor) (CopiedItem, error) {
	if err := d.check(maxBlob); err != nil {
		return notRead(item, err), &atSource{err}
	}
	store := k.remote.Blobs()
	if there, err := store.Exists(ctx, describe(d)); err == nil && there {
		item.Result = AlreadyThere
		return item, nil
	}
	if isForeign(d) {
		item.Result, item.Why = LeftOut, "it may not be redistributed; who runs the image gets it from its author"
		return item, nil
	}
	if k.mount != "" {
		mounter, ok := store.(orasregistry.Mounter)
		errNotMounted := errors.New("not mounted")
		if ok && mounter.Mount(ctx, describe(d), k.mount, func() (io.ReadCloser, error) { return nil, errNotMounted }) == nil {
			item.Result = Mounted
			return item, nil
		}
	}
	var err error
	for range 2 { // connections break
		var retry bool
		if item, retry, err = k.send(ctx, item, d); !retry || ctx.Err() != nil {
			break
		}
	}
	return item, err
}

func (k *copier) send(ctx context.Context, item CopiedItem, d descriptor) (_ CopiedItem, retry bool, err error) {
	body, err := k.source.stream(ctx, d)
	if err != nil {
		return notRead(item, err), asFault(err).reason == stemma.ReasonUnreachable, &atSource{err}
	}
	content := newVerified(body, d)
	err = k.remote.Blobs().Push(ctx, describe(d), content)
	_ = content.Close() // it was only read
	if cause := content.failed(); cause != nil {
		return notRead(item, cause), asFault(cause).reason == stemma.ReasonUnreachable, &atSource{cause}
	}
	if err != nil {
		return refusedItem(item, err), statusOfWriting(err) == 0, err
	}
	item.Result = CopyDone
	return item, false, nil
}

// manifest copies one manifest whose blobs and children were dealt with.
func (k *copier) manifest(ctx context.Context, p *part) (CopiedItem, error) {
	item := CopiedItem{
		Kind: p.kind(), Digest: p.doc.digest, Tag: p.tag, Of: p.of, Size: int64(len(p.doc.data)), Result: CopyDone,
		Type: stemma.Printable(cmp.Or(p.doc.body.ArtifactType, p.doc.mediaType), 100),
	}
	for _, d := range p.doc.blobs() {
		if err := k.sent[d.Digest]; err != nil {
			err = fmt.Errorf("its blob %s is not there: %w", stemma.Printable(d.Digest.Short(), 40), err)
			item.Result, item.Status, item.Why = NotTaken, statusOfWriting(err), stemma.Printable(err.Error(), 400)
			return item, err
		}
	}
	desc, store := describe(p.doc.descriptor()), k.remote.Manifests()
	if p.tag != "" {
		switch now, err := k.tagged(ctx, p); {
		case err != nil:
			return refusedItem(item, err), err
		case now:
			item.Result = AlreadyThere
			return item, nil
		}
		if err := store.PushReference(ctx, desc, bytes.NewReader(p.doc.data), p.tag); err != nil {
			return refusedItem(item, err), err
		}
		return item, nil
	}
	if there, err := store.Exists(ctx, desc); err == nil && there {
		item.Result = AlreadyThere
		if p.doc.body.Subject == nil {
			return item, nil
		}
		// A copy that was interrupted may have left it without listing it.
	}
	if err := store.Push(ctx, desc, bytes.NewReader(p.doc.data)); err != nil {
		return refusedItem(item, err), err
	}
	return item, nil
}

// tagged reports whether the destination has the manifest under cosign's tag. Another one there is replaced only if all
// that it holds is in the new one, too: a copy must not take evidence away.
func (k *copier) tagged(ctx context.Context, p *part) (bool, error) {
	docs, _, err := k.there.tagged(ctx, p.tag)
	if err != nil {
		return false, fmt.Errorf("reading what the destination has under the tag: %w", err)
	}
	for _, doc := range docs {
		if doc.digest == p.doc.digest {
			return true, nil
		}
		for _, layer := range doc.body.Layers {
			if !slices.ContainsFunc(p.doc.body.Layers, func(d descriptor) bool {
				return d.Digest == layer.Digest && maps.Equal(d.Annotations, layer.Annotations)
			}) {
				return false, fmt.Errorf("the destination has %s under the tag, with evidence that the source does not have", doc.digest.Short())
			}
		}
	}
	return false, nil
}

// atSource is an error of the source.
type atSource struct{ error }

func (e *atSource) Unwrap() error { return e.error }

// failed says why the image is not at the destination.
func (k *copier) failed(err error) error {
	var source *atSource
	if errors.As(err, &source) {
		e := k.opening(source.error)
		var said *Error
		if errors.As(e, &said) {
			said.doing = "copying"
		}
		return e
	}
	status := statusOfWriting(err)
	e := &Error{Ref: k.to.String(), doing: "copying to", Err: writingError(err)}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden || errors.Is(err, auth.ErrBasicCredentialNotFound):
		e.Kind, e.Hint = Refused, fmt.Sprintf("Log in with docker login %s as somebody who may write to %s.", k.to.Host, k.to.path())
	case status == http.StatusNotFound:
		e.Kind, e.Hint = NotFound, fmt.Sprintf("Make the repository %s at %s first, if that registry does not make it by itself.", k.to.path(), k.to.Host)
	case status == http.StatusTooManyRequests:
		e.Kind, e.Hint = RateLimited, "Wait and run it again: what is there already is not sent again."
	case status >= 400 && status < 500:
		e.Kind, e.Hint = BadAnswer, "The destination does not take the image; its answer says why."
	case status == 0 && asFault(err).reason == stemma.ReasonForbidden:
		e.Kind, e.Hint = Forbidden, asFault(err).astray(k.to)
	case status == 0 && strings.Contains(err.Error(), "is on a different host than the registry"):
		// What oras-go does not follow, for the credentials would go along.
		e.Kind, e.Hint = Forbidden, fmt.Sprintf("Have %s take uploads at its own address, or name the host that it sends them to: what is pushed, and as whom, is told to nobody else.", k.to.Host)
	case status == 0 && errors.Is(err, syscall.ECONNREFUSED):
		e.Kind, e.Hint = Unreachable, asFault(err).absence(k.to)
	default:
		e.Kind, e.Hint = Unreachable, "Run it again: what is there already is not sent again, and the tag was not set."
	}
	return e
}

// shown is a digest that nobody has parsed yet.
func shown(d stemma.Digest) stemma.Digest { return stemma.Digest(stemma.Printable(string(d), 140)) }

func notRead(item CopiedItem, err error) CopiedItem {
	item.Result, item.Status, item.Why = NotRead, asFault(err).status, stemma.Printable(err.Error(), 400)
	return item
}

func refusedItem(item CopiedItem, err error) CopiedItem {
	item.Result, item.Status, item.Why = NotTaken, statusOfWriting(err), stemma.Printable(writingError(err).Error(), 400)
	return item
}

// statusOfWriting is the HTTP status of a refusal, or 0.
func statusOfWriting(err error) int {
	var answer *errcode.ErrorResponse
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return asFault(err).status
}

// writingError puts a refusal of the destination as those of a source are put.
func writingError(err error) error {
	var answer *errcode.ErrorResponse
	if !errors.As(err, &answer) {
		return err
	}
	text := fmt.Sprintf("%s %s: %d %s", answer.Method, answer.URL.Redacted(), answer.StatusCode, http.StatusText(answer.StatusCode))
	if len(answer.Errors) > 0 {
		text += fmt.Sprintf(" (%s: %s)", stemma.Printable(answer.Errors[0].Code, 40), stemma.Printable(answer.Errors[0].Message, 120))
	}
	return &fault{reason: reasonOf(answer.StatusCode), status: answer.StatusCode, err: errors.New(text)}
}
