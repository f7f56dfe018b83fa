package verify_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

// summaryOf is a verification summary about a subject, signed by the world's builder.
func summaryOf(s *stage, subject map[string]string, level string) []byte {
	s.Helper()
	statement := map[string]any{
		"_type": stemma.StatementV1, "predicateType": stemma.PredicateVSAv1,
		"subject": []any{map[string]any{"uri": "https://github.com/acme/app", "digest": subject}},
		"predicate": map[string]any{
			"verifier": map[string]any{"id": "https://source.acme.example/verifier"}, "timeVerified": "2026-05-31T00:00:00Z",
			"resourceUri": "git+https://github.com/acme/app", "policy": map[string]any{"uri": "https://acme.example/source-policy"},
			"verificationResult": "PASSED", "verifiedLevels": []any{level},
		},
	}
	x := must[*stemmatest.Signed](s)(s.Sigstore.Attest(stemmatest.Sign{As: s.Build}, must[[]byte](s)(json.Marshal(statement))))
	return x.Bundle()
}

// A verification summary about the commit that the provenance names is shown as that of the source. It is no evidence about
// the image, and about any other commit it is nothing.
func TestSourceSummary(t *testing.T) {
	commit := func(s *stage) string {
		r := must[*stemma.Evidence](s)(must[*verify.Verifier](s)(s.verifier()).Collect(context.Background(), s.request))
		return r.Provenance[0].Value(stemma.FieldCommit)
	}
	for _, c := range []struct {
		name     string
		attested bool
		subject  func(commit string) map[string]string
		filed    bool
	}{
		{"the commit", true, func(c string) map[string]string { return map[string]string{"gitCommit": c} }, true},
		{"the commit as sha1", true, func(c string) map[string]string { return map[string]string{"sha1": c} }, true},
		{"another commit", true, func(string) map[string]string { return map[string]string{"gitCommit": strings.Repeat("0", 40)} }, false},
		{"abbreviated", true, func(c string) map[string]string { return map[string]string{"gitCommit": c[:12]} }, false},
		{"a tree", true, func(c string) map[string]string { return map[string]string{"gitTree": c} }, false},
		{"without provenance", false, func(c string) map[string]string { return map[string]string{"gitCommit": c} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.image.AttachReferrer(stemmatest.BundleArtifact(s.attest(stemmatest.Vary{})))
			of := commit(s)
			if !c.attested {
				s = newStage(t)
			}
			s.request.Evidence = []policy.File{{Name: "vsa.json", Data: summaryOf(s, c.subject(of), "SLSA_SOURCE_LEVEL_3")}}
			e := must[*stemma.Evidence](t)(must[*verify.Verifier](t)(s.verifier()).Collect(context.Background(), s.request))
			bound := slices.ContainsFunc(e.Attestations, func(a stemma.Attestation) bool { return a.Binding.Kind == stemma.BindingSource })
			refused := slices.ContainsFunc(e.Rejected, func(r stemma.Rejection) bool { return r.Reason == stemma.ReasonSubjectMismatch })
			if bound != c.filed || refused == c.filed || (len(e.Summaries) == 1) != c.filed {
				t.Fatalf("filed %v, refused %v, %+v", bound, refused, e.Summaries)
			}
			if c.filed && (e.Summaries[0].Commit != of || !slices.Equal(e.Summaries[0].Levels, []string{"SLSA_SOURCE_LEVEL_3"})) {
				t.Errorf("%+v", e.Summaries[0])
			}
		})
	}
	// It makes nothing authentic: with it alone, the image is as unattested as before.
	s := newStage(t)
	s.image.AttachReferrer(stemmatest.BundleArtifact(s.attest(stemmatest.Vary{})))
	of := commit(s)
	s = newStage(t)
	s.request.Evidence = []policy.File{{Name: "vsa.json", Data: summaryOf(s, map[string]string{"gitCommit": of}, "SLSA_BUILD_LEVEL_3")}}
	r := must[*verify.Result](t)(must[*verify.Verifier](t)(s.verifier()).Verify(context.Background(), s.request))
	if r.Decision.Verdict != stemma.Deny {
		t.Errorf("%s", findings(r.Decision))
	}
}
