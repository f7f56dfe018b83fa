package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stemma"
)

// tally counts in how many images a value was seen.
type tally map[string]map[*studied]bool

func (t tally) add(value string, image *studied) {
	if t[value] == nil {
		t[value] = map[*studied]bool{}
	}
	t[value][image] = true
}

// values lists what was seen, and nothing when something was not stated.
func (t tally) values() []string {
	if len(t[""]) > 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(t))
}

// single is the value that all have, or "".
func (t tally) single() string {
	if all := t.values(); len(all) == 1 {
		return all[0]
	}
	return ""
}

// lesson is what is learned for one policy: its content, and what each line of it rests on.
type lesson struct {
	spec   Spec
	basis  map[string]string
	left   []string // what is not written, and why
	images []*studied
	varies bool // the images are of repositories whose names are those of their sources, and there may be more
}

func (g *lesson) because(path, format string, args ...any) {
	g.basis[path] = fmt.Sprintf(format, args...)
}

func (g *lesson) leave(format string, args ...any) {
	// What is told is bounded, however many parameters somebody set.
	if text := comment(fmt.Sprintf(format, args...)); len(g.left) <= maxItems && !slices.Contains(g.left, text) {
		g.left = append(g.left, text)
	}
}

// of is "certificate extension .17 of 3 of 3 images".
func (g *lesson) of(where string, n int) string {
	if len(g.images) == 1 {
		return where + " of the one image"
	}
	return fmt.Sprintf("%s of %d of %d images", where, n, len(g.images))
}

// all writes the basis of a list, item by item.
func (g *lesson) all(path, where string, t tally, values []string) {
	for i, v := range values {
		g.because(fmt.Sprintf("%s[%d]", path, i), "%s", g.of(where, len(t[v])))
	}
}

// claimed counts the values of a certificate extension. Those of GitHub before 2023 have some under another number.
func claimed(all []exhibit, claims ...string) tally {
	t := tally{}
	for _, s := range all {
		value := ""
		for _, c := range claims {
			value = cmp.Or(value, s.attestation.Signer.Claims[c])
		}
		t.add(value, s.image)
	}
	return t
}

// literal reports whether a pattern of this text matches exactly this text. A ref that is called {x} would match any.
func literal(text string) bool {
	problem, _ := checkPattern(text)
	return problem == "" && !strings.ContainsAny(text, "*{}") && !slices.ContainsFunc(strings.Split(text, "/"), notCanonical)
}

// isGitHub reports whether an identity can be written as a workflow.
func isGitHub(id stemma.Identity) (w stemma.Workflow, ok bool) {
	w, ok = stemma.ParseWorkflow(id.Subject)
	g := GitHub{Issuer: id.Issuer, Workflow: Pattern(w.Path), WorkflowRefs: []Pattern{Pattern(w.Ref)}, WorkflowCommits: []string{w.Ref}}
	isCommit := len(w.Ref) == 40 && stemma.IsCommit(w.Ref)
	ok = ok && strings.HasPrefix(id.Issuer, "https://token.actions.") && strings.Count(w.Path, "/") == 4 && literal(w.Path) &&
		(isCommit || strings.HasPrefix(w.Ref, "refs/") && literal(w.Ref)) && g.differs(id).reason == ""
	return w, ok
}

// isGitLab reports whether an identity can be written as a CI configuration of GitLab.
func isGitLab(id stemma.Identity) (project, file, ref string, ok bool) {
	project, file, ref, ok = gitLabConfig(id.Issuer, id.Subject)
	g := GitLab{
		Issuer: id.Issuer, Config: ConfigPath(project + "//" + file), ConfigRefs: []Pattern{Pattern(ref)}, Events: []string{id.Claims[stemma.ClaimBuildTrigger]},
	}
	ok = ok && literal(project) && literal(file) && literal(ref) && !strings.Contains(project+file, "@") && strings.Contains(project, "/") && g.differs(id).reason == ""
	return project, file, ref, ok
}

// formOf is the form in which an identity is written, and what of it makes two identities the same signer at another ref.
// Wild replaces the part of a path that varies with the name of the image, for the source that the identity builds.
func formOf(id stemma.Identity, wild func(path string) string) (form, key string) {
	switch {
	case id.KeyID != "":
		form, key = "keys", id.KeyID
	default:
		form, key = "oidc", id.Subject
		if w, ok := isGitHub(id); ok {
			form, key = "github", wild(foldOwner(w.Path))
		} else if project, file, _, ok := isGitLab(id); ok {
			form, key = "gitlab", wild(project)+"//"+file
		} else if pipeline, found := strings.CutPrefix(id.Subject, buildkiteHost); found && literal(pipeline) && (Buildkite{Pipeline: Pattern(pipeline)}).differs(id).reason == "" {
			form, key = "buildkite", pipeline
		} else if c := circleOf(id); c != nil {
			form, key = "circleci", c.Project
		}
	}
	return form, strings.Join([]string{form, id.Trust, id.Issuer, key}, "\x00")
}

// circleOf is an identity as a pipeline definition of CircleCI, or nil.
func circleOf(id stemma.Identity) *CircleCI {
	rest, ok := strings.CutPrefix(id.Subject, circleCIProjects)
	project, definition, found := strings.Cut(rest, circleCIPipeline)
	organization, _ := strings.CutPrefix(strings.TrimPrefix(id.Issuer, circleCIIssuer), "/org/")
	c := &CircleCI{Organization: organization, Project: project, Definitions: []string{definition}}
	if !ok || !found || !isUUID(project) || !isUUID(definition) || organization != "" && !isUUID(organization) || c.differs(id).reason != "" {
		return nil
	}
	return c
}

// signer writes the identity that all of these were signed by, at the refs and under the controls that they have.
func (g *lesson) signer(path string, all []exhibit, wild func(string) string) Signer {
	id := all[0].attestation.Signer
	out := Signer{Trust: id.Trust}
	images := map[*studied]bool{}
	for _, s := range all {
		images[s.image] = true
	}
	g.because(path+".trust", "%s", g.of("trust domain that verified the signatures", len(images)))
	form, _ := formOf(id, wild)
	at := join(path, form)
	switch form {
	case "keys":
		names := tally{}
		for _, s := range all {
			names.add(s.attestation.Signer.KeyID, s.image)
		}
		out.Keys = names.values()
		g.all(at, "key of the trust domain "+id.Trust+", which a PolicySet declares: signer", names, out.Keys)
	case "github":
		out.GitHub = g.gitHub(at, all, wild, len(images))
	case "gitlab":
		out.GitLab = g.gitLab(at, all, wild, len(images))
	case "buildkite":
		out.Buildkite = &Buildkite{Pipeline: Pattern(strings.TrimPrefix(id.Subject, buildkiteHost))}
		g.because(at+".pipeline", "%s", g.of("certificate SAN", len(images)))
		out.Buildkite.Events, out.Buildkite.Runner = g.controls(at, all, "buildkite-hosted")
	case "circleci":
		out.CircleCI = circleOf(id)
		definitions := tally{}
		for _, s := range all {
			definitions.add(circleOf(s.attestation.Signer).Definitions[0], s.image)
		}
		out.CircleCI.Definitions = definitions.values()
		g.because(at+".organization", "%s", g.of("issuer", len(images)))
		g.because(at+".project", "%s", g.of("certificate SAN", len(images)))
		g.all(at+".definitions", "certificate SAN", definitions, out.CircleCI.Definitions)
	default:
		out.OIDC = &OIDC{Issuer: id.Issuer, Subject: id.Subject}
		g.because(at+".issuer", "%s", g.of("certificate extension .8", len(images)))
		g.because(at+".subject", "%s", g.of("certificate SAN", len(images)))
	}
	return out
}

func (g *lesson) gitHub(at string, all []exhibit, wild func(string) string, n int) *GitHub {
	first, _ := isGitHub(all[0].attestation.Signer)
	out := &GitHub{Issuer: all[0].attestation.Signer.Issuer, Workflow: Pattern(first.Path)}
	refs, commits := tally{}, tally{}
	for _, s := range all {
		w, _ := isGitHub(s.attestation.Signer)
		if strings.HasPrefix(w.Ref, "refs/") {
			refs.add(w.Ref, s.image)
		} else {
			commits.add(w.Ref, s.image)
		}
	}
	why := "certificate SAN"
	if general := wild(foldOwner(first.Path)); strings.Contains(general, "*") {
		out.Workflow, why = Pattern(general), "certificate SAN, whose repository varies with the image,"
	}
	g.because(at+".issuer", "%s", g.of("certificate extension .8", n))
	g.because(at+".workflow", "%s", g.of(why, n))
	out.WorkflowRefs = g.refs(at+".workflowRefs", "ref in the certificate SAN", refs)
	out.WorkflowCommits = commits.values()
	g.all(at+".workflowCommits", "commit in the certificate SAN", commits, out.WorkflowCommits)
	c := Caller{OwnerID: number(claimed(all, stemma.ClaimSourceOwnerID).single()), RepositoryID: number(claimed(all, stemma.ClaimSourceRepositoryID).single())}
	if g.varies {
		c.RepositoryID = ""
	}
	if c != (Caller{}) {
		out.Caller = &c
		g.because(at+".caller.ownerID", "%s", g.of("certificate extension .17", n))
		g.because(at+".caller.repositoryID", "%s", g.of("certificate extension .15", n))
	}
	if c.OwnerID == "" {
		g.leave("%s.caller.ownerID: the certificates name no owner, or several", at)
	}
	out.Events, out.Runner = g.controls(at, all, "github-hosted")
	return out
}

// number is an id that is written in digits, or "".
func number(id string) string {
	if strings.Trim(id, "0123456789") != "" {
		return ""
	}
	return id
}

func (g *lesson) gitLab(at string, all []exhibit, wild func(string) string, n int) *GitLab {
	project, file, _, _ := isGitLab(all[0].attestation.Signer)
	out := &GitLab{Issuer: all[0].attestation.Signer.Issuer, Config: ConfigPath(wild(project) + "//" + file)}
	refs := tally{}
	for _, s := range all {
		_, _, ref, _ := isGitLab(s.attestation.Signer)
		refs.add(ref, s.image)
	}
	g.because(at+".issuer", "%s", g.of("certificate extension .8", n))
	g.because(at+".config", "%s", g.of("certificate SAN", n))
	out.ConfigRefs = g.refs(at+".configRefs", "ref in the certificate SAN", refs)
	groups, projects := claimed(all, stemma.ClaimSourceOwnerID), claimed(all, stemma.ClaimSourceRepositoryID)
	// Of the two lists one that fits is enough: with both, a project that left the group would still do.
	if ids := projects.values(); len(ids) > 0 && !g.varies {
		out.ProjectIDs = ids
		g.all(at+".projectIDs", "certificate extension .15", projects, ids)
	} else if ids := groups.values(); len(ids) > 0 {
		out.GroupIDs = ids
		g.all(at+".groupIDs", "certificate extension .17", groups, ids)
	}
	out.Events, out.Runner = g.controls(at, all, "gitlab-hosted")
	return out
}

// controls are the events and the kind of machine that the certificates name.
func (g *lesson) controls(at string, all []exhibit, hosted string) (events []string, runner string) {
	// Rules about provenance look at what it was read as, all others at the certificate.
	both := func(field stemma.Field, claims ...string) tally {
		t := claimed(all, claims...)
		for _, s := range all {
			if s.provenance != nil {
				c := s.provenance.Claims[field]
				t.add(map[bool]string{true: c.Value}[c.By == stemma.SaidByCertificate], s.image)
			}
		}
		return t
	}
	started := both(stemma.FieldTrigger, stemma.ClaimBuildTrigger, stemma.ClaimGitHubTrigger)
	if events = started.values(); len(events) == 0 {
		g.leave("%s.events: not every certificate names one", at)
	}
	g.all(at+".events", "certificate extension .20", started, events)
	for i, e := range events {
		if slices.Contains([]string{"pull_request_target", "pull_request", "workflow_run", "issue_comment", "merge_request_event"}, e) {
			g.because(fmt.Sprintf("%s.events[%d]", at, i), "%s; REVIEW: strangers can start it, on what they wrote", g.of("certificate extension .20", len(started[e])))
		}
	}
	machines := both(stemma.FieldRunner, stemma.ClaimRunnerEnvironment)
	if runner = machines.single(); runner != hosted && runner != "self-hosted" {
		g.leave("%s.runner: the certificates name no kind of machine, or several", at)
		return events, ""
	}
	g.because(at+".runner", "%s", g.of("certificate extension .11", len(machines[runner])))
	return events, runner
}

// refs are refs as patterns: each exactly, but for tags that differ in nothing but their version.
func (g *lesson) refs(path, where string, t tally) []Pattern {
	var out []Pattern
	all := t.values()
	for len(all) > 0 {
		pattern, same := version(all)
		images := map[*studied]bool{}
		for _, ref := range same {
			maps.Copy(images, t[ref])
		}
		why := g.of(where, len(images))
		if len(same) > 1 {
			why = strings.TrimSpace(fmt.Sprintf("%s: %s", why, anyPattern(patterns(same), nil)))
		} else if strings.HasPrefix(same[0], "refs/tags/") {
			why += "; learn from two versions to let the version vary"
		}
		g.because(fmt.Sprintf("%s[%d]", path, len(out)), "%s", why)
		out = append(out, Pattern(pattern))
		all = slices.DeleteFunc(all, func(ref string) bool { return slices.Contains(same, ref) })
	}
	return out
}

// version is the first of some refs, and all that differ from it in the version only, as the narrowest pattern: tags with
// the same numbers up to some dot. Without a number in common it has the dots that all have, so that not every tag fits.
func version(refs []string) (pattern string, same []string) {
	head, numbers, ok := split(refs[0])
	if !ok {
		return refs[0], refs[:1]
	}
	same = append(same, refs[0])
	common, dots := numbers, len(numbers)-1
	for _, ref := range refs[1:] {
		h, other, ok := split(ref)
		if !ok || h != head {
			continue
		}
		same = append(same, ref)
		n := 0
		for n < len(common) && n < len(other) && common[n] == other[n] {
			n++
		}
		common, dots = common[:n], min(dots, len(other)-1)
	}
	switch {
	case len(same) == 1:
		return refs[0], same
	case len(common) == 0 && dots == 0 && strings.HasSuffix(head, "/"):
		return refs[0], refs[:1] // a bare number: the pattern would be any tag
	case len(common) == 0:
		return head + strings.Repeat("*.", dots) + "*", same
	case slices.ContainsFunc(same, func(ref string) bool { return !strings.HasPrefix(ref, head+strings.Join(common, ".")+".") }):
		return refs[0], refs[:1] // v2 beside v2.1: with v2* there would be v20, too
	}
	return head + strings.Join(common, ".") + ".*", same
}

// split parts a tag into what stands before its version and the numbers of that: of all numbers in the last component those
// with the most dots between them, behind which nothing follows but what semantic versioning has there.
func split(ref string) (head string, numbers []string, ok bool) {
	if !strings.HasPrefix(ref, "refs/tags/") {
		return "", nil, false
	}
	const digits = "0123456789"
	start := strings.LastIndexByte(ref, '/') + 1
	for i := start; i < len(ref); i++ {
		if !strings.Contains(digits, ref[i:i+1]) || strings.Contains(digits+".", ref[i-1:i]) {
			continue
		}
		rest := ref[i:]
		core := rest[:len(rest)-len(strings.TrimLeft(rest, digits+"."))]
		found := strings.Split(core, ".")
		if behind := rest[len(core):]; behind != "" && !strings.ContainsAny(behind[:1], "-+") || slices.Contains(found, "") {
			continue
		}
		if len(found) > len(numbers) {
			head, numbers, ok = ref[:i], found, true
		}
	}
	return head, numbers, ok
}

func patterns(texts []string) []Pattern {
	out := make([]Pattern, len(texts))
	for i, t := range texts {
		out[i] = Pattern(t)
	}
	return out
}
