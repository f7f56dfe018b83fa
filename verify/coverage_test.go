package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stemma"
	"stemma/internal/oci"
	"stemma/internal/predicate"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

var update = flag.Bool("update", false, "write what is generated")

// asked is a builder with a world in which its images are judged.
type asked struct {
	*stage
	b     stemmatest.Builder
	key   *stemmatest.Signer
	image int
}

// policyOf is a policy under which the builder is accepted: by its identity, or by its key for its builder id.
func (a *asked) policyOf(credit, level int) string {
	// What nobody signed is not what this workflow signed, which puts its name under the same statements.
	identity, trust := "github: {workflow: docker/github-builder/.github/workflows/build.yml, workflowRefs: [refs/tags/v1.0.0]}", ""
	switch b := a.b; {
	case b.Key:
		trust = "  trust:\n    - name: ci\n      requires: {log: none, timestamp: none, sct: none}\n      time: none\n      keys: [{name: k, pem: \"" +
			strings.ReplaceAll(string(a.key.PublicKeyPEM()), "\n", `\n`) + "\"}]\n"
		identity = fmt.Sprintf("trust: ci\n      keys: [k]\n      id: %q", b.ID)
	case b.As != nil:
		c := b.As.Certificate()
		subject := slices.Concat(c.URIs, c.Emails)[0]
		if w, ok := stemma.ParseWorkflow(subject); ok && strings.HasPrefix(subject, "https://github.com/") {
			identity = fmt.Sprintf("github: {issuer: %q, workflow: %q, workflowRefs: [%q]}", c.Extensions[8], w.Path, w.Ref)
		} else {
			identity = fmt.Sprintf("oidc: {issuer: %q, subject: %q}", c.Extensions[8], subject)
		}
		if b.ID != "" {
			identity += fmt.Sprintf("\n      id: %q", b.ID)
		}
	}
	want := ""
	if level > 0 {
		want = fmt.Sprintf(", level: %d", level)
	}
	platforms := "index"
	if a.b.InImage {
		platforms = "all"
	}
	return "apiVersion: policy.stemma.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: set}\nspec:\n  platforms: " + platforms + "\n" + trust + `---
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: services}
spec:
  match: {images: ["ghcr.io/acme/app"]}
  builders:
    builder:
      ` + identity + fmt.Sprintf("\n      level: %d\n  provenance: {by: [builder]%s}\n", credit, want)
}

// put makes an image with what the builder leaves, altered or not, and asks for it.
func (a *asked) put(alter func(*stemmatest.Statement)) {
	a.Helper()
	a.stage.image = nil
	a.image++
	tag := fmt.Sprintf("v%d", a.image)
	state := func(subject stemma.ResourceDescriptor) *stemmatest.Statement {
		st := a.b.Statement(subject)
		if alter != nil {
			alter(st)
		}
		return st
	}
	a.request.Image = "ghcr.io/acme/app:" + tag
	if a.b.InImage {
		spec := stemmatest.ImageSpec{
			Repository: stemmatest.Repository, Tags: []string{tag}, Content: tag, Subject: true, Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}},
			Attest: func(_ stemma.Platform, manifest stemma.Digest) []*stemmatest.Statement {
				return []*stemmatest.Statement{state(stemmatest.Subject("_", manifest))}
			},
		}
		image := must[*stemmatest.Image](a)(a.Registry.PutImage(spec))
		if a.b.As != nil {
			must[*stemmatest.Signed](a)(a.SignManifest(image, image.Attestation(spec.Platforms[0]), a.b.As))
		}
		return
	}
	image := must[*stemmatest.Image](a)(a.PutImage(tag))
	sign := stemmatest.Sign{As: a.b.As}
	if a.b.Key {
		sign = bare(a.key)
	}
	a.Attach(image, must[*stemmatest.Signed](a)(a.Sigstore.Attest(sign, state(a.Subject(image)).JSON())))
}

// judge judges the image that was put under the policy that credits the builder so and requires that level.
func (a *asked) judge(credit, level int) *verify.Result {
	a.Helper()
	a.policy = a.policyOf(credit, level)
	r, err := a.run()
	if err != nil {
		a.Fatalf("%v\n%s", err, a.policy)
	}
	return r
}

// found is the only provenance of the evidence, with its attestation if somebody signed it.
func found(e *stemma.Evidence) (*stemma.Attestation, *stemma.Provenance) {
	for _, n := range append([]*stemma.Evidence{e}, e.Platforms...) {
		for i, p := range n.Provenance {
			for j, a := range n.Attestations {
				if a.Bundle == p.Bundle {
					return &n.Attestations[j], &n.Provenance[i]
				}
			}
		}
		for _, u := range n.Unsigned {
			if u.Provenance != nil {
				return nil, u.Provenance
			}
		}
	}
	return nil, nil
}

// places are where in the statement a field is said besides the certificate.
func places(c stemma.Claim) []string {
	var out []string
	for _, s := range c.Others {
		if strings.HasPrefix(s.Where, "/") && !slices.Contains(out, s.Where) {
			out = append(out, s.Where)
		}
	}
	return out
}

// another is another value of a field than the one that stands in the statement, of the same form.
func another(f stemma.Field, v string) string {
	of := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(v) }
	switch f {
	case stemma.FieldRepository:
		return of("acme/app", "evil/app")
	case stemma.FieldRef:
		return of("v2.0.0", "v6.6.6", "main", "evil")
	case stemma.FieldCommit:
		if i := strings.LastIndexAny(v, "#@"); i >= 0 {
			return v[:i+1] + stemmatest.Commit("evil")
		}
		return stemmatest.Commit("evil")
	case stemma.FieldEntryPoint:
		return of("release.yml", "evil.yml")
	case stemma.FieldRepositoryID, stemma.FieldOwnerID:
		return "666"
	case stemma.FieldRunner:
		return "self-hosted"
	case stemma.FieldTrigger:
		return "pull_request_target"
	case stemma.FieldRun:
		return of("15920000001", "15920000666", "8415754949", "8415754666", "0190-job", "0190-evil", "/job/j1", "/job/evil", "65e6bcf7c2af1f228fa97f80", "65e6bcf7c2af1f228fa97666", "67aa", "6666")
	}
	return v + "-evil"
}

// lie says something else at a place of a statement.
func lie(t *testing.T, st *stemmatest.Statement, f stemma.Field, place string) {
	t.Helper()
	j := must[*stemma.JSON](t)(stemma.ParseJSON(must[[]byte](t)(json.Marshal(st.Predicate))))
	steps := strings.Split(place[1:], "/")
	for i := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(steps[i])
	}
	at := j.At(steps...)
	value := another(f, at.Scalar())
	if at == nil || value == at.Scalar() {
		t.Fatalf("%s at %s cannot be made another than %q", f, place, at.Scalar())
	}
	if raw := at.Raw(); raw[0] != '"' {
		n, err := strconv.ParseInt(value, 10, 64)
		check(t, err)
		st.Set(place, n)
		return
	}
	st.Set(place, value)
}

// contradicted reports whether the decision refuses because of what is said of the field, and tells both values.
func contradicted(d *stemma.Decision, f stemma.Field, certified string) bool {
	if d.Verdict != stemma.Deny || d.Effect == stemma.Admit {
		return false
	}
	for _, n := range d.Findings {
		if n.Rule == "provenance.consistent" && n.Outcome == stemma.Fail && n.Reason == stemma.ReasonContradiction {
			got, want := string(f)+" ", string(f)+" "+certified+" (certificate "
			return strings.HasPrefix(n.Want, want) && strings.HasPrefix(n.Got, got) && !strings.HasPrefix(n.Got, got+certified+" (")
		}
	}
	return false
}

// coverage is what was found out about a builder.
type coverage struct {
	name, read, corpus, certified, crossed, level string
}

// crossCheck changes, for each field that certificate and statement both say, what the statement says: at every place,
// and at all of them together.
func (a *asked) crossCheck(t *testing.T, p *stemma.Provenance) (both, caught []stemma.Field) {
	t.Helper()
	for _, f := range stemma.Fields() {
		c := p.Claims[f]
		where := places(c)
		if c.By != stemma.SaidByCertificate || len(where) == 0 {
			continue
		}
		both = append(both, f)
		ways := [][]string{where}
		if len(where) > 1 {
			for _, w := range where {
				ways = append(ways, []string{w})
			}
		}
		denied := true
		for _, at := range ways {
			a.put(func(st *stemmatest.Statement) {
				for _, w := range at {
					lie(t, st, f, w)
				}
			})
			result := a.judge(2, 0)
			if d := result.Decision; !contradicted(d, f, c.Value) && !a.anotherInput(f, at, where, result.Evidence) {
				denied = false
				t.Errorf("%s is said otherwise at %v: %s\n%s", f, at, d.Verdict, findings(d))
			}
		}
		if denied {
			caught = append(caught, f)
		}
	}
	return both, caught
}

// cover finds out what there is to say of a builder, and holds it to what is expected.
func cover(t *testing.T, b stemmatest.Builder) coverage {
	t.Helper()
	r := coverage{name: b.Name, read: "yes", corpus: "–", certified: "nobody", crossed: "–", level: "–"}
	if b.Labels != nil {
		return coverLabels(t, b, r)
	}
	a := &asked{stage: newStage(t), b: b}
	a.key = a.stage.key(stemmatest.ECDSAP256, "k")
	a.put(nil)
	result := a.judge(2, 0)
	at, p := found(result.Evidence)
	if p == nil && b.InImage {
		// What nobody signed can meet no policy and is left alone; who looks at the image sees it.
		at, p = found(must[*stemma.Evidence](t)(must[*verify.Verifier](t)(a.verifier()).Collect(t.Context(), a.request)))
	}
	if p == nil {
		all := result.Evidence.Attestations
		if len(all) != 1 || all[0].Statement.PredicateType != stemmatest.InternalPredicateType || result.Decision.Verdict != stemma.Deny {
			t.Fatalf("%s: no provenance\n%s%s", result.Decision.Verdict, findings(result.Decision), refusals(result.Evidence))
		}
		r.read, r.certified = "kept; fields by `internal`", "key"
		return r
	}
	if r.read = p.Known; p.Known == "" {
		r.read = "common fields"
	}
	if p.Known != b.Reader {
		t.Errorf("read by %q, want %q", p.Known, b.Reader)
	}
	if at == nil {
		if result.Decision.Verdict == stemma.Allow {
			t.Errorf("allowed, and nobody signed\n%s", findings(result.Decision))
		}
		if b.As != nil || b.Key {
			t.Errorf("nobody signed\n%s", refusals(result.Evidence))
		}
		r.level = unsignedLevel(t, a, p)
		return r
	}
	if d := result.Decision; d.Verdict != stemma.Allow {
		t.Fatalf("%s\n%s%s", d.Verdict, findings(d), refusals(result.Evidence))
	}
	r.level = a.levels(t, at, p)
	if b.Key {
		r.certified = "key"
		return r
	}
	var certified, body []stemma.Field
	for _, f := range stemma.Fields() {
		if p.Claims[f].By == stemma.SaidByCertificate {
			certified = append(certified, f)
		}
		if _, documented := b.Differs[f]; slices.Contains(b.Body, f) && !documented {
			body = append(body, f)
		}
	}
	if want := inOrder(b.Certified); !slices.Equal(certified, want) {
		t.Errorf("the certificate says %v, want %v", certified, want)
	}
	both, caught := a.crossCheck(t, p)
	if !slices.Equal(both, body) {
		t.Errorf("the statement says again %v, want %v", both, body)
	}
	r.certified, r.crossed = fields(certified), fmt.Sprintf("%d of %d", len(caught), len(both))
	if len(certified) == 0 {
		r.certified, r.crossed = "identity only", "–"
	}
	for _, f := range stemma.Fields() {
		if why := b.Differs[f]; why != "" {
			r.crossed += fmt.Sprintf("; not %s: %s", f, why)
		}
	}
	return r
}

// anotherInput reports whether a dependency that was given another name became another dependency: where a parameter
// names the source besides, some readers take for the source what has its name, and list the rest among the inputs.
func (a *asked) anotherInput(f stemma.Field, at, where []string, e *stemma.Evidence) bool {
	if f != stemma.FieldRepository || len(at) != 1 || len(where) == 1 || !strings.Contains(at[0], "/resolvedDependencies/") || a.b.Reader != "GitLab" && a.b.Reader != "" {
		return false
	}
	_, p := found(e)
	return p != nil && slices.ContainsFunc(p.Inputs, func(in stemma.Input) bool {
		return strings.HasSuffix(in.Canonical, "/evil/app") && in.Role != stemma.RoleSource && at[0] == in.Where+"/uri"
	})
}

func inOrder(list []stemma.Field) []stemma.Field {
	var out []stemma.Field
	for _, f := range stemma.Fields() {
		if slices.Contains(list, f) {
			out = append(out, f)
		}
	}
	return out
}

// usual is what certificates of GitHub and GitLab say, and none says more but for a deployment environment.
func usual() []stemma.Field {
	return []stemma.Field{
		stemma.FieldBuilder, stemma.FieldWorkflowCommit, stemma.FieldRepository, stemma.FieldRepositoryID, stemma.FieldOwnerID, stemma.FieldCommit,
		stemma.FieldRef, stemma.FieldEntryPoint, stemma.FieldTrigger, stemma.FieldRunner, stemma.FieldRun,
	}
}

// fields lists fields. The usual ones are listed once, below the table.
func fields(list []stemma.Field) string {
	if slices.Equal(list, usual()) {
		return fmt.Sprintf("all %d", len(list))
	}
	return fmt.Sprintf("%d: %s", len(list), named(list))
}

func named(list []stemma.Field) string {
	names := make([]string, len(list))
	for i, f := range list {
		names[i] = string(f)
	}
	return strings.Join(names, ", ")
}

// levels is the level of the evidence by itself, and the most that a policy can credit the builder with.
func (a *asked) levels(t *testing.T, at *stemma.Attestation, p *stemma.Provenance) string {
	t.Helper()
	assessed := policy.Assess(at, p)
	own, most := assessed.Level, 0
	for level := 1; level <= 3; level++ {
		d := a.judge(level, level).Decision
		i := slices.IndexFunc(d.Findings, func(f stemma.Finding) bool { return f.Rule == "provenance.level" })
		passed := i >= 0 && d.Findings[i].Outcome == stemma.Pass
		if passed != (d.Verdict == stemma.Allow) {
			t.Errorf("level %d: %s\n%s", level, d.Verdict, findings(d))
		}
		if passed {
			most = level
		}
	}
	if own > 2 || most < int(own) || most != int(assessed.Ceiling) {
		t.Errorf("level %d by itself, %d credited, at most %d", own, most, assessed.Ceiling)
	}
	// Whose words the tenant could have written is no builder that keeps its tenants out, whatever a policy says of it.
	if p.Author != stemma.SaidByBuilder && most > 2 {
		t.Errorf("level %d credited, and the statement is the word of the %s", most, p.Author)
	}
	return credited(own, most)
}

func credited(own stemma.Level, most int) string {
	if most > int(own) {
		return fmt.Sprintf("L%d, L%d credited", own, most)
	}
	return fmt.Sprintf("L%d", own)
}

// unsignedLevel holds provenance that nobody signed to what evidence gives by itself, which is never more than level 1, and
// to no Allow whatever a policy credits.
func unsignedLevel(t *testing.T, a *asked, p *stemma.Provenance) string {
	t.Helper()
	own := policy.Assess(nil, p)
	if own.Level > 1 || own.Ceiling > own.Level {
		t.Errorf("level %d of %d, and nobody signed", own.Level, own.Ceiling)
	}
	for level := range 4 {
		if d := a.judge(max(level, 1), level).Decision; d.Verdict == stemma.Allow || d.Level > own.Level {
			t.Errorf("%s at level %d, and nobody signed\n%s", d.Verdict, d.Level, findings(d))
		}
	}
	for f, c := range p.Claims {
		if c.By != stemma.SaidByNobody {
			t.Errorf("%s is said by %s", f, c.By)
		}
	}
	return credited(own.Level, int(own.Ceiling))
}

// coverLabels is about a builder that leaves only annotations or labels.
func coverLabels(t *testing.T, b stemmatest.Builder, r coverage) coverage {
	t.Helper()
	hints := predicate.ReadImage(stemma.SHA256([]byte(b.Name)), nil, b.Labels)
	i := slices.IndexFunc(hints, func(p stemma.Provenance) bool { return p.Known == b.Reader })
	if i < 0 || hints[i].Value(stemma.FieldCommit) == "" || hints[i].Value(stemma.FieldRepository) != "github.com/acme/app" {
		t.Fatalf("%+v", hints)
	}
	for f, c := range hints[i].Claims {
		if c.By != stemma.SaidByNobody {
			t.Errorf("%s is said by %s", f, c.By)
		}
	}
	own := policy.Assess(nil, nil)
	if own.Ceiling != 0 {
		t.Errorf("level %d without provenance", own.Ceiling)
	}
	r.read, r.level = b.Reader+", no provenance", credited(own.Level, int(own.Ceiling))
	return r
}

// inCorpus counts the records of the corpus that each family reads, or returns nil where there is no corpus.
func inCorpus(t *testing.T) map[string]int {
	t.Helper()
	dir := os.Getenv("STEMMA_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
	}
	index, err := os.ReadFile(filepath.Join(dir, "index.jsonl"))
	if err != nil {
		if os.Getenv("STEMMA_REQUIRE_CORPUS") == "1" {
			t.Fatalf("the corpus is required and not there: %v", err)
		}
		t.Log("corpus not found; set STEMMA_CORPUS: its column is not compared")
		return nil
	}
	out := map[string]int{}
	for line := range bytes.Lines(index) {
		var r struct {
			Path string `json:"path"`
		}
		check(t, json.Unmarshal(line, &r))
		path, _, _ := strings.Cut(r.Path, "#")
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.IsDir() {
			continue // an image layout, whose blobs are records of their own
		}
		seen := map[string]bool{}
		raws, _ := oci.ReadEvidenceFile(path, read(t, dir, path))
		for _, raw := range raws {
			if known := family(raw); known != "" && !seen[known] {
				seen[known] = true
				out[known]++
			}
		}
	}
	return out
}

// family is by which reader a piece of evidence is read, without verifying it.
func family(raw stemma.Raw) string {
	payload := raw.Data
	if raw.Format != stemma.FormatStatement {
		j, err := stemma.ParseJSON(raw.Data)
		if err != nil {
			return ""
		}
		if e := j.At("dsseEnvelope"); e != nil {
			j = e
		}
		if payload, err = base64.StdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(j.At("payload").Text())); err != nil {
			return ""
		}
	}
	var s struct {
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}
	if json.Unmarshal(payload, &s) != nil {
		return ""
	}
	d, err := predicate.ReadUnsigned("sha256:00", stemma.Statement{PredicateType: s.PredicateType, Predicate: s.Predicate})
	switch {
	case err != nil || d.Provenance == nil:
		return ""
	case d.Provenance.Known == "":
		return "common fields"
	}
	return d.Provenance.Known
}

// TestCoverage prints what Stemma makes of every builder, and holds README to it.
func TestCoverage(t *testing.T) {
	all := stemmatest.Builders()
	rows := make([]coverage, len(all))
	t.Run("builders", func(t *testing.T) {
		for i, b := range all {
			t.Run(b.Name, func(t *testing.T) {
				t.Parallel()
				rows[i] = cover(t, b)
			})
		}
	})
	if t.Failed() {
		return
	}
	counted := inCorpus(t)
	for i, b := range all {
		rows[i].corpus = strconv.Itoa(counted[rows[i].read])
		if counted == nil || b.Labels != nil || strings.HasPrefix(rows[i].read, "kept") {
			rows[i].corpus = "–"
		}
	}
	table := render(rows)
	t.Log("\n" + table)
	const page, from, to = "../README.md", "<!-- builders -->\n", "<!-- /builders -->"
	text := string(read(t, page))
	before, rest, ok := strings.Cut(text, from)
	old, after, end := strings.Cut(rest, to)
	if !ok || !end {
		t.Fatalf("README has no %s … %s", strings.TrimSpace(from), to)
	}
	if *update && counted != nil {
		check(t, os.WriteFile(page, []byte(before+from+table+to+after), 0o644))
		return
	}
	if counted == nil {
		old, table = dropColumn(old, 3), dropColumn(table, 3)
	}
	if old != table {
		t.Errorf("README shows another table; run go test ./verify -run TestCoverage -update\n%s", table)
	}
}

func render(rows []coverage) string {
	var b strings.Builder
	b.WriteString("\n| builder | read as | corpus | said by the certificate | changed in the body and refused | level |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.name, r.read, r.corpus, r.certified, r.crossed, r.level)
	}
	fmt.Fprintf(&b, "\nAll %d: %s.\n", len(usual()), named(usual()))
	return b.String()
}

// dropColumn leaves out the n-th column of a table.
func dropColumn(table string, n int) string {
	var b strings.Builder
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) > n {
			cells = slices.Delete(cells, n, n+1)
		}
		b.WriteString(strings.Join(cells, "|"))
	}
	return b.String()
}
