package stemmatest

import (
	"time"

	"stemma"
)

const minute = time.Minute

// Build types of Google Cloud Build and of apko.
const (
	BuildTypeCloudBuildYAML = "https://cloudbuild.googleapis.com/CloudBuildYaml@v0.1"
	BuildTypeCloudBuild     = "https://cloud.google.com/build/gcb-buildtypes/google-worker/v1"
	BuildTypeApko           = "https://apko.dev/slsa-build-type@v1"
)

// CloudBuild is a build of Google Cloud Build that a trigger started for a tag.
type CloudBuild struct {
	Project    string // "acme-build"
	Repository string // "https://github.com/acme/app"
	Tag        string // "v2.0.0"
	Commit     string
	Trigger    string // name
	ID         string // of the build
}

func (b CloudBuild) substitutions() object {
	return object{
		"COMMIT_SHA": b.Commit, "REF_NAME": b.Tag, "REPO_NAME": "app", "REVISION_ID": b.Commit, "SHORT_SHA": b.Commit[:7], "TAG_NAME": b.Tag,
		"TRIGGER_BUILD_CONFIG_PATH": "cloudbuild.yaml", "TRIGGER_NAME": b.Trigger,
	}
}

// V01 is its SLSA v0.1, in which the whole Build stands among the parameters.
func (b CloudBuild) V01(subject ...stemma.ResourceDescriptor) *Statement {
	start, end := Now().Add(-minute), Now()
	return &Statement{
		Type: stemma.StatementV01, Subject: subject, PredicateType: stemma.PredicateSLSAv01,
		Predicate: tree(object{
			"builder":   object{"id": "https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3"},
			"materials": []object{{"uri": b.Repository, "digest": object{"sha1": b.Commit}}},
			"metadata":  object{"buildInvocationId": b.ID, "buildStartedOn": start, "buildFinishedOn": end},
			"recipe": object{
				"type": BuildTypeCloudBuildYAML, "entryPoint": "cloudbuild.yaml",
				"arguments": object{
					"@type": "type.googleapis.com/google.devtools.cloudbuild.v1.Build", "id": b.ID, "sourceProvenance": object{},
					"options": object{"dynamicSubstitutions": true, "logging": "LEGACY", "pool": object{}, "requestedVerifyOption": "VERIFIED", "substitutionOption": "ALLOW_LOOSE"},
					"steps": []object{{
						"name": "gcr.io/cloud-builders/docker", "args": []string{"build", "."}, "status": "SUCCESS",
						"pullTiming": object{"startTime": start, "endTime": end}, "timing": object{"startTime": start, "endTime": end},
					}},
					"substitutions": b.substitutions(),
				},
			},
		}),
	}
}

// V1 is its SLSA v1, which only triggers cause to be written.
func (b CloudBuild) V1(subject ...stemma.ResourceDescriptor) *Statement {
	const location = "projects/708288290784/locations/us-central1"
	system := b.substitutions()
	system["PROJECT_NUMBER"], system["BUILD_ID"], system["SERVICE_ACCOUNT_EMAIL"] = "708288290784", b.ID, "ci@"+b.Project+".iam.gserviceaccount.com"
	ref, step := "refs/tags/"+b.Tag, stemma.SHA256([]byte("step"))
	s := slsaV1(subject, BuildTypeCloudBuild, "https://cloudbuild.googleapis.com/GoogleHostedWorker",
		"https://cloudbuild.googleapis.com/v1/projects/"+b.Project+"/locations/us-central1/builds/"+b.ID,
		object{
			"buildConfigSource": object{"path": "cloudbuild.yaml", "ref": ref, "repository": "git+" + b.Repository},
			"substitutions":     object{"_ENV": "prod"},
		},
		object{"triggerUri": location + "/triggers/7983e852-ba43-4b82-9a91-8ac3c05aafd6", "systemSubstitutions": system},
		[]object{
			{"uri": "git+" + b.Repository + "@" + ref, "digest": object{"gitCommit": b.Commit}},
			{"uri": "gcr.io/cloud-builders/docker@" + string(step), "digest": object{"sha256": step.Hex()}},
		})
	s.Type = stemma.StatementV1
	return s
}

// Apko is the SLSA v1 that Chainguard's builder of images writes: the packages of the image with their versions, and
// nothing of where it was built from.
func Apko(image string, subject ...stemma.ResourceDescriptor) *Statement {
	s := slsaV1(subject, BuildTypeApko, "https://github.com/chainguard-dev/terraform-provider-apko", image, nil,
		object{"ca-certificates-bundle": "20260413-r0", "glibc": "2.41-r52", "wolfi-baselayout": "20230201-r22"}, nil)
	s.Set("/buildDefinition/externalParameters", nil)
	return s
}

// InternalPredicateType is that of a predicate of one's own, as Internal writes it.
const InternalPredicateType = "https://ci.acme.example/attestation/v1"

// Internal is a statement of a builder of one's own that follows no specification.
func (b Generic) Internal(subject ...stemma.ResourceDescriptor) *Statement {
	return &Statement{
		Type: stemma.StatementV1, Subject: subject, PredicateType: InternalPredicateType,
		Predicate: tree(object{
			"by":  b.BuilderID,
			"run": object{"url": b.Run, "repository": b.Repository, "ref": b.Ref, "commit": b.Commit},
		}),
	}
}

// KoAnnotations are what ko leaves in an image, which has no provenance: a base with its digest, and what it is told.
func KoAnnotations(repository, commit string, base stemma.Digest) map[string]string {
	const prefix = "org.opencontainers.image."
	return map[string]string{
		prefix + "base.name": "cgr.dev/chainguard/static:latest", prefix + "base.digest": string(base),
		prefix + "source": repository, prefix + "revision": commit,
	}
}

// BuildpackLabels are what the lifecycle of Cloud Native Buildpacks leaves in an image, which has no provenance.
func BuildpackLabels(repository, commit string, run stemma.Digest) map[string]string {
	packs := []object{{"id": "acme/go", "version": "1.2.3", "homepage": "https://acme.example"}}
	keyed := []object{{"key": "acme/go", "version": "1.2.3", "layers": object{}}}
	return map[string]string{
		"io.buildpacks.lifecycle.metadata": string(canonical(object{
			"buildpacks": keyed,
			"runImage":   object{"topLayer": string(run), "reference": "docker.io/paketobuildpacks/run-noble-tiny@" + string(run), "image": "paketobuildpacks/run-noble-tiny"},
			"stack":      object{"runImage": object{"image": "paketobuildpacks/run-noble-tiny"}},
		})),
		"io.buildpacks.build.metadata": string(canonical(object{"buildpacks": packs, "launcher": object{"version": "0.20.5"}, "processes": []object{}})),
		"io.buildpacks.project.metadata": string(canonical(object{"source": object{
			"type": "git", "version": object{"commit": commit}, "metadata": object{"repository": repository, "revision": "main"},
		}})),
	}
}
