package policy

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"stemma"
)

func archive(files ...string) []byte {
	var b strings.Builder
	b.WriteString("a case\n")
	for i := 0; i < len(files); i += 2 {
		b.WriteString("-- " + files[i] + " --\n" + strings.TrimSuffix(files[i+1], "\n") + "\n")
	}
	return []byte(b.String())
}

// What is recorded and read again is judged alike, to the byte: nothing that decides is lost or changed.
func TestRecordedIsTheSame(t *testing.T) {
	set := load(t, f0Policy)
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvidence(t)
		if rapid.Bool().Draw(t, "bom") {
			e = drawBOM(t)
		}
		for i := range e.Attestations {
			if p := &e.Attestations[i].Statement.Predicate; !json.Valid(*p) {
				*p = nil // which no reader of statements lets through
			}
		}
		data, err := indent(e)
		if err != nil {
			t.Fatal(err)
		}
		var again stemma.Evidence
		if err := stemma.DecodeRecord(data, &again); err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if !bytes.Equal(encode(Evaluate(set, e, now())), encode(Evaluate(set, &again, now()))) {
			t.Fatalf("another decision\n%s", data)
		}
		if back, err := indent(&again); err != nil || !bytes.Equal(back, data) {
			t.Fatalf("recorded twice, and not the same: %v\n%s\n%s", err, data, back)
		}
	})
}

// A case that is recorded passes; with other evidence or another policy it does not.
func TestNewCase(t *testing.T) {
	at := now()
	at.Namespace = "payments"
	data, err := NewCase("ghcr.io/acme/app:v2", f0(), at, File{Name: "policies/app.yaml", Data: []byte(f0Policy)}, File{Name: `C:\other\app.yaml`, Data: []byte("# nothing\n")})
	if err != nil {
		t.Fatal(err)
	}
	run := func(data []byte, set *Set) *CaseResult {
		t.Helper()
		c, err := ParseCase("x.txtar", data)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Run(set)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := run(data, nil); len(r.Problems) > 0 || !r.Exact || r.Decision.Verdict != stemma.Allow || r.Decision.Situation.Namespace != "payments" {
		t.Errorf("%+v", r)
	}
	if r := run(bytes.Replace(data, []byte(commitOfSource), []byte(commitOfBuilder), 1), nil); len(r.Problems) == 0 {
		t.Error("other evidence passes")
	}
	if r := run(data, load(t, "# a line more\n"+f0Policy)); len(r.Problems) > 0 {
		t.Errorf("a line more: %s", r.Problems)
	}
	if r := run(data, load(t, change(t, f0Policy, "refs/tags/v*", "refs/tags/w*"))); len(r.Problems) == 0 {
		t.Error("another policy passes")
	}
	// What txtar cannot hold is refused, and never becomes another case.
	for _, text := range []string{f0Policy + "# x\n-- want.txt --\nverdict allow\n", f0Policy + "-- evidence.json --\n{}\n", f0Policy + "-- more.yaml --\n"} {
		if data, err := NewCase("x", f0(), at, File{Name: "app.yaml", Data: []byte(text)}); err == nil {
			t.Errorf("recorded\n%s", data)
		}
	}
}

// What evidence says stays on its line: a ref, or the answer of a registry, with the beginning of a file in it makes neither
// another policy nor another expectation, when it is recorded and when it is updated.
func TestOutlineIsOneFile(t *testing.T) {
	const begin = "\r\n-- more.yaml --\n-- want.txt --\n-- evidence.json --\n{}\n"
	e := f0()
	byCertificate(stemma.FieldRef, "refs/heads/x"+begin)(e)
	e.Unavailable = append(e.Unavailable, stemma.Unavailable{Place: "a" + begin, Reason: stemma.ReasonRateLimited, Detail: "b" + begin})
	e.NotFetched, e.From = []string{begin}, begin
	data, err := NewCase("x", e, now(), File{Name: "app.yaml", Data: []byte(f0Policy)})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c, err := ParseCase("x", data)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Run(nil)
		if err != nil || len(r.Problems) > 0 || len(c.archive.Files) != 4 || strings.Count(r.Got, "more.yaml") != 5 {
			t.Fatalf("%v, %d files\n%+v", err, len(c.archive.Files), r)
		}
		data = c.Format(r.Got)
	}
	// Nor does what the image is called.
	for _, policies := range [][]File{nil, {{Name: "app.yaml", Data: []byte(f0Policy)}}} {
		if data, err := NewCase("x\n-- more.yaml --\n", f0(), now(), policies...); err == nil {
			t.Errorf("recorded\n%s", data)
		}
	}
}

// A case is read alike with the line ends of another system.
func TestLineEnds(t *testing.T) {
	data, err := NewCase("x", f0(), now(), File{Name: "app.yaml", Data: []byte(f0Policy)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		data  []byte
		fails bool
	}{
		{bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")), false},
		{bytes.Replace(data, []byte("verdict allow"), []byte("verdict  allow"), 1), true},
		{bytes.Replace(data, []byte("pass    source.ref\n"), []byte("pass    source.ref\r"), 1), true},
	} {
		one, err := ParseCase("x", c.data)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := one.Run(nil); err != nil || c.fails != (len(r.Problems) > 0) {
			t.Errorf("%v, %+v", err, r)
		}
	}
}

// "pass" is of every platform: one that passes does not stand for another that fails.
func TestExpectedOfEach(t *testing.T) {
	d := &stemma.Decision{Findings: []stemma.Finding{
		{Rule: "source.ref", Outcome: stemma.Pass, Platform: "linux/amd64"},
		{Rule: "source.ref", Outcome: stemma.Fail, Reason: stemma.ReasonRef, Platform: "linux/arm64"},
		{Rule: "source.repository", Outcome: stemma.Pass, Platform: "linux/amd64"},
		{Rule: "source.repository", Outcome: stemma.Pass, Platform: "linux/arm64"},
	}}
	for line, want := range map[string]string{
		"pass source.repository": "",
		"pass source.ref":        "expect.txt:1: source.ref is fail ref, pass, want pass",
		"fail source.ref":        "",
		"without source.ref":     "expect.txt:1: source.ref is fail ref, pass, want without",
	} {
		lines, err := caseLines([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join((&Case{expect: lines}).unmet(d, load(t, f0Policy)), "\n"); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// Every line of expect.txt can be met and can be missed.
func TestExpectations(t *testing.T) {
	evidence := func(e *stemma.Evidence) string { return string(mustJSON(t, e)) }
	refused := f0()
	byCertificate(stemma.FieldRef, "refs/heads/wip")(refused)
	for _, c := range []struct {
		line     string
		evidence *stemma.Evidence
		missed   string // "" when it is met
	}{
		{"verdict allow", f0(), ""},
		{"verdict allow", refused, "the verdict is deny, want allow"},
		{"effect refuse", refused, ""},
		{"effect refuse", f0(), "the effect is admit, want refuse"},
		{"pass source.ref", f0(), ""},
		{"pass source.ref", refused, "source.ref is fail ref, want pass"},
		{"fail source.ref", refused, ""},
		{"fail source.ref ref", refused, ""},
		{"fail source.ref repository", refused, "source.ref is fail ref, want fail repository"},
		{"fail source.ref", f0(), "source.ref is pass, want fail"},
		{"fail source.repository", refused, "source.ref fails, too (ref), and expect.txt does not say so"},
		{"unknown source.ref", refused, "source.ref is fail ref, want unknown"},
		{"waived source.ref", refused, "source.ref is fail ref, want waived"},
		{"without signature.by", f0(), ""},
		{"without source.ref", f0(), "source.ref is pass, want without"},
		{"pass signature.by", f0(), "signature.by is not in force, want pass"},
		{"pass source.reff", f0(), `no rule is called "source.reff"; did you mean "source.ref"?`},
		{"pass zzz", f0(), `no rule is called "zzz"; stemma policy explain lists them`},
		{"verdict allow # as it was\n\npass source.ref", f0(), ""},
	} {
		r, err := func() (*CaseResult, error) {
			c, err := ParseCase("x", archive("policy.yaml", f0Policy, "evidence.json", evidence(c.evidence), "expect.txt", c.line))
			if err != nil {
				return nil, err
			}
			return c.Run(nil)
		}()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(r.Problems, "\n"); (c.missed == "") != (got == "") || !strings.Contains(got, c.missed) {
			t.Errorf("%s: %q, want %q", c.line, got, c.missed)
		}
	}
}

// What cannot be read is an error with its place, and no case.
func TestCasesRefused(t *testing.T) {
	e := string(mustJSON(t, f0()))
	for _, c := range []struct{ name, want string }{
		{"", "no txtar archive"},
		{string(archive("policy.yaml", f0Policy)), "it has no evidence.json"},
		{string(archive("evidence.json", e, "evidence.json", e)), "evidence.json: it stands twice in the archive"},
		{string(archive("evidence.json", strings.Replace(e, `"image":`, `"image":{},"image":`, 1))), `duplicate name "image"`},
		{string(archive("evidence.json", strings.Replace(e, `"image":`, `"Image":`, 1))), "only in case"},
		{string(archive("evidence.json", strings.Replace(e, `"image":`, `"picture":`, 1))), `evidence.json:1: at /picture: unknown name "picture"`},
		{string(archive("evidence.json", "{\n \"collectedAt\": \"2026-06-01T00:00:00Z\",\n \"image\": {\n  \"digset\": \"\"\n }\n}\n")), `evidence.json:4: at /image/digset: unknown name "digset"`},
		{string(archive("evidence.json", e, "situation.json", "{\n \"at\": 1}")), "situation.json:2: at /at: expected a string"},
		{string(archive("evidence.json", strings.Replace(e, `"collectedAt":"2026-06-01T00:00:00Z"`, `"collectedAt":"2026-06-01"`, 1))), "expected a time such as"},
		{string(archive("evidence.json", e+"{}")), "evidence.json:1: bytes after the document"},
		{string(archive("evidence.json", e, "situation.json", `{"at":"2026-06-01T00:00:00Z","whatif":true}`)), "only in case"},
		{string(archive("evidence.json", `{}`)), "of which time it is"},
		{string(archive("evidence.json", e, "expect.txt", "")), "expect.txt: it expects nothing"},
		{string(archive("evidence.json", e, "expect.txt", "verdict allow\nverdict yes")), `expect.txt:2: no verdict is called "yes"`},
		{string(archive("evidence.json", e, "expect.txt", "allow")), `"allow" is nothing that can be expected`},
		{string(archive("evidence.json", e, "expect.txt", "pass source.ref ref")), "is no expectation"},
		{string(archive("evidence.json", e, "expect.txt", "verdict allow", "want.txt", "x")), "both want.txt"},
		{string(archive("evidence.json", e, "../policy.txt", "x")), "no file of a case"},
	} {
		if _, err := ParseCase("x", []byte(c.name)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	// And what can be read, and says nothing, does not pass.
	for _, files := range [][]string{{"evidence.json", e}, {"evidence.json", e, "want.txt", ""}} {
		c, err := ParseCase("x", archive(files...))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := c.Run(load(t, f0Policy)); err != nil || len(r.Problems) == 0 {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := c.Run(nil); err == nil || !strings.Contains(err.Error(), "it has no policies") {
			t.Error(err)
		}
	}
}

// A case passes only when something is compared and alike; whatever its bytes are, nothing panics.
func FuzzCase(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
	f.Add([]byte("-- --")) // of which another reader of txtar panics
	f.Add(archive("policy.yaml", f0Policy, "evidence.json", `{"collectedAt":"2026-06-01T00:00:00Z"}`, "expect.txt", "verdict deny"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCase("x", data)
		if err != nil {
			return
		}
		r, err := c.Run(nil)
		if err != nil {
			return
		}
		if len(r.Problems) == 0 && (r.Exact && r.Want != Outline(r.Decision) || r.Exact == r.Partial || r.Partial && len(c.expect) == 0) {
			t.Fatal("it passes, and nothing was alike")
		}
		// Whatever the evidence says, no more than want.txt is changed by an update.
		again, err := ParseCase("x", c.Format(r.Got))
		if err != nil {
			t.Fatalf("updated, and it cannot be read: %v", err)
		}
		if s, err := again.Run(nil); err != nil || len(s.Problems) > 0 || !s.Exact || s.Want != r.Got {
			t.Fatalf("updated, and it does not pass: %v, %+v", err, s)
		}
	})
}
