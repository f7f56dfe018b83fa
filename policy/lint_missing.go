package policy

import (
	"fmt"
	"slices"
	"strings"
)

// pinned reports a builder whose identity is that of one project, or of which no certificate names a repository.
func (b Builder) pinned() bool {
	switch {
	case b.GitHub != nil:
		return b.GitHub.Caller != nil && b.GitHub.Caller.RepositoryID != ""
	case b.GitLab != nil:
		return len(b.GitLab.ProjectIDs) > 0 && len(b.GitLab.GroupIDs) == 0
	}
	return b.Buildkite != nil || b.CircleCI != nil || b.OIDC != nil
}

func noSource(l *linter) {
	for _, p := range l.ways() {
		if p.spec.Provenance == nil || p.spec.Source != nil {
			continue
		}
		for _, name := range p.spec.Provenance.By.Of {
			if !p.builders[name].pinned() {
				l.in(p, "provenance", `add source: {repository: "github.com/acme/{service}"}`, "what %s builds is accepted, whatever it was built from", name)
				break
			}
		}
	}
}

// manyImages reports whether a policy is about more than one repository of images.
func (p *loaded) manyImages() bool {
	images := p.spec.Match.Images
	return len(images) > 1 || slices.ContainsFunc(images, Pattern.open)
}

func untiedSource(l *linter) {
	for _, p := range l.ways() {
		if s := p.spec.Source; s != nil && p.manyImages() && s.Repository.open() && len(s.Repository.captures()) == 0 {
			l.in(p, "source.repository", `tie them by a capture: images: ["ghcr.io/acme/{service}"] and repository: "github.com/acme/{service}"`, "each image of policy %s may come from any of %q", p.name, s.Repository)
		}
	}
}

func oneSource(l *linter) {
	for _, p := range l.ways() {
		if s := p.spec.Source; s != nil && p.manyImages() && !s.Repository.open() {
			l.in(p, "source.repository", "if each has a repository of its own, tie them by a capture: {service}", "all images of policy %s come from %s", p.name, s.Repository)
		}
	}
}

func sbomSigner(l *linter) {
	for _, p := range l.ways() {
		if p.spec.Provenance == nil {
			continue
		}
		compare := func(path string, by By) {
			for _, name := range by.Of {
				if !slices.Contains(p.spec.Provenance.By.Of, name) {
					l.in(p, path, "let the builder attest it", "%s, who does not build, says what is in the image", name)
				}
			}
		}
		if p.spec.SBOM != nil {
			compare("sbom.by", p.spec.SBOM.By)
		}
		for i, a := range p.spec.Attestations {
			if strings.HasPrefix(a.Type, "https://spdx.dev/") || strings.HasPrefix(a.Type, "https://cyclonedx.org/") {
				compare(fmt.Sprintf("attestations[%d].by", i), a.By)
			}
		}
	}
}

func unknownSeverity(l *linter) {
	for _, p := range l.ways() {
		if v := p.spec.Vulnerabilities; v != nil && !slices.Contains(v.None, "unknown") {
			l.in(p, "vulnerabilities.none", "add unknown", "vulnerabilities of unknown severity are no matter to policy %s", p.name)
		}
	}
}

// noIDs is about one repository by its name, of which the certificates of its builders state the numbers.
func noIDs(l *linter) {
	for _, p := range l.ways() {
		s := p.spec.Source
		if s == nil || p.spec.Provenance == nil || s.Repository.open() || len(s.RepositoryIDs)+len(s.OwnerIDs) > 0 {
			continue
		}
		byName := slices.ContainsFunc(p.spec.Provenance.By.Of, func(name string) bool {
			b := p.builders[name]
			return b.GitHub != nil && b.GitHub.Caller == nil || b.GitLab != nil && len(b.GitLab.GroupIDs)+len(b.GitLab.ProjectIDs) == 0
		})
		if byName {
			l.in(p, "source.repository", "add ownerIDs or repositoryIDs, which inspect shows", "%s is whoever has that name", s.Repository)
		}
	}
}
