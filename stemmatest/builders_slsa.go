package stemmatest

import (
	"strconv"
	"strings"

	"stemma"
)

// Build types of slsa-github-generator and of npm.
const (
	BuildTypeSLSAGen        = slsaGenerator + "/container@v1"
	BuildTypeGenericGen     = slsaGenerator + "/generic@v1"
	BuildTypeGoGen          = slsaGenerator + "/go@v1"
	BuildTypeContainerBased = "https://slsa.dev/container-based-build/v0.1?draft"
	BuildTypeDelegated      = slsaGenerator + "/delegator-generic@v0"
	BuildTypeNPM            = "https://github.com/npm/cli/gha/v2"

	slsaGenerator = "https://github.com/slsa-framework/slsa-github-generator"
)

// SLSAGenerator is the identity of slsa-github-generator's container workflow of a version ("v2.0.0") in the job g.
func SLSAGenerator(g GitHub, version string) GitHub {
	return SLSAWorkflow(g, "generator_container_slsa3.yml", version)
}

// SLSAWorkflow is the identity of any workflow of slsa-github-generator, by its file, of a version in the job g.
func SLSAWorkflow(g GitHub, file, version string) GitHub {
	g.Builder, g.BuilderSHA = "slsa-framework/slsa-github-generator/.github/workflows/"+file+"@refs/tags/"+version, ""
	return g.defaults()
}

// SLSAGeneratorContainer is the SLSA v0.2 provenance of slsa-github-generator's container workflow. The identity is
// one made by SLSAGenerator.
func SLSAGeneratorContainer(g GitHub, subject ...stemma.ResourceDescriptor) *Statement {
	return slsaGeneratorV02(g, BuildTypeSLSAGen, subject)
}

// SLSAGeneratorGeneric is that of the generic workflow (generator_generic_slsa3.yml).
func SLSAGeneratorGeneric(g GitHub, subject ...stemma.ResourceDescriptor) *Statement {
	s := slsaGeneratorV02(g, BuildTypeGenericGen, subject)
	s.Set("/metadata/completeness/parameters", true)
	return s
}

// SLSAGeneratorGo is that of the builder of Go programs (builder_go_slsa3.yml), which names its commands and the machine.
func SLSAGeneratorGo(g GitHub, subject ...stemma.ResourceDescriptor) *Statement {
	s := slsaGeneratorV02(g, BuildTypeGoGen, subject)
	s.Set("/metadata/completeness/parameters", true)
	s.Set("/invocation/environment/arch", "X64")
	s.Set("/invocation/environment/os", "ubuntu22")
	s.Set("/buildConfig", tree(object{"version": 1, "steps": []object{
		{"workingDir": "/home/build/app", "command": []string{"go", "mod", "vendor"}, "env": nil},
		{"workingDir": "/home/build/app", "command": []string{"go", "build", "-o", "app"}, "env": []string{"GOOS=linux", "GOARCH=amd64"}},
	}}))
	s.Predicate["materials"] = append(s.Predicate["materials"].([]any), tree(object{"uri": "https://github.com/actions/virtual-environments/releases/tag/ubuntu22/20240414.1.0"}))
	return s
}

func (g GitHub) source(commit string) object {
	return object{"uri": "git+" + g.server() + g.Repository + "@" + g.Ref, "digest": object{commit: g.SHA}}
}

func (g GitHub) refType() string {
	if strings.HasPrefix(g.Ref, "refs/tags/") {
		return "tag"
	}
	return "branch"
}

func slsaGeneratorV02(g GitHub, buildType string, subject []stemma.ResourceDescriptor) *Statement {
	g = g.defaults()
	run, attempt, _ := strings.Cut(g.Run, "/attempts/")
	config := g.source("sha1")
	config["entryPoint"] = g.Workflow
	return &Statement{
		Type: stemma.StatementV01, Subject: subject, PredicateType: stemma.PredicateSLSAv02,
		Predicate: tree(object{
			"builder":   object{"id": g.server() + g.Builder},
			"buildType": buildType,
			"invocation": object{
				"configSource": config,
				"parameters":   object{},
				"environment": object{
					"github_actor": "octocat", "github_actor_id": "583231", "github_base_ref": "", "github_head_ref": "",
					"github_event_name": g.Event, "github_event_payload": object{"repository": object{"full_name": g.Repository}},
					"github_ref": g.Ref, "github_ref_type": g.refType(), "github_repository_id": g.RepositoryID,
					"github_repository_owner": g.owner(), "github_repository_owner_id": g.OwnerID,
					"github_run_attempt": attempt, "github_run_id": run, "github_run_number": "100", "github_sha1": g.SHA,
				},
			},
			"metadata": object{
				"buildInvocationID": run + "-" + attempt, "reproducible": false,
				"completeness": object{"parameters": true, "environment": false, "materials": false},
			},
			"materials": []object{g.source("sha1")},
		}),
	}
}

// variables are those of the environment of a job that the later builders write.
func (g GitHub) variables() object {
	run, attempt, _ := strings.Cut(g.Run, "/attempts/")
	return object{
		"GITHUB_ACTOR_ID": "583231", "GITHUB_EVENT_NAME": g.Event, "GITHUB_BASE_REF": "", "GITHUB_REF": g.Ref, "GITHUB_REF_TYPE": g.refType(),
		"GITHUB_REPOSITORY": g.Repository, "GITHUB_REPOSITORY_ID": g.RepositoryID, "GITHUB_REPOSITORY_OWNER_ID": g.OwnerID,
		"GITHUB_RUN_ATTEMPT": attempt, "GITHUB_RUN_ID": run, "GITHUB_RUN_NUMBER": "100", "GITHUB_SHA": g.SHA, "GITHUB_TRIGGERING_ACTOR_ID": "583231",
		"GITHUB_WORKFLOW_REF": g.Repository + "/" + g.Workflow + "@" + g.Ref, "GITHUB_WORKFLOW_SHA": g.SHA,
		"GITHUB_EVENT_PAYLOAD": object{"repository": object{"full_name": g.Repository}},
	}
}

// SLSAContainerBased is the SLSA v1 provenance of the container-based builder (builder_container-based_slsa3.yml). It
// writes the number of the run as a number.
func SLSAContainerBased(g GitHub, subject ...stemma.ResourceDescriptor) *Statement {
	g = g.defaults()
	image := stemma.SHA256([]byte("bash"))
	internal := g.variables()
	internal["GITHUB_WORKFLOW"] = g.Workflow
	internal["GITHUB_RUN_NUMBER"] = 100
	if run, _, _ := strings.Cut(g.Run, "/attempts/"); run != "" {
		if n, err := strconv.ParseInt(run, 10, 64); err == nil {
			internal["GITHUB_RUN_ID"] = n
		}
	}
	_, version, _ := strings.Cut(g.Builder, "@")
	return slsaV1(subject, BuildTypeContainerBased, g.server()+g.Builder, g.runURL(), object{
		"source":       g.source("sha1"),
		"builderImage": object{"uri": "bash@" + string(image), "digest": object{"sha256": image.Hex()}},
		"configPath":   ".github/container.toml",
		"buildConfig":  object{"ArtifactPath": "app", "Command": []string{"make", "app"}},
	}, internal, []object{
		g.source("sha1"),
		{"uri": "git+" + slsaGenerator + "@" + version, "digest": object{"sha256": stemma.SHA256([]byte("builder")).Hex()}},
	})
}

// SLSADelegated is the SLSA v1 provenance that a delegator (delegator_generic_slsa3.yml) signs for the workflow that
// called it. That workflow's URL is the builder id.
func SLSADelegated(g GitHub, builder string, subject ...stemma.ResourceDescriptor) *Statement {
	g = g.defaults()
	return slsaV1(subject, BuildTypeDelegated, builder, g.runURL(),
		object{"inputs": object{"artifact": "app", "rekor-log-public": false}, "vars": object{}}, g.variables(), []object{g.source("gitCommit")})
}

// slsaV1 is a predicate of SLSA v1 in a statement of the version that most builders still write.
func slsaV1(subject []stemma.ResourceDescriptor, buildType, builder, run string, external, internal object, dependencies []object) *Statement {
	definition := object{"buildType": buildType, "externalParameters": external}
	if internal != nil {
		definition["internalParameters"] = internal
	}
	if dependencies != nil {
		definition["resolvedDependencies"] = dependencies
	}
	return &Statement{
		Type: stemma.StatementV01, Subject: subject, PredicateType: stemma.PredicateSLSAv1,
		Predicate: tree(object{
			"buildDefinition": definition,
			"runDetails":      object{"builder": object{"id": builder}, "metadata": object{"invocationId": run}},
		}),
	}
}

// NPM is the SLSA v0.2 provenance that npm publish wrote in a job of GitHub Actions. Its builder id is the same for all
// jobs.
func NPM(g GitHub, subject ...stemma.ResourceDescriptor) *Statement {
	g = g.defaults()
	run, attempt, _ := strings.Cut(g.Run, "/attempts/")
	config := g.source("sha1")
	config["entryPoint"] = g.Workflow
	environment := object{}
	all := g.variables()
	for _, name := range []string{
		"EVENT_NAME", "REF", "REPOSITORY", "REPOSITORY_ID", "REPOSITORY_OWNER_ID", "RUN_ATTEMPT", "RUN_ID", "SHA", "WORKFLOW_REF", "WORKFLOW_SHA",
	} {
		environment["GITHUB_"+name] = all["GITHUB_"+name]
	}
	return &Statement{
		Type: stemma.StatementV01, Subject: subject, PredicateType: stemma.PredicateSLSAv02,
		Predicate: tree(object{
			"builder": object{"id": "https://github.com/actions/runner"}, "buildType": BuildTypeNPM,
			"invocation": object{"configSource": config, "parameters": object{}, "environment": environment},
			"metadata": object{
				"buildInvocationId": run + "-" + attempt, "reproducible": false,
				"completeness": object{"parameters": false, "environment": false, "materials": false},
			},
			"materials": []object{g.source("sha1")},
		}),
	}
}
