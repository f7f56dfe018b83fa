package policy

import (
	"fmt"
	"slices"
	"strings"
)

// publicRegistry reports a registry on which anybody can have repositories.
func publicRegistry(host string) bool {
	return slices.Contains([]string{
		"docker.io", "ghcr.io", "quay.io", "gcr.io", "registry.gitlab.com", "public.ecr.aws", "registry.k8s.io", "mcr.microsoft.com", "cgr.dev",
	}, host) || strings.HasSuffix(host, ".pkg.dev") || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".azurecr.io")
}

// whole reports a component that stands for every name.
func whole(component string) bool { return part(component) == "*" || component == "**" }

func wideImages(l *linter) {
	for _, p := range l.set.policies {
		for i, image := range p.spec.Match.Images {
			parts := image.components()
			at := fmt.Sprintf("match.images[%d]", i)
			switch {
			case strings.ContainsAny(parts[0], "*{"):
				l.in(p, at, "name the registry: ghcr.io/acme/**", "%q matches images of more than one registry", image)
			case len(parts) > 1 && publicRegistry(parts[0]) && whole(parts[1]):
				l.in(p, at, "name whose images they are: "+parts[0]+"/acme/**", "%q matches everybody's images on %s", image, parts[0])
			}
		}
	}
}

// sources lists the patterns of source repositories of a way to meet a policy, by where they stand.
func (p *loaded) sources() (paths []string, patterns []Pattern) {
	if p.spec.Source == nil {
		return nil, nil
	}
	paths, patterns = []string{"source.repository"}, []Pattern{p.spec.Source.Repository}
	for i, e := range p.spec.Source.Exceptions {
		paths, patterns = append(paths, exceptionPath(i)), append(patterns, e.Repository)
	}
	return paths, patterns
}

func wideSource(l *linter) {
	for _, p := range l.ways() {
		paths, patterns := p.sources()
		for i, s := range patterns {
			if strings.Contains(s.owner(), "*") {
				host, _, _ := strings.Cut(string(s), "/")
				l.in(p, paths[i], "name the owner: "+host+"/acme/…", "%q accepts anybody's repositories on %s", s, host)
			}
		}
	}
}

func severalComponents(l *linter) {
	for _, p := range l.ways() {
		paths, patterns := p.sources()
		for i, s := range patterns {
			parts := s.components()
			if parts[0] != "github.com" && !strings.HasSuffix(parts[0], ".ghe.com") || len(parts) < 3 {
				continue
			}
			if j := slices.IndexFunc(parts[2:], many); j >= 0 {
				one := slices.Clone(parts)
				one[2+j] = strings.Replace(parts[2+j], "**", map[bool]string{true: "*", false: ""}[parts[2+j] == "**"], 1)
				l.in(p, paths[i], fmt.Sprintf("write %q", strings.Join(one, "/")), "%q has several components where a repository of GitHub has one", s)
			}
		}
	}
}

func anySourceRef(l *linter) {
	for _, p := range l.ways() {
		if p.spec.Source == nil {
			continue
		}
		for i, r := range p.spec.Source.Refs {
			if what := openRef(r); what != "" {
				l.in(p, fmt.Sprintf("source.refs[%d]", i), "name the refs that are protected: refs/heads/main, refs/tags/v*", "%q accepts %s", r, what)
			}
		}
	}
}

// distrustsNothing finds entries that are well formed and name nothing, or less than they seem to: names that are compared
// with them have more components, or none of the kind.
func distrustsNothing(l *linter) {
	for _, d := range l.set.distrust {
		for _, list := range []struct {
			key      string
			patterns []Pattern
		}{{"signers", d.spec.Signers}, {"repositories", d.spec.Repositories}, {"builders", d.spec.Builders}, {"runs", d.spec.Runs}} {
			for i, p := range list.patterns {
				if problem, hint := namesNothing(list.key, p); problem != "" {
					l.warn(d.page(), fmt.Sprintf("%s[%d]", list.key, i), hint, "%q %s", p, problem)
				}
			}
		}
		for i, issuer := range d.spec.Issuers {
			if !strings.HasPrefix(issuer, "https://") && !strings.HasPrefix(issuer, "http://") {
				l.warn(d.page(), fmt.Sprintf("issuers[%d]", i), fmt.Sprintf("write %q if it is served by TLS", "https://"+issuer), "%q is no issuer: each is a URL", issuer)
			}
		}
	}
}

// namesNothing says why a pattern of a list of distrust names nothing, or less than it seems to.
func namesNothing(key string, p Pattern) (problem, hint string) {
	parts := Pattern(plainName(string(p))).components()
	open := slices.Contains(parts, "**")
	gitHub := parts[0] == "github.com" || strings.HasSuffix(parts[0], ".ghe.com")
	end := parts[len(parts)-1]
	switch {
	case !strings.ContainsAny(parts[0], ".:*@"):
		return "begins with no host, so that nothing has such a name", fmt.Sprintf("write %q if it is on GitHub", "github.com/"+string(p))
	case key == "repositories" && strings.HasSuffix(end, ".git"):
		return "ends in .git, and no name of a repository does", fmt.Sprintf("write %q", strings.TrimSuffix(string(p), ".git"))
	case key == "repositories" && gitHub && !open && len(parts) != 3:
		return "is no repository of GitHub", "write github.com/owner/repository, or github.com/owner/**"
	case key == "runs" && gitHub && !open && len(parts) != 6 && len(parts) != 8:
		return "is no run of GitHub Actions", "write github.com/owner/repository/actions/runs/NUMBER"
	case key != "signers" || !gitHub:
		return "", ""
	}
	file := parts[min(5, len(parts)-1)]
	base, _, _ := strings.Cut(file, "@")
	with := func(tail string) string {
		return strings.Join(append(slices.Clone(parts[:min(5, len(parts))]), base), "/") + tail
	}
	switch at := strings.Contains(file, "@"); {
	case len(parts) < 6 && (at || !open):
		return "is no workflow, and GitHub signs as workflows only", "write github.com/owner/repository/** for all of a repository"
	case !at:
		return "", "" // at any ref
	case len(parts) == 6 && strings.HasSuffix(file, "*"):
		return "names only those that were called at a commit: a ref has several components", fmt.Sprintf("add %q", with("@*/**"))
	case len(parts) == 7 && !open:
		return "has a ref of two components, and each has three or more", fmt.Sprintf("write %q", with("@*/**"))
	}
	return "", ""
}

// unusedCapture finds captures that bind nothing to anything.
func unusedCapture(l *linter) {
	for _, p := range l.set.policies {
		used := map[string]bool{}
		use := func(patterns ...Pattern) {
			for _, pattern := range patterns {
				for _, name := range pattern.captures() {
					used[name] = true
				}
			}
		}
		for _, q := range p.ways() {
			if s := q.spec.Source; s != nil {
				use(s.Repository)
				use(s.Refs...)
			}
			if in := q.spec.Inputs; in != nil {
				for _, list := range inputLists() {
					use(list.patterns(in)...)
				}
				if in.Parameters != nil {
					use(in.Parameters.Allow...)
				}
			}
		}
		for i, image := range p.spec.Match.Images {
			for _, name := range image.captures() {
				if !used[name] {
					l.in(p, fmt.Sprintf("match.images[%d]", i), fmt.Sprintf("use {%s} in source.repository, or write * for it", name), "{%s} is used nowhere else", name)
				}
			}
		}
	}
}
