package predicate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"stemma"
)

const cloudV01 = `{
  "builder": {"id": "https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3"},
  "recipe": {
    "type": "https://cloudbuild.googleapis.com/CloudBuildYaml@v0.1", "entryPoint": "cloudbuild.yaml",
    "arguments": {
      "@type": "type.googleapis.com/google.devtools.cloudbuild.v1.Build", "id": "11f6c682-3451-4f72-ac2a-8e386eab66af",
      "projectId": "acme-build", "buildTriggerId": "7983e852-ba43-4b82-9a91-8ac3c05aafd6",
      "serviceAccount": "projects/acme-build/serviceAccounts/ci@acme-build.iam.gserviceaccount.com",
      "sourceProvenance": {},
      "steps": [{"name": "gcr.io/cloud-builders/docker", "args": ["build", "."], "status": "SUCCESS"}, {"name": "gcr.io/acme/scan:1", "id": "scan"}],
      "substitutions": {
        "COMMIT_SHA": "` + commitA + `", "REF_NAME": "v39", "TAG_NAME": "v39", "SHORT_SHA": "0123456", "REPO_NAME": "app",
        "TRIGGER_NAME": "release", "TRIGGER_BUILD_CONFIG_PATH": "cloudbuild.yaml", "_ENV": "prod"
      }
    }
  },
  "metadata": {"buildInvocationId": "11f6c682-3451-4f72-ac2a-8e386eab66af"},
  "materials": [{"uri": "https://github.com/acme/app", "digest": {"sha1": "` + commitA + `"}}]
}`

const cloudV1 = `{
  "buildDefinition": {
    "buildType": "https://cloud.google.com/build/gcb-buildtypes/google-worker/v1",
    "externalParameters": {
      "substitutions": {"_ENV": "prod"},
      "buildConfigSource": {"path": "cloudbuild.yaml", "ref": "refs/heads/main", "repository": "git+https://github.com/acme/app"}
    },
    "internalParameters": {
      "triggerUri": "projects/708288290784/locations/us-central1/triggers/7983e852-ba43-4b82-9a91-8ac3c05aafd6",
      "systemSubstitutions": {
        "BRANCH_NAME": "main", "COMMIT_SHA": "` + commitA + `", "TRIGGER_NAME": "release", "PROJECT_NUMBER": "708288290784", "REF_NAME": "main",
        "SERVICE_ACCOUNT_EMAIL": "708288290784@cloudbuild.gserviceaccount.com", "BUILD_ID": "5dadd1d8-62ab-4788-b1bb-e9182819649a"
      }
    },
    "resolvedDependencies": [
      {"uri": "git+https://github.com/acme/app@refs/heads/main", "digest": {"gitCommit": "` + commitA + `"}},
      {"uri": "quay.io/containers/skopeo:v1.16.1@sha256:` + sum + `", "digest": {"sha256": "` + sum + `"}}
    ]
  },
  "runDetails": {
    "builder": {"id": "https://cloudbuild.googleapis.com/GoogleHostedWorker"},
    "metadata": {"invocationId": "https://cloudbuild.googleapis.com/v1/projects/acme-build/locations/us-central1/builds/5dadd1d8-62ab-4788-b1bb-e9182819649a"}
  }
}`

// claims writes the strongest saying of each field as "field value grade".
func claims(p *stemma.Provenance) []string {
	out := []string{}
	for _, f := range stemma.Fields() {
		if c, ok := p.Claims[f]; ok {
			out = append(out, string(f)+" "+c.Value+" "+string(c.By))
		}
	}
	return out
}

func equalLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCloudBuild(t *testing.T) {
	v01 := mustRead(t, keySigner(), stemma.PredicateSLSAv01, cloudV01)
	equalLines(t, "v0.1", claims(v01), []string{
		"builder https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3 builder", "repository github.com/acme/app builder",
		"commit " + commitA + " builder", "ref refs/tags/v39 builder", "entryPoint cloudbuild.yaml builder", "trigger release builder",
		"triggerID 7983e852-ba43-4b82-9a91-8ac3c05aafd6 builder", "namespace acme-build builder",
		"serviceAccount ci@acme-build.iam.gserviceaccount.com builder", "run 11f6c682-3451-4f72-ac2a-8e386eab66af builder",
	})
	v1 := mustRead(t, keySigner(), stemma.PredicateSLSAv1, cloudV1)
	equalLines(t, "v1", claims(v1), []string{
		"builder https://cloudbuild.googleapis.com/GoogleHostedWorker builder", "repository github.com/acme/app builder",
		"commit " + commitA + " builder", "ref refs/heads/main builder", "entryPoint cloudbuild.yaml tenant", "trigger release builder",
		"triggerID 7983e852-ba43-4b82-9a91-8ac3c05aafd6 builder", "namespace acme-build builder",
		"serviceAccount 708288290784@cloudbuild.gserviceaccount.com builder", "run 5dadd1d8-62ab-4788-b1bb-e9182819649a builder",
	})
	for _, p := range []*stemma.Provenance{v01, v1} {
		if got := contradictions(p); len(got) > 0 || p.Known != "Google Cloud Build" {
			t.Errorf("%s %s: contradictions %q", p.Format, p.Known, got)
		}
		if len(p.Parameters) != 1 || p.Parameters[0].Kind != "substitution" || p.Parameters[0].Name != "_ENV" || p.Parameters[0].Value != "prod" {
			t.Errorf("%s: parameters %+v", p.Format, p.Parameters)
		}
		if p.Inputs[0].Role != stemma.RoleSource || p.Reported[stemma.InputImage] != stemma.ReportedSome {
			t.Errorf("%s: inputs %+v, reported %v", p.Format, p.Inputs, p.Reported)
		}
	}
	if len(v01.Tasks) != 2 || v01.Tasks[0].Name != "0" || v01.Tasks[1].Name != "scan" || v01.Tasks[0].Images[0] != "gcr.io/cloud-builders/docker" || v01.Tasks[0].Status != "SUCCESS" {
		t.Errorf("tasks %+v", v01.Tasks)
	}
	if len(v01.Inputs) != 3 || !v01.Inputs[1].Undeclared || v01.Inputs[1].Role != stemma.RoleBuilder || v01.Inputs[1].Kind != stemma.InputImage {
		t.Errorf("inputs %+v", v01.Inputs)
	}
}

// Inputs have the names that lists know them by, also where Cloud Build writes them as nobody else does.
func TestCloudBuildInputs(t *testing.T) {
	for _, c := range []struct {
		name, kind, predicate, old, new string
		at                              int
		want                            string
	}{
		{"step", stemma.PredicateSLSAv01, cloudV01, "", "", 1, "image gcr.io/cloud-builders/docker builder true"},
		{"step by tag", stemma.PredicateSLSAv01, cloudV01, "", "", 2, "image gcr.io/acme/scan builder true"},
		{"step on docker.io", stemma.PredicateSLSAv01, cloudV01, "gcr.io/cloud-builders/docker", "bash", 1, "image docker.io/library/bash builder true"},
		{"not a name", stemma.PredicateSLSAv01, cloudV01, "gcr.io/cloud-builders/docker", "${_IMAGE}", 1, "image  builder true"},
		{"source", stemma.PredicateSLSAv01, cloudV01, "", "", 0, "git github.com/acme/app source false"},
		{"page of the commit", stemma.PredicateSLSAv01, cloudV01, `{"uri": "https://github.com/acme/app"`, `{"uri": "https://github.com/acme/app/commit/` + commitA + `"`, 0, "git github.com/acme/app source false"},
		{"upload", stemma.PredicateSLSAv01, cloudV01, "https://github.com/acme/app", "gs://acme/app", 0, "other   false"},
		{"resolved", stemma.PredicateSLSAv1, cloudV1, "", "", 1, "image quay.io/containers/skopeo builder false"},
		{"digest twice", stemma.PredicateSLSAv1, cloudV1, `1@sha256:` + sum, `1@sha256:` + sum + `@sha256:` + sum, 1, "image quay.io/containers/skopeo builder false"},
		{"two digests", stemma.PredicateSLSAv1, cloudV1, `1@sha256:` + sum, `1@sha256:` + sum + `@sha256:` + sumB, 1, "image  builder false"},
		{"another digest", stemma.PredicateSLSAv1, cloudV1, `{"sha256": "` + sum, `{"sha256": "` + sumB, 1, "image  builder false"},
	} {
		in := mustRead(t, keySigner(), c.kind, change(t, c.predicate, c.old, c.new)).Inputs[c.at]
		if got := fmt.Sprintf("%s %s %s %t", in.Kind, in.Canonical, in.Role, in.Undeclared); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Whoever submits a build by himself sends the built-in substitutions as he likes; under the key of the service they
// are his word all the same.
func TestCloudBuildSubmitted(t *testing.T) {
	submitted := change(t, cloudV01, "CloudBuildYaml@v0.1", "CloudBuildSteps@v0.1", `"materials": [{"uri": "https://github.com/acme/app", "digest": {"sha1": "`+commitA+`"}}]`,
		`"materials": [{"uri": "gs://acme-build_cloudbuild/source/1.tgz#7"}]`)
	p := mustRead(t, keySigner(), stemma.PredicateSLSAv01, submitted)
	if _, ok := p.Claims[stemma.FieldRepository]; ok {
		t.Errorf("an upload has the repository %v", p.Claims[stemma.FieldRepository])
	}
	for _, f := range []stemma.Field{stemma.FieldCommit, stemma.FieldRef, stemma.FieldTrigger, stemma.FieldEntryPoint, stemma.FieldServiceAccount} {
		if c := p.Claims[f]; c.By != stemma.SaidByTenant {
			t.Errorf("%s is said by %q", f, c.By)
		}
	}
	for _, want := range []string{"built from an upload", "sent with the request"} {
		if !strings.Contains(strings.Join(p.Notes, "\n"), want) {
			t.Errorf("no note %q in %q", want, p.Notes)
		}
	}
	if len(p.Parameters) != 8 {
		t.Errorf("%d parameters, want all 8 substitutions", len(p.Parameters))
	}
}

// What two places of one provenance say differently is a contradiction.
func TestCloudBuildContradictions(t *testing.T) {
	for _, c := range []struct {
		name, kind, predicate, old, new, field string
	}{
		{"commit of the material", stemma.PredicateSLSAv01, cloudV01, `{"sha1": "` + commitA, `{"sha1": "` + commitB, "commit"},
		{"branch and tag", stemma.PredicateSLSAv01, cloudV01, `"SHORT_SHA"`, `"BRANCH_NAME": "main", "SHORT_SHA"`, "ref"},
		{"REF_NAME", stemma.PredicateSLSAv01, cloudV01, `"REF_NAME": "v39"`, `"REF_NAME": "v40"`, "ref"},
		{"id of the build", stemma.PredicateSLSAv01, cloudV01, `"id": "11f6c682`, `"id": "21f6c682`, "run"},
		{"configuration", stemma.PredicateSLSAv01, cloudV01, `"TRIGGER_BUILD_CONFIG_PATH": "cloudbuild.yaml"`, `"TRIGGER_BUILD_CONFIG_PATH": "other.yaml"`, "entryPoint"},
		{"commit of the dependency", stemma.PredicateSLSAv1, cloudV1, `{"gitCommit": "` + commitA, `{"gitCommit": "` + commitB, "commit"},
		{"ref of the parameter", stemma.PredicateSLSAv1, cloudV1, `"ref": "refs/heads/main"`, `"ref": "refs/heads/evil"`, "ref"},
		{"BUILD_ID", stemma.PredicateSLSAv1, cloudV1, `"BUILD_ID": "5dadd1d8`, `"BUILD_ID": "6dadd1d8`, "run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustRead(t, keySigner(), c.kind, change(t, c.predicate, c.old, c.new))
			if got := contradictions(p); !slices.Equal(got, []string{c.field}) {
				t.Errorf("contradictions %q, want %q; %s", got, c.field, strings.Join(lines(p), "\n"))
			}
		})
	}
}

// The dependency is the source only where it is the repository that the parameters name; a source of another place than
// the configuration is sourceToBuild.
func TestCloudBuildSource(t *testing.T) {
	const second = `{"uri": "git+https://github.com/acme/config@refs/heads/main", "digest": {"gitCommit": "` + commitB + `"}}, {"uri": "quay.io`
	p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, cloudV1, `{"uri": "quay.io`, second,
		`"buildConfigSource": {"path": "cloudbuild.yaml", "ref": "refs/heads/main", "repository": "git+https://github.com/acme/app"}`,
		`"buildConfigSource": {"path": "cloudbuild.yaml", "ref": "refs/heads/main", "repository": "git+https://github.com/acme/config"},
		 "sourceToBuild": {"ref": "refs/heads/main", "repository": "git+https://github.com/acme/app"}`))
	if p.Value(stemma.FieldRepository) != "github.com/acme/app" || p.Value(stemma.FieldCommit) != commitA ||
		p.Value(stemma.FieldDefinition) != "github.com/acme/config@"+commitB || p.Inputs[1].Role != stemma.RoleDefinition {
		t.Errorf("%s\n%+v", strings.Join(lines(p), "\n"), p.Inputs)
	}
	p = mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, cloudV1, `{"uri": "git+https://github.com/acme/app@refs/heads/main"`, `{"uri": "git+https://github.com/acme/lib@refs/heads/main"`))
	if c := p.Claims[stemma.FieldRepository]; c.Value != "github.com/acme/app" || c.By != stemma.SaidByTenant {
		t.Errorf("a repository that was not resolved is %+v", c)
	}
	p = mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, cloudV1, `{"uri": "quay.io`,
		`{"uri": "git+https://github.com/acme/app@refs/heads/main", "digest": {"gitCommit": "`+commitB+`"}}, {"uri": "quay.io`, `"COMMIT_SHA": "`+commitA+`", `, ""))
	if c, ok := p.Claims[stemma.FieldCommit]; ok {
		t.Errorf("of two commits, %+v was taken", c)
	}
	p = mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, cloudV1, `"substitutions": {"_ENV": "prod"}`, `"surprise": 1`))
	if len(p.Parameters) != 1 || p.Parameters[0].Kind != "unknown" || p.Parameters[0].Name != "surprise" {
		t.Errorf("parameters %+v", p.Parameters)
	}
}

// The copy that the service signs beside the predicate says the same, or the provenance contradicts itself.
func TestCloudBuildCopy(t *testing.T) {
	read := func(copied string) (*stemma.Provenance, error) {
		d, err := Read(stemma.Attestation{Signer: *keySigner(), Statement: stemma.Statement{
			PredicateType: stemma.PredicateSLSAv01, Predicate: json.RawMessage(cloudV01), SLSAProvenance: json.RawMessage(copied),
		}})
		return d.Provenance, err
	}
	for _, c := range []struct {
		name, old, new string
		want           []string
		note           string
	}{
		{"same", "", "", []string{}, ""},
		{"other repository", "https://github.com/acme/app", "https://github.com/acme/evil", []string{"repository"}, "materials"},
		{"other builder", "GoogleHostedWorker@v0.3", "GoogleHostedWorker@v0.2", []string{"builder"}, ""},
		{"other project", "acme-build\",", "evil-build\",", []string{"namespace"}, ""},
		{"without commit", `"COMMIT_SHA": "` + commitA + `", `, ``, []string{}, ""},
		{"without trigger", `"TRIGGER_NAME": "release", `, ``, []string{"trigger"}, ""},
		{"more materials", `"materials": [`, `"materials": [{"uri": "gs://b/o"}, `, []string{}, "materials"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := read(change(t, cloudV01, c.old, c.new))
			if err != nil {
				t.Fatal(err)
			}
			if got := contradictions(p); !slices.Equal(got, c.want) {
				t.Errorf("contradictions %q, want %q", got, c.want)
			}
			if notes := strings.Join(p.Notes, "\n"); c.note != "" && !strings.Contains(notes, c.note) {
				t.Errorf("notes %q, want %q", notes, c.note)
			}
		})
	}
	for _, bad := range []string{`[]`, `{`, `{"builder": {}}`} {
		if p, err := read(bad); err == nil {
			t.Errorf("copy %s: %+v", bad, p)
		}
	}
}

func TestCloudBuildTypes(t *testing.T) {
	for _, c := range []struct{ name, kind, predicate, old, new, want string }{
		{"steps", stemma.PredicateSLSAv01, cloudV01, `"steps": [`, `"steps": {}, "rest": [`, "steps: want an array"},
		{"a step", stemma.PredicateSLSAv01, cloudV01, `{"name": "gcr.io/acme/scan:1", "id": "scan"}`, `7`, "/recipe/arguments/steps/1: want an object"},
		{"substitution", stemma.PredicateSLSAv01, cloudV01, `"_ENV": "prod"`, `"_ENV": ["prod"]`, "_ENV: want a string"},
		{"configuration", stemma.PredicateSLSAv1, cloudV1, `"buildConfigSource": {`, `"buildConfigSource": 7, "rest": {`, "buildConfigSource: want an object"},
		{"trigger", stemma.PredicateSLSAv1, cloudV1, `"triggerUri": "projects`, `"triggerUri": 7, "rest": "projects`, "triggerUri: want a string"},
	} {
		if p, err := readAs(keySigner(), c.kind, change(t, c.predicate, c.old, c.new)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", c.name, p, err, c.want)
		}
	}
}

// The records of the corpus were altered in their signatures and in the text beside the envelope; what was signed is
// the same in all of them.
func TestCorpusCloudBuild(t *testing.T) {
	dir := corpusDir(t)
	read := 0
	for id, r := range factsOf(t, dir, "cloudbuild.googleapis.com/CloudBuildYaml@v0.1", "cloudbuild.googleapis.com/GoogleHostedWorker") {
		all := statements(t, dir, r.Path)
		if len(all) == 0 {
			t.Errorf("%s: no statement in %s", id, r.Path)
		}
		for _, s := range all {
			if s.Subject[0].Digest["sha256"] != r.want.Subjects[0].Digest {
				continue // the text beside an envelope, altered to be of another image
			}
			read++
			p := checkFacts(t, id, s, r.want)
			if p == nil {
				continue
			}
			commit, ref := "fbbb98765e85ad464302dc5977968104d36e455e", ""
			if strings.Contains(r.want.BuildType, "CloudBuildYaml") {
				commit, ref = "01ce393d04eb6df2a7b2b3e95d4126e687afb7ae", "refs/tags/v39"
			}
			if p.Value(stemma.FieldRepository) != "github.com/laurentsimon/gcb-tests" || p.Value(stemma.FieldCommit) != commit ||
				p.Value(stemma.FieldRef) != ref || len(contradictions(p)) > 0 || len(s.SLSAProvenance) == 0 || len(p.Tasks) != 1 {
				t.Errorf("%s: %s", id, strings.Join(lines(p), "\n"))
			}
		}
	}
	if read < 26 {
		t.Errorf("%d statements read, want at least one of each of the 26 records", read)
	}
	t.Logf("%d statements", read)
}
