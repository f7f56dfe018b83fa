package stemmatest

import (
	"strings"
	"time"

	"stemma"
)

// Build types of the builders that are imitated.
const (
	BuildTypeActions     = "https://actions.github.io/buildtypes/workflow/v1"
	BuildTypeActionsOld  = "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1"
	BuildTypeBuildKitV02 = "https://mobyproject.org/buildkit@v1"
	BuildTypeBuildKitV1  = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
	BuildTypeGeneric     = "https://ci.acme.example/build/v1"
	PredicateTypeSPDX    = "https://spdx.dev/Document"
	PredicateTypeCyclone = "https://cyclonedx.org/bom"
)

// ActionsAttest is the SLSA v1 provenance of actions/attest, as the job would get it.
func ActionsAttest(g GitHub, subject ...stemma.ResourceDescriptor) *Statement {
	g = g.defaults()
	s := actions(g, subject)
	s.Set("/buildDefinition/internalParameters/github/runner_environment", g.Runner)
	s.Set("/runDetails/builder/id", g.server()+g.Builder)
	return s
}

// ActionsAttestOld is the same of before 2025: another build type, and a builder id that is the same for all jobs, so
// that a reusable workflow shows in the certificate only.
func ActionsAttestOld(g GitHub, subject ...stemma.ResourceDescriptor) *Statement {
	s := actions(g.defaults(), subject)
	s.Set("/buildDefinition/buildType", BuildTypeActionsOld)
	s.Set("/runDetails/builder/id", "https://github.com/actions/runner/github-hosted")
	return s
}

func actions(g GitHub, subject []stemma.ResourceDescriptor) *Statement {
	repository := g.server() + g.Repository
	return &Statement{
		Type: stemma.StatementV1, Subject: subject, PredicateType: stemma.PredicateSLSAv1,
		Predicate: tree(object{
			"buildDefinition": object{
				"buildType":          BuildTypeActions,
				"externalParameters": object{"workflow": object{"ref": g.Ref, "repository": repository, "path": g.Workflow}},
				"internalParameters": object{"github": object{
					"event_name": g.Event, "repository_id": g.RepositoryID, "repository_owner_id": g.OwnerID,
				}},
				"resolvedDependencies": []object{{"uri": "git+" + repository + "@" + g.Ref, "digest": object{"gitCommit": g.SHA}}},
			},
			"runDetails": object{
				"builder":  object{"id": ""},
				"metadata": object{"invocationId": g.runURL()},
			},
		}),
	}
}

// DockerBuilder is the identity of docker/github-builder's workflow of a version ("v1.0.0") in the job g.
func DockerBuilder(g GitHub, version string) GitHub {
	g.Builder, g.BuilderSHA = "docker/github-builder/.github/workflows/build.yml@refs/tags/"+version, ""
	return g.defaults()
}

// BuildKit is a build of BuildKit, which attests without signing.
type BuildKit struct {
	Repository string // image, "ghcr.io/acme/app"
	Tag        string
	Platform   stemma.Platform
	Source     string // git URL of a remote context, "https://github.com/acme/app.git"; empty: a local directory
	Commit     string
	Base       string // package URL without digest, "pkg:docker/alpine@3.22"
	BaseDigest stemma.Digest
	Stage      string // with Steps: of an image from which a file was copied, alike
	StageOf    stemma.Digest
	BuilderID  string // URL of the run, or nothing
	VCS        string // what the client says the repository is; nobody checked it
	Max        bool   // mode=max
	Steps      bool   // and what it did: a file was copied onto the base or, without one, onto nothing
}

// V1 is the SLSA v1 provenance of one platform manifest.
func (b BuildKit) V1(manifest stemma.Digest) *Statement {
	request := object{"frontend": "dockerfile.v0"}
	external := object{"request": request}
	internal := object{"builderPlatform": b.Platform.String()}
	meta := object{}
	if b.Source != "" {
		external["configSource"] = object{"uri": b.Source + "#" + b.Commit, "digest": object{"sha1": b.Commit}, "path": "Dockerfile"}
	} else {
		request["locals"] = []object{{"name": "context"}, {"name": "dockerfile"}}
	}
	if b.Max {
		request["args"] = object{"build-arg:VERSION": b.Tag}
		internal["buildConfig"] = object{"llbDefinition": b.steps(), "digestMapping": object{}}
	}
	if b.VCS != "" {
		meta["vcs"] = object{"source": b.VCS, "revision": b.Commit}
	}
	return b.statement(manifest, stemma.PredicateSLSAv1, object{
		"buildDefinition": object{
			"buildType": BuildTypeBuildKitV1, "externalParameters": external,
			"internalParameters": internal, "resolvedDependencies": b.materials(),
		},
		"runDetails": object{
			"builder": object{"id": b.BuilderID},
			"metadata": object{
				"invocationId": "i4l72yyrgpqmyb767qh62dsa2", "startedOn": Now().Add(-time.Minute), "finishedOn": Now(),
				"buildkit_completeness": object{"request": b.Max, "resolvedDependencies": true},
				"buildkit_metadata":     meta,
			},
		},
	})
}

// V02 is the SLSA v0.2 provenance of one platform manifest.
func (b BuildKit) V02(manifest stemma.Digest) *Statement {
	parameters := object{"frontend": "dockerfile.v0"}
	source := object{}
	meta := object{}
	if b.Source != "" {
		source = object{"uri": b.Source + "#" + b.Commit, "digest": object{"sha1": b.Commit}, "entryPoint": "Dockerfile"}
	} else {
		parameters["locals"] = []object{{"name": "context"}, {"name": "dockerfile"}}
	}
	if b.Max {
		parameters["args"] = object{"build-arg:VERSION": b.Tag}
	}
	if b.VCS != "" {
		meta["vcs"] = object{"source": b.VCS, "revision": b.Commit}
	}
	return b.statement(manifest, stemma.PredicateSLSAv02, object{
		"builder": object{"id": b.BuilderID}, "buildType": BuildTypeBuildKitV02, "materials": b.materials(),
		"invocation": object{"configSource": source, "parameters": parameters, "environment": object{"platform": b.Platform.String()}},
		"metadata": object{
			"buildInvocationID": "i4l72yyrgpqmyb767qh62dsa2", "buildStartedOn": Now().Add(-time.Minute), "buildFinishedOn": Now(),
			"completeness": object{"parameters": b.Max, "environment": true, "materials": b.Source != ""},
			"reproducible": false, "https://mobyproject.org/buildkit@v1#metadata": meta,
		},
	})
}

func (b BuildKit) statement(manifest stemma.Digest, predicateType string, predicate object) *Statement {
	name := "_"
	if b.Repository != "" {
		name = "pkg:docker/" + b.Repository + "@" + b.Tag + "?platform=" + strings.ReplaceAll(b.Platform.String(), "/", "%2F")
	}
	return &Statement{
		Type: stemma.StatementV01, Subject: []stemma.ResourceDescriptor{Subject(name, manifest)},
		PredicateType: predicateType, Predicate: tree(predicate),
	}
}

// steps copy a file onto the base, or onto nothing.
func (b BuildKit) steps() []object {
	step := func(id string, op object, inputs ...string) object {
		return object{"id": id, "op": object{"Op": op}, "inputs": inputs}
	}
	copied := func(input int) object {
		return object{"file": object{"actions": []object{{"input": input, "secondaryInput": -1, "output": 0, "Action": object{"copy": object{"src": "/app", "dest": "/app"}}}}}}
	}
	switch {
	case !b.Steps:
		return []object{}
	case b.Base == "":
		return []object{step("step0", copied(-1)), step("step1", nil, "step0:0")}
	}
	image := func(purl string, d stemma.Digest) object {
		name := strings.Replace(strings.TrimPrefix(purl, "pkg:docker/"), "@", ":", 1)
		if !strings.Contains(name, "/") {
			name = "docker.io/library/" + name
		}
		return object{"source": object{"identifier": "docker-image://" + name + "@" + string(d)}}
	}
	out := []object{step("step0", image(b.Base, b.BaseDigest)), step("step1", copied(0), "step0:0"), step("step2", nil, "step1:0")}
	if b.Stage != "" {
		out = append(out, step("stage", image(b.Stage, b.StageOf)))
		out[1] = step("step1", copied(0), "step0:0", "stage:0")
	}
	return out
}

func (b BuildKit) materials() []object {
	out := []object{}
	if b.Base != "" {
		out = append(out, object{
			"uri":    b.Base + "?digest=" + string(b.BaseDigest) + "&platform=" + strings.ReplaceAll(b.Platform.String(), "/", "%2F"),
			"digest": object{b.BaseDigest.Algorithm(): b.BaseDigest.Hex()},
		})
	}
	if b.Stage != "" {
		out = append(out, object{"uri": b.Stage, "digest": object{b.StageOf.Algorithm(): b.StageOf.Hex()}})
	}
	if b.Source != "" {
		out = append(out, object{"uri": b.Source + "#" + b.Commit, "digest": object{"sha1": b.Commit}})
	}
	return out
}

// Generic is a build of an internal builder, which signs with a managed key and whose certificate therefore says
// nothing: all is in the predicate.
type Generic struct {
	BuilderID  string // "https://ci.acme.example/builder"
	Repository string // "https://git.acme.example/acme/app"
	Ref        string
	Commit     string
	Run        string // URL
}

// Statement is its SLSA v1 provenance.
func (b Generic) Statement(subject ...stemma.ResourceDescriptor) *Statement {
	return &Statement{
		Type: stemma.StatementV1, Subject: subject, PredicateType: stemma.PredicateSLSAv1,
		Predicate: tree(object{
			"buildDefinition": object{
				"buildType":            BuildTypeGeneric,
				"externalParameters":   object{"source": object{"repository": b.Repository, "ref": b.Ref}},
				"resolvedDependencies": []object{{"uri": "git+" + b.Repository + "@" + b.Ref, "digest": object{"gitCommit": b.Commit}}},
			},
			"runDetails": object{"builder": object{"id": b.BuilderID}, "metadata": object{"invocationId": b.Run}},
		}),
	}
}

// SPDX is a small SPDX 2.3 document about the subject.
func SPDX(subject ...stemma.ResourceDescriptor) *Statement {
	return &Statement{
		Type: stemma.StatementV1, Subject: subject, PredicateType: PredicateTypeSPDX,
		Predicate: tree(object{
			"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "app",
			"documentNamespace": "https://acme.example/spdx/app",
			"creationInfo":      object{"created": Now(), "creators": []string{"Tool: stemmatest"}},
			"packages": []object{{
				"SPDXID": "SPDXRef-Package-app", "name": "app", "versionInfo": "2.0.0",
				"downloadLocation": "NOASSERTION", "filesAnalyzed": false,
			}},
			"relationships": []object{{
				"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-Package-app",
			}},
		}),
	}
}

// CycloneDX is a small CycloneDX 1.6 document about the subject.
func CycloneDX(subject ...stemma.ResourceDescriptor) *Statement {
	return &Statement{
		Type: stemma.StatementV1, Subject: subject, PredicateType: PredicateTypeCyclone,
		Predicate: tree(object{
			"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
			"serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
			"metadata":     object{"timestamp": Now(), "component": object{"type": "container", "name": "app", "version": "2.0.0"}},
			"components":   []object{{"type": "library", "name": "app", "version": "2.0.0"}},
		}),
	}
}

// VSA is a verification summary of SLSA 1.x.
type VSA struct {
	Verifier string // verifier.id
	Resource string // resourceUri
	Policy   string // policy.uri
	Result   string // PASSED
	Levels   []string
	Time     time.Time
}

// Statement is the summary about subjects.
func (v VSA) Statement(subject ...stemma.ResourceDescriptor) *Statement {
	return &Statement{
		Type: stemma.StatementV1, Subject: subject, PredicateType: predicateVSA,
		Predicate: tree(object{
			"verifier": object{"id": v.Verifier}, "timeVerified": v.Time.UTC().Format(time.RFC3339), "resourceUri": v.Resource,
			"policy": object{"uri": v.Policy}, "verificationResult": v.Result, "verifiedLevels": v.Levels,
		}),
	}
}

const predicateVSA = "https://slsa.dev/verification_summary/v1"
