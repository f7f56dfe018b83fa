package policy

import (
	"net/url"
	"slices"
	"strings"

	"stemma"
)

// packageURL is a package URL in one form, so that two that name the same package are equal: type, namespace and name with
// the case that the type folds, and apart from it the version and the qualifiers. A subpath is no part of it.
type packageURL struct {
	kind       string
	name       string // "pkg:npm/%40acme/lib"
	version    string
	qualifiers url.Values
}

// maxPURL is the longest package URL that is read, in bytes.
const maxPURL = 2048

// String is the name with the version.
func (p packageURL) String() string {
	if p.version == "" {
		return p.name
	}
	return p.name + "@" + p.version
}

// parsePURL reads a package URL. What two readers could take for two packages, and what would decode into a component
// of another path, is none.
func parsePURL(s string) (packageURL, bool) {
	var p packageURL
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || len(s) > maxPURL || !strings.EqualFold(scheme, "pkg") || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return p, false
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	var err error
	if p.qualifiers, err = url.ParseQuery(query); err != nil {
		return p, false
	}
	p.kind, rest, ok = strings.Cut(strings.Trim(rest, "/"), "/")
	if p.kind = strings.ToLower(p.kind); !ok || strings.Trim(p.kind, "abcdefghijklmnopqrstuvwxyz0123456789.+-") != "" || p.kind == "" {
		return p, false
	}
	// A scope that is not encoded, pkg:npm/@acme/lib, has an @ that is no version's.
	if i := strings.LastIndexByte(rest, '@'); i > 0 && rest[i-1] != '/' && (i > strings.LastIndexByte(rest, '/') || p.kind == "github" || p.kind == "gitlab") {
		if p.version, err = url.PathUnescape(rest[i+1:]); err != nil || p.version == "" {
			return p, false
		}
		rest = rest[:i]
	}
	// An @ in the midst of a component, pkg:npm/lib@1.0/x, begins a version to one reader and is part of a name to another.
	for s := range strings.SplitSeq(rest, "/") {
		if strings.LastIndexByte(s, '@') > 0 {
			return p, false
		}
	}
	segments := slices.DeleteFunc(strings.Split(rest, "/"), func(s string) bool { return s == "" })
	if len(segments) == 0 {
		return p, false
	}
	for i, s := range segments {
		if s, err = url.PathUnescape(s); err != nil || s == "" || s == "." || s == ".." {
			return p, false
		}
		segments[i] = strings.ReplaceAll(url.PathEscape(folded(p.kind, s, i == len(segments)-1)), "@", "%40")
	}
	p.name = "pkg:" + p.kind + "/" + strings.Join(segments, "/")
	return p, true
}

// folded is a component in the case that its type of package distinguishes.
func folded(kind, component string, name bool) string {
	switch kind {
	case "alpm", "apk", "bitbucket", "composer", "deb", "docker", "github", "gitlab", "golang", "hex", "nuget", "oci":
		return strings.ToLower(component)
	case "rpm":
		if !name {
			return strings.ToLower(component)
		}
	case "pypi":
		parts := strings.FieldsFunc(strings.ToLower(component), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
		if len(parts) > 0 {
			return strings.Join(parts, "-")
		}
	}
	return component
}

// covers reports whether p, which may leave version and qualifiers open, names the package q.
func (p packageURL) covers(q packageURL) bool {
	if p.name != q.name || p.version != "" && p.version != q.version {
		return false
	}
	for key, values := range p.qualifiers {
		if !slices.Equal(values, q.qualifiers[key]) {
			return false
		}
	}
	return true
}

// isImage reports whether the package is a container image.
func (p packageURL) isImage() bool { return p.kind == "docker" || p.kind == "oci" }

// image is the repository of an image, "" when it is not told, and its digest, "" when the version is none.
func (p packageURL) image() (repository string, digest stemma.Digest) {
	repository = p.qualifiers.Get("repository_url")
	path := strings.TrimPrefix(p.name, "pkg:"+p.kind+"/")
	switch {
	case p.kind == "docker" && repository == "":
		repository = path
	case p.kind == "docker" && !strings.HasSuffix(repository, "/"+path):
		repository = strings.TrimSuffix(repository, "/") + "/" + path
	}
	if repository != "" {
		repository = repositoryOf(strings.TrimPrefix(strings.TrimPrefix(repository, "https://"), "http://"))
	}
	for _, s := range []string{p.version, p.qualifiers.Get("digest")} {
		if d, err := stemma.ParseDigest(s); err == nil {
			return repository, d
		}
	}
	return repository, ""
}

// digestsOf lists the digests of accepted algorithms by which a component names an image: as digests, as the version
// (syft), or in its package URL.
func digestsOf(c stemma.Component) []stemma.Digest {
	var out []stemma.Digest
	for _, d := range c.Digests {
		if d, err := stemma.ParseDigest(string(d)); err == nil {
			out = append(out, d)
		}
	}
	if d, err := stemma.ParseDigest(c.Version); err == nil {
		out = append(out, d)
	}
	if p, ok := parsePURL(c.PURL); ok && p.isImage() {
		if _, d := p.image(); d != "" {
			out = append(out, d)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
