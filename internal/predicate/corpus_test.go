package predicate

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stemma"
)

// corpusDir finds the corpus of real evidence, or skips.
func corpusDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("STEMMA_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	if _, err := os.Stat(filepath.Join(dir, "index.jsonl")); err != nil {
		if os.Getenv("STEMMA_REQUIRE_CORPUS") == "1" {
			t.Fatal("corpus not found; set STEMMA_CORPUS")
		}
		t.Skip("corpus not found; set STEMMA_CORPUS")
	}
	return dir
}

type record struct {
	ID     string            `json:"id"`
	Family string            `json:"family"`
	Path   string            `json:"path"`
	Claims map[string]string `json:"fulcio_claims"`
	Facts  json.RawMessage   `json:"facts"`
}

type facts struct {
	PredicateType string            `json:"predicateType"`
	BuildType     string            `json:"buildType"`
	Builder       string            `json:"builder_id"`
	Repository    string            `json:"source_repo"`
	Ref           string            `json:"source_ref"`
	Digest        map[string]string `json:"source_digest"`
	Path          string            `json:"workflow_path"`
	Materials     int               `json:"n_materials"`
}

// entry is a record with the facts about it.
type entry struct {
	record
	want facts
}

// provenanceRecords lists the records that hold SLSA provenance of a version that is read.
func provenanceRecords(t testing.TB, dir string) map[string]entry {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "index.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]entry{}
	for line := range bytes.Lines(data) {
		var r record
		var f facts
		if json.Unmarshal(line, &r) != nil || json.Unmarshal(r.Facts, &f) != nil {
			continue // other kinds of facts
		}
		if f.PredicateType == stemma.PredicateSLSAv1 || f.PredicateType == stemma.PredicateSLSAv02 {
			out[r.ID] = entry{r, f}
		}
	}
	return out
}

// envelope is what bundles, DSSE envelopes and bare statements have of each other.
type envelope struct {
	Payload    string `json:"payload"`
	Signatures []struct {
		Cert string `json:"cert"`
	} `json:"signatures"`
	DSSE     *envelope `json:"dsseEnvelope"`
	Material struct {
		Certificate struct {
			Raw []byte `json:"rawBytes"`
		} `json:"certificate"`
		Chain struct {
			Certificates []struct {
				Raw []byte `json:"rawBytes"`
			} `json:"certificates"`
		} `json:"x509CertificateChain"`
	} `json:"verificationMaterial"`
}

// open decodes a record without verifying it: its statement, and the certificate beside it, if any.
func (r record) open(t testing.TB, dir string) (stemma.Statement, *x509.Certificate) {
	t.Helper()
	path, line, lines := strings.Cut(r.Path, "#")
	data, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	var doc json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(data))
	for n := 0; ; n++ {
		if err := dec.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		var want int
		if lines && json.Unmarshal([]byte(line), &want) != nil {
			t.Fatalf("path %q", r.Path)
		}
		if n == want {
			break
		}
	}
	var e envelope
	if err := json.Unmarshal(doc, &e); err != nil {
		t.Fatal(err)
	}
	der := e.Material.Certificate.Raw
	if c := e.Material.Chain.Certificates; len(c) > 0 {
		der = c[0].Raw
	}
	if e.DSSE != nil {
		e = *e.DSSE
	}
	if len(e.Signatures) > 0 && e.Signatures[0].Cert != "" {
		if block, _ := pem.Decode([]byte(e.Signatures[0].Cert)); block != nil {
			der = block.Bytes
		}
	}
	payload := []byte(doc)
	if e.Payload != "" {
		if payload, err = base64.StdEncoding.DecodeString(e.Payload); err != nil {
			t.Fatal(err)
		}
	}
	// The subjects of some test statements are not those of a valid one; the predicate is what is looked at here.
	var s stemma.Statement
	if err := json.Unmarshal(payload, &s); err != nil {
		t.Fatal(err)
	}
	var cert *x509.Certificate
	if der != nil {
		if cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	return s, cert
}

// identity reads the extensions of a Fulcio certificate.
func identity(t *testing.T, cert *x509.Certificate) stemma.Identity {
	t.Helper()
	names := map[int]string{
		2: stemma.ClaimGitHubTrigger, 3: stemma.ClaimGitHubSHA, 4: stemma.ClaimGitHubName, 5: stemma.ClaimGitHubRepository,
		6: stemma.ClaimGitHubRef, 9: stemma.ClaimBuildSignerURI, 10: stemma.ClaimBuildSignerDigest, 11: stemma.ClaimRunnerEnvironment,
		12: stemma.ClaimSourceRepositoryURI, 13: stemma.ClaimSourceRepositoryHash, 14: stemma.ClaimSourceRepositoryRef,
		15: stemma.ClaimSourceRepositoryID, 16: stemma.ClaimSourceOwnerURI, 17: stemma.ClaimSourceOwnerID,
		18: stemma.ClaimBuildConfigURI, 19: stemma.ClaimBuildConfigDigest, 20: stemma.ClaimBuildTrigger, 21: stemma.ClaimRunInvocationURI,
	}
	id := stemma.Identity{Trust: "test", Claims: map[string]string{}}
	for _, e := range cert.Extensions {
		if len(e.Id) != 9 || !e.Id[:8].Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}) {
			continue
		}
		value := string(e.Value)
		if n := e.Id[8]; n >= 8 {
			if _, err := asn1.UnmarshalWithParams(e.Value, &value, "utf8"); err != nil {
				t.Fatal(err)
			}
		}
		switch n := e.Id[8]; {
		case n == 1 || n == 8:
			id.Issuer = value
		case names[n] != "":
			id.Claims[names[n]] = value
		}
	}
	for _, u := range cert.URIs {
		id.Subject = u.String()
	}
	for _, m := range cert.EmailAddresses {
		id.Subject = m
	}
	return id
}

// TestCorpusFacts reads every SLSA provenance of the corpus, of whatever builder, and compares with what independent
// scripts found in it.
func TestCorpusFacts(t *testing.T) {
	dir := corpusDir(t)
	count := map[string]int{}
	// What is rightly not a claim, with the reason.
	noRepository := map[string]string{
		"konflux-31a99a3f6c": "configSource is a tarball",
	}
	for id, r := range provenanceRecords(t, dir) {
		s, _ := r.open(t, dir)
		if s.PredicateType != r.want.PredicateType {
			t.Errorf("%s: predicate type %q", id, s.PredicateType)
			continue
		}
		d, err := ReadUnsigned("sha256:00", s)
		if err != nil {
			t.Errorf("%s (%s): %v", id, r.Path, err)
			continue
		}
		p := d.Provenance
		count[r.Family+" "+p.Format+" "+p.Known]++
		wantRepository := plainRepository(r.want.Repository)
		if why := noRepository[id]; why != "" || strings.Contains(r.want.Repository, "AzureContainerUpstream@") {
			// Azure writes its organisation as the user of the URL. The kubernetes repository is the only one among the materials.
			wantRepository = ""
			if why == "" {
				wantRepository = "github.com/kubernetes/kubernetes"
			}
		}
		check := func(f stemma.Field, want string) {
			if want == "" {
				return
			}
			if got := p.Value(f); got != want {
				t.Errorf("%s (%s): %s is %q, want %q; notes %q", id, r.Path, f, got, want, p.Notes)
			}
		}
		if r.want.BuildType != p.BuildType {
			t.Errorf("%s: build type %q, want %q", id, p.BuildType, r.want.BuildType)
		}
		check(stemma.FieldBuilder, r.want.Builder)
		check(stemma.FieldRepository, wantRepository)
		check(stemma.FieldRef, r.want.Ref)
		for alg, value := range r.want.Digest {
			if alg == "sha1" || alg == "gitCommit" {
				check(stemma.FieldCommit, value)
			}
		}
		check(stemma.FieldEntryPoint, r.want.Path)
		declared := len(p.Inputs)
		for _, in := range p.Inputs {
			if in.Undeclared {
				declared--
			}
		}
		if declared != r.want.Materials {
			t.Errorf("%s: %d dependencies, want %d", id, declared, r.want.Materials)
		}
		for f, c := range p.Claims {
			for _, said := range append([]stemma.Said{c.Said}, c.Others...) {
				if said.By != stemma.SaidByNobody {
					t.Errorf("%s: %s is said by %s, and nobody signed", id, f, said.By)
				}
			}
		}
		if bytes.Contains(p.External, []byte("event_payload")) {
			t.Errorf("%s: the event payload is among the parameters", id)
		}
	}
	report(t, count)
}

// plainRepository is the name of a repository by another way than CanonicalRepository.
func plainRepository(s string) string {
	if m := regexp.MustCompile(`'uri': '([^']+)'`).FindStringSubmatch(s); m != nil {
		s = m[1]
	}
	if s == "" {
		return ""
	}
	s = regexp.MustCompile(`^(git\+)?(https|git)://`).ReplaceAllString(s, "")
	s = regexp.MustCompile(`[@#].*$`).ReplaceAllString(s, "")
	return strings.ToLower(strings.TrimSuffix(s, ".git"))
}

// TestCorpusGrades reads every SLSA provenance of the corpus that has its certificate beside it. No genuine one
// contradicts its certificate; the others are listed with the reason.
func TestCorpusGrades(t *testing.T) {
	dir := corpusDir(t)
	count := map[string]int{}
	for id, r := range provenanceRecords(t, dir) {
		s, cert := r.open(t, dir)
		if cert == nil {
			continue
		}
		signer := identity(t, cert)
		for name, want := range r.Claims {
			if got := signer.Claims[name]; got != want && name != "issuer" && name != "subjectAlternativeName" {
				t.Errorf("%s: certificate claim %s is %q, want %q", id, name, got, want)
			}
		}
		d, err := Read(stemma.Attestation{Bundle: "sha256:00", Statement: s, Signer: signer})
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		p := d.Provenance
		var got []string
		for f, c := range p.Claims {
			if other := c.Contradicted(); other != nil {
				got = append(got, string(f))
			}
			if want := signer.Claims[certificateName(f)]; want != "" && c.By != stemma.SaidByCertificate {
				t.Errorf("%s: %s is said by %s, though the certificate says it", id, f, c.By)
			}
		}
		slices.Sort(got)
		count[r.Family+" "+p.Format+" "+p.Known]++
		if want := contradicted(r.Path); !slices.Equal(got, want) {
			t.Errorf("%s (%s): contradictions %q, want %q", id, r.Path, got, want)
		}
	}
	report(t, count)
}

// contradicted lists what contradicts its certificate. None of it is the genuine provenance of a build: each was looked at.
func contradicted(path string) []string {
	switch {
	case strings.HasSuffix(path, "bcr/MODULE-wrong-signer.bazel.intoto.jsonl"):
		// The provenance of bazel's rules_lint, signed by a workflow that is named malicious_attestation.yaml.
		return []string{"builder", "commit", "entryPoint", "ownerID", "ref", "repository", "repositoryID", "run"}
	case strings.Contains(path, "bundle-verify/dsse-invalid-sig_fail/"), strings.Contains(path, "bundle-verify/happy-path-intoto-in-dsse-v3/"):
		// A statement of loosebazooka/aa-test that the conformance suite lets its beacon sign; the event is the same.
		return []string{"builder", "commit", "entryPoint", "ownerID", "repository", "repositoryID", "run"}
	case strings.Contains(path, "rekor2-dsse-"), strings.HasSuffix(path, "a.dsse.staging-rekor-v2.txt.sigstore.json"),
		strings.Contains(path, "bundles/bundle.dsse.rekor-v2.mismatched-"):
		// A predicate of two members, which the conformance suite invented and lets its beacon sign: its builder.id is the
		// name of the script.
		return []string{"builder"}
	}
	return nil
}

func certificateName(f stemma.Field) string {
	return map[stemma.Field]string{
		stemma.FieldRepository: stemma.ClaimSourceRepositoryURI, stemma.FieldCommit: stemma.ClaimSourceRepositoryHash,
		stemma.FieldRef: stemma.ClaimSourceRepositoryRef, stemma.FieldTrigger: stemma.ClaimBuildTrigger,
		stemma.FieldRunner: stemma.ClaimRunnerEnvironment, stemma.FieldRun: stemma.ClaimRunInvocationURI,
		stemma.FieldEntryPoint: stemma.ClaimBuildConfigURI, stemma.FieldBuilder: stemma.ClaimBuildSignerURI,
		stemma.FieldRepositoryID: stemma.ClaimSourceRepositoryID, stemma.FieldOwnerID: stemma.ClaimSourceOwnerID, stemma.FieldWorkflowCommit: stemma.ClaimBuildSignerDigest,
	}[f]
}

func report(t *testing.T, count map[string]int) {
	t.Helper()
	var lines []string
	total := 0
	for k := range count {
		lines = append(lines, k)
		total += count[k]
	}
	slices.Sort(lines)
	for _, k := range lines {
		t.Logf("%4d %s", count[k], k)
	}
	t.Logf("%4d in all", total)
	if total == 0 {
		t.Error("nothing was read")
	}
}
