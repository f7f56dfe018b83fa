package stemmatest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// Network is hosts by name. It carries requests to their handlers within the process, without a socket, and is an
// http.RoundTripper: a client that has it reaches these hosts and no other, by http and by https alike.
type Network map[string]http.Handler

// RoundTrip lets the handler of the host answer. The body is handed over while it is written.
func (n Network) RoundTrip(req *http.Request) (*http.Response, error) {
	h, ok := n[req.URL.Host]
	if !ok {
		return nil, fmt.Errorf("connecting to %s: no such host", req.URL.Host)
	}
	return serve(h, req)
}

// Transport carries requests for any host to the registry.
func (r *Registry) Transport() http.RoundTripper { return inProcess{r} }

type inProcess struct{ h http.Handler }

func (t inProcess) RoundTrip(req *http.Request) (*http.Response, error) { return serve(t.h, req) }

func serve(h http.Handler, req *http.Request) (*http.Response, error) {
	in := req.Clone(req.Context())
	in.RequestURI = req.URL.RequestURI()
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	body, out := io.Pipe()
	w := &responseWriter{header: http.Header{}, body: out, ready: make(chan struct{})}
	// As over a real connection, the body breaks off when the request is given up.
	stop := context.AfterFunc(req.Context(), func() {
		_ = out.CloseWithError(req.Context().Err()) // always nil
	})
	go func() {
		defer stop()
		defer func() { _ = in.Body.Close() }() // as every transport does
		defer func() {
			// A handler panics to cut the connection (http.ErrAbortHandler); the client sees the body break off.
			if v := recover(); v != nil {
				w.cut = fmt.Errorf("reading answer of %s: connection cut: %v", req.URL.Host, v)
				w.WriteHeader(0)
				_ = out.CloseWithError(w.cut) // always nil
				return
			}
			w.WriteHeader(http.StatusOK)
			_ = out.CloseWithError(req.Context().Err()) // nil is the end of the body; always nil
		}()
		h.ServeHTTP(w, in)
	}()
	select {
	case <-req.Context().Done():
		return nil, req.Context().Err()
	case <-w.ready:
	}
	if w.status == 0 {
		return nil, w.cut
	}
	return w.response(req, body), nil
}

type responseWriter struct {
	header http.Header
	body   *io.PipeWriter
	once   sync.Once
	ready  chan struct{}
	status int
	sent   http.Header
	cut    error
}

func (w *responseWriter) Header() http.Header { return w.header }

func (w *responseWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.ready)
	})
}

func (w *responseWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

func (w *responseWriter) response(req *http.Request, body io.ReadCloser) *http.Response {
	length := int64(-1)
	var n int64
	if _, err := fmt.Sscanf(w.sent.Get("Content-Length"), "%d", &n); err == nil && n >= 0 {
		length = n
	}
	return &http.Response{
		StatusCode: w.status, Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: body, ContentLength: length, Request: req,
	}
}
