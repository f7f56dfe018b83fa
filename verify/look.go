package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stemma"
	"stemma/internal/oci"
	"stemma/policy"
)

// name is what an image is called.
type name struct {
	repository string // canonical, for policies to match
	from       string // the repository that is read, where it is a mirror of that
}

// look says what to look at for a request, and what the image is called.
func (v *Verifier) look(ctx context.Context, r Request, lazy bool) (oci.Look, name, error) {
	ref, err := oci.ParseReference(r.Image)
	if err != nil {
		return oci.Look{}, name{}, translate(err)
	}
	look := oci.Look{Ref: ref}
	called, err := v.called(ref, r)
	if err != nil {
		return look, called, err
	}
	look.Name = called.repository
	if r.Index != "" {
		if look.Index, err = stemma.ParseDigest(r.Index); err != nil {
			return look, called, &Error{Kind: Invalid, Err: fmt.Errorf("the index %q: %w", r.Index, err), Hint: "write the digest of the index: sha256:…"}
		}
		if ref.Digest == "" {
			return look, called, &Error{Kind: Invalid, Err: errors.New("an index for an image without a digest: " + r.Image), Hint: "give the image by the digest of its platform, or leave the index out"}
		}
	}
	if err := v.places(&look, called, r); err != nil {
		return look, called, err
	}
	if !lazy && v.config.Policies == nil {
		look.Sources = v.obvious(ctx, look)
	}
	if lazy {
		needs := v.config.Policies.Needs(called.repository, r.Situation)
		look.Want = &oci.Want{Children: needs.Children, Platforms: needs.Platforms, Indexes: needs.Indexes, Unsigned: needs.Unsigned}
	}
	return look, called, nil
}

// obvious adds the source where images of GitHub's registry have their attestations, whoever looks: actions/attest puts
// them into the registry only when it is told to. A token is needed to be answered for long, so that without one nothing
// is asked.
func (v *Verifier) obvious(ctx context.Context, look oci.Look) []oci.Source {
	rest, ok := strings.CutPrefix(look.Ref.Repository, "ghcr.io/")
	owner, _, _ := strings.Cut(rest, "/")
	if !ok || slices.ContainsFunc(look.Sources, func(s oci.Source) bool { return s.Kind == oci.GitHubAttestations }) {
		return look.Sources
	}
	if found, err := v.way.Credential(ctx, "api.github.com", ""); err != nil || found.Token == "" {
		return look.Sources
	}
	return append(look.Sources, oci.Source{Kind: oci.GitHubAttestations, Of: owner})
}

// called names the image of a reference: a registry's has a name, which may be a mirror's; a layout's is given.
func (v *Verifier) called(ref oci.Reference, r Request) (name, error) {
	switch {
	case r.Name != "" && ref.Layout == "":
		// A registry's image has a name already; another one would choose another policy for it.
		return name{}, &Error{Kind: Invalid, Err: errors.New("a name for an image that has one: " + r.Image), Hint: "leave --name out; it is for oci:DIR"}
	case r.Name != "":
		named, err := oci.ParseReference(r.Name)
		if err != nil || named.Layout != "" || named.Digest != "" {
			return name{}, &Error{Kind: Invalid, Err: fmt.Errorf("%q is not the name of a repository", r.Name), Hint: "write it as in the registry: ghcr.io/acme/api"}
		}
		ref.Repository = named.Repository
	}
	if v.config.Policies != nil && ref.Repository != "" {
		if canonical, mirrored := v.config.Policies.Canonical(ref.Repository); mirrored {
			return name{repository: canonical, from: ref.Repository}, nil
		}
	}
	return name{repository: ref.Repository}, nil
}

// places adds the repositories and sources where evidence may lie besides the image's own repository: those of the
// policy set and those of the request.
func (v *Verifier) places(look *oci.Look, called name, r Request) error {
	repository := func(s string) error {
		also, err := oci.ParseReference(s)
		if err != nil || also.Layout != "" || also.Digest != "" || strings.Contains(s[strings.LastIndex(s, "/")+1:], ":") {
			return &Error{Kind: Invalid, Err: fmt.Errorf("%q is not the name of a repository", s), Hint: "write it as in the registry: registry.example/evidence"}
		}
		if also.Repository != look.Ref.Repository && !slices.Contains(look.Also, also.Repository) {
			look.Also = append(look.Also, also.Repository)
		}
		return nil
	}
	source := func(s string) error {
		parsed, err := oci.ParseSource(s)
		if err != nil {
			return translate(err)
		}
		if !slices.Contains(look.Sources, parsed) {
			look.Sources = append(look.Sources, parsed)
		}
		return nil
	}
	var declared []policy.EvidencePlace
	if v.config.Policies != nil {
		declared = v.config.Policies.Places(called.repository)
	}
	for _, p := range declared {
		add, text := source, p.Kind+"="+p.Of
		if p.Kind == policy.InRepository {
			add, text = repository, p.Of
		}
		if err := add(text); err != nil {
			return fmt.Errorf("evidence of the policy set: %w", err)
		}
	}
	for _, s := range r.Also {
		if err := repository(strings.TrimSpace(s)); err != nil {
			return err
		}
	}
	for _, s := range r.Sources {
		if err := source(strings.TrimSpace(s)); err != nil {
			return err
		}
	}
	return nil
}
