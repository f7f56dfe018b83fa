package foreign

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// plainName reports whether text may stand in the name of a repository.
func plainName(text string) bool {
	return text != "" && text != "." && text != ".." && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// repository writes a name, or the beginning of one, as patterns have it: with its host, that of Docker Hub under its one
// name. Behind it whole components may follow. It is "" when no repository has the name.
func repository(name string) string {
	host, rest, several := strings.Cut(name, "/")
	switch {
	case len(name) > maxPattern:
		return ""
	case host == "index.docker.io" || host == "registry-1.docker.io":
		host = "docker.io"
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		host, rest, several = "docker.io", name, true
	}
	if !several || !plainName(strings.Replace(host, ":", "", 1)) {
		return ""
	}
	for c := range strings.SplitSeq(rest, "/") {
		if !plainName(c) {
			return ""
		}
	}
	return host + "/" + rest
}

// official adds the namespace of official images, which their short names lack.
func official(name string) string {
	if rest, ok := strings.CutPrefix(name, "docker.io/"); ok && !strings.Contains(rest, "/") {
		return "docker.io/library/" + rest
	}
	return name
}

// untagged is a name without a tag and a digest.
func untagged(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if at := strings.LastIndexByte(name, '/') + 1; at > 0 || strings.Count(name, ":") == 1 {
		if colon := strings.IndexByte(name[at:], ':'); colon >= 0 {
			name = name[:at+colon]
		}
	}
	return name
}

// wider are patterns of all images that a wildcard may mean, and of more: those behind the components before its first
// star, or the one repository that it names.
func wider(text, wild string) []string {
	at := strings.IndexAny(text, wild)
	if at < 0 {
		if whole := repository(untagged(text)); whole != "" {
			return []string{official(whole)}
		}
		return []string{"**"}
	}
	slash := strings.LastIndexByte(text[:at], '/')
	if slash <= 0 || slash > maxPattern {
		return []string{"**"}
	}
	if name := untagged(text[:at]); len(name) < at {
		// The star is in the tag.
		if whole := repository(name); whole != "" {
			return []string{official(whole)}
		}
		return []string{"**"}
	}
	for beginning := text[:slash]; beginning != ""; beginning = above(beginning) {
		whole := repository(beginning)
		if !strings.Contains(beginning, "/") && strings.ContainsAny(beginning, ".:") {
			whole = strings.TrimSuffix(repository(beginning+"/x"), "/x") // a host alone
		}
		if whole != "" && len(whole) < maxPattern {
			return []string{whole + "/**"}
		}
	}
	return []string{"**"}
}

// above is a name without its last component.
func above(name string) string { return name[:max(0, strings.LastIndexByte(name, '/'))] }

// controllerImages reads the images of a ClusterImagePolicy. An image that no policy is about is refused there, so that a
// policy about more images would admit some of them, and one about fewer leave some to the others that are about them:
// images that no pattern says are refused.
func (p part) controllerImages() {
	for _, item := range p.items() {
		item.each(map[string]func(part){
			"glob": func(p part) {
				if patterns, ok := p.controllerGlob(p.text()); ok {
					p.about(patterns)
					return
				}
				p = p.t.policy(p, "images of", p.in.name)
				p.in.images = wider(p.text(), "*")
				p.lost("write patterns of images, and remove the policy that refuses them", "no pattern says %q: images of %s are refused", p.text(), p.in.images[0])
			},
		})
	}
}

// controllerGlob writes a glob of policy-controller, which it holds against the name with its digest: a star is any text
// without a slash, two are any text.
func (p part) controllerGlob(text string) ([]string, bool) {
	switch text {
	case "*", "*/*":
		p.told("a glob that means images on Docker Hub alone")
		text = map[string]string{"*": "docker.io/library/*", "*/*": "docker.io/*/*"}[text]
	case "**", "**/**", "*/**", "**/*":
		return []string{"**"}, true
	}
	if rest, ok := strings.CutPrefix(text, "index.docker.io/"); ok {
		text = "docker.io/" + rest
	}
	parts := strings.Split(text, "/")
	last := len(parts) - 1
	if last == 0 && strings.Contains(text, "**") || len(text) > maxPattern || strings.Count(text, "**") > maxDeep {
		return nil, false // of any host, or of none; or longer than a pattern
	}
	for i, c := range parts[:last] {
		name := strings.ReplaceAll(c, "*", "")
		if i == 0 {
			name = strings.Replace(name, ":", "", 1)
		}
		if c != "**" && (strings.Contains(c, "**") || name != "" && !plainName(name) || c == "") {
			return nil, false
		}
	}
	// A name is compared as it was written, too: without the host, and without the namespace of official images.
	before := []string{strings.TrimSuffix(text, parts[last])}
	switch first := parts[0]; {
	case last == 0:
		before = []string{"docker.io/library/"}
	case !strings.ContainsAny(first, ".:*") && first != "localhost":
		before[0] = "docker.io/" + before[0]
	case first != "**" && strings.Contains(first, "*"):
		if !strings.ContainsAny(first, ".:") {
			before = append(before, "docker.io/"+before[0])
		}
		if like(first, "docker.io") || like(first, "index.docker.io") {
			before = append(before, "docker.io"+strings.TrimPrefix(before[0], first))
		}
	}
	if slices.Contains(before, "docker.io/") {
		before = append(before, "docker.io/library/")
	}
	return p.controllerName(before, parts[last])
}

// like reports whether text is what a glob of one component stands for.
func like(glob, text string) bool {
	parts := strings.Split(glob, "*")
	last := len(parts) - 1
	text, ok := strings.CutPrefix(text, parts[0])
	if last == 0 || !ok {
		return ok && text == ""
	}
	for _, part := range parts[1:last] {
		if _, text, ok = strings.Cut(text, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(text, parts[last])
}

// controllerName is the last component of a glob, behind each of the beginnings.
func (p part) controllerName(before []string, c string) ([]string, bool) {
	behind := func(names ...string) (out []string) {
		for _, b := range before {
			for _, name := range names {
				out = append(out, b+name)
			}
		}
		return out
	}
	if c == "**" || c == "*" {
		return behind(c), true
	}
	deep := strings.HasSuffix(c, "**")
	repository := untagged(c)
	if tag := c[len(repository):]; tag == ":*" || tag == ":**" || tag == "" && !strings.HasSuffix(c, "*") {
		if strings.Contains(repository, "**") || !plainName(strings.ReplaceAll(repository, "*", "")) {
			return nil, false
		}
		p.told("a glob of tags is about all images of the repository, which are judged by their digests")
		out := behind(repository)
		for i := range out {
			out[i] = official(out[i])
		}
		return out, true
	}
	stem := strings.TrimSuffix(strings.TrimSuffix(c, "*"), "*")
	if !deep {
		stem = strings.TrimSuffix(c, "*")
	}
	if strings.Contains(stem, "**") || strings.HasSuffix(stem, "*") || !plainName(strings.ReplaceAll(stem, "*", "")) {
		return nil, false
	}
	if deep {
		return behind(stem+"*", stem+"*/**"), true
	}
	return behind(stem + "*"), true
}

// kyvernoImages reads the images of a rule. An image that no rule is about is admitted there, so that a rule about more
// images than it was is the stricter one: what no pattern says is widened.
func (p part) kyvernoImages() {
	patterns, ok := kyvernoImage(p.text())
	if !ok {
		patterns = wider(p.text(), "*?")
		p.told("no pattern says %q: the policy is about all images of %s", p.text(), patterns[0])
	}
	p.about(patterns)
}

// maxImages is how many patterns of images a policy has.
const maxImages = 500

// about adds patterns of images that the policy is about.
func (p part) about(patterns []string) {
	for _, pattern := range patterns {
		if len(pattern) > maxPattern || strings.Count(pattern, "**") > maxDeep {
			pattern = "**"
			p.told("a pattern that is longer than any: the policy is about all images")
		}
		if !slices.Contains(p.in.images, pattern) {
			p.in.images = append(p.in.images, pattern)
		}
	}
	if len(p.in.images) > maxImages {
		p.t.problem = cmp.Or(p.t.problem, fmt.Errorf("%s:%d: %w: over %d patterns of images", p.file, p.node.Line, ErrLarge, maxImages))
	}
}

// maxDeep is how many components of a pattern stand for several.
const maxDeep = 4

// skipped reads images that a rule is not about: exactly, or not at all. Kyverno holds them against a name with its tag or
// digest, so that only a star at the end means all of a repository.
func (p part) skipped() {
	patterns, ok := kyvernoImage(p.text())
	host, _, _ := strings.Cut(p.text(), "/")
	hosted := strings.ContainsAny(host, ".:") && host != "index.docker.io" && host != "registry-1.docker.io" || host == "localhost" || strings.HasPrefix(host, "*")
	if rest, hub := strings.CutPrefix(p.text(), "docker.io/"); hub && rest != "*" {
		// An official image may be asked for with its namespace or without.
		hosted = strings.Contains(rest, "/") && !strings.HasPrefix(rest, "library/")
	}
	if name := p.text(); !ok || !hosted || len(name) > maxPattern || len(p.in.except) > maxImages || !strings.HasSuffix(name, "*") || strings.ContainsAny(name[strings.LastIndexByte(name, '/')+1:], ":@") {
		p.leftOut("write except by hand", "no pattern says %q: these images are not skipped", name)
		return
	}
	p.in.except = append(p.in.except, patterns...)
	p.told("images that are skipped are under no policy, and refused: write unmatched, or a policy of their own")
}

// kyvernoImage writes an image of Kyverno, whose star goes over slashes: as it is, or with all tags and digests, or not.
func kyvernoImage(text string) ([]string, bool) {
	name := strings.TrimSuffix(strings.TrimSuffix(text, "@*"), ":*")
	if name == "*" || name == "*/*" {
		return []string{"**"}, true
	}
	first := strings.IndexAny(name, "*?")
	if first < 0 {
		whole := repository(untagged(name))
		return []string{official(whole)}, whole != ""
	}
	stem, star := strings.CutSuffix(name, "*")
	if !star || first != len(stem) || !strings.Contains(stem, "/") || strings.Contains(stem[strings.LastIndexByte(stem, '/'):], ":") {
		return nil, false
	}
	if above, ok := strings.CutSuffix(stem, "/"); ok {
		whole := repository(above + "/x")
		return []string{strings.TrimSuffix(whole, "x") + "**"}, whole != ""
	}
	whole := repository(stem)
	out := []string{whole + "*", whole + "*/**"}
	if long := official(whole); long != whole {
		out = append(out, long+"*")
	}
	return out, whole != ""
}
