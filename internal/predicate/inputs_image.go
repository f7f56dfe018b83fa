package predicate

import (
	"strings"

	"stemma"
)

// imageRef is an image reference taken apart.
type imageRef struct {
	repository string // canonical: "docker.io/library/debian", "localhost:5000/app"
	host       string
	tag        string
	digest     stemma.Digest
	qualified  bool // it names its registry
}

// parseImage reads "registry/repository[:tag][@digest]" as Docker does: without a registry it is one on docker.io, and
// there without an owner one in library. The rules are those of the references that users type.
func parseImage(s string) (imageRef, bool) {
	var ref imageRef
	if len(s) > maxClaim {
		return ref, false
	}
	name, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest {
		d, err := stemma.ParseDigest(digest)
		if err != nil {
			return ref, false
		}
		ref.digest = d
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		if name, ref.tag = name[:i], name[i+1:]; !isTag(ref.tag) {
			return ref, false
		}
	}
	host, path, ok := strings.Cut(name, "/")
	if ref.qualified = ok && (strings.ContainsAny(host, ".:") || strings.EqualFold(host, "localhost")); !ref.qualified {
		host, path = "docker.io", name
	}
	if host, ok = hostPort(host, "443"); !ok {
		return ref, false
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = "docker.io"
	}
	if host == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	for c := range strings.SplitSeq(path, "/") {
		if !isPathComponent(c) {
			return ref, false
		}
	}
	ref.host, ref.repository = host, host+"/"+path
	return ref, true
}

// isTag follows the OCI distribution specification: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
func isTag(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if !unreserved(s[i]) || s[i] == '~' {
			return false
		}
	}
	return true
}

// isPathComponent follows the same: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*.
func isPathComponent(s string) bool {
	separators := ""
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'z':
			if separators != "" && separators != "." && separators != "_" && separators != "__" && strings.Trim(separators, "-") != "" {
				return false
			}
			separators = ""
		case i > 0 && strings.IndexByte("._-", c) >= 0:
			separators += s[i : i+1]
			if len(separators) > 64 {
				return false
			}
		default:
			return false
		}
	}
	return s != "" && separators == ""
}

func imageName(reference string, plain bool) inputName {
	n := inputName{kind: stemma.InputImage}
	if ref, ok := parseImage(reference); ok && plain {
		n.canonical, n.host, n.version = ref.repository, ref.host, ref.tag
		n.algorithm, n.value = ref.digest.Algorithm(), ref.digest.Hex()
	}
	return n
}
