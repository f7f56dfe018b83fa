package verify_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stemma"
	"stemma/internal/oci"
	"stemma/internal/predicate"
	"stemma/internal/sigstore"
	"stemma/policy"
)

// What these tests judge is no image, or one of which the corpus has the evidence and not the manifest: so evidence is
// collected as package verify does it, about the digest that the record is about, and judged by policies.

const slsaVerifier = "data/slsa-verifier/cli/slsa-verifier/testdata"

// npmKey is the key with which the npm registry signed until 2025. Its id there, SHA256:jl3b…kzA, is the name that the
// records give it.
const npmKey = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1Olb3zMAFFxXKHiIkQO5cJ3Yhl5i
6UPp+IhuteBJbuHcA5UogKo0EWtlWwW6KSaKoTNEYL7JlCQiVnkhBktUgg==
-----END PUBLIC KEY-----
`

// realTrust trusts Sigstore's public good instance, the keys of Google Cloud Build, and npm's key.
func realTrust(t *testing.T) *sigstore.Authenticator {
	t.Helper()
	dir := corpus(t)
	none := sigstore.DomainConfig{SCT: sigstore.None, Log: sigstore.None, Timestamp: sigstore.None, Time: sigstore.None}
	google, npm := none, none
	google.Name, npm.Name = "google", "npm"
	npm.Keys = []sigstore.Key{{Name: "SHA256:jl3bwswu80PjjokCgh0o2w5c2U4LhQAE57gj9cz1kzA", PEM: []byte(npmKey)}}
	files, err := filepath.Glob(filepath.Join(dir, "data/slsa-verifier/verifiers/internal/gcb/keys/materials/*.key"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d keys, %v", len(files), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".key")
		if name == "global-pae-provenanceSigner_1" {
			continue // the same key as global-pae
		}
		google.Keys = append(google.Keys, sigstore.Key{Name: name, PEM: read(t, f), Unframed: !strings.Contains(name, "pae")})
	}
	public, err := sigstore.PublicGood(read(t, dir, publicGoodRoot))
	if err != nil {
		t.Fatal(err)
	}
	domains := []*sigstore.Domain{public}
	for _, c := range []sigstore.DomainConfig{google, npm} {
		d, err := sigstore.NewDomain(c)
		if err != nil {
			t.Fatal(err)
		}
		domains = append(domains, d)
	}
	a, err := sigstore.New(sigstore.Config{Domains: domains})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// collected is what a file of evidence yields about a digest.
func collected(t *testing.T, a *sigstore.Authenticator, file, image string, digest stemma.Digest) *stemma.Evidence {
	t.Helper()
	raws, rejected := oci.ReadEvidenceFile(filepath.Base(file), read(t, corpus(t), slsaVerifier, file))
	e := &stemma.Evidence{Image: stemma.Image{Repository: image, Digest: digest}, Rejected: rejected}
	for _, raw := range raws {
		att, rejection := a.Authenticate(raw, sigstore.Artifact{Digest: digest, Now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)})
		if rejection != nil {
			e.Rejected = append(e.Rejected, *rejection)
			continue
		}
		e.Attestations = append(e.Attestations, *att)
		said, err := predicate.Read(*att)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if said.Provenance != nil {
			e.Provenance = append(e.Provenance, *said.Provenance)
		}
	}
	return e
}

func loaded(t *testing.T, text string) *policy.Set {
	t.Helper()
	set, err := policy.Load(policy.File{Name: "policy.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// finds returns the outcome and reason of a rule, "pass" or "fail builder".
func finds(d *stemma.Decision, rule string) string {
	for _, f := range d.Findings {
		if f.Rule == rule {
			return strings.TrimSpace(string(f.Outcome) + " " + string(f.Reason))
		}
	}
	return "not in force"
}

// refused is why evidence was rejected, each reason once, in order.
func refused(e *stemma.Evidence) string {
	var reasons []string
	for _, r := range e.Rejected {
		reasons = append(reasons, string(r.Reason))
	}
	slices.Sort(reasons)
	return strings.Join(slices.Compact(reasons), " ")
}

// TestWrongSigner: a real bundle, valid in every way, about the right file and with a provenance that names the right
// builder and source, signed by a workflow that is named malicious_attestation.yaml.
func TestWrongSigner(t *testing.T) {
	a := realTrust(t)
	const image = "bcr.bazel.build/modules/rules_lint"
	digest := stemma.Digest("sha256:06ce330900a7d6403bc8d88e5dfad6aeeb8ae40179f66bb89e69c8bf6f6b1a0b")
	set := loaded(t, `
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: bazel}
spec:
  match: {images: ["bcr.bazel.build/modules/*"]}
  builders:
    publish:
      github: {workflow: bazel-contrib/publish-to-bcr/.github/workflows/publish.yaml, workflowRefs: ["refs/tags/v0.*"], runner: github-hosted}
      level: 3
  provenance: {by: [publish], formats: [slsa/v1], level: 3}
  source: {repository: github.com/aspect-build/rules_lint}
`)
	at := stemma.Situation{At: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	for _, c := range []struct {
		file                                  string
		signer                                string
		verdict                               stemma.Verdict
		approved, consistent, source, present string
	}{
		{
			"bcr/MODULE.bazel.intoto.jsonl", "https://github.com/bazel-contrib/publish-to-bcr/.github/workflows/publish.yaml@refs/tags/v0.0.1",
			stemma.Allow, "pass", "pass", "pass", "pass",
		},
		{
			"bcr/MODULE-wrong-signer.bazel.intoto.jsonl", "https://github.com/loosebazooka/aa-test/.github/workflows/malicious_attestation.yaml@refs/heads/main",
			stemma.Deny, "fail builder", "fail contradiction", "fail repository", "pass",
		},
	} {
		e := collected(t, a, c.file, image, digest)
		if len(e.Attestations) != 1 || len(e.Provenance) != 1 || len(e.Rejected) != 0 {
			t.Fatalf("%s: %d authentic, rejected %+v", c.file, len(e.Attestations), e.Rejected)
		}
		d := policy.Evaluate(set, e, at)
		if got := e.Attestations[0].Signer.Subject; got != c.signer {
			t.Errorf("%s: signed by %s, want %s", c.file, got, c.signer)
		}
		for rule, want := range map[string]string{"provenance.present": c.present, "builder.approved": c.approved, "provenance.consistent": c.consistent, "source.repository": c.source} {
			if got := finds(d, rule); got != want {
				t.Errorf("%s: %s: %s, want %s", c.file, rule, got, want)
			}
		}
		if d.Verdict != c.verdict {
			t.Errorf("%s: %s, want %s\n%s", c.file, d.Verdict, c.verdict, findings(d))
		}
	}
}

// TestTampered: the records of slsa-verifier that somebody changed, beside those that nobody did. What is refused, and
// where, is asserted one by one.
func TestTampered(t *testing.T) {
	a := realTrust(t)
	const (
		gcb2   = "sha256:1a033b002f89ed2b8ea733162497fb70f1a4049a7f8602d6a33682b4ad9921fd"
		gcb3   = "sha256:f472ca4b68898c951ac3b476cba919d0d56fca4ced631fabcead51e4b2b690e7"
		other2 = "sha256:0a033b002f89ed2b8ea733162497fb70f1a4049a7f8602d6a33682b4ad9921fd"
		gundam = "sha512:8d9d7972f676516c75014aa074e11ae604d98f0b64ec6725a61e2838ff3dab162118fa71433fb31e1550d30bd0dec9d086ce032b94457b583900c507acf39c40"
	)
	type record struct {
		file      string
		digest    stemma.Digest
		authentic int
		refused   string // reasons
	}
	var records []record
	for version, digest := range map[string]stemma.Digest{"v0.2": gcb2, "v0.3": gcb3} {
		for name, want := range map[string]record{
			"github":                       {authentic: 1},
			"multiple-provenance-2ndvalid": {authentic: 1, refused: "signer-unknown"},
			"multiple-provenance-3rdvalid": {authentic: 1, refused: "signer-unknown"},
			"multiple-signatures-2ndvalid": {authentic: 1},
			"multiple-signatures-3rdvalid": {authentic: 1},
			// Changed in the payload: no key of Google's made the signature over what stands there now.
			"multiple-invalid-provenance": {refused: "signer-unknown"},
			"empty-signature":             {refused: "signature-count"},
			"no-signature":                {refused: "malformed"},
			"invalid-signature-encoding":  {refused: "malformed"},
			// Changed in the copy for people, which nothing reads as evidence.
			"mismatch-text-digest": {refused: "malformed"},
			"mismatch-text-steps":  {refused: "malformed"},
			// The key id is a hint that no signature covers ("MUST NOT be used for security decisions", DSSE): what is signed
			// is untouched, and the key that made the signature is found without it. slsa-verifier refuses these two.
			"empty-keyid": {authentic: 1},
			"no-keyid":    {authentic: 1},
		} {
			want.file, want.digest = "gcb_container/"+version+"/gcloud-container-"+name+".json", digest
			records = append(records, want)
		}
		// The summary names another image than the statement: about that one there is nothing.
		records = append(records, record{"gcb_container/" + version + "/gcloud-container-mismatch-summary-digest.json", other2, 0, "subject-mismatch"})
	}
	records = append(records,
		record{"npm/gha/gundam-visor-cli-v1-tag.tgz.json", gundam, 2, ""},
		record{"npm/gha/gundam-visor-cli-v1-tag-invalidsigprov.tgz.json", gundam, 1, "signature-invalid"},
		record{"npm/gha/gundam-visor-cli-v1-tag-invalidsigpub.tgz.json", gundam, 1, "signature-invalid"},
	)
	for name, digest := range map[string]stemma.Digest{
		"provenance-npm-test-cli-v02-prega": "sha512:f2995e2565a1510c707850d8194f983b91fe61ec243c5551ad849c357273768b5f3a57e44b81cc0cd36a34b8b933322be871eea5b058202be807e24dc882811b",
		"provenance-npm-test-ossf":          "sha512:563bc6d88c7cc60917b13cf4838473eeea6ec7ea0430f2672b16f43c2a5c82c239949c7cae7fe13bbe3b30d0571c3e56de624aa31ea43c98c12f1f190b8a7ca0",
	} {
		records = append(
			records,
			record{"npm/gha/" + name + ".tgz.json", digest, 2, ""},
			record{"npm/gha/" + name + "-invalidsigprov.tgz.json", digest, 1, "signature-invalid"},
			record{"npm/gha/" + name + "-invalidsigpub.tgz.json", digest, 1, "signature-invalid"},
		)
	}
	// The generator's bare envelope has a certificate that ended long ago, and nothing that proves that it was used before.
	records = append(records, record{"binary-linux-amd64-expired-cert.intoto.jsonl", stemma.SHA256(nil), 0, "log-missing"})
	set := loaded(t, gcbPolicy(t))
	seen := map[stemma.Verdict]int{}
	for _, r := range records {
		e := collected(t, a, r.file, "us-west2-docker.pkg.dev/gosst-scare-sandbox/quickstart-docker-repo/quickstart-image", r.digest)
		if len(e.Attestations) != r.authentic || refused(e) != r.refused {
			t.Errorf("%s: %d authentic, want %d; refused for %q, want %q: %+v", r.file, len(e.Attestations), r.authentic, refused(e), r.refused, e.Rejected)
		}
		if !strings.HasPrefix(r.file, "gcb_container/") {
			continue // no image
		}
		d := policy.Evaluate(set, e, stemma.Situation{At: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)})
		want, reason := stemma.Allow, "pass"
		if r.authentic == 0 {
			want, reason = stemma.Deny, "fail "+r.refused
		}
		if got := finds(d, "provenance.present"); d.Verdict != want || got != reason {
			t.Errorf("%s: %s, provenance.present: %s; want %s, %s\n%s", r.file, d.Verdict, got, want, reason, findings(d))
		}
		seen[d.Verdict]++
	}
	if seen[stemma.Allow] != 14 || seen[stemma.Deny] != 14 {
		t.Errorf("%v", seen)
	}
}

// gcbPolicy accepts what the keys of Google Cloud Build sign for its hosted worker.
func gcbPolicy(t *testing.T) string {
	t.Helper()
	keys := ""
	for _, name := range []string{"global", "us-west2"} {
		pem := read(t, corpus(t), "data/slsa-verifier/verifiers/internal/gcb/keys/materials/"+name+".key")
		keys += "        - {name: " + name + ", signs: payload, pem: \"" + strings.ReplaceAll(strings.TrimSpace(string(pem)), "\n", "\\n") + "\\n\"}\n"
	}
	return `
apiVersion: policy.stemma.dev/v1alpha1
kind: PolicySet
metadata: {name: google}
spec:
  trust:
    - name: google
      keys:
` + keys + `      requires: {log: none, timestamp: none, sct: none}
      time: none
---
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: cloud-built}
spec:
  match: {images: ["us-west2-docker.pkg.dev/gosst-scare-sandbox/quickstart-docker-repo/*"]}
  builders:
    v02: {trust: google, keys: [global], id: "https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.2"}
    v03: {trust: google, keys: [us-west2], id: "https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3"}
  provenance: {by: [v02, v03], level: 2}
  source: {repository: github.com/laurentsimon/gcb-tests, saidBy: builder}
`
}

// TestCloudBuildControls: Google's key signs for everybody, so that project and trigger tell builds apart. Of the two v0.1
// names the trigger only.
func TestCloudBuildControls(t *testing.T) {
	e := collected(t, realTrust(t), "gcb_container/v0.3/gcloud-container-github.json",
		"us-west2-docker.pkg.dev/gosst-scare-sandbox/quickstart-docker-repo/quickstart-image", "sha256:f472ca4b68898c951ac3b476cba919d0d56fca4ced631fabcead51e4b2b690e7")
	for _, c := range []struct {
		block, rule, want string
		verdict           stemma.Verdict
	}{
		{`projects: ["*"], triggers: [Tag]`, "builder.trigger", "pass", stemma.Allow},
		{`projects: ["*"], triggers: [release, Tag]`, "builder.trigger", "pass", stemma.Allow},
		{`projects: ["*"], triggers: [tag]`, "builder.trigger", "fail trigger", stemma.Deny},
		{`projects: ["*"], triggers: [v39]`, "builder.trigger", "fail trigger", stemma.Deny},
		{"projects: [gosst-scare-sandbox]", "builder.namespace", "fail not-stated", stemma.Deny},
	} {
		text := strings.Replace(gcbPolicy(t), `GoogleHostedWorker@v0.3"}`, `GoogleHostedWorker@v0.3", gcb: {`+c.block+`}}`, 1)
		d := policy.Evaluate(loaded(t, text), e, stemma.Situation{At: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)})
		if got := finds(d, c.rule); got != c.want || d.Verdict != c.verdict {
			t.Errorf("%s: %s by %s %s, want %s by %s\n%s", c.block, d.Verdict, c.rule, got, c.verdict, c.want, findings(d))
		}
	}
}
