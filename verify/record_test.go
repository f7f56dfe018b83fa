package verify_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"stemma"
	"stemma/internal/predicate"
	"stemma/policy"
)

// recordedAlike records what was verified and reads it again: it is judged alike, to the byte, and so is what is recorded
// of what was read. Every test that expects an outcome of an image asks it.
func (s *stage) recordedAlike(d *stemma.Decision, e *stemma.Evidence) {
	s.Helper()
	set := must[*policy.Set](s)(policy.Load(policy.File{Name: "policy.yaml", Data: []byte(s.policy)}))
	data := must[[]byte](s)(json.MarshalIndent(e, "", " "))
	var again stemma.Evidence
	if err := stemma.DecodeRecord(data, &again); err != nil {
		s.Fatalf("what is recorded cannot be read: %v", err)
	}
	want := must[[]byte](s)(json.Marshal(d))
	if got := must[[]byte](s)(json.Marshal(policy.Evaluate(set, &again, d.Situation))); !bytes.Equal(got, want) {
		s.Errorf("what is recorded is judged otherwise\n%s\n%s", want, got)
	}
	if back := must[[]byte](s)(json.MarshalIndent(&again, "", " ")); !bytes.Equal(back, data) {
		s.Errorf("what is recorded and read again is not the same\n%s\n%s", data, back)
	}
}

// The normal forms of every document of the corpus that an artifact can hold come back from a record as they were.
func TestRecordedCorpusDocuments(t *testing.T) {
	dir := corpus(t)
	n := 0
	for line := range bytes.Lines(read(t, dir, "index.jsonl")) {
		var one struct{ Path string }
		if json.Unmarshal(line, &one) != nil || filepath.Ext(one.Path) != ".json" {
			continue
		}
		file := read(t, dir, one.Path)
		for _, mediaType := range []string{"application/spdx+json", "application/vnd.cyclonedx+json", "application/vnd.openvex+json"} {
			d, err := predicate.ReadFile("sha256:00", mediaType, file)
			if err != nil {
				continue
			}
			e := &stemma.Evidence{}
			if d.SBOM != nil {
				e.SBOMs = []stemma.SBOM{*d.SBOM}
			}
			if d.VEX != nil {
				e.VEX = []stemma.VEX{*d.VEX}
			}
			var again stemma.Evidence
			check(t, stemma.DecodeRecord(must[[]byte](t)(json.Marshal(e)), &again))
			if policy.DigestOf(e) != policy.DigestOf(&again) {
				t.Errorf("%s as %s is another after it was recorded", one.Path, mediaType)
			}
			n++
		}
	}
	if n < 80 {
		t.Errorf("only %d documents were recorded", n)
	}
}

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
