package oci

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

// corpus is the directory of real evidence, which is not part of the repository.
func corpus(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("STEMMA_CORPUS")
	if dir == "" {
		at, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for filepath.Dir(at) != at {
			if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
				dir = filepath.Join(at, "..", "shared", "corpus")
				break
			}
			at = filepath.Dir(at)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "index.jsonl")); err != nil {
		if os.Getenv("STEMMA_REQUIRE_CORPUS") == "1" {
			t.Fatalf("corpus required: %v", err)
		}
		t.Skip("corpus not found; set STEMMA_CORPUS")
	}
	return dir
}

// record is what the corpus says of one layout.
type record struct {
	Family, Path, Format string
	Images               []struct {
		Manifest string
		Platform struct{ OS, Architecture string }
	}
	Attestations []struct {
		Manifest string
		Of       string
		Layers   [][]*string
	}
	MissingDescriptors int `json:"missing_descriptors"`
}

func records(t testing.TB, dir string) []record {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "index.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var all []record
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var head struct{ Format string }
		if err := json.Unmarshal(lines.Bytes(), &head); err != nil {
			t.Fatal(err)
		}
		if head.Format != "oci-layout" {
			continue
		}
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func open(t testing.TB, s string) (*Found, error) {
	t.Helper()
	ref, err := ParseReference(s)
	if err != nil {
		return nil, err
	}
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Open(t.Context(), Look{Ref: ref})
}

// each visits a Found and all below it.
func (f *Found) each(visit func(*Found)) {
	visit(f)
	for _, c := range f.Children {
		c.each(visit)
	}
}

// TestCorpusLayouts compares every layout of the corpus with what independent scripts read in it: the same images and
// platforms, and evidence exactly where the record has it.
func TestCorpusLayouts(t *testing.T) {
	dir := corpus(t)
	opened := 0
	for _, r := range records(t, dir) {
		t.Run(r.Family+"/"+filepath.Base(filepath.Dir(r.Path))+"/"+filepath.Base(r.Path), func(t *testing.T) {
			at := "oci:" + filepath.Join(dir, r.Path)
			var tops []*Found
			top, err := open(t, at)
			var e *Error
			switch {
			case err == nil:
				tops = append(tops, top)
			case errors.As(err, &e) && e.Kind == Invalid && strings.Contains(e.Hint, at+"@sha256:"):
				for _, word := range strings.FieldsFunc(e.Hint, func(r rune) bool { return r == ' ' || r == ',' }) {
					if !strings.HasPrefix(word, at+"@") {
						continue
					}
					chosen, err := open(t, strings.TrimSuffix(word, "."))
					if err != nil {
						t.Fatalf("the hint says to type %s: %v", word, err)
					}
					tops = append(tops, chosen)
				}
			default:
				t.Fatal(err)
			}
			opened++
			compareWithRecord(t, r, tops)
		})
	}
	if opened < 20 {
		t.Errorf("only %d layouts were opened", opened)
	}
}

func compareWithRecord(t *testing.T, r record, tops []*Found) {
	platforms := map[stemma.Digest]string{}
	evidence := map[string]bool{} // digests of the bytes
	unavailable := 0
	for _, top := range tops {
		top.each(func(f *Found) {
			if !f.Image.Digest.Matches(f.Manifest) {
				t.Errorf("%s: the manifest is not what its digest says", f.Image.Digest)
			}
			platforms[f.Image.Digest] = f.Platform.String()
			unavailable += len(f.Unavailable)
			for _, raw := range f.Raw {
				if raw.Of != f.Image.Digest {
					t.Errorf("evidence of %s is filed under %s", raw.Of, f.Image.Digest)
				}
				evidence[string(stemma.SHA256(raw.Data))] = true
			}
		})
	}
	// One layout of go-containerregistry lists a Docker manifest under OCI's media type: which of the two it is cannot be
	// said, so it is not looked at (F04), and that is reported beside each of its two indexes and as a possible referrer.
	if strings.HasSuffix(r.Path, "/test_index") {
		unavailable -= 4
	}
	if unavailable != r.MissingDescriptors {
		t.Errorf("%d places unavailable, the record misses %d descriptors", unavailable, r.MissingDescriptors)
	}
	for _, image := range r.Images {
		got, ok := platforms[stemma.Digest(image.Manifest)]
		if want := image.Platform.OS + "/" + image.Platform.Architecture; got != want && ok {
			t.Errorf("%s is for %q, the record has %q", image.Manifest, got, want)
		}
		if !ok && !strings.HasSuffix(r.Path, "/test_index") {
			t.Errorf("image %s was not found", image.Manifest)
		}
	}
	for _, a := range r.Attestations {
		for _, l := range a.Layers {
			_, known := formatOf(*l[0])
			if evidence[*l[1]] != known {
				t.Errorf("layer %s of type %s: found %v, want %v", *l[1], *l[0], evidence[*l[1]], known)
			}
			delete(evidence, *l[1])
		}
	}
	for d := range evidence {
		t.Errorf("evidence %s is not in the record", d)
	}
}

// TestCorpusSavedByCosign states the five images of slsa-github-generator in full.
func TestCorpusSavedByCosign(t *testing.T) {
	dir := corpus(t)
	type piece struct {
		Of        string
		Format    stemma.Format
		Place     string
		Sealed    bool
		Annotated bool
	}
	for version, want := range map[string]struct {
		root     string
		children int
		pieces   []piece
	}{
		"v1.4.0": {"sha256:a74d89d8dd86…", 0, []piece{{"sha256:a74d89d8dd86…", stemma.FormatDSSE, ".att tag", false, true}}},
		"v1.6.0": {"sha256:0159a9079cf2…", 2, []piece{{"sha256:0159a9079cf2…", stemma.FormatDSSE, ".att tag", false, true}, {"sha256:7cd9684be65e…", stemma.FormatStatement, "index children", true, false}}},
		"v1.7.0": {"sha256:ca6221e2d0de…", 2, []piece{{"sha256:ca6221e2d0de…", stemma.FormatDSSE, ".att tag", false, true}, {"sha256:664e0d6fa6c0…", stemma.FormatStatement, "index children", true, false}}},
		"v1.9.0": {"sha256:5b1460842011…", 2, []piece{{"sha256:5b1460842011…", stemma.FormatDSSE, ".att tag", false, true}, {"sha256:7606c85a2e0b…", stemma.FormatStatement, "index children", true, false}}},
		"v2.0.0": {"sha256:55aee984fd6b…", 2, []piece{{"sha256:55aee984fd6b…", stemma.FormatDSSE, ".att tag", false, true}, {"sha256:5fa774f16f1c…", stemma.FormatStatement, "index children", true, false}}},
	} {
		at := filepath.Join(dir, "data/slsa-verifier/cli/slsa-verifier/testdata/gha_generic_container", version, "container_workflow_dispatch")
		f, err := open(t, "oci:"+at)
		if err != nil {
			t.Errorf("%s: %v", version, err)
			continue
		}
		var got []piece
		f.each(func(f *Found) {
			for _, r := range f.Raw {
				got = append(got, piece{r.Of.Short(), r.Format, r.Place, r.Sealed, len(r.Annotations) > 0})
			}
			if len(f.Unavailable)+len(f.Rejected) > 0 {
				t.Errorf("%s: %v %v", version, f.Unavailable, f.Rejected)
			}
		})
		if f.Image.Digest.Short() != want.root || len(f.Children) != want.children || f.Image.Repository != "" {
			t.Errorf("%s: opened %+v with %d children", version, f.Image, len(f.Children))
		}
		if diff := cmp.Diff(want.pieces, got); diff != "" {
			t.Errorf("%s: %s", version, diff)
		}
		if want.children == 2 && (f.Children[0].AttestationManifest || !f.Children[1].AttestationManifest || f.Children[0].Platform.String() != "linux/amd64") {
			t.Errorf("%s: children are %+v, %+v", version, f.Children[0].Platform, f.Children[1].Platform)
		}
		// The platform by its own digest: what cosign saved is about the index, which lists it, and stays filed there.
		if want.children == 2 {
			child, err := open(t, "oci:"+at+"@"+string(f.Children[0].Image.Digest))
			if err != nil || len(child.Indexes) != 1 || len(child.Raw) != 1 || child.Raw[0].Format != stemma.FormatStatement || child.Raw[0].Sealed || len(child.Attached) != 1 {
				t.Fatalf("%s: by the digest of the platform: %+v, %v", version, child.Places, err)
			}
			index := child.Indexes[0]
			if index.Image.Digest != f.Image.Digest || len(index.Children) != 0 || len(index.Raw) != 1 || index.Raw[0].Format != stemma.FormatDSSE || index.Raw[0].Of != f.Image.Digest {
				t.Errorf("%s: the index is %+v %+v", version, index.Image, index.Places)
			}
		}
		var e *Error
		if _, err := open(t, "oci:"+at+"@"+digA); !errors.As(err, &e) || e.Kind != NotFound || !strings.Contains(e.Hint, string(f.Image.Digest)) {
			t.Errorf("%s: by a digest that is not there: %v", version, err)
		}
	}
}
