package oci

import (
	"context"
	"errors"

	"stemma"
)

// Resolve asks a registry for the manifest of a reference, and for nothing else: neither for its children nor for
// evidence. An error is an *Error.
func (c *Client) Resolve(ctx context.Context, ref Reference) (stemma.Digest, error) {
	if ref.Repository == "" || ref.Host == "" {
		return "", &Error{Kind: Invalid, Ref: ref.String(), Err: errors.New("not an image of a registry"), Hint: "Give registry/repository[:tag][@digest]."}
	}
	doc, err := c.at(ref).named(ctx, ref.Tag, ref.Digest)
	if err != nil {
		return "", c.opening(ctx, ref, err)
	}
	return doc.digest, nil
}
