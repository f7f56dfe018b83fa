package stemmatest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

func platform(s string) stemma.Platform {
	parts := append(strings.Split(s, "/"), "", "")
	return stemma.Platform{OS: parts[0], Architecture: parts[1], OSVersion: parts[2]}
}

// Images as they are met: of several versions of Windows, with children that are of no platform, or of one twice.
func TestPlatforms(t *testing.T) {
	r := stemmatest.NewRegistry("ghcr.io")
	other := must[*stemmatest.Image](t)(r.PutImage(stemmatest.ImageSpec{Repository: "acme/app", Content: "other"}))
	put := func(index func([]v1.Descriptor) []v1.Descriptor, platforms ...string) *stemmatest.Image {
		spec := stemmatest.ImageSpec{Repository: "acme/app", Content: "this", Index: index}
		for _, p := range platforms {
			spec.Platforms = append(spec.Platforms, platform(p))
		}
		return must[*stemmatest.Image](t)(r.PutImage(spec))
	}
	for _, c := range []struct {
		name  string
		image *stemmatest.Image
		want  []string
	}{
		{"windows", put(nil, "windows/amd64/10.0.17763.1", "windows/amd64/10.0.20348.1"), []string{"windows/amd64/10.0.17763.1", "windows/amd64/10.0.20348.1"}},
		{"unknown", put(nil, "linux/amd64", "unknown/unknown"), []string{"linux/amd64/", "unknown/unknown/"}},
		{"arm64 only", put(nil, "linux/arm64"), []string{"linux/arm64/"}},
		{"none", put(func([]v1.Descriptor) []v1.Descriptor { return nil }, "linux/amd64"), nil},
		{"twice", put(func(c []v1.Descriptor) []v1.Descriptor { return append(c, other.Children[0]) }, "linux/amd64"), []string{"linux/amd64/", "linux/amd64/"}},
	} {
		_, data, err := r.Manifest("acme/app", string(c.image.Digest()))
		check(t, err)
		var index v1.Index
		check(t, stemma.DecodeJSON(data, &index))
		var got []string
		digests := map[digest.Digest]bool{}
		for _, d := range index.Manifests {
			got = append(got, d.Platform.OS+"/"+d.Platform.Architecture+"/"+d.Platform.OSVersion)
			digests[d.Digest] = true
			if p := platform(got[len(got)-1]); c.name != "twice" {
				if at := c.image.Platform(p); at != stemma.Digest(d.Digest) {
					t.Errorf("%s: %v is %s", c.name, p, at)
				}
				var config struct {
					OS           string `json:"os"`
					Architecture string `json:"architecture"`
					OSVersion    string `json:"os.version"`
				}
				check(t, stemma.DecodeJSON(must[[]byte](t)(r.Blob("acme/app", must[stemma.Digest](t)(c.image.Config(p)))), &config))
				if config.OS != p.OS || config.Architecture != p.Architecture || config.OSVersion != p.OSVersion {
					t.Errorf("%s: config of %v: %+v", c.name, p, config)
				}
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" || len(digests) != len(got) || strings.Contains(string(data), "null") {
			t.Errorf("%s: %s %s", c.name, diff, data)
		}
		if at := c.image.Platform(platform("plan9/amd64")); at != "" {
			t.Errorf("%s: another platform is %s", c.name, at)
		}
	}
	if d, err := put(nil, "linux/amd64").Config(platform("linux/arm64")); err == nil {
		t.Errorf("the config of a platform that is not there is %s", d)
	}
	single := must[*stemmatest.Image](t)(r.PutImage(stemmatest.ImageSpec{Repository: "acme/app", Single: true}))
	if d, err := single.Config(stemma.Platform{}); err != nil || !strings.Contains(string(single.Manifest), `"digest":"`+string(d)+`"`) {
		t.Errorf("the config of the only manifest: %s, %v", d, err)
	}
}

// What is attached to an image elsewhere is there and not here; a copy has the image and nothing about it.
func TestElsewhere(t *testing.T) {
	w := newWorld(t)
	image := must[*stemmatest.Image](t)(w.PutBuildKitImage("v3"))
	w.Attach(image, w.Provenance)
	mirror := stemmatest.NewRegistry("mirror.test")
	listed := func(r *stemmatest.Registry, repo string, of stemma.Digest) int {
		got := ask(r, "GET", "/v2/"+repo+"/referrers/"+string(of), "")
		var index v1.Index
		if got.status == 200 {
			check(t, stemma.DecodeJSON([]byte(got.body), &index))
		}
		return len(index.Manifests)
	}

	evidence := image.At(mirror, "evidence")
	w.Attach(evidence, w.SBOM)
	evidence.AttachCosign(".att", w.SBOM.BundleLayer())
	if here, there := listed(w.Registry, stemmatest.Repository, image.Digest()), listed(mirror, "evidence", image.Digest()); here != 1 || there != 1 {
		t.Errorf("%d here, %d there", here, there)
	}
	if _, _, err := mirror.Manifest("evidence", string(image.Digest())); err == nil {
		t.Error("the image itself is there")
	}
	if _, _, err := mirror.Manifest("evidence", stemmatest.CosignTag(image.Digest(), ".att")); err != nil {
		t.Error(err)
	}

	copied := must[*stemmatest.Image](t)(image.CopyTo(mirror, "hub/app", "v3", "latest"))
	if got, want := copied.Name().String(), "mirror.test/hub/app@"+string(image.Digest()); got != want || copied.Name().Tag != "v3" {
		t.Errorf("%s, want %s", got, want)
	}
	for _, tag := range []string{"v3", "latest", string(image.Digest())} {
		if _, data, err := mirror.Manifest("hub/app", tag); err != nil || string(data) != string(image.Manifest) {
			t.Errorf("%s: %v", tag, err)
		}
	}
	for _, c := range image.Children {
		_, data, err := mirror.Manifest("hub/app", string(c.Digest))
		check(t, err)
		var m v1.Manifest
		check(t, stemma.DecodeJSON(data, &m))
		for _, b := range append(m.Layers, m.Config) {
			if data := must[[]byte](t)(mirror.Blob("hub/app", stemma.Digest(b.Digest))); digest.FromBytes(data) != b.Digest {
				t.Errorf("blob %s", b.Digest)
			}
		}
		if n := listed(mirror, "hub/app", stemma.Digest(c.Digest)); n != 0 {
			t.Errorf("%d referrers were copied", n)
		}
	}
	if n := listed(mirror, "hub/app", image.Digest()); n != 0 {
		t.Errorf("%d referrers were copied", n)
	}
	w.Registry.Delete(stemmatest.Repository, must[stemma.Digest](t)(image.Config(platform("linux/arm64"))))
	if _, err := image.CopyTo(mirror, "hub/other"); err == nil {
		t.Error("half an image was copied")
	}
}

// A signature of what is attached, one of that, and the Docker chain: image, attestation manifest, signature.
func TestNested(t *testing.T) {
	w := newWorld(t)
	image := must[*stemmatest.Image](t)(w.PutBuildKitImage("v3"))
	sbom := image.AttachReferrer(stemmatest.Artifact{Type: "application/spdx+json", Layers: []stemmatest.Layer{{MediaType: "application/spdx+json", Data: []byte("{}")}}})
	amd64 := platform("linux/amd64")
	attestation := image.Attestation(amd64)
	builder := stemmatest.DockerBuilder(w.Build, "v1.0.0")
	for name, c := range map[string]struct {
		d  stemma.Digest
		as stemmatest.Identity
	}{"image": {image.Digest(), w.Build}, "child": {image.Platform(amd64), w.Build}, "SBOM": {stemma.Digest(sbom.Digest), w.Build}, "attestation manifest": {attestation, builder}} {
		before := len(referrers(t, client(t, w), v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.Digest(c.d)}))
		x := must[*stemmatest.Signed](t)(w.SignManifest(image, c.d, c.as))
		if err := (verifier{trust: w.Sigstore.TrustedRoot()}).verify(t, x.Bundle(), c.d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		list := referrers(t, client(t, w), v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.Digest(c.d)})
		if len(list) != before+1 {
			t.Fatalf("%s: %d referrers, before %d", name, len(list), before)
		}
		var m v1.Manifest
		check(t, stemma.DecodeJSON(fetch(t, client(t, w), list[before]), &m))
		if m.Subject.Digest != digest.Digest(c.d) || m.Annotations["dev.sigstore.bundle.content"] != "message-signature" || m.Subject.Size == 0 {
			t.Errorf("%s: %+v", name, m)
		}
		if at := x.Signer.Certificate.URIs[0].String(); name == "attestation manifest" && at != "https://github.com/docker/github-builder/.github/workflows/build.yml@refs/tags/v1.0.0" {
			t.Errorf("%s: signed by %s", name, at)
		}
	}
	var m v1.Manifest
	_, data, err := w.Registry.Manifest(stemmatest.Repository, string(attestation))
	check(t, err)
	check(t, stemma.DecodeJSON(data, &m))
	if m.Subject.Digest != digest.Digest(image.Platform(amd64)) || len(m.Layers) != 1 || m.Layers[0].Annotations["in-toto.io/predicate-type"] != stemma.PredicateSLSAv1 {
		t.Errorf("attestation manifest %s", data)
	}
	if d := image.Attestation(platform("linux/riscv64")); d != "" {
		t.Errorf("attestation manifest %s of a platform that is not there", d)
	}
	if _, err := w.SignManifest(image, stemma.SHA256(nil), w.Build); err == nil {
		t.Error("what is not there was signed")
	}
}

// A layer with addresses is described and not here.
func TestForeignLayer(t *testing.T) { // CVE-2020-15157
	w := newWorld(t)
	d := w.Image.AttachReferrer(stemmatest.Artifact{Type: "x", Layers: []stemmatest.Layer{{MediaType: "x", Data: []byte("there"), URLs: []string{"http://169.254.169.254/x"}}}})
	var m v1.Manifest
	check(t, stemma.DecodeJSON(fetch(t, client(t, w), d), &m))
	if l := m.Layers[0]; l.Digest != digest.FromString("there") || !slices.Equal(l.URLs, []string{"http://169.254.169.254/x"}) {
		t.Errorf("%+v", l)
	}
	if data, err := w.Registry.Blob(stemmatest.Repository, stemma.SHA256([]byte("there"))); err == nil {
		t.Errorf("it is here: %q", data)
	}
}

func TestWorldHostile(t *testing.T) {
	w := newWorld(t)
	w.Hostile().Do(stemmatest.Answer(503))
	for _, path := range []string{"/v2/", "/v2/acme/app/manifests/v2.0.0"} {
		res, err := get(t, w.Transport(), t.Context(), "https://ghcr.io"+path)
		check(t, err)
		if res.StatusCode != 503 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
}
