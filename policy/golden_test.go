package policy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"stemma"
)

// TestCases judges every archive in testdata: policy.yaml, evidence.json and situation.json if the time matters, and
// compares with want.txt. "go test ./policy -run TestCases -update" rewrites it.
func TestCases(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d cases in testdata (%v)", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			part := func(want string) *txtar.File {
				for i := range archive.Files {
					if archive.Files[i].Name == want {
						return &archive.Files[i]
					}
				}
				return &txtar.File{}
			}
			set, err := Load(File{Name: "policy.yaml", Data: part("policy.yaml").Data})
			if err != nil {
				t.Fatal(err)
			}
			var evidence stemma.Evidence
			if err := json.Unmarshal(part("evidence.json").Data, &evidence); err != nil {
				t.Fatal(err)
			}
			situation := now()
			if data := part("situation.json").Data; data != nil {
				if err := json.Unmarshal(data, &situation); err != nil {
					t.Fatal(err)
				}
			}
			got := render(Evaluate(set, &evidence, situation))
			want := part("want.txt")
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
