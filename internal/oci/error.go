package oci

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

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
)

// Error is why there is nothing to look at. Its text is one line; Hint is one sentence that says what to do.
type Error struct {
	Kind Kind
	Ref  string // the reference as it was given
	Hint string
	Err  error
}

func (e *Error) Error() string {
	return fmt.Sprintf("opening %s: %s", stemma.Printable(e.Ref, 200), stemma.Printable(e.Err.Error(), 600))
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// fault is one failed look at one thing. Its reason is what an Unavailable says.
type fault struct {
	reason stemma.Reason
	status int    // HTTP status, 0 without one
	wait   string // Retry-After
	err    error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func badAnswer(format string, args ...any) error {
	return &fault{reason: stemma.ReasonBadAnswer, err: fmt.Errorf(format, args...)}
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
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &timeout) && timeout.Timeout() {
		return &fault{reason: stemma.ReasonTimeout, err: err}
	}
	return &fault{reason: stemma.ReasonUnreachable, err: err}
}

func isMissing(err error) bool {
	var f *fault
	return errors.As(err, &f) && f.status == http.StatusNotFound
}

// unavailable reports a place that could not be looked at.
func unavailable(place string, err error) stemma.Unavailable {
	return stemma.Unavailable{Place: place, Reason: asFault(err).reason, Detail: stemma.Printable(err.Error(), 400)}
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
		e.Kind, e.Hint = Refused, fmt.Sprintf("Log in with docker login %s, or check the name: many registries refuse in the same way when a repository does not exist.", ref.Host)
	case f.reason == stemma.ReasonRateLimited:
		e.Kind, e.Hint = RateLimited, "Wait and try again, or log in for a higher limit."
		if f.wait != "" {
			e.Hint = fmt.Sprintf("Try again after %s, or log in for a higher limit.", retryAfter(f.wait))
		}
	case f.reason == stemma.ReasonBadAnswer || f.reason == stemma.ReasonTruncated:
		e.Kind, e.Hint = BadAnswer, "The registry, or something between, does not serve what it was asked for: nothing was concluded about the image. Try another network or mirror, and tell the registry's operator."
	case f.reason == stemma.ReasonTimeout:
		e.Kind, e.Hint = Unreachable, "The registry did not answer in time: try again, or allow more time."
	default:
		e.Kind, e.Hint = Unreachable, fmt.Sprintf("Check that %s is the right host and that it can be reached from here (network, proxy, certificate).", ref.Host)
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
