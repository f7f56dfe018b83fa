package network

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Pace that an answer must keep up.
const (
	defaultWindow = 30 * time.Second
	leastBytes    = 1 << 10 // in each window after the first
	looks         = 30      // in a window
)

// slowError is the end of an answer that came too slowly to ever end. It is a timeout to those who ask net.Error.
type slowError struct{ why string }

func (e *slowError) Error() string   { return "the answer comes too slowly: " + e.why }
func (e *slowError) Timeout() bool   { return true }
func (e *slowError) Temporary() bool { return true }

// steady ends a body that stalls or drips: nothing for as long as a window, or next to nothing in any window after the
// first. A server that sends a byte a second would otherwise hold a connection, and whoever waits for it, for as long as
// it likes. Only the time counts in which somebody waits for the server: who copies to a slow place may read slowly.
type steady struct {
	io.ReadCloser
	window time.Duration

	mu      sync.Mutex
	timer   *time.Timer // runs while somebody reads, and one look longer
	running bool
	reading bool
	done    bool
	slow    *slowError
	pace    pace
}

func newSteady(body io.ReadCloser, window time.Duration) *steady {
	s := &steady{ReadCloser: body, window: window, running: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(window/looks, s.look)
	return s
}

// look is made many times in a window: a timer that began anew with every byte would never see a drip.
func (s *steady) look() {
	s.mu.Lock()
	switch {
	case s.done || !s.reading:
		s.running = false
	default:
		if why := s.pace.look(s.window); why != "" {
			s.done, s.slow = true, &slowError{why}
			s.mu.Unlock()
			_ = s.ReadCloser.Close() // wakes the reader
			return
		}
		s.timer.Reset(s.window / looks)
	}
	s.mu.Unlock()
}

// Read reads what has come.
func (s *steady) Read(p []byte) (int, error) {
	s.mu.Lock()
	if s.slow != nil {
		s.mu.Unlock()
		return 0, s.slow
	}
	s.reading = true
	if !s.running && !s.done {
		s.running = true
		s.timer.Reset(s.window / looks)
	}
	s.mu.Unlock()
	n, err := s.ReadCloser.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
	s.pace.came(n)
	if s.slow != nil {
		err = s.slow // and not what the end looks like, which might be that of a complete answer
	}
	if err != nil {
		s.stop()
	}
	return n, err
}

// Close ends the body.
func (s *steady) Close() error {
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	return s.ReadCloser.Close()
}

func (s *steady) stop() {
	s.done = true
	s.timer.Stop()
}

// pace counts what comes, in looks.
type pace struct {
	quiet int // looks since the last byte
	count int // looks in this window
	bytes int // in this window
	later bool
}

func (p *pace) came(n int) {
	if n > 0 {
		p.quiet = 0
		p.bytes += n
	}
}

// look says why it is no longer waited, or nothing.
func (p *pace) look(window time.Duration) string {
	p.quiet++
	p.count++
	if p.quiet >= looks {
		return fmt.Sprintf("not a byte for %s", window)
	}
	if p.count < looks {
		return ""
	}
	slow := p.later && p.bytes < leastBytes
	if p.count, p.bytes, p.later = 0, 0, true; slow {
		return fmt.Sprintf("fewer than %d bytes in %s", leastBytes, window)
	}
	return ""
}
