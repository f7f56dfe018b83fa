package oci

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/distribution/reference"

	"stemma"
)

const (
	layoutScheme = "oci:"
	dockerDomain = "docker.io"
	dockerHost   = "registry-1.docker.io" // where the API of docker.io is
)

// Reference says which image is meant and where it is. Either Layout or Repository is set.
type Reference struct {
	Layout     string        // directory of an OCI image layout
	Repository string        // canonical: "docker.io/library/alpine", "ghcr.io/acme/api"
	Host       string        // host[:port] to talk to: "registry-1.docker.io" for docker.io
	Tag        string        // "" when there is only a digest; "latest" when there is neither
	Digest     stemma.Digest // wins over Tag
}

// String is the reference in the form that ParseReference reads.
func (r Reference) String() string {
	s := r.Repository
	if r.Layout != "" {
		s = layoutScheme + r.Layout
	}
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + string(r.Digest)
	}
	return s
}

// path is the repository within its registry.
func (r Reference) path() string {
	_, path, _ := strings.Cut(r.Repository, "/")
	return path
}

// ParseReference reads "oci:DIR[@digest]" and "registry/repository[:tag][@digest]". Short names mean what they mean
// to Docker: "alpine" is docker.io/library/alpine:latest. An error is an *Error of kind Invalid whose hint says what
// to type.
func ParseReference(s string) (Reference, error) {
	if dir, ok := strings.CutPrefix(s, layoutScheme); ok {
		return parseLayout(s, dir)
	}
	if hint := misspelling(s); hint != "" {
		return Reference{}, wrong(s, "not an image reference", hint)
	}
	name, digest, hasDigest := strings.Cut(s, "@")
	var ref Reference
	if hasDigest {
		var err error
		if ref.Digest, err = stemma.ParseDigest(digest); err != nil {
			return Reference{}, wrong(s, err.Error(), "A digest is sha256: and 64 lower-case hex digits, as printed by stemma inspect or docker buildx imagetools inspect.")
		}
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return Reference{}, wrong(s, err.Error(), nameHint(name))
	}
	if tagged, ok := named.(reference.Tagged); ok {
		ref.Tag = tagged.Tag()
	} else if !hasDigest {
		ref.Tag = "latest"
	}
	// Host names are compared without case (RFC 4343); a policy must not be evaded by writing GHCR.IO.
	// The port of HTTPS written out names the same registry.
	domain := strings.TrimSuffix(strings.ToLower(reference.Domain(named)), ":443")
	if !strings.ContainsAny(domain, ".:") && domain != "localhost" {
		// Docker takes ACME/api for the host ACME, and acme/api for its own registry.
		return Reference{}, wrong(s, "repository name must be lowercase", nameHint(name))
	}
	if _, port, ok := strings.Cut(domain[strings.LastIndex(domain, "]")+1:], ":"); ok {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return Reference{}, wrong(s, "no such port: "+port, "Write a port of 1 to 65535, or none.")
		}
	}
	ref.Host = domain
	if domain == dockerDomain || domain == dockerHost {
		domain, ref.Host = dockerDomain, dockerHost
	}
	ref.Repository = domain + "/" + reference.Path(named)
	return ref, nil
}

func parseLayout(s, dir string) (Reference, error) {
	ref := Reference{Layout: dir}
	if at := strings.LastIndex(dir, "@"); at >= 0 {
		algorithm, _, isDigest := strings.Cut(dir[at+1:], ":")
		if digest, err := stemma.ParseDigest(dir[at+1:]); err == nil {
			ref.Layout, ref.Digest = dir[:at], digest
		} else if isDigest && stemma.AcceptedAlgorithm(strings.ToLower(algorithm)) {
			return Reference{}, wrong(s, err.Error(), "A digest is sha256: and 64 lower-case hex digits; the directory's index.json lists those it has.")
		}
	}
	switch {
	case ref.Layout == "" || strings.Contains(ref.Layout, "\x00"):
		return Reference{}, wrong(s, "no directory", "Name the directory that holds the file oci-layout: oci:DIR.")
	case strings.HasPrefix(ref.Layout, "//"):
		return Reference{}, wrong(s, "not a URL", fmt.Sprintf("Write oci:%s without the slashes of a URL.", strings.TrimPrefix(ref.Layout, "//")))
	case strings.HasSuffix(ref.Layout, ".tar"):
		return Reference{}, wrong(s, "an archive is not a directory", fmt.Sprintf("Unpack it first (mkdir DIR; tar -C DIR -xf %s), then give oci:DIR.", ref.Layout))
	}
	return ref, nil
}

// misspelling recognises what other tools accept.
func misspelling(s string) string {
	for _, scheme := range []string{"https://", "http://", "docker://", "oras://"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok {
			return fmt.Sprintf("Leave out %s: %s", scheme, rest)
		}
	}
	for _, scheme := range []string{"oci-layout://", "oci-layout:", "oci-dir:"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok {
			return "A layout is written oci:" + rest
		}
	}
	for _, scheme := range []string{"docker-archive:", "oci-archive:", "docker-daemon:", "containers-storage:", "dir:", "pack:"} {
		if strings.HasPrefix(s, scheme) {
			return fmt.Sprintf("%s is not supported: give registry/repository[:tag][@digest], or copy the image to a layout and give oci:DIR.", strings.TrimSuffix(scheme, ":"))
		}
	}
	if s == "" || strings.TrimSpace(s) != s {
		return "Give registry/repository[:tag][@digest] or oci:DIR[@digest], without blanks."
	}
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "/") || strings.HasPrefix(s, "~") {
		return "If this is the directory of an image layout, write oci:" + s
	}
	if _, err := stemma.ParseDigest(s); err == nil {
		return "A digest alone does not say where the image is: registry/repository@" + s
	}
	return ""
}

func nameHint(name string) string {
	if lower := strings.ToLower(name); lower != name {
		if _, err := reference.ParseNormalizedNamed(lower); err == nil {
			return "Repository names are lower-case: " + lower
		}
	}
	return "Write registry/repository[:tag][@digest], such as ghcr.io/acme/api:1.8.2, or oci:DIR for a layout."
}

func wrong(s, what, hint string) error {
	return &Error{Kind: Invalid, Ref: fmt.Sprintf("%q", stemma.Printable(s, 200)), Hint: stemma.Printable(hint, 400), Err: errors.New(stemma.Printable(what, 200))}
}
