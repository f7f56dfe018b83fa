package oci

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"stemma"
	"stemma/stemmatest"
)

const (
	someType = "application/vnd.example.set.v1"
	someFile = "application/vnd.example.file.v1+yaml"
)

func someArtifact() Artifact {
	return Artifact{Type: someType, Files: []ArtifactFile{{"b.yaml", someFile, []byte("b")}, {"a.yaml", someFile, []byte("a")}, {"c.yaml", someFile, []byte("a")}}}
}

func writable() *stemmatest.Registry {
	r := stemmatest.NewRegistry(host)
	r.Writable = true
	return r
}

func TestArtifact(t *testing.T) {
	r := writable()
	client := newClient(t, Config{Transport: stemmatest.Network{host: r}})
	push := func(name string, a Artifact) stemma.Digest {
		t.Helper()
		d, err := client.PushArtifact(t.Context(), mustRef(t, host+"/acme/policy"+name), a)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := push(":v1", someArtifact())
	other := someArtifact()
	slices.Reverse(other.Files)
	if again := push(":v2", other); again != d {
		t.Errorf("the same files in another order have the digest %s, not %s", again, d)
	}
	const want = "sha256:c3cd59f9"
	if !strings.HasPrefix(string(d), want) {
		t.Errorf("the artifact has the digest %s: its bytes have changed", d)
	}
	other.Files[0].Data = []byte("x")
	if push(":v1", other) == d {
		t.Error("other files have the same digest")
	}
	for _, name := range []string{"@" + string(d), ":v2", ":v2@" + string(d), ":v1@" + string(d)} {
		got, at, err := newClient(t, Config{Transport: stemmatest.Network{host: r}}).PullArtifact(t.Context(), mustRef(t, host+"/acme/policy"+name), someType, someFile)
		if err != nil || at != d || len(got.Files) != 3 || got.Files[0].Name != "a.yaml" || string(got.Files[1].Data) != "b" || string(got.Files[2].Data) != "a" {
			t.Errorf("%s: %+v, %s, %v", name, got, at, err)
		}
	}
}

// A bundle that is something else, or more than it should be, is no set of files. conforma SC-2, EC-2014.
func TestReg_E14_artifact_as_served(t *testing.T) {
	type manifest = map[string]any
	layer := func(m manifest, i int) manifest { return m["layers"].([]any)[i].(manifest) }
	for _, c := range []struct {
		name string
		edit func(m manifest)
		want string
	}{
		{"as pushed", func(manifest) {}, ""},
		{"with annotations", func(m manifest) { m["annotations"] = manifest{"a": "b"} }, ""},
		{"of another type", func(m manifest) { m["artifactType"] = someType + "x" }, "it is of type"},
		{"an image", func(m manifest) { delete(m, "artifactType") }, "it is of type"},
		{"with a config", func(m manifest) { m["config"].(manifest)["mediaType"] = "application/vnd.oci.image.config.v1+json" }, "it has a config"},
		{"with another config", func(m manifest) { m["config"].(manifest)["size"] = 3 }, "it has a config"},
		{"about another manifest", func(m manifest) { m["subject"] = m["config"] }, "about another manifest"},
		{"empty", func(m manifest) { m["layers"] = []any{} }, "0 files"},
		{"without a title", func(m manifest) { delete(layer(m, 1), "annotations") }, "layer 1 has no title"},
		{"one title twice", func(m manifest) { layer(m, 1)["annotations"] = layer(m, 0)["annotations"] }, `called "a.yaml"`},
		{"a file of another type", func(m manifest) { layer(m, 2)["mediaType"] = "text/x-shellscript" }, `"text/x-shellscript"`},
		{"a large file", func(m manifest) { layer(m, 2)["size"] = maxArtifactFile + 1 }, "limit 1048576"},
		{"a file of another size", func(m manifest) { layer(m, 2)["size"] = 2 }, "descriptor says 2"},
		{"one content under two names", func(m manifest) { layer(m, 2)["digest"] = layer(m, 1)["digest"] }, ""},
		{"a file that is not there", func(m manifest) { layer(m, 2)["digest"] = string(stemma.SHA256([]byte("?"))) }, "404"},
		{"a digest that is none", func(m manifest) { layer(m, 2)["digest"] = "sha256:../../x" }, "reading descriptor"},
		{"too many files", func(m manifest) {
			for range maxArtifactFiles {
				m["layers"] = append(m["layers"].([]any), layer(m, 0))
			}
		}, "515 files"},
		{"too much in all", func(m manifest) {
			m["layers"] = m["layers"].([]any)[:1]
			for range maxArtifactTotal/maxArtifactFile + 1 {
				m["layers"] = append(m["layers"].([]any), manifest{"mediaType": someFile, "digest": layer(m, 0)["digest"], "size": maxArtifactFile, "annotations": manifest{"org.opencontainers.image.title": strings.Repeat("x", len(m["layers"].([]any)))}})
			}
		}, "together"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := writable()
			client := newClient(t, Config{Transport: stemmatest.Network{host: r}})
			d, err := client.PushArtifact(t.Context(), mustRef(t, host+"/acme/policy:v1"), someArtifact())
			if err != nil {
				t.Fatal(err)
			}
			_, data, err := r.Manifest("acme/policy", string(d))
			if err != nil {
				t.Fatal(err)
			}
			var m manifest
			if err := json.Unmarshal(data, &m); err != nil {
				t.Fatal(err)
			}
			c.edit(m)
			if data, err = json.Marshal(m); err != nil {
				t.Fatal(err)
			}
			put := r.PutManifest("acme/policy", "application/vnd.oci.image.manifest.v1+json", data)
			_, _, err = client.PullArtifact(t.Context(), mustRef(t, host+"/acme/policy@"+string(put.Digest)), someType, someFile)
			var e *Error
			if (err == nil) != (c.want == "") || err != nil && (!errors.As(err, &e) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A registry that serves something else than what was asked for, by digest, is found out in manifest and files alike.
func TestReg_E14_digest_mismatch(t *testing.T) {
	for _, kind := range []string{"/manifests/", "/blobs/"} {
		r := writable()
		client := newClient(t, Config{Transport: stemmatest.Network{host: r}})
		d, err := client.PushArtifact(t.Context(), mustRef(t, host+"/acme/policy:v1"), someArtifact())
		if err != nil {
			t.Fatal(err)
		}
		r.Fault = func(w http.ResponseWriter, req *http.Request) bool {
			if !strings.Contains(req.URL.Path, kind) {
				return false
			}
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			_, _ = w.Write([]byte("x"))
			return true
		}
		client = newClient(t, Config{Transport: stemmatest.Network{host: r}})
		_, _, err = client.PullArtifact(t.Context(), mustRef(t, host+"/acme/policy@"+string(d)), someType, someFile)
		var e *Error
		if !errors.As(err, &e) || e.Kind != BadAnswer {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestPushArtifactRefused(t *testing.T) {
	r := writable()
	client := newClient(t, Config{Transport: stemmatest.Network{host: r}})
	large := Artifact{Type: someType, Files: []ArtifactFile{{"a", someFile, make([]byte, maxArtifactFile+1)}}}
	twice := Artifact{Type: someType, Files: []ArtifactFile{{"a", someFile, nil}, {"a", someFile, []byte("x")}}}
	for _, c := range []struct {
		name string
		to   string
		a    Artifact
		kind Kind
		fail bool
	}{
		{"nothing", ":v1", Artifact{Type: someType}, Invalid, false},
		{"too large", ":v1", large, Invalid, false},
		{"one name twice", ":v1", twice, Invalid, false},
		{"to a digest", "@" + string(stemma.SHA256(nil)), someArtifact(), Invalid, false},
		{"to a registry that takes nothing", ":v1", someArtifact(), Refused, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.Refuse = func(stemmatest.Push) int {
				if c.fail {
					return http.StatusForbidden
				}
				return 0
			}
			d, err := client.PushArtifact(t.Context(), mustRef(t, host+"/acme/policy"+c.to), c.a)
			var e *Error
			if d != "" || !errors.As(err, &e) || e.Kind != c.kind || !strings.HasPrefix(e.Error(), "pushing to ") {
				t.Errorf("%q, %v; want %s", d, err, c.kind)
			}
			if _, _, err := r.Manifest("acme/policy", "v1"); err == nil {
				t.Error("the tag was set")
			}
		})
	}
}
