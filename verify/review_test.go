package verify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

// keyPolicy accepts provenance that the given key signs, offline.
func keyPolicy(k *stemmatest.Signer) string {
	return fmt.Sprintf(`apiVersion: policy.stemma.dev/v1alpha1
kind: PolicySet
metadata: {name: keys}
spec:
  trust:
    - name: kms
      keys: [{name: k, pem: %q}]
      requires: {log: none, timestamp: none, sct: none}
      time: none
---
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: app}
spec:
  match: {images: ["ghcr.io/acme/*"]}
  builders: {ci: {trust: kms, keys: [k], id: "https://ci.acme.example/builder"}}
  provenance: {by: [ci]}
`, k.PublicKeyPEM())
}

const workflowPolicy = `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: app}
spec:
  match: {images: ["ghcr.io/acme/*"]}
  builders:
    b: {github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: ["refs/tags/v1.*"]}}
  provenance: {by: [b]}
  source: {repository: github.com/acme/app}
`

func newWorld(t testing.TB) *stemmatest.World {
	t.Helper()
	w, err := stemmatest.NewWorld(stemmatest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func putImage(t testing.TB, w *stemmatest.World, tag string) *stemmatest.Image {
	t.Helper()
	i, err := w.PutImage(tag)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func newVerifier(t testing.TB, w *stemmatest.World, text string, transport http.RoundTripper) *verify.Verifier {
	t.Helper()
	set, err := policy.Load(policy.File{Name: "policy.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	if transport == nil {
		transport = w.Transport()
	}
	v, err := verify.New(context.Background(), verify.Config{
		Policies: set, Network: verify.Network{Transport: transport, Sleep: atOnce}, Roots: map[string][]byte{policy.PublicGood: w.Sigstore.TrustedRoot()},
		Clock: w.Now.UTC,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func ask(t testing.TB, w *stemmatest.World, v *verify.Verifier, r verify.Request, want stemma.Verdict) *verify.Result {
	t.Helper()
	r.Situation.At = w.Now
	result, err := v.Verify(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if result.Decision.Verdict != want {
		t.Errorf("%s: %s, want %s\n%s%s", r.Image, result.Decision.Verdict, want, findings(result.Decision), fmt.Sprint(result.Evidence.Rejected))
	}
	return result
}

// What a caller does to a result changes nothing for the next image.
func TestResultsAreTheCallers(t *testing.T) {
	w := newWorld(t)
	other := putImage(t, w, "other")
	w.Attach(other, w.Provenance)
	v := newVerifier(t, w, workflowPolicy, nil)
	r := ask(t, w, v, verify.Request{Image: "ghcr.io/acme/app:v2.0.0"}, stemma.Allow)
	ask(t, w, v, verify.Request{Image: "ghcr.io/acme/app:other"}, stemma.Deny)
	for i := range r.Evidence.Attestations {
		a := &r.Evidence.Attestations[i]
		for j := range a.Statement.Subject {
			a.Statement.Subject[j].Digest["sha256"] = other.Digest().Hex()
		}
		maps.DeleteFunc(a.Signer.Claims, func(string, string) bool { return true })
		for j := range a.Statement.Predicate {
			a.Statement.Predicate[j] = ' '
		}
	}
	ask(t, w, v, verify.Request{Image: "ghcr.io/acme/app:other"}, stemma.Deny)
	ask(t, w, v, verify.Request{Image: "ghcr.io/acme/app:v2.0.0"}, stemma.Allow)
}

// Evidence cannot be hidden by listing its bytes once more as something that they are not.
func TestListedAsWhatItIsNot(t *testing.T) {
	w := newWorld(t)
	k, err := stemmatest.NewKey(stemmatest.ECDSAP256, "k")
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t, w, keyPolicy(k), nil)
	img := putImage(t, w, "listed")
	layer := func(repository string) stemmatest.Layer {
		statement := stemmatest.Generic{
			BuilderID: "https://ci.acme.example/builder", Repository: repository, Ref: "refs/heads/main",
			Commit: strings.Repeat("a", 40), Run: "https://ci.acme.example/1",
		}.Statement(stemmatest.Subject("app", img.Digest()))
		envelope, err := stemmatest.Seal(stemmatest.PayloadTypeInToto, statement.JSON(), k)
		if err != nil {
			t.Fatal(err)
		}
		return stemmatest.Layer{MediaType: stemmatest.MediaTypeDSSE, Data: envelope.JSON()}
	}
	attach := func(l stemmatest.Layer) {
		img.AttachReferrer(stemmatest.Artifact{Type: l.MediaType, Layers: []stemmatest.Layer{l}})
	}
	disguised := func(l stemmatest.Layer) stemmatest.Layer {
		l.MediaType = stemmatest.MediaTypeV03
		return l
	}
	r := verify.Request{Image: "ghcr.io/acme/app:listed"}
	good, bad := layer("https://git.acme.example/acme/app"), layer("https://git.acme.example/evil/app")
	attach(good)
	ask(t, w, v, r, stemma.Allow)
	attach(disguised(good))
	ask(t, w, v, r, stemma.Allow)
	attach(bad)
	denied(t, ask(t, w, v, r, stemma.Deny).Decision, "provenance.agreement", stemma.ReasonDisagreement)
	attach(disguised(bad))
	denied(t, ask(t, w, v, r, stemma.Deny).Decision, "provenance.agreement", stemma.ReasonDisagreement)
}

// A file that is about the image and its platforms is evidence about each of them.
func TestFileOfSeveralSubjects(t *testing.T) {
	w := newWorld(t)
	img := putImage(t, w, "several")
	subjects := func(s *stemmatest.Statement) {
		for _, c := range img.Children {
			s.Subject = append(s.Subject, stemmatest.Subject("platform", stemma.Digest(c.Digest)))
		}
	}
	file := func(v stemmatest.Vary) []policy.File {
		v.Statement = subjects
		signed, err := w.Attest(img, v)
		if err != nil {
			t.Fatal(err)
		}
		return []policy.File{{Name: "bundle.json", Data: signed.Bundle()}}
	}
	v := newVerifier(t, w, workflowPolicy, nil)
	r := verify.Request{Image: "ghcr.io/acme/app:several"}
	ask(t, w, v, r, stemma.Deny)
	r.Evidence = file(stemmatest.Vary{})
	e := ask(t, w, v, r, stemma.Allow).Evidence
	for _, p := range e.Platforms {
		if len(p.Provenance) != 1 {
			t.Errorf("%s has %d provenances", p.Platform, len(p.Provenance))
		}
	}
	// The same file twice is one piece, and one that contradicts it is not lost.
	r.Evidence = append(r.Evidence, r.Evidence...)
	if e := ask(t, w, v, r, stemma.Allow).Evidence; len(e.Attestations) != 1 {
		t.Errorf("%d attestations of one file", len(e.Attestations))
	}
	r.Evidence = append(r.Evidence, file(stemmatest.Vary{Build: func(g *stemmatest.GitHub) { g.Repository = "evil/app" }})...)
	denied(t, ask(t, w, v, r, stemma.Deny).Decision, "provenance.agreement", stemma.ReasonDisagreement)
}

// The port of HTTPS written out is the same registry, and no way round its policy.
func TestDefaultPort(t *testing.T) {
	w := newWorld(t)
	v := newVerifier(t, w, workflowPolicy, stemmatest.Network{"ghcr.io": w.Registry, "ghcr.io:443": w.Registry})
	for _, name := range []string{"ghcr.io/acme/app:v2.0.0", "ghcr.io:443/acme/app:v2.0.0", "GHCR.IO:443/acme/app:v2.0.0"} {
		if r := ask(t, w, v, verify.Request{Image: name}, stemma.Allow); r.Evidence.Image.Repository != "ghcr.io/acme/app" {
			t.Errorf("%s is %s", name, r.Evidence.Image.Repository)
		}
	}
}

// A referrer that cannot be read does not make a rogue build innocent.
func TestSilenceAcquitsNobody(t *testing.T) {
	w := newWorld(t)
	img := putImage(t, w, "rogue")
	rogue, err := w.Attest(img, stemmatest.Vary{Build: func(g *stemmatest.GitHub) { g.Builder = "acme/app/.github/workflows/x.yml@refs/heads/x" }})
	if err != nil {
		t.Fatal(err)
	}
	w.Attach(img, rogue)
	v := newVerifier(t, w, workflowPolicy, nil)
	r := verify.Request{Image: "ghcr.io/acme/app:rogue"}
	denied(t, ask(t, w, v, r, stemma.Deny).Decision, "builder.approved", stemma.ReasonBuilder)
	gone := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000", Size: 7}
	w.Registry.PutReferrer("acme/app", img.Digest(), gone)
	denied(t, ask(t, w, v, r, stemma.Deny).Decision, "builder.approved", stemma.ReasonBuilder)

	// And a forgery stays visible beside a place that is silent.
	forged := putImage(t, w, "forged")
	bent, err := w.Attest(forged, stemmatest.Vary{Signed: func(x *stemmatest.Signed) { x.Envelope.Payload = append(x.Envelope.Payload, ' ') }})
	if err != nil {
		t.Fatal(err)
	}
	w.Attach(forged, bent)
	w.Registry.PutReferrer("acme/app", forged.Digest(), gone)
	d := ask(t, w, v, verify.Request{Image: "ghcr.io/acme/app:forged"}, stemma.Undetermined).Decision
	for _, f := range d.Findings {
		if strings.Contains(f.Fix, "nothing is known to be wrong") || f.Rule == "image.authentic" && !strings.Contains(f.Got, "signature-invalid") {
			t.Errorf("%+v", f)
		}
	}
}

// ending cancels the context when the nth answer was read.
type ending struct {
	http.RoundTripper
	cancel  func()
	answers atomic.Int32
	last    int32
}

type endingBody struct {
	io.ReadCloser
	closed func()
}

func (b endingBody) Close() error { b.closed(); return b.ReadCloser.Close() }

func (e *ending) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := e.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = endingBody{resp.Body, func() {
			if e.answers.Add(1) == e.last {
				e.cancel()
			}
		}}
	}
	return resp, err
}

// Work that was cancelled yields no decision, whenever it was.
func TestCancelled(t *testing.T) {
	w := newWorld(t)
	r := verify.Request{Image: "ghcr.io/acme/app:v2.0.0", Situation: stemma.Situation{At: w.Now}}
	counting := &ending{RoundTripper: w.Transport(), cancel: func() {}}
	if _, err := newVerifier(t, w, workflowPolicy, counting).Verify(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	all := counting.answers.Load()
	if all < 9 {
		t.Fatalf("%d answers", all)
	}
	for last := int32(1); last <= all; last++ {
		ctx, cancel := context.WithCancel(context.Background())
		v := newVerifier(t, w, workflowPolicy, &ending{RoundTripper: w.Transport(), cancel: cancel, last: last})
		result, err := v.Verify(ctx, r)
		cancel()
		var failure *verify.Error
		if result != nil || !errors.As(err, &failure) || failure.Kind != verify.Unreachable {
			t.Errorf("cancelled after answer %d of %d: %v, %v", last, all, result, err)
		}
	}
}

// One blob that is listed hundreds of times is not verified hundreds of times.
func TestListedOften(t *testing.T) {
	w := newWorld(t)
	img := putImage(t, w, "often")
	signed, err := w.Attest(img, stemmatest.Vary{Sign: func(s *stemmatest.Sign) { s.MediaType = stemmatest.MediaTypeDSSE }})
	if err != nil {
		t.Fatal(err)
	}
	base, err := signed.CosignAttestation()
	if err != nil {
		t.Fatal(err)
	}
	var layers []stemmatest.Layer
	for i := range 200 {
		l := base
		l.Annotations = maps.Clone(base.Annotations)
		l.Annotations["n"] = fmt.Sprint(i)
		layers = append(layers, l)
	}
	img.AttachCosign(".att", layers...)
	r := ask(t, w, newVerifier(t, w, workflowPolicy, nil), verify.Request{Image: "ghcr.io/acme/app:often"}, stemma.Allow)
	if n := len(r.Evidence.Attestations); n != 1 {
		t.Errorf("%d attestations of one envelope", n)
	}
}

// Pages of empty descriptors, a few bytes each, do not fill the memory.
func TestEmptyDescriptors(t *testing.T) {
	w := newWorld(t)
	page := []byte(`{"schemaVersion":2,"manifests":[{}` + strings.Repeat(",{}", 300_000) + `]}`)
	w.Registry.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			return false
		}
		rw.Header().Set("Content-Type", v1.MediaTypeImageIndex)
		_, _ = rw.Write(page)
		return true
	}
	v := newVerifier(t, w, workflowPolicy, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ask(t, w, v, verify.Request{Image: "ghcr.io/acme/app:v2.0.0"}, stemma.Undetermined)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 200<<20 {
		t.Errorf("%d MiB allocated", grown>>20)
	}
}

// C19: a delegator signs for a workflow that the policy does not name.
func TestReg_C19_delegated_builder(t *testing.T) {
	w := newWorld(t)
	img := putImage(t, w, "delegated")
	const inner = "https://github.com/acme/tool/.github/workflows/build.yml@refs/tags/v1.0.0"
	signed, err := w.Attest(img, stemmatest.Vary{
		Build: func(g *stemmatest.GitHub) {
			g.Builder = "slsa-framework/slsa-github-generator/.github/workflows/delegator_lowperms-generic_slsa3.yml@refs/tags/v2.0.0"
		},
		Statement: func(s *stemmatest.Statement) {
			s.Set("/buildDefinition/buildType", "https://github.com/slsa-framework/slsa-github-generator/delegator-generic@v0")
			s.Set("/runDetails/builder/id", inner)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Attach(img, signed)
	r := verify.Request{Image: "ghcr.io/acme/app:delegated"}
	accepts := strings.NewReplacer("trusted/builders/.github/workflows/build.yml", "slsa-framework/slsa-github-generator/.github/workflows/*_slsa3.yml", "v1.*", "v2.*").Replace(workflowPolicy)
	denied(t, ask(t, w, newVerifier(t, w, accepts, nil), r, stemma.Deny).Decision, "builder.approved", stemma.ReasonBuilder)
	names := strings.Replace(accepts, "b: {github:", "b: {id: \""+inner+"\", github:", 1)
	ask(t, w, newVerifier(t, w, names, nil), r, stemma.Allow)
	other := strings.Replace(names, "v1.0.0", "v1.0.1", 1)
	denied(t, ask(t, w, newVerifier(t, w, other, nil), r, stemma.Deny).Decision, "builder.approved", stemma.ReasonBuilder)
}
