package policy

import (
	"strings"
	"testing"

	"stemma"
)

// TestSignerControls: events and runner that are written for an identity hold for everything that it signs, not for
// provenance alone.
func TestSignerControls(t *testing.T) {
	const head = `
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: app}
spec:
  match: {images: ["ghcr.io/acme/app"]}
  signers:
    release:
      github:
        workflow: trusted/builders/.github/workflows/build.yml
        workflowRefs: ["refs/tags/v1.*"]
        events: [push, release]
        runner: github-hosted
  `
	stated := func(pairs ...string) stemma.Identity {
		id := githubSigner(trustedSAN)
		delete(id.Claims, stemma.ClaimBuildTrigger)
		delete(id.Claims, stemma.ClaimRunnerEnvironment)
		for i := 0; i < len(pairs); i += 2 {
			id.Claims[pairs[i]] = pairs[i+1]
		}
		return id
	}
	const event, old, runner = stemma.ClaimBuildTrigger, stemma.ClaimGitHubTrigger, stemma.ClaimRunnerEnvironment
	good := stated(event, "push", runner, "github-hosted")
	cases := []struct {
		name   string
		signer stemma.Identity
		reason stemma.Reason
		got    string
	}{
		{"good", good, "", ""},
		{"old extension", stated(old, "release", runner, "github-hosted"), "", ""},
		{"another event", stated(event, "pull_request_target", runner, "github-hosted"), stemma.ReasonTrigger, "pull_request_target"},
		{"two extensions that differ", stated(event, "push", old, "issue_comment", runner, "github-hosted"), stemma.ReasonTrigger, "push, issue_comment"},
		{"no event", stated(runner, "github-hosted"), stemma.ReasonNotStated, "not stated by the certificate"},
		{"another runner", stated(event, "push", runner, "self-hosted"), stemma.ReasonRunner, "self-hosted"},
		{"no runner", stated(event, "push"), stemma.ReasonNotStated, "not stated by the certificate"},
	}
	blocks := []struct {
		rule, block string
		evidence    func(*stemma.Evidence, stemma.Identity)
	}{
		{"signature.by", `signature: {by: [release]}`, func(e *stemma.Evidence, id stemma.Identity) {
			e.Attestations = []stemma.Attestation{signature("signature", id)}
		}},
		{"attestations.present", `attestations: [{type: "https://acme.example/review/v1", by: [release]}]`, func(e *stemma.Evidence, id stemma.Identity) {
			a := attest("review", id)
			a.Statement.PredicateType = "https://acme.example/review/v1"
			e.Attestations = []stemma.Attestation{a}
		}},
	}
	for _, b := range blocks {
		for _, c := range cases {
			t.Run(b.rule+" "+c.name, func(t *testing.T) {
				e := none()
				b.evidence(e, c.signer)
				d := Evaluate(load(t, head+b.block), e, now())
				f := finding(t, d, b.rule)
				switch {
				case c.reason == "" && f.Outcome != stemma.Pass:
					t.Errorf("%s %s: %s", f.Outcome, f.Reason, f.Got)
				case c.reason != "" && (d.Verdict != stemma.Deny || f.Reason != c.reason || !strings.HasSuffix(f.Got, ": "+c.got)):
					t.Errorf("%s, %s %s: %s; want deny by %s: %s", d.Verdict, f.Outcome, f.Reason, f.Got, c.reason, c.got)
				case c.reason != "" && !strings.HasPrefix(f.Where, "policy.yaml:1"):
					t.Errorf("where is %q", f.Where)
				}
			})
		}
	}
}

// TestTenantsOfOneKey: what tells the tenants of a builder apart stands in provenance, so that nothing else counts by it.
func TestTenantsOfOneKey(t *testing.T) {
	text := change(t, tektonPolicy(), "  provenance: {by: [keyed]}", "  signature: {by: [keyed]}\n  provenance: {by: [keyed]}")
	_, err := Load(files(text)...)
	if err == nil || !strings.Contains(err.Error(), "keyed tells those it signs for apart by what its provenance says, and a signature says nothing of them") {
		t.Errorf("got %v", err)
	}
}
