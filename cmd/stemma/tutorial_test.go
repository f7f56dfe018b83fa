package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTutorial runs pages: their blocks are a script. "```console" has commands, each followed by what it printed, standard
// output first, and by its exit status unless that is 0; "```yaml NAME" is a file. With -update what was printed is written
// into the page.
func TestTutorial(t *testing.T) {
	for _, page := range []string{"tutorial.md", "testing.md"} {
		t.Run(page, func(t *testing.T) {
			path, err := filepath.Abs(filepath.Join("..", "..", "docs", page))
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir())
			got, commands := play(t, string(data))
			if commands < 5 {
				t.Fatalf("%d commands", commands)
			}
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(data), got); diff != "" {
				t.Errorf("%s does not show what the commands print; go test ./cmd/stemma -run TestTutorial -update (-page +commands)\n%s", page, diff)
			}
		})
	}
}

// play runs the blocks of a page, and returns the page with what was printed.
func play(t *testing.T, page string) (out string, commands int) {
	t.Helper()
	var b strings.Builder
	lines := strings.Split(page, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		fmt.Fprintln(&b, line)
		info, block := strings.CutPrefix(line, "```")
		if !block {
			continue
		}
		var inside []string
		for i++; i < len(lines) && lines[i] != "```"; i++ {
			inside = append(inside, lines[i])
		}
		language, name, _ := strings.Cut(info, " ")
		switch {
		case language == "console":
			for _, l := range inside {
				if command, ok := strings.CutPrefix(l, "$ "); ok {
					commands++
					fmt.Fprintf(&b, "%s\n%s", l, perform(t, command))
				}
			}
		case name != "":
			text := strings.Join(inside, "\n") + "\n"
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			b.WriteString(text)
		default:
			for _, l := range inside {
				fmt.Fprintln(&b, l)
			}
		}
		fmt.Fprintln(&b, "```")
	}
	return strings.TrimSuffix(b.String(), "\n"), commands
}

// perform runs one command of a page: stemma, mkdir, cat or sed, of which standard output may go to a file.
func perform(t *testing.T, command string) string {
	t.Helper()
	command, into, redirected := strings.Cut(command, " > ")
	words := strings.Fields(command)
	var stdout, stderr []byte
	code := 0
	switch words[0] {
	case "stemma":
		stdout, stderr, code = execute(nil, time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), words[1:]...)
	case "mkdir":
		if err := os.Mkdir(words[1], 0o755); err != nil {
			t.Fatal(err)
		}
	case "cat":
		data, err := os.ReadFile(words[1])
		if err != nil {
			t.Fatal(err)
		}
		stdout = data
	case "sed": // 's/OLD/NEW/' FILE
		edit := strings.Split(command, "'")
		parts := strings.Split(edit[1], "/")
		data, err := os.ReadFile(strings.TrimSpace(edit[2]))
		if err != nil || len(parts) != 4 {
			t.Fatal(err, parts)
		}
		stdout = bytes.ReplaceAll(data, []byte(parts[1]), []byte(parts[2]))
	default:
		t.Fatalf("%s is no command of a page", words[0])
	}
	if redirected {
		if err := os.WriteFile(into, stdout, 0o600); err != nil {
			t.Fatal(err)
		}
		stdout = nil
	}
	shown := scrub(bytes.Join([][]byte{stdout, stderr}, nil))
	if code != 0 {
		shown = fmt.Appendf(shown, "exit status %d\n", code)
	}
	return string(shown)
}
