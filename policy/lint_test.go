package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestLint: each check has an archive in testdata/lint of its name: policy.yaml has what it looks for, near.yaml is nearest
// to it and has not, want.txt is all that is said of the one, and the checks that say something of the other.
func TestLint(t *testing.T) {
	names, err := filepath.Glob("testdata/lint/*.txtar")
	if err != nil || len(names) != len(Checks()) {
		t.Errorf("%d archives for %d checks (%v)", len(names), len(Checks()), err)
	}
	for _, c := range Checks() {
		t.Run(c.ID, func(t *testing.T) {
			name := filepath.Join("testdata/lint", strings.TrimPrefix(c.ID, "lint.")+".txtar")
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			lint := func(file string) []*Warning {
				i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == file })
				if i < 0 {
					t.Fatalf("no %s", file)
				}
				set, err := Load(File{Name: file, Data: archive.Files[i].Data})
				if err != nil {
					t.Fatal(err)
				}
				return set.Lint(now().At)
			}
			found, near := lint("policy.yaml"), ids(lint("near.yaml"))
			if !slices.Contains(ids(found), c.ID) {
				t.Errorf("policy.yaml has it, and it is not found: %v", ids(found))
			}
			if slices.Contains(near, c.ID) {
				t.Errorf("near.yaml has it not, and it is found")
			}
			got := ""
			for _, w := range found {
				got += w.String() + "\n"
			}
			got += "near: " + strings.Join(append([]string{}, near...), ", ") + "\n"
			last := &archive.Files[len(archive.Files)-1]
			if *update {
				last.Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(last.Data), got); diff != "" || last.Name != "want.txt" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func ids(warnings []*Warning) []string {
	var out []string
	for _, w := range warnings {
		out = append(out, w.ID)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestChecks: what is said of a check is there, once.
func TestChecks(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks() {
		if !strings.HasPrefix(c.ID, "lint.") || seen[c.ID] || c.Title == "" || !strings.HasSuffix(c.Why, ".") || c.look == nil || strings.HasSuffix(c.Title, ".") {
			t.Errorf("%+v", c)
		}
		if !slices.Contains([]Severity{SeverityError, SeverityWarning, SeverityAdvice}, c.Severity) {
			t.Errorf("%s is of severity %q", c.ID, c.Severity)
		}
		seen[c.ID] = true
	}
}

// TestLintQuiet: the policies that the documentation starts from have no error and no warning.
func TestLintQuiet(t *testing.T) {
	count := 0
	for _, file := range []string{"../README.md", "../docs/builders.md", "../cmd/stemma/demo.yaml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := []string{string(data)}
		if filepath.Ext(file) == ".md" {
			blocks = nil
			for _, rest := range strings.Split(string(data), "```yaml\n")[1:] {
				block, _, _ := strings.Cut(rest, "```")
				if strings.Contains(block, "kind: "+KindPolicy) {
					blocks = append(blocks, block)
				}
			}
		}
		for _, block := range blocks {
			set, err := Load(File{Name: file, Data: []byte(block)})
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			count++
			for _, w := range set.Lint(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)) {
				if w.Severity != SeverityAdvice {
					t.Errorf("%s: %s", set.Policies()[0], w)
				}
			}
		}
	}
	if count < 12 {
		t.Errorf("%d policies", count)
	}
}

// TestLintBounded: a set of many policies that all match the same is looked at in bounded time, each check says a few
// things of it, and always the same.
func TestLintBounded(t *testing.T) {
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, "---\n%s", strings.NewReplacer("name: app", fmt.Sprintf("name: app-%d", i), "github.com/acme/{service}", fmt.Sprintf("github.com/acme/repository-%d", i)).Replace(f0Policy))
	}
	set := load(t, b.String())
	began := time.Now()
	first := set.Lint(now().At)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	count := map[string]int{}
	more := false
	for _, w := range first {
		count[w.ID]++
		more = more || strings.HasSuffix(w.Problem, ", and 179 more like it")
	}
	if count["lint.contradiction"] != maxWarnings || !more {
		t.Errorf("%v", count)
	}
	if diff := cmp.Diff(fmt.Sprint(first), fmt.Sprint(set.Lint(now().At))); diff != "" {
		t.Error(diff)
	}
}

// TestLintHostile: patterns that take long to compare, in policies that list many of them, take bounded time, too.
func TestLintHostile(t *testing.T) {
	list := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return strings.TrimSuffix(b.String(), ", ")
	}
	slow := func(name, end string) string {
		return "---\n" + strings.NewReplacer("name: app", "name: "+name,
			`["ghcr.io/acme/{service}"]`, "["+list(500, `"ghcr.io/**/a/**/a/**/a/*/x-%d/`+strings.Repeat("a/", 150)+end+`", `)+"]",
			"github.com/acme/{service}", "github.com/**/a/**/a/**/a/"+end,
			`[refs/heads/main, "refs/tags/v*"]`, "["+list(500, `"refs/**/a/**/a/**/a/r-%d/`+strings.Repeat("a/", 150)+end+`", `)+"]",
		).Replace(f0Policy)
	}
	set := load(t, slow("one", "b")+slow("two", "c"))
	began := time.Now()
	set.Lint(now().At)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

// TestLintSameName: of two files with one name no line is shown that might be another's.
func TestLintSameName(t *testing.T) {
	other := strings.ReplaceAll(f0Policy, "name: app", "name: other")
	set, err := Load(File{"policy.yaml", []byte(f0Policy)}, File{"policy.yaml", []byte("# pushed\n" + strings.ReplaceAll(other, "  match", "  mode: audit\n  match"))})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range set.Lint(now().At) {
		if w.source != "" {
			t.Errorf("shows %q", w.source)
		}
		if w.ID == "lint.not-enforced" && w.Line != 6 {
			t.Errorf("line %d", w.Line)
		}
	}
}

// TestPatternsCompared: covers and overlap never say more than the names that patterns match do.
func TestPatternsCompared(t *testing.T) {
	patterns := []Pattern{"**", "*", "a", "a/b", "a/*", "*/b", "a/**", "**/b", "{x}/b", "a/{y}", "{x**}", "{x**}/b", "a*/b", "*a/b", "a*b/*", "ab/b", "a/**/b", "a/*/b", "*/*", "**/a/**"}
	var names []string
	parts := []string{"a", "b", "ab", "ba"}
	for _, x := range parts {
		names = append(names, x)
		for _, y := range parts {
			names = append(names, x+"/"+y)
			for _, z := range parts {
				names = append(names, x+"/"+y+"/"+z, x+"/"+y+"/"+z+"/b")
			}
		}
	}
	covered, apart := 0, 0
	for _, p := range patterns {
		for _, q := range patterns {
			both, only := "", ""
			for _, n := range names {
				_, inP := p.match(n, nil)
				_, inQ := q.match(n, nil)
				if inP && inQ {
					both = n
				}
				if inQ && !inP {
					only = n
				}
			}
			if covers(p, q) {
				covered++
				if only != "" {
					t.Errorf("%s covers %s, and not %s", p, q, only)
				}
			}
			if !overlap(p, q) {
				apart++
				if both != "" {
					t.Errorf("%s and %s have nothing in common, and both match %s", p, q, both)
				}
			} else if both == "" {
				t.Errorf("%s and %s overlap, and no name shows it", p, q)
			}
		}
	}
	if covered < 100 || apart < 20 {
		t.Errorf("%d covered, %d apart", covered, apart)
	}
	for _, c := range []struct {
		general, special Pattern
		want             bool
	}{
		{"ghcr.io/acme/**", "ghcr.io/acme/{service}", true},
		{"ghcr.io/acme/*", "ghcr.io/acme/{service**}", false},
		{"ghcr.io/acme/sandbox-*", "ghcr.io/acme/sandbox-*-old", true},
		{"ghcr.io/acme/sandbox-*-old", "ghcr.io/acme/sandbox-*", false},
		{"**/**/**/**", "**/**/**/**", true},
	} {
		if got := covers(c.general, c.special); got != c.want {
			t.Errorf("covers(%s, %s) = %v", c.general, c.special, got)
		}
	}
}
