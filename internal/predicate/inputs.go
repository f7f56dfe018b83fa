package predicate

import (
	"maps"
	"strings"

	"stemma"
)

// inputs reads resolvedDependencies or materials.
func (r *reader) inputs(j *stemma.JSON) []stemma.Input {
	if absent(j) {
		return nil
	}
	if !j.IsArray() {
		r.malformed(j, "an array")
		return nil
	}
	out := make([]stemma.Input, 0, len(j.Elems()))
	for _, e := range j.Elems() {
		r.object(e, true)
		for _, name := range []string{"name", "uri", "mediaType"} {
			r.text(e.At(name), false)
		}
		digest := e.At("digest")
		r.digests(digest)
		d := stemma.ResourceDescriptor{
			Name: e.At("name").Text(), URI: e.At("uri").Text(), MediaType: e.At("mediaType").Text(),
			Annotations: e.At("annotations").Raw(),
		}
		for _, k := range digest.Elems() {
			if d.Digest == nil {
				d.Digest = make(map[string]string, len(digest.Elems()))
			}
			d.Digest[k.Name()] = k.Text()
		}
		out = append(out, r.input(d, e.Pointer()))
	}
	return out
}

// input is the normal form of a dependency: its kind, its one name and where it came from. A digest that stands in the
// URI only is added to the digests; one that contradicts them leaves the input without a name, so that no list accepts it.
func (r *reader) input(d stemma.ResourceDescriptor, where string) stemma.Input {
	n := nameInput(d.URI, d.Digest)
	in := stemma.Input{ResourceDescriptor: d, Kind: n.kind, Canonical: n.canonical, Host: n.host, Version: n.version, By: r.grade, Where: where}
	if n.canonical == "" || n.value == "" {
		return in
	}
	if n.algorithm == "gitCommit" {
		for alg, v := range d.Digest {
			if namesCommit(alg, v) && len(v) == len(n.value) && v != n.value {
				return r.torn(in)
			}
		}
		if hasCommit(d.Digest) {
			return in
		}
	} else if v, ok := d.Digest[n.algorithm]; ok {
		if v != n.value {
			return r.torn(in)
		}
		return in
	}
	in.Digest = maps.Clone(d.Digest)
	if in.Digest == nil {
		in.Digest = map[string]string{}
	}
	in.Digest[n.algorithm] = n.value
	return in
}

// torn takes the name from an input whose URI and digests are of two things.
func (r *reader) torn(in stemma.Input) stemma.Input {
	r.note("the URI at %s names another digest than stands beside it", in.Where)
	in.Canonical, in.Host = "", ""
	return in
}

// inputName is what a URI says of an input.
type inputName struct {
	kind             stemma.InputKind
	canonical        string
	host             string
	version          string
	algorithm, value string // the digest that the URI holds
}

// nameInput gives an input its kind and its one name. It is total, and what two readers could understand differently has
// no name: names are compared with lists of what is accepted, and must not be had by a trick of case or encoding.
// Source: CVE-2021-41087, CVE-2026-39821.
func nameInput(uri string, digest map[string]string) inputName {
	n := inputForm(uri, digest)
	if len(n.canonical) > maxInputName {
		return inputName{kind: n.kind}
	}
	return n
}

// maxInputName is the longest name of an input, in bytes. Encoding makes a name longer than the URI was.
const maxInputName = 1024

// inputForm tells the forms of URIs apart.
func inputForm(uri string, digest map[string]string) inputName {
	scheme, rest := cutScheme(uri)
	plain := len(uri) <= maxClaim && !strings.ContainsFunc(uri, func(c rune) bool { return c <= ' ' || c >= 0x7f })
	switch scheme {
	case "pkg":
		return packageName(rest, plain)
	case "oci", "docker", "docker-image", "docker-image+blob", "docker-pullable":
		return imageName(rest, plain)
	case "http", "https":
		return webName(scheme, rest, digest, plain)
	case "git", "ssh", "git+https", "git+http", "git+ssh", "git+git":
		return gitName(scheme+"://"+rest, plain)
	case "":
		return bareName(uri, digest, plain)
	}
	return inputName{kind: stemma.InputOther}
}

// cutScheme takes the scheme from a URI, in lower case. What stands before a colon without slashes is a host or a
// directory, except for package URLs.
func cutScheme(uri string) (scheme, rest string) {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok || scheme == "" || len(scheme) > 32 || strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+.-") != "" {
		return "", uri
	}
	scheme = strings.ToLower(scheme)
	if scheme == "pkg" {
		return scheme, strings.TrimLeft(rest, "/")
	}
	if rest, ok = strings.CutPrefix(rest, "//"); ok {
		return scheme, rest
	}
	if scheme == "file" || strings.HasPrefix(scheme, "oci-") || scheme == "oci" {
		return "file", rest // oci:DIR is a layout
	}
	return "", uri
}

// bareName names what stands without a scheme: git@host:path, a repository beside its commit, or an image as container
// tools write it. What could be several of these is of no known kind.
func bareName(uri string, digest map[string]string, plain bool) inputName {
	if uri == "" {
		return inputName{kind: stemma.InputOther}
	}
	if strings.HasPrefix(uri, "git@") || hasCommit(digest) && !hasContent(digest) {
		return gitName(uri, plain)
	}
	if n, ok := actionName(uri, plain); ok {
		return n
	}
	image, ok := parseImage(uri)
	if ok && plain && (image.digest != "" || image.qualified && (image.tag != "" || hasContent(digest))) {
		return imageName(uri, plain)
	}
	return inputName{kind: stemma.InputOther}
}

func gitName(uri string, plain bool) inputName {
	n := inputName{kind: stemma.InputGit}
	repository, revision, err := stemma.ParseRepository(uri)
	if err != nil || !plain {
		return n
	}
	n.canonical, n.version = repository, revision
	n.host, _, _ = strings.Cut(repository, "/")
	if stemma.IsCommit(revision) {
		n.algorithm, n.value = "gitCommit", revision
	}
	return n
}

// webName names what is fetched by URL: a repository, where the URI or a commit beside it says so, a workflow or action
// in one, else a file.
func webName(scheme, rest string, digest map[string]string, plain bool) inputName {
	address, _, _ := strings.Cut(rest, "#")
	_, explicit := digest["gitCommit"]
	if strings.HasSuffix(address, ".git") || explicit {
		return gitName(scheme+"://"+rest, plain)
	}
	if n, ok := actionName(rest, plain); ok {
		return n
	}
	if hasCommit(digest) && !hasContent(digest) {
		if n := gitName(scheme+"://"+rest, plain); n.canonical != "" {
			return n
		}
	}
	n := inputName{kind: stemma.InputHTTP}
	if plain {
		n.canonical, n.host = webAddress(scheme, address)
	}
	return n
}

// webAddress is host and path of a URL, "" for one without a single meaning. The query is no part of it, so that a list
// of addresses is one of places.
func webAddress(scheme, rest string) (canonical, host string) {
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, _ = strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	port := "443"
	if scheme == "http" {
		port = "80"
	}
	host, ok := hostPort(authority, port)
	if !ok {
		return "", ""
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if s == "" && i == len(segments)-1 {
			continue // a directory
		}
		if segments[i], ok = pathSegment(s); !ok {
			return "", ""
		}
	}
	return host + "/" + strings.Join(segments, "/"), host
}

// pathSegment is a segment of a path with the digits of its percent-encoding in upper case. What decodes into the syntax
// of paths, into what needs no encoding, or into what would be decoded again is none.
func pathSegment(s string) (string, bool) {
	if s == "" || s == "." || strings.Contains(s, "..") {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			decoded, ok := unhex(s[i+1:])
			if !ok || decoded < ' ' || decoded == 0x7f || unreserved(decoded) || strings.IndexByte("%/\\", decoded) >= 0 {
				return "", false
			}
			b.WriteString(strings.ToUpper(s[i : i+3]))
			i += 2
		case unreserved(c), strings.IndexByte("!$&'()*+,;=:@", c) >= 0:
			b.WriteByte(c)
		default:
			return "", false
		}
	}
	return b.String(), true
}

// unhex decodes the two digits that s begins with.
func unhex(s string) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	const digits = "0123456789abcdef"
	high, low := strings.IndexByte(digits, s[0]|0x20), strings.IndexByte(digits, s[1]|0x20)
	if high < 0 || low < 0 || s[0] < '0' || s[1] < '0' {
		return 0, false
	}
	return byte(high<<4 | low), true
}

// unreserved reports whether a character stands for itself in a URI, so that encoding it is a disguise.
func unreserved(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-._~", c) >= 0
}

// hostPort is a host in lower case, with its port if that is not the usual one. A name of one label names something in
// one network only, and is taken with a port, as registries there are written, or as localhost.
func hostPort(authority, usual string) (string, bool) {
	host, port, hasPort := strings.Cut(strings.ToLower(authority), ":")
	if hasPort && (len(port) > 5 || !isDigits(port) || port[0] == '0' || len(port) == 5 && port > "65535") {
		return "", false
	}
	if !stemma.IsHost(host) && host != "localhost" && (!hasPort || !stemma.IsHost(host+".local")) {
		return "", false
	}
	if !hasPort || port == usual {
		return host, stemma.IsHost(host) || host == "localhost"
	}
	return host + ":" + port, true
}

// actionName names a workflow or an action by the file that defines it: "github.com/acme/build/.github/workflows/x.yml@v1",
// "github.com/acme/tool/sub/action.yml@v1".
func actionName(rest string, plain bool) (inputName, bool) {
	n := inputName{kind: stemma.InputAction}
	path, _ := cutRef(rest)
	file := path[strings.LastIndexByte(path, '/')+1:]
	if file != "action.yml" && file != "action.yaml" && !strings.Contains(path, "/.github/workflows/") {
		return n, false
	}
	parts := strings.SplitN(path, "/", 4)
	host, _ := hostPort(parts[0], "443")
	if !isGitHubHost(host) || len(parts) < 4 {
		return n, false // a file of that name elsewhere is a file
	}
	if !plain {
		return n, true
	}
	below := parts[3]
	if below == file {
		below = ""
	} else if file == "action.yml" || file == "action.yaml" {
		if below = strings.TrimSuffix(below, "/"+file); below == "" {
			return n, true
		}
	}
	return action(host, parts[1], parts[2], below, versionBehind(rest, path)), true
}

func versionBehind(rest, path string) string { return strings.TrimPrefix(rest[len(path):], "@") }

func isGitHubHost(host string) bool {
	return host == "github.com" || strings.HasSuffix(host, ".ghe.com")
}

// action is the name of an action or workflow as workflows write it: "actions/checkout", "github/codeql-action/init",
// "acme/build/.github/workflows/x.yml", with the host before it where that is not github.com.
func action(host, owner, repository, below, version string) inputName {
	n := inputName{kind: stemma.InputAction}
	canonical, revision, err := stemma.ParseRepository("https://" + host + "/" + owner + "/" + repository)
	if err != nil || revision != "" || strings.Contains(owner, ".") {
		return n
	}
	for s := range strings.SplitSeq(below, "/") {
		if below != "" && (s == "" || s == "." || strings.Contains(s, "..") || strings.ContainsFunc(s, func(c rune) bool {
			return c >= 0x7f || !unreserved(byte(c)) && c != '+'
		})) {
			return n
		}
	}
	if below != "" {
		canonical += "/" + below
	}
	n.canonical, n.host, n.version = strings.TrimPrefix(canonical, "github.com/"), host, version
	if stemma.IsCommit(version) {
		n.algorithm, n.value = "gitCommit", version
	}
	return n
}

// hasCommit reports whether a digest set holds the name of a commit, which builders write under three keys.
func hasCommit(digest map[string]string) bool {
	for alg, v := range digest {
		if namesCommit(alg, v) {
			return true
		}
	}
	return false
}

// hasContent reports whether a digest set holds the digest of a content. A sha256 of 40 digits is none: GitLab and Azure
// write commits so.
func hasContent(digest map[string]string) bool {
	for alg, v := range digest {
		if _, err := stemma.NewDigest(alg, v); err == nil {
			return true
		}
	}
	return false
}
