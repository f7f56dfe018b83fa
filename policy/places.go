package policy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"stemma"
)

// Kinds of an EvidencePlace.
const (
	InRepository       = "repository"
	InGitHub           = "github"
	InGitLab           = "gitlab"
	InArtifactAnalysis = "artifact-analysis"
	InArchivista       = "archivista"
)

// EvidencePlace is one place besides an image's own repository where evidence about it may lie.
type EvidencePlace struct {
	Kind string // InRepository, or the service
	Of   string // the repository; or what is asked of the service: "acme/app", "gitlab.com/acme/app", a project, a URL
}

// Places lists the further places of evidence that the set declares for a repository, by its canonical name: those of
// every entry of evidence that fits it, in the order of the set, each once. There are never more than 16.
func (s *Set) Places(repository string) []EvidencePlace {
	var out []EvidencePlace
	for _, a := range s.spec.Evidence {
		vars, ok := a.For.match(repository, nil)
		if !ok {
			continue
		}
		for _, p := range a.places() {
			p.Of = Pattern(p.Of).expand(vars)
			// What was captured is part of a name that nobody of ours wrote.
			if problem, _ := p.check(); problem == "" && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// maxPlaces bounds the places of evidence of a whole set: each costs requests for every image.
const maxPlaces = 16

func (a Alternate) places() []EvidencePlace {
	var out []EvidencePlace
	for _, r := range a.Also {
		out = append(out, EvidencePlace{InRepository, r})
	}
	for _, p := range []EvidencePlace{{InGitHub, a.GitHub}, {InGitLab, a.GitLab}, {InArtifactAnalysis, a.ArtifactAnalysis}, {InArchivista, a.Archivista}} {
		if p.Of != "" {
			out = append(out, p)
		}
	}
	return out
}

// check says what is wrong with a place, whose captures were replaced.
func (p EvidencePlace) check() (problem, hint string) {
	parts := strings.Split(p.Of, "/")
	plain := func(parts []string) bool {
		return !slices.ContainsFunc(parts, func(c string) bool { return c == "." || c == ".." || !onlyOf(c, lower+upper+digits+"._-") })
	}
	switch p.Kind {
	case InRepository:
		if !canonicalName(p.Of) {
			return fmt.Sprintf("%q is not the name of a repository", p.Of), "write it in full: registry.corp.example/evidence"
		}
	case InGitHub:
		// The names of owners have no dots: what has one is the host of an Enterprise.
		if len(parts) > 1 && parts[0] != "github.com" && strings.ContainsAny(parts[0], ".:") && isHost(parts[0]) {
			parts = parts[1:]
		}
		if len(parts) > 2 || !plain(parts) {
			return fmt.Sprintf("%q is neither an owner nor a repository of GitHub", p.Of), "write acme/app or acme; of an Enterprise, ghe.example.com/acme/app"
		}
	case InGitLab:
		if len(parts) < 3 || !isHost(parts[0]) || !plain(parts[1:]) {
			return fmt.Sprintf("%q is not a project of GitLab", p.Of), "write it with its host: gitlab.com/acme/app"
		}
	case InArtifactAnalysis:
		if !onlyOf(p.Of, lower+digits+"-.:") {
			return fmt.Sprintf("%q is not the id of a project of Google Cloud", p.Of), "write the id of the project: acme-images"
		}
	case InArchivista:
		u, err := url.Parse(p.Of)
		if err != nil || u.Scheme != "https" || !isHost(u.Host) || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(p.Of, "?#{}") {
			return fmt.Sprintf("%q is not the URL of a server", p.Of), "write https://archivista.example"
		}
	}
	return "", ""
}

func (c *checker) alternates(list []Alternate) {
	total := 0
	for i, a := range list {
		path := fmt.Sprintf("spec.evidence[%d]", i)
		c.images(join(path, "for"), a.For)
		places := a.places()
		if total += len(places); len(places) == 0 {
			c.fail(path, "write also: [registry.corp.example/evidence], or a service", "%s names no place", last(path))
		}
		for k, p := range places {
			at := join(path, map[string]string{
				InRepository: fmt.Sprintf("also[%d]", k), InGitHub: "github", InGitLab: "gitlab", InArtifactAnalysis: "artifactAnalysis", InArchivista: "archivista",
			}[p.Kind])
			vars := map[string]string{}
			for _, name := range a.For.captures() {
				vars[name] = "x"
			}
			unbound := slices.DeleteFunc(Pattern(p.Of).captures(), func(name string) bool { return vars[name] != "" })
			if len(unbound) > 0 {
				c.fail(at, fmt.Sprintf("write {%s} in it, too", unbound[0]), "{%s} is not bound by %q", unbound[0], a.For)
				continue
			}
			expanded := p
			expanded.Of = Pattern(p.Of).expand(vars)
			if problem, hint := expanded.check(); problem != "" {
				c.fail(at, hint, "%s", problem)
			}
		}
	}
	if total > maxPlaces {
		c.fail("spec.evidence", "every place is asked about every image: keep those that are needed", "%d places of evidence, limit %d", total, maxPlaces)
	}
}

// Canonical maps the repository of a mirror to the one that it mirrors, which is what policies match. The first mirror
// of the set that fits says it, once: what it says is not mapped again. A mirror whose answer would not be the canonical
// name of a repository does not apply. Without one the repository is what it is called.
func (s *Set) Canonical(repository string) (canonical string, mirrored bool) {
	return s.spec.canonical(repository)
}

// below lists the policies with a base block by which a chain may be judged: the policy itself, and those that it names.
func (s *Set) below(p *loaded, known []*loaded) []*loaded {
	if p.spec.Base == nil || slices.Contains(known, p) {
		return known
	}
	known = append(known, p)
	for _, name := range p.spec.Base.policies() {
		for _, q := range s.policies {
			if q.name == name && q.namespace == "" {
				known = s.below(q, known)
			}
		}
	}
	return known
}

// called is the canonical name of a repository, which may be that of a mirror.
func (s *SetSpec) called(repository string) string {
	if name, mirrored := s.canonical(repository); mirrored {
		return name
	}
	return repository
}

func (s *SetSpec) canonical(repository string) (canonical string, mirrored bool) {
	for _, m := range s.Mirrors {
		vars, ok := m.From.match(repository, nil)
		if !ok {
			continue
		}
		name := m.Is.expand(vars)
		if head, open := strings.CutSuffix(name, "**"); open {
			// Each component before it stands for one.
			name = head + strings.Join(strings.Split(repository, "/")[strings.Count(string(m.From), "/"):], "/")
		}
		if name != repository && canonicalName(name) {
			return name, true
		}
	}
	return repository, false
}

// mirrors holds mirrors to a form in which one copy is a copy of one repository, and the other way round: names of whole
// components, the same on both sides, and one open end.
func (c *checker) mirrors(list []Mirror) {
	for i, m := range list {
		path := fmt.Sprintf("spec.mirrors[%d]", i)
		sound := c.mirrored(join(path, "from"), m.From)
		sound = c.mirrored(join(path, "is"), m.Is) && sound
		from, is := m.From.captures(), m.Is.captures()
		free := func(a, b []string) string {
			for _, name := range a {
				if !slices.Contains(b, name) {
					return name
				}
			}
			return ""
		}
		switch {
		case !sound:
		case m.From == m.Is:
			c.fail(join(path, "is"), "write what it is a copy of", "%q is mapped onto itself", m.From)
		case strings.HasSuffix(string(m.From), "**") != strings.HasSuffix(string(m.Is), "**"):
			c.fail(join(path, "is"), "end both with /**, or neither", "%q and %q do not both end with '**'", m.From, m.Is)
		case free(is, from) != "":
			c.fail(join(path, "is"), fmt.Sprintf("write {%s} in it, too", free(is, from)), "{%s} is not bound by %q", free(is, from), m.From)
		case free(from, is) != "":
			// Repositories of which some are written by others would all have the name of one.
			c.fail(join(path, "is"), fmt.Sprintf("write {%s} in it, too", free(from, is)), "{%s} of %q is lost, so different repositories would have one name", free(from, is), m.From)
		case slices.ContainsFunc(list[:i], func(o Mirror) bool { return o.From == m.From }):
			c.fail(join(path, "from"), "keep one", "%q stands twice", m.From)
		}
	}
}

// mirrored checks one side of a mirror.
func (c *checker) mirrored(path string, p Pattern) bool {
	before := len(c.d.errs)
	parts := strings.Split(string(p), "/")
	if !isHost(parts[0]) {
		c.fail(path, "name the registry: docker.io/**", "%q does not begin with the name of one registry", p)
		return false
	}
	if parts[0] != dockerName(parts[0]) || parts[0] == "docker.io" && len(parts) == 2 && parts[1] != "**" {
		c.fail(path, "write docker.io and two components: docker.io/library/alpine", "%q is not how a repository of Docker Hub is called", p)
		return false
	}
	for i, part := range parts[1:] {
		_, several, capture := capture(part)
		switch {
		case part == "**" && i+2 == len(parts):
		case several || part == "**":
			c.fail(path, "write {x} for one component and ** at the end for all that follow", "%q has an open part before its end", p)
		case strings.Contains(part, "*"):
			c.fail(path, "write {x} for a whole component", "%q has a '*', which has no counterpart on the other side", p)
		case !capture && !canonicalPart(part):
			c.fail(path, "names of repositories are lower-case, without tag and digest", "%q is not the name of a repository", p)
		}
	}
	if len(parts) < 2 {
		c.fail(path, "write host/repository", "%q is not the name of a repository", p)
	}
	return len(c.d.errs) == before
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

func onlyOf(s, characters string) bool { return s != "" && strings.Trim(s, characters) == "" }

// canonicalName reports whether s is what a reference is parsed to: host[:port] and path, as the distribution
// specification has it, in the one form that names a repository.
func canonicalName(s string) bool {
	parts := strings.Split(s, "/")
	if len(s) > 255 || len(parts) < 2 || !isHost(parts[0]) || parts[0] != dockerName(parts[0]) {
		return false
	}
	if parts[0] == "docker.io" && len(parts) == 2 {
		return false // its canonical form has "library"
	}
	return !slices.ContainsFunc(parts[1:], func(c string) bool { return !canonicalPart(c) })
}

// canonicalPart is "[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*".
func canonicalPart(s string) bool {
	letters := func(r rune) bool { return strings.ContainsRune(lower+digits, r) }
	for rest := s; ; {
		i := strings.IndexFunc(rest, func(r rune) bool { return !letters(r) })
		if i < 0 {
			return rest != ""
		}
		rest = rest[i:]
		k := strings.IndexFunc(rest, letters)
		if i == 0 || k < 0 {
			return false
		}
		if separator := rest[:k]; separator != "." && separator != "_" && separator != "__" && strings.Trim(separator, "-") != "" {
			return false
		}
		rest = rest[k:]
	}
}

// isHost reports a name that can only be a registry's or a server's: it has a dot or a port, or is localhost.
func isHost(s string) bool {
	name, port, ported := strings.Cut(s, ":")
	if ported && (!onlyOf(port, digits) || port == "443") {
		return false
	}
	return onlyOf(name, lower+digits+".-") && strings.Trim(name, ".-") == name && !strings.Contains(name, "..") &&
		(strings.Contains(name, ".") || ported || name == "localhost")
}

// dockerName is the host that a registry is called by: Docker Hub answers to several.
func dockerName(host string) string {
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		return "docker.io"
	}
	return host
}

// repositoryOf is the canonical name of the repository in a reference, however it is written.
func repositoryOf(reference string) string {
	name, _, _ := strings.Cut(reference, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	host, path, ok := strings.Cut(name, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, path = "docker.io", name
	}
	host = dockerName(strings.TrimSuffix(strings.ToLower(host), ":443"))
	if host == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return host + "/" + path
}

// Needs is what a set can read of an image, as plain data: what a look at the image has to bring. The zero Needs is the
// image itself and the evidence filed under its own digest, which are always looked at.
type Needs struct {
	// Children: the manifests that an index lists, and the evidence about each.
	Children bool
	// Platforms, with Children, are the only children that are needed; none means all. A child is needed that one of them
	// takes (stemma.Platform.Takes), however it is spelled; so are one whose platform is not told, which may be of any,
	// and an index, whatever platform it is listed with.
	Platforms []stemma.Platform
	// Indexes: the bytes of an index that lists the manifest asked for, the attestation manifests about it in there, and
	// evidence about that index.
	Indexes bool
	// Unsigned: statements that nobody signed, and attached files. Statements in a manifest that is signed as a whole are
	// not of them: they are always needed.
	Unsigned bool
	// Base: what the image stands on, and so down. Files, with it: the files of bases that layers above replace or delete.
	// Tags, with it: to what the tags lead by which bases were named.
	Base, Files, Tags bool
}

// Needs states what the set can read of an image of a repository, by its canonical name. Evidence outside of it changes
// no outcome of any finding, nor verdict, effect, level or Decided; at most an explanation says less without it.
//
// A set of which no policy matches needs nothing. Indexes that list the image are needed in any case: evidence about them
// counts under platforms: index alone, and what the attestation manifests in them say of the image counts always. Children
// are needed under platforms: index only to see that the platforms of the situation are listed; under all, every child;
// under nodes and a list, those platforms. No rule reads what nobody signed.
//
// A rule of one's own may look at what an index lists.
func (s *Set) Needs(repository string, situation stemma.Situation) Needs {
	if !slices.ContainsFunc(s.policies, func(p *loaded) bool { _, _, ok := p.spec.Match.match(repository); return ok }) {
		return Needs{}
	}
	mode, list := s.spec.Platforms.wanted(situation)
	n := Needs{Indexes: true, Children: mode != platformsIndex || len(list) > 0 || s.lookAtPlatforms()}
	for _, p := range s.policies {
		if _, _, ok := p.matches(repository, situation); !ok {
			continue
		}
		n.Base = n.Base || p.spec.Base != nil || p.onBase || len(s.spec.Derived) > 0
		for _, q := range s.below(p, nil) {
			n.Files, n.Tags = n.Files || len(q.spec.Base.DenyOverwrite) > 0, n.Tags || q.spec.Base.Newer != ""
		}
	}
	if n.Base {
		// Which provenance the image's digest covers, and what it stands on, is told by statements that nobody signed, too.
		n.Children, n.Unsigned = true, true
	}
	for _, w := range list {
		if w.platform == (stemma.Platform{}) {
			// It makes no sense, so nothing is of it, and image.platform says so.
			continue
		}
		n.Platforms = append(n.Platforms, w.normal())
	}
	return n
}
