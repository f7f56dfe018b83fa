package verify_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

// Group B of the regression cases: evidence that is genuine in all, and about something else.

// about is provenance whose subjects are replaced.
func about(subjects func(s *stage) []stemma.ResourceDescriptor) func(s *stage) {
	return func(s *stage) {
		s.attach(stemmatest.Vary{Statement: func(st *stemmatest.Statement) { st.Subject = subjects(s) }})
	}
}

func descriptor(pairs ...string) stemma.ResourceDescriptor {
	d := stemma.ResourceDescriptor{Name: "ghcr.io/acme/app", Digest: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		d.Digest[pairs[i]] = pairs[i+1]
	}
	return d
}

func (s *stage) hex() string { return s.image.Digest().Hex() }

func TestReg_B01_another_artifact(t *testing.T) {
	play(
		t,
		reg{name: "mission #2/sibling of the same repository", play: func(s *stage) { s.Attach(s.image, s.Provenance) }, want: rejected(stemma.ReasonSubjectMismatch)},
		reg{name: "image of the same build", play: func(s *stage) {
			sibling := must[*stemmatest.Image](s)(s.PutImage("v2.0.1-debug"))
			s.Attach(s.image, must[*stemmatest.Signed](s)(s.Attest(sibling, stemmatest.Vary{})))
		}, want: rejected(stemma.ReasonSubjectMismatch)},
		reg{name: "one child of its own", play: about(func(s *stage) []stemma.ResourceDescriptor {
			return []stemma.ResourceDescriptor{stemmatest.Subject("ghcr.io/acme/app", stemma.Digest(s.image.Children[0].Digest))}
		}), want: rejected(stemma.ReasonSubjectMismatch)},
		reg{name: "its config", play: about(func(s *stage) []stemma.ResourceDescriptor {
			return []stemma.ResourceDescriptor{stemmatest.Subject("ghcr.io/acme/app", stemma.SHA256([]byte("config")))}
		}), want: rejected(stemma.ReasonSubjectMismatch)},
		reg{name: "payload rewritten to name the image", play: func(s *stage) {
			x := must[*stemmatest.Signed](s)(s.Attest(s.Image, stemmatest.Vary{}))
			x.Envelope.Payload = bytes.ReplaceAll(x.Envelope.Payload, []byte(s.Image.Digest().Hex()), []byte(s.hex()))
			s.Attach(s.image, x)
		}, want: rejected(stemma.ReasonSignatureInvalid)},
	)
}

// GHSA-mhg6: the mismatch was found and its result dropped. Asked again, in any order, from one verifier.
func TestReg_B02_result_kept(t *testing.T) {
	s := newStage(t)
	s.attach(stemmatest.Vary{})
	other := must[*stemmatest.Image](t)(s.PutImage("v2.0.2"))
	s.Attach(other, must[*stemmatest.Signed](t)(s.Attest(s.image, stemmatest.Vary{})))
	v := must[*verify.Verifier](t)(s.verifier())
	for range 3 {
		for tag, w := range map[string]want{"v2.0.1": {}, "v2.0.2": rejected(stemma.ReasonSubjectMismatch)} {
			s.request.Image = "ghcr.io/acme/app:" + tag
			r, err := v.Verify(context.Background(), s.request)
			check(t, err)
			s.compare(r, w)
		}
	}
}

// signing requires a signature of the image itself.
const signing = `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: services}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  signers:
    release:
      github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: ["refs/tags/v1.*"]}
  signature: {by: [release]}
`

// keyed requires provenance by a managed key whose signatures prove no time.
func keyed(key *stemmatest.Signer) string {
	return keyedBy("requires: {log: none, timestamp: none, sct: none}\n      time: none", "", key)
}

func keyedBy(requires, window string, keys ...*stemmatest.Signer) string {
	text := "apiVersion: policy.stemma.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: set}\nspec:\n  trust:\n    - name: ci\n      " + requires + "\n      keys:\n"
	var names []string
	for _, k := range keys {
		names = append(names, k.Hint)
		text += "        - name: " + k.Hint + "\n" + window + "          pem: |\n"
		for line := range strings.Lines(string(k.PublicKeyPEM())) {
			text += "            " + line
		}
	}
	return text + `---
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: services}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  builders:
    ci: {trust: ci, keys: [` + strings.Join(names, ", ") + `], id: "https://ci.acme.example/builder", level: 2}
  provenance: {by: [ci], level: 2}
  source: {repository: "git.acme.example/acme/{service}", saidBy: tenant}
`
}

// generic is the provenance of a builder with a key of its own.
func generic(subjects ...stemma.ResourceDescriptor) *stemmatest.Statement {
	return stemmatest.Generic{
		BuilderID: "https://ci.acme.example/builder", Repository: "https://git.acme.example/acme/app", Ref: "refs/tags/v2.0.1",
		Commit: stemmatest.Commit("app"), Run: "https://ci.acme.example/runs/7",
	}.Statement(subjects...)
}

// form is one way in which evidence is kept and found.
type form struct {
	name   string
	policy string
	// put makes evidence about one image and files it under another, which is s.image.
	put func(s *stage, about *stemmatest.Image)
}

func forms(t *testing.T) []form {
	prove := func(s *stage, about *stemmatest.Image, sign stemmatest.Sign) *stemmatest.Signed {
		return must[*stemmatest.Signed](s)(s.Attest(about, signAs(sign)))
	}
	var out []form
	for name, sign := range map[string]stemmatest.Sign{
		"v0.1":           {MediaType: stemmatest.MediaTypeV01},
		"v0.2":           {MediaType: stemmatest.MediaTypeV02},
		"v0.3 old":       {MediaType: stemmatest.MediaTypeV03Param},
		"v0.3":           {},
		"v0.3, Rekor v2": {Entry: stemmatest.EntryHashedRekord002},
	} {
		out = append(out, form{"referrers/bundle " + name, trusting, func(s *stage, about *stemmatest.Image) {
			s.Attach(s.image, prove(s, about, sign))
		}}, form{"fallback tag/bundle " + name, trusting, func(s *stage, about *stemmatest.Image) {
			s.Registry.Referrers = stemmatest.ReferrersOff
			_, err := s.image.AttachFallback(stemmatest.BundleArtifact(prove(s, about, sign)))
			check(s, err)
		}})
	}
	for _, kind := range []stemmatest.EntryKind{stemmatest.EntryInToto001, stemmatest.EntryInToto002, stemmatest.EntryDSSE001} {
		out = append(out, form{"cosign .att/" + string(kind), trusting, func(s *stage, about *stemmatest.Image) {
			x := prove(s, about, stemmatest.Sign{Entry: kind, MediaType: stemmatest.MediaTypeDSSE})
			s.image.AttachCosign(".att", must[stemmatest.Layer](s)(x.CosignAttestation()))
		}})
	}
	message := func(s *stage, data []byte) *stemmatest.Signed {
		return must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: s.Build}, data))
	}
	key := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "ci-2026"))
	file := func(s *stage, lines ...[]byte) {
		s.request.Evidence = []policy.File{{Name: "evidence.json", Data: bytes.Join(lines, []byte("\n"))}}
	}
	envelope := func(s *stage, about *stemmatest.Image) []byte {
		return must[*stemmatest.Envelope](s)(stemmatest.Seal(stemmatest.PayloadTypeInToto, generic(s.Subject(about)).JSON(), key)).JSON()
	}
	return append(
		out,
		form{"cosign .sig/simple signing", signing, func(s *stage, about *stemmatest.Image) {
			x := message(s, stemmatest.SimpleSigning("ghcr.io/acme/app", about.Digest()))
			s.image.AttachCosign(".sig", must[stemmatest.Layer](s)(x.CosignSignature()))
		}},
		form{"referrers/bundle of the manifest", signing, func(s *stage, about *stemmatest.Image) {
			s.Attach(s.image, message(s, about.Manifest))
		}},
		form{"referrers/cosign 3 signature", signing, func(s *stage, about *stemmatest.Image) {
			st := stemmatest.ActionsAttest(s.Build, s.Subject(about))
			st.PredicateType, st.Predicate = stemma.PredicateCosignSign, map[string]any{}
			s.Attach(s.image, must[*stemmatest.Signed](s)(s.Sigstore.Attest(stemmatest.Sign{As: s.Build}, st.JSON())))
		}},
		form{"file/bundle", trusting, func(s *stage, about *stemmatest.Image) { file(s, prove(s, about, stemmatest.Sign{}).Bundle()) }},
		form{"file/envelope", keyed(key), func(s *stage, about *stemmatest.Image) { file(s, envelope(s, about)) }},
		form{"file/lines of bundles", trusting, func(s *stage, about *stemmatest.Image) {
			sbom := must[*stemmatest.Signed](s)(s.Sigstore.Attest(stemmatest.Sign{As: s.Build}, stemmatest.SPDX(s.Subject(about)).JSON()))
			file(s, sbom.Bundle(), prove(s, about, stemmatest.Sign{}).Bundle())
		}},
		form{"file/lines of envelopes", keyed(key), func(s *stage, about *stemmatest.Image) {
			file(s, []byte("{}"), envelope(s, about))
		}},
	)
}

// mise#9260, CVE-2026-39395: the subject was compared on one path and not on another. Here each form of evidence is
// about the image, and about its sibling, by each way in.
func TestReg_B03_every_path(t *testing.T) {
	program := must[string](t)(built())
	for _, f := range forms(t) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for _, right := range []bool{true, false} {
				s := newStage(t)
				s.policy = strings.Replace(f.policy, ", maxAge: 365d", "", 1) // the program looks at the clock
				subject := s.image
				if !right {
					subject = s.Image
				}
				f.put(s, subject)
				s.ways(program, right)
			}
		})
	}
}

// ways asks by every way in, and wants the same answer of each.
func (s *stage) ways(program string, right bool) {
	s.Helper()
	w := want{}
	if !right {
		w = rejected(stemma.ReasonSubjectMismatch)
	}
	over := s.expect(w)
	dir := filepath.Join(s.TempDir(), "layout")
	check(s, s.image.WriteLayout(dir, stemmatest.LayoutTags))
	s.request.Image, s.request.Name = "oci:"+dir, "ghcr.io/acme/app"
	from := s.expect(w)
	if a, b := rules(over.Decision), rules(from.Decision); !slices.Equal(a, b) {
		s.Errorf("registry and layout decide differently:\n%v\n%v", a, b)
	}

	args := []string{"verify", "oci:" + dir, "--name", "ghcr.io/acme/app", "-o", "json"}
	for flag, data := range map[string][]byte{"--policy": []byte(s.policy), "--trusted-root": s.Sigstore.TrustedRoot()} {
		file := filepath.Join(s.TempDir(), "file.yaml")
		check(s, os.WriteFile(file, data, 0o600))
		args = append(args, flag, file)
	}
	for _, e := range s.request.Evidence {
		file := filepath.Join(s.TempDir(), "evidence.json")
		check(s, os.WriteFile(file, e.Data, 0o600))
		args = append(args, "--evidence", file)
	}
	code, d, stderr := execute(s, program, args)
	if d == nil {
		s.Fatalf("no decision: %s", stderr)
	}
	exit := 0
	if !right {
		exit = 1
	}
	if code != exit {
		s.Errorf("exit code %d, want %d: %s", code, exit, stderr)
	}
	if a, b := rules(over.Decision), rules(d); !slices.Equal(a, b) {
		s.Errorf("library and program decide differently:\n%v\n%v", a, b)
	}
}

// rules is what a decision says, without the evidence that it cites.
func rules(d *stemma.Decision) []string {
	out := []string{string(d.Verdict), string(d.Effect)}
	for _, f := range d.Findings {
		out = append(out, f.Rule+" "+string(f.Outcome)+" "+string(f.Reason))
	}
	return out
}

func execute(t testing.TB, program string, args []string) (code int, d *stemma.Decision, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var out struct {
		Decisions []*stemma.Decision `json:"decisions"`
		Exit      int                `json:"exit"`
	}
	if err := json.Unmarshal(o.Bytes(), &out); err == nil && len(out.Decisions) == 1 && out.Exit == cmd.ProcessState.ExitCode() {
		d = out.Decisions[0]
	}
	return cmd.ProcessState.ExitCode(), d, e.String()
}

func TestReg_B04_subjects(t *testing.T) {
	sum := func(s *stage) string { return fmt.Sprintf("%x", sha512.Sum512(s.image.Manifest)) }
	const other512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
	many := func(n int) func(s *stage) []stemma.ResourceDescriptor {
		return func(s *stage) []stemma.ResourceDescriptor {
			out := make([]stemma.ResourceDescriptor, n)
			for i := range out {
				out[i] = descriptor("sha256", stemma.SHA256(fmt.Append(nil, i)).Hex())
			}
			out[n-1] = descriptor("sha256", s.hex())
			return out
		}
	}
	digests := func(n int) func(s *stage) []stemma.ResourceDescriptor {
		return func(s *stage) []stemma.ResourceDescriptor {
			d := descriptor("sha256", s.hex())
			for i := range n - 1 {
				d.Digest[fmt.Sprintf("other%d", i)] = "x"
			}
			return []stemma.ResourceDescriptor{d}
		}
	}
	one := func(pairs func(s *stage) []string) func(s *stage) []stemma.ResourceDescriptor {
		return func(s *stage) []stemma.ResourceDescriptor {
			return []stemma.ResourceDescriptor{descriptor(pairs(s)...)}
		}
	}
	const mismatch = stemma.ReasonSubjectMismatch
	var cases []reg
	for _, c := range []struct {
		name     string
		subjects func(s *stage) []stemma.ResourceDescriptor
		want     want
	}{
		{"second of two", many(2), want{}},
		{"B04 go-witness pgpm/conflicting digests", one(func(s *stage) []string { return []string{"sha256", s.hex(), "sha512", other512} }), rejected(stemma.ReasonSubjectConflict)},
		{"B04 conflict in the second subject", func(s *stage) []stemma.ResourceDescriptor {
			return []stemma.ResourceDescriptor{descriptor("sha256", s.hex()), descriptor("sha256", s.hex(), "sha512", other512)}
		}, rejected(stemma.ReasonSubjectConflict)},
		{"B04 digests that agree", one(func(s *stage) []string { return []string{"sha256", s.hex(), "sha512", sum(s)} }), want{}},
		{"B05 weak digests only", one(func(s *stage) []string {
			return []string{"sha1", fmt.Sprintf("%x", sha1.Sum(s.image.Manifest)), "md5", fmt.Sprintf("%x", md5.Sum(s.image.Manifest))}
		}), rejected(mismatch)},
		{"B06 GHSA-mhg6/value under another algorithm", one(func(s *stage) []string { return []string{"sha512", s.hex()} }), rejected(mismatch)},
		{"B06 unknown algorithm", one(func(s *stage) []string { return []string{"SHA256", s.hex()} }), rejected(mismatch)},
		{"B07 upper case", one(func(s *stage) []string { return []string{"sha256", strings.ToUpper(s.hex())} }), rejected(mismatch)},
		{"B07 prefix inside", one(func(s *stage) []string { return []string{"sha256", "sha256:" + s.hex()} }), rejected(mismatch)},
		{"B07 63 digits", one(func(s *stage) []string { return []string{"sha256", s.hex()[:63]} }), rejected(mismatch)},
		{"B07 space", one(func(s *stage) []string { return []string{"sha256", s.hex() + " "} }), rejected(mismatch)},
		{"B08 arn beside", one(func(s *stage) []string { return []string{"arn", "arn:aws:ecr:::x", "sha256", s.hex()} }), want{}},
		{"B08 subject with arn only beside", func(s *stage) []stemma.ResourceDescriptor {
			return []stemma.ResourceDescriptor{descriptor("arn", "arn:aws:ecr:::x"), descriptor("sha256", s.hex())}
		}, want{}},
		{"B09 name only", func(s *stage) []stemma.ResourceDescriptor {
			return []stemma.ResourceDescriptor{{Name: "ghcr.io/acme/app@" + string(s.image.Digest())}}
		}, rejected(mismatch)},
		{"B09 empty value", one(func(*stage) []string { return []string{"sha256", ""} }), rejected(mismatch)},
		{"B10 no subject", func(*stage) []stemma.ResourceDescriptor { return []stemma.ResourceDescriptor{} }, rejected(stemma.ReasonMalformed)},
		{"B10 null", func(*stage) []stemma.ResourceDescriptor { return nil }, rejected(stemma.ReasonMalformed)},
		{"1024 subjects", many(1024), want{}},
		{"B11 CVE-2024-45395/1025 subjects", many(1025), rejected(stemma.ReasonLimit)},
		{"16 digests", digests(16), want{}},
		{"B11 33 digests", digests(33), rejected(stemma.ReasonLimit)},
	} {
		cases = append(cases, reg{name: c.name, play: about(c.subjects), want: c.want})
	}
	cases = append(cases, reg{name: "B10 missing", want: rejected(stemma.ReasonMalformed), vary: stemmatest.Vary{Payload: func(b []byte) []byte {
		return []byte(in(string(b), `"subject":`, `"subjects":`))
	}}})
	play(t, cases...)
}

// ratify#101, harbor#23540: who attested an index attested no child of it, and the other way round. Nothing is
// inherited.
func TestReg_B12_index_and_child(t *testing.T) {
	child := func(s *stage) stemma.Digest { return stemma.Digest(s.image.Children[0].Digest) }
	ask := func(s *stage, d stemma.Digest) { s.request.Image = "ghcr.io/acme/app@" + string(d) }
	aboutChild := func(s *stage) *stemmatest.Signed {
		return s.attest(stemmatest.Vary{Statement: func(st *stemmatest.Statement) {
			st.Subject = []stemma.ResourceDescriptor{stemmatest.Subject("ghcr.io/acme/app", child(s))}
		}})
	}
	to := func(s *stage, d stemma.Digest, x *stemmatest.Signed) {
		a := stemmatest.BundleArtifact(x)
		c := s.image.Children[slices.IndexFunc(s.image.Children, func(c v1.Descriptor) bool { return string(c.Digest) == string(d) })]
		a.Subject = &c
		s.image.AttachReferrer(a)
	}
	whole := func(s *stage) { to(s, child(s), aboutChild(s)); ask(s, child(s)) }
	play(
		t,
		reg{name: "B12 child of an attested index", play: func(s *stage) {
			s.attach(stemmatest.Vary{})
			ask(s, child(s))
		}, want: fails("image.authentic", stemma.ReasonNoEvidence)},
		reg{name: "B12 statement about the index filed under the child", control: whole, play: func(s *stage) {
			to(s, child(s), s.attest(stemmatest.Vary{}))
			ask(s, child(s))
		}, want: rejected(stemma.ReasonSubjectMismatch)},
		reg{name: "B12 statement about the index as a file beside the child", control: whole, play: func(s *stage) {
			s.request.Evidence = []policy.File{{Name: "f", Data: s.attest(stemmatest.Vary{}).Bundle()}}
			ask(s, child(s))
		}, want: rejected(stemma.ReasonSubjectMismatch)},
		reg{name: "index of attested children", play: func(s *stage) {
			to(s, child(s), aboutChild(s))
		}, want: fails("image.authentic", stemma.ReasonNoEvidence)},
		reg{name: "statement about the child filed under the index", play: func(s *stage) {
			s.Attach(s.image, aboutChild(s))
		}, want: rejected(stemma.ReasonSubjectMismatch)},
		reg{name: "B13 child of another index", play: func(s *stage) {
			s.attach(stemmatest.Vary{})
			ask(s, stemma.Digest(s.Image.Children[0].Digest))
		}, want: fails("image.authentic", stemma.ReasonNoEvidence)},
	)
}

// cosign claims: what a simple signing payload says.
func TestReg_B17_simple_signing(t *testing.T) {
	sig := func(edit func(s *stage, payload string) string) func(s *stage) {
		return func(s *stage) {
			payload := edit(s, string(stemmatest.SimpleSigning("ghcr.io/acme/app", s.image.Digest())))
			x := must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: s.Build}, []byte(payload)))
			s.image.AttachCosign(".sig", must[stemmatest.Layer](s)(x.CosignSignature()))
		}
	}
	plain := sig(func(_ *stage, p string) string { return p })
	var cases []reg
	for name, c := range map[string]struct {
		edit func(s *stage, p string) string
		want want
	}{
		"digest of another image":         {func(s *stage, p string) string { return in(p, s.hex(), s.Image.Digest().Hex()) }, rejected(stemma.ReasonSubjectMismatch)},
		"reference of another repository": {func(_ *stage, p string) string { return in(p, "acme/app", "evil/app") }, fails("image.authentic", stemma.ReasonSubjectMismatch)},
		"type of another tool":            {func(_ *stage, p string) string { return in(p, "cosign container", "atomic container") }, rejected(stemma.ReasonUnsupported)},
		"no digest":                       {func(_ *stage, p string) string { return in(p, "docker-manifest-digest", "digest") }, rejected(stemma.ReasonMalformed)},
		"digest twice":                    {func(_ *stage, p string) string { return in(p, `"image":`, `"image":{},"image":`) }, rejected(stemma.ReasonMalformed)},
		"digest in upper case":            {func(s *stage, p string) string { return in(p, s.hex(), strings.ToUpper(s.hex())) }, rejected(stemma.ReasonMalformed)},
	} {
		cases = append(cases, reg{name: name, policy: signing, control: plain, play: sig(c.edit), want: c.want})
	}
	cases = append(cases, reg{name: "payload changed after signing", policy: signing, control: plain, want: rejected(stemma.ReasonSignatureInvalid), play: func(s *stage) {
		x := must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: s.Build}, stemmatest.SimpleSigning("ghcr.io/acme/app", s.Image.Digest())))
		x.Message = stemmatest.SimpleSigning("ghcr.io/acme/app", s.image.Digest())
		s.image.AttachCosign(".sig", must[stemmatest.Layer](s)(x.CosignSignature()))
	}})
	play(t, cases...)
}
