package main

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"stemma"
	"stemma/policy"
)

const (
	maxCases   = 10000
	caseSuffix = ".txtar"
)

// testRun is what policy test is asked.
type testRun struct {
	policies         []string
	update, coverage bool
	run, output      string
	least            int // percent of the rules in force that some case must make fail
	reach            collecting
}

func (a *app) policyTestCommand() *cobra.Command {
	var t testRun
	c := &cobra.Command{
		Use:   "test [PATH...]",
		Short: "Run test cases: recorded evidence, and what policies are to say of it",
		Long: `Runs every case (*.txtar) in files and directories, by default here. A case has the evidence about one image as it was
recorded, and what is to be said of it: the whole outline of the decision (want.txt), or what matters of it (expect.txt).
It is judged by the policies in it, or by those of --policy. Nothing is fetched, and nothing is admitted by it.

"stemma inspect IMAGE --policy FILE --record FILE.txtar" makes a case of a real image.

Exit codes: 0 all cases pass; 1 some do not, or too few rules are covered; 2 a case or a policy cannot be read.`,
		Example: `  stemma policy test                             # all cases below this directory
  stemma policy test cases/ --policy policies/   # do the recorded images meet the policies as they are now?
  stemma policy test cases/ --update             # take what comes out for what is wanted; review it with git diff
  stemma policy test --coverage --output junit > report.xml`,
		RunE: func(c *cobra.Command, args []string) error {
			if !slices.Contains([]string{"text", "json", "junit"}, t.output) {
				return &usageError{fmt.Errorf("unknown output %q", t.output), "write --output text, json or junit"}
			}
			if t.least < 0 || t.least > 100 {
				return &usageError{fmt.Errorf("--min-coverage %d is no percentage", t.least), "write a number from 0 to 100"}
			}
			if len(args) == 0 {
				args = []string{"."}
			}
			return a.testPolicies(c, &t, args)
		},
	}
	c.Flags().StringArrayVar(&t.policies, "policy", nil, "policy `FILE`, directory or oci://REPOSITORY@DIGEST to judge all cases by, in place of their own. Repeatable")
	c.Flags().BoolVar(&t.update, "update", false, "write what comes out into the cases as what is wanted (want.txt); expect.txt stays as it is")
	c.Flags().StringVar(&t.run, "run", "", "only cases whose path contains `TEXT`")
	c.Flags().BoolVar(&t.coverage, "coverage", false, "say which rules in force no case makes fail")
	c.Flags().IntVar(&t.least, "min-coverage", 0, "exit 1 unless some case makes at least this `PERCENT` of the rules in force fail")
	c.Flags().StringVarP(&t.output, "output", "o", "text", "text, json or junit")
	t.reach.reach.add(c)
	return c
}

// tested is what became of one case.
type tested struct {
	Name     string         `json:"name"`
	Comment  string         `json:"comment,omitempty"`
	Passed   bool           `json:"passed"`
	Updated  bool           `json:"updated,omitempty"`
	Partial  bool           `json:"partial,omitempty"` // expect.txt is compared, and no update changes it
	Verdict  stemma.Verdict `json:"verdict,omitempty"`
	Effect   stemma.Effect  `json:"effect,omitempty"`
	Problems []string       `json:"problems,omitempty"`
	Diff     string         `json:"diff,omitempty"`
	Error    string         `json:"error,omitempty"` // it could not be read
}

// covered is what cases show of one rule in force.
type covered struct {
	Policy  string   `json:"policy"`
	Rule    string   `json:"rule"`
	Where   string   `json:"where"`  // file:line that asks for it; of several files alike in name, the first
	Passes  []string `json:"passes"` // cases
	Fails   []string `json:"fails"`
	Unknown []string `json:"unknown,omitempty"`
	Waived  []string `json:"waived,omitempty"`
}

type testReport struct {
	Cases    []tested  `json:"cases"`
	Passed   int       `json:"passed"`
	Failed   int       `json:"failed"`
	Coverage []covered `json:"coverage"`
	Exit     int       `json:"exit"`
}

func (a *app) testPolicies(c *cobra.Command, t *testRun, args []string) error {
	files, err := findCases(args, t.run)
	if err != nil {
		return err
	}
	var set *policy.Set
	if len(t.policies) > 0 {
		if set, _, err = a.loadPolicies(c.Context(), &t.reach, t.policies); err != nil {
			return err
		}
	}
	done := a.progress("running " + plural(len(files), "case"))
	r := testReport{Cases: []tested{}, Coverage: []covered{}}
	rules := coverage{}
	for _, file := range files {
		if err := c.Context().Err(); err != nil {
			done()
			return err
		}
		one, result := runCase(file, set, t.update)
		r.Cases = append(r.Cases, one)
		switch {
		case one.Error != "":
			a.code = worse(a.code, exitUsage)
			r.Failed++
		case one.Passed:
			r.Passed++
		default:
			a.code = worse(a.code, exitRefuse)
			r.Failed++
		}
		if result != nil {
			rules.cover(one.Name, result)
		}
	}
	done()
	for _, one := range rules {
		r.Coverage = append(r.Coverage, *one)
	}
	slices.SortFunc(r.Coverage, func(x, y covered) int {
		return cmp.Or(strings.Compare(x.Policy, y.Policy), strings.Compare(x.Rule, y.Rule))
	})
	short := t.least > 0 && r.failing()*100 < t.least*len(r.Coverage) || t.least > 0 && len(r.Coverage) == 0
	if short {
		a.code = worse(a.code, exitRefuse)
	}
	r.Exit = a.code
	switch t.output {
	case "json":
		return writeJSON(a.stdout, r)
	case "junit":
		return a.writeJUnit(r)
	}
	a.printTested(r, t, short)
	return nil
}

// findCases lists the cases in files and directories, in the order of their names.
func findCases(args []string, run string) ([]string, error) {
	found := map[string]bool{}
	add := func(path string) error {
		if strings.Contains(path, run) {
			found[path] = true
		}
		if len(found) > maxCases {
			return &usageError{fmt.Errorf("more than %d cases", maxCases), "name a directory with fewer"}
		}
		return nil
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, &usageError{fmt.Errorf("reading cases: %w", err), "give the path of a case (*.txtar) or of a directory of them"}
		}
		if !info.IsDir() {
			if err := add(filepath.Clean(arg)); err != nil {
				return nil, err
			}
			continue
		}
		err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && path != arg && strings.HasPrefix(d.Name(), "."):
				return filepath.SkipDir
			case d.Type().IsRegular() && filepath.Ext(path) == caseSuffix:
				return add(path)
			}
			return nil
		})
		if usage := (*usageError)(nil); errors.As(err, &usage) {
			return nil, err
		} else if err != nil {
			return nil, &usageError{fmt.Errorf("reading cases: %w", err), ""}
		}
	}
	if len(found) == 0 {
		where := strings.Join(args, ", ")
		if run != "" {
			where += " whose path contains " + run
		}
		return nil, &usageError{fmt.Errorf("no case in %s", clean(where)), "a case is a file *.txtar; stemma inspect IMAGE --policy FILE --record FILE.txtar makes one"}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// runCase runs one case, and writes it anew where what is wanted is to be what comes out.
func runCase(file string, set *policy.Set, update bool) (tested, *policy.CaseResult) {
	name := clean(filepath.ToSlash(file))
	one := tested{Name: name}
	data, err := readFile(file, stemma.MaxJSONBytes)
	if err != nil {
		one.Error = fmt.Sprintf("reading a case: %v", err)
		return one, nil
	}
	c, err := policy.ParseCase(name, data)
	if err != nil {
		one.Error = err.Error()
		return one, nil
	}
	one.Comment, _, _ = strings.Cut(clean(c.Comment), "\n")
	r, err := c.Run(set)
	if err != nil {
		one.Error = err.Error()
		return one, nil
	}
	one.Verdict, one.Effect, one.Problems, one.Passed, one.Partial = r.Decision.Verdict, r.Decision.Effect, r.Problems, len(r.Problems) == 0, r.Partial
	if update && !one.Passed && !r.Partial {
		// What somebody wrote by hand says what is meant; that something else comes out does not change it.
		if err := written(file, c.Format(r.Got)); err != nil {
			one.Error, one.Passed = err.Error(), false
			return one, nil
		}
		one.Updated, one.Passed, one.Problems = true, true, nil
		return one, r
	}
	if r.Exact && !one.Passed {
		one.Diff = string(diff.Diff("want.txt", []byte(r.Want), "got", []byte(r.Got)))
	}
	return one, r
}

// coverage is what cases show, by policy and rule.
type coverage map[[2]string]*covered

// cover adds what a case shows of the rules in force.
func (rules coverage) cover(name string, r *policy.CaseResult) {
	for _, required := range r.Set.Requirements() {
		key := [2]string{required.Policy, required.Rule}
		if rules[key] == nil {
			rules[key] = &covered{Policy: required.Policy, Rule: required.Rule, Where: clean(required.Where), Passes: []string{}, Fails: []string{}}
		}
	}
	add := func(list *[]string) {
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	for _, f := range r.Decision.Findings {
		one := rules[[2]string{f.Policy, f.Rule}]
		if one == nil || f.Needs != "" {
			continue // what it needs is what failed
		}
		switch f.Outcome {
		case stemma.Pass:
			add(&one.Passes)
		case stemma.Fail:
			add(&one.Fails)
		case stemma.Waived:
			add(&one.Waived)
		default:
			add(&one.Unknown)
		}
	}
}

// failing counts the rules in force that some case makes fail.
func (r testReport) failing() int {
	n := 0
	for _, c := range r.Coverage {
		if len(c.Fails) > 0 {
			n++
		}
	}
	return n
}

func (a *app) printTested(r testReport, t *testRun, short bool) {
	p := colours(a.stdout)
	rows := [][]string{}
	for _, c := range r.Cases {
		switch {
		case c.Error != "":
			rows = append(rows, []string{"✗", c.Name, "cannot be read"})
		case c.Updated:
			rows = append(rows, []string{"±", c.Name, string(c.Verdict), "updated"})
		case c.Passed:
			rows = append(rows, []string{"✓", c.Name, string(c.Verdict), c.Comment})
		default:
			rows = append(rows, []string{"✗", c.Name, string(c.Verdict), c.Comment})
		}
	}
	table(a.stdout, "", rows, func(_, col int, s string) string {
		switch {
		case col > 0:
			return s
		case strings.HasPrefix(s, "✓"):
			return p.green(s)
		case strings.HasPrefix(s, "±"):
			return p.yellow(s)
		}
		return p.red(s)
	})
	for _, c := range r.Cases {
		if c.Passed {
			continue
		}
		fmt.Fprintf(a.stdout, "\n%s\n", p.bold(c.Name))
		for _, text := range slices.Concat([]string{c.Error}, c.Problems, []string{c.Diff}) {
			for line := range strings.Lines(plain(text)) {
				fmt.Fprint(a.stdout, "  "+line)
			}
		}
	}
	if t.coverage || short {
		a.printCoverage(r)
	}
	fmt.Fprintf(a.stdout, "\n%d of %s passed\n", r.Passed, plural(len(r.Cases), "case"))
	if short {
		fmt.Fprintf(a.stdout, "%d%% of the rules in force fail in some case, want %d%%\n", r.failing()*100/max(1, len(r.Coverage)), t.least)
	}
	failed := func(partial bool) bool {
		return slices.ContainsFunc(r.Cases, func(c tested) bool { return !c.Passed && c.Error == "" && c.Partial == partial })
	}
	if failed(false) {
		fmt.Fprintln(a.stdout, "if that is what is meant now: stemma policy test --update, and review the difference")
	}
	if failed(true) {
		fmt.Fprintln(a.stdout, "what expect.txt says is changed by hand alone")
	}
}

// printCoverage lists the rules in force that are tested by half: a rule that never fails in a case could be written such
// that it cannot.
func (a *app) printCoverage(r testReport) {
	rows := [][]string{{"policy", "rule", "asked for at", "passes in", "fails in"}}
	number := func(list []string) string {
		if len(list) == 0 {
			return "—"
		}
		return plural(len(list), "case")
	}
	for _, c := range r.Coverage {
		if len(c.Fails) == 0 || len(c.Passes) == 0 {
			rows = append(rows, []string{clean(c.Policy), clean(c.Rule), c.Where, number(c.Passes), number(c.Fails)})
		}
	}
	passing := 0
	for _, c := range r.Coverage {
		if len(c.Passes) > 0 {
			passing++
		}
	}
	fmt.Fprintf(a.stdout, "\n%d of %s in force pass in some case, %d fail in some case\n", passing, plural(len(r.Coverage), "rule"), r.failing())
	if len(rows) > 1 {
		table(a.stdout, "  ", rows, nil)
	}
	if r.failing() < len(r.Coverage) {
		fmt.Fprintln(a.stdout, "  a rule that never fails may be one that cannot: record an image that it refuses (stemma inspect IMAGE --record FILE.txtar),")
		fmt.Fprintln(a.stdout, "  or change the evidence in a case")
	}
}

// The elements of a JUnit report, as CI servers read them.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitProblem `xml:"failure,omitempty"`
	Error   *junitProblem `xml:"error,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",cdata"`
}

// plain is text of several lines that is safe to print, and that XML can hold.
func plain(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(stemma.Printable(strings.TrimRight(line, "\r\n"), 1000) + "\n")
	}
	return b.String()
}

// writeJUnit writes a suite for each directory of cases.
func (a *app) writeJUnit(r testReport) error {
	all := junitSuites{Tests: len(r.Cases)}
	for _, c := range r.Cases {
		dir, name := filepath.Split(c.Name)
		dir = cmp.Or(strings.TrimSuffix(dir, "/"), ".")
		i := slices.IndexFunc(all.Suites, func(s junitSuite) bool { return s.Name == dir })
		if i < 0 {
			all.Suites, i = append(all.Suites, junitSuite{Name: dir}), len(all.Suites)
		}
		s := &all.Suites[i]
		s.Tests++
		one := junitCase{Class: dir, Name: strings.TrimSuffix(name, caseSuffix)}
		switch {
		case c.Error != "":
			one.Error = &junitProblem{Message: "the case cannot be read", Text: plain(c.Error)}
			s.Errors++
			all.Errors++
		case !c.Passed:
			one.Failure = &junitProblem{Message: c.Problems[0], Text: plain(strings.Join(c.Problems, "\n") + "\n" + c.Diff)}
			s.Failures++
			all.Failures++
		}
		s.Cases = append(s.Cases, one)
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	e := xml.NewEncoder(&b)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	b.WriteByte('\n')
	_, err := a.stdout.Write(b.Bytes())
	return err
}
