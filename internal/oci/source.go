package oci

import (
	"context"
	"fmt"

	"stemma"
)

// ask asks a source for what it keeps about a digest. The answer is what it said, in short, as in a Place; the error is
// a *fault. Pieces have no Place and no Of.
func (c *Client) ask(ctx context.Context, s Source, about stemma.Digest) (pieces []stemma.Raw, answer string, err error) {
	return nil, "not asked", fmt.Errorf("asking %s about %s: unknown source", s.Kind, about.Short())
}

// ParseSource reads "github=acme/app" and the like.
func ParseSource(text string) (Source, error) {
	return Source{}, wrong(text, "no such source", "")
}
