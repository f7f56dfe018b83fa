package stemma_test

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"stemma"
)

// TestParseStatement: what the Attestation Framework requires.
func TestParseStatement(t *testing.T) {
	const good = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app","digest":{"sha256":"00"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{"a":1e400}}`
	s, err := stemma.ParseStatement([]byte(good))
	if err != nil || string(s.Predicate) != `{"a":1e400}` || s.Subject[0].Digest["sha256"] != "00" {
		t.Fatalf("%v, %v", s, err)
	}
	if _, err := stemma.ParseStatement([]byte(strings.Replace(good, "Statement/v1", "Statement/v0.1", 1))); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"Statement/v1", "Statement/v2", `statement type "https://in-toto.io/Statement/v2": want https://in-toto.io/Statement/v1 or https://in-toto.io/Statement/v0.1`},
		{`"_type":"https://in-toto.io/Statement/v1",`, "", `statement type "": want https://in-toto.io/Statement/v1 or https://in-toto.io/Statement/v0.1`},
		{`"_type":"https://in-toto.io/Statement/v1"`, `"_type":null`, `statement type "": want https://in-toto.io/Statement/v1 or https://in-toto.io/Statement/v0.1`},
		{`"predicateType":"https://slsa.dev/provenance/v1",`, "", "statement without predicateType"},
		{`"predicateType"`, `"predicatetype"`, `name "predicatetype" differs from "predicateType" only in case`},
		{`"subject"`, `"Subject"`, `name "Subject" differs from "subject" only in case`},
		{`"subject"`, `"subjects"`, "statement without subject"},
		{`"predicate":`, `"subject":[],"predicate":`, `duplicate name "subject"`},
		{`1e400}}`, `1e400}} {}`, "bytes after the document"},
	} {
		if !strings.Contains(good, c.old) {
			t.Fatalf("%q is not in the statement", c.old)
		}
		_, err := stemma.ParseStatement([]byte(strings.Replace(good, c.old, c.new, 1)))
		if err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.new, err, c.want)
		}
	}
}

// Source: INV-1.
func TestReg_B10_no_subject(t *testing.T) {
	for _, subject := range []string{`"subject":[],`, `"subject":null,`, ``} {
		doc := `{"_type":"https://in-toto.io/Statement/v1",` + subject + `"predicateType":"x","predicate":{}}`
		if _, err := stemma.ParseStatement([]byte(doc)); err == nil || err.Error() != "statement without subject" {
			t.Errorf("%s: %v", subject, err)
		}
	}
	_, reason, detail := stemma.Statement{}.Bind(stemma.SHA256(nil), []byte{})
	if reason != stemma.ReasonSubjectMismatch || detail != "it is about nothing" {
		t.Errorf("%s, %s", reason, detail)
	}
}

// Source: CVE-2024-45395 (sigstore-go).
func TestReg_B11_many_subjects(t *testing.T) {
	doc := func(subjects, digests int) []byte {
		s := stemma.Statement{Type: stemma.StatementV1, PredicateType: "x", Predicate: json.RawMessage("{}")}
		for range subjects {
			d := map[string]string{}
			for i := range digests {
				d[fmt.Sprintf("x%d", i)] = "0"
			}
			s.Subject = append(s.Subject, stemma.ResourceDescriptor{Digest: d})
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		subjects, digests int
		want              string
	}{
		{stemma.MaxSubjects, 1, ""},
		{1, stemma.MaxSubjectDigests, ""},
		{stemma.MaxSubjects + 1, 1, "reading JSON at byte 0 (/subject): 1025 subjects, limit 1024"},
		{2, stemma.MaxSubjectDigests + 1, "reading JSON at byte 0 (/subject/0/digest): 17 digests, limit 16"},
	} {
		_, err := stemma.ParseStatement(doc(c.subjects, c.digests))
		var e *stemma.JSONError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &e) || !e.Limit || err.Error() != c.want) {
			t.Errorf("%d subjects of %d digests: %v", c.subjects, c.digests, err)
		}
	}
}

func digestOf(content string) string { return stemma.SHA256([]byte(content)).Hex() }

func digest512(content string) string {
	sum := sha512.Sum512([]byte(content))
	return hex.EncodeToString(sum[:])
}

type bindCase struct {
	name     string
	subjects []map[string]string
	content  bool // the bytes of the artifact are known
	reason   stemma.Reason
	detail   string
}

func bindAll(t *testing.T, cases []bindCase) {
	t.Helper()
	content := []byte("mine")
	for _, c := range cases {
		s := stemma.Statement{}
		for i, d := range c.subjects {
			s.Subject = append(s.Subject, stemma.ResourceDescriptor{Name: fmt.Sprintf("subject %d", i), Digest: d})
		}
		known := content
		if !c.content {
			known = nil
		}
		for _, order := range []string{"as written", "reversed"} {
			sub, reason, detail := s.Bind(stemma.SHA256(content), known)
			if reason != c.reason {
				t.Errorf("%s, %s: reason %q, want %q (%s)", c.name, order, reason, c.reason, detail)
			}
			if c.reason == "" && (detail != "" || sub.Digest["sha256"] != stemma.SHA256(content).Hex()) {
				t.Errorf("%s, %s: bound to %v (%s)", c.name, order, sub, detail)
			}
			if c.reason != "" && (sub.Digest != nil || !strings.Contains(detail, c.detail) || detail == "") {
				t.Errorf("%s, %s: detail %q, want %q", c.name, order, detail, c.detail)
			}
			slices.Reverse(s.Subject)
		}
	}
}

// One subject, digests of two artifacts. Source: go-witness pgpm, in-toto's rule that any digest matches.
func TestReg_B04_conflicting_digests(t *testing.T) {
	wrong := strings.Repeat("0", 128)
	right := digest512("mine")
	other := digest512("other's")
	conflict := "has the right sha256 digest and a sha512 digest of something else"
	bindAll(t, []bindCase{
		{"both right", []map[string]string{{"sha256": digestOf("mine"), "sha512": right}}, true, "", ""},
		{"other's sha512", []map[string]string{{"sha256": digestOf("mine"), "sha512": other}}, true, stemma.ReasonSubjectConflict, conflict},
		{"zero sha512", []map[string]string{{"sha256": digestOf("mine"), "sha512": wrong}}, true, stemma.ReasonSubjectConflict, conflict},
		{"malformed sha512", []map[string]string{{"sha256": digestOf("mine"), "sha512": "x"}}, true, stemma.ReasonSubjectConflict, conflict},
		{"upper-case sha512", []map[string]string{{"sha256": digestOf("mine"), "sha512": strings.ToUpper(right)}}, true, stemma.ReasonSubjectConflict, conflict},
		{"sha512 that cannot be compared", []map[string]string{{"sha256": digestOf("mine"), "sha512": right}}, false, stemma.ReasonSubjectConflict, conflict},
		{"a good subject beside a conflicting one", []map[string]string{{"sha256": digestOf("mine")}, {"sha256": digestOf("mine"), "sha512": other}}, true, stemma.ReasonSubjectConflict, conflict},
		{"another artifact beside", []map[string]string{{"sha256": digestOf("mine")}, {"sha256": digestOf("other's"), "sha512": right}}, true, "", ""},
	})
}

// Source: SLSA threats, hash collision.
func TestReg_B05_weak_algorithms(t *testing.T) {
	bindAll(t, []bindCase{
		{"sha1", []map[string]string{{"sha1": strings.Repeat("a", 40)}}, true, stemma.ReasonSubjectMismatch, "subject has no sha256 digest (sha1 does not identify an image)"},
		{"md5", []map[string]string{{"md5": strings.Repeat("a", 32)}}, true, stemma.ReasonSubjectMismatch, "subject has no sha256 digest (md5 does not identify an image)"},
		{"sha512 of it alone", []map[string]string{{"sha512": digest512("mine")}}, true, stemma.ReasonSubjectMismatch, "it is about subject 0 sha512:"},
		{"sha1 beside sha256", []map[string]string{{"sha1": "x", "sha256": digestOf("mine")}}, true, "", ""},
	})
}

// Source: GHSA-mhg6.
func TestReg_B06_algorithm_confusion(t *testing.T) {
	bindAll(t, []bindCase{
		{"sha512", []map[string]string{{"sha512": digestOf("mine")}}, true, stemma.ReasonSubjectMismatch, `the value stands under "sha512", not sha256`},
		{"gitCommit", []map[string]string{{"gitCommit": digestOf("mine")}}, true, stemma.ReasonSubjectMismatch, `the value stands under "gitCommit", not sha256`},
		{"SHA256", []map[string]string{{"SHA256": digestOf("mine")}}, true, stemma.ReasonSubjectMismatch, `the value stands under "SHA256", not sha256`},
		{"an algorithm of 1 MiB", []map[string]string{{strings.Repeat("x", 1<<20): digestOf("mine")}}, true, stemma.ReasonSubjectMismatch, `the value stands under "` + strings.Repeat("x", 40) + `", not sha256`},
	})
}

// Source: in-toto digest_set.
func TestReg_B07_hex_forms(t *testing.T) {
	mine := digestOf("mine")
	for name, value := range map[string]string{
		"upper case": strings.ToUpper(mine), "with algorithm": "sha256:" + mine, "short": mine[:63], "space": " " + mine, "newline": mine + "\n", "empty": "",
	} {
		bindAll(t, []bindCase{{name, []map[string]string{{"sha256": value}}, true, stemma.ReasonSubjectMismatch, "sha256 digest"}})
	}
}

// Digests that do not identify an image disturb nothing. Source: sigstore-go, availability.
func TestReg_B08_other_digests(t *testing.T) {
	bindAll(t, []bindCase{
		{"arn in another subject", []map[string]string{{"arn": "arn:aws:ecr:eu-1:1:x"}, {"sha256": digestOf("mine")}}, true, "", ""},
		{"arn in the subject", []map[string]string{{"arn": "arn:aws:ecr:eu-1:1:x", "sha256": digestOf("mine")}}, false, "", ""},
		{"malformed digest of another subject", []map[string]string{{"sha256": "x"}, {"sha256": digestOf("mine")}}, true, "", ""},
		{"arn alone", []map[string]string{{"arn": "arn:aws:ecr:eu-1:1:x"}}, true, stemma.ReasonSubjectMismatch, "subject has no sha256 digest (arn does not identify an image)"},
	})
}

// A name binds nothing. Source: in-toto.
func TestReg_B09_name_only(t *testing.T) {
	bindAll(t, []bindCase{
		{"no digest", []map[string]string{nil}, true, stemma.ReasonSubjectMismatch, "it is about subject 0"},
		{"empty digest", []map[string]string{{}, {}}, true, stemma.ReasonSubjectMismatch, "it is about subject "},
	})
	s := stemma.Statement{Subject: []stemma.ResourceDescriptor{{Name: strings.Repeat("n", 1<<20)}}}
	if _, _, detail := s.Bind(stemma.SHA256(nil), nil); len(detail) > 200 {
		t.Errorf("a detail of %d bytes", len(detail))
	}
}

func FuzzParseStatement(f *testing.F) {
	mine := digestOf("mine")
	for _, digest := range []string{`{"sha256":"` + mine + `"}`, `{"sha512":"` + mine + `"}`, `{"sha256":"` + mine + `","sha512":"00"}`, `{"SHA256":"` + mine + `"}`, `null`, `{}`} {
		f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app","digest":` + digest + `}],"predicateType":"x","predicate":{}}`))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, err := stemma.ParseStatement(payload)
		if err != nil {
			return
		}
		if err := stemma.CheckJSON(payload); err != nil || len(s.Subject) == 0 || s.PredicateType == "" {
			t.Fatalf("%q was taken: %v", payload, err)
		}
		// Nothing binds to an artifact whose digest is not in the payload.
		if sub, reason, _ := s.Bind(stemma.SHA256([]byte("other")), []byte("other")); reason == "" {
			t.Fatalf("%q binds to another artifact by %v", payload, sub)
		}
		if sub, reason, _ := s.Bind(stemma.SHA256([]byte("mine")), []byte("mine")); reason == "" && sub.Digest["sha256"] != mine {
			t.Fatalf("%q binds by %v", payload, sub)
		}
	})
}
