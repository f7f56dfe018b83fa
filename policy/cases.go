package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"

	"stemma"
)

// Case is a test of policies: evidence as it was recorded, and what is to be said of it. It is one txtar archive:
//
//	what this case is about
//	-- policy.yaml --
//	policies, as many files as there are; none where those are tested that are given besides
//	-- evidence.json --
//	an Evidence, as inspect -o json prints it
//	-- situation.json --
//	a Situation; without it the time is that at which the evidence was collected
//	-- want.txt --
//	the outline of the decision, exactly
//	-- expect.txt --
//	or what matters of it, line by line
//
// Nothing is fetched and nothing is verified again: who writes a case says what was authentic.
type Case struct {
	Name      string
	Comment   string
	Policies  []File
	Evidence  *stemma.Evidence
	Situation stemma.Situation

	archive *txtar.Archive
	expect  []caseLine
}

// Names of the files of a case.
const (
	caseEvidence  = "evidence.json"
	caseSituation = "situation.json"
	caseWant      = "want.txt"
	caseExpect    = "expect.txt"
)

// caseLine is one line of expect.txt.
type caseLine struct {
	line             int
	what, of, reason string
}

// CaseError says where a case cannot be read.
type CaseError struct {
	Case, File, Problem, Hint string
	Line                      int // of the file in the archive; 0: of the file as a whole
}

func (e *CaseError) Error() string {
	at := e.Case
	if e.File != "" {
		at += ": " + e.File
	}
	if e.Line > 0 {
		at += fmt.Sprintf(":%d", e.Line)
	}
	text := at + ": " + e.Problem
	if e.Hint != "" {
		text += "\n  " + e.Hint
	}
	return text
}

// ParseCase reads a case of at most stemma.MaxJSONBytes. Its name is for messages. What is wrong with it is a CaseError.
func ParseCase(name string, data []byte) (*Case, error) {
	fail := func(file string, line int, hint, problem string, args ...any) (*Case, error) {
		return nil, &CaseError{name, file, fmt.Sprintf(problem, args...), hint, line}
	}
	if len(data) > stemma.MaxJSONBytes {
		return fail("", 0, "", "%d bytes, over the limit of %d", len(data), stemma.MaxJSONBytes)
	}
	c := &Case{Name: name, archive: txtar.Parse(data)}
	c.Comment = strings.TrimSpace(string(c.archive.Comment))
	seen := map[string]bool{}
	for _, f := range c.archive.Files {
		file := stemma.Printable(f.Name, 100)
		if seen[f.Name] {
			return fail(file, 0, "keep one", "it stands twice in the archive")
		}
		seen[f.Name] = true
		var err error
		switch ext := path.Ext(f.Name); {
		case f.Name == caseEvidence:
			c.Evidence = &stemma.Evidence{}
			err = stemma.DecodeRecord(f.Data, c.Evidence)
		case f.Name == caseSituation:
			err = stemma.DecodeRecord(f.Data, &c.Situation)
		case f.Name == caseExpect:
			if c.expect, err = caseLines(f.Data); err != nil {
				problem := err.(*CaseError)
				return fail(file, problem.Line, problem.Hint, "%s", problem.Problem)
			}
		case f.Name == caseWant:
		case ext == ".yaml" || ext == ".yml":
			c.Policies = append(c.Policies, File{Name: file, Data: f.Data})
		default:
			return fail(file, 0, "", "no file of a case: want policies (*.yaml), %s, %s, %s or %s", caseEvidence, caseSituation, caseWant, caseExpect)
		}
		if err != nil {
			line, problem := placed(f.Data, err)
			return fail(file, line, "stemma inspect IMAGE --record FILE.txtar writes it", "%s", problem)
		}
	}
	switch {
	case len(c.archive.Files) == 0:
		return fail("", 0, "files begin with a line such as -- evidence.json --", "no txtar archive, or an empty one")
	case c.Evidence == nil:
		return fail("", 0, "stemma inspect IMAGE --record FILE.txtar writes one", "it has no %s", caseEvidence)
	case seen[caseWant] && seen[caseExpect]:
		return fail("", 0, "keep one", "it has both %s, the whole outline, and %s, parts of it", caseWant, caseExpect)
	}
	c.Situation.At = cmp.Or(c.Situation.At, c.Evidence.CollectedAt)
	if c.Situation.At.IsZero() {
		return fail("", 0, `write collectedAt in it, or situation.json: {"at": "2026-06-01T12:00:00Z"}`, "neither %s nor %s says of which time it is", caseEvidence, caseSituation)
	}
	return c, nil
}

// placed is the line of what is wrong in a record, and what that is.
func placed(data []byte, err error) (int, string) {
	var wrong *stemma.JSONError
	if !errors.As(err, &wrong) {
		return 0, err.Error()
	}
	problem := wrong.Problem
	if wrong.Pointer != "" {
		problem = "at " + stemma.Printable(wrong.Pointer, 400) + ": " + problem
	}
	return 1 + bytes.Count(data[:min(wrong.Offset, len(data))], []byte("\n")), problem
}

// caseLines reads lines such as "deny", "fail builder.approved not-accepted", "pass source.ref", "effect warn".
func caseLines(data []byte) ([]caseLine, error) {
	var out []caseLine
	known := []string{
		"verdict", "effect", string(stemma.Pass), string(stemma.Fail), string(stemma.Unknown), string(stemma.Waived), "without",
	}
	values := map[string][]string{
		"verdict": {string(stemma.Allow), string(stemma.Deny), string(stemma.Undetermined)},
		"effect":  {string(stemma.Admit), string(stemma.Warn), string(stemma.Refuse), string(stemma.None)},
	}
	for i, line := range strings.Split(string(data), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		wrong := func(hint, problem string, args ...any) ([]caseLine, error) {
			return nil, &CaseError{Line: i + 1, Problem: fmt.Sprintf(problem, args...), Hint: hint}
		}
		e := caseLine{line: i + 1, what: words[0]}
		switch {
		case !slices.Contains(known, e.what):
			return wrong(suggestion(stemma.Printable(e.what, 40), known), "%q is nothing that can be expected", stemma.Printable(e.what, 40))
		case len(words) == 1 || len(words) > 3 || len(words) == 3 && e.what != string(stemma.Fail) && e.what != string(stemma.Unknown):
			return wrong("write fail builder.approved, or fail builder.approved and a reason", "%q is no expectation", stemma.Printable(strings.TrimSpace(line), 80))
		}
		if e.of = words[1]; len(words) == 3 {
			e.reason = words[2]
		}
		if allowed := values[e.what]; allowed != nil && !slices.Contains(allowed, e.of) {
			return wrong(suggestion(stemma.Printable(e.of, 40), allowed), "no %s is called %q", e.what, stemma.Printable(e.of, 40))
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, &CaseError{Problem: "it expects nothing", Hint: "write verdict allow, or remove it and run policy test --update"}
	}
	return out, nil
}

// CaseResult is what became of a case.
type CaseResult struct {
	Decision *stemma.Decision
	Set      *Set
	Want     string   // the outline that is wanted; "" of expectations
	Got      string   // the outline that came out
	Exact    bool     // Want is compared with Got
	Partial  bool     // what expect.txt says is compared, which somebody wrote by hand
	Problems []string // why the case does not pass; none: it passes
}

// Run judges the case by a set, or by its own policies where set is nil. What is wrong with these is an error. By another set
// than its own the places in policy files are not compared: they change with every line that is added above them.
func (c *Case) Run(set *Set) (*CaseResult, error) {
	own := set == nil
	if own {
		if len(c.Policies) == 0 {
			return nil, &CaseError{Case: c.Name, Problem: "it has no policies", Hint: "add a file policy.yaml to it, or name policies with --policy"}
		}
		var err error
		if set, err = Load(c.Policies...); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	r := &CaseResult{Set: set, Decision: Evaluate(set, c.Evidence, c.Situation)}
	r.Got = Outline(r.Decision)
	if !own {
		r.Got = placeless(r.Got)
	}
	want := slices.IndexFunc(c.archive.Files, func(f txtar.File) bool { return f.Name == caseWant })
	switch {
	case want >= 0:
		// A checkout may have other line ends than the program writes.
		r.Exact, r.Want = true, strings.ReplaceAll(string(c.archive.Files[want].Data), "\r\n", "\n")
		if !own {
			r.Want = placeless(r.Want)
		}
		if r.Want != r.Got {
			r.Problems = append(r.Problems, "the outline is not that of "+caseWant)
		}
	case len(c.expect) == 0:
		r.Problems = append(r.Problems, fmt.Sprintf("it neither has %s nor %s, so that nothing is tested", caseWant, caseExpect))
	default:
		r.Partial, r.Problems = true, c.unmet(r.Decision, set)
	}
	return r, nil
}

// unmet lists the expectations that a decision does not meet. Where rules are expected to fail, no other may fail: a case
// that is refused for another reason shows nothing.
func (c *Case) unmet(d *stemma.Decision, set *Set) []string {
	var out []string
	bad := func(e caseLine, problem string, args ...any) {
		out = append(out, fmt.Sprintf("%s:%d: ", caseExpect, e.line)+fmt.Sprintf(problem, args...))
	}
	ids := []string{UnmatchedRule().ID}
	for _, p := range set.policies {
		ids = append(ids, p.ruleIDs()...)
	}
	for _, r := range Rules() {
		ids = append(ids, r.ID)
	}
	failing := map[string]bool{}
	for _, e := range c.expect {
		switch e.what {
		case "verdict":
			if string(d.Verdict) != e.of {
				bad(e, "the verdict is %s, want %s", d.Verdict, e.of)
			}
			continue
		case "effect":
			if string(d.Effect) != e.of {
				bad(e, "the effect is %s, want %s", d.Effect, e.of)
			}
			continue
		}
		if !slices.Contains(ids, e.of) {
			hint := suggestion(e.of, ids)
			if !strings.HasPrefix(hint, "did you mean") {
				hint = "stemma policy explain lists them"
			}
			bad(e, "no rule is called %q; %s", stemma.Printable(e.of, 80), hint)
			continue
		}
		failing[e.of] = failing[e.of] || e.what == string(stemma.Fail)
		var got []string
		met := 0
		for _, f := range d.Findings {
			if f.Rule != e.of {
				continue
			}
			text := string(f.Outcome)
			if f.Reason != "" {
				text += " " + string(f.Reason)
			}
			got = append(got, text)
			if string(f.Outcome) == e.what && (e.reason == "" || e.reason == string(f.Reason)) {
				met++
			}
		}
		ok := met > 0
		switch e.what {
		case "without":
			ok = len(got) == 0
		case string(stemma.Pass):
			ok = ok && met == len(got) // on every platform, and under every policy
		}
		if !ok {
			slices.Sort(got)
			bad(e, "%s is %s, want %s", e.of, cmp.Or(strings.Join(slices.Compact(got), ", "), "not in force"), strings.TrimSpace(e.what+" "+e.reason))
		}
	}
	if slices.ContainsFunc(c.expect, func(e caseLine) bool { return e.what == string(stemma.Fail) }) {
		for _, f := range d.Findings {
			if f.Outcome == stemma.Fail && f.Needs == "" && !failing[f.Rule] {
				out = append(out, fmt.Sprintf("%s fails, too (%s), and %s does not say so", f.Rule, f.Reason, caseExpect))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Format is the text of the case with an outline as what is wanted, in place of want.txt and expect.txt.
func (c *Case) Format(outline string) []byte {
	files := slices.DeleteFunc(slices.Clone(c.archive.Files), func(f txtar.File) bool { return f.Name == caseWant || f.Name == caseExpect })
	files = append(files, txtar.File{Name: caseWant, Data: []byte(outline)})
	return txtar.Format(&txtar.Archive{Comment: c.archive.Comment, Files: files})
}

// NewCase is the text of a case of evidence and of the policies, if any, that it was recorded with.
func NewCase(comment string, evidence *stemma.Evidence, situation stemma.Situation, policies ...File) ([]byte, error) {
	a := &txtar.Archive{Comment: []byte(strings.TrimSpace(comment) + "\n")}
	names := map[string]bool{}
	renamed := make([]File, 0, len(policies))
	for _, f := range policies {
		name := path.Base(strings.ReplaceAll(f.Name, "\\", "/"))
		if ext := path.Ext(name); ext != ".yaml" && ext != ".yml" {
			name += ".yaml"
		}
		for n := 2; names[name]; n++ {
			name = fmt.Sprintf("policy-%d.yaml", n)
		}
		names[name] = true
		renamed = append(renamed, File{Name: name, Data: f.Data})
		a.Files = append(a.Files, txtar.File{Name: name, Data: f.Data})
	}
	for _, record := range []struct {
		name string
		of   any
	}{{caseEvidence, evidence}, {caseSituation, situation}} {
		data, err := indent(record.of)
		if err != nil {
			return nil, fmt.Errorf("recording %s: %w", record.name, err)
		}
		a.Files = append(a.Files, txtar.File{Name: record.name, Data: append(data, '\n')})
	}
	out := txtar.Format(a)
	c, err := ParseCase("recorded", out)
	if err != nil {
		return nil, fmt.Errorf("recording a case: %w", err)
	}
	// What txtar cannot hold, such as a policy with a line that looks like the beginning of a file, must not become another
	// case.
	if read := c.archive; !bytes.Equal(read.Comment, a.Comment) || len(read.Files) != len(a.Files) {
		return nil, errors.New("recording a case: a policy has a line that txtar takes for the beginning of a file")
	}
	if len(policies) == 0 {
		return out, nil
	}
	r, err := c.Run(nil)
	if err != nil {
		return nil, fmt.Errorf("recording a case: %w", err)
	}
	set, err := Load(renamed...)
	if err != nil {
		return nil, fmt.Errorf("recording a case: %w", err)
	}
	if Outline(Evaluate(set, evidence, situation)) != r.Got {
		for _, f := range policies {
			if !bytes.HasSuffix(f.Data, []byte("\n")) && len(situation.Endorsed) > 0 {
				return nil, fmt.Errorf("recording a case: %s does not end with a line feed, and with one, as txtar has it, its signature is of another file", stemma.Printable(f.Name, 100))
			}
		}
		return nil, errors.New("recording a case: what is recorded is not judged as what was seen")
	}
	return c.Format(r.Got), nil
}

// Requirement is one rule in force of one policy.
type Requirement struct {
	Policy, Rule string
	Where        string // file:line of the block that asks for it
}

// Requirements lists what the set requires of images, for the coverage of cases.
func (s *Set) Requirements() []Requirement {
	var out []Requirement
	for _, p := range s.policies {
		for _, id := range p.ruleIDs() {
			at, _, _ := strings.Cut(id, ".")
			switch own := slices.IndexFunc(p.spec.Rules, func(r Custom) bool { return r.ID == id }); {
			case own >= 0:
				at = fmt.Sprintf("rules[%d]", own)
			case at == "image":
				at = "match"
			case at == "builder":
				at = "builders"
			}
			out = append(out, Requirement{p.name, id, p.where(at)})
		}
	}
	return out
}
