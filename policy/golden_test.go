package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestCases runs every case in testdata. "go test ./policy -run TestCases -update" rewrites what they want.
func TestCases(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d cases in testdata (%v)", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			c, err := ParseCase(filepath.Base(name), data)
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.Run(nil)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(name, c.Format(r.Got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(r.Problems) > 0 || !r.Exact {
				t.Errorf("%s\n-want +got\n%s", r.Problems, cmp.Diff(r.Want, r.Got))
			}
		})
	}
}

// TestErrors loads every archive in testdata/errors, whose files but want.txt are one set, and compares the error text.
func TestErrors(t *testing.T) {
	names, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(names) < 40 {
		t.Fatalf("%d cases in testdata/errors (%v)", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var files []File
			want := &txtar.File{}
			for i, f := range archive.Files {
				if f.Name == "want.txt" {
					want = &archive.Files[i]
				} else {
					files = append(files, File{Name: f.Name, Data: f.Data})
				}
			}
			_, err = Load(files...)
			if err == nil {
				t.Fatal("loaded")
			}
			got := err.Error() + "\n"
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
