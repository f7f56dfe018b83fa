package verify_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

// mirroring says that the destination of these tests stands for the source.
const mirroring = `apiVersion: policy.stemma.dev/v1alpha1
kind: PolicySet
metadata: {name: set}
spec:
  mirrors: [{from: "corp.example/hub/**", is: "ghcr.io/**"}]
---
` + trusting

// mirror copies the staged image. policies may be empty; before the destination answers, f may.
func (s *stage) mirror(policies, dst string, f func(w http.ResponseWriter, r *http.Request, next http.Handler)) (*verify.MirrorReport, error) {
	s.Helper()
	inner := ociserver.New(ocimem.New(), nil)
	s.Network["corp.example"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f == nil {
			inner.ServeHTTP(w, r)
			return
		}
		f(w, r, inner)
	})
	config := verify.Config{
		Network: verify.Network{Transport: s.Transport(), Sleep: atOnce}, Roots: map[string][]byte{policy.PublicGood: s.Sigstore.TrustedRoot()},
		Clock: s.request.Situation.At.UTC, CacheDir: s.TempDir(),
	}
	if policies != "" {
		config.Policies = must[*policy.Set](s)(policy.Load(policy.File{Name: "policy.yaml", Data: []byte(policies)}))
	}
	return must[*verify.Verifier](s)(verify.New(context.Background(), config)).Mirror(s.Context(), s.request.Image, dst, nil)
}

func TestMirror(t *testing.T) {
	s := newStage(t)
	s.attach(stemmatest.Vary{})
	r, err := s.mirror("", "corp.example/hub/acme/app", nil)
	check(t, err)
	want := stemma.Image{Repository: "corp.example/hub/acme/app", Digest: s.image.Digest(), Tag: "v2.0.1"}
	if !r.Equal() || r.Evidence == 0 || r.Copy != want || r.Before != nil || r.After != nil || r.Source.Repository != "ghcr.io/acme/app" {
		t.Errorf("%+v", r)
	}
	if last := r.Items[len(r.Items)-1]; last.Kind != "tag" || last.Tag != "v2.0.1" || last.Result != verify.ItemCopied {
		t.Errorf("%+v", last)
	}
	r, err = s.mirror(mirroring, "corp.example/hub/acme/app:stable", nil)
	check(t, err)
	if !r.Equal() || r.Before.Verdict != stemma.Allow || r.After.Verdict != stemma.Allow || r.Copy.Tag != "stable" {
		t.Errorf("%+v", r)
	}
	if r.After.Image != r.Before.Image || r.After.From != "corp.example/hub/acme/app" || r.Before.From != "" {
		t.Errorf("before %v from %q, after %v from %q", r.Before.Image, r.Before.From, r.After.Image, r.After.From)
	}
	// What the policy refuses may be copied; the decision is told, and the same.
	bare := newStage(t)
	r, err = bare.mirror(mirroring, "corp.example/hub/acme/app", nil)
	check(t, err)
	if r.Before.Verdict != stemma.Deny || r.After.Verdict != stemma.Deny {
		t.Errorf("%+v", r)
	}
}

// TestMirrorDifferences: a copy that lacks something is never called as good as its source.
func TestMirrorDifferences(t *testing.T) {
	refuse := func(part string) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
			r.Body = io.NopCloser(bytes.NewReader(body))
			if err != nil || r.Method == http.MethodPut && bytes.Contains(body, []byte(part)) && strings.Contains(r.URL.Path, "/manifests/") {
				w.WriteHeader(405)
				return
			}
			next.ServeHTTP(w, r)
		}
	}
	for _, c := range []struct {
		name        string
		policies    string
		to          func(w http.ResponseWriter, r *http.Request, next http.Handler)
		differences []string
		missing     string
	}{
		{
			name: "the destination refuses what has a subject", to: refuse(`"subject"`),
			differences: []string{"1 of 11 items could not be copied", "1 of 1 pieces of evidence are missing from the copy"},
			missing:     "the referrer sha256:… that holds it was refused",
		},
		{
			name: "the destination takes it and lists nothing",
			to: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if strings.Contains(r.URL.Path, "/referrers/") {
					w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
					_, _ = io.WriteString(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
					return
				}
				next.ServeHTTP(w, r)
			},
			differences: []string{"1 of 1 pieces of evidence are missing from the copy"},
			missing:     "it was copied, and the destination does not list it",
		},
		{
			name: "the destination does not say what it lists", policies: mirroring,
			to: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if strings.Contains(r.URL.Path, "/referrers/") {
					w.WriteHeader(503)
					return
				}
				next.ServeHTTP(w, r)
			},
			differences: []string{
				"1 of 1 pieces of evidence are missing from the copy",
				"not every place could be looked at (3 failed), so that evidence may be missing unseen",
				"the source is judged allow (admit), the copy undetermined (refuse)",
				"image.authentic is pass for the source and unknown for the copy",
			},
			missing: "it was copied, and cannot be seen there: referrers: GET https://corp.example/v2/hub/acme/app/referrers/… : 503 Service Unavailable",
		},
		{
			name: "the destination loses a blob, of which a cache still knows",
			to: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
					w.WriteHeader(404)
					return
				}
				next.ServeHTTP(w, r)
			},
			differences: []string{"1 of 1 pieces of evidence are missing from the copy", "not every place could be looked at (1 failed), so that evidence may be missing unseen"},
			missing:     "it was copied, and cannot be seen there: referrers: layer … : 404 Not Found",
		},
		{
			name: "the policies do not know the mirror", policies: trusting,
			differences: []string{
				"the source is judged allow (admit), the copy deny (refuse)",
				"other policies are about corp.example/hub/acme/app than about ghcr.io/acme/app: a PolicySet says under spec.mirrors which repositories stand for others",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.attach(stemmatest.Vary{})
			r, err := s.mirror(c.policies, "corp.example/hub/acme/app", c.to)
			check(t, err)
			if r.Equal() || !slices.Equal(r.Differences, c.differences) {
				t.Errorf("got\n%s\nwant\n%s\n%+v", strings.Join(r.Differences, "\n"), strings.Join(c.differences, "\n"), r.Unavailable)
			}
			if c.missing == "" {
				if len(r.Missing) > 0 {
					t.Errorf("%+v", r.Missing)
				}
				return
			}
			if len(r.Missing) != 1 || r.Missing[0].Of != s.image.Digest() {
				t.Fatalf("%+v", r.Missing)
			}
			before, after, _ := strings.Cut(c.missing, "…")
			if why := r.Missing[0].Why; !strings.HasPrefix(why, before) || !strings.HasSuffix(why, strings.TrimPrefix(after, " ")) {
				t.Errorf("%s", why)
			}
		})
	}
}

func TestMirrorErrors(t *testing.T) {
	s := newStage(t)
	for _, c := range []struct {
		src, dst string
		kind     verify.Failure
		text     string
	}{
		{"", "oci:dir", verify.Invalid, "a copy to a layout: oci:dir"},
		{"", "corp.example/x@" + string(s.image.Digest()), verify.Invalid, "a copy to a digest"},
		{"", "docker://corp.example/x", verify.Invalid, "not an image reference"},
		{"", "ghcr.io/acme/app:other", verify.Invalid, "that is where the image is"},
		{"ghcr.io/acme/app:none", "corp.example/x", verify.NotFound, "404"},
		{"HTTP://x", "corp.example/x", verify.Invalid, ""},
	} {
		s.request.Image = "ghcr.io/acme/app:v2.0.1"
		if c.src != "" {
			s.request.Image = c.src
		}
		_, err := s.mirror("", c.dst, nil)
		var failure *verify.Error
		if !errors.As(err, &failure) || failure.Kind != c.kind || !strings.Contains(err.Error(), c.text) || failure.Hint == "" {
			t.Errorf("%s to %s: %v", s.request.Image, c.dst, err)
		}
	}
	s.request.Image = "ghcr.io/acme/app:v2.0.1"
	r, err := s.mirror("", "corp.example/x", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			w.WriteHeader(403)
			return
		}
		next.ServeHTTP(w, r)
	})
	var failure *verify.Error
	if !errors.As(err, &failure) || failure.Kind != verify.Unreachable || r == nil || len(r.Items) == 0 {
		t.Errorf("%v %+v", err, r)
	}
}
