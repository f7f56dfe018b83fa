package verify_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"stemma"
	"stemma/policy"
)

// What is recorded of real evidence as a test case, and read again, is the same evidence: it is judged alike, to the byte.
func TestRecordedCorpus(t *testing.T) {
	trust := must[*policy.Set](t)(policy.LoadTrust(googleTrust(t)))
	n := 0
	for _, one := range realProvenance(t) {
		l, err := policy.Learn([]*stemma.Evidence{one.evidence}, policy.LearnOptions{Trust: trust})
		if err != nil {
			continue
		}
		at := stemma.Situation{At: one.evidence.CollectedAt}
		data, err := policy.NewCase(one.path, one.evidence, at, policy.File{Name: "learned.yaml", Data: []byte(l.Policy)}, googleTrust(t))
		check(t, err)
		c := must[*policy.Case](t)(policy.ParseCase("x", data))
		r := must[*policy.CaseResult](t)(c.Run(nil))
		want := must[[]byte](t)(json.Marshal(policy.Evaluate(r.Set, one.evidence, at)))
		if got := must[[]byte](t)(json.Marshal(r.Decision)); len(r.Problems) > 0 || !bytes.Equal(got, want) || r.Decision.Verdict != stemma.Allow {
			t.Errorf("%s: %s, %s\n%s\n%s", one.path, r.Decision.Verdict, r.Problems, want, got)
		}
		n++
	}
	if n < 50 {
		t.Errorf("%d pieces were recorded", n)
	}
}
