package policy

import (
	"fmt"
	"slices"
	"strings"

	"stemma"
)

// inputs refuses lists that could never match what they are meant for, or that match more than anybody means: a list
// that is believed to constrain a build and does not is worse than none.
func (c *checker) inputs(p *loaded) {
	c.identifiers(p)
	in := p.spec.Inputs
	if in == nil {
		return
	}
	const at = "spec.inputs"
	if p.spec.Provenance == nil {
		c.fail(at, "add provenance: {by: [...]}", "inputs are read from provenance, and this policy does not say whose provenance counts")
	}
	switch {
	case !constrained(in) && in.Hermetic == "" && in.Parameters == nil:
		c.fail(at, "write images, git, http, actions, packages, digests, declared, hermetic or parameters", "inputs requires nothing")
	case in.Unreported != "" && !listed(in):
		c.fail(at+".unreported", "write images, git, http, actions or packages, or remove it", "unreported is about the kinds that a list is written for, and there is none")
	}
	for _, l := range inputLists() {
		for i, pattern := range l.patterns(in) {
			path := fmt.Sprintf("%s.%s[%d]", at, l.key, i)
			if c.input(l.kind, path, string(pattern)) {
				c.captured(path, pattern, p.spec.Match.Images)
			}
		}
	}
	if in.Parameters != nil {
		for i, pattern := range in.Parameters.Allow {
			c.captured(fmt.Sprintf("%s.parameters.allow[%d]", at, i), pattern, p.spec.Match.Images)
		}
	}
}

// input checks a pattern for one kind of inputs and reports whether it could match one.
func (c *checker) input(kind stemma.InputKind, path, pattern string) bool {
	wrong := func(hint, format string, args ...any) bool {
		c.fail(path, hint, format, args...)
		return false
	}
	first, rest, _ := strings.Cut(pattern, "/")
	if kind == stemma.InputPackage && (strings.HasPrefix(pattern, "pkg:") || !strings.HasSuffix(pattern, "/**")) {
		return c.purl(path, pattern)
	}
	if kind == stemma.InputAction && !strings.ContainsAny(first, ".:") {
		switch name, version, ok := strings.Cut(pattern, "@"); {
		case ok:
			return wrong(fmt.Sprintf("write %q; digests: required asks for commits", name), "%q has a version, %q, which is no part of the name of an action", pattern, version)
		case strings.ContainsAny(first, "*{"):
			return wrong("name the owner: actions/**", "%q accepts actions of any owner", pattern)
		case rest == "":
			return wrong(fmt.Sprintf("write %q", pattern+"/**"), "%q is an owner, and no action", pattern)
		}
		return true
	}
	// What begins with a host: a wildcard may stand for names below a domain, and for no domain.
	host, wild := strings.CutPrefix(first, "*.")
	switch {
	case strings.ContainsAny(host, "*{"), wild && !strings.Contains(host, "."):
		return wrong("name the host; a list that accepts everything can be left out", "%q accepts any host", pattern)
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		hint := "begin with a host: dl.acme.example/**"
		switch {
		case kind == stemma.InputImage && rest == "":
			hint = fmt.Sprintf("write docker.io/library/%s if it is on Docker Hub", pattern)
		case kind == stemma.InputImage:
			hint = fmt.Sprintf("write docker.io/%s if it is on Docker Hub", pattern)
		case kind == stemma.InputGit && rest == "":
			hint = fmt.Sprintf("write github.com/%s/** if it is on GitHub", pattern)
		case kind == stemma.InputGit:
			hint = fmt.Sprintf("write github.com/%s if it is on GitHub", pattern)
		}
		return wrong(hint, "%q does not begin with the name of a host", pattern)
	case strings.ToLower(first) != first:
		return wrong(fmt.Sprintf("write %q", strings.ToLower(first)+strings.TrimPrefix(pattern, first)), "%q: names of hosts are lower-case", pattern)
	case rest == "":
		return wrong(fmt.Sprintf("write %q", pattern+"/**"), "%q is a host, and nothing on it", pattern)
	}
	return c.onHost(kind, path, pattern, first, rest)
}

// onHost checks what stands behind the host of a pattern.
func (c *checker) onHost(kind stemma.InputKind, path, pattern, host, rest string) bool {
	wrong := func(hint, format string, args ...any) bool {
		c.fail(path, hint, format, args...)
		return false
	}
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	github := host == "github.com" || strings.HasSuffix(host, ".ghe.com")
	switch kind {
	case stemma.InputImage:
		switch {
		case strings.ToLower(rest) != rest:
			return wrong(fmt.Sprintf("write %q", strings.ToLower(pattern)), "%q: names of repositories are lower-case", pattern)
		case strings.ContainsAny(name, ":@"):
			return wrong("name the repository; digests: required asks for digests", "%q has a tag or digest", pattern)
		case host == "docker.io" && !strings.Contains(rest, "/") && !strings.ContainsAny(rest, "*{"):
			return wrong("write docker.io/library/"+rest, "%q is not the whole name of an image on Docker Hub", pattern)
		case host == "index.docker.io" || host == "registry-1.docker.io":
			return wrong("write docker.io/"+rest, "%q: images on Docker Hub have another name", pattern)
		}
	case stemma.InputGit, stemma.InputAction:
		switch {
		case strings.Contains(rest, "@"):
			return wrong("name the repository; digests: required asks for commits", "%q has a ref or commit", pattern)
		case strings.HasSuffix(name, ".git"):
			return wrong(fmt.Sprintf("write %q", strings.TrimSuffix(pattern, ".git")), "%q: names of repositories have no .git", pattern)
		case github && !strings.Contains(rest, "/") && !strings.Contains(rest, "**"):
			return wrong(fmt.Sprintf("write %q", pattern+"/**"), "%q is an owner, and no repository", pattern)
		case github && kind == stemma.InputGit && strings.Count(rest, "/") > 1 && !strings.Contains(rest, "**"):
			parts := strings.Split(rest, "/")
			return wrong(fmt.Sprintf("write %q", host+"/"+parts[0]+"/"+parts[1]), "%q is more than a repository", pattern)
		}
	case stemma.InputPackage:
		if rest != "**" {
			return wrong(fmt.Sprintf("write %q, or the URL of the packages: pkg:npm/@acme/**", host+"/**"), "%q: of a package, the host is compared and no path on it", pattern)
		}
	}
	return true
}

// purl checks a pattern for package URLs.
func (c *checker) purl(path, pattern string) bool {
	wrong := func(hint, format string, args ...any) bool {
		c.fail(path, hint, format, args...)
		return false
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(pattern, "pkg:"), "/")
	last := name[strings.LastIndexByte(name, '/')+1:]
	at := strings.LastIndexByte(last, '@')
	switch {
	case !strings.HasPrefix(pattern, "pkg:") && strings.ContainsAny(kind, "*{"):
		return wrong("name the host or the package: proxy.acme.example/**, pkg:npm/@acme/**", "%q accepts packages from anywhere", pattern)
	case !strings.HasPrefix(pattern, "pkg:") && strings.Contains(kind, ".") && name == "":
		return wrong(fmt.Sprintf("write %q", pattern+"/**"), "%q is a host, and nothing on it", pattern)
	case !strings.HasPrefix(pattern, "pkg:") && name == "":
		return wrong(fmt.Sprintf("write %q with the type that it has", "pkg:npm/"+pattern), "%q is neither a package URL nor a host", pattern)
	case !strings.HasPrefix(pattern, "pkg:") && strings.Contains(kind, "."):
		return wrong(fmt.Sprintf("write %q, or the URL of the packages: pkg:npm/@acme/**", kind+"/**"), "%q: of a package, the host is compared and no path on it", pattern)
	case !strings.HasPrefix(pattern, "pkg:"):
		return wrong(fmt.Sprintf("write %q, or a host: proxy.acme.example/**", "pkg:"+pattern), "%q is neither a package URL nor a host", pattern)
	case strings.ContainsAny(kind, "*{"):
		return wrong("name the type: pkg:npm/@acme/**", "%q accepts packages of any type", pattern)
	case strings.ToLower(kind) != kind:
		return wrong(fmt.Sprintf("write %q", "pkg:"+strings.ToLower(kind)+"/"+name), "%q: types of packages are lower-case", pattern)
	case name == "":
		return wrong(fmt.Sprintf("write %q", pattern+"/**"), "%q is a type, and no package", pattern)
	case at > 0:
		return wrong(fmt.Sprintf("write %q", strings.TrimSuffix(pattern, last[at:])), "%q has a version", pattern)
	}
	return true
}

// captured refuses captures that match.images does not bind: they would match anything.
func (c *checker) captured(path string, pattern Pattern, images []Pattern) {
	for _, name := range pattern.captures() {
		for _, image := range images {
			if !slices.Contains(image.captures(), name) {
				c.fail(path, fmt.Sprintf("write {%s} in it, too", name), "{%s} is not bound by %q", name, image)
			}
		}
	}
}

// identifiers checks the numbers of the source, which no certificate could state if they were names.
func (c *checker) identifiers(p *loaded) {
	if p.spec.Source == nil {
		return
	}
	for i, list := range [][]string{p.spec.Source.RepositoryIDs, p.spec.Source.OwnerIDs} {
		for k, id := range list {
			if strings.Trim(id, "0123456789") != "" || strings.HasPrefix(id, "0") {
				c.fail(fmt.Sprintf("spec.source.%s[%d]", []string{"repositoryIDs", "ownerIDs"}[i], k), "write the number that the certificate states: extension .15 of the repository, .17 of its owner", "%q is not a number", id)
			}
		}
	}
}
