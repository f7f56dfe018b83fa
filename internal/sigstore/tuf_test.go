package sigstore

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"stemma"
)

// repository is a TUF repository behind TLS on loopback.
type repository struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	asked []string
	root  []byte
	keys  map[string]ed25519.PrivateKey
}

// newRepository serves trusted_root.json. The metadata expires at the given time, which the TUF client compares with the
// clock of the machine.
func newRepository(t *testing.T, target []byte, expires time.Time) *repository {
	t.Helper()
	r := &repository{files: map[string][]byte{}, keys: map[string]ed25519.PrivateKey{}}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked = append(r.asked, req.URL.Path)
		b, ok := r.files[req.URL.Path]
		if !ok {
			http.NotFound(w, req)
			return
		}
		w.Write(b)
	}))
	r.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.StartTLS()
	t.Cleanup(r.Close)

	root := metadata.Root(expires)
	roles := []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS}
	for _, role := range roles {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		check(t, err)
		r.keys[role] = key
		pub := must[*metadata.Key](t)(metadata.KeyFromPublicKey(key.Public()))
		check(t, root.Signed.AddKey(pub, role))
	}
	targets := metadata.Targets(expires)
	file := must[*metadata.TargetFiles](t)(metadata.TargetFile().FromBytes(trustedRootTarget, target, "sha256"))
	targets.Signed.Targets[trustedRootTarget] = file
	snapshot, timestamp := metadata.Snapshot(expires), metadata.Timestamp(expires)

	r.root = seal(t, r, metadata.ROOT, root)
	r.files["/1.root.json"] = r.root
	r.files["/3.root.json"] = r.root // the name under which GitHub's is fetched
	r.files["/1.targets.json"] = seal(t, r, metadata.TARGETS, targets)
	r.files["/1.snapshot.json"] = seal(t, r, metadata.SNAPSHOT, snapshot)
	r.files["/timestamp.json"] = seal(t, r, metadata.TIMESTAMP, timestamp)
	r.files["/targets/"+stemma.SHA256(target).Hex()+"."+trustedRootTarget] = target
	return r
}

func seal[T metadata.Roles](t *testing.T, r *repository, role string, m *metadata.Metadata[T]) []byte {
	t.Helper()
	signer := must[signature.Signer](t)(signature.LoadSigner(r.keys[role], crypto.Hash(0)))
	must[*metadata.Signature](t)(m.Sign(signer))
	return must[[]byte](t)(m.ToBytes(false))
}

func (r *repository) config(dir string) TUFConfig {
	return TUFConfig{Mirror: r.URL, Root: r.root, CacheDir: dir, HTTP: r.Client().Transport}
}

func (r *repository) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

// never refuses to be asked.
type never struct{ t *testing.T }

func (n never) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("asked for %s", r.URL)
	return nil, errors.New("no network")
}

// tomorrow is told by the clock of the machine, because the TUF client reads it by itself.
func tomorrow() time.Time { return time.Now().AddDate(0, 0, 1) }

func TestFetchTrustedRoot(t *testing.T) {
	w := newWorld(t)
	want := w.TrustedRoot()
	for name, cached := range map[string]bool{"with a cache": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t, want, tomorrow())
			dir := ""
			if cached {
				dir = t.TempDir()
			}
			got := must[[]byte](t)(FetchPublicGoodRoot(context.Background(), r.config(dir)))
			if string(got) != string(want) {
				t.Fatalf("fetched %.100s", got)
			}
			must[*Domain](t)(PublicGood(got))
			if !cached {
				return
			}
			// What is cached and has not expired is used without asking anybody.
			c := r.config(dir)
			c.HTTP = never{t}
			if got := must[[]byte](t)(FetchPublicGoodRoot(context.Background(), c)); string(got) != string(want) {
				t.Errorf("from the cache: %.100s", got)
			}
			c.Offline = true
			must[[]byte](t)(FetchPublicGoodRoot(context.Background(), c))
		})
	}
}

func TestFetchTrustedRootRefused(t *testing.T) {
	w := newWorld(t)
	target := w.TrustedRoot()
	refused := func(name, want string, prepare func(r *repository, c *TUFConfig)) {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t, target, tomorrow())
			c := r.config(t.TempDir())
			prepare(r, &c)
			if _, err := FetchPublicGoodRoot(context.Background(), c); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		})
	}
	refused("another root of keys", "not enough signatures", func(_ *repository, c *TUFConfig) { c.Root = newRepository(t, target, tomorrow()).root })
	refused("target changed", "hash", func(r *repository, _ *TUFConfig) {
		for name := range r.files {
			if strings.HasPrefix(name, "/targets/") {
				b := append([]byte{}, r.files[name]...)
				b[20] ^= 1
				r.files[name] = b
			}
		}
	})
	refused("no timestamp", "404", func(r *repository, _ *TUFConfig) { delete(r.files, "/timestamp.json") })
	refused("metadata too large", "larger than", func(r *repository, _ *TUFConfig) { r.files["/timestamp.json"] = make([]byte, 1<<20) })
	refused("unreachable", "connect", func(r *repository, _ *TUFConfig) { r.Close() })
	refused("offline and nothing cached", "nothing may be fetched", func(_ *repository, c *TUFConfig) { c.Offline = true })
	refused("plain HTTP", "want an https URL", func(_ *repository, c *TUFConfig) { c.Mirror = strings.Replace(c.Mirror, "https", "http", 1) })
	refused("certificate not trusted", "certificate", func(_ *repository, c *TUFConfig) { c.HTTP = nil })

	t.Run("expired", func(t *testing.T) {
		r := newRepository(t, target, tomorrow().AddDate(0, 0, -3))
		if _, err := FetchPublicGoodRoot(context.Background(), r.config(t.TempDir())); err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("got error %v, want one that says that the metadata expired", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		r := newRepository(t, target, tomorrow())
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := FetchPublicGoodRoot(ctx, r.config("")); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v", err)
		}
	})
	t.Run("redirect to plain HTTP", func(t *testing.T) {
		plain := httptest.NewServer(http.NotFoundHandler())
		defer plain.Close()
		r := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
		defer r.Close()
		c := TUFConfig{Mirror: r.URL, Root: newRepository(t, target, tomorrow()).root, HTTP: r.Client().Transport}
		if _, err := FetchPublicGoodRoot(context.Background(), c); err == nil || !strings.Contains(err.Error(), "away from https") {
			t.Errorf("got error %v", err)
		}
	})
}

// GitHub's root of keys is believed for its digest alone.
func TestFetchGitHubRoot(t *testing.T) {
	target := newWorld(t).TrustedRoot()
	r := newRepository(t, target, tomorrow())
	pin := stemma.SHA256(r.root)
	dir := t.TempDir()
	c := r.config(dir)
	c.Root = nil

	if _, err := fetchGitHubRoot(context.Background(), c, stemma.SHA256(nil)); err == nil || !strings.Contains(err.Error(), "not to be trusted") {
		t.Errorf("wrong pin: got error %v", err)
	}
	if _, err := FetchGitHubRoot(context.Background(), c); err == nil || !strings.Contains(err.Error(), string(gitHubRootPin)) {
		t.Errorf("the real pin: got error %v", err)
	}
	asked := r.requests()
	if got := must[[]byte](t)(fetchGitHubRoot(context.Background(), c, pin)); string(got) != string(target) {
		t.Errorf("fetched %.100s", got)
	}
	if r.requests() == asked {
		t.Error("nothing was fetched")
	}
	c.HTTP = never{t}
	must[[]byte](t)(fetchGitHubRoot(context.Background(), c, pin))

	// A spoiled copy in the cache is not believed, and replaced.
	file := filepath.Join(dir, "pinned-root-"+pin.Hex()+".json")
	check(t, os.WriteFile(file, []byte("{}"), 0o600))
	c.HTTP = r.Client().Transport
	must[[]byte](t)(fetchGitHubRoot(context.Background(), c, pin))
	if b := must[[]byte](t)(os.ReadFile(file)); !pin.Matches(b) {
		t.Error("the spoiled copy is still there")
	}

	r.Close()
	c.CacheDir = t.TempDir()
	if _, err := fetchGitHubRoot(context.Background(), c, pin); err == nil || !strings.Contains(err.Error(), "fetching TUF root") {
		t.Errorf("unreachable: got error %v", err)
	}
}

// The pinned digest is that of version 3 of GitHub's root, a copy of which is in the corpus.
func TestGitHubPin(t *testing.T) {
	b := load(t, "data/cli_cli/pkg/cmd/attestation/verification/embed/tuf-repo.github.com/root.json")
	if !gitHubRootPin.Matches(b) {
		t.Errorf("the pin is %s, the root %s", gitHubRootPin, stemma.SHA256(b))
	}
	var root struct{ Signed struct{ Version int } }
	check(t, json.Unmarshal(b, &root))
	if want := fmt.Sprintf("%d.root.json", root.Signed.Version); gitHubRoot != want {
		t.Errorf("it is fetched as %s, want %s", gitHubRoot, want)
	}
}
