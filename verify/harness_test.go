package verify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

// trusting is the policy under which the world's own image is allowed.
const trusting = `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: services}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  builders:
    trusted-builder:
      github:
        workflow: trusted/builders/.github/workflows/build.yml
        workflowRefs: ["refs/tags/v1.*"]
        events: [push, release]
        runner: github-hosted
      level: 3
  provenance: {by: [trusted-builder], formats: [slsa/v1], level: 3, maxAge: 365d}
  source: {repository: "github.com/acme/{service}", refs: ["refs/tags/v*"]}
`

// private is the same under a trust domain that requires all there is to require: log entry, timestamp and certificate
// timestamp.
func private() string {
	return `apiVersion: policy.stemma.dev/v1alpha1
kind: PolicySet
metadata: {name: set}
spec:
  trust:
    - name: private
---
` + strings.Replace(trusting, "      github:\n", "      trust: private\n      github:\n", 1)
}

// scratch is a directory for what all tests share. TestMain makes and removes it.
var scratch string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "stemma-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	scratch = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// built is the program, built once for all tests that ask by it.
var built = sync.OnceValues(func() (string, error) {
	program := filepath.Join(scratch, "stemma")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/stemma").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return program, nil
})

// in replaces text of a policy or a document, which must be there.
func in(text, old, new string) string {
	if !strings.Contains(text, old) {
		panic("no " + old)
	}
	return strings.Replace(text, old, new, 1)
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stage is where a case is played: a world, a new image in it without evidence, and what will be asked.
type stage struct {
	testing.TB
	*stemmatest.World
	image   *stemmatest.Image
	policy  string
	roots   map[string][]byte // in addition to the world's, which is that of public-good and private
	root    []byte            // in place of the world's
	request verify.Request
}

func newStage(t testing.TB) *stage {
	t.Helper()
	w := must[*stemmatest.World](t)(stemmatest.NewWorld(stemmatest.Config{}))
	s := &stage{TB: t, World: w, policy: trusting}
	s.image = must[*stemmatest.Image](t)(w.PutImage("v2.0.1"))
	s.request = verify.Request{Image: "ghcr.io/acme/app:v2.0.1", Situation: stemma.Situation{At: w.Now}}
	return s
}

// attest makes provenance of the image, varied, without attaching it.
func (s *stage) attest(v stemmatest.Vary) *stemmatest.Signed {
	s.Helper()
	return must[*stemmatest.Signed](s)(s.Attest(s.image, v))
}

// attach attests and attaches.
func (s *stage) attach(v stemmatest.Vary) *stemmatest.Signed {
	s.Helper()
	x := s.attest(v)
	s.Attach(s.image, x)
	return x
}

// sign attaches provenance that is signed as told; by the world's builder unless it says by whom.
func (s *stage) sign(sign stemmatest.Sign) { s.attach(signAs(sign)) }

func signAs(sign stemmatest.Sign) stemmatest.Vary {
	return stemmatest.Vary{Sign: func(o *stemmatest.Sign) {
		as := o.As
		if *o = sign; o.As == nil && o.With == nil {
			o.As = as
		}
	}}
}

// another is a second piece by the same signer: provenance of the same image, of another run.
func (s *stage) another(by *stemmatest.Signer, sign stemmatest.Sign) *stemmatest.Signed {
	s.Helper()
	sign.With = by
	v := signAs(sign)
	v.Statement = func(st *stemmatest.Statement) { st.Set("/runDetails/metadata/extra", "another") }
	return s.attest(v)
}

func (s *stage) relog(x *stemmatest.Signed) {
	s.Helper()
	kind := x.Entries[0].Kind
	log := s.Sigstore.Rekor
	if kind == stemmatest.EntryHashedRekord002 {
		log = s.Sigstore.Tiles
	}
	x.Entries = nil
	check(s, x.Log(log, kind, s.Sigstore.Now))
}

func (s *stage) retime(x *stemmatest.Signed) {
	s.Helper()
	x.Timestamps = nil
	check(s, x.Timestamp(s.Sigstore.TSA, s.Sigstore.Now))
}

func (s *stage) key(a stemmatest.Algorithm, hint string) *stemmatest.Signer {
	s.Helper()
	return must[*stemmatest.Signer](s)(stemmatest.NewKey(a, hint))
}

// verifier makes a verifier for the stage as it is.
func (s *stage) verifier() (*verify.Verifier, error) {
	set, err := policy.Load(policy.File{Name: "policy.yaml", Data: []byte(s.policy)})
	if err != nil {
		return nil, err
	}
	root := s.root
	if root == nil {
		root = s.Sigstore.TrustedRoot()
	}
	config := verify.Config{Policies: set, Network: verify.Network{Transport: s.Transport(), Sleep: atOnce}, Roots: map[string][]byte{policy.PublicGood: root}, Clock: func() time.Time { return s.request.Situation.At }}
	if strings.Contains(s.policy, "- name: private") {
		// One certificate authority in two domains would be ambiguous.
		config.Roots = map[string][]byte{"private": root}
	}
	for name, root := range s.roots {
		config.Roots[name] = root
	}
	return verify.New(context.Background(), config)
}

// atOnce waits for nothing between two attempts.
func atOnce(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func (s *stage) run() (*verify.Result, error) {
	v, err := s.verifier()
	if err != nil {
		return nil, err
	}
	return v.Verify(context.Background(), s.request)
}

// want is how a case must end. The zero want is Allow.
type want struct {
	verdict   stemma.Verdict // zero: Allow when there is no reason, or else Deny
	rule      string         // that fails or is unknown; zero with a rejection: image.authentic
	reason    stemma.Reason  // of that rule; zero with a rejection: that of the rejection
	rejection stemma.Reason  // of a piece of evidence about the image
}

func rejected(r stemma.Reason) want { return want{rejection: r} }

func fails(rule string, r stemma.Reason) want { return want{rule: rule, reason: r} }

// reg is one case: what is staged, and how it must end. Beside it stands its control, which must be allowed under the
// same policy: provenance as the world makes it, unless the case says otherwise.
type reg struct {
	name    string
	policy  string         // zero: trusting
	setup   func(s *stage) // before both
	control func(s *stage)
	vary    stemmatest.Vary // the case, or
	play    func(s *stage)
	want    want
}

func play(t *testing.T, cases ...reg) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			open := func() *stage {
				s := newStage(t)
				if c.policy != "" {
					s.policy = c.policy
				}
				if c.setup != nil {
					c.setup(s)
				}
				return s
			}
			s := open()
			if c.control != nil {
				c.control(s)
			} else {
				s.attach(stemmatest.Vary{})
			}
			t.Run("control", func(t *testing.T) { s.TB = t; s.expect(want{}) })
			s = open()
			if c.play != nil {
				c.play(s)
			} else {
				s.attach(c.vary)
			}
			s.expect(c.want)
		})
	}
}

// expect verifies the image and compares the result.
func (s *stage) expect(w want) *verify.Result {
	s.Helper()
	r, err := s.run()
	if err != nil {
		s.Fatalf("verifying: %v", err)
	}
	s.compare(r, w)
	s.recordedAlike(r.Decision, r.Evidence)
	return r
}

func (s *stage) compare(r *verify.Result, w want) {
	s.Helper()
	if w.rejection != "" && w.rule == "" {
		w.rule, w.reason = "image.authentic", w.rejection
	}
	if w.verdict == "" {
		w.verdict = stemma.Allow
		if w.reason != "" {
			w.verdict = stemma.Deny
		}
	}
	d, e := r.Decision, r.Evidence
	bad := d.Verdict != w.verdict
	if w.rule != "" {
		i := slices.IndexFunc(d.Findings, func(f stemma.Finding) bool {
			return f.Rule == w.rule && f.Outcome != stemma.Pass && f.Reason == w.reason
		})
		bad = bad || i < 0
	}
	if w.rejection != "" {
		bad = bad || !slices.ContainsFunc(e.Rejected, func(r stemma.Rejection) bool { return r.Reason == w.rejection })
	}
	if (d.Effect == stemma.Admit) != (d.Verdict == stemma.Allow) {
		bad = true
	}
	if bad {
		s.Errorf("verdict %s, effect %s; want %+v\n%s%s", d.Verdict, d.Effect, w, findings(d), refusals(e))
	}
}

// refusals lists what was rejected and what could not be looked at.
func refusals(e *stemma.Evidence) string {
	var b strings.Builder
	for _, r := range e.Rejected {
		b.WriteString("rejected " + string(r.Reason) + ": " + r.Detail + "\n")
	}
	for _, u := range e.Unavailable {
		b.WriteString("unavailable " + u.Place + " " + string(u.Reason) + ": " + u.Detail + "\n")
	}
	return b.String()
}

// refusedAtStart wants no verifier to be made at all, because the policy or the trust material is a mistake.
func refusedAtStart(t *testing.T, s *stage, text string) {
	t.Helper()
	_, err := s.verifier()
	var failure *verify.Error
	var faults policy.Errors
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got error %v, want one with %q", err, text)
	} else if !errors.As(err, &faults) && (!errors.As(err, &failure) || failure.Kind != verify.Invalid) {
		t.Errorf("error %v is of no kind that a caller can tell apart", err)
	}
}
