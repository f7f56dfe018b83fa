package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"stemma"
	"stemma/stemmatest"
)

// guarded is what the network says of an address that it does not connect to.
type guarded struct{ advice, where string }

func (guarded) Error() string    { return "connecting to db.corp: it is at 10.0.0.5, a private address" }
func (guarded) Forbidden() bool  { return true }
func (g guarded) Advice() string { return g.advice }
func (g guarded) Where() string  { return g.where }

// redirected is what becomes of a redirect.
func redirected(from, to string) error {
	via, err := http.NewRequest(http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodGet, to, nil)
	if err != nil {
		return err
	}
	return checkRedirect(req, []*http.Request{via})
}

// TestOpening: what is wrong is told apart, and said with what to do.
func TestOpening(t *testing.T) {
	registry := Reference{Repository: "reg.example:5000/acme/api", Host: "reg.example:5000", Tag: "v1"}
	at := func(reason stemma.Reason, status int, text string) *fault {
		return &fault{reason: reason, status: status, err: fmt.Errorf("GET https://reg.example:5000/v2/acme/api/manifests/v1: %s", text)}
	}
	with := func(f *fault, change func(*fault)) *fault { change(f); return f }
	wire := func(err error) error {
		f := asFault(err)
		return &fault{reason: f.reason, advice: f.advice, where: f.where, err: fmt.Errorf("GET https://reg.example:5000/v2/: %w", err)}
	}
	dial := func(err error) error { return wire(&net.OpError{Op: "dial", Net: "tcp", Err: err}) }
	verification := func(err error) error { return wire(&tls.CertificateVerificationError{Err: err}) }
	const unsaid = "many registries refuse in the same way when a repository does not exist."
	seen := map[string]string{}
	for _, c := range []struct {
		name string
		err  error
		kind Kind
		hint string
	}{
		{
			"401, whoever asks", at(stemma.ReasonUnauthorized, 401, "401"), Refused,
			"Log in with docker login reg.example:5000, or check the name: " + unsaid,
		},
		{
			"401, nobody", with(at(stemma.ReasonUnauthorized, 401, "401"), func(f *fault) { f.known = knownNobody }), Refused,
			"Log in with docker login reg.example:5000, for which no credentials are known, or check the name: " + unsaid,
		},
		{
			"401, somebody", with(at(stemma.ReasonUnauthorized, 401, "401"), func(f *fault) { f.known = knownSomebody }), Refused,
			"Log in again with docker login reg.example:5000: the credentials that are known for it were refused, and may have expired.",
		},
		{
			"403", at(stemma.ReasonUnauthorized, 403, "403"), Refused,
			"Log in with docker login reg.example:5000 as somebody who may read acme/api, or check the name: " + unsaid,
		},
		{
			"403, somebody", with(at(stemma.ReasonUnauthorized, 403, "403"), func(f *fault) { f.known = knownSomebody }), Refused,
			"Ask for the right to read acme/api: the credentials for reg.example:5000 are good, and may not (" + strings.TrimSuffix(unsaid, ".") + ").",
		},
		{"404", at(stemma.ReasonBadAnswer, 404, "404"), NotFound, "Check repository, tag and digest for typing errors; the registry answers, and has no such image."},
		{"429", at(stemma.ReasonRateLimited, 429, "429"), RateLimited, "Wait and try again, or log in for a higher limit."},
		{"429, seconds", with(at(stemma.ReasonRateLimited, 429, "429"), func(f *fault) { f.wait = "60" }), RateLimited, "Try again after 60 seconds, or log in for a higher limit."},
		{
			"429, date", with(at(stemma.ReasonRateLimited, 429, "429"), func(f *fault) { f.wait = "Mon, 23 Nov 2026 06:00:00 GMT\x1b[2J and much more text" }), RateLimited,
			"Try again after Mon, 23 Nov 2026 06:00:00 GMT\uFFFD[2J and mu…, or log in for a higher limit.",
		},
		{
			"500", at(stemma.ReasonUnreachable, 500, "500"), Unreachable,
			"Check that reg.example:5000 works at all (its operator's status page says), and try again later: the failure is its own.",
		},
		{"502", at(stemma.ReasonUnreachable, 502, "502"), Unreachable, "Try again in a minute: what stands before reg.example:5000 does not reach the registry itself."},
		{"503", at(stemma.ReasonUnreachable, 503, "503"), Unreachable, "Try again later: reg.example:5000 is overloaded or under maintenance."},
		{
			"503, seconds", with(at(stemma.ReasonUnreachable, 503, "503"), func(f *fault) { f.wait = "120" }), Unreachable,
			"Try again after 120 seconds: reg.example:5000 is overloaded or under maintenance.",
		},
		{"timeout", wire(context.DeadlineExceeded), Unreachable, "The registry did not answer in time: try again, or allow more with --timeout."},
		{
			"wrong digest", badAnswer("GET x: the answer has the digest sha256:ab"), BadAnswer,
			"The registry, or something between, does not serve what it was asked for: nothing was concluded about the image. Try another network or mirror, and tell the registry's operator.",
		},
		{
			"no registry", at(stemma.ReasonBadAnswer, 405, "405"), BadAnswer,
			"Check that reg.example:5000 is the host of the registry's API, and not of its web pages: it answers, but not as a registry does.",
		},
		{
			"too large", tooLong("x", maxManifest), BadAnswer,
			"It is larger than anything that is read of an image, and nothing was concluded: tell the registry's operator, or build the image smaller.",
		},
		{"plain HTTP", wire(errors.New("http: server gave HTTP response to HTTPS client")), Unreachable, "Add --plain-http reg.example:5000 if that is meant: what listens there does not speak TLS."},
		{"no TLS record", wire(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}), Unreachable, "Add --plain-http reg.example:5000 if that is meant: what listens there does not speak TLS."},
		{
			"TLS for plain HTTP", wire(errors.New(`malformed HTTP response "\x15\x03\x01\x00\x02\x02"`)), Unreachable,
			"Leave out --plain-http reg.example:5000: what listens there speaks TLS.",
		},
		{
			"unknown authority", verification(x509.UnknownAuthorityError{}), Unreachable,
			"Name the authority under ca: of reg.example:5000 in the registries file (--registries FILE): nobody on this machine vouches for the one that signed its certificate.",
		},
		{
			"wrong name", verification(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "reg.example"}), Unreachable,
			"Use the name that is in the certificate: it is not for reg.example:5000, and no ca: in the registries file changes that.",
		},
		{
			"expired", verification(x509.CertificateInvalidError{Reason: x509.Expired}), Unreachable,
			"Check the clock of this machine, or have the certificate of reg.example:5000 renewed (a new authority is named under ca: in the registries file): it is not valid now.",
		},
		{
			"not for servers", verification(x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}), Unreachable,
			"Have the certificate of reg.example:5000 issued anew, by an authority that is known here or named under ca: in the registries file: it is not one for a server.",
		},
		{
			"client certificate", wire(errors.New("remote error: tls: certificate required")), Unreachable,
			"Name a client certificate for reg.example:5000 in the registries file (--registries FILE): it speaks to nobody without a good one.",
		},
		{
			"proxy", wire(&net.OpError{Op: "proxyconnect", Net: "tcp", Err: syscall.ECONNREFUSED}), Unreachable,
			"Check the proxy that HTTPS_PROXY or HTTP_PROXY names, or list the host in NO_PROXY: the proxy did not let it through.",
		},
		{
			"no such host", dial(&net.DNSError{Err: "no such host", Name: "reg.example", IsNotFound: true}), Unreachable,
			"Check the name for typing errors, and whether it is known in this network only with a VPN: there is no host reg.example.",
		},
		{
			"no such host, of the registry's choice", dial(&net.DNSError{Err: "no such host", Name: "evil\x1b.test", IsNotFound: true}), Unreachable,
			"Check that reg.example:5000 is the registry that is meant, and tell its operator: it sends its clients to evil\uFFFD.test, and there is no such host.",
		},
		{"no name server", dial(&net.DNSError{Err: "server misbehaving", Name: "reg.example", IsTemporary: true}), Unreachable, "Check the network and its name servers: they do not answer."},
		{"connection refused", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), Unreachable, "Check the port, and that the registry is running: nothing listens at reg.example:5000."},
		{
			"connection reset", dial(os.NewSyscallError("read", syscall.ECONNRESET)), Unreachable,
			"Try again: reg.example:5000, or something between, cut the connection in the middle of the answer.",
		},
		{"cut", wire(io.ErrUnexpectedEOF), Unreachable, "Try again: reg.example:5000, or something between, cut the connection in the middle of the answer."},
		{
			"no route", dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), Unreachable,
			"Check that reg.example:5000 is the right host and that it can be reached from here (network, proxy, certificate).",
		},
		{"forbidden, advised", dial(guarded{"Allow it with --allow-private reg.example:5000.", "reg.example:5000"}), Forbidden, "Allow it with --allow-private reg.example:5000."},
		{
			"forbidden, of the registry's choice", dial(guarded{"Allow it with --allow-private db.corp.", "db.corp"}), Forbidden,
			"Check that reg.example:5000 is the registry that is meant: it sends its clients to db.corp. Allow it with --allow-private db.corp.",
		},
		{
			"redirected to TLS", redirected("http://reg.example:5000/v2/", "https://reg.example:5000/v2/"), Forbidden,
			"Leave out --plain-http reg.example:5000: it wants to be spoken to over TLS.",
		},
		{
			"redirected from TLS", redirected("https://reg.example:5000/v2/", "http://reg.example:5000/v2/"), Forbidden,
			"Check that reg.example:5000 is the registry that is meant, and tell its operator: it sends its clients to where none are to go.",
		},
		{
			"redirected to the metadata service", redirected("https://reg.example:5000/v2/", "https://169.254.169.254/v2/"), Forbidden,
			"Check that reg.example:5000 is the registry that is meant, and tell its operator: it sends its clients to where none are to go.",
		},
		{
			"TLS for plain HTTP, answered", &fault{reason: stemma.ReasonBadAnswer, status: 400, err: errors.New("GET http://reg.example:5000/v2/: 400 Bad Request")}, BadAnswer,
			"Leave out --plain-http reg.example:5000 if it speaks TLS; otherwise check that it is the host of the registry's API.",
		},
		{
			"credentials that could not be got", at(stemma.ReasonUnauthorized, 0, gettingCredentials+"reg.example:5000: helper died"), Refused,
			"Mend what is to know the credentials for reg.example:5000, or take its entry out: when one source fails, nothing is sent and no further one is asked.",
		},
		{
			"schema 1", schema1(t), BadAnswer,
			"It is a Docker manifest of schema 1, which registries have stopped to accept: pull the image and push it again with a current docker, podman or skopeo.",
		},
		{"said already", &Error{Kind: Invalid, Ref: "?", Err: errors.New("x"), Hint: "As it was."}, Invalid, "As it was."},
	} {
		err := opening(registry, c.err)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %T", c.name, err)
			continue
		}
		if e.Kind != c.kind || e.Hint != c.hint || e.Ref != "reg.example:5000/acme/api:v1" {
			t.Errorf("%s: %s, %s\n got  %s\n want %s, %s", c.name, e.Kind, e.Ref, e.Hint, c.kind, c.hint)
		}
		if other, twice := seen[e.Hint]; twice && c.name != "no TLS record" && c.name != "cut" && c.name != "redirected to the metadata service" {
			t.Errorf("%s and %s are not told apart: %s", c.name, other, e.Hint)
		}
		seen[e.Hint] = c.name
		if !errors.Is(err, c.err) && !errors.As(c.err, &e) {
			t.Errorf("%s: the cause is lost", c.name)
		}
	}
}

// schema1 is what is made of a manifest such as Docker wrote until 2017.
func schema1(t *testing.T) error {
	t.Helper()
	data := []byte(`{"schemaVersion":1,"name":"acme/api","tag":"v1","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}`)
	_, err := parseDocument(data, stemma.SHA256(data), "application/vnd.docker.distribution.manifest.v1+prettyjws")
	if err == nil {
		t.Fatal("a manifest of schema 1 is read")
	}
	return err
}

// TestOpeningRegistry: the same from a registry that really answers so.
func TestOpeningRegistry(t *testing.T) {
	somebody := func(context.Context, string, string) (Credential, error) {
		return Credential{Username: "u", Password: "p"}, nil
	}
	broken := func(context.Context, string, string) (Credential, error) {
		return Credential{}, errors.New("helper died")
	}
	for _, c := range []struct {
		name        string
		credentials func(context.Context, string, string) (Credential, error)
		status      int
		known       known
	}{
		{"nobody can be known", nil, 401, knownNobody},
		{"nobody is known", func(context.Context, string, string) (Credential, error) { return Credential{}, nil }, 401, knownNobody},
		{"somebody is known", somebody, 401, knownSomebody},
		{"somebody may not", somebody, 403, knownSomebody},
		{"it cannot be said", broken, 401, knownUnsaid},
		{"it is not asked of another answer", somebody, 500, knownUnsaid},
	} {
		client := newClient(t, Config{Transport: stemmatest.Network{}, Credentials: c.credentials})
		f := &fault{reason: reasonOf(c.status), status: c.status, err: errors.New("x")}
		err := client.opening(t.Context(), Reference{Repository: "a.test/b", Host: "a.test", Tag: "v"}, f)
		var e *Error
		if !errors.As(err, &e) || f.known != c.known {
			t.Errorf("%s: %v, known %d, want %d", c.name, err, f.known, c.known)
		}
	}
	get := func(server *httptest.Server, scheme string, transport *http.Transport) error {
		at, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+at.Host, nil)
		if err != nil {
			t.Fatal(err)
		}
		transport.TLSHandshakeTimeout = 10 * time.Second
		resp, err := transport.RoundTrip(req)
		if err == nil {
			defer resp.Body.Close()
			return errors.New(resp.Status)
		}
		return opening(Reference{Repository: "a.test/b", Host: "a.test", Tag: "v"}, err)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshakes that fail
	secure.StartTLS()
	t.Cleanup(secure.Close)
	roots := secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for name, c := range map[string]struct {
		err  error
		hint string
	}{
		"plain":     {get(plain, "https", &http.Transport{}), "Add --plain-http a.test"},
		"authority": {get(secure, "https", &http.Transport{}), "Name the authority under ca:"},
		"name":      {get(secure, "https", &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "b.test"}}), "Use the name that is in the certificate"},
		"expired": {get(secure, "https", &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: roots, ServerName: "example.com", Time: func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) },
		}}), "Check the clock of this machine"},
	} {
		var e *Error
		if !errors.As(c.err, &e) || e.Kind != Unreachable || !strings.HasPrefix(e.Hint, c.hint) {
			t.Errorf("%s: %v, hint %v, want %s", name, c.err, e, c.hint)
		}
	}
}

// TestOpenSevenAnswers: seven ways not to get an image, seven explanations.
func TestOpenSevenAnswers(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{":v2", "@" + string(stemma.SHA256([]byte("x")))} {
		for answer, h := range map[string]http.HandlerFunc{
			"401": status(401), "403": status(403), "404": status(404), "429": status(429), "500": status(500), "timeout": nil,
			"wrong digest": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Docker-Content-Digest", string(stemma.SHA256([]byte("x"))))
				_, _ = io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`)
			},
		} {
			w := newWorld(t, single)
			ctx, cancel := context.WithCancel(t.Context())
			if h == nil {
				h = stall(cancel)
			}
			w.fault("/manifests/", h)
			_, err := w.openWithin(ctx, name)
			cancel()
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%s %s: %v", answer, name, err)
			}
			text, _, _ := strings.Cut(e.Error(), "/manifests/")
			if text == e.Error() {
				t.Errorf("%s: %s", answer, e)
			}
			if other, ok := seen[e.Hint]; ok && other != answer {
				t.Errorf("%s and %s: %s", answer, other, e.Hint)
			}
			seen[e.Hint] = answer
		}
	}
	if len(seen) != 7 {
		t.Errorf("%d explanations: %v", len(seen), seen)
	}
	_, err := newClient(t, Config{}).Open(t.Context(), Look{Ref: Reference{Layout: "image:v1"}})
	var e *Error
	if !errors.As(err, &e) || e.Kind != NotFound || !strings.HasPrefix(e.Hint, "An image in a layout is named by its digest") {
		t.Errorf("%v %+v", err, e)
	}
}

func TestNoDirectory(t *testing.T) {
	const plain = "Name the directory that holds the file oci-layout."
	for _, c := range []struct {
		layout string
		err    error
		kind   Kind
		hint   string
	}{
		{"image", fs.ErrNotExist, NotFound, plain},
		{"image:v1", fs.ErrNotExist, NotFound, "An image in a layout is named by its digest and not by a tag: oci:image@sha256:…, or oci:image, which lists what there is."},
		{"/a/b:c/image", fs.ErrNotExist, NotFound, plain},
		{":v1", fs.ErrNotExist, NotFound, plain},
		{"image:v1", fs.ErrPermission, Invalid, plain},
		{"a\x1bb:v1", fs.ErrNotExist, NotFound, "An image in a layout is named by its digest and not by a tag: oci:a\uFFFDb@sha256:…, or oci:a\uFFFDb, which lists what there is."},
	} {
		var e *Error
		if err := noDirectory(Reference{Layout: c.layout}, c.err); !errors.As(err, &e) || e.Kind != c.kind || e.Hint != c.hint || !errors.Is(err, c.err) {
			t.Errorf("%s: %v %+v", c.layout, err, e)
		}
	}
}
