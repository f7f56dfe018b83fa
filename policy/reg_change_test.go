package policy

import (
	"strings"
	"testing"

	"stemma"
)

// conforma CA-3: a check that was left out was not to be seen in the answer.
func TestReg_E11_skipped(t *testing.T) {
	if d := evaluate(t, f0Policy); len(d.Skipped) > 0 || d.Verdict != stemma.Allow {
		t.Errorf("nothing was left out: %v", d.Skipped)
	}
	good := string(imageDigest())
	for name, c := range map[string]struct{ policy, want string }{
		"log":            {change(t, signedPolicy, "{log: none, sct: none}", "{log: none, sct: none}"), "does not require: log, sct"},
		"approval":       {approved("ghcr.io/acme/*", good, "2026-06-30"), "is taken on trust by platform-team until 2026-06-30"},
		"disagreement":   {f0Policy + "  allowDisagreement: [{on: [run], by: [release], reason: two pipelines}]\n", "allowDisagreement: provenance by release may differ in run: two pipelines"},
		"configSubjects": {f0Policy + inSet("configSubjects: accept"), "configSubjects: accept"},
	} {
		d := evaluate(t, c.policy)
		if !strings.Contains(strings.Join(d.Skipped, "\n"), c.want) {
			t.Errorf("%s: %q does not say %q", name, d.Skipped, c.want)
		}
	}
	// What is waived is said where it stands, and by whom.
	set := waived(t, waiverOf("w"))
	e := f0()
	byCertificate(stemma.FieldRef, "refs/heads/wip")(e)
	d := Evaluate(set, e, endorsed(set, leads()))
	if f := finding(t, d, "source.ref"); f.Outcome != stemma.Waived || f.Waiver != "w" || len(d.Waivers) != 1 || d.Waivers[0].Approved != "key leads-2026" {
		t.Errorf("%+v, %+v", f, d.Waivers)
	}
}

// kyverno#16853: "required" passed because the policy never asked anything to be verified.
func TestReg_E13_nothing_verified(t *testing.T) {
	const head = "apiVersion: policy.stemma.dev/v1alpha1\nkind: ImageTrustPolicy\nmetadata: {name: app}\nspec:\n  match: {images: [\"ghcr.io/acme/app\"]}\n"
	const builders = "  builders:\n    release: {github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: [\"refs/tags/v1.*\"]}}\n"
	load(t, head+builders+"  provenance: {by: [release]}\n")
	for name, rest := range map[string]string{
		"builders alone":           builders,
		"mode alone":               "  mode: enforce\n",
		"rules alone":              builders + "  rules: [{id: acme.x, why: x, require: 'now <= now'}]\n",
		"a rule about attestation": builders + "  rules: [{id: acme.x, why: x, for: attestations, require: 'now <= now'}]\n",
		"approvals alone":          "  approved: [{image: ghcr.io/acme/app, digest: \"" + string(imageDigest()) + "\", owner: a, reason: b, until: 2026-06-30}]\n",
		"disagreement alone":       builders + "  allowDisagreement: [{on: [run], by: [release], reason: x}]\n",
	} {
		if _, err := Load(files(head + rest)...); err == nil || !strings.Contains(err.Error(), "the policy requires nothing, so it could never allow an image") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A rule that holds whatever there is allows nothing by itself: what is required besides has to be met.
	d := evaluate(t, ownRule("", "now <= now"), nothing)
	if d.Verdict != stemma.Deny {
		t.Errorf("%s", render(d))
	}
}
