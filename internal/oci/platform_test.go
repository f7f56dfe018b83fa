package oci

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

// marked marks a child as BuildKit marks an attestation manifest about another one.
func marked(about v1.Descriptor) func(*v1.Descriptor) {
	return func(d *v1.Descriptor) {
		d.Annotations = map[string]string{annotationReferenceType: attestationManifest, annotationReferenceDigest: string(about.Digest)}
	}
}

// of gives a child a platform: "" none, "/" one in which nothing stands.
func of(platform string) func(*v1.Descriptor) {
	return func(d *v1.Descriptor) {
		d.Platform = nil
		if platform != "" {
			name, version, _ := strings.Cut(platform, ":")
			parts := append(strings.Split(name, "/"), "")
			d.Platform = &v1.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2], OSVersion: version}
		}
	}
}

// more makes an index of linux/amd64 and linux/arm64 that lists one more child: an image of linux/amd64, changed and
// described as told.
func more(t *testing.T, change func(*v1.Manifest), described ...func(*v1.Descriptor)) (*world, v1.Descriptor) {
	t.Helper()
	w := newWorld(t, stemmatest.ImageSpec{Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}})
	image, err := w.registry.PutImage(stemmatest.ImageSpec{Repository: repo, Single: true, Content: "evil"})
	if err != nil {
		t.Fatal(err)
	}
	child := image.Descriptor
	if change != nil {
		var m v1.Manifest
		if err := stemma.DecodeJSON(image.Manifest, &m); err != nil {
			t.Fatal(err)
		}
		m.SchemaVersion = 2 // which is of an embedded type, and not decoded
		change(&m)
		child = w.registry.PutManifest(repo, v1.MediaTypeImageManifest, []byte(encode(t, m)))
	}
	for _, f := range described {
		f(&child)
	}
	relist(t, w, child)
	return w, child
}

// relist lists more children in the index.
func relist(t *testing.T, w *world, children ...v1.Descriptor) {
	t.Helper()
	index := object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": slices.Concat(w.image.Children, children)}
	w.registry.PutManifest(repo, v1.MediaTypeImageIndex, []byte(encode(t, index)), "v1")
}

// wanting looks at the image as far as it is wanted.
func (w *world) wanting(want *Want) *Found {
	w.t.Helper()
	f, err := w.client.Open(w.t.Context(), Look{Ref: Reference{Repository: host + "/" + repo, Host: host, Tag: "v1"}, Want: want})
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// child is what was found of a child, or nil.
func (f *Found) child(d v1.Descriptor) *Found {
	i := slices.IndexFunc(f.Children, func(c *Found) bool { return c.Image.Digest == stemma.Digest(d.Digest) })
	if i < 0 {
		return nil
	}
	return f.Children[i]
}

// Runtimes do not look at the mark of an attestation manifest: what bears it and has a platform runs, and is looked at.
func TestReg_B14_marked_child(t *testing.T) {
	arm := v1.Descriptor{Digest: digest.Digest(newWorld(t, stemmatest.ImageSpec{Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}}).image.Children[1].Digest)}
	mark := marked(arm)
	plain := func(*v1.Descriptor) {}
	empty := func(m *v1.Manifest) {
		m.Config = v1.Descriptor{MediaType: v1.MediaTypeEmptyJSON, Digest: digest.FromString("{}"), Size: 2}
	}
	amd64 := []stemma.Platform{{OS: "linux", Architecture: "amd64"}}
	const image, evidence, nothing = "image", "attestation manifest", "not fetched"
	for _, c := range []struct {
		name           string
		change         func(*v1.Manifest)
		mark, platform func(*v1.Descriptor)
		told           string // the platform that comes of it
		everything     string
		all            string // of the children
		list           string // those of linux/amd64
	}{
		{"control: an image", nil, plain, of("linux/amd64"), "linux/amd64", image, image, image},
		{"control: BuildKit's", nil, mark, of("unknown/unknown"), "unknown/unknown", evidence, evidence, nothing},
		{"marked", nil, mark, of("linux/amd64"), "linux/amd64", image, image, image},
		{"marked, spelled otherwise", nil, mark, of("Linux/X86_64"), "Linux/X86_64", image, image, image},
		{"marked, no OS", nil, mark, of("/amd64"), "/amd64", image, image, image},
		{"marked, half unknown", nil, mark, of("unknown/amd64"), "unknown/amd64", image, image, nothing},
		{"marked, another platform", nil, mark, of("linux/s390x"), "linux/s390x", image, image, nothing},
		{"marked, no platform", nil, mark, of(""), "linux/amd64", image, image, image},
		{"marked, an empty platform", nil, mark, of("/"), "linux/amd64", image, image, image},
		{"marked, no platform, no config of an image", empty, mark, of(""), "", evidence, evidence, evidence},
		{"marked, no config of an image", empty, mark, of("linux/amd64"), "linux/amd64", image, image, image},
		{"marked, unknown in capitals", nil, mark, of("Unknown/UNKNOWN"), "Unknown/UNKNOWN", evidence, evidence, nothing},
		{"of the artifact type, no platform", func(m *v1.Manifest) { m.ArtifactType = mediaTypeDockerAttest }, plain, of(""), "linux/amd64", image, image, image},
		{"with a subject, marked, no platform", func(m *v1.Manifest) {
			m.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: arm.Digest, Size: 1}
		}, mark, of(""), "linux/amd64", image, image, image},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, look := range map[string]struct {
				want   *Want
				expect string
			}{"everything": {nil, c.everything}, "all": {&Want{Children: true}, c.all}, "list": {&Want{Children: true, Platforms: amd64}, c.list}, "index": {&Want{Indexes: true}, nothing}} {
				w, d := more(t, c.change, c.mark, c.platform)
				f := w.wanting(look.want)
				got, child := nothing, f.child(d)
				if child != nil {
					if got = image; child.AttestationManifest {
						got = evidence
					}
					real := c.change == nil || c.told == "linux/amd64" && !strings.Contains(c.name, "no config")
					if child.Platform.String() != c.told || (child.Config != "") != (real && got == image) || len(child.Unavailable) > 0 || len(child.Places) == 0 {
						t.Errorf("%s: %q, want %q; config %q, %+v", name, child.Platform, c.told, child.Config, child.Unavailable)
					}
				}
				if got != look.expect {
					t.Errorf("%s: %s, want %s", name, got, look.expect)
				}
				if fetched := slices.ContainsFunc(w.registry.Requests(), func(r string) bool { return strings.HasSuffix(r, "/manifests/"+string(d.Digest)) }); fetched != (look.expect != nothing) {
					t.Errorf("%s: fetched %v", name, fetched)
				}
			}
		})
	}
}

// What attests a wanted platform is still wanted with it, whatever it is marked and listed as; what attests another one is
// not.
func TestWantedAttestations(t *testing.T) {
	for platform, evidence := range map[string]bool{"unknown/unknown": true, "linux/s390x": false} {
		for at, want := range []bool{true, false} {
			w := newWorld(t, stemmatest.ImageSpec{Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}})
			image, err := w.registry.PutImage(stemmatest.ImageSpec{Repository: repo, Single: true, Content: "attestation"})
			if err != nil {
				t.Fatal(err)
			}
			d := image.Descriptor
			marked(w.image.Children[at])(&d)
			of(platform)(&d)
			relist(t, w, d)
			f := w.wanting(&Want{Children: true, Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}}})
			child := f.child(d)
			if (child != nil) != want || child != nil && child.AttestationManifest != evidence {
				t.Errorf("%s about child %d: %+v", platform, at, child)
			}
			left := "1 platform of the index"
			switch {
			case !want && evidence:
				if left = "1 attestation manifest of the index"; !slices.Contains(f.NotFetched, "1 platform of the index") {
					t.Errorf("%s about child %d: %q", platform, at, f.NotFetched)
				}
			case !want:
				left = "2 platforms of the index"
			}
			if !slices.Contains(f.NotFetched, left) {
				t.Errorf("%s about child %d: %q, want %q", platform, at, f.NotFetched, left)
			}
		}
	}
}

// A child is of a wanted platform however the index spells it: a runtime takes it in any spelling.
func TestReg_B14_platform_spelled_otherwise(t *testing.T) {
	for wanted, cases := range map[string]struct{ yes, no []string }{
		"linux/amd64/":        {[]string{"linux/amd64/", "linux/x86_64/", "Linux/AMD64/", "/amd64/", "//", ""}, []string{"linux/arm64/", "windows/amd64/", "unknown/unknown/", "linux//"}},
		"Linux/x86_64/":       {[]string{"linux/amd64/", "/x86-64/", ""}, []string{"linux/arm64/"}},
		"linux/arm64/v8":      {[]string{"linux/arm64/", "linux/arm64/8", "linux/arm64/v8", "linux/aarch64/"}, []string{"linux/arm64/v9", "linux/arm/v8"}},
		"linux/arm64/":        {[]string{"linux/arm64/", "linux/arm64/v8", "linux/aarch64/8"}, []string{"linux/arm/"}},
		"linux/arm/v7":        {[]string{"linux/arm/", "linux/armhf/", "linux/arm/7"}, []string{"linux/arm/v6", "linux/armel/"}},
		"windows/amd64/:10.1": {[]string{"windows/amd64/", "windows/amd64/:10.1"}, []string{"windows/amd64/:10.2"}},
	} {
		for want, list := range map[bool][]string{true: cases.yes, false: cases.no} {
			for _, platform := range list {
				w, d := more(t, nil, of(platform))
				var asked v1.Descriptor
				of(wanted)(&asked)
				p := asked.Platform
				f := w.wanting(&Want{Children: true, Platforms: []stemma.Platform{{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion}}})
				if got := f.child(d) != nil; got != want {
					t.Errorf("%s wanted, %q listed: looked at %v", wanted, platform, got)
				}
			}
		}
	}
}

// An index in an index is looked at whatever platform it is listed with: what it lists itself may be of another one.
func TestReg_B14_index_of_another_platform(t *testing.T) {
	for name, c := range map[string]struct {
		inner bool
		mark  bool
		of    string
		want  bool
	}{
		"an image of another platform":              {false, false, "linux/s390x", false},
		"an image of the platform":                  {false, false, "linux/amd64", true},
		"an index of another platform":              {true, false, "linux/s390x", true},
		"an index without":                          {true, false, "", true},
		"an index of none, marked":                  {true, true, "unknown/unknown", true},
		"an index of another platform and marked":   {true, true, "linux/s390x", true},
		"an image of none, marked, about no other":  {false, true, "unknown/unknown", false},
		"an image of another, marked, about itself": {false, true, "linux/s390x", false},
	} {
		w, inner := more(t, nil)
		d := inner
		if c.inner {
			of("linux/amd64")(&inner)
			d = w.registry.PutManifest(repo, v1.MediaTypeImageIndex, []byte(encode(t, object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": []v1.Descriptor{inner}})))
		}
		if c.mark {
			marked(d)(&d)
		}
		of(c.of)(&d)
		relist(t, w, d)
		f := w.wanting(&Want{Children: true, Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}}})
		child := f.child(d)
		if (child != nil) != c.want || child != nil && c.inner && (child.child(inner) == nil || child.AttestationManifest) {
			t.Errorf("%s: %+v", name, child)
		}
	}
}

// Whose platform only the config could say, and the config is not served, is not known to be of no platform.
func TestReg_B14_config_kept_back(t *testing.T) {
	gone := func(w *world, config string) { w.fault("/blobs/"+config, status(http.StatusNotFound)) }
	served := func(*world, string) {}
	artifact := func(m *v1.Manifest) { m.Config.MediaType = "application/vnd.cncf.helm.config.v1+json" }
	large := func(m *v1.Manifest) { m.Config.Size = maxManifest + 1 }
	mark := marked(v1.Descriptor{Digest: digest.FromString("other")})
	all := &Want{Children: true}
	for _, c := range []struct {
		name      string
		change    func(*v1.Manifest)
		described []func(*v1.Descriptor)
		serve     func(*world, string)
		want      *Want
		platform  string
		reason    stemma.Reason // "": nothing is unavailable
	}{
		{"control", nil, nil, served, nil, "linux/amd64", ""},
		{"404", nil, nil, gone, nil, "", stemma.ReasonBadAnswer},
		{"404, wanted", nil, nil, gone, all, "", stemma.ReasonBadAnswer},
		{"404, marked", nil, []func(*v1.Descriptor){mark}, gone, all, "", stemma.ReasonBadAnswer},
		{"500", nil, nil, func(w *world, config string) { w.fault("/blobs/"+config, status(http.StatusInternalServerError)) }, all, "", stemma.ReasonUnreachable},
		{"404, the index tells", nil, []func(*v1.Descriptor){of("linux/amd64")}, gone, all, "linux/amd64", ""},
		{"404, the index tells of one that is marked", nil, []func(*v1.Descriptor){mark, of("linux/amd64")}, gone, all, "linux/amd64", ""},
		{"404, an attestation manifest", nil, []func(*v1.Descriptor){mark, of("unknown/unknown")}, gone, nil, "unknown/unknown", ""},
		{"404, an artifact", artifact, nil, gone, all, "", ""},
		{"too large", large, nil, served, all, "", stemma.ReasonTruncated},
		{"too large, marked", large, []func(*v1.Descriptor){mark}, served, all, "", stemma.ReasonTruncated},
		{"too large, the index tells", large, []func(*v1.Descriptor){of("linux/amd64")}, served, all, "linux/amd64", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var config string
			w, d := more(t, func(m *v1.Manifest) {
				config = string(m.Config.Digest)
				if c.change != nil {
					c.change(m)
				}
			}, c.described...)
			c.serve(w, config)
			child := w.wanting(c.want).child(d)
			if child == nil || child.Platform.String() != c.platform || child.AttestationManifest != (c.platform == "unknown/unknown") {
				t.Fatalf("%+v", child)
			}
			switch {
			case c.reason != "":
				if wantUnavailable(t, child, "config", c.reason, ""); len(child.Unavailable) != 1 {
					t.Errorf("%+v", child.Unavailable)
				}
			case len(child.Unavailable) > 0:
				t.Errorf("%+v", child.Unavailable)
			}
		})
	}
	// The image itself has nobody else to tell its platform. Where nobody asks for it, it is not looked for.
	for name, c := range map[string]struct {
		want *Want
		lost int
	}{"everything": {nil, 1}, "platforms": {&Want{Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}}}, 1}, "nothing": {&Want{}, 0}} {
		w := newWorld(t, single)
		w.fault("/blobs/", status(http.StatusNotFound))
		f := w.wanting(c.want)
		if len(f.Unavailable) != c.lost || f.Platform != (stemma.Platform{}) {
			t.Errorf("%s: %q %+v", name, f.Platform, f.Unavailable)
		}
		w.answer(nil)
		if f := w.wanting(c.want); len(f.Unavailable) > 0 || (f.Platform.String() == linux64) != (c.lost > 0) {
			t.Errorf("%s, control: %q %+v", name, f.Platform, f.Unavailable)
		}
	}
}

// A layout of evidence alone has neither configs nor layers. One that has layers is not of them.
func TestLayoutWithoutConfig(t *testing.T) {
	for name, c := range map[string]struct {
		config, layer bool
		platform      string
		lost          int
	}{
		"whole": {true, true, linux64, 0}, "evidence alone": {false, false, "", 0}, "config kept back": {false, true, "", 1}, "no layer": {true, false, linux64, 0},
	} {
		l := newLayout(t)
		layer, other := l.blob(v1.MediaTypeImageLayer, "layer"), l.blob(v1.MediaTypeImageLayer, "other")
		image := l.manifest("app", object{"layers": []descriptor{layer, other}})
		config := stemma.SHA256([]byte(`{"os":"linux","architecture":"amd64","x":"app"}`))
		remove := func(d stemma.Digest) {
			if err := os.Remove(filepath.Join(l.dir, "blobs", d.Algorithm(), d.Hex())); err != nil {
				t.Fatal(err)
			}
		}
		if !c.config {
			remove(config)
		}
		if remove(layer.Digest); !c.layer {
			remove(other.Digest)
		}
		l.list(image, nil)
		f, err := l.open("")
		if err != nil {
			t.Fatal(err)
		}
		if f.Platform.String() != c.platform || len(f.Unavailable) != c.lost {
			t.Errorf("%s: %q %+v", name, f.Platform, f.Unavailable)
		}
		if c.lost > 0 {
			wantUnavailable(t, f, "config", stemma.ReasonBadAnswer, fmt.Sprintf("reading blobs/sha256/%s: it is not in the layout", config.Hex()))
		}
	}
}
