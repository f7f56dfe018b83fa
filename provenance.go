package stemma

import "encoding/json"

// Grade is by whom a claim is said. The zero Grade is "nobody".
type Grade string

// Grades, from the strongest.
const (
	SaidByCertificate Grade = "certificate" // the identity provider told the certificate authority
	SaidByBuilder     Grade = "builder"     // the signer's own control plane asserts it
	SaidByTenant      Grade = "tenant"      // the user of the builder could have written it
	SaidByNobody      Grade = "unsigned"    // it is in no signed evidence
)

// Rank orders grades: certificate 4, builder 3, tenant 2, unsigned 1, the zero Grade 0.
func (g Grade) Rank() int {
	switch g {
	case SaidByCertificate:
		return 4
	case SaidByBuilder:
		return 3
	case SaidByTenant:
		return 2
	case SaidByNobody:
		return 1
	}
	return 0
}

// Said is one value, who says it and where.
type Said struct {
	Value string `json:"value"`
	By    Grade  `json:"by"`
	Where string `json:"where"` // "certificate .12" or a JSON pointer into the predicate
}

// Claim is what is said about one field: the strongest saying first. Values are in canonical form, so that two that
// mean the same are equal.
type Claim struct {
	Said
	Others []Said `json:"others,omitempty"`
}

// Contradicted returns the first other saying with another value, or nil.
func (c Claim) Contradicted() *Said {
	for i := range c.Others {
		if c.Others[i].Value != c.Value {
			return &c.Others[i]
		}
	}
	return nil
}

// Field names a claim of a Provenance.
type Field string

// The fields of a normalised provenance.
const (
	FieldBuilder    Field = "builder"    // builder id
	FieldRepository Field = "repository" // source repository, "github.com/acme/api"
	FieldRef        Field = "ref"        // source ref, "refs/tags/v1"
	FieldCommit     Field = "commit"     // source commit, 40 or 64 lower-case hex digits
	FieldEntryPoint Field = "entryPoint" // what was run: path of the workflow or build file in the source
	FieldTrigger    Field = "trigger"    // event that started the build
	FieldRunner     Field = "runner"     // kind of machine: "github-hosted", "self-hosted"
	FieldRun        Field = "run"        // URL or id of the run

	FieldRepositoryID   Field = "repositoryID"   // number of the source repository, which its service never gives twice
	FieldOwnerID        Field = "ownerID"        // number of the owner, group or namespace of the source repository, alike
	FieldWorkflowCommit Field = "workflowCommit" // commit of the workflow that builds and signs (certificate .10), not of the source
	FieldDefinition     Field = "definition"     // where the definition of the build came from, where that is not the source: "github.com/acme/pipelines@COMMIT"
	FieldEnvironment    Field = "environment"    // deployment environment of the job (certificate .23)
	FieldTriggerID      Field = "triggerID"      // id of the trigger that started the build, where triggers have names, too (Google Cloud Build)
	FieldNamespace      Field = "namespace"      // namespace of the cluster in which the build ran (Tekton), or project (Google Cloud Build)
	FieldServiceAccount Field = "serviceAccount" // and its service account
	FieldHermetic       Field = "hermetic"       // "true": built without network but for declared inputs; "false"
)

// Fields lists the fields in the order in which they are shown.
func Fields() []Field {
	return []Field{
		FieldBuilder, FieldWorkflowCommit, FieldRepository, FieldRepositoryID, FieldOwnerID, FieldCommit, FieldRef, FieldEntryPoint, FieldDefinition,
		FieldTrigger, FieldTriggerID, FieldRunner, FieldEnvironment, FieldNamespace, FieldServiceAccount, FieldRun, FieldHermetic,
	}
}

// InputKind classifies what went into a build.
type InputKind string

// Kinds of inputs.
const (
	InputImage   InputKind = "image"   // a container image
	InputGit     InputKind = "git"     // a repository at a commit
	InputHTTP    InputKind = "http"    // a file fetched by URL
	InputAction  InputKind = "action"  // an action or reusable workflow, or a task of a pipeline, by the repository or bundle that defines it
	InputPackage InputKind = "package" // a package of an ecosystem
	InputOther   InputKind = "other"   // a local file, a layout, or nothing that is known
)

// InputKinds lists the kinds in the order in which they are shown.
func InputKinds() []InputKind {
	return []InputKind{InputImage, InputGit, InputHTTP, InputAction, InputPackage, InputOther}
}

// InputRole is what an input was to the build, where the builder tells it.
type InputRole string

// Roles of inputs. The zero role is "not told".
const (
	RoleSource     InputRole = "source"     // what was built
	RoleDefinition InputRole = "definition" // says how to build: a pipeline, a task, a workflow
	RoleBase       InputRole = "base"       // the image that the built one stands on
	RoleStage      InputRole = "stage"      // an image of which the build used something
	RoleBuilder    InputRole = "builder"    // the builder itself or a part of it: frontend, scanner, step image
)

// Input is something that a build resolved: a material, a resolved dependency, or what one of its steps names. The
// descriptor stands as it was written; the rest is its normal form.
type Input struct {
	ResourceDescriptor
	Kind InputKind `json:"kind"`
	// Canonical is the one name of it, without version and digest: "docker.io/library/debian", "github.com/acme/app",
	// "dl.example.com/file.tgz" (host and path of a URL), "actions/checkout", "pkg:npm/%40acme/lib". Empty when the URI has
	// no single meaning; then no pattern matches it.
	Canonical string    `json:"canonical,omitempty"`
	Host      string    `json:"host,omitempty"`    // where it was fetched from, as far as it is told: "registry.npmjs.org", "docker.io"
	Version   string    `json:"version,omitempty"` // tag, ref or version; never an identity
	Role      InputRole `json:"role,omitempty"`
	By        Grade     `json:"by"`
	Where     string    `json:"where"` // JSON pointer into the predicate
	// Undeclared inputs are named by a step of the build and not among its resolved dependencies.
	Undeclared bool `json:"undeclared,omitempty"`
}

// Pinned reports whether a digest names the content: of a repository a whole commit, of all else an accepted algorithm.
func (i Input) Pinned() bool {
	for alg, v := range i.Digest {
		if _, err := NewDigest(alg, v); err == nil || i.Kind != InputHTTP && i.Kind != InputPackage && i.Kind != InputImage && (alg == "gitCommit" || alg == "sha1" || alg == "sha256") && IsCommit(v) {
			return true
		}
	}
	return false
}

// Reported says how much of one kind of inputs a builder names.
type Reported string

// How much is named. The zero value is "not named".
const (
	ReportedAll  Reported = "all"  // every input of the kind is among the dependencies
	ReportedSome Reported = "some" // some are, by the builder's nature or by its own word (mode=min, completeness false)
)

// Parameter is one setting of a build that somebody besides the builder chose.
type Parameter struct {
	Name  string `json:"name"`            // "VERSION", as policies write it
	Kind  string `json:"kind"`            // "input", "build-arg", "label", "param", "substitution", "variable", "secret"; "unknown" for a key that the build type does not define
	Value string `json:"value,omitempty"` // as text, cut short; empty when it is not told
	Cut   bool   `json:"cut,omitempty"`   // Value is not all of it
	Where string `json:"where"`           // JSON pointer
}

// Task is a unit of the build that the provenance names: a task of Tekton, a step of Cloud Build, an operation of BuildKit.
type Task struct {
	Name    string   `json:"name"`
	Ref     string   `json:"ref,omitempty"`     // canonical name of what defines it: an image repository (bundle) or "host/owner/repo/path"; empty: defined in the run itself
	Digest  string   `json:"digest,omitempty"`  // of the bundle ("sha256:…") or commit of the definition
	Images  []string `json:"images,omitempty"`  // images of its steps, as written
	Network string   `json:"network,omitempty"` // "none", "used" or "" (not told)
	Results []Digest `json:"results,omitempty"` // image digests among its results: what it says it built
	Status  string   `json:"status,omitempty"`  // "Succeeded"
	// Outputs are its results that are text, by name. What is longer than a name of anything, or stands twice, is left out.
	Outputs map[string]string `json:"outputs,omitempty"`
	Where   string            `json:"where"`
}

// GroundKind is what the file system of a built image began as.
type GroundKind string

// What an image can stand on.
const (
	GroundImage   GroundKind = "image"   // the Input whose Role is RoleBase
	GroundScratch GroundKind = "scratch" // nothing
	GroundUnknown GroundKind = "unknown" // the steps do not tell
)

// Ground is what a built image stands on, as the steps of its build tell it (BuildKit, mode=max). The order of the
// dependencies never says it.
type Ground struct {
	Kind GroundKind `json:"kind"`
	// Layers are those of the base, bottom first, by the digests of the blobs: once for each compression that the builder
	// had. Result are those of what was built.
	Layers [][]Digest `json:"layers,omitempty"`
	Result [][]Digest `json:"result,omitempty"`
	Why    string     `json:"why,omitempty"` // it is unknown
	Where  string     `json:"where"`         // JSON pointer
}

// Provenance is the normal form of a provenance predicate of any builder.
type Provenance struct {
	Bundle    Digest `json:"bundle"` // the Attestation it was read from, or the Unsigned
	Format    string `json:"format"` // "slsa/v1", "slsa/v0.2", "slsa/v0.1", "witness"; "image" of what an image says of itself
	BuildType string `json:"buildType,omitempty"`
	Known     string `json:"known,omitempty"` // the builder family whose reader was used; "" for an unknown buildType
	// Author is by whom the words of the predicate itself are said: a builder that its tenants cannot change, a tenant, or
	// nobody. It follows from the signer, never from the text.
	Author     Grade                  `json:"author,omitempty"`
	Claims     map[Field]Claim        `json:"claims"`
	Delegate   string                 `json:"delegate,omitempty"`   // builder.id of the workflow for which a delegating builder signed
	External   json.RawMessage        `json:"external,omitempty"`   // external parameters, as they stand
	Parameters []Parameter            `json:"parameters,omitempty"` // what of them is a choice, one by one
	Inputs     []Input                `json:"inputs,omitempty"`
	Reported   map[InputKind]Reported `json:"reported,omitempty"` // how much of each kind this builder names
	Tasks      []Task                 `json:"tasks,omitempty"`
	// TasksReported and ResultsReported say whether Tasks are all tasks of the run, and whether each tells all results that
	// it wrote: ReportedAll, or ReportedSome where some are elsewhere, as those of a pipeline that was resolved remotely.
	// Zero of what has no tasks, or of a form of which it is not known.
	TasksReported   Reported `json:"tasksReported,omitempty"`
	ResultsReported Reported `json:"resultsReported,omitempty"`
	Ground          *Ground  `json:"ground,omitempty"`
	Mode            string   `json:"mode,omitempty"`  // of BuildKit: "max", or "min", which leaves out most arguments and all steps
	Notes           []string `json:"notes,omitempty"` // what a reader should know: "two candidates for the source"
}

// Value is the strongest saying about a field, or "".
func (p Provenance) Value(f Field) string { return p.Claims[f].Value }
