package predicate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stemma"
)

// maxClaim is the longest value of a claim, in bytes. What is longer is no name of anything.
const maxClaim = 2048

// reader collects what is said about each field.
type reader struct {
	out      *stemma.Provenance
	signer   *stemma.Identity // nil: nobody signed it
	grade    stemma.Grade     // by whom the predicate's own words are said
	said     map[stemma.Field][]stemma.Said
	fallback []fallback
	err      error // the first breach of the specification
}

// fallback is a saying that counts only where nobody says the field otherwise: another kind of name for another kind of
// thing, which therefore contradicts nothing.
type fallback struct {
	field stemma.Field
	said  stemma.Said
}

// grade is by whom the words of a predicate are said.
//
// A job that runs its own repository's workflow is written by whoever can push there: what it attests is the word of
// the tenant, whatever tool wrote it. A workflow of another repository, or a CI configuration of another project, is a
// builder that its callers cannot change (SLSA v1.0, "Provenance is Unforgeable"); which of those deserve trust is for
// policy to say. Who holds a managed key speaks for the builder, and so does a service that signs as itself: an account
// of a cluster, or of Chainguard. Everybody else is a tenant: people, and the jobs of services whose certificates name
// the project and not where the instructions came from (Buildkite, CircleCI, Codefresh, Buddy).
func grade(signer *stemma.Identity) stemma.Grade {
	switch {
	case signer == nil:
		return stemma.SaidByNobody
	case signer.KeyID != "", isService(signer):
		return stemma.SaidByBuilder
	case isGitHub(signer.Issuer):
		w, ok := stemma.ParseWorkflow(signer.Subject)
		if ok && (isGenerator(w) || isChainguard(w)) {
			return stemma.SaidByBuilder
		}
		return foreign(w.Repository, signer)
	}
	project, ok := gitLabProject(signer)
	if !ok || signer.Claims[stemma.ClaimBuildTrigger] == "merge_request_event" {
		// The pipeline of a merge request runs the configuration that the merge request offers, in the name of the project
		// that it is offered to: of a fork's, another project than the source, and none that the tenant cannot change.
		return stemma.SaidByTenant
	}
	return foreign(project, signer)
}

// foreign grades the words of a job whose instructions come from a repository: those of the source's own are the
// tenant's, and so are those of a job whose certificate does not say what the source is.
func foreign(instructions string, signer *stemma.Identity) stemma.Grade {
	source, err := stemma.CanonicalRepository(sourceRepository(signer))
	if err != nil || instructions == "" || source == instructions {
		return stemma.SaidByTenant
	}
	return stemma.SaidByBuilder
}

// gitLabProject is the project that the CI configuration of a GitLab job lies in, from a subject such as
// "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main". It must be on the host of the issuer, and no extension
// may say otherwise.
func gitLabProject(signer *stemma.Identity) (string, bool) {
	host, ok := strings.CutPrefix(signer.Issuer, "https://")
	project, file, found := strings.Cut(strings.TrimPrefix(signer.Subject, "https://"), "//")
	config, signed := signer.Claims[stemma.ClaimBuildConfigURI], signer.Claims[stemma.ClaimBuildSignerURI]
	if !ok || !found || file == "" || !strings.HasPrefix(project, host+"/") || !strings.HasPrefix(signer.Subject, "https://") ||
		signed != signer.Subject || config != "" && config != signer.Subject {
		return "", false
	}
	canonical, revision, err := stemma.ParseRepository("https://" + project)
	return canonical, err == nil && revision == ""
}

// isService reports whether the signer is a service that signs as itself: a service account of Kubernetes, under which
// Tekton Chains signs, or an identity of Chainguard.
func isService(signer *stemma.Identity) bool {
	_, _, account := serviceAccount(signer)
	const chainguard = "https://issuer.enforce.dev"
	return account || signer.Issuer == chainguard && strings.HasPrefix(signer.Subject, chainguard+"/")
}

// isChainguard reports whether a workflow is the one that releases Chainguard's public images, which is documented. Its
// repository is that of the images: builder and tenant are one.
func isChainguard(w stemma.Workflow) bool {
	return w.Repository == "github.com/chainguard-images/images" && w.File == "release.yaml" && w.Ref == "refs/heads/main"
}

// tenant is the grade of what the predicate's author was told by the tenant.
func (r *reader) tenant() stemma.Grade {
	if r.grade.Rank() > stemma.SaidByTenant.Rank() {
		return stemma.SaidByTenant
	}
	return r.grade
}

func (r *reader) note(format string, args ...any) {
	const most = 64
	if len(r.out.Notes) < most {
		r.out.Notes = append(r.out.Notes, stemma.Printable(fmt.Sprintf(format, args...), 400))
	}
}

// malformed records that a value is not what the specification prescribes.
func (r *reader) malformed(j *stemma.JSON, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: want %s", cmp.Or(j.Pointer(), "the predicate"), want)
	}
}

// say records a saying. The value is in canonical form.
func (r *reader) say(f stemma.Field, value string, by stemma.Grade, where string) {
	if r.presentable(f, value, where) {
		r.said[f] = append(r.said[f], stemma.Said{Value: value, By: by, Where: where})
	}
}

// otherwise records a saying that counts if there is no other.
func (r *reader) otherwise(f stemma.Field, value string, by stemma.Grade, where string) {
	if r.presentable(f, value, where) {
		r.fallback = append(r.fallback, fallback{f, stemma.Said{Value: value, By: by, Where: where}})
	}
}

func (r *reader) presentable(f stemma.Field, value, where string) bool {
	switch {
	case value == "":
		return false
	case len(value) > maxClaim:
		r.note("%s at %s is left out: longer than %d bytes", f, where, maxClaim)
		return false
	case stemma.Printable(value, maxClaim) != value || strings.ContainsRune(value, '\uFFFD'):
		r.note("%s at %s is left out: it has characters that are not printable", f, where)
		return false
	}
	return true
}

// certified is what the certificate says of a field, or "".
func (r *reader) certified(f stemma.Field) string {
	for _, s := range r.said[f] {
		if s.By == stemma.SaidByCertificate {
			return s.Value
		}
	}
	return ""
}

// builder records builder.id, which SLSA wants to identify who vouches for the build.
func (r *reader) builder(j *stemma.JSON) {
	id := j.Text()
	certified := r.certified(stemma.FieldBuilder)
	switch {
	case certified != "" && isGitHub(r.signer.Issuer) && isMachine(id):
		// Documented: npm, the first build type of GitHub and SLSA's own example write such a constant for every job.
		r.note("builder.id %s is the same for all jobs and names no workflow; the certificate does", id)
	case certified != "" && r.out.BuildType == buildTypeDelegator && r.delegated():
		// Documented: the delegator signs for the workflow that called it, and vouches for its name.
		r.out.Delegate = stemma.Printable(id, maxClaim)
		r.note("delegated: builder.id %s", id)
	default:
		r.say(stemma.FieldBuilder, id, r.grade, j.Pointer())
	}
}

// isMachine reports whether a builder id is one of the constants that stand for GitHub's runner, whoever uses it.
func isMachine(id string) bool {
	switch id {
	case "https://github.com/actions/runner", "https://github.com/actions/runner/github-hosted", "https://github.com/actions/runner/self-hosted",
		"https://github.com/Attestations/GitHubHostedActions@v1", "https://github.com/Attestations/SelfHostedActions@v1":
		return true
	}
	return false
}

// source records a URI of the source, and what it says of ref and commit. It reports whether it names a repository.
func (r *reader) source(j *stemma.JSON, by stemma.Grade) bool {
	uri := j.Text()
	if uri == "" {
		return false
	}
	repository, revision, err := stemma.ParseRepository(uri)
	if err != nil {
		r.note("%s is left out: %v", j.Pointer(), err)
		return false
	}
	r.say(stemma.FieldRepository, repository, by, j.Pointer())
	r.revision(revision, by, j.Pointer())
	return true
}

// revision records the part of a source URI that says which version: a ref, or a commit.
func (r *reader) revision(s string, by stemma.Grade, where string) {
	switch {
	case stemma.IsCommit(s):
		r.say(stemma.FieldCommit, s, by, where)
	case isHex(s):
		r.note("commit %q at %s is left out: abbreviated", s, where)
	default:
		r.ref(s, by, where)
	}
}

func (r *reader) ref(s string, by stemma.Grade, where string) {
	switch {
	case s == "":
	case !stemma.IsRef(s):
		r.note("ref %q at %s is left out: git does not allow it", s, where)
	default:
		r.say(stemma.FieldRef, s, by, where)
	}
}

func (r *reader) commit(s string, by stemma.Grade, where string) {
	switch {
	case s == "":
	case !stemma.IsCommit(s):
		r.note("commit %q at %s is left out: not 40 or 64 lower-case hex digits", s, where)
	default:
		r.say(stemma.FieldCommit, s, by, where)
	}
}

// digest records the commit of a digest set. Builders write it under three names: gitCommit, sha1, and sha256 with the
// 40 digits of a SHA-1. A gitTree is no commit.
func (r *reader) digest(j *stemma.JSON, by stemma.Grade) {
	for _, k := range j.Elems() {
		if j.IsObject() && namesCommit(k.Name(), k.Text()) {
			r.commit(k.Text(), by, k.Pointer())
		}
	}
}

func namesCommit(algorithm, value string) bool {
	return algorithm == "gitCommit" || algorithm == "sha1" || algorithm == "sha256" && len(value) == 40
}

// run records the id of a run. Only forms that name a run of a known service can contradict one another.
func (r *reader) run(id string, by stemma.Grade, where string) {
	id = canonicalRun(id)
	number, attempt, _ := strings.Cut(id, "-")
	switch {
	case strings.HasPrefix(id, "https://"), isDigits(number) && (attempt == "" || isDigits(attempt)) && !strings.HasSuffix(id, "-"):
		r.say(stemma.FieldRun, id, by, where)
	default:
		r.otherwise(stemma.FieldRun, id, by, where)
	}
}

// finish orders what was said: strongest first, and of equal grades in the order of reading.
func (r *reader) finish() {
	for _, f := range r.fallback {
		if len(r.said[f.field]) == 0 {
			r.said[f.field] = []stemma.Said{f.said}
		}
	}
	r.out.Claims = make(map[stemma.Field]stemma.Claim, len(r.said))
	for f, said := range r.said {
		slices.SortStableFunc(said, func(a, b stemma.Said) int { return cmp.Compare(b.By.Rank(), a.By.Rank()) })
		switch f {
		case stemma.FieldRef:
			r.expandRefs(said)
		case stemma.FieldRun:
			said = expandRuns(said)
		}
		r.out.Claims[f] = stemma.Claim{Said: said[0], Others: others(said[0].Value, said[1:])}
	}
}

// maxOthers bounds the further sayings of a field. A predicate may repeat its source a hundred thousand times.
const maxOthers = 16

// others are the further sayings of a field, each once. Of more than are kept, one that contradicts is never left out.
func others(value string, said []stemma.Said) []stemma.Said {
	var out []stemma.Said
	contradicted := false
	seen := map[stemma.Said]bool{}
	for _, s := range said {
		news := s.Value != value && !contradicted
		if seen[s] || len(out) >= maxOthers && !news {
			continue
		}
		if len(out) == maxOthers {
			out = out[:maxOthers-1]
		}
		seen[s] = true
		contradicted = contradicted || s.Value != value
		out = append(out, s)
	}
	return out
}

// expandRefs writes the refs of a field in one spelling. A short one is written in full where somebody of the same or a
// higher grade says which it is: a weaker word must not travel under a stronger name. Where the strongest says only the
// short one, as Codefresh's certificates do, a weaker one in full says the same, and no more than that: a branch and a tag
// of one name, both said, are a contradiction still.
func (r *reader) expandRefs(said []stemma.Said) {
	full, by, several := "", stemma.Grade(""), false
	for _, s := range said {
		if !strings.HasPrefix(s.Value, "refs/") {
			continue
		}
		if full == "" {
			full, by = s.Value, s.By
		}
		several = several || s.Value != full
	}
	if full == "" {
		r.note("ref %s does not say whether it is a branch or a tag", said[0].Value)
	}
	names := func(short string) bool { return full == "refs/heads/"+short || full == "refs/tags/"+short }
	shortened := names(said[0].Value) && by.Rank() < said[0].By.Rank() && !several
	if shortened {
		r.note("that ref %s is %s is said by %s", said[0].Value, full, by)
	}
	for i, s := range said {
		switch {
		case shortened && s.Value == full:
			said[i].Value = said[0].Value
		case !shortened && s.By.Rank() <= by.Rank() && names(s.Value):
			said[i].Value = full
		}
	}
}

// expandRuns writes a run's number as the URL of the run where somebody gives it, and drops numbers that are of another
// service than the URL.
func expandRuns(said []stemma.Said) []stemma.Said {
	full := ""
	for _, s := range said {
		if strings.HasPrefix(s.Value, "https://") {
			full = s.Value
			break
		}
	}
	if full == "" {
		return said
	}
	comparable := strings.Contains(full, "/actions/runs/") || strings.Contains(full, "/-/jobs/")
	out := said[:0]
	for _, s := range said {
		switch {
		case sameRun(full, s.Value):
			s.Value = full
		case !comparable && !strings.HasPrefix(s.Value, "https://"):
			continue
		}
		out = append(out, s)
	}
	return out
}

// sameRun reports whether id is a shorter name of the run with the URL full.
func sameRun(full, id string) bool {
	run, _, _ := strings.Cut(full, "/attempts/")
	number, attempt, both := strings.Cut(id, "-")
	switch {
	case strings.HasPrefix(id, "https://"):
		return id == run
	case both:
		return strings.HasSuffix(full, "/actions/runs/"+number+"/attempts/"+attempt)
	}
	return strings.HasSuffix(run, "/actions/runs/"+id) || strings.HasSuffix(full, "/-/jobs/"+id)
}
