package policy

import (
	"fmt"
	"slices"
	"strings"

	"stemma"
)

// wider says what looser patterns than those that were learned would accept.
func (g *group) wider() []string {
	var out []string
	say := func(format string, args ...any) {
		if text := comment(fmt.Sprintf(format, args...)); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for _, b := range g.builders {
		switch {
		case b.GitHub != nil:
			parts := strings.SplitN(string(b.GitHub.Workflow), "/", 3)
			repository := parts[0] + "/" + parts[1]
			say("builders.%s: refs/tags/** would also accept every tag that anyone may push in %s, and refs/heads/** every branch", b.name, repository)
			say("builders.%s: %s/.github/workflows/* would also accept every workflow that is ever added to %s", b.name, repository, repository)
			if c := b.GitHub.Caller; c != nil && c.OwnerID != "" {
				say("builders.%s: without caller.ownerID every owner who may call the workflow, and whoever takes the name after a transfer or a deletion", b.name)
			}
			if c := b.GitHub.Caller; c != nil && c.RepositoryID != "" {
				say("builders.%s: without caller.repositoryID every repository of owner %s, and one of the same name that is made anew", b.name, c.OwnerID)
			}
		case b.GitLab != nil:
			say("builders.%s: configRefs refs/heads/** would also accept every branch that a developer of the project may push", b.name)
			say("builders.%s: without projectIDs or groupIDs every project that includes the configuration, and whoever takes the path", b.name)
		case b.OIDC != nil:
			say("builders.%s: another issuer could have given the subject to somebody else", b.name)
		case len(b.Keys) > 0:
			say("builders.%s: without id the key would speak for every builder.id that it ever signs", b.name)
		}
		if b.CloudBuild != nil || b.Tekton != nil {
			say("builders.%s: without its block every tenant for whom the key signs", b.name)
		}
		if c := b.form().controls(); len(c.events) > 0 {
			say("builders.%s: without events (%s) builds that pull requests, issues or comments start", b.name, strings.Join(c.events, ", "))
		}
		if c := b.form().controls(); c.runner != "" {
			say("builders.%s: without runner builds on any machine that is registered for the repository", b.name)
		}
	}
	if len(g.spec.Match.Images) == 1 && g.image > 0 {
		say("match %s is about every repository of that form, not only those %d; without {name} in source.repository each could be built from any of the others' sources", g.spec.Match.Images[0], len(g.images))
	}
	sources := []*Source{g.spec.Source}
	for _, a := range g.spec.AnyOf {
		sources = append(sources, a.Source)
	}
	for _, s := range sources {
		if s == nil {
			continue
		}
		parts := strings.Split(string(s.Repository), "/")
		say("source.repository %s/** would also accept images from every repository there", strings.Join(parts[:len(parts)-1], "/"))
		say("source.refs refs/heads/** would also accept what nobody has reviewed, and refs/tags/** every tag that anyone may push")
		if len(s.RepositoryIDs) > 0 {
			say("without source.repositoryIDs a repository of the same name after a transfer or a deletion")
		}
		if s.SaidBy == SaidBy(stemma.SaidByCertificate) {
			say("source.saidBy builder or tenant would also accept a repository that only the provenance names")
		}
	}
	return out
}
