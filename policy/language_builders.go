package policy

// GitLab is a job of GitLab CI, read from the certificate. Paths are compared as GitLab writes them, in their case.
type GitLab struct {
	Issuer     string     `yaml:"issuer" default:"https://gitlab.com"` // of the identity tokens: https:// and the host of the GitLab
	Config     ConfigPath `yaml:"config,required"`                     // the CI configuration that runs, group/project//path, a pattern on either side of the two slashes: acme/ci//image.yml
	ConfigRefs []Pattern  `yaml:"configRefs"`                          // refs at which it may be used, full: refs/heads/main, refs/tags/v*; at least one
	GroupIDs   []string   `yaml:"groupIDs"`                            // groups (namespaces) whose projects may run it, by id: certificate extension .17
	ProjectIDs []string   `yaml:"projectIDs"`                          // or projects, by id: certificate extension .15; with both lists one that fits is enough
	Events     []string   `yaml:"events"`                              // pipeline sources that may start it: push, web, schedule; merge_request_event runs what a fork may offer and counts only when it is listed; absent in the certificate fails
	Runner     string     `yaml:"runner"`                              // gitlab-hosted or self-hosted
}

// ConfigPath matches a CI configuration of GitLab, group/project//path: patterns of the project and of the file in it.
type ConfigPath string

// Buildkite is a pipeline of Buildkite, read from the certificate, which names neither repository nor ref.
type Buildkite struct {
	Pipeline Pattern  `yaml:"pipeline,required"` // organisation/pipeline, as in its URL
	Events   []string `yaml:"events"`            // sources of builds: webhook, schedule, ui, api, trigger_job; absent in the certificate fails
	Runner   string   `yaml:"runner"`            // buildkite-hosted or self-hosted
}

// CircleCI is a pipeline definition of CircleCI, read from the certificate. A job that somebody re-ran with SSH is never
// accepted: whoever did could type into it. Ids are UUIDs.
type CircleCI struct {
	Organization string   `yaml:"organization"`         // id of the organisation, for its own issuer https://oidc.circleci.com/org/ID; without it the issuer is https://oidc.circleci.com, of jobs that ask for --root-issuer
	Project      string   `yaml:"project,required"`     // id of the project
	Definitions  []string `yaml:"definitions,required"` // ids of its pipeline definitions
}

// Tekton is what provenance by Tekton Chains must say besides. One key signs for every tenant of a cluster: namespaces
// tell them apart, or trusted tasks alone and the source that they cloned make it matter less who ran them. One of the
// two is required.
type Tekton struct {
	Namespaces      []Pattern   `yaml:"namespaces"`      // in which the run may have been; "*" alone asks nothing, for a cluster of one tenant
	ServiceAccounts []Pattern   `yaml:"serviceAccounts"` // under which; every namespace may have one of the name
	Tasks           *Tasks      `yaml:"tasks"`           // that may be part of it
	SourceFrom      *SourceFrom `yaml:"sourceFrom"`      // which task's results name the source; else what Chains itself records as inputs
}

// Tasks says which tasks a pipeline may consist of.
type Tasks struct {
	Trusted []Pattern `yaml:"trusted,required"`        // bundles or repositories of definitions: quay.io/acme/tasks/**; each must be named by digest or commit
	Commits []string  `yaml:"commits"`                 // of repositories, at which their tasks may be: without it bundles only
	Others  Others    `yaml:"others" default:"refuse"` // refuse (default), or allow those that produce no image
}

// Others says what becomes of tasks that are not trusted.
type Others string

// Choices for tasks that are not trusted. The zero value refuses.
const (
	OthersRefused Others = "refuse"
	OthersAllowed Others = "allow"
)

// SourceFrom names the results of a task that say what was built. Whatever else of the run names a source must name the
// same. They are the builder's word where that task is trusted and no others take part; else the tenant's.
type SourceFrom struct {
	Task   string `yaml:"task,required"`   // name of the task in the pipeline: clone-repository
	URL    string `yaml:"url,required"`    // its result with the URL: url
	Commit string `yaml:"commit,required"` // its result with the commit: commit
}

// CloudBuild is what provenance by Google Cloud Build must say besides: Google's keys sign for every project of the world.
type CloudBuild struct {
	Projects []string `yaml:"projects"` // Google Cloud projects in which it may have been built; required unless triggers are ids. "*" alone asks nothing: builds of SLSA v0.1 name none
	Triggers []string `yaml:"triggers"` // triggers that may have started it, by id, or by name within projects; absent fails
}

// BuildKit is what provenance by BuildKit must say besides, under the identity that signed its attestation manifest.
type BuildKit struct {
	Mode string `yaml:"mode"` // max: the provenance must tell parameters and steps
}

// Internal maps the fields of a predicate that is one's own to what policies ask for. Values but type and buildType are
// JSON pointers into the predicate: /run/commit. What stands there replaces what is read of the field elsewhere in it, and
// a field of which nothing stands there, or no such value, is not stated. A certificate that states it, too, must say the
// same. Whoever signs is taken at his word for it: point at members that the builder itself writes, and not its tenants.
type Internal struct {
	Type       string `yaml:"type"`       // predicate type, in full; SLSA provenance of any version when absent
	BuildType  string `yaml:"buildType"`  // exact buildType of SLSA provenance
	ID         string `yaml:"id"`         // where the id of the builder stands, which must be the builder's id; for keys and oidc
	Repository string `yaml:"repository"` // source repository: a URL, or host and path
	Commit     string `yaml:"commit"`     // source commit: 40 or 64 lower-case hex digits
	Ref        string `yaml:"ref"`        // source ref: refs/heads/main; a short one stays short
	Run        string `yaml:"run"`        // id or URL of the run, text or a whole number
	Trigger    string `yaml:"trigger"`    // event that started it
}
