package verify

import (
	"context"

	"stemma"
	"stemma/internal/oci"
)

// Resolve is the image that a request is about, by the name that policies match and by its digest. What is asked for by
// digest is not looked up.
func (v *Verifier) Resolve(ctx context.Context, r Request) (image stemma.Image, err error) {
	defer caught(&err)
	ref, err := oci.ParseReference(r.Image)
	if err != nil {
		return image, translate(err)
	}
	if ref.Layout != "" {
		e, err := v.Collect(ctx, r)
		if err != nil {
			return image, err
		}
		return e.Image, nil
	}
	image = stemma.Image{Repository: ref.Repository, Digest: ref.Digest, Tag: ref.Tag}
	if v.config.Policies != nil {
		image.Repository, _ = v.config.Policies.Canonical(ref.Repository)
	}
	if image.Digest == "" {
		if image.Digest, err = v.client.Resolve(ctx, ref); err != nil {
			return image, translate(err)
		}
	}
	return image, nil
}
