package oci

import (
	"context"
	"errors"
	"slices"

	"oras.land/oras-go/v2/errdef"
	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"

	"stemma"
)

// Tags lists the tags of a repository, at most so many: more are an error, as nobody could tell what was left out. An error
// is an *Error.
func (c *Client) Tags(ctx context.Context, ref Reference, most int) ([]string, error) {
	if ref.Repository == "" || ref.Host == "" {
		return nil, &Error{Kind: Invalid, Ref: ref.String(), Err: errors.New("not a repository of a registry"), Hint: "Give registry/repository."}
	}
	r := &remote.Repository{
		Client:    accepting{c.session(ref.Host, ref.path())},
		Reference: orasregistry.Reference{Registry: ref.Host, Repository: ref.path()},
		PlainHTTP: slices.Contains(c.config.PlainHTTP, ref.Host),
	}
	var out []string
	err := r.Tags(ctx, "", func(tags []string) error {
		if out = append(out, tags...); len(out) > most {
			return &fault{reason: stemma.ReasonTruncated, err: errors.New("it has more tags than are listed")}
		}
		return nil
	})
	if errors.Is(err, errdef.ErrNotFound) {
		err = missing("there is no such repository")
	}
	if err != nil {
		return nil, c.opening(ctx, ref, err)
	}
	slices.Sort(out)
	return out, nil
}
