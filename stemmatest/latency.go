package stemmatest

import (
	"net/http"
	"sync"
	"time"
)

// Slow lets every request to a handler take a while longer, and counts: how many requests there were, and how many
// round trips one after the other. It is an http.Handler, for any number of requests at a time.
type Slow struct {
	Handler http.Handler
	Delay   time.Duration // before the handler sees a request

	mu       sync.Mutex
	run      int // of Reset
	requests int
	rounds   int // the longest chain so far
	answered int // the longest chain whose last request was answered
}

// Requests is how many requests have come.
func (s *Slow) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Rounds is the length of the longest chain of requests of which each came after the one before it was answered: the
// round trips that were made one after the other. A request is answered when the first byte of its answer goes out, for
// whoever depends on the answer cannot ask sooner.
func (s *Slow) Rounds() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rounds
}

// Reset starts to count anew. What is under way is not counted.
func (s *Slow) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run, s.requests, s.rounds, s.answered = s.run+1, 0, 0, 0
}

// ServeHTTP waits, and lets the handler answer.
func (s *Slow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	run, depth := s.run, s.answered+1
	s.requests++
	s.rounds = max(s.rounds, depth)
	s.mu.Unlock()
	var once sync.Once
	answered := func() {
		once.Do(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.run == run {
				s.answered = max(s.answered, depth)
			}
		})
	}
	defer answered() // a handler that says nothing, or cuts the connection, has answered, too
	wait := time.NewTimer(s.Delay)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-r.Context().Done():
		return
	}
	s.Handler.ServeHTTP(&writer{ResponseWriter: w, before: answered}, r)
}

// writer calls before when the first byte goes out, and as often after that as there is more.
type writer struct {
	http.ResponseWriter
	before func()
}

// Unwrap lets http.ResponseController reach what the server can do.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(status int) {
	w.before()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *writer) Write(b []byte) (int, error) {
	w.before()
	return w.ResponseWriter.Write(b)
}
