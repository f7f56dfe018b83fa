package predicate

import (
	"net/url"
	"strings"

	"stemma"
)

// purl is a package URL taken apart: "pkg:type/namespace/name@version?qualifiers#subpath".
type purl struct {
	kind       string
	segments   []string // namespace and name, decoded
	version    string   // decoded
	qualifiers map[string]string
	subpath    string
}

// parsePURL reads what stands behind "pkg:". What two readers could take apart differently is none: a second @ or ?,
// empty and relative segments, qualifiers that stand twice, and encoding of what needs none.
func parsePURL(s string) (purl, bool) {
	var p purl
	s, p.subpath, _ = strings.Cut(s, "#")
	s, query, hasQuery := strings.Cut(s, "?")
	kind, rest, ok := strings.Cut(s, "/")
	p.kind = strings.ToLower(kind)
	if !ok || p.kind == "" || strings.Trim(p.kind, "abcdefghijklmnopqrstuvwxyz0123456789.+-") != "" || strings.Contains(p.kind, "..") || strings.ContainsAny(query, "?") {
		return p, false
	}
	// "The npm scope @ sign prefix is always percent encoded", and often is not.
	scope := ""
	if strings.HasPrefix(rest, "@") {
		scope, rest = "@", rest[1:]
	}
	name, version, versioned := strings.Cut(rest, "@")
	if p.version, ok = unescape(version, "/"); !ok || strings.Contains(version, "@") || versioned && version == "" {
		return p, false
	}
	p.segments = strings.Split(name, "/")
	for i, segment := range p.segments {
		if segment, ok = unescape(segment, ""); !ok {
			return p, false
		}
		if i == 0 {
			segment = scope + segment
		}
		if segment == "" || segment == "@" || segment == "." || strings.Contains(segment, "..") {
			return p, false
		}
		p.segments[i] = segment
	}
	if !hasQuery {
		return p, true
	}
	p.qualifiers = map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		key, value, ok := strings.Cut(pair, "=")
		key = strings.ToLower(key)
		if _, twice := p.qualifiers[key]; twice || !ok || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
			return p, false
		}
		p.qualifiers[key] = value
	}
	return p, true
}

// unescape decodes percent-encoding once. What decodes into an alphanumeric character or a mark that needs no encoding,
// into a percent sign or a control character, or into a slash that is not among more, does not decode.
func unescape(s, more string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, !strings.Contains(s, "\\")
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			var ok bool
			if c, ok = unhex(s[i+1:]); !ok || c <= ' ' || c >= 0x7f || c == '%' || unreserved(c) || c == '/' && !strings.Contains(more, "/") {
				return "", false
			}
			i += 2
		}
		if c == '\\' {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// qualifier is a qualifier decoded. It reports false for one that does not decode.
func (p purl) qualifier(name string) (string, bool) { return unescape(p.qualifiers[name], "/") }

// packageName names what a package URL names: an image, a repository, an action or a package.
func packageName(rest string, plain bool) inputName {
	kind, _, _ := strings.Cut(rest, "/")
	p, ok := parsePURL(rest)
	ok = ok && plain
	switch kind = strings.ToLower(kind); kind {
	case "docker", "oci":
		if !ok {
			return inputName{kind: stemma.InputImage}
		}
		return imagePURL(p)
	case "github":
		if !ok {
			return inputName{kind: stemma.InputGit}
		}
		uri := "https://github.com/" + strings.Join(p.segments, "/")
		if p.version != "" {
			uri += "@" + p.version
		}
		return gitName(uri, plain)
	case "githubactions":
		below, decoded := unescape(p.subpath, "/")
		if !ok || !decoded || len(p.segments) < 2 {
			return inputName{kind: stemma.InputAction}
		}
		if len(p.segments) > 2 {
			if below != "" {
				return inputName{kind: stemma.InputAction}
			}
			below = strings.Join(p.segments[2:], "/")
		}
		host := "github.com"
		if at, told := p.qualifier("repository_url"); at != "" || !told {
			if _, host = webAddress("https", strings.TrimPrefix(at, "https://")); !told || !isGitHubHost(host) {
				return inputName{kind: stemma.InputAction}
			}
		}
		return action(host, p.segments[0], p.segments[1], strings.Trim(below, "/"), p.version)
	}
	n := inputName{kind: stemma.InputPackage}
	if !ok {
		return n
	}
	segments := make([]string, len(p.segments))
	for i, s := range p.segments {
		s = folded(p.kind, s, i == len(segments)-1)
		if s == "" {
			return n
		}
		segments[i] = strings.ReplaceAll(url.PathEscape(s), "@", "%40")
	}
	n.canonical, n.version, n.host = "pkg:"+p.kind+"/"+strings.Join(segments, "/"), p.version, p.host()
	return n
}

// folded is a segment in the case that its type distinguishes, or "" if it is no name of that type. Names on npm keep
// theirs: JSONStream and jsonstream are two packages.
func folded(kind, segment string, name bool) string {
	switch kind {
	case "alpm", "apk", "bitbucket", "composer", "deb", "gitlab", "golang", "hex", "nuget":
		return strings.ToLower(segment)
	case "rpm":
		if !name {
			return strings.ToLower(segment)
		}
	case "pypi":
		// PEP 503. A name neither begins nor ends with a mark.
		separator := func(c rune) bool { return c == '-' || c == '_' || c == '.' }
		parts := strings.FieldsFunc(strings.ToLower(segment), separator)
		if len(parts) == 0 || strings.IndexFunc(segment, separator) == 0 || strings.LastIndexFunc(segment, separator) == len(segment)-1 {
			return ""
		}
		return strings.Join(parts, "-")
	}
	return segment
}

// host is where a package was fetched from: what the URL says, else the registry that its type stands for. Two places
// that differ are none.
func (p purl) host() string {
	host := ""
	for _, name := range []string{"repository_url", "download_url"} {
		value, ok := p.qualifier(name)
		if value == "" && ok {
			continue
		}
		scheme, rest := cutScheme(value)
		if scheme == "" {
			scheme = "https" // "repository_url=gcr.io"
		}
		one := ""
		if scheme == "https" || scheme == "http" {
			_, one = webAddress(scheme, rest)
		}
		if one == "" || host != "" && host != one {
			return ""
		}
		host = one
	}
	if host != "" {
		return host
	}
	switch p.kind {
	case "bitbucket":
		return "bitbucket.org"
	case "cargo":
		return "crates.io"
	case "composer":
		return "packagist.org"
	case "conan":
		return "center.conan.io"
	case "cran":
		return "cran.r-project.org"
	case "gem":
		return "rubygems.org"
	case "golang":
		return "proxy.golang.org"
	case "hackage":
		return "hackage.haskell.org"
	case "hex":
		return "repo.hex.pm"
	case "huggingface":
		return "huggingface.co"
	case "maven":
		return "repo.maven.apache.org"
	case "npm":
		return "registry.npmjs.org"
	case "nuget":
		return "www.nuget.org"
	case "pub":
		return "pub.dartlang.org"
	case "pypi":
		return "pypi.org"
	}
	return ""
}

// imagePURL names an image. BuildKit writes pkg:docker/NAME@TAG?digest=DIGEST&platform=OS%2FARCH with the name as Docker
// shows it, registry and all; the specification has the registry in repository_url, for pkg:oci with the whole
// repository, and the digest in the version.
func imagePURL(p purl) inputName {
	none := inputName{kind: stemma.InputImage}
	name := strings.Join(p.segments, "/")
	if strings.Contains(p.segments[len(p.segments)-1], ":") {
		return none // a tag, or a port without a repository
	}
	repository, told := p.qualifier("repository_url")
	if !told {
		return none
	}
	repository = strings.TrimSuffix(strings.TrimPrefix(repository, "https://"), "/")
	own, named := parseImage(name)
	switch {
	case p.kind == "oci":
		// There is no registry but the one told; and the name is the last part of the repository, which no second one may
		// contradict.
		if len(p.segments) > 1 || repository[strings.LastIndexByte(repository, '/')+1:] != strings.ToLower(name) || !strings.Contains(repository, "/") {
			return none
		}
		name = repository
	case repository != "":
		if named && own.qualified {
			return none // two registries
		}
		name = repository + "/" + name
	}
	tag, digest := p.version, ""
	if strings.Contains(tag, ":") {
		tag, digest = "", tag
	}
	for _, q := range []struct {
		name string
		into *string
	}{{"tag", &tag}, {"digest", &digest}} {
		value, ok := p.qualifier(q.name)
		if !ok || *q.into != "" && value != "" && value != *q.into {
			return none
		}
		if value != "" {
			*q.into = value
		}
	}
	if tag != "" {
		name += ":" + tag
	}
	if digest != "" {
		name += "@" + digest
	}
	ref, ok := parseImage(name)
	if !ok || repository != "" && !ref.qualified {
		return none
	}
	return imageName(name, true)
}
