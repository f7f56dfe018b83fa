package oci

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	hexA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digA = "sha256:" + hexA
)

func TestParseReference(t *testing.T) {
	for in, want := range map[string]Reference{
		"alpine":                        {Repository: "docker.io/library/alpine", Host: "registry-1.docker.io", Tag: "latest"},
		"acme/api:1.8.2":                {Repository: "docker.io/acme/api", Host: "registry-1.docker.io", Tag: "1.8.2"},
		"docker.io/library/alpine":      {Repository: "docker.io/library/alpine", Host: "registry-1.docker.io", Tag: "latest"},
		"index.docker.io/alpine":        {Repository: "docker.io/library/alpine", Host: "registry-1.docker.io", Tag: "latest"},
		"registry-1.docker.io/acme/api": {Repository: "docker.io/acme/api", Host: "registry-1.docker.io", Tag: "latest"},
		"ghcr.io/acme/api@" + digA:      {Repository: "ghcr.io/acme/api", Host: "ghcr.io", Digest: digA},
		"ghcr.io/acme/api:v1@" + digA:   {Repository: "ghcr.io/acme/api", Host: "ghcr.io", Tag: "v1", Digest: digA},
		"GHCR.io/acme/api:V1":           {Repository: "ghcr.io/acme/api", Host: "ghcr.io", Tag: "V1"},
		"localhost:5000/x":              {Repository: "localhost:5000/x", Host: "localhost:5000", Tag: "latest"},
		"[::1]:5000/a/b/c":              {Repository: "[::1]:5000/a/b/c", Host: "[::1]:5000", Tag: "latest"},
		"oci:images/api":                {Layout: "images/api"},
		"oci:/srv/a@b":                  {Layout: "/srv/a@b"},
		"oci:C:/images@" + digA:         {Layout: "C:/images", Digest: digA},
	} {
		got, err := ParseReference(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
		if again, err := ParseReference(got.String()); err != nil || again != got {
			t.Errorf("%s: written as %s, read as %+v, %v", in, got, again, err)
		}
	}
}

func TestParseReferenceRefused(t *testing.T) {
	for in, hint := range map[string]string{
		"":                           "Give registry/repository",
		" alpine":                    "without blanks",
		"https://ghcr.io/acme/api":   "Leave out https://: ghcr.io/acme/api",
		"docker://alpine":            "Leave out docker://: alpine",
		"oci-layout://dir":           "A layout is written oci:dir",
		"docker-archive:x.tar":       "docker-archive is not supported",
		"./dir":                      "write oci:./dir",
		digA:                         "A digest alone",
		hexA:                         "Write registry/repository",
		"ghcr.io/Acme/api":           "Repository names are lower-case: ghcr.io/acme/api",
		"ACME/api":                   "Repository names are lower-case: acme/api",
		"ghcr.io/acme/api:":          "Write registry/repository",
		"ghcr.io/acme/../api":        "Write registry/repository",
		"ghcr.io/acme//api":          "Write registry/repository",
		"ghcr.io/аcme/api":           "Write registry/repository", // Cyrillic а (J07)
		"ghcr.io/acme\x00/api":       "Write registry/repository",
		"user@ghcr.io/acme/api":      "A digest is",
		"ghcr.io./acme/api":          "Write registry/repository",
		"localhost:65536/api":        "Write a port of 1 to 65535",
		"localhost:0/api":            "Write a port of 1 to 65535",
		"[::1]:99999/api":            "Write a port of 1 to 65535",
		"ghcr.io/a@sha256:abc":       "A digest is",
		"ghcr.io/a@md5:" + hexA[:32]: "A digest is",
		"ghcr.io/a@sha256:" + strings.ToUpper(hexA): "A digest is",
		"ghcr.io/a@" + digA + "@" + digA:            "A digest is",
		"oci:":                                      "Name the directory",
		"oci:@" + digA:                              "Name the directory",
		"oci:dir@sha256:abc":                        "A digest is",
		"oci:dir@SHA256:" + hexA:                    "A digest is",
		"oci://dir":                                 "without the slashes",
		"oci:image.tar":                             "Unpack it first",
	} {
		_, err := ParseReference(in)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: got %v, want an *Error", in, err)
			continue
		}
		if e.Kind != Invalid || !strings.Contains(e.Hint, hint) || strings.Contains(e.Error(), "\n") {
			t.Errorf("%q: %s: %v\nhint %s\nwant %s", in, e.Kind, e, e.Hint, hint)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"alpine", "ghcr.io/acme/api:v1@" + digA, "oci:dir@" + digA, "oci:", "a/../b", "[::1]:5000/x", "x@sha256:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseReference(s)
		if err != nil {
			if ref != (Reference{}) {
				t.Fatalf("%q: an error and %+v", s, ref)
			}
			return
		}
		if (ref.Layout == "") == (ref.Repository == "") || (ref.Repository == "") != (ref.Host == "") {
			t.Fatalf("%q: %+v", s, ref)
		}
		// Never a name that leads elsewhere in a URL or a path.
		for _, bad := range []string{"..", "//", "%", "?", "#", "@", "\\", " ", "\x00"} {
			if strings.Contains(ref.Repository+" "+ref.Tag, bad) && bad != " " || strings.Contains(ref.Tag, "/") {
				t.Fatalf("%q: %+v contains %q", s, ref, bad)
			}
		}
		again, err := ParseReference(ref.String())
		if err != nil || again != ref {
			t.Fatalf("%q: %+v written as %q is read as %+v, %v", s, ref, ref, again, err)
		}
	})
}
