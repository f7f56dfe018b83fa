package sigstore

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
	"stemma/stemmatest"
)

// world is a private Sigstore and one image of acme/app, built by a reusable workflow.
type world struct {
	*stemmatest.Sigstore
	job   stemmatest.GitHub
	image Artifact
}

func newWorld(t testing.TB) *world {
	t.Helper()
	manifest := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"}`)
	return &world{
		Sigstore: must[*stemmatest.Sigstore](t)(stemmatest.NewSigstore(stemmatest.Config{})),
		job: stemmatest.GitHub{
			Repository: "acme/app", Ref: "refs/tags/v2.0.0", Builder: "trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3",
		},
		image: Artifact{Digest: stemma.SHA256(manifest), Content: manifest},
	}
}

func (w *world) statement() *stemmatest.Statement {
	return stemmatest.ActionsAttest(w.job, stemmatest.Subject("ghcr.io/acme/app", w.image.Digest))
}

func (w *world) attest(t testing.TB, o stemmatest.Sign, payload []byte) *stemmatest.Signed {
	t.Helper()
	if o.As == nil && o.With == nil {
		o.As = w.job
	}
	if payload == nil {
		payload = w.statement().JSON()
	}
	return must[*stemmatest.Signed](t)(w.Attest(o, payload))
}

// domain requires everything unless edited.
func (w *world) domain(t testing.TB, edits ...func(*DomainConfig)) *Domain {
	t.Helper()
	c := DomainConfig{Name: "test", TrustedRoot: w.TrustedRoot()}
	for _, edit := range edits {
		edit(&c)
	}
	return must[*Domain](t)(NewDomain(c))
}

func logTime(c *DomainConfig)   { c.Timestamp = None }
func stampOnly(c *DomainConfig) { c.Log, c.SCT = None, None }

func withKeys(keys ...*stemmatest.Signer) func(*DomainConfig) {
	return func(c *DomainConfig) {
		for _, k := range keys {
			c.Keys = append(c.Keys, Key{Name: k.Hint, PEM: k.PublicKeyPEM()})
		}
	}
}

// offline makes a domain of keys alone, which proves nothing.
func offline(c *DomainConfig) {
	c.TrustedRoot, c.Log, c.Timestamp, c.SCT, c.Time = nil, None, None, None, None
}

func bundleOf(x *stemmatest.Signed) stemma.Raw { return x.BundleLayer().Raw("referrers", "") }

func attLayer(t testing.TB, x *stemmatest.Signed) stemma.Raw {
	return must[stemmatest.Layer](t)(x.CosignAttestation()).Raw("tag .att", "")
}

func sigLayer(t testing.TB, x *stemmatest.Signed) stemma.Raw {
	return must[stemmatest.Layer](t)(x.CosignSignature()).Raw("tag .sig", "")
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// spoiled is one way to spoil evidence that verifies, and the reason for which it must then be refused.
type spoiled struct {
	name   string
	sign   stemmatest.Sign
	config []func(*DomainConfig)
	edit   func(t *testing.T, w *world, x *stemmatest.Signed)
	want   stemma.Reason // "": still accepted
}

// regressions verifies each case before and after it was spoiled, as a bundle.
func regressions(t *testing.T, cases ...spoiled) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			x := w.attest(t, c.sign, nil)
			before := wantAccepted(t, authenticator(t, w.domain(t, c.config...)), bundleOf(x), w.image)
			if c.edit == nil {
				return
			}
			c.edit(t, w, x)
			a := authenticator(t, w.domain(t, c.config...))
			if c.want != "" {
				wantRejected(t, a, bundleOf(x), w.image, c.want)
				return
			}
			same(t, before, wantAccepted(t, a, bundleOf(x), w.image))
		})
	}
}

// same fails unless two attestations say the same by the same signer about the same artifact.
func same(t testing.TB, want, got *stemma.Attestation) {
	t.Helper()
	for _, d := range []string{
		cmp.Diff(want.Statement, got.Statement), cmp.Diff(want.Signer, got.Signer), cmp.Diff(want.Binding, got.Binding),
		cmp.Diff(want.Signature, got.Signature), cmp.Diff(want.Cosigners, got.Cosigners),
	} {
		if d != "" {
			t.Errorf("the attestation differs (-want +got):\n%s", d)
		}
	}
}
