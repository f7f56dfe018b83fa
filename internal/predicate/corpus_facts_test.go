package predicate

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stemma"
)

// fact is what independent scripts found in one statement of the corpus. They write "None" for what is not there.
type fact struct {
	PredicateType string `json:"predicateType"`
	BuildType     string `json:"buildType"`
	Subjects      []struct {
		Name      string `json:"name"`
		Algorithm string `json:"alg"`
		Digest    string `json:"digest"`
	} `json:"subjects"`
	SubjectCount int               `json:"n_subjects"`
	Builder      string            `json:"builder_id"`
	Repository   string            `json:"source_repo"`
	Ref          string            `json:"source_ref"`
	Digest       map[string]string `json:"source_digest"`
	Workflow     string            `json:"workflow_path"`
	Materials    []struct {
		URI    string            `json:"uri"`
		Digest map[string]string `json:"digest"`
	} `json:"materials"`
	MaterialCount *int     `json:"n_materials"`
	Witness       []string `json:"witness_types"`
	Statements    []fact   `json:"statements"`
}

func isProvenance(predicateType string) bool {
	switch predicateType {
	case stemma.PredicateSLSAv1, stemma.PredicateSLSAv02, stemma.PredicateSLSAv01:
		return true
	}
	return otherProvenance(predicateType) != nil
}

// factRecords lists all facts about provenance with their records.
func factRecords(t *testing.T, dir string) (out []struct {
	record
	fact
},
) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "index.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		var f fact
		if json.Unmarshal(r.Facts, &f) != nil {
			continue // of another kind
		}
		for _, one := range append([]fact{f}, f.Statements...) {
			if isProvenance(one.PredicateType) {
				out = append(out, struct {
					record
					fact
				}{r, one})
			}
		}
	}
	return out
}

// TestCorpusEveryFact holds what is read of every provenance of the corpus, in whatever wrapping, to every fact about it.
func TestCorpusEveryFact(t *testing.T) {
	dir := corpusDir(t)
	count := map[string]int{}
	for _, r := range factRecords(t, dir) {
		s, ok := statementOf(t, dir, r.record, r.fact)
		if !ok {
			t.Errorf("%s (%s): no statement of type %s with these subjects", r.ID, r.Path, r.PredicateType)
			continue
		}
		d, err := ReadUnsigned("sha256:00", s)
		if err != nil || d.Provenance == nil {
			t.Errorf("%s (%s): %v, %v", r.ID, r.Path, d.Provenance, err)
			continue
		}
		known := d.Provenance.Known
		if known == "" {
			known = "(unknown build type)"
		}
		count[r.Family+", "+d.Provenance.Format+", "+known]++
		for _, diff := range differences(s, d.Provenance, r.fact) {
			if reason := documented(r.ID, diff); reason == "" {
				t.Errorf("%s (%s): %s", r.ID, r.Path, diff)
			}
		}
	}
	report(t, count)
}

// documented says why a fact is rightly not what is read, for each after a look at the bytes.
func documented(id, difference string) string {
	switch id {
	case "guac-d2edb68781", "guac-1340f0483b", "guac-64c94ec4e6", "guac-0b1436f54c":
		// TestCorpusAzure holds these to the same facts.
		switch difference {
		case "repository is github.com/kubernetes/kubernetes, want azurecontainerupstream",
			"commit (sha256) is 8dc49c4b984b897d423aab4971090e1879eb4f23, want b2ec157721d8e6d507ca6c79d0e8fa096fc2a101":
			return "what the scripts took for the source is where the pipeline is defined; kubernetes is the material, and what was built"
		}
	case "konflux-31a99a3f6c":
		switch difference {
		case "repository is , want example.com/example-1.2.3.tar.gz",
			"commit (sha256) is , want 0bf474896363505e5ea5e5d6ace8ebfb13a760a409b1fb467d428fc716f9f284":
			return "the source is a tarball, which is no repository, and its digest no commit"
		}
	}
	return ""
}

// TestCorpusAzure: the pipelines that build kubectl for Azure are defined in one repository and build another.
func TestCorpusAzure(t *testing.T) {
	dir := corpusDir(t)
	read := 0
	for _, r := range factRecords(t, dir) {
		if !strings.Contains(r.Repository, "AzureContainerUpstream@") {
			continue
		}
		s, ok := statementOf(t, dir, r.record, r.fact)
		if !ok {
			t.Fatalf("%s: no statement", r.ID)
		}
		d, err := ReadUnsigned("sha256:00", s)
		if err != nil {
			t.Fatal(err)
		}
		p := d.Provenance
		want := "dev.azure.com" + strings.TrimPrefix(r.Repository, "https://AzureContainerUpstream@dev.azure.com") + "@" + r.Digest["sha256"]
		if p.Known != "Azure Pipelines" || p.Value(stemma.FieldDefinition) != want || p.Value(stemma.FieldRun) == "" || len(p.Parameters) != 1 {
			t.Errorf("%s: %s, definition %q, want %q; %q", r.ID, p.Known, p.Value(stemma.FieldDefinition), want, lines(p))
		}
		read++
	}
	if read != 4 {
		t.Errorf("%d records, want 4", read)
	}
}

// statementOf finds the statement that a fact is about in its record.
func statementOf(t *testing.T, dir string, r record, f fact) (stemma.Statement, bool) {
	t.Helper()
	var all []stemma.Statement
	if strings.Contains(r.Path, "#") || strings.HasSuffix(r.Path, ".jsonl") {
		s, _ := r.open(t, dir)
		all = append(all, s)
	} else {
		all = statements(t, dir, r.Path)
	}
	for _, s := range all {
		if s.PredicateType == f.PredicateType && len(subjectDifferences(s, f)) == 0 {
			return s, true
		}
	}
	return stemma.Statement{}, false
}

func none(s string) string {
	if s == "None" {
		return ""
	}
	return s
}

// subjectDifferences compares the subjects. The facts list one line for each digest, the first eight at most.
func subjectDifferences(s stemma.Statement, f fact) []string {
	var out []string
	for _, want := range f.Subjects {
		found := slices.ContainsFunc(s.Subject, func(got stemma.ResourceDescriptor) bool {
			// The scripts cut names after 160 bytes.
			name := none(want.Name)
			return (got.Name == name || len(name) == 160 && strings.HasPrefix(got.Name, name)) && got.Digest[want.Algorithm] == want.Digest
		})
		if !found {
			out = append(out, "no subject "+want.Name+" "+want.Algorithm+":"+want.Digest)
		}
	}
	if len(s.Subject) != f.SubjectCount {
		out = append(out, "number of subjects")
	}
	return out
}

// differences compares claims and inputs with a fact.
func differences(s stemma.Statement, p *stemma.Provenance, f fact) []string {
	out := subjectDifferences(s, f)
	check := func(what, got, want string) {
		if got != want {
			out = append(out, what+" is "+got+", want "+want)
		}
	}
	check("buildType", p.BuildType, none(f.BuildType))
	if p.Format != formatWitness { // the scripts did not look for it there
		check("builder", p.Value(stemma.FieldBuilder), none(f.Builder))
	}
	for _, kind := range f.Witness {
		if name := attestorName(kind); !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.HasPrefix(n, "step ") && strings.Contains(n, name) }) {
			out = append(out, "no attestation "+kind)
		}
	}
	if want := none(f.Repository); want != "" {
		check("repository", p.Value(stemma.FieldRepository), plainRepository(want))
	}
	if want := none(f.Ref); want != "" {
		check("ref", p.Value(stemma.FieldRef), want)
	}
	for _, alg := range slices.Sorted(maps.Keys(f.Digest)) {
		check("commit ("+alg+")", p.Value(stemma.FieldCommit), f.Digest[alg])
	}
	if want := none(f.Workflow); want != "" {
		check("entryPoint", p.Value(stemma.FieldEntryPoint), want)
	}
	if f.MaterialCount == nil {
		return out
	}
	var declared []stemma.Input
	for _, in := range p.Inputs {
		if !in.Undeclared {
			declared = append(declared, in)
		}
	}
	if len(declared) != *f.MaterialCount {
		return append(out, "number of materials")
	}
	for i, want := range f.Materials {
		if got := declared[i]; got.URI != none(want.URI) || !maps.Equal(got.Digest, want.Digest) {
			in, _ := json.Marshal(got.ResourceDescriptor)
			wanted, _ := json.Marshal(want)
			out = append(out, "material is "+string(in)+", want "+string(wanted))
		}
	}
	return out
}

// TestCorpusBuildTypes: every build type of the corpus has a reader, but for these.
func TestCorpusBuildTypes(t *testing.T) {
	dir := corpusDir(t)
	unknown := map[string]string{
		"":                             "left out, which Azure Pipelines and a generator for Jenkins do",
		"https://example.com/Makefile": "an example of the specification",
		"https://github.com/sigstore-conformance/rekor2-dsse-hashedrekord-regen":   "invented for a test of a log",
		"https://github.com/sigstore-conformance/rekor2-dsse-hashedrekord-regen-B": "invented for a test of a log",
	}
	seen := map[string]bool{}
	for _, r := range factRecords(t, dir) {
		s, ok := statementOf(t, dir, r.record, r.fact)
		if !ok {
			continue // TestCorpusEveryFact
		}
		d, err := ReadUnsigned("sha256:00", s)
		if err != nil {
			t.Errorf("%s: %v", r.ID, err)
			continue
		}
		p := d.Provenance
		_, listed := unknown[p.BuildType]
		if p.Known == "" && !listed {
			t.Errorf("%s: build type %q has no reader and is not listed", r.ID, p.BuildType)
		}
		if p.Known != "" && listed && p.BuildType != "" {
			t.Errorf("%s: build type %q is listed and has the reader %s", r.ID, p.BuildType, p.Known)
		}
		seen[p.BuildType] = true
	}
	for kind := range unknown {
		if !seen[kind] {
			t.Errorf("build type %q is listed and nowhere in the corpus", kind)
		}
	}
	t.Logf("%d build types", len(seen))
}
