package sigstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"stemma"
)

const (
	mirrorGitHub = "https://tuf-repo.github.com"

	// The root that GitHub's repository is entered by, version 3, and its SHA-256. It is fetched, because it is not ours
	// to ship, and believed because of this digest alone.
	gitHubRoot    = "3.root.json"
	gitHubRootPin = stemma.Digest("sha256:98cba97be9075bc98b2322de3de85fbd1b70ec7392991dfd2f53d215bede1a8d")

	trustedRootTarget = "trusted_root.json"
	tufDeadline       = 60 * time.Second // for all requests of one fetch
	tufRequest        = 20 * time.Second
	maxTUFFile        = 8 << 20
	maxRedirects      = 3
)

// TUFConfig says where a trusted root comes from. The zero value fetches it over the network and keeps nothing.
type TUFConfig struct {
	Mirror   string            // base URL, https; empty: the instance's own
	Root     []byte            // TUF root metadata to begin with; nil: the instance's own
	CacheDir string            // keeps metadata between runs; empty: no cache
	Offline  bool              // use what is in CacheDir and ask nobody
	HTTP     http.RoundTripper // nil: TLS to the mirror, through the proxy of the environment
}

// FetchPublicGoodRoot returns the trusted_root.json of the Sigstore public good instance, verified by The Update
// Framework from the root of keys that sigstore-go carries. While the cached metadata has not expired, nothing is
// fetched. A fetch ends after a minute at the latest.
func FetchPublicGoodRoot(ctx context.Context, c TUFConfig) ([]byte, error) {
	c.Mirror = cmp.Or(c.Mirror, tuf.DefaultMirror)
	if c.Root == nil {
		c.Root = tuf.DefaultRoot()
	}
	return fetchTrustedRoot(ctx, c)
}

// FetchGitHubRoot is FetchPublicGoodRoot for GitHub's private instance. Its TUF root is fetched first and accepted
// only if it is the one whose digest is known.
func FetchGitHubRoot(ctx context.Context, c TUFConfig) ([]byte, error) {
	return fetchGitHubRoot(ctx, c, gitHubRootPin)
}

func fetchGitHubRoot(ctx context.Context, c TUFConfig, pin stemma.Digest) ([]byte, error) {
	c.Mirror = cmp.Or(c.Mirror, mirrorGitHub)
	if c.Root == nil {
		var err error
		if c.Root, err = pinnedRoot(ctx, c, pin); err != nil {
			return nil, err
		}
	}
	return fetchTrustedRoot(ctx, c)
}

// pinnedRoot returns the file with the pinned digest from the cache or the mirror.
func pinnedRoot(ctx context.Context, c TUFConfig, pin stemma.Digest) ([]byte, error) {
	file := ""
	if c.CacheDir != "" {
		file = filepath.Join(c.CacheDir, "pinned-root-"+pin.Hex()+".json")
		if b, err := readBounded(file); err == nil && pin.Matches(b) {
			return b, nil
		}
	}
	f, err := newFetcher(ctx, c)
	if err != nil {
		return nil, err
	}
	defer f.cancel()
	address, err := url.JoinPath(c.Mirror, gitHubRoot)
	if err != nil {
		return nil, fmt.Errorf("mirror %s: %w", c.Mirror, err)
	}
	b, err := f.DownloadFile(address, maxTUFFile, 0)
	if err != nil {
		return nil, fmt.Errorf("fetching TUF root: %w", err)
	}
	if !pin.Matches(b) {
		return nil, fmt.Errorf("fetching TUF root: %s is %s, want %s: the mirror is not to be trusted", address, stemma.SHA256(b), pin)
	}
	if file != "" {
		if err := writeWhole(file, b); err != nil {
			return nil, fmt.Errorf("keeping TUF root: %w", err)
		}
	}
	return b, nil
}

func fetchTrustedRoot(ctx context.Context, c TUFConfig) ([]byte, error) {
	f, err := newFetcher(ctx, c)
	if err != nil {
		return nil, err
	}
	defer f.cancel()
	client, err := tuf.New(&tuf.Options{
		Root: c.Root, RepositoryBaseURL: c.Mirror, CachePath: c.CacheDir, DisableLocalCache: c.CacheDir == "",
		ForceCache: c.CacheDir != "", Fetcher: f, Context: f.ctx,
	})
	if err != nil {
		return nil, fmt.Errorf("updating TUF metadata from %s: %w", c.Mirror, err)
	}
	b, err := client.GetTarget(trustedRootTarget)
	if err != nil {
		return nil, fmt.Errorf("fetching %s from %s: %w", trustedRootTarget, c.Mirror, err)
	}
	return b, nil
}

// fetcher downloads for the TUF client, whose interface has no place for a context: a fetcher lives for one fetch.
type fetcher struct {
	ctx     context.Context
	cancel  context.CancelFunc
	client  *http.Client
	offline bool
}

func newFetcher(ctx context.Context, c TUFConfig) (*fetcher, error) {
	u, err := url.Parse(c.Mirror)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("mirror %q: want an https URL", c.Mirror)
	}
	transport := c.HTTP
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: tufRequest, ResponseHeaderTimeout: tufRequest, DisableKeepAlives: true}
	}
	f := &fetcher{offline: c.Offline, client: &http.Client{Transport: transport, Timeout: tufRequest, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects || r.URL.Scheme != "https" {
			return errors.New("redirected too often, or away from https")
		}
		return nil
	}}}
	f.ctx, f.cancel = context.WithTimeout(ctx, tufDeadline)
	return f, nil
}

// DownloadFile implements the fetcher of go-tuf. The status of an answer is kept, because 404 ends the search for
// newer roots.
func (f *fetcher) DownloadFile(address string, limit int64, _ time.Duration) ([]byte, error) {
	if f.offline {
		return nil, fmt.Errorf("%s is not in the cache, and nothing may be fetched", address)
	}
	req, err := http.NewRequestWithContext(f.ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: res.StatusCode, URL: address}
	}
	limit = min(limit, maxTUFFile)
	b, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", address, err)
	}
	if int64(len(b)) > limit {
		return nil, &metadata.ErrDownloadLengthMismatch{Msg: fmt.Sprintf("%s is larger than %d bytes", address, limit)}
	}
	return b, nil
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxTUFFile))
}

// writeWhole replaces a file so that no reader ever sees a part of it.
func writeWhole(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
