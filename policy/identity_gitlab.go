package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"stemma"
)

const gitLabIssuer = "https://gitlab.com"

func (p *ConfigPath) decodeYAML(d *decoder, n *yaml.Node, path string) {
	s := d.text(n, path)
	if s == "" {
		return
	}
	project, file, _ := strings.Cut(s, "//")
	problem, hint := fmt.Sprintf("%q is not the path of a CI configuration", s), "write group/project//path, with two slashes once, without scheme and host"
	if strings.Contains(project, "/") && file != "" && file[0] != '/' && !strings.Contains(s, "://") && !strings.Contains(file, "//") {
		if problem, hint = checkPattern(project); problem == "" {
			problem, hint = checkPattern(file)
		}
	}
	if problem == "" && strings.Contains(s, "@") {
		problem, hint = fmt.Sprintf("%q names a ref or another project", s), "write the refs in configRefs, and group and project before the two slashes"
	}
	if problem != "" {
		d.fail(n, hint, "%s: %s", last(path), problem)
		return
	}
	*p = ConfigPath(s)
}

// halves are the patterns of the project and of the file in it.
func (p ConfigPath) halves() (project, file Pattern) {
	before, after, _ := strings.Cut(string(p), "//")
	return Pattern(before), Pattern(after)
}

func (p ConfigPath) match(project, file string) bool {
	a, b := p.halves()
	_, ok := a.match(project, nil)
	if ok {
		_, ok = b.match(file, nil)
	}
	return ok
}

// gitLabConfig is what the subject of a job of GitLab says, "https://HOST/group/project//path@refs/heads/main". The host
// must be the issuer's. A file and a ref may both hold "@refs/", so that "x@refs/tags/v1@refs/heads/y" is a file on a
// branch to one reader and a tag to another: such a subject is none, and so is one with two slashes twice.
//
// Case counts: GitLab takes a path in any case, and its tokens have it as it was created, which no rule can tell.
func gitLabConfig(issuer, subject string) (project, file, ref string, ok bool) {
	base, secure := strings.CutPrefix(issuer, "https://")
	path, here := strings.CutPrefix(subject, issuer+"/")
	project, rest, found := strings.Cut(path, "//")
	file, ref, named := strings.Cut(rest, "@refs/")
	ref = "refs/" + ref
	if !secure || base == "" || !here || !found || !named || file == "" || strings.Contains(ref, "@refs/") || !stemma.IsRef(ref) ||
		strings.Contains(file, "//") || strings.ContainsAny(file, "%?#\\ ") {
		return "", "", "", false
	}
	canonical, err := stemma.CanonicalRepository("https://" + base + "/" + project)
	return project, file, ref, err == nil && canonical == base+"/"+project
}

func (GitLab) key() string { return "gitlab" }

func (g GitLab) controls() controls { return controls{events: g.Events, runner: g.Runner} }

func (g GitLab) issuer() string { return cmp.Or(g.Issuer, gitLabIssuer) }

// describe writes it as certificates do.
func (g GitLab) describe() string {
	refs := make([]string, len(g.ConfigRefs))
	for i, r := range g.ConfigRefs {
		refs[i] = string(r)
	}
	return strings.TrimPrefix(g.issuer(), "https://") + "/" + string(g.Config) + "@" + strings.Join(refs, " or ")
}

func (g GitLab) differs(id stemma.Identity) difference {
	subject := strings.TrimPrefix(id.Subject, "https://")
	if id.Issuer != g.issuer() {
		return difference{stemma.ReasonIssuer, describe(id) + ", issuer " + quoteEmpty(id.Issuer), g.describe() + ", issuer " + g.issuer(), "gitlab.issuer", 2}
	}
	project, file, ref, ok := gitLabConfig(id.Issuer, id.Subject)
	if !ok {
		return difference{stemma.ReasonBuilder, describe(id), g.describe(), "gitlab.config", 3}
	}
	// GitLab's certificates name the configuration three times; one that names two is not GitLab's.
	config, signed := id.Claims[stemma.ClaimBuildConfigURI], id.Claims[stemma.ClaimBuildSignerURI]
	switch {
	case signed == "":
		return difference{stemma.ReasonNotStated, "no build signer URI", g.describe(), "gitlab.config", 3}
	case signed != id.Subject:
		return difference{stemma.ReasonBuilder, subject + ", build signer URI " + signed, g.describe(), "gitlab.config", 3}
	case config != "" && config != id.Subject:
		return difference{stemma.ReasonBuilder, subject + ", build config URI " + config, g.describe(), "gitlab.config", 3}
	}
	if !g.Config.match(project, file) {
		return difference{stemma.ReasonBuilder, subject, g.describe(), "gitlab.config", 3 + common(project+"//"+file, string(g.Config))}
	}
	if !slices.ContainsFunc(g.ConfigRefs, func(p Pattern) bool { _, ok := p.match(ref, nil); return ok }) {
		return difference{stemma.ReasonBuilderRef, subject, g.describe(), "gitlab.configRefs", 20}
	}
	if d := ofMergeRequest(id); d.reason != "" && len(g.Events) == 0 {
		return d
	}
	return g.owned(id)
}

// ofMergeRequest refuses the pipeline of a merge request. That of a fork's runs what the fork offers, in the name of the
// project that it is offered to, and its ref is the fork's branch, which may be called main: no list of refs keeps it out.
func ofMergeRequest(id stemma.Identity) difference {
	if event := id.Claims[stemma.ClaimBuildTrigger]; event == "merge_request_event" {
		return difference{stemma.ReasonTrigger, event + ": the branch may be that of a fork", "a pipeline of the project's own refs, or this event in events", "gitlab.events", 21}
	}
	return difference{}
}

// owned compares the ids of group and project; one of those that are listed is enough.
func (g GitLab) owned(id stemma.Identity) difference {
	var got, want []string
	reason, path := stemma.ReasonNotStated, ""
	for _, list := range []struct {
		name, key, claim string
		ids              []string
	}{
		{"group", "groupIDs", id.Claims[stemma.ClaimSourceOwnerID], g.GroupIDs},
		{"project", "projectIDs", id.Claims[stemma.ClaimSourceRepositoryID], g.ProjectIDs},
	} {
		switch {
		case len(list.ids) == 0:
			continue
		case list.claim != "" && slices.Contains(list.ids, list.claim):
			return difference{}
		case list.claim != "":
			reason = stemma.ReasonCaller
		}
		got = append(got, list.name+" "+quoteEmpty(list.claim))
		want = append(want, list.name+" "+strings.Join(list.ids, " or "))
		path = cmp.Or(path, "gitlab."+list.key)
	}
	if len(want) == 0 {
		return difference{}
	}
	return difference{reason, strings.Join(got, ", ") + caller(id), strings.Join(want, ", or "), path, 22}
}

// check refuses what would accept jobs that nobody meant, and what no certificate has.
func (g GitLab) check(c *checker, path string) {
	host, secure := strings.CutPrefix(g.issuer(), "https://")
	canonical, err := stemma.CanonicalRepository(g.issuer() + "/x")
	if !secure || err != nil || canonical != host+"/x" || strings.Contains(host, "/") {
		c.fail(join(path, "issuer"), "write https:// and the host: https://gitlab.com", "%q is not the issuer of a GitLab", g.issuer())
	}
	project, file := g.Config.halves()
	at := join(path, "config")
	if owner, _, _ := strings.Cut(string(project), "/"); strings.ContainsAny(owner, "*{") {
		// "*/ci//image.yml" would accept a project of that name in anybody's group.
		c.fail(at, "name the group", "%q accepts projects of any group", g.Config)
	} else if owner == host {
		c.fail(at, fmt.Sprintf("write %q", strings.TrimPrefix(string(g.Config), host+"/")), "%q has the host, which issuer says", g.Config)
	}
	c.noCaptures(at, project)
	c.noCaptures(at, file)
	if len(g.ConfigRefs) == 0 {
		// Whoever can push a branch could change the configuration there and sign.
		c.fail(path, `write configRefs: [refs/heads/main, "refs/tags/v*"]`, "%s does not say at which refs the configuration is accepted", last(path))
	}
	for i, r := range g.ConfigRefs {
		at := fmt.Sprintf("%s[%d]", join(path, "configRefs"), i)
		c.noCaptures(at, r)
		if !strings.HasPrefix(string(r), "refs/") {
			c.fail(at, fmt.Sprintf("write refs/heads/%s or refs/tags/%s", r, r), "%q is not a full ref", r)
		}
	}
	number := func(name string, ids []string) {
		for i, id := range ids {
			if strings.Trim(id, "0123456789") != "" || strings.HasPrefix(id, "0") {
				c.fail(fmt.Sprintf("%s[%d]", join(path, name), i), "write the number, which does not change when the name does", "%q is not an id of GitLab", id)
			}
		}
	}
	number("groupIDs", g.GroupIDs)
	number("projectIDs", g.ProjectIDs)
	c.machine(path, g.Runner, "gitlab-hosted", "self-hosted")
}

// noCaptures refuses {x} in what is shared by images.
func (c *checker) noCaptures(path string, p Pattern) {
	for _, captured := range p.captures() {
		c.fail(path, "write * for one component", "{%s} cannot be used here: builders are shared by images", captured)
	}
}

// machine refuses a kind of runner that no certificate of the service names.
func (c *checker) machine(path, runner string, known ...string) {
	if runner != "" && !slices.Contains(known, runner) {
		c.fail(join(path, "runner"), suggestion(runner, known), "unknown runner %q", runner)
	}
}
