package verify

import (
	"stemma/internal/oci"
	"stemma/policy"
)

// RepositoryOf is the name by which policies match an image: registry/repository in canonical form, and of a mirror that
// the set declares the name of what it is a copy of. Nothing is looked up. The error is an *Error.
func RepositoryOf(image string, set *policy.Set) (repository, mirror string, err error) {
	ref, err := oci.ParseReference(image)
	if err != nil {
		return "", "", translate(err)
	}
	if set != nil && ref.Repository != "" {
		if canonical, mirrored := set.Canonical(ref.Repository); mirrored {
			return canonical, ref.Repository, nil
		}
	}
	return ref.Repository, "", nil
}
