package network

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// forever is longer than anything is waited for.
const forever = time.Duration(math.MaxInt64)

// Defaults of Retry and Host.
const (
	defaultAttempts = 4
	defaultFirst    = 250 * time.Millisecond
	defaultLongest  = 10 * time.Second
	defaultBudget   = 32
	defaultRate     = 200
	maxDiscarded    = 64 << 10 // bytes of an answer that nobody reads
	discardTime     = time.Second
	maxHosts        = 1024 // hosts that something is remembered of
)

// host is what is remembered of one host: how fast it may be asked, and how often again.
type host struct {
	limiter *rate.Limiter

	mu     sync.Mutex
	budget int
	rest   time.Time // it asked to be left alone until then
}

// of is the memory of a host. References name hosts as they please: what is remembered is bounded.
func (n *Network) of(name string) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.memory[name]
	if h == nil {
		if len(n.memory) >= maxHosts {
			clear(n.memory)
		}
		perSecond := n.known(name).RequestsPerSecond
		if perSecond == 0 {
			perSecond = defaultRate
		}
		h = &host{limiter: rate.NewLimiter(rate.Limit(perSecond), max(1, int(2*perSecond))), budget: n.config.Retry.Budget}
		n.memory[name] = h
	}
	return h
}

// good gives one repetition back, up to the budget.
func (h *host) good(budget int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.budget = min(h.budget+1, budget)
}

// again takes one repetition out of the budget.
func (h *host) again() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.budget <= 0 {
		return false
	}
	h.budget--
	return true
}

// send sends one request as often as is reasonable. What it cannot repeat, or may not any more, it passes on as it is:
// "429, again after 60 seconds" tells more than a timeout.
func (n *Network) send(req *http.Request, name string, carry http.RoundTripper) (*http.Response, error) {
	ctx, h, retry := req.Context(), n.of(name), n.config.Retry
	repeatable := (req.Body == nil || req.Body == http.NoBody) && (req.Method == http.MethodGet || req.Method == http.MethodHead)
	backoff := retry.First
	for attempt := 1; ; attempt++ {
		if err := n.pace(ctx, h); err != nil {
			return nil, unsent(req, fmt.Errorf("waiting for the turn of %s: %w", name, err))
		}
		resp, err := carry.RoundTrip(req)
		if err == nil && resp.Body != nil && resp.Body != http.NoBody {
			resp.Body = newSteady(resp.Body, n.window)
		}
		if err == nil && !temporary(resp.StatusCode) {
			h.good(retry.Budget)
			return resp, nil
		}
		wait, asked := n.wait(resp, backoff)
		if asked && wait <= retry.Longest {
			n.rest(h, wait)
		}
		switch {
		case !repeatable, attempt >= retry.Attempts, err != nil && (final(err) || ctx.Err() != nil),
			wait > retry.Longest, !n.intime(ctx, wait), !h.again():
			return resp, err
		}
		if resp != nil {
			discard(resp.Body)
		}
		if err := n.config.Sleep(ctx, wait); err != nil {
			return nil, fmt.Errorf("waiting to ask %s again: %w", name, err)
		}
		backoff = min(2*backoff, retry.Longest)
	}
}

// discard reads the rest of a short answer, so that its connection can be used again. It waits for none of it.
func discard(body io.ReadCloser) {
	if body == nil {
		return
	}
	late := time.AfterFunc(discardTime, func() { _ = body.Close() })
	_, _ = io.CopyN(io.Discard, body, maxDiscarded) // nobody wants it
	late.Stop()
	_ = body.Close()
}

func temporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// wait is how long to wait before the next attempt: what the server asks for (RFC 9110 section 10.2.3), or between half
// of the back-off and all of it, so that those who were turned away together do not come back together.
func (n *Network) wait(resp *http.Response, backoff time.Duration) (d time.Duration, asked bool) {
	if resp != nil {
		value := strings.TrimSpace(resp.Header.Get("Retry-After"))
		if value != "" && strings.Trim(value, digits) == "" {
			seconds, err := strconv.ParseInt(value, 10, 32)
			if err != nil {
				return forever, true
			}
			return time.Duration(seconds) * time.Second, true
		}
		if at, err := http.ParseTime(value); err == nil {
			if n.config.Clock == nil {
				return forever, true // how long that is cannot be told
			}
			return max(0, at.Sub(n.config.Clock())), true
		}
	}
	return backoff/2 + rand.N(backoff/2+1), false
}

// intime reports whether there is time left after a wait.
func (n *Network) intime(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	if !ok || n.config.Clock == nil {
		return ctx.Err() == nil
	}
	return n.config.Clock().Add(wait).Before(deadline)
}

// rest leaves a host alone for a while, whoever asks it.
func (n *Network) rest(h *host, d time.Duration) {
	if n.config.Clock == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if until := n.config.Clock().Add(d); until.After(h.rest) {
		h.rest = until
	}
}

// pace waits until the host may be asked.
func (n *Network) pace(ctx context.Context, h *host) error {
	if n.config.Clock != nil {
		h.mu.Lock()
		d := h.rest.Sub(n.config.Clock())
		h.mu.Unlock()
		if d > 0 && n.intime(ctx, d) {
			if err := n.config.Sleep(ctx, d); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	turn := h.limiter.Reserve()
	d := turn.Delay()
	if d == 0 {
		return nil
	}
	err := context.DeadlineExceeded
	if n.intime(ctx, d) {
		err = n.config.Sleep(ctx, d)
	}
	if err != nil {
		turn.Cancel() // for the next in the queue
	}
	return err
}

// sleep waits by the clock of the machine.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
