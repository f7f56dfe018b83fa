package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"

	"stemma/stemmatest"
)

// destinations are registries to copy to: one that takes everything, one that lists no referrers, one that refuses what
// has a subject, and one that nobody may write to.
func destinations(world *stemmatest.World) {
	world.Network["copies.example"] = ociserver.New(ocimem.New(), nil)
	world.Network["old.example"] = ociserver.New(ocimem.New(), &ociserver.Options{DisableReferrersAPI: true})
	inner := ociserver.New(ocimem.New(), nil)
	world.Network["picky.example"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err != nil || r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") && bytes.Contains(body, []byte(`"subject"`)) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"errors":[{"code":"MANIFEST_INVALID","message":"subject is not supported"}]}`)
			return
		}
		inner.ServeHTTP(w, r)
	})
	world.Network["closed.example"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		http.NotFound(w, r)
	})
}
