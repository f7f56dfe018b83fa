package oci

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

// testLayout writes a layout piece by piece, right or wrong.
type testLayout struct {
	t       *testing.T
	dir     string
	entries []descriptor
}

func newLayout(t *testing.T) *testLayout {
	l := &testLayout{t: t, dir: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(l.dir, "blobs", "sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	return l
}

func (l *testLayout) file(name, data string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), []byte(data), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *testLayout) path(d stemma.Digest) string {
	return filepath.Join(l.dir, "blobs", d.Algorithm(), d.Hex())
}

func (l *testLayout) blob(mediaType, data string) descriptor {
	d := descriptor{MediaType: mediaType, Digest: stemma.SHA256([]byte(data)), Size: int64(len(data))}
	l.file("blobs/sha256/"+d.Digest.Hex(), data)
	return d
}

func encode(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

type object = map[string]any

func (l *testLayout) manifest(content string, more object) descriptor {
	l.t.Helper()
	m := object{
		"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest,
		"config": l.blob(v1.MediaTypeImageConfig, `{"os":"linux","architecture":"amd64","x":"`+content+`"}`), "layers": []descriptor{},
	}
	for k, v := range more {
		m[k] = v
	}
	return l.blob(v1.MediaTypeImageManifest, encode(l.t, m))
}

func (l *testLayout) index(children ...descriptor) descriptor {
	return l.blob(v1.MediaTypeImageIndex, encode(l.t, object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": children}))
}

func (l *testLayout) list(d descriptor, annotations map[string]string) {
	d.Annotations = annotations
	l.entries = append(l.entries, d)
}

func (l *testLayout) open(digest stemma.Digest) (*Found, error) {
	l.t.Helper()
	l.file("index.json", encode(l.t, object{"schemaVersion": 2, "manifests": l.entries}))
	ref := "oci:" + l.dir
	if digest != "" {
		ref += "@" + string(digest)
	}
	return open(l.t, ref)
}

func refName(name string) map[string]string { return map[string]string{v1.AnnotationRefName: name} }

func cosignTag(d stemma.Digest, suffix string) string { return tagOf(d, suffix) }

func TestLayoutPlaces(t *testing.T) {
	l := newLayout(t)
	image := l.manifest("app", nil)
	envelope := l.blob(mediaTypeDSSE, someEnvelope)
	envelope.Annotations = map[string]string{"dev.sigstore.cosign/certificate": "x"}
	bundle := l.blob("application/vnd.dev.sigstore.bundle.v0.3+json", someBundle)
	signed := l.blob(mediaTypeInToto, someEnvelope) // an envelope under the media type of what is in it
	statement := l.blob(mediaTypeInToto, someStatement)
	payload := l.blob(mediaTypeSimpleSigning, `{"critical":{}}`)
	other := l.blob("application/jose+json", `{}`)
	l.list(image, refName("docker.io/acme/api:v1"))
	l.list(l.manifest("att", object{"layers": []descriptor{envelope, bundle}}), refName("docker.io/acme/api:"+cosignTag(image.Digest, ".att")))
	l.list(l.manifest("sig", object{"layers": []descriptor{payload}}), refName(cosignTag(image.Digest, ".sig")))
	l.list(l.manifest("sbom", object{"layers": []descriptor{other}}), refName(cosignTag(image.Digest, ".sbom")))
	l.list(l.manifest("ref", object{"subject": image, "layers": []descriptor{bundle, signed, statement, other, other}}), nil)
	l.list(l.manifest("else", object{"subject": payload, "layers": []descriptor{l.blob(mediaTypeDSSE, "{}")}}), nil)
	fallback := l.manifest("fall", object{"subject": image, "layers": []descriptor{statement}})
	l.list(l.index(fallback), refName(fallbackTag(image.Digest)))

	f, err := l.open("")
	if err != nil {
		t.Fatal(err)
	}
	if f.Image != (stemma.Image{Digest: image.Digest}) || f.Platform.String() != "linux/amd64" || len(f.Children)+len(f.Unavailable)+len(f.Rejected) > 0 {
		t.Errorf("opened %+v", f)
	}
	type raw struct {
		Format    stemma.Format
		Place     string
		Annotated bool
	}
	got := map[raw]int{}
	for _, r := range f.Raw {
		if r.Of != image.Digest || r.Sealed {
			t.Errorf("%+v", r)
		}
		got[raw{r.Format, r.Place, r.Annotations != nil}]++
	}
	want := map[raw]int{
		{stemma.FormatBundle, "referrers, .att tag", false}:        1,
		{stemma.FormatDSSE, ".att tag", true}:                      1,
		{stemma.FormatDSSE, "referrers", false}:                    1,
		{stemma.FormatStatement, "referrers, fallback tag", false}: 1,
		{stemma.FormatSimpleSigning, ".sig tag", false}:            1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantPlaces := []stemma.Place{
		{Name: "referrers", Of: image.Digest, Answer: "listed; 2 of type application/jose+json not read", Found: 3},
		{Name: "fallback tag", Of: image.Digest, Answer: "listed", Found: 1},
		{Name: ".sig tag", Of: image.Digest, Answer: "listed", Found: 1},
		{Name: ".att tag", Of: image.Digest, Answer: "listed", Found: 2},
		{Name: ".sbom tag", Of: image.Digest, Answer: "listed", Found: 1},
	}
	if diff := cmp.Diff(wantPlaces, f.Places); diff != "" {
		t.Error(diff)
	}
}

func TestLayoutChoice(t *testing.T) {
	l := newLayout(t)
	a, b := l.manifest("a", nil), l.manifest("b", nil)
	both := l.index(a, b)
	l.list(a, nil)
	l.list(both, refName("v1"))
	l.list(both, refName("latest"))
	f, err := l.open("")
	if err != nil || f.Image.Digest != both.Digest || len(f.Children) != 2 {
		t.Fatalf("an index, listed twice and with one of its children: %+v, %v", f, err)
	}
	if f, err = l.open(b.Digest); err != nil || f.Image.Digest != b.Digest {
		t.Errorf("a child that is not listed itself: %+v, %v", f, err)
	}
	c := l.manifest("c", nil)
	l.list(c, nil)
	_, err = l.open("")
	var e *Error
	if !errors.As(err, &e) || e.Kind != Invalid || e.Hint != "Choose one: oci:"+l.dir+"@"+string(both.Digest)+" (v1), oci:"+l.dir+"@"+string(c.Digest)+"." {
		t.Errorf("two images: %v, hint %v", err, e)
	}
	l.entries = nil
	l.list(l.manifest("helm", object{"config": l.blob("application/vnd.cncf.helm.config.v1+json", "{}")}), nil)
	if _, err = l.open(""); !errors.As(err, &e) || e.Kind != Invalid || !strings.Contains(e.Error(), "none of the 1 manifests in index.json is a container image") {
		t.Errorf("a chart: %v", err)
	}
	l.entries = nil
	if _, err = l.open(""); !errors.As(err, &e) || e.Kind != Invalid || !strings.Contains(e.Hint, "lists nothing") {
		t.Errorf("an empty layout: %v", err)
	}
}

func TestLayoutAbsent(t *testing.T) {
	dir := t.TempDir()
	for name, kind := range map[string]Kind{"none": NotFound, "": NotFound, "file": Invalid} {
		if name == "file" {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, err := open(t, "oci:"+filepath.Join(dir, name))
		var e *Error
		if !errors.As(err, &e) || e.Kind != kind || e.Hint == "" {
			t.Errorf("%q: %v", name, err)
		}
	}
	l := newLayout(t)
	l.file("oci-layout", `{"imageLayoutVersion":"2.0.0"}`)
	if _, err := l.open(""); err == nil || !strings.Contains(err.Error(), `version "2.0.0", want 1.0.0`) {
		t.Errorf("version: %v", err)
	}
}

func TestReg_F19_layout(t *testing.T) { // go-containerregistry #2306
	link := func(t *testing.T, to, at string) {
		t.Helper()
		if err := errors.Join(os.RemoveAll(at), os.Symlink(to, at)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, l *testLayout, image descriptor)
		want   string
	}{
		"F19 blob is a link within": {func(t *testing.T, l *testLayout, image descriptor) {
			data, err := os.ReadFile(l.path(image.Digest))
			if err != nil {
				t.Fatal(err)
			}
			l.file("elsewhere", string(data))
			link(t, "../../elsewhere", l.path(image.Digest))
		}, "is a symbolic link"},
		"F19 blob is a link out": {func(t *testing.T, l *testLayout, image descriptor) {
			link(t, "/etc/hostname", l.path(image.Digest))
		}, "is a symbolic link"},
		"F19 blobs is a link": {func(t *testing.T, l *testLayout, _ descriptor) {
			if err := os.Rename(filepath.Join(l.dir, "blobs"), filepath.Join(l.dir, "real")); err != nil {
				t.Fatal(err)
			}
			link(t, "real", filepath.Join(l.dir, "blobs"))
		}, "blobs is a symbolic link"},
		"F19 path in a digest": {func(_ *testing.T, l *testLayout, _ descriptor) {
			l.entries[0].Digest = "sha256:../../../oci-layout"
		}, "want 64 hex digits"},
		"F19 blob is a directory": {func(t *testing.T, l *testLayout, image descriptor) {
			if err := errors.Join(os.Remove(l.path(image.Digest)), os.Mkdir(l.path(image.Digest), 0o755)); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		"F19 blob is a pipe": {func(t *testing.T, l *testLayout, image descriptor) {
			if err := errors.Join(os.Remove(l.path(image.Digest)), syscall.Mkfifo(l.path(image.Digest), 0o600)); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		"F02 other bytes": {func(t *testing.T, l *testLayout, image descriptor) {
			data, err := os.ReadFile(l.path(image.Digest))
			if err != nil {
				t.Fatal(err)
			}
			l.file("blobs/sha256/"+image.Digest.Hex(), strings.Replace(string(data), `"layers":[]`, `"layers":[ `, 1)[:len(data)-1]+"]")
		}, "has the digest"},
		"F03 longer": {func(_ *testing.T, l *testLayout, _ descriptor) { l.entries[0].Size-- }, "its descriptor says"},
		"F14 huge":   {func(_ *testing.T, l *testLayout, _ descriptor) { l.entries[0].Size = 1 << 40 }, "limit 4194304"},
		"absent": {func(t *testing.T, l *testLayout, image descriptor) {
			if err := os.Remove(l.path(image.Digest)); err != nil {
				t.Fatal(err)
			}
		}, "is not in the layout"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, byDigest := range []bool{false, true} {
				l := newLayout(t)
				image := l.manifest("app", nil)
				l.list(image, nil)
				if _, err := l.open(image.Digest); err != nil {
					t.Fatal(err)
				}
				c.damage(t, l, image)
				digest := stemma.Digest("")
				if byDigest && l.entries[0].Digest == image.Digest {
					digest = image.Digest
				}
				f, err := l.open(digest)
				var e *Error
				if !errors.As(err, &e) || e.Kind != Invalid && e.Kind != NotFound || e.Hint == "" || !strings.Contains(err.Error(), c.want) {
					t.Errorf("opened %v, %v\nwant %s", f, err, c.want)
				}
			}
		})
	}
}

// Evidence that cannot be read is said to be so, and the image is opened all the same.
func TestReg_F19_layout_evidence(t *testing.T) { // go-containerregistry #2306
	l := newLayout(t)
	image := l.manifest("app", nil)
	bundle := l.blob("application/vnd.dev.sigstore.bundle.v0.3+json", someBundle)
	l.list(image, nil)
	l.list(l.manifest("att", object{"layers": []descriptor{bundle}}), refName(cosignTag(image.Digest, ".att")))
	l.list(descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digA, Size: 3}, nil)
	if err := errors.Join(os.Remove(l.path(bundle.Digest)), os.Symlink("/etc/hostname", l.path(bundle.Digest))); err != nil {
		t.Fatal(err)
	}
	f, err := l.open("")
	if err != nil || len(f.Raw) != 0 || len(f.Unavailable) != 2 {
		t.Fatalf("%+v, %v", f, err)
	}
	for i, want := range []string{"symbolic link", "1 listed manifests cannot be read"} {
		if u := f.Unavailable[i]; u.Reason != stemma.ReasonBadAnswer || !strings.Contains(u.Detail, want) {
			t.Errorf("%+v, want %s", u, want)
		}
	}
}

func TestIndexChildren(t *testing.T) {
	l := newLayout(t)
	a := l.manifest("a", nil)
	attest := func(of stemma.Digest) descriptor {
		d := l.manifest("att"+string(of), object{"layers": []descriptor{l.blob(mediaTypeInToto, someStatement)}})
		d.Platform = &platform{OS: "unknown", Architecture: "unknown"}
		d.Annotations = map[string]string{annotationReferenceType: attestationManifest, annotationReferenceDigest: string(of)}
		return d
	}
	missing := descriptor{MediaType: v1.MediaTypeImageManifest, Digest: stemma.SHA256(nil), Size: 0}
	nested := l.index(l.manifest("n", nil))
	l.list(l.index(a, a, attest(a.Digest), attest(nested.Digest), attest(digA), missing, nested), nil)
	f, err := l.open("")
	if err != nil {
		t.Fatal(err)
	}
	type child struct {
		Type   string
		Attest bool
		Raw    int
		Nested int
	}
	var got []child
	for _, c := range f.Children {
		got = append(got, child{c.MediaType, c.AttestationManifest, len(c.Raw), len(c.Children)})
	}
	want := []child{
		{v1.MediaTypeImageManifest, false, 1, 0},
		{v1.MediaTypeImageManifest, true, 0, 0},
		{v1.MediaTypeImageManifest, true, 0, 0},
		{v1.MediaTypeImageManifest, true, 0, 0},
		{v1.MediaTypeImageIndex, false, 1, 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !f.Children[0].Raw[0].Sealed || f.Children[0].Raw[0].Place != "index children" || f.Children[0].Raw[0].Of != a.Digest {
		t.Errorf("%+v", f.Children[0].Raw[0])
	}
	if len(f.Unavailable) != 1 || !strings.Contains(f.Unavailable[0].Detail, "child sha256:e3b0c44298fc…") {
		t.Errorf("%+v", f.Unavailable)
	}
	if len(f.Rejected) != 1 || f.Rejected[0].Reason != stemma.ReasonSubjectMismatch || !strings.Contains(f.Rejected[0].Detail, "which the index does not list") {
		t.Errorf("%+v", f.Rejected)
	}
	// An index of more than can be looked at says so.
	var many []descriptor
	for i := range maxNodes + 5 {
		many = append(many, l.manifest(strings.Repeat("x", i+1), nil))
	}
	l.entries = nil
	l.list(l.index(many...), nil)
	if f, err = l.open(""); err != nil || len(f.Children) != maxNodes-1 || len(f.Unavailable) != 1 || f.Unavailable[0].Reason != stemma.ReasonTruncated {
		t.Errorf("%d children, %+v, %v", len(f.Children), f.Unavailable, err)
	}
}

// More entries than are looked at: the image is found by its digest, and that something may be missed is said.
func TestLayoutOfMany(t *testing.T) {
	l := newLayout(t)
	for i := range maxListed {
		l.list(descriptor{MediaType: v1.MediaTypeImageManifest, Digest: stemma.SHA256([]byte{byte(i), byte(i >> 8)}), Size: 1}, nil)
	}
	image := l.manifest("app", nil)
	l.list(image, nil)
	f, err := l.open(image.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Unavailable) != 1 || !strings.HasPrefix(f.Unavailable[0].Detail, "1025 listed manifests cannot be read") {
		t.Errorf("%+v", f.Unavailable)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l.entries = nil
	l.list(l.index(image), nil)
	if _, err := l.open(""); err != nil {
		t.Fatal(err)
	}
	f, err = c.Open(ctx, Look{Ref: Reference{Layout: l.dir}})
	if err != nil || len(f.Children) != 0 || len(f.Unavailable) != 1 || f.Unavailable[0].Reason != stemma.ReasonTimeout {
		t.Errorf("cancelled: %+v, %v", f, err)
	}
}

// The same image yields the same evidence from a registry and from the layouts that are written of it.
func TestLayoutsOfRegistry(t *testing.T) {
	w := newWorld(t, stemmatest.ImageSpec{Attest: func(stemma.Platform, stemma.Digest) []*stemmatest.Statement {
		return []*stemmatest.Statement{{PredicateType: "https://example.test/x"}}
	}})
	w.image.AttachReferrer(bundle(1))
	w.image.AttachCosign(".att", stemmatest.Layer{MediaType: mediaTypeDSSE, Data: []byte(someEnvelope), Annotations: map[string]string{"a": "b"}})
	w.image.AttachCosign(".sig", stemmatest.Layer{MediaType: mediaTypeSimpleSigning, Data: []byte("{}"), Annotations: map[string]string{"c": "d"}})
	raws := func(f *Found) (out []stemma.Raw) {
		f.each(func(f *Found) { out = append(out, f.Raw...) })
		return out
	}
	want := raws(w.mustOpen())
	if len(want) != 4 {
		t.Fatalf("%d pieces in the registry", len(want))
	}
	for _, style := range []stemmatest.LayoutStyle{stemmatest.LayoutTags, stemmatest.LayoutCosign} {
		dir := filepath.Join(t.TempDir(), "layout")
		if err := w.image.WriteLayout(dir, style); err != nil {
			t.Fatal(err)
		}
		f, err := open(t, "oci:"+dir)
		if err != nil {
			t.Errorf("%q: %v", style, err)
			continue
		}
		if diff := cmp.Diff(want, raws(f)); diff != "" {
			t.Errorf("%q: %s", style, diff)
		}
	}
}

// BenchmarkOpenLayout opens a real image with its provenance.
func BenchmarkOpenLayout(b *testing.B) {
	at := "oci:" + filepath.Join(corpus(b), "data/slsa-verifier/cli/slsa-verifier/testdata/gha_generic_container/v2.0.0/container_workflow_dispatch")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := open(b, at); err != nil {
			b.Fatal(err)
		}
	}
}
