package verify_test

import (
	"fmt"
	"testing"

	"stemma"
	"stemma/stemmatest"
)

// TestSharedWorkflowCaller: whoever calls a shared workflow gets signatures by its identity. Of provenance the source tells
// callers apart; of all else that is signed caller does or, without it, what the certificate says of the source.
func TestSharedWorkflowCaller(t *testing.T) {
	limited := in(trusting, "        runner: github-hosted\n", "        runner: github-hosted\n        caller: {ownerID: \"9001000\"}\n")
	scan := func(s *stage) *stemmatest.Statement {
		return &stemmatest.Statement{
			Type: stemma.StatementV1, Subject: []stemma.ResourceDescriptor{s.Subject(s.image)}, PredicateType: "https://in-toto.io/attestation/vulns/v0.2",
			Predicate: map[string]any{
				"scanner":  map[string]any{"uri": "pkg:x/trivy", "result": []any{}},
				"metadata": map[string]any{"scanStartedOn": "2026-05-31T00:00:00Z", "scanFinishedOn": "2026-05-31T00:00:00Z"},
			},
		}
	}
	for _, kind := range []struct {
		name, old, new string
		attach         func(*stage, stemmatest.GitHub)
	}{
		{"SBOM", "  source:", "  sbom: {by: [trusted-builder]}\n  source:", func(s *stage, b stemmatest.GitHub) {
			s.Attach(s.image, s.stated(b, stemmatest.SPDX(s.Subject(s.image)), nil))
		}},
		{"scan", "  source:", "  vulnerabilities: {by: [trusted-builder], maxAge: 7d, none: [critical]}\n  source:", func(s *stage, b stemmatest.GitHub) {
			s.Attach(s.image, s.stated(b, scan(s), nil))
		}},
		{"signature", "  source:", "  signature: {by: [trusted-builder]}\n  source:", func(s *stage, b stemmatest.GitHub) {
			s.Attach(s.image, must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: b}, s.image.Manifest)))
		}},
	} {
		for i := range 4 {
			stranger, policy := i%2 == 1, []string{limited, trusting}[i/2]
			t.Run(fmt.Sprintf("%s, caller written %t, stranger %t", kind.name, policy == limited, stranger), func(t *testing.T) {
				s := newStage(t)
				s.policy = in(policy, kind.old, kind.new)
				s.attach(stemmatest.Vary{})
				b := s.Build
				if stranger {
					b.Repository, b.OwnerID, b.RepositoryID = "evil/app", "666", "667"
				}
				kind.attach(s, b)
				want := map[bool]stemma.Verdict{false: stemma.Allow, true: stemma.Deny}[stranger]
				r, err := s.run()
				check(t, err)
				if d := r.Decision; d.Verdict != want {
					t.Errorf("%s, want %s\n%s", d.Verdict, want, findings(d))
				}
			})
		}
	}
}
