package oci

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
)

// layout is an OCI image layout: index.json says what is in it, and blobs lie under their digests. A layout has no
// referrers API; its referrers are the listed manifests that name a subject.
type layout struct {
	dir     *os.Root
	all     []descriptor                // of index.json
	entries []descriptor                // those of all that are looked at
	listed  map[stemma.Digest]*document // what could be read of entries
	broken  []error                     // and what could not
	asked   stemma.Digest               // the image, once it is resolved
	saved   stemma.Digest               // the image that cosign saved, with the evidence that it does not name
}

func openLayout(dir *os.Root) (*layout, error) {
	l := &layout{dir: dir, listed: map[stemma.Digest]*document{}}
	data, err := l.read(v1.ImageLayoutFile, maxManifest, -1)
	if err != nil {
		return nil, noLayout(err)
	}
	var version struct {
		ImageLayoutVersion string `json:"imageLayoutVersion"`
	}
	if err := stemma.DecodeJSON(data, &version); err != nil {
		return nil, badAnswer("reading oci-layout: %w", err)
	}
	if version.ImageLayoutVersion != v1.ImageLayoutVersion {
		return nil, badAnswer("reading oci-layout: version %q, want %s", stemma.Printable(version.ImageLayoutVersion, 40), v1.ImageLayoutVersion)
	}
	if data, err = l.read(v1.ImageIndexFile, maxManifest, -1); err != nil {
		return nil, noLayout(err)
	}
	index, err := parseDocument(data, stemma.SHA256(data), v1.MediaTypeImageIndex)
	if err != nil {
		return nil, fmt.Errorf("reading index.json: %w", err)
	}
	l.all, l.entries = index.body.Manifests, index.body.Manifests
	l.readListed()
	for _, d := range l.entries {
		if kind := d.Annotations[annotationCosignKind]; kind == cosignKindPrefix+"image" || kind == cosignKindPrefix+"imageIndex" {
			l.saved = d.Digest
			break
		}
	}
	return l, nil
}

func noLayout(err error) error {
	if isMissing(err) {
		return &Error{Kind: NotFound, Err: fmt.Errorf("not an image layout: %w", err), Hint: "Name the directory that holds the files oci-layout and index.json."}
	}
	return err
}

// readListed reads the manifests that index.json lists. That one cannot be read is no error: it may be neither the
// image asked for nor evidence about it, and is said where it matters.
func (l *layout) readListed() {
	total := int64(0)
	for i, d := range l.entries {
		// "Implementations […] MUST NOT generate an error if they encounter an unknown mediaType."
		if l.listed[d.Digest] != nil || d.MediaType != "" && !isIndex(d.MediaType) && !isManifest(d.MediaType) {
			continue
		}
		if err := d.check(maxManifest); err != nil {
			l.broken = append(l.broken, err)
			continue
		}
		if total += d.Size; i >= maxListed || total > maxManifestsTotal {
			l.broken = append(l.broken, &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("index.json lists %d manifests, of which %d were read", len(l.all), i)})
			l.entries = l.all[:i]
			return
		}
		doc, err := l.get(d)
		if err != nil {
			l.broken = append(l.broken, err)
			continue
		}
		l.listed[d.Digest] = doc
	}
}

func (l *layout) get(d descriptor) (*document, error) {
	data, err := l.content(d, maxManifest)
	if err != nil {
		return nil, err
	}
	return parseDocument(data, d.Digest, d.MediaType)
}

// resolve finds the image: the one with the digest, or, without a digest, the only one there is.
func (l *layout) resolve(ref Reference) (*document, error) {
	images := l.images()
	choices := l.choices(ref.Layout, images)
	if ref.Digest != "" {
		return l.find(ref, choices)
	}
	switch len(images) {
	case 1:
		l.asked = images[0].Digest
		return l.listed[l.asked], nil
	case 0:
		if len(l.broken) > 0 {
			return nil, fmt.Errorf("no image can be read: %w", l.broken[0])
		}
		hint := "The layout lists nothing: write an image into it, for example with skopeo copy docker://… oci:DIR."
		if len(l.entries) > 0 {
			hint = "To look at one of them all the same, give its digest: " + l.choices(ref.Layout, l.entries) + "."
		}
		return nil, &Error{Kind: Invalid, Err: fmt.Errorf("none of the %d manifests in index.json is a container image", len(l.entries)), Hint: hint}
	}
	return nil, &Error{Kind: Invalid, Err: fmt.Errorf("the layout holds %d images", len(images)), Hint: "Choose one: " + choices + "."}
}

// images are the entries that can be meant by a reference without a digest, each digest once.
func (l *layout) images() []descriptor {
	var images []descriptor
	runs := l.runnable()
	for _, d := range l.entries {
		if runs[d.Digest] {
			delete(runs, d.Digest)
			images = append(images, d)
		}
	}
	return images
}

// choices is what to type to mean one of the entries.
func (l *layout) choices(dir string, entries []descriptor) string {
	const most = 8
	var list []string
	for i, d := range entries {
		if i == most {
			list = append(list, fmt.Sprintf("and %d more", len(entries)-most))
			break
		}
		text := fmt.Sprintf("oci:%s@%s", dir, stemma.Printable(string(d.Digest), 140))
		if name := d.Annotations[v1.AnnotationRefName]; name != "" {
			text += " (" + stemma.Printable(name, 80) + ")"
		} else if p := d.Platform.value().String(); p != "" {
			text += " (" + stemma.Printable(p, 80) + ")"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// find takes any listed manifest, or a child of a listed index.
func (l *layout) find(ref Reference, choices string) (*document, error) {
	l.asked = ref.Digest
	if doc := l.listed[ref.Digest]; doc != nil {
		return doc, nil
	}
	for _, d := range l.all {
		if d.Digest == ref.Digest {
			return l.get(d) // beyond what is looked at, or it cannot be read and this says why
		}
		if parent := l.listed[d.Digest]; parent != nil {
			for _, child := range parent.body.Manifests {
				if child.Digest == ref.Digest {
					return l.get(child)
				}
			}
		}
	}
	e := &Error{Kind: NotFound, Err: errors.New("neither index.json nor an index that it lists names this digest"), Hint: "The layout lists no image."}
	if choices != "" {
		e.Hint = "The layout has: " + choices + "."
	}
	return nil, e
}

// runnable says which entries are images, rather than evidence or the platforms of a listed index.
func (l *layout) runnable() map[stemma.Digest]bool {
	runs := map[stemma.Digest]bool{}
	for _, d := range l.entries {
		kind, marked := strings.CutPrefix(d.Annotations[annotationCosignKind], cosignKindPrefix)
		doc := l.listed[d.Digest]
		switch {
		case doc == nil:
		case marked:
			runs[d.Digest] = kind == "image" || kind == "imageIndex"
		default:
			runs[d.Digest] = !isEvidenceTag(refTag(d)) && d.Annotations[annotationReferenceType] == "" && doc.isRunnable()
		}
	}
	for _, d := range l.entries {
		if doc := l.listed[d.Digest]; doc != nil {
			for _, child := range doc.body.Manifests {
				delete(runs, child.Digest)
			}
		}
	}
	return runs
}

// refTag is the tag in org.opencontainers.image.ref.name, which some tools write with the repository before it.
func refTag(d descriptor) string {
	name := d.Annotations[v1.AnnotationRefName]
	return name[strings.LastIndex(name, ":")+1:]
}

// isEvidenceTag recognises sha256-<hex>, alone or with a suffix of cosign's.
func isEvidenceTag(tag string) bool {
	name, suffix, dotted := strings.Cut(tag, ".")
	algorithm, value, ok := strings.Cut(name, "-")
	if !ok || dotted && suffix != "sig" && suffix != "att" && suffix != "sbom" {
		return false
	}
	_, err := stemma.NewDigest(algorithm, value)
	return err == nil
}

func (l *layout) manifest(ctx context.Context, d descriptor) (*document, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if doc := l.listed[d.Digest]; doc != nil && doc.descriptor().Size == d.Size && (d.MediaType == "" || d.MediaType == doc.mediaType) {
		return doc, nil
	}
	return l.get(d)
}

// named returns what index.json lists under a digest, or the first entry that bears a tag.
func (l *layout) named(ctx context.Context, tag string, want stemma.Digest) (*document, error) {
	if want != "" {
		if doc := l.listed[want]; doc != nil {
			return doc, nil
		}
		return nil, missing("%s is not listed", want.Short())
	}
	docs, _, err := l.tagged(ctx, tag)
	if len(docs) == 0 && err == nil {
		err = missing("no entry bears the tag %s", tag)
	}
	if err != nil {
		return nil, err
	}
	return docs[0], nil
}

// parents are the listed indexes that list a manifest.
func (l *layout) parents(d descriptor) []*document {
	var found []*document
	for _, entry := range l.entries {
		if doc := l.listed[entry.Digest]; doc != nil && doc.digest != d.Digest && doc.lists(d) && !slices.Contains(found, doc) {
			found = append(found, doc)
		}
	}
	return found
}

// tagged returns the entries that bear the tag. What cosign saved bears none: its kind says that it belongs to the
// image that was saved with it, whichever digest is asked for.
func (l *layout) tagged(_ context.Context, tag string) ([]*document, string, error) {
	var docs []*document
	for _, d := range l.entries {
		kind := strings.TrimPrefix(d.Annotations[annotationCosignKind], cosignKindPrefix)
		saved := (kind == "sigs" || kind == "atts" || kind == "sboms") && tag == tagOf(cmp.Or(l.saved, l.asked), "."+strings.TrimSuffix(kind, "s"))
		if !saved && (tag == "" || refTag(d) != tag) {
			continue
		}
		doc := l.listed[d.Digest]
		if doc == nil {
			_, err := l.get(d)
			return docs, "listed", fmt.Errorf("reading %s: %w", d.Digest.Short(), err)
		}
		if !slices.Contains(docs, doc) {
			docs = append(docs, doc)
		}
	}
	if len(docs) == 0 {
		return nil, "not listed", nil
	}
	return docs, "listed", nil
}

// referrers are the listed manifests that name the subject. A listed manifest that cannot be read might be one.
func (l *layout) referrers(_ context.Context, subject stemma.Digest) ([]descriptor, string, error) {
	var list []descriptor
	for _, d := range l.entries {
		if doc := l.listed[d.Digest]; doc != nil && doc.body.Subject != nil && doc.body.Subject.Digest == subject {
			found := doc.descriptor()
			found.ArtifactType, found.Annotations = doc.body.ArtifactType, doc.body.Annotations
			list = append(list, found)
		}
	}
	answer := "not listed"
	if len(list) > 0 {
		answer = "listed"
	}
	if len(l.broken) > 0 && subject == l.asked {
		return list, answer, fmt.Errorf("%d listed manifests cannot be read, the first because: %w", len(l.broken), l.broken[0])
	}
	return list, answer, nil
}

func (l *layout) blob(ctx context.Context, d descriptor, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return l.content(d, limit)
}

func (l *layout) content(d descriptor, limit int64) ([]byte, error) {
	if err := d.check(limit); err != nil {
		return nil, err
	}
	// The parsed digest is an algorithm and hex digits, so it cannot lead out of blobs/.
	data, err := l.read(v1.ImageBlobsDir+"/"+d.Digest.Algorithm()+"/"+d.Digest.Hex(), limit, d.Size)
	if err != nil {
		return nil, err
	}
	return data, d.matches(data)
}

// holdsAny reports whether any of the blobs is in the layout, whatever it is.
func (l *layout) holdsAny(list []descriptor) bool {
	return slices.ContainsFunc(list, func(d descriptor) bool {
		if d.check(math.MaxInt64) != nil {
			return false
		}
		_, err := l.dir.Lstat(v1.ImageBlobsDir + "/" + d.Digest.Algorithm() + "/" + d.Digest.Hex())
		return err == nil
	})
}

// read reads a regular file that no symbolic link leads to, of the size that is expected (-1: any up to limit).
//
// A link in a layout that somebody else made reads what its reader may read, elsewhere on the disk; os.Root would
// follow those that stay within, and two names for one blob have no honest use either (go-containerregistry #2306).
func (l *layout) read(name string, limit, size int64) ([]byte, error) {
	parts := strings.Split(name, "/")
	var before fs.FileInfo
	for i := range parts {
		at := strings.Join(parts[:i+1], "/")
		info, err := l.dir.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, missing("reading %s: it is not in the layout", name)
		case err != nil:
			return nil, fmt.Errorf("reading layout: %w", err)
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, badAnswer("reading %s: %s is a symbolic link; copy the layout with cp -rL", name, at)
		case i < len(parts)-1 && !info.IsDir() || i == len(parts)-1 && !info.Mode().IsRegular():
			return nil, badAnswer("reading %s: %s is %s, not a regular file", name, at, info.Mode().Type())
		}
		before = info
	}
	switch {
	case before.Size() > limit:
		return nil, &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("reading %s: it has %d bytes, limit %d", name, before.Size(), limit)}
	case size >= 0 && before.Size() != size:
		return nil, badAnswer("reading %s: it has %d bytes, its descriptor says %d", name, before.Size(), size)
	}
	f, err := l.dir.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading layout: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if after, err := f.Stat(); err != nil || !os.SameFile(before, after) {
		return nil, badAnswer("reading %s: it was replaced while it was opened", name)
	}
	data := make([]byte, before.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, badAnswer("reading %s: %w", name, err)
	}
	return data, nil
}
