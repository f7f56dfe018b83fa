package oci

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

func (l *testLayout) write() {
	l.t.Helper()
	l.file("index.json", encode(l.t, object{"schemaVersion": 2, "manifests": l.entries}))
}

// image writes a manifest of layers, whose config says of which platform it is and what they hold.
func (l *testLayout) image(config string, ids []string, more object, layers ...descriptor) descriptor {
	l.t.Helper()
	m := object{"config": l.blob(v1.MediaTypeImageConfig, fmt.Sprintf(`{%s,"rootfs":{"type":"layers","diff_ids":%s}}`, config, encode(l.t, ids))), "layers": layers}
	for k, v := range more {
		m[k] = v
	}
	return l.manifest("", m)
}

func at(d descriptor, os, architecture string) descriptor {
	d.Platform = &platform{OS: os, Architecture: architecture}
	return d
}

// Layers are read of the one manifest for a platform, with a config that fits it. What two readers could take for two
// things is an error.
func TestStack(t *testing.T) {
	const linux = `"os":"linux","architecture":"amd64"`
	amd64 := stemma.Platform{OS: "linux", Architecture: "amd64"}
	id := string(stemma.SHA256([]byte("content")))
	for _, c := range []struct {
		name string
		make func(l *testLayout, layer descriptor) descriptor
		want string // in the error; "": it is read
	}{
		{"a manifest", func(l *testLayout, layer descriptor) descriptor { return l.image(linux, []string{id}, nil, layer) }, ""},
		{"of an index", func(l *testLayout, layer descriptor) descriptor {
			return l.index(at(l.image(`"os":"linux","architecture":"arm64"`, []string{id}, nil, layer), "linux", "arm64"), at(l.image(linux, []string{id}, nil, layer), "linux", "amd64"))
		}, ""},
		{"under another spelling", func(l *testLayout, layer descriptor) descriptor {
			return l.index(at(l.image(linux, []string{id}, nil, layer), "Linux", "x86_64"))
		}, ""},
		{"not of the platform", func(l *testLayout, layer descriptor) descriptor {
			return l.index(at(l.image(linux, []string{id}, nil, layer), "linux", "arm64"))
		}, "lists nothing for linux/amd64"},
		{"two of the platform", func(l *testLayout, layer descriptor) descriptor {
			return l.index(at(l.image(linux, []string{id}, nil, layer), "linux", "amd64"), at(l.image(linux+`,"x":1`, []string{id}, nil, layer), "linux", "x86_64"))
		}, "lists 2 manifests for linux/amd64"},
		{"of no platform", func(l *testLayout, layer descriptor) descriptor {
			return l.index(l.image(linux, []string{id}, nil, layer))
		}, "lists nothing for linux/amd64"},
		{"an attestation manifest of the platform", func(l *testLayout, layer descriptor) descriptor {
			a := at(l.image(linux, []string{id}, nil, layer), "linux", "amd64")
			a.Annotations = map[string]string{annotationReferenceType: attestationManifest}
			return l.index(a)
		}, "lists nothing for linux/amd64"},
		{"a config of another platform", func(l *testLayout, layer descriptor) descriptor {
			return l.index(at(l.image(`"os":"linux","architecture":"arm64"`, []string{id}, nil, layer), "linux", "amd64"))
		}, "is for linux/arm64: want linux/amd64"},
		{"fewer contents than layers", func(l *testLayout, layer descriptor) descriptor { return l.image(linux, nil, nil, layer) }, "has 1 layers, and its config 0"},
		{"more contents than layers", func(l *testLayout, layer descriptor) descriptor {
			return l.image(linux, []string{id, id}, nil, layer)
		}, "has 1 layers, and its config 2"},
		{"a content that is no digest", func(l *testLayout, layer descriptor) descriptor {
			return l.image(linux, []string{"sha256:x"}, nil, layer)
		}, "layer 1"},
		{"a layer that is no digest", func(l *testLayout, layer descriptor) descriptor {
			layer.Digest = "sha256:x"
			return l.image(linux, []string{id}, nil, layer)
		}, "digest"},
		{"a config twice", func(l *testLayout, layer descriptor) descriptor {
			return l.image(linux+`,"os":"windows"`, []string{id}, nil, layer)
		}, "reading config"},
		{"an artifact", func(l *testLayout, layer descriptor) descriptor {
			return l.image(linux, []string{id}, object{"artifactType": "application/vnd.acme"}, layer)
		}, "is not that of an image"},
		{"no config", func(l *testLayout, layer descriptor) descriptor {
			return l.image(linux, []string{id}, object{"config": nil}, layer)
		}, "is not that of an image"},
		{"evidence", func(l *testLayout, layer descriptor) descriptor {
			return l.image(linux, []string{id}, object{"subject": l.manifest("x", nil)}, layer)
		}, "is not that of an image"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLayout(t)
			layer := l.blob(v1.MediaTypeImageLayer, "content")
			top := c.make(l, layer)
			l.list(top, nil)
			l.write()
			ref := Reference{Layout: l.dir, Digest: top.Digest}
			s, err := newClient(t, Config{}).Stack(t.Context(), ref, amd64)
			if c.want != "" {
				var e *Error
				if err == nil || !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("got %+v, %v; want %q", s, err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Layers) != 1 || s.Layers[0].DiffID != stemma.Digest(id) || s.Layers[0].Digest != layer.Digest || s.Platform.Normal() != amd64 || s.Image.Digest == "" || (s.Index != "") != (s.Index == top.Digest) {
				t.Errorf("%+v", s)
			}
			blob, err := newClient(t, Config{}).Blob(t.Context(), ref, layer.Digest, layer.Size)
			if err != nil {
				t.Fatal(err)
			}
			if data, err := io.ReadAll(blob); err != nil || string(data) != "content" || blob.Close() != nil {
				t.Errorf("%q, %v", data, err)
			}
		})
	}
	if _, err := newClient(t, Config{}).Stack(t.Context(), Reference{Host: "ghcr.io", Repository: "ghcr.io/acme/app"}, amd64); err == nil || !strings.Contains(err.Error(), "without a digest") {
		t.Errorf("by tag: %v", err)
	}
}

// Blobs are compared with their digests while they are read, and a layer that is to be fetched from elsewhere is told.
func TestStackBlobs(t *testing.T) {
	l := newLayout(t)
	layer := l.blob(v1.MediaTypeImageLayer, "content")
	elsewhere := layer
	elsewhere.URLs = []string{"https://example.com/layer"}
	top := l.image(`"os":"windows","architecture":"amd64","config":{"User":"1","Env":["A=b"]},"history":[{"comment":"FROM docker.io/library/debian:13"},{"comment":"x"}]`, []string{string(layer.Digest), string(layer.Digest)}, nil, elsewhere, layer)
	l.list(top, nil)
	l.write()
	ref := Reference{Layout: l.dir, Digest: top.Digest}
	s, err := newClient(t, Config{}).Stack(t.Context(), ref, stemma.Platform{OS: "windows", Architecture: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Layers[0].Foreign || s.Layers[1].Foreign || s.Settings.User != "1" || !slices.Equal(s.Settings.Env, []string{"A=b"}) || !slices.Equal(s.From, []string{"docker.io/library/debian:13"}) {
		t.Errorf("%+v", s)
	}
	if err := os.WriteFile(l.path(layer.Digest), []byte("CONTENT"), 0o600); err != nil {
		t.Fatal(err)
	}
	blob, err := newClient(t, Config{}).Blob(t.Context(), ref, layer.Digest, layer.Size)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(blob); err == nil {
		t.Errorf("what is not the layer is read as it: %q", data)
	}
	if _, err := newClient(t, Config{}).Blob(t.Context(), ref, layer.Digest, layer.Size+1); err == nil {
		t.Error("a blob of another size is opened")
	}
}

// A registry answers as a layout does.
func TestStackRegistry(t *testing.T) {
	w := newWorld(t, stemmatest.ImageSpec{Content: "x", Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}})
	ref := Reference{Host: host, Repository: host + "/" + repo, Digest: w.image.Digest()}
	s, err := w.client.Stack(t.Context(), ref, stemma.Platform{OS: "linux", Architecture: "arm64"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Image.Digest != w.image.Platform(stemma.Platform{OS: "linux", Architecture: "arm64"}) || s.Index != w.image.Digest() || s.Image.Repository != ref.Repository {
		t.Errorf("%+v", s.Image)
	}
	blob, err := w.client.Blob(t.Context(), ref, s.Layers[0].Digest, s.Layers[0].Size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, blob); err != nil {
		t.Error(err)
	}
	ref.Digest = stemma.SHA256([]byte("x"))
	var e *Error
	if _, err := w.client.Stack(t.Context(), ref, s.Platform); !errors.As(err, &e) || e.Kind != NotFound {
		t.Errorf("an image that there is not: %v", err)
	}
}
