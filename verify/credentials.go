package verify

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"stemma"
	"stemma/internal/network"
	"stemma/internal/oci"
)

// CredentialReport says whom the hosts were spoken to as, to get the manifest of an image, and what they answered. It
// holds no password, no token, and nothing that one could be made of.
type CredentialReport struct {
	Image  string           `json:"image"`
	Digest stemma.Digest    `json:"digest,omitempty"` // of the manifest; "" when the registry did not answer with one
	Hosts  []CredentialHost `json:"hosts"`            // in the order in which they were spoken to
	Error  string           `json:"error,omitempty"`  // why there is no manifest
}

// CredentialHost is one host that was spoken to: the registry, its token service, where it redirects to.
type CredentialHost struct {
	Host      string              `json:"host"`
	Consulted []CredentialSource  `json:"consulted,omitempty"` // sources that were asked, in their order; none when nobody wanted to know who asks
	Source    string              `json:"source,omitempty"`    // the one that served
	User      string              `json:"user,omitempty"`
	Kind      string              `json:"kind,omitempty"` // what is known: "password", "identity token", "bearer token"
	Requests  []CredentialRequest `json:"requests,omitempty"`
}

// CredentialSource is a source of credentials and what it said.
type CredentialSource struct {
	Source string `json:"source"`
	Answer string `json:"answer"`
}

// CredentialRequest is one request on the wire.
type CredentialRequest struct {
	Method string `json:"method"`
	URL    string `json:"url"`              // without user, query and fragment
	Sent   string `json:"sent,omitempty"`   // what kind of credential: "Basic", "Bearer", "token request"
	Status int    `json:"status,omitempty"` // 0: no answer
	Error  string `json:"error,omitempty"`  // why there is none
}

// Credentials asks for the manifest of an image, and for nothing else, and reports on it. When there is no manifest
// there is an error besides the report.
//
// It is no method of a Verifier: making one loads trust domains, over the network if need be, and who looks into why a
// registry refuses should not need them.
func Credentials(ctx context.Context, c Config, image string) (report *CredentialReport, err error) {
	defer caught(&err)
	ref, err := oci.ParseReference(image)
	if err != nil {
		return nil, translate(err)
	}
	if ref.Layout != "" {
		return nil, &Error{Kind: Invalid, Err: errors.New("a directory needs no credentials: " + stemma.Printable(image, 200)), Hint: "give registry/repository[:tag][@digest]"}
	}
	w := &watch{}
	_, client, err := connect(c, w)
	if err != nil {
		return nil, err
	}
	digest, err := client.Resolve(ctx, ref)
	report = w.report()
	report.Image, report.Digest = ref.String(), digest
	if err == nil {
		return report, nil
	}
	known := translate(err).(*Error)
	report.Error = w.scrub(known.Error())
	if text := known.Error(); report.Error != text || w.scrub(known.Hint) != known.Hint {
		// What a registry says may repeat what was sent to it.
		known = &Error{Kind: known.Kind, Hint: w.scrub(known.Hint), Err: errors.New(report.Error)}
	}
	return report, known
}

// watch sees whose credentials are looked for and which requests are made. It remembers what is secret, to take it out
// of what is told.
type watch struct {
	mu      sync.Mutex
	hosts   []CredentialHost
	secrets []string
}

// at is the entry of a host. It must be called with the lock held.
func (w *watch) at(host string) *CredentialHost {
	i := slices.IndexFunc(w.hosts, func(h CredentialHost) bool { return h.Host == host })
	if i < 0 {
		i = len(w.hosts)
		w.hosts = append(w.hosts, CredentialHost{Host: host})
	}
	return &w.hosts[i]
}

func (w *watch) consulted(host string, found network.Credential, trail []network.Consulted) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secret(found.Password, found.IdentityToken, found.Token)
	if found.Password != "" {
		pair := []byte(found.Username + ":" + found.Password)
		w.secret(base64.RawStdEncoding.EncodeToString(pair), base64.RawURLEncoding.EncodeToString(pair))
	}
	h := w.at(host)
	h.Consulted, h.Source, h.User, h.Kind = nil, found.Source, found.Username, ""
	for _, c := range trail {
		h.Consulted = append(h.Consulted, CredentialSource{c.Source, c.Answer})
	}
	switch {
	case found.Token != "":
		h.Kind = "bearer token"
	case found.IdentityToken != "":
		h.Kind = "identity token"
	case found.Password != "":
		h.Kind = "password"
	}
}

func (w *watch) exchanged(e oci.Exchange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.at(e.Host)
	h.Requests = append(h.Requests, CredentialRequest{Method: e.Method, URL: e.URL, Sent: e.Sent, Status: e.Status, Error: e.Err})
}

// shortest is the length from which a secret is looked for in what is told.
const shortest = 4

// secret must be called with the lock held.
func (w *watch) secret(all ...string) {
	for _, s := range all {
		for _, form := range []string{s, base64.RawStdEncoding.EncodeToString([]byte(s)), url.QueryEscape(s), url.PathEscape(s)} {
			if len(s) >= shortest && !slices.Contains(w.secrets, form) {
				w.secrets = append(w.secrets, form)
			}
		}
	}
}

func (w *watch) scrub(text string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.scrubbed(text)
}

// scrubbed must be called with the lock held.
func (w *watch) scrubbed(text string) string {
	for _, s := range w.secrets {
		text = strings.ReplaceAll(text, s, "…")
	}
	return text
}

func (w *watch) report() *CredentialReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The longest first: a part of a secret that was taken out leaves the rest.
	slices.SortFunc(w.secrets, func(a, b string) int { return len(b) - len(a) })
	for i := range w.hosts {
		h := &w.hosts[i]
		for j := range h.Consulted {
			h.Consulted[j].Answer = w.scrubbed(h.Consulted[j].Answer)
		}
		for j := range h.Requests {
			r := &h.Requests[j]
			r.URL, r.Error = w.scrubbed(r.URL), w.scrubbed(r.Error)
		}
	}
	return &CredentialReport{Hosts: w.hosts}
}

// listening carries requests and tells the watch what they carry that is secret.
type listening struct {
	next  http.RoundTripper
	watch *watch
}

func (l listening) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, value, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok {
		l.watch.mu.Lock()
		l.watch.secret(value, strings.TrimRight(value, "="))
		l.watch.mu.Unlock()
	}
	return l.next.RoundTrip(req)
}
