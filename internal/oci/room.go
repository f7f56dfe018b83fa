package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"stemma"
)

// room is the memory for answers under way that are not small. Whoever asks for two hundred answers at a time must not
// be sent as many large ones at a time.
type room struct {
	turn  chan struct{} // held by whoever takes units, so that two do not wait for each other's
	units chan struct{}
	hold  time.Duration // how long one answer may keep it, in a round; 0: as long as it takes
}

func newRoom() *room {
	return &room{turn: make(chan struct{}, 1), units: make(chan struct{}, roomUnits)}
}

// take waits for room for n bytes, or for all the room there is.
func (r *room) take(ctx context.Context, n int64) (free func(), err error) {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-r.turn }()
	taken := 0
	free = func() {
		for range taken {
			<-r.units
		}
	}
	for range min(roomUnits, (n+roomUnit-1)/roomUnit) {
		select {
		case r.units <- struct{}{}:
			taken++
		case <-ctx.Done():
			free()
			return nil, ctx.Err()
		}
	}
	return free, nil
}

// read reads an answer of at most limit bytes, and one byte more of a longer one. What somebody declares costs nothing:
// memory is taken for a large answer when its first bytes have really come, and then exactly once (CVE-2024-29902).
func (r *room) read(ctx context.Context, body io.Reader, declared, limit int64) ([]byte, error) {
	head, err := io.ReadAll(io.LimitReader(body, min(smallBody, limit+1)))
	if err != nil || len(head) < smallBody {
		return head, err
	}
	size := limit
	if declared >= 0 {
		size = min(size, declared)
	}
	free, err := r.take(ctx, size)
	if err != nil {
		return nil, err
	}
	defer free()
	// One that stalls gives it back while there is time for those that wait for it.
	var late atomic.Bool
	if c, ok := body.(io.Closer); ok && r.hold > 0 {
		stop := time.AfterFunc(r.hold, func() {
			late.Store(true)
			_ = c.Close() // there is an error already
		})
		defer stop.Stop()
	}
	data := make([]byte, size+1)
	n := copy(data, head)
	for n < len(data) && err == nil {
		var m int
		m, err = body.Read(data[n:])
		n += m
	}
	if late.Load() {
		return nil, &fault{reason: stemma.ReasonTimeout, err: fmt.Errorf("%d bytes in %s", n, r.hold)}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if n < len(data)/2 {
		return bytes.Clone(data[:n]), nil
	}
	return slices.Clip(data[:n]), nil
}
