package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// wideIdentity finds identities that are wildcards where each further one they stand for can sign.
func wideIdentity(l *linter) {
	for _, p := range l.identities() {
		switch {
		case p.GitHub != nil:
			parts := p.GitHub.Workflow.components()
			if strings.Contains(parts[1], "*") {
				l.warnNamed(p, "github.workflow", "name the repository", "%q accepts workflows of any such repository of %s", p.GitHub.Workflow, parts[0])
			} else if strings.Contains(strings.Join(parts[4:], "/"), "*") {
				l.warnNamed(p, "github.workflow", "name the file", "%q accepts more than one workflow of %s/%s", p.GitHub.Workflow, parts[0], parts[1])
			}
		case p.GitLab != nil:
			project, file := p.GitLab.Config.halves()
			if project.open() {
				l.warnNamed(p, "gitlab.config", "name the project", "%q accepts configurations of any such project", p.GitLab.Config)
			} else if file.open() {
				l.warnNamed(p, "gitlab.config", "name the file", "%q accepts more than one configuration of %s", p.GitLab.Config, project)
			}
		case p.Buildkite != nil && p.Buildkite.Pipeline.open():
			l.warnNamed(p, "buildkite.pipeline", "name the pipeline", "%q accepts any such pipeline", p.Buildkite.Pipeline)
		}
		if p.builder == nil || p.builder.Tekton == nil {
			continue
		}
		for _, list := range []struct {
			key      string
			patterns []Pattern
		}{{"namespaces", p.builder.Tekton.Namespaces}, {"serviceAccounts", p.builder.Tekton.ServiceAccounts}} {
			for i, pattern := range list.patterns {
				if strings.Trim(string(pattern), "*") == "" {
					l.warnNamed(p, fmt.Sprintf("tekton.%s[%d]", list.key, i), "name them", "%q accepts every tenant of the cluster", pattern)
				}
			}
		}
	}
}

// A branch and a pull request that nobody thought of: whoever can push, or open one, has such a ref.
const (
	anyBranch  = "refs/heads/unheard-of-3f1c7a"
	anyRequest = "refs/pull/31173/merge"
)

// openRef says what else a pattern of refs accepts, or "".
func openRef(p Pattern) string {
	for _, probe := range []struct{ ref, what string }{
		{anyBranch, "any branch"},
		{anyRequest, "pull requests, of forks too"},
		{"refs/merge-requests/31173/head", "merge requests, of forks too"},
	} {
		if accepts([]Pattern{p}, probe.ref) {
			return probe.what
		}
	}
	return ""
}

// anyRef finds builders that are accepted at refs which no review guards.
func anyRef(l *linter) {
	for _, p := range l.identities() {
		refs, key := []Pattern(nil), ""
		switch {
		case p.GitHub != nil:
			refs, key = p.GitHub.WorkflowRefs, "github.workflowRefs"
		case p.GitLab != nil:
			refs, key = p.GitLab.ConfigRefs, "gitlab.configRefs"
		}
		for i, r := range refs {
			if what := openRef(r); what != "" {
				l.warnNamed(p, fmt.Sprintf("%s[%d]", key, i), "name the refs that are protected: refs/heads/main, refs/tags/v*", "%q accepts %s", r, what)
			}
		}
	}
}

// publicWorkflow reports a repository whose workflows are made for everybody to call.
func publicWorkflow(repository string) bool {
	return slices.Contains([]string{"slsa-framework/slsa-github-generator", "docker/github-builder"}, strings.ToLower(repository))
}

// sharedIdentity finds identities of workflows and configurations that others call, of which nothing says who may.
func sharedIdentity(l *linter) {
	all := l.ways()
	for _, p := range l.identities() {
		var repository, key, hint string
		switch {
		case p.GitHub != nil && p.GitHub.Caller == nil:
			parts := p.GitHub.Workflow.components()
			repository = gitHubHost(cmp.Or(p.GitHub.Issuer, GitHubIssuer)) + "/" + parts[0] + "/" + parts[1]
			key, hint = "github.workflow", "add caller: {ownerID: …}, the number of the organisation that may call it"
		case p.GitLab != nil && len(p.GitLab.GroupIDs)+len(p.GitLab.ProjectIDs) == 0:
			project, _ := p.GitLab.Config.halves()
			repository = strings.TrimPrefix(p.GitLab.issuer(), "https://") + "/" + string(project)
			key, hint = "gitlab.config", "add groupIDs or projectIDs, the numbers of those that may run it"
		default:
			continue
		}
		_, name, _ := strings.Cut(repository, "/")
		called, free := publicWorkflow(name), ""
		ways := all
		if p.of != nil {
			ways = p.of.ways()
		}
		for _, q := range ways {
			if l.enough() {
				return
			}
			builds, speaks := q.speaks(p.name)
			source := q.spec.Source
			if builds && source != nil && !covers(foldGitHub(source.Repository), foldGitHub(Pattern(repository))) {
				called = true // its source is another repository, so that it is called
			}
			switch {
			case !builds && !speaks:
			case builds && source == nil:
				free = cmp.Or(free, "the provenance of whoever calls it counts in policy "+q.name+", which has no source")
			case source == nil:
				free = cmp.Or(free, "nothing ties what it signs to a source in policy "+q.name)
			case strings.ContainsAny(source.Repository.owner(), "*{"):
				free = cmp.Or(free, "policy "+q.name+" accepts sources of any owner")
			}
		}
		if called && free != "" {
			l.warnNamed(p, key, hint, "%s can be called by others, and %s", name, free)
		}
	}
}

// speaks reports whether a name counts as a builder, and whether it does for anything else.
func (p *loaded) speaks(name string) (builds, otherwise bool) {
	s := &p.spec
	builds = s.Provenance != nil && slices.Contains(s.Provenance.By.Of, name)
	otherwise = s.Signature != nil && slices.Contains(s.Signature.By.Of, name) ||
		s.SBOM != nil && slices.Contains(s.SBOM.By.Of, name) ||
		s.Vulnerabilities != nil && (slices.Contains(s.Vulnerabilities.By.Of, name) || slices.Contains(s.Vulnerabilities.VEX, name)) ||
		slices.ContainsFunc(s.Attestations, func(a Attested) bool { return slices.Contains(a.By.Of, name) })
	return builds, otherwise
}

// provider is what a service of continuous integration calls its events.
type provider struct {
	name    string
	known   []string // that its certificates can state
	foreign []string // that run what strangers offer or with rights that they start
}

func (g Signer) provider() (p provider, ok bool) {
	switch {
	case g.GitHub != nil:
		return provider{"GitHub Actions", []string{
			"branch_protection_rule", "check_run", "check_suite", "create", "delete", "deployment", "deployment_status", "discussion",
			"discussion_comment", "dynamic", "fork", "gollum", "image_version", "issue_comment", "issues", "label", "merge_group", "milestone",
			"page_build", "public", "pull_request", "pull_request_review", "pull_request_review_comment", "pull_request_target", "push",
			"registry_package", "release", "repository_dispatch", "schedule", "status", "watch", "workflow_dispatch", "workflow_run",
		}, []string{
			"discussion", "discussion_comment", "fork", "issue_comment", "issues", "pull_request", "pull_request_review",
			"pull_request_review_comment", "pull_request_target", "watch", "workflow_run",
		}}, true
	case g.GitLab != nil:
		return provider{"GitLab CI", []string{
			"api", "chat", "external", "external_pull_request_event", "merge_request_event", "ondemand_dast_scan", "ondemand_dast_validation",
			"parent_pipeline", "pipeline", "push", "schedule", "security_orchestration_policy", "trigger", "web", "webide",
		}, []string{"external_pull_request_event", "merge_request_event"}}, true
	case g.Buildkite != nil:
		return provider{"Buildkite", []string{"api", "schedule", "trigger_job", "ui", "webhook"}, nil}, true
	}
	return provider{}, false
}

func openEvents(l *linter) {
	for _, p := range l.builders() {
		if service, ok := p.provider(); ok && len(p.form().controls().events) == 0 {
			l.warnNamed(p, p.form().key(), "add events: ["+map[string]string{"GitHub Actions": "push, release", "GitLab CI": "push, web", "Buildkite": "webhook"}[service.name]+"]",
				"%s accepts builds that any event started", p.name)
		}
	}
}

func dangerousEvent(l *linter) {
	l.eachEvent(func(p written, service provider, path, event string) {
		if slices.Contains(service.foreign, event) {
			l.warnNamed(p, path, "remove it, and release from push or release", "%s starts builds of, or on behalf of, strangers", event)
		}
	})
}

func unknownEvent(l *linter) {
	l.eachEvent(func(p written, service provider, path, event string) {
		if !slices.Contains(service.known, event) {
			l.warnNamed(p, path, suggestion(event, service.known), "%s has no event %q that starts a build", service.name, event)
		}
	})
}

func (l *linter) eachEvent(visit func(p written, service provider, path, event string)) {
	for _, p := range l.identities() {
		if service, ok := p.provider(); ok {
			for i, event := range p.form().controls().events {
				visit(p, service, fmt.Sprintf("%s.events[%d]", p.form().key(), i), event)
			}
		}
	}
}

func openRunner(l *linter) {
	for _, p := range l.builders() {
		service, ok := p.provider()
		if !ok || p.builder.Level != 3 || p.form().controls().runner != "" {
			continue
		}
		hosted := map[string]string{"GitHub Actions": "github-hosted", "GitLab CI": "gitlab-hosted", "Buildkite": "buildkite-hosted"}[service.name]
		l.warnNamed(p, "level", "add runner: "+hosted, "%s is credited with level 3 on any machine", p.name)
	}
}

// mailbox reports a subject that is an address of a person, as far as one can tell, and whether anybody can have one of
// its kind. An address of a service account is none.
func mailbox(o *OIDC) (address, free bool) {
	if o == nil || strings.Contains(o.Subject, "/") {
		return false, false
	}
	_, host, ok := strings.Cut(o.Subject, "@")
	host = strings.ToLower(host)
	if !ok || host == "" || strings.HasSuffix(host, ".gserviceaccount.com") {
		return false, false
	}
	label, _, _ := strings.Cut(host, ".")
	return true, slices.Contains([]string{
		"gmail", "googlemail", "outlook", "hotmail", "live", "msn", "yahoo", "ymail", "icloud", "me", "mac", "aol", "proton", "protonmail",
		"pm", "gmx", "web", "mail", "zoho", "yandex", "qq", "163", "126", "fastmail", "hey", "tutanota", "tuta",
	}, label) && strings.Count(host, ".") <= 2
}

func personalIdentity(l *linter) {
	for _, p := range l.identities() {
		switch address, free := mailbox(p.OIDC); {
		case free:
			l.warnNamed(p, "oidc.subject", "name an identity of a service, or an address of the organisation", "%s is a mailbox that the organisation does not control", p.OIDC.Subject)
		case address && p.builder != nil:
			l.warnNamed(p, "oidc.subject", "name the service that builds", "builder %s is a person, %s", p.name, p.OIDC.Subject)
		}
	}
}

func emailIdentity(l *linter) {
	for _, p := range l.identities() {
		if address, free := mailbox(p.OIDC); address && !free && p.builder == nil {
			l.warnNamed(p, "oidc.subject", "if nobody in person must decide this, name a service account", "%s is whoever reads mail to %s", p.name, p.OIDC.Subject)
		}
	}
}

func keyLevel(l *linter) {
	for _, p := range l.builders() {
		b := p.builder
		if b.Level != 3 || b.Tekton != nil || b.CloudBuild != nil || b.BuildKit != nil {
			continue
		}
		switch {
		case b.Internal != nil:
			l.warnNamed(p, "level", "write level: 2, or keep it after a review of who can write what internal points at", "%s is credited with level 3 for fields of its own making", p.name)
		case len(b.Keys) > 0:
			l.warnNamed(p, "level", "write level: 2, or keep it after a review of who can use the key", "%s is credited with level 3 on the word of whoever holds a key", p.name)
		}
	}
}

// provesNoTime finds domains that require nothing to prove a time: those that admit it, or the others.
func provesNoTime(admitted bool) func(*linter) {
	return func(l *linter) {
		for i, t := range l.set.spec.Trust {
			at := fmt.Sprintf("trust[%d]", i)
			switch {
			case t.Requires.Log != None || t.Requires.Timestamp != None || (t.Time == None) != admitted:
			case admitted:
				l.warn(l.set.page(), at+".time", "require a timestamp or a log entry if the signer can get one", "of a signature of %s nothing says when it was made", t.Name)
			default:
				l.warn(l.set.page(), at+".requires", "require a timestamp or a log entry, or write time: none", "%s requires neither a log entry nor a timestamp, and yet a proven signing time", t.Name)
			}
		}
	}
}

func keyEnded(l *linter) {
	for i, t := range l.set.spec.Trust {
		for k, key := range t.Keys {
			at := fmt.Sprintf("trust[%d].keys[%d].until", i, k)
			switch {
			case l.ended(key.Until):
				l.warn(l.set.page(), at, "add the key that follows it, and keep this one as long as images that it signed are deployed", "key %s signs nothing that counts since it ended on %s", key.Name, onDay(key.Until))
			case l.ends(key.Until, 30):
				l.warn(l.set.page(), at, "add the key that follows it", "key %s ends on %s", key.Name, onDay(key.Until))
			}
		}
	}
}

func keyWithoutEnd(l *linter) {
	for i, t := range l.set.spec.Trust {
		for k, key := range t.Keys {
			if key.Until.IsZero() {
				l.warn(l.set.page(), fmt.Sprintf("trust[%d].keys[%d].name", i, k), "add until: and the day on which it is replaced", "key %s never ends", key.Name)
			}
		}
	}
}
