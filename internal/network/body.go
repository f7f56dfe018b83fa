package network

import (
	"errors"
	"io"
	"sync"
	"time"
)

// Pace that an answer must keep up.
const (
	defaultWindow = 30 * time.Second
	leastBytes    = 1 << 10 // in each window
)

// errSlow is the end of an answer that came too slowly to ever end.
var errSlow = errors.New("the answer comes too slowly")

// slowError is errSlow as a timeout, for those who ask net.Error.
type slowError struct{ error }

func (slowError) Timeout() bool   { return true }
func (slowError) Temporary() bool { return true }

// steady ends a body that stalls or drips: within every window it must bring some bytes, or end. A server that sends a
// byte a second would otherwise hold a connection, and whoever waits for it, for as long as it likes.
type steady struct {
	io.ReadCloser
	window time.Duration

	mu    sync.Mutex
	timer *time.Timer
	bytes int
	slow  bool
	done  bool
}

func newSteady(body io.ReadCloser, window time.Duration) *steady {
	s := &steady{ReadCloser: body, window: window}
	s.timer = time.AfterFunc(window, s.tick)
	return s
}

func (s *steady) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.done:
	case s.bytes < leastBytes:
		s.slow = true
		_ = s.ReadCloser.Close() // wakes the reader
	default:
		s.bytes = 0
		s.timer.Reset(s.window)
	}
}

// Read reads what has come.
func (s *steady) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += n
	if err != nil {
		s.stop()
		if s.slow && !errors.Is(err, io.EOF) {
			return n, slowError{errSlow}
		}
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
