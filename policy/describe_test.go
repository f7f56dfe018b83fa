package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSummaryOfAlternatives: what a policy is said to require is what it requires: of alternatives each by itself, and no exceptions.
func TestSummaryOfAlternatives(t *testing.T) {
	base := []string{"image.authentic", "image.platform"}
	built := []string{
		"provenance.present", "builder.approved", "provenance.consistent", "provenance.agreement", "provenance.run",
		"provenance.builders", "provenance.whole", "source.repository",
	}
	got := load(t, alternatives).Summary()[0]
	if diff := cmp.Diff(append(base, "policy.alternative"), got.Rules); diff != "" {
		t.Errorf("required of all (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]SummaryAlternative{{"built-here", built}, {"reviewed", []string{"signature.by"}}}, got.Alternatives); diff != "" {
		t.Errorf("alternatives (-want +got):\n%s", diff)
	}
	// What one alternative asks for is neither required nor left out.
	if got := strings.Join(got.NotRequired, " "); got != "inputs sbom vulnerabilities attestations base" {
		t.Errorf("not required: %s", got)
	}
	// Blocks of the policy itself stand once.
	got = load(t, change(t, alternatives, "  anyOf:\n", "  vulnerabilities: {by: [reviewer], none: [critical]}\n  anyOf:\n")).Summary()[0]
	if diff := cmp.Diff([]string{"image.platform", "vulnerabilities.scanned", "vulnerabilities.none", "policy.alternative"}, got.Rules); diff != "" {
		t.Errorf("required of all (-want +got):\n%s", diff)
	}
	if strings.Join(got.Alternatives[1].Rules, " ") != "image.authentic signature.by" || strings.Join(got.NotRequired, " ") != "inputs sbom attestations base" {
		t.Errorf("%+v", got)
	}

	plain := load(t, f0Policy).Summary()[0]
	if plain.Alternatives != nil || plain.Approved != nil {
		t.Errorf("%+v", plain)
	}
	exception := load(t, approved("ghcr.io/acme/app", string(imageDigest()), "2027-01-01")).Summary()[0]
	if diff := cmp.Diff(plain.Rules, exception.Rules); diff != "" {
		t.Errorf("an exception is no requirement (-without +with):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ghcr.io/acme/app@" + string(imageDigest()) + " until 2027-01-01"}, exception.Approved); diff != "" {
		t.Errorf("approved (-want +got):\n%s", diff)
	}
}
