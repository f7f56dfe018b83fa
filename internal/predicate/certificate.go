package predicate

import (
	"strings"

	"stemma"
)

// certificate records what the signer's certificate says. Only identity providers of build services put claims there;
// of the others there is nothing to record.
func (r *reader) certificate() {
	if r.signer == nil || r.signer.KeyID != "" {
		return
	}
	id := *r.signer
	const by = stemma.SaidByCertificate
	claim := func(name string) string { return id.Claims[name] }

	// "1.3.6.1.4.1.57264.1.9 | Build Signer URI: Reference to specific build instructions that are responsible for
	// signing." The subject alternative name is the same; a person's or a service's name is no builder.
	signerURI := claim(stemma.ClaimBuildSignerURI)
	if id.Issuer == "https://oidc.codefresh.io" {
		signerURI = "" // the URL of the run, which is no builder; the subject names the pipeline
	}
	builds := signerURI != "" || claim(stemma.ClaimRunInvocationURI) != "" || claim(stemma.ClaimGitHubRepository) != ""
	if builds && strings.HasPrefix(id.Subject, "https://") {
		r.say(stemma.FieldBuilder, id.Subject, by, "certificate SAN")
	}
	r.say(stemma.FieldBuilder, signerURI, by, "certificate .9")

	// Certificates of before 2023 carry the deprecated extensions only.
	either := func(f stemma.Field, name, where, old, oldWhere string, record func(value, where string)) {
		switch {
		case claim(name) != "":
			record(claim(name), where)
		case claim(old) != "":
			record(claim(old), oldWhere)
		}
	}
	plain := func(f stemma.Field) func(string, string) {
		return func(value, where string) { r.say(f, value, by, where) }
	}
	if uri := sourceRepository(&id); uri != "" {
		where := "certificate .12"
		if claim(stemma.ClaimSourceRepositoryURI) == "" {
			where = "certificate .5"
		}
		if repository, err := stemma.CanonicalRepository(uri); err != nil {
			r.note("%s is left out: %v", where, err)
		} else {
			r.say(stemma.FieldRepository, repository, by, where)
		}
	}
	if sourceRepository(&id) == "" && claim(stemma.ClaimGitHubRepository) != "" {
		r.note("certificate .5 is left out: the issuer is not GitHub Actions, and it names no host")
	}
	either(stemma.FieldCommit, stemma.ClaimSourceRepositoryHash, "certificate .13", stemma.ClaimGitHubSHA, "certificate .3",
		func(v, where string) { r.commit(v, by, where) })
	either(stemma.FieldRef, stemma.ClaimSourceRepositoryRef, "certificate .14", stemma.ClaimGitHubRef, "certificate .6",
		func(v, where string) { r.ref(v, by, where) })
	either(stemma.FieldTrigger, stemma.ClaimBuildTrigger, "certificate .20", stemma.ClaimGitHubTrigger, "certificate .2", plain(stemma.FieldTrigger))
	// CircleCI's template renders an empty value as two quotation marks, and a job into which somebody logged in as ssh-rerun.
	if runner := claim(stemma.ClaimRunnerEnvironment); runner != `""` {
		r.say(stemma.FieldRunner, runner, by, "certificate .11")
	}
	if claim(stemma.ClaimRunnerEnvironment) == "ssh-rerun" {
		r.note("the job was run again with SSH: somebody could log in while it ran")
	}
	r.id(stemma.FieldRepositoryID, claim(stemma.ClaimSourceRepositoryID), by, "certificate .15")
	r.id(stemma.FieldOwnerID, claim(stemma.ClaimSourceOwnerID), by, "certificate .17")
	// ".10 is the builder's commit, .13 the caller's."
	if commit := claim(stemma.ClaimBuildSignerDigest); commit != "" && !stemma.IsCommit(commit) {
		r.note("certificate .10 is left out: no whole commit")
	} else {
		r.say(stemma.FieldWorkflowCommit, commit, by, "certificate .10")
	}
	r.say(stemma.FieldEnvironment, claim(stemma.ClaimDeploymentEnvironment), by, "certificate .23")
	// Whose service account signs need not be that of the build: Tekton Chains signs with its own for all namespaces.
	if namespace, account, ok := serviceAccount(&id); ok {
		r.otherwise(stemma.FieldNamespace, namespace, by, "certificate SAN")
		r.otherwise(stemma.FieldServiceAccount, account, by, "certificate SAN")
	}
	r.say(stemma.FieldRun, canonicalRun(claim(stemma.ClaimRunInvocationURI)), by, "certificate .21")
	r.say(stemma.FieldEntryPoint, configPath(&id), by, "certificate .18")
}

// serviceAccount reads the subject of a service account of Kubernetes, "https://kubernetes.io/namespaces/NS/serviceaccounts/SA".
// Certificates of build services have claims besides, and their subjects are none.
func serviceAccount(id *stemma.Identity) (namespace, account string, ok bool) {
	rest, ok := strings.CutPrefix(id.Subject, "https://kubernetes.io/namespaces/")
	namespace, account, found := strings.Cut(rest, "/serviceaccounts/")
	label := func(s string) bool { return stemma.IsHost(s + ".local") } // RFC 1123
	return namespace, account, ok && found && label(namespace) && label(account) && id.Claims[stemma.ClaimBuildSignerURI] == "" &&
		id.Claims[stemma.ClaimRunInvocationURI] == "" && id.Claims[stemma.ClaimGitHubRepository] == ""
}

// sourceRepository is the URI of the source repository, extension .12, or .5 of the certificates that lack it.
func sourceRepository(id *stemma.Identity) string {
	if uri := id.Claims[stemma.ClaimSourceRepositoryURI]; uri != "" {
		return uri
	}
	host, name := gitHubHost(id.Issuer), id.Claims[stemma.ClaimGitHubRepository]
	if host == "" || name == "" {
		return "" // a name that brings a host of its own is none of GitHub's
	}
	return host + name
}

// configPath is the path of the top-level build instructions in the source, from extension .18:
// "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main". GitLab separates project and path by two
// slashes, which Fulcio keeps; nowhere else are they taken.
func configPath(id *stemma.Identity) string {
	source := id.Claims[stemma.ClaimSourceRepositoryURI]
	rest, ok := strings.CutPrefix(id.Claims[stemma.ClaimBuildConfigURI], source+"/")
	if !ok || source == "" {
		return ""
	}
	rest = strings.TrimPrefix(rest, "/")
	if ref := id.Claims[stemma.ClaimSourceRepositoryRef]; ref != "" && strings.HasSuffix(rest, "@"+ref) {
		return strings.TrimSuffix(rest, "@"+ref)
	}
	path, _ := cutRef(rest)
	return path
}

// gitHubHost is where the repositories of an issuer are: extension .5 names them without the host. Of an issuer that is
// not GitHub Actions it is nowhere, and what stands there then is no repository.
func gitHubHost(issuer string) string {
	host, enterprise := strings.CutPrefix(issuer, "https://token.actions.")
	switch {
	case !isGitHub(issuer):
		return ""
	case enterprise && strings.HasSuffix(host, ".ghe.com"):
		return "https://" + host + "/"
	}
	return "https://github.com/"
}

// isGitHub reports whether an issuer is GitHub Actions: of github.com, of one enterprise on it, or of an enterprise
// with a host of its own.
func isGitHub(issuer string) bool {
	const public = "https://token.actions.githubusercontent.com"
	if issuer == public || strings.HasPrefix(issuer, public+"/") {
		return true
	}
	host, ok := strings.CutPrefix(issuer, "https://token.actions.")
	return ok && strings.HasSuffix(host, ".ghe.com") && stemma.IsHost(host)
}

// cutRef splits "path@ref". A file's name may hold an @, and so may a ref; "@refs/" can stand in the latter only, since
// a workflow lies in no subdirectory.
func cutRef(s string) (path, ref string) {
	if i := strings.Index(s, "@refs/"); i >= 0 {
		return s[:i], s[i+1:]
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}
