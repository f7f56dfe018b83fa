package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"stemma"
	"stemma/internal/oci"
	"stemma/policy"
)

// maxRelease is the number of images that a release may have.
const maxRelease = 1024

// Release is the list of images that are deployed as one.
type Release []stemma.Image

// ReadRelease reads a release: one image a line, repository@digest; blank lines and what follows a # are left out.
// name is that of the file, for messages.
func ReadRelease(name string, data []byte) (Release, error) {
	var release Release
	wrong := func(line int, format string, args ...any) error {
		return &Error{
			Kind: Invalid, Err: fmt.Errorf("%s:%d: %s", name, line, stemma.Printable(fmt.Sprintf(format, args...), 300)),
			Hint: "write one image a line, by digest: ghcr.io/acme/api@sha256:…",
		}
	}
	n := 0
	for line := range strings.SplitSeq(string(data), "\n") {
		n++
		text, _, _ := strings.Cut(line, "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		ref, err := oci.ParseReference(text)
		switch {
		case err != nil:
			return nil, wrong(n, "%v", err)
		case ref.Layout != "" || ref.Digest == "":
			return nil, wrong(n, "%s has no digest: a tag can come to mean another image", text)
		case len(release) == maxRelease:
			return nil, wrong(n, "more than %d images", maxRelease)
		}
		image := stemma.Image{Repository: ref.Repository, Digest: ref.Digest}
		if !slices.Contains(release, image) {
			release = append(release, image)
		}
	}
	if len(release) == 0 {
		return nil, &Error{Kind: Invalid, Err: errors.New(name + ": a release without images"), Hint: "write one image a line, by digest: ghcr.io/acme/api@sha256:…"}
	}
	return release, nil
}

// Omitted returns a refusal for every image of the release on which there is no decision. A mirror's image is that of
// the repository that it mirrors.
func (v *Verifier) Omitted(release Release, decisions []*stemma.Decision, situation stemma.Situation) []*stemma.Decision {
	if situation.At.IsZero() {
		situation.At = v.now()
	}
	var out []*stemma.Decision
	for _, image := range release {
		if v.config.Policies != nil {
			image.Repository, _ = v.config.Policies.Canonical(image.Repository)
		}
		if !slices.ContainsFunc(decisions, func(d *stemma.Decision) bool {
			return d.Image.Digest == image.Digest && d.Image.Repository == image.Repository
		}) {
			out = append(out, policy.Omitted(v.config.Policies, image, situation))
		}
	}
	return out
}
