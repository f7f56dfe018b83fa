package oci

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

const latency = 100 * time.Millisecond

// slow adds a latency to every request. Within a synctest bubble time passes only when everybody waits, so that the
// time taken is the number of requests one after the other, exactly.
type slow struct {
	next http.RoundTripper

	mu       sync.Mutex
	requests []string
}

func (s *slow) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.requests = append(s.requests, req.URL.Path)
	s.mu.Unlock()
	time.Sleep(latency)
	return s.next.RoundTrip(req)
}

// named replaces digests in paths by names, and sorts.
func named(paths []string, names map[stemma.Digest]string) []string {
	out := slices.Clone(paths)
	for i := range out {
		for d, name := range names {
			out[i] = strings.ReplaceAll(strings.ReplaceAll(out[i], string(d), name), tagOf(d, ""), name)
		}
	}
	slices.Sort(out)
	return out
}

// The numbers of the plan: a digest-pinned image with N bundles costs 5+2N requests in three rounds, a tag a round more.
func TestRequestsAndRounds(t *testing.T) {
	for _, n := range []int{0, 2, 20, 100} {
		for _, c := range []struct {
			name   string
			suffix func(*stemmatest.Image) string
			bearer bool
			extra  int // requests besides 5+2N
			rounds int
		}{
			{"digest", func(i *stemmatest.Image) string { return "@" + string(i.Digest()) }, false, 0, 3},
			{"tag", func(*stemmatest.Image) string { return ":v1" }, false, 0, 4},
			{"both", func(i *stemmatest.Image) string { return ":v1@" + string(i.Digest()) }, false, 1, 3},
			// Six requests are refused together, and one token is got for all of them.
			{"digest, bearer", func(i *stemmatest.Image) string { return "@" + string(i.Digest()) }, true, 5 + 1, 5},
			{"tag, bearer", func(*stemmatest.Image) string { return ":v1" }, true, 1 + 1, 6},
		} {
			t.Run(fmt.Sprintf("%d by %s", n, c.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, single)
					for i := range n {
						w.image.AttachReferrer(bundle(i))
					}
					var h http.Handler = w.registry
					if c.bearer {
						guarded := challenge(w.registry, `Bearer realm="https://`+host+`/token",service="s"`, "Bearer T")
						h = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
							if r.URL.Path == "/token" {
								tokens(rw, r)
								return
							}
							guarded.ServeHTTP(rw, r)
						})
					}
					net := &slow{next: stemmatest.Network{host: h}}
					client := newClient(t, Config{Transport: net})
					ref, err := ParseReference(host + "/" + repo + c.suffix(w.image))
					if err != nil {
						t.Fatal(err)
					}
					start := time.Now()
					f, err := client.Open(t.Context(), Look{Ref: ref, Want: &Want{Indexes: true}})
					if err != nil {
						t.Fatal(err)
					}
					rounds, requests := int(time.Since(start)/latency), len(net.requests)
					if n == 0 {
						c.rounds -= 2
					}
					if requests != 5+2*n+c.extra || rounds != c.rounds || len(f.Raw) != n || len(f.Unavailable) > 0 {
						t.Errorf("%d requests in %d rounds for %d pieces, want %d in %d; %+v", requests, rounds, len(f.Raw), 5+2*n+c.extra, c.rounds, f.Unavailable)
					}
					// The second time nothing is fetched by digest that was seen: one manifest and the places.
					net.requests = nil
					if again, err := client.Open(t.Context(), Look{Ref: ref, Want: &Want{Indexes: true}}); err != nil || !cmp.Equal(f, again) {
						t.Errorf("the second time: %v %s", err, cmp.Diff(f, again))
					}
					if want := 5 + min(c.extra, 1); c.name != "digest, bearer" && c.name != "tag, bearer" && len(net.requests) != want {
						t.Errorf("%d requests the second time, want %d: %q", len(net.requests), want, net.requests)
					}
					if i := slices.IndexFunc(net.requests, func(r string) bool { return strings.Contains(r, "/blobs/") }); i >= 0 {
						t.Errorf("fetched again: %s", net.requests[i])
					}
				})
			})
		}
	}
}

// A token service that refuses is asked once for all the requests that were refused together.
func TestTokenRefusedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, single)
		guarded := challenge(w.registry, `Bearer realm="https://`+host+`/token"`, "Bearer T")
		net := &slow{next: stemmatest.Network{host: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			guarded.ServeHTTP(rw, r)
		})}}
		w.client = newClient(t, Config{Transport: net})
		_, err := w.open("@" + string(w.image.Digest()))
		wantKind(t, err, Unreachable, "the token service answers 503")
		asked := 0
		for _, r := range net.requests {
			if r == "/token" {
				asked++
			}
		}
		if asked != 1 {
			t.Errorf("the token service was asked %d times", asked)
		}
	})
}

// Credentials of one repository are not used for another one on the same host, in either direction.
func TestTokenOfOneRepository(t *testing.T) {
	w := newWorld(t, single)
	if _, err := w.registry.PutImage(stemmatest.ImageSpec{Repository: "acme/other", Tags: []string{"v1"}}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	used := map[string]bool{}
	net := stemmatest.Network{host: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		user, _, ok := r.BasicAuth()
		if !ok {
			rw.Header().Set("WWW-Authenticate", "Basic")
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		mu.Lock()
		used[user+" "+strings.Join(strings.Split(r.URL.Path, "/")[2:4], "/")] = true
		mu.Unlock()
		w.registry.ServeHTTP(rw, r)
	})}
	w.client = newClient(t, Config{Transport: net, Credentials: func(_ context.Context, _, repository string) (Credential, error) {
		return Credential{Username: "reader of " + repository, Password: "secret"}, nil
	}})
	ref, err := ParseReference(host + "/" + repo + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Open(t.Context(), Look{Ref: ref, Also: []string{host + "/acme/other"}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{"reader of acme/api acme/api": true, "reader of acme/other acme/other": true}, used); diff != "" {
		t.Error(diff)
	}
}

func lazyWorld(t *testing.T) (*world, map[stemma.Digest]string) {
	w := newWorld(t, stemmatest.ImageSpec{
		Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"}, {OS: "windows", Architecture: "amd64", OSVersion: "10.0.1"}},
		Attest: func(p stemma.Platform, _ stemma.Digest) []*stemmatest.Statement {
			return []*stemmatest.Statement{{PredicateType: "https://example.test/" + p.Architecture + p.OS}, {PredicateType: "https://example.test/sbom"}}
		},
	})
	names := map[stemma.Digest]string{w.image.Digest(): "INDEX"}
	for i, name := range []string{"AMD64", "ARM64", "WINDOWS", "ATT-AMD64", "ATT-ARM64", "ATT-WINDOWS"} {
		names[stemma.Digest(w.image.Children[i].Digest)] = name
	}
	return w, names
}

// What a policy cannot need is not asked for, and named.
func TestLazy(t *testing.T) {
	places := func(of ...string) (paths []string) {
		const at = "/v2/acme/api/"
		for _, d := range of {
			paths = append(paths, at+"manifests/"+d, at+"manifests/"+d+".att", at+"manifests/"+d+".sig", at+"referrers/"+d)
			if paths = append(paths, at+"manifests/"+d); d == "INDEX" {
				paths = append(paths, at+"manifests/v1")
				paths = slices.Delete(paths, 0, 1)
			}
		}
		slices.Sort(paths)
		return paths
	}
	arm := []stemma.Platform{{OS: "linux", Architecture: "arm64"}}
	for _, c := range []struct {
		name string
		want Want
		asks []string
		left []string
		kids int
	}{
		{"index alone", Want{Platforms: arm, Indexes: true}, places("INDEX"), []string{".sbom tag", "3 attestation manifests of the index", "3 platforms of the index"}, 0},
		{"one platform", Want{Children: true, Platforms: arm}, places("INDEX", "ARM64", "ATT-ARM64"), []string{".sbom tag", "2 attestation manifests of the index", "2 platforms of the index"}, 2},
		{"no such platform", Want{Children: true, Platforms: []stemma.Platform{{OS: "plan9", Architecture: "arm64"}}}, places("INDEX"), []string{".sbom tag", "3 attestation manifests of the index", "3 platforms of the index"}, 0},
		{"every platform", Want{Children: true}, places("INDEX", "AMD64", "ARM64", "WINDOWS", "ATT-AMD64", "ATT-ARM64", "ATT-WINDOWS"), []string{".sbom tag"}, 6},
	} {
		w, names := lazyWorld(t)
		ref, err := ParseReference(host + "/" + repo + ":v1")
		if err != nil {
			t.Fatal(err)
		}
		f, err := w.client.Open(t.Context(), Look{Ref: ref, Want: &c.want})
		if err != nil {
			t.Fatal(err)
		}
		var asked []string
		for _, r := range w.registry.Requests() {
			asked = append(asked, strings.TrimPrefix(r, "GET "))
		}
		if diff := cmp.Diff(c.asks, named(asked, names)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if diff := cmp.Diff(c.left, f.NotFetched); diff != "" || len(f.Children) != c.kids || len(f.Unavailable)+len(f.Rejected) > 0 {
			t.Errorf("%s: %s, %d children, %+v %+v", c.name, diff, len(f.Children), f.Unavailable, f.Rejected)
		}
		for _, child := range f.Children {
			if child.AttestationManifest {
				continue
			}
			if diff := cmp.Diff([]string{".sbom tag", "2 statements that nobody signed"}, child.NotFetched); diff != "" || len(child.Raw) != 0 || len(child.Attached) != 1 || child.Attached[0].Statements != nil {
				t.Errorf("%s: %s: %s, %+v", c.name, child.Platform, diff, child.Raw)
			}
		}
	}
	// What was wanted is the same as what is found when everything is looked at.
	w, _ := lazyWorld(t)
	all := w.mustOpen()
	ref, err := ParseReference(host + "/" + repo + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	some, err := w.client.Open(t.Context(), Look{Ref: ref, Want: &Want{Children: true, Unsigned: true}})
	if err != nil || len(some.Children) != 6 || len(all.NotFetched) != 0 {
		t.Fatalf("%v, %d children", err, len(some.Children))
	}
	for i, child := range some.Children {
		if diff := cmp.Diff(all.Children[i].Raw, child.Raw); diff != "" || (i < 3) != (len(child.Raw) == 2) {
			t.Errorf("%s: %d pieces %s", child.Platform, len(child.Raw), diff)
		}
	}
}

// subject describes what was put as what another manifest may be about.
func subject(d v1.Descriptor) *v1.Descriptor {
	return &v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// Docker signs the attestation manifest: image ← attestation manifest ← signature. Whoever lists the referrers of the
// image alone does not see it.
func TestDockerChain(t *testing.T) {
	for _, c := range []struct {
		name     string
		sign     func(w *world, attestation v1.Descriptor)
		raws     int // on the attestation manifest
		speaks   bool
		lazyRead bool // the statement is fetched although nobody wants unsigned ones
	}{
		{"signed by a referrer", func(w *world, m v1.Descriptor) {
			a := bundle(1)
			a.Subject = subject(m)
			w.image.AttachReferrer(a)
		}, 1, true, true},
		{"signed by a tag", func(w *world, m v1.Descriptor) {
			layer := w.registry.PutBlob(repo, mediaTypeSimpleSigning, []byte(`{"critical":{}}`))
			body := object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "config": layer, "layers": []v1.Descriptor{layer}}
			w.registry.PutManifest(repo, v1.MediaTypeImageManifest, []byte(encode(w.t, body)), tagOf(stemma.Digest(m.Digest), ".sig"))
		}, 1, true, true},
		{"not signed", func(*world, v1.Descriptor) {}, 0, true, false},
		{"it cannot be seen", func(w *world, m v1.Descriptor) { w.fault(tagOf(stemma.Digest(m.Digest), ".sig"), status(500)) }, 0, true, true},
		{"another manifest is signed", func(w *world, _ v1.Descriptor) {
			a := bundle(1)
			a.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digA, Size: 2}
			w.image.AttachReferrer(a)
		}, 0, true, false},
	} {
		for _, hasSubject := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, subject %v", c.name, hasSubject), func(t *testing.T) {
				w := newWorld(t, stemmatest.ImageSpec{Subject: hasSubject, Attest: func(stemma.Platform, stemma.Digest) []*stemmatest.Statement {
					return []*stemmatest.Statement{{PredicateType: "https://example.test/x"}}
				}})
				platform, attestation := w.image.Children[0], w.image.Children[1]
				c.sign(w, attestation)
				index, err := ParseReference(host + "/" + repo + ":v1")
				if err != nil {
					t.Fatal(err)
				}
				pinned := index
				pinned.Digest = stemma.Digest(platform.Digest)
				named := pinned
				named.Tag = ""
				for _, l := range []struct {
					look   Look
					lazy   bool
					sealed bool
				}{
					{Look{Ref: index}, false, true},
					{Look{Ref: index, Want: &Want{Children: true}}, true, true},
					{Look{Ref: pinned}, false, false},
					{Look{Ref: pinned, Want: &Want{Indexes: true}}, true, false},
					{Look{Ref: named, Index: w.image.Digest(), Want: &Want{Indexes: true}}, true, false},
				} {
					f, err := w.client.Open(t.Context(), l.look)
					if err != nil {
						t.Fatal(err)
					}
					x := f
					if l.look.Ref.Digest == "" {
						x = f.Children[0]
						if !f.Children[1].AttestationManifest || len(f.Children[1].Raw) != c.raws {
							t.Errorf("the child is %+v", f.Children[1].Raw)
						}
					} else if len(f.Indexes) != 1 || f.Indexes[0].Image.Digest != w.image.Digest() || len(f.Indexes[0].Children) != 0 {
						t.Errorf("indexes %+v", f.Indexes)
					}
					if len(x.Attached) != 1 {
						t.Fatalf("%+v: %d attached", l.look, len(x.Attached))
					}
					m := x.Attached[0]
					if m.Image.Digest != stemma.Digest(attestation.Digest) || !m.AttestationManifest || !m.Image.Digest.Matches(m.Manifest) || len(m.Raw) != c.raws || c.raws > 0 && m.Raw[0].Of != m.Image.Digest {
						t.Errorf("attached %+v with %+v", m.Image, m.Raw)
					}
					if read := !l.lazy || c.lazyRead; read != (len(m.Statements) == 1) || read != (len(x.Raw) == 1) || read == slices.Contains(x.NotFetched, "1 statement that nobody signed") {
						t.Errorf("%+v: statements %+v, raw %+v, not fetched %v", l.look.Ref, m.Statements, x.Raw, x.NotFetched)
					} else if read && (x.Raw[0].Sealed != l.sealed || !cmp.Equal(m.Statements, x.Raw) || x.Raw[0].Of != stemma.Digest(platform.Digest)) {
						t.Errorf("%+v: %+v", l.look.Ref, x.Raw)
					}
				}
			})
		}
	}
}

// An attestation manifest that says by itself that it is about something else is not attached to what an index says.
func TestAttestationOfAnother(t *testing.T) {
	w := newWorld(t, stemmatest.ImageSpec{
		Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}, Subject: true,
		Attest: func(p stemma.Platform, _ stemma.Digest) []*stemmatest.Statement {
			return []*stemmatest.Statement{{PredicateType: "https://example.test/" + p.Architecture}}
		},
	})
	children := slices.Clone(w.image.Children)
	children[2].Annotations, children[3].Annotations = children[3].Annotations, children[2].Annotations
	w.registry.PutManifest(repo, v1.MediaTypeImageIndex, []byte(encode(t, object{"schemaVersion": 2, "manifests": children})), "v1")
	f := w.mustOpen()
	if len(f.Rejected) != 2 || f.Rejected[0].Reason != stemma.ReasonSubjectMismatch || !strings.Contains(f.Rejected[0].Detail, "and its subject is") {
		t.Errorf("%+v", f.Rejected)
	}
	for _, child := range f.Children[:2] { // which it is found with all the same, as a referrer
		if len(child.Raw) != 1 || child.Raw[0].Sealed || child.Raw[0].Place != "referrers" || !strings.Contains(string(child.Raw[0].Data), child.Platform.Architecture) {
			t.Errorf("%s: %+v", child.Platform, child.Raw)
		}
	}
}

// An SBOM as a file is signed by a signature of its manifest.
func TestNestedReferrers(t *testing.T) {
	sbom := stemmatest.Artifact{Type: "application/spdx+json", Layers: []stemmatest.Layer{{MediaType: "application/spdx+json", Data: []byte(`{"spdxVersion":"SPDX-2.3"}`)}}}
	signed := func(w *world, d v1.Descriptor) v1.Descriptor {
		a := bundle(1)
		a.Subject = subject(d)
		return w.image.AttachReferrer(a)
	}
	look := func(w *world, want *Want) *Found {
		t.Helper()
		ref, err := ParseReference(host + "/" + repo + "@" + string(w.image.Digest()))
		if err != nil {
			t.Fatal(err)
		}
		f, err := w.client.Open(t.Context(), Look{Ref: ref, Want: want})
		if err != nil || len(f.Unavailable)+len(f.Rejected) > 0 {
			t.Fatalf("%v %+v", err, f)
		}
		return f
	}
	for _, isSigned := range []bool{true, false} {
		w := newWorld(t, single)
		d := w.image.AttachReferrer(sbom)
		if isSigned {
			signed(w, d)
		}
		for _, want := range []*Want{nil, {}} {
			f := look(w, want)
			if len(f.Raw) != 0 || len(f.Attached) != 1 {
				t.Fatalf("%+v", f)
			}
			x := f.Attached[0]
			if x.Image.Digest != stemma.Digest(d.Digest) || x.ArtifactType != "application/spdx+json" || (len(x.Raw) == 1) != isSigned || len(x.Files) != 1 {
				t.Errorf("%+v", x)
			}
			read := want == nil || isSigned
			if file := x.Files[0]; file.MediaType != "application/spdx+json" || (string(file.Data) == string(sbom.Layers[0].Data)) != read || read == slices.Contains(f.NotFetched, "1 file of type application/spdx+json") {
				t.Errorf("signed %v, want %+v: %+v, not fetched %v", isSigned, want, file, f.NotFetched)
			}
		}
	}
	// A bundle is never looked into: nobody signs a signature.
	w := newWorld(t, single)
	signed(w, w.image.AttachReferrer(bundle(7)))
	if f := look(w, nil); len(f.Raw) != 1 || len(f.Attached) != 0 {
		t.Errorf("%+v", f)
	}
	// Three levels down, and no further; what is below is said to be there.
	w = newWorld(t, single)
	at := w.image.Descriptor
	for i := range 5 {
		a := sbom
		a.Subject, a.Annotations = subject(at), map[string]string{"level": fmt.Sprint(i)}
		at = w.image.AttachReferrer(a)
	}
	f := w.mustOpen()
	for level := range 3 {
		if len(f.Attached) != 1 || len(f.Unavailable) != 0 {
			t.Fatalf("level %d: %d attached, %+v", level, len(f.Attached), f.Unavailable)
		}
		f = f.Attached[0]
	}
	wantUnavailable(t, f, "referrers", stemma.ReasonTruncated, "4 levels down, of which 0 were looked at")
	if len(f.Attached) != 0 {
		t.Errorf("%+v", f.Attached)
	}
	// Sixteen, and that there are more is said. Statements come first.
	w = newWorld(t, single)
	for i := range maxAttached + 3 {
		a := sbom
		a.Annotations = map[string]string{"number": fmt.Sprint(i)}
		w.image.AttachReferrer(a)
	}
	w.image.AttachReferrer(stemmatest.Artifact{Type: mediaTypeInToto, Layers: []stemmatest.Layer{{MediaType: mediaTypeInToto, Data: []byte(someStatement)}}})
	f = w.mustOpen()
	wantUnavailable(t, f, "referrers", stemma.ReasonTruncated, "20 manifests are attached")
	if len(f.Attached) != maxAttached || len(f.Attached[0].Statements) != 1 || len(f.Raw) != 1 {
		t.Errorf("%d attached, %d pieces", len(f.Attached), len(f.Raw))
	}
}

func TestIndexes(t *testing.T) {
	w, _ := lazyWorld(t)
	w.image.AttachReferrer(bundle(1))
	arm := stemma.Digest(w.image.Children[1].Digest)
	other, err := w.registry.PutImage(stemmatest.ImageSpec{Repository: repo, Content: "other", Tags: []string{"other"}})
	if err != nil {
		t.Fatal(err)
	}
	lying := slices.Clone(w.image.Children)
	lying[1].Size++
	liar := w.registry.PutManifest(repo, v1.MediaTypeImageIndex, []byte(encode(t, object{"schemaVersion": 2, "manifests": lying})))
	for _, c := range []struct {
		name   string
		index  stemma.Digest
		tag    string
		want   *Want
		places []string
		found  int
	}{
		{"by digest", w.image.Digest(), "", nil, []string{"index: 200, lists it"}, 1},
		{"by tag", "", "v1", nil, []string{"index by tag: 200, lists it"}, 1},
		{"by both", w.image.Digest(), "v1", &Want{Indexes: true}, []string{"index: 200, lists it", "index by tag: 200, lists it"}, 1},
		{"not wanted", w.image.Digest(), "v1", &Want{}, nil, 0},
		{"another index", other.Digest(), "other", nil, []string{"index: 200, does not list it", "index by tag: 200, does not list it"}, 0},
		{"another size", stemma.Digest(liar.Digest), "", nil, []string{"index: 200, does not list it"}, 0},
		{"a manifest", stemma.Digest(w.image.Children[0].Digest), "", nil, []string{"index: 200, does not list it"}, 0},
		{"itself", arm, "", nil, nil, 0},
		{"nothing there", digA, "none", nil, []string{"index: 404", "index by tag: 404"}, 0},
	} {
		ref, err := ParseReference(host + "/" + repo + "@" + string(arm))
		if err != nil {
			t.Fatal(err)
		}
		ref.Tag = c.tag
		f, err := w.client.Open(t.Context(), Look{Ref: ref, Index: c.index, Want: c.want})
		if err != nil {
			t.Fatal(err)
		}
		var places []string
		for _, p := range f.Places {
			if strings.HasPrefix(p.Name, "index") {
				places = append(places, p.Name+": "+p.Answer)
			}
		}
		if diff := cmp.Diff(c.places, places); diff != "" || len(f.Indexes) != c.found || len(f.Unavailable)+len(f.Rejected) > 0 {
			t.Errorf("%s: %s, %d indexes, %+v %+v", c.name, diff, len(f.Indexes), f.Unavailable, f.Rejected)
		}
		if f.Image.Digest != arm || len(f.Children) != 0 {
			t.Errorf("%s: opened %+v", c.name, f.Image)
		}
		for _, index := range f.Indexes {
			if index.Image.Digest != w.image.Digest() || len(index.Raw) != 1 || index.Raw[0].Of != w.image.Digest() || len(index.Children)+len(index.Indexes) != 0 {
				t.Errorf("%s: index %+v", c.name, index)
			}
		}
	}
	ref, err := ParseReference(host + "/" + repo + ":v1@" + string(arm))
	if err != nil {
		t.Fatal(err)
	}
	w.fault("/manifests/v1", status(500))
	f, err := w.client.Open(t.Context(), Look{Ref: ref})
	if err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, f, "index by tag", stemma.ReasonUnreachable, "500")
	// A layout has its indexes itself.
	dir := t.TempDir() + "/layout"
	if err := w.image.WriteLayout(dir, stemmatest.LayoutTags); err != nil {
		t.Fatal(err)
	}
	if f, err = open(t, "oci:"+dir+"@"+string(arm)); err != nil || len(f.Indexes) != 1 || f.Indexes[0].Image.Digest != w.image.Digest() || len(f.Indexes[0].Raw) != 1 || len(f.Attached) != 1 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestAlternates(t *testing.T) {
	const elsewhere = "store.corp.test"
	put := func(r *stemmatest.Registry, w *world, i int) {
		t.Helper()
		d := w.image.AttachReferrer(bundle(i))
		_, data, err := w.registry.Manifest(repo, string(d.Digest))
		if err != nil {
			t.Fatal(err)
		}
		r.PutBlob("evidence", "", bundle(i).Layers[0].Data)
		r.PutManifest("evidence", d.MediaType, data)
		r.PutReferrer("evidence", w.image.Digest(), d)
	}
	for _, c := range []struct {
		name   string
		serve  http.HandlerFunc // nil: the registry itself
		empty  bool
		raws   []string
		reason stemma.Reason
		answer string
	}{
		{"with evidence", nil, false, []string{"referrers in store.corp.test/evidence", "referrers, referrers in store.corp.test/evidence"}, "", "200"},
		{"no such repository", nil, true, []string{"referrers"}, "", "404"},
		{"refused", status(403), false, []string{"referrers"}, stemma.ReasonUnauthorized, "403"},
		{"dead", status(502), false, []string{"referrers"}, stemma.ReasonUnreachable, "502"},
	} {
		t.Run(c.name, func(t *testing.T) {
			author, w := newWorld(t, single), newWorld(t, single)
			r := stemmatest.NewRegistry(elsewhere)
			if !c.empty {
				put(r, author, 1)
				put(r, author, 2)
			}
			w.image.AttachReferrer(bundle(1))
			var h http.Handler = r
			if c.serve != nil {
				h = c.serve
			}
			w.client = newClient(t, Config{Transport: stemmatest.Network{host: w.registry, elsewhere: h}})
			ref, err := ParseReference(host + "/" + repo + "@" + string(w.image.Digest()))
			if err != nil {
				t.Fatal(err)
			}
			f, err := w.client.Open(t.Context(), Look{Ref: ref, Also: []string{elsewhere + "/evidence", elsewhere + "/evidence", ref.Repository}, Want: &Want{}})
			if err != nil {
				t.Fatal(err)
			}
			var raws, places []string
			for _, r := range f.Raw {
				raws = append(raws, r.Place)
			}
			slices.Sort(raws)
			if diff := cmp.Diff(c.raws, raws); diff != "" {
				t.Error(diff)
			}
			for _, p := range f.Places {
				if places = append(places, strings.TrimSpace(p.Name+" "+p.In)); p.Name == "referrers" && p.In != "" && p.Answer != c.answer {
					t.Errorf("answer %q, want %q", p.Answer, c.answer)
				}
			}
			in := " " + elsewhere + "/evidence"
			if diff := cmp.Diff([]string{"referrers", "fallback tag", ".sig tag", ".att tag", "referrers" + in, "fallback tag" + in, ".sig tag" + in, ".att tag" + in}, places); diff != "" {
				t.Error(diff)
			}
			if c.reason == "" && len(f.Unavailable) > 0 {
				t.Errorf("%+v", f.Unavailable)
			} else if c.reason != "" {
				wantUnavailable(t, f, "referrers in"+in, c.reason, "")
			}
		})
	}
	w := newWorld(t, single)
	for _, also := range []string{"oci:dir", "registry.test/x@" + string(w.image.Digest()), "https://registry.test/x"} {
		_, err := w.client.Open(t.Context(), Look{Ref: Reference{Repository: host + "/" + repo, Host: host, Tag: "v1"}, Also: []string{also}})
		wantKind(t, err, Invalid, "")
	}
	// What is listed in two places and broken in one of them is had from the other.
	author := newWorld(t, single)
	r := stemmatest.NewRegistry(elsewhere)
	put(r, author, 1)
	if err := author.registry.Corrupt(repo, stemma.SHA256(bundle(1).Layers[0].Data), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	author.client = newClient(t, Config{Transport: stemmatest.Network{host: author.registry, elsewhere: r}})
	f, err := author.client.Open(t.Context(), Look{Ref: Reference{Repository: host + "/" + repo, Host: host, Tag: "v1"}, Also: []string{elsewhere + "/evidence"}})
	if err != nil || len(f.Raw) != 1 || len(f.Unavailable) != 0 {
		t.Errorf("%+v, %v", f, err)
	}
}

// A service is asked about the manifest and about its config, and what it answers is a place like any other.
func TestServices(t *testing.T) {
	w := newWorld(t, single)
	f, err := w.client.Open(t.Context(), Look{Ref: Reference{Repository: host + "/" + repo, Host: host, Tag: "v1"}, Sources: []Source{{Kind: "none", Of: "acme/api"}}})
	if err != nil || f.Config == "" {
		t.Fatal(f, err)
	}
	var about []stemma.Digest
	for _, p := range f.Places {
		if p.Name == fmt.Sprint(Source{Kind: "none", Of: "acme/api"}) {
			about = append(about, p.Of)
		}
	}
	if diff := cmp.Diff([]stemma.Digest{w.image.Digest(), f.Config}, about); diff != "" || len(f.Unavailable) == 0 {
		t.Errorf("%s %+v", diff, f.Unavailable)
	}
}

func TestTrace(t *testing.T) {
	w := newWorld(t, single)
	w.image.AttachReferrer(bundle(1))
	var mu sync.Mutex
	var told []Exchange
	guarded := challenge(w.registry, `Bearer realm="https://`+host+`/token?a=secret",service="s"`, "Bearer T")
	net := stemmatest.Network{"cdn.test": w.registry, host: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			tokens(rw, r)
		case strings.Contains(r.URL.Path, "/blobs/"):
			http.Redirect(rw, r, "https://cdn.test"+r.URL.Path+"?signature=secret#secret", http.StatusTemporaryRedirect)
		default:
			guarded.ServeHTTP(rw, r)
		}
	})}
	w.client = newClient(t, Config{
		Transport: net, Trace: func(e Exchange) { mu.Lock(); told = append(told, e); mu.Unlock() },
		Credentials: func(context.Context, string, string) (Credential, error) {
			return Credential{Username: "user", Password: "secret"}, nil
		},
	})
	ref, err := ParseReference(host + "/" + repo + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Open(t.Context(), Look{Ref: ref, Also: []string{"gone.test/x"}, Want: &Want{}}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, e := range told {
		if strings.Contains(fmt.Sprintf("%+v", e), "secret") || strings.ContainsAny(e.URL, "?#@") {
			t.Errorf("%+v", e)
		}
		seen[fmt.Sprintf("%s %s %q %d %v", e.Host, e.Method, e.Sent, e.Status, e.Err != "")]++
	}
	if diff := cmp.Diff(map[string]int{
		host + ` GET "" 401 false`: 1, host + ` GET "token request" 200 false`: 1, host + ` GET "Bearer" 200 false`: 3, host + ` GET "Bearer" 404 false`: 3,
		host + ` GET "Bearer" 307 false`: 1, `cdn.test GET "" 200 false`: 1, `gone.test GET "" 0 true`: 4,
	}, seen); diff != "" {
		t.Error(diff)
	}
}

// However many children an index has, and however many manifests are said to be about each: the requests end.
func TestReg_F17_flood_of_children(t *testing.T) { // CVE-2023-33958
	var platforms []stemma.Platform
	for i := range 40 {
		platforms = append(platforms, stemma.Platform{OS: "linux", Architecture: fmt.Sprint(i)})
	}
	w := newWorld(t, stemmatest.ImageSpec{Platforms: platforms})
	for i, child := range w.image.Children {
		for n := range 300 {
			w.registry.PutReferrer(repo, stemma.Digest(child.Digest), v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(i, n)), Size: 1})
		}
	}
	f := w.mustOpen()
	if n, most := len(w.registry.Requests()), maxManifestsTotal/requestCost+6*41; n > most || n < 1000 {
		t.Errorf("%d requests, at most %d", n, most)
	}
	for _, child := range f.Children {
		wantUnavailable(t, child, "referrers", stemma.ReasonTruncated, "300 referrers, of which")
	}
}

// Manifests attached to many platforms are bounded together.
func TestAttachedTogether(t *testing.T) {
	var platforms []stemma.Platform
	for i := range 20 {
		platforms = append(platforms, stemma.Platform{OS: "linux", Architecture: fmt.Sprint(i)})
	}
	w := newWorld(t, stemmatest.ImageSpec{Platforms: platforms})
	for _, child := range w.image.Children {
		for n := range 15 {
			w.image.AttachReferrer(stemmatest.Artifact{
				Type: "application/spdx+json", Subject: subject(child), Annotations: map[string]string{"n": fmt.Sprint(n)},
				Layers: []stemmatest.Layer{{MediaType: "application/spdx+json", Data: []byte("{}")}},
			})
		}
	}
	f := w.mustOpen()
	attached, truncated := 0, 0
	for _, child := range f.Children {
		attached += len(child.Attached)
		truncated += len(child.Unavailable)
	}
	if attached != maxAttachedTotal || truncated != 3 { // 17 platforms have all of theirs, one has one
		t.Errorf("%d attached, %d truncated", attached, truncated)
	}
}
