package oci

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"stemma"
)

// Kind says why an image could not be opened, as far as a caller acts on it.
type Kind string

// The kinds of an Error.
const (
	NotFound    Kind = "not-found"    // there is no such image
	Invalid     Kind = "invalid"      // the reference or the layout makes no sense
	Unreachable Kind = "unreachable"  // no answer, or a server error
	Refused     Kind = "refused"      // 401 or 403
	RateLimited Kind = "rate-limited" // 429
	BadAnswer   Kind = "bad-answer"   // an answer that breaks its protocol or does not match its digest
	Forbidden   Kind = "forbidden"    // an address that is not connected to
)

// Error is why there is nothing to look at. Its text is one line; Hint is one sentence that says what to do.
type Error struct {
	Kind Kind
	Ref  string // the reference as it was given
	Hint string
	Err  error

	doing string // "": opening
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s %s: %s", cmp.Or(e.doing, "opening"), stemma.Printable(e.Ref, 200), stemma.Printable(e.Err.Error(), 600))
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// fault is one failed look at one thing. Its reason is what an Unavailable says.
type fault struct {
	reason stemma.Reason
	status int    // HTTP status, 0 without one
	wait   string // Retry-After
	advice string // what to do, of whoever refused to connect
	where  string // host that was not connected to
	known  known  // of a refusal: whether it was spoken to as somebody
	err    error
}

// known says whether there were credentials for a host that refuses.
type known int

const (
	knownUnsaid known = iota
	knownNobody
	knownSomebody
)

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func badAnswer(format string, args ...any) error {
	return &fault{reason: stemma.ReasonBadAnswer, err: fmt.Errorf(format, args...)}
}

func forbidden(format string, args ...any) error {
	return &fault{reason: stemma.ReasonForbidden, err: fmt.Errorf(format, args...)}
}

func missing(format string, args ...any) error {
	return &fault{reason: stemma.ReasonBadAnswer, status: http.StatusNotFound, err: fmt.Errorf(format, args...)}
}

// asFault gives every error a reason. What is not recognised could not be reached.
func asFault(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	// The network decides what is connected to, and says so in the errors of its own.
	var refused interface{ Forbidden() bool }
	if errors.As(err, &refused) && refused.Forbidden() {
		f := &fault{reason: stemma.ReasonForbidden, err: err}
		if adviser, ok := refused.(interface{ Advice() string }); ok {
			f.advice = adviser.Advice()
		}
		if host, ok := refused.(interface{ Where() string }); ok {
			f.where = host.Where()
		}
		return f
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &timeout) && timeout.Timeout() {
		return &fault{reason: stemma.ReasonTimeout, err: err}
	}
	return &fault{reason: stemma.ReasonUnreachable, err: err}
}

// ReasonOf is why something could not be looked at, or "" where the answer was that it is not there.
func ReasonOf(err error) stemma.Reason {
	if isMissing(err) {
		return ""
	}
	return asFault(err).reason
}

func isMissing(err error) bool {
	var f *fault
	return errors.As(err, &f) && f.status == http.StatusNotFound
}

// unavailable reports a place that could not be looked at.
func unavailable(place string, err error) stemma.Unavailable {
	return stemma.Unavailable{Place: place, Reason: asFault(err).reason, Detail: stemma.Printable(err.Error(), 400)}
}

// opening is the function of this name, and of a refusal says, too, whether the registry was spoken to as somebody.
func (c *Client) opening(ctx context.Context, ref Reference, err error) error {
	err = opening(ref, err)
	var e *Error
	f := asFault(err)
	if ref.Layout != "" || !errors.As(err, &e) || e.Kind != Refused || f.reason != stemma.ReasonUnauthorized {
		return err
	}
	f.known = knownNobody
	if c.config.Credentials != nil {
		switch found, err := c.config.Credentials(ctx, ref.Host, ref.path()); {
		case err != nil:
			f.known = knownUnsaid
		case found != Credential{}:
			f.known = knownSomebody
		}
	}
	e.Hint = f.refusal(ref)
	return err
}

// opening turns the failure to get the image itself into an Error.
func opening(ref Reference, err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Ref = ref.String()
		return e
	}
	f := asFault(err)
	e = &Error{Ref: ref.String(), Err: err}
	switch {
	case ref.Layout != "" && f.status == http.StatusNotFound:
		e.Kind, e.Hint = NotFound, "Check the directory and the digest."
	case ref.Layout != "":
		e.Kind, e.Hint = Invalid, "The layout is damaged or was tampered with: write it again, for example with skopeo copy docker://… oci:DIR."
	case f.status == http.StatusNotFound:
		e.Kind, e.Hint = NotFound, "Check repository, tag and digest for typing errors; the registry answers, and has no such image."
	case f.reason == stemma.ReasonUnauthorized:
		e.Kind, e.Hint = Refused, f.refusal(ref)
	case f.reason == stemma.ReasonRateLimited:
		e.Kind, e.Hint = RateLimited, "Wait and try again, or log in for a higher limit."
		if f.wait != "" {
			e.Hint = fmt.Sprintf("Try again after %s, or log in for a higher limit.", retryAfter(f.wait))
		}
	case f.reason == stemma.ReasonForbidden:
		e.Kind, e.Hint = Forbidden, f.astray(ref)
	case f.reason == stemma.ReasonTruncated:
		e.Kind, e.Hint = BadAnswer, "It is larger than anything that is read of an image, and nothing was concluded: tell the registry's operator, or build the image smaller."
	case f.reason == stemma.ReasonBadAnswer && strings.Contains(err.Error(), "schemaVersion 1, want 2"):
		// application/vnd.docker.distribution.manifest.v1+json and +prettyjws name no config and no sizes.
		e.Kind, e.Hint = BadAnswer, "It is a Docker manifest of schema 1, which registries have stopped to accept: pull the image and push it again with a current docker, podman or skopeo."
	case f.status == http.StatusBadRequest && strings.Contains(err.Error(), "http://"+ref.Host+"/"):
		// What a server of net/http or nginx says to a request that is not of TLS.
		e.Kind, e.Hint = BadAnswer, fmt.Sprintf("Leave out --plain-http %s if it speaks TLS; otherwise check that it is the host of the registry's API.", ref.Host)
	case f.reason == stemma.ReasonBadAnswer && f.status != 0:
		e.Kind, e.Hint = BadAnswer, fmt.Sprintf("Check that %s is the host of the registry's API, and not of its web pages: it answers, but not as a registry does.", ref.Host)
	case f.reason == stemma.ReasonBadAnswer:
		e.Kind, e.Hint = BadAnswer, "The registry, or something between, does not serve what it was asked for: nothing was concluded about the image. Try another network or mirror, and tell the registry's operator."
	case f.reason == stemma.ReasonTimeout:
		e.Kind, e.Hint = Unreachable, "The registry did not answer in time: try again, or allow more with --timeout."
	default:
		e.Kind, e.Hint = Unreachable, f.absence(ref)
	}
	return e
}

// astray says what to do about an address that is not connected to. Where the registry named it, no flag is the first
// thing to think of: whoever serves images must not choose what their readers may reach.
func (f *fault) astray(ref Reference) string {
	switch {
	case f.where != "" && f.where != ref.Host:
		return strings.TrimSpace(fmt.Sprintf("Check that %s is the registry that is meant: it sends its clients to %s. %s", ref.Host, stemma.Printable(f.where, 100), f.advice))
	case f.advice != "":
		return f.advice
	}
	return fmt.Sprintf("Check that %s is the registry that is meant, and tell its operator: it sends its clients to where none are to go.", ref.Host)
}

// refusal says what to do about a 401 or 403.
func (f *fault) refusal(ref Reference) string {
	unsaid := "many registries refuse in the same way when a repository does not exist"
	switch {
	case f.status == 0 && strings.Contains(f.err.Error(), gettingCredentials):
		return fmt.Sprintf("Mend what is to know the credentials for %s, or take its entry out: when one source fails, nothing is sent and no further one is asked.", ref.Host)
	case f.status == http.StatusForbidden && f.known == knownSomebody:
		return fmt.Sprintf("Ask for the right to read %s: the credentials for %s are good, and may not (%s).", ref.path(), ref.Host, unsaid)
	case f.status == http.StatusForbidden:
		return fmt.Sprintf("Log in with docker login %s as somebody who may read %s, or check the name: %s.", ref.Host, ref.path(), unsaid)
	case f.known == knownSomebody:
		return fmt.Sprintf("Log in again with docker login %s: the credentials that are known for it were refused, and may have expired.", ref.Host)
	case f.known == knownNobody:
		return fmt.Sprintf("Log in with docker login %s, for which no credentials are known, or check the name: %s.", ref.Host, unsaid)
	}
	return fmt.Sprintf("Log in with docker login %s, or check the name: %s.", ref.Host, unsaid)
}

// absence says what to do when there is no answer, or one of a server that has failed.
func (f *fault) absence(ref Reference) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	text := f.err.Error()
	host, _, _ := strings.Cut(ref.Host, ":")
	switch {
	case f.status == http.StatusServiceUnavailable && f.wait != "":
		return fmt.Sprintf("Try again after %s: %s is overloaded or under maintenance.", retryAfter(f.wait), ref.Host)
	case f.status == http.StatusServiceUnavailable:
		return fmt.Sprintf("Try again later: %s is overloaded or under maintenance.", ref.Host)
	case f.status == http.StatusBadGateway || f.status == http.StatusGatewayTimeout:
		return fmt.Sprintf("Try again in a minute: what stands before %s does not reach the registry itself.", ref.Host)
	case f.status >= 500:
		return fmt.Sprintf("Check that %s works at all (its operator's status page says), and try again later: the failure is its own.", ref.Host)
	case strings.Contains(text, "server gave HTTP response to HTTPS client") || errors.As(f.err, &record):
		return fmt.Sprintf("Add --plain-http %s if that is meant: what listens there does not speak TLS.", ref.Host)
	case strings.Contains(text, `malformed HTTP response "\x15\x03`):
		return fmt.Sprintf("Leave out --plain-http %s: what listens there speaks TLS.", ref.Host)
	case errors.As(f.err, &authority):
		return fmt.Sprintf("Name the authority under ca: of %s in the registries file (--registries FILE): nobody on this machine vouches for the one that signed its certificate.", ref.Host)
	case errors.As(f.err, &name):
		return fmt.Sprintf("Use the name that is in the certificate: it is not for %s, and no ca: in the registries file changes that.", ref.Host)
	case errors.As(f.err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("Check the clock of this machine, or have the certificate of %s renewed (a new authority is named under ca: in the registries file): it is not valid now.", ref.Host)
	case errors.As(f.err, &invalid):
		return fmt.Sprintf("Have the certificate of %s issued anew, by an authority that is known here or named under ca: in the registries file: it is not one for a server.", ref.Host)
	case strings.Contains(text, "tls: certificate required") || strings.Contains(text, "tls: bad certificate"):
		return fmt.Sprintf("Name a client certificate for %s in the registries file (--registries FILE): it speaks to nobody without a good one.", ref.Host)
	case strings.Contains(text, "proxyconnect"):
		return "Check the proxy that HTTPS_PROXY or HTTP_PROXY names, or list the host in NO_PROXY: the proxy did not let it through."
	case errors.As(f.err, &dns) && dns.IsNotFound && dns.Name != host:
		return fmt.Sprintf("Check that %s is the registry that is meant, and tell its operator: it sends its clients to %s, and there is no such host.", ref.Host, stemma.Printable(dns.Name, 100))
	case errors.As(f.err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("Check the name for typing errors, and whether it is known in this network only with a VPN: there is no host %s.", stemma.Printable(dns.Name, 100))
	case errors.As(f.err, &dns):
		return "Check the network and its name servers: they do not answer."
	case errors.Is(f.err, io.ErrUnexpectedEOF) || errors.Is(f.err, syscall.ECONNRESET):
		return fmt.Sprintf("Try again: %s, or something between, cut the connection in the middle of the answer.", ref.Host)
	case errors.Is(f.err, syscall.ECONNREFUSED):
		return fmt.Sprintf("Check the port, and that the registry is running: nothing listens at %s.", ref.Host)
	}
	return fmt.Sprintf("Check that %s is the right host and that it can be reached from here (network, proxy, certificate).", ref.Host)
}

// noDirectory explains that a layout cannot be opened.
func noDirectory(ref Reference, err error) error {
	e := &Error{Kind: Invalid, Ref: ref.String(), Err: err, Hint: "Name the directory that holds the file oci-layout."}
	if errors.Is(err, fs.ErrNotExist) {
		e.Kind = NotFound
		// The form of skopeo and podman. A directory may well have a colon in its name, so it is tried first.
		if at := strings.LastIndex(ref.Layout, ":"); at > 0 && !strings.ContainsAny(ref.Layout[at:], `/\`) {
			dir := stemma.Printable(ref.Layout[:at], 200)
			e.Hint = fmt.Sprintf("An image in a layout is named by its digest and not by a tag: oci:%s@sha256:…, or oci:%s, which lists what there is.", dir, dir)
		}
	}
	return e
}

// retryAfter reads the header of RFC 9110 section 10.2.3: seconds or a date.
func retryAfter(value string) string {
	if value != "" && strings.Trim(value, "0123456789") == "" {
		return value + " seconds"
	}
	return stemma.Printable(value, 40)
}
