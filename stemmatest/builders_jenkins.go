package stemmatest

import (
	"slices"
	"strings"

	"stemma"
)

// PredicateTypeWitness is that of witness' collections.
const PredicateTypeWitness = "https://witness.testifysec.com/attestation-collection/v0.1"

// Job is a build of a CI server that has no identity with which to sign, as jobs of Jenkins and AWS CodeBuild.
type Job struct {
	Repository string // "https://github.com/acme/app"
	Ref        string // "refs/heads/main"
	Commit     string
	Name       string // of job or project
	URL        string // of the server, "https://jenkins.acme.example"
	Number     string // of the build
}

func (j Job) jobURL() string { return j.URL + "/job/" + j.Name + "/" }

// JenkinsPlugin is the SLSA v0.2 that the plugin for Jenkins writes. It does not sign, and is itself the builder id.
func (j Job) JenkinsPlugin(subject ...stemma.ResourceDescriptor) *Statement {
	const plugin = "https://gitlab.eclipse.org/eclipsefdn/security/slsa-jenkins-plugin@v1.1"
	uri := "git+" + j.Repository + "@" + j.Ref
	return &Statement{
		Type: stemma.StatementV01, Subject: subject, PredicateType: stemma.PredicateSLSAv02,
		Predicate: tree(object{
			"builder": object{"id": plugin}, "buildType": plugin,
			"invocation": object{
				"configSource": object{"uri": uri, "digest": object{"sha1": j.Commit}, "entryPoint": j.Name},
				"parameters":   object{},
				"environment":  object{"job_url": j.jobURL(), "build_url": j.jobURL() + j.Number + "/", "node_name": "agent-7"},
			},
			"metadata":  object{"buildInvocationId": j.Number, "buildStartedOn": Now(), "buildFinishedOn": Now()},
			"materials": []object{{"uri": uri, "digest": object{"sha1": j.Commit}}},
		}),
	}
}

// WitnessJenkins is the collection that witness run makes of a step of Jenkins.
func (j Job) WitnessJenkins(subject ...stemma.ResourceDescriptor) *Statement {
	return j.collection(subject, object{"type": "https://witness.dev/attestations/jenkins/v0.1", "attestation": object{
		"buildid": j.Number, "buildnumber": j.Number, "buildtag": "jenkins-" + j.Name + "-" + j.Number, "pipelineurl": j.jobURL() + j.Number + "/",
		"executornumber": "1", "javahome": "/usr/lib/jvm", "jenkinsurl": j.URL + "/", "jobname": j.Name, "nodename": "agent-7", "workspace": "/var/jenkins",
	}})
}

// WitnessCodeBuild is the collection that witness run makes of a build of AWS CodeBuild.
func (j Job) WitnessCodeBuild(subject ...stemma.ResourceDescriptor) *Statement {
	const account = "arn:aws:codebuild:eu-west-1:123456789012:build/"
	return j.collection(subject, object{"type": "https://witness.dev/attestations/aws-codebuild/v0.1", "attestation": object{"build_info": object{
		"build_id": j.Name + ":" + j.Number, "build_arn": account + j.Name + ":" + j.Number, "build_number": j.Number, "initiator": "ci", "project_name": j.Name,
		"region": "eu-west-1", "source_repo": j.Repository + ".git", "source_version": j.Commit, "webhook_event": "PUSH", "webhook_head_ref": j.Ref,
	}}})
}

// collection names the image as witness names what a step made, and adds what it finds in every job.
func (j Job) collection(subject []stemma.ResourceDescriptor, service object) *Statement {
	subject = slices.Clone(subject)
	for i := range subject {
		subject[i].Name = "https://witness.dev/attestations/oci/v0.1/manifestdigest:" + subject[i].Digest["sha256"]
	}
	start, end := Now().Add(-minute), Now()
	of := []object{
		{"type": "https://witness.dev/attestations/git/v0.1", "attestation": object{
			"commithash": j.Commit, "author": "Dev", "authoremail": "dev@acme.example", "committername": "Dev", "committeremail": "dev@acme.example",
			"commitdate": "2026-06-01 00:00:00 +0000 UTC", "commitmessage": "image\n", "commitdigest": object{"sha1": j.Commit}, "parenthashes": []string{Commit("parent")},
			"treehash": Commit("tree"), "refs": []string{j.Ref, "refs/remotes/origin/" + strings.TrimPrefix(j.Ref, "refs/heads/")}, "remotes": []string{j.Repository + ".git"},
		}},
		service,
		{"type": "https://witness.dev/attestations/material/v0.1", "attestation": object{"Dockerfile": object{"sha256": stemma.SHA256([]byte("FROM scratch")).Hex()}}},
		{"type": "https://witness.dev/attestations/command-run/v0.1", "attestation": object{"cmd": []string{"make", "image"}, "exitcode": 0}},
	}
	for _, a := range of {
		a["starttime"], a["endtime"] = start, end
	}
	return &Statement{
		Type: stemma.StatementV01, Subject: subject, PredicateType: PredicateTypeWitness,
		Predicate: tree(object{"name": "build", "attestations": of}),
	}
}
