package verify_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

// Group J of the regression cases: what parsers are fed.

// text is a bundle whose text is changed after it was made.
func text(name string, r stemma.Reason, edit func(string) string) reg {
	return reg{name: "bundle/" + name, want: rejected(r), play: func(s *stage) {
		before := string(s.attest(stemmatest.Vary{}).Bundle())
		after := edit(before)
		if before == after {
			s.Fatal("nothing was changed")
		}
		s.image.AttachReferrer(stemmatest.Artifact{Type: stemmatest.MediaTypeV03, Layers: []stemmatest.Layer{{MediaType: stemmatest.MediaTypeV03, Data: []byte(after)}}})
	}}
}

// payload is a statement whose text is changed before it is signed.
func payload(name string, r stemma.Reason, edit func(string) string) reg {
	return reg{name: "statement/" + name, want: rejected(r), vary: stemmatest.Vary{Payload: func(b []byte) []byte {
		return []byte(edit(string(b)))
	}}}
}

func swap(old, new string) func(string) string {
	return func(s string) string { return in(s, old, new) }
}

const (
	malformed   = stemma.ReasonMalformed
	unsupported = stemma.ReasonUnsupported
)

// gitsign#44309, Trail of Bits: a name twice, of which one reader takes the first and another the last.
func TestReg_J01_duplicate_names(t *testing.T) {
	play(
		t,
		text("mediaType", malformed, swap(`{"`, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","`)),
		text("envelope", malformed, swap(`"dsseEnvelope":`, `"dsseEnvelope":{},"dsseEnvelope":`)),
		text("payload", malformed, swap(`"payload":`, `"payload":"e30=","payload":`)),
		text("payload, escaped", malformed, swap(`"payload":`, `"\u0070ayload":"e30=","payload":`)),
		text("in a log entry", malformed, swap(`"logIndex":`, `"logIndex":"1","logIndex":`)),
		payload("subject", malformed, swap(`"subject":`, `"subject":[],"subject":`)),
		payload("predicateType", malformed, swap(`"predicateType":`, `"predicateType":"x","predicateType":`)),
		payload("in predicate", malformed, swap(`"buildType":`, `"buildType":"x","buildType":`)),
		payload("digest", malformed, swap(`"sha256":`, `"sha256":"x","sha256":`)),
	)
	// In a manifest, the image's own and that of its evidence.
	s := newStage(t)
	s.attach(stemmatest.Vary{})
	s.expect(want{})
	twice := bytes.Replace(s.image.Manifest, []byte(`"manifests":`), []byte(`"manifests":[],"manifests":`), 1)
	d := s.Registry.PutManifest(stemmatest.Repository, string(s.image.Descriptor.MediaType), twice, "twice")
	s.request.Image = "ghcr.io/acme/app@" + string(d.Digest)
	var failure *verify.Error
	if r, err := s.run(); r != nil || !errors.As(err, &failure) || failure.Kind == verify.Internal {
		t.Errorf("manifest with a name twice: result %v, error %v", r, err)
	}
}

// Trail of Bits; client specification (J10): names in another case, in snake_case, enums as numbers.
func TestReg_J02_names(t *testing.T) {
	play(
		t,
		text("another case alone", malformed, swap(`"dsseEnvelope"`, `"DsseEnvelope"`)),
		text("another case beside", malformed, swap(`"dsseEnvelope":`, `"DSSEENVELOPE":{},"dsseEnvelope":`)),
		text("J10 dsse_envelope", malformed, swap(`"dsseEnvelope"`, `"dsse_envelope"`)),
		text("J10 beside", malformed, swap(`"dsseEnvelope":`, `"dsse_envelope":{},"dsseEnvelope":`)),
		text("J10 raw_bytes", malformed, swap(`"rawBytes"`, `"raw_bytes"`)),
		text("J10 tlog_entries", malformed, swap(`"tlogEntries"`, `"tlog_entries"`)),
		payload("Subject", malformed, swap(`"subject"`, `"Subject"`)),
		payload("SUBJECT beside", malformed, swap(`"subject":`, `"SUBJECT":[],"subject":`)),
		payload("predicatetype", malformed, swap(`"predicateType"`, `"predicatetype"`)),
		payload("predicate_type", malformed, swap(`"predicateType"`, `"predicate_type"`)),
		payload("type", malformed, swap(`"_type"`, `"type"`)),
		reg{name: "J10 hash algorithm as a number", policy: signing, want: rejected(malformed), control: func(s *stage) {
			s.Attach(s.image, must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: s.Build}, s.image.Manifest)))
		}, play: func(s *stage) {
			x := must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: s.Build}, s.image.Manifest))
			data := in(string(x.Bundle()), `"SHA2_256"`, `1`)
			s.image.AttachReferrer(stemmatest.Artifact{Type: stemmatest.MediaTypeV03, Layers: []stemmatest.Layer{{MediaType: stemmatest.MediaTypeV03, Data: []byte(data)}}})
		}},
	)
}

// each yields every variant of a document in which one value is replaced, and the pointer to it.
func each(t testing.TB, data []byte, with func(pointer string, v any) []any, yield func(pointer string, variant []byte)) {
	t.Helper()
	var doc any
	check(t, json.Unmarshal(data, &doc))
	var walk func(pointer string, v any, set func(any))
	walk = func(pointer string, v any, set func(any)) {
		for _, r := range with(pointer, v) {
			set(r)
			yield(pointer, must[[]byte](t)(json.Marshal(doc)))
			set(v)
		}
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(pointer+"/"+k, v[k], func(r any) { v[k] = r })
			}
		case []any:
			for i := range v {
				walk(fmt.Sprintf("%s/%d", pointer, i), v[i], func(r any) { v[i] = r })
			}
		}
	}
	walk("", doc, func(r any) { doc = r })
}

// types are a null and one value of every other type (rekor, go-tuf and kyverno panics; conforma IV-3).
func types(string, any) []any { return []any{nil, 1.5, "x", []any{}, map[string]any{}, true} }

// J03, J04 of what is signed: the statement. Bundles are in TestReg_J15_mutations. Without what it needs it is refused,
// and nothing makes a judge panic; what is said of the source stays what the certificate says.
func TestReg_J03_null_and_types(t *testing.T) {
	s := newStage(t)
	base := s.attest(stemmatest.Vary{})
	v := must[*verify.Verifier](t)(s.verifier())
	needed := []string{
		"", "/_type", "/predicateType", "/subject", "/subject/0", "/subject/0/digest", "/subject/0/digest/sha256", "/predicate",
		"/predicate/buildDefinition", "/predicate/buildDefinition/buildType", "/predicate/runDetails", "/predicate/runDetails/builder", "/predicate/runDetails/builder/id",
	}
	allowed, denied := 0, 0
	each(t, base.Envelope.Payload, types, func(pointer string, variant []byte) {
		x := must[*stemmatest.Signed](t)(s.Sigstore.Attest(stemmatest.Sign{With: base.Signer}, variant))
		r := s.judge(v, x.Bundle())
		if r == nil {
			return
		}
		if r.Decision.Verdict != stemma.Allow {
			denied++
			return
		}
		allowed++
		// A build type that is not known is read by what all builders have in common.
		if p := r.Evidence.Provenance[0]; slices.Contains(needed, pointer) && p.Known != "" || p.Value(stemma.FieldRepository) != "github.com/acme/app" {
			t.Errorf("%s: allowed: %s", pointer, variant)
		}
	})
	if allowed == 0 || denied < 100 {
		t.Errorf("%d statements allowed, %d denied", allowed, denied)
	}
	t.Logf("%d statements: %d denied, %d allowed that lack what nobody needs", allowed+denied, denied, allowed)
}

// judge verifies the image with one file of evidence, and wants an answer that is no panic.
func (s *stage) judge(v *verify.Verifier, lines ...[]byte) *verify.Result {
	s.Helper()
	request := s.request
	request.Evidence = []policy.File{{Name: "evidence", Data: bytes.Join(lines, []byte("\n"))}}
	r, err := v.Verify(context.Background(), request)
	if err != nil {
		s.Errorf("no decision: %v", err)
		return nil
	}
	for _, rejection := range r.Evidence.Rejected {
		if strings.Contains(rejection.Detail, "panicked") {
			s.Errorf("panic: %s", rejection.Detail)
		}
	}
	for _, f := range r.Decision.Findings {
		if strings.Contains(f.Detail, "internal error") {
			s.Errorf("panic: %s", f.Detail)
		}
	}
	return r
}

// GHSA-74fp (J05), structpb (J06), and what is no JSON (J07, J08).
func TestReg_J05_json_bounds(t *testing.T) {
	nested := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	index := func(value string) func(string) string {
		return func(s string) string {
			before, rest, _ := strings.Cut(s, `"logIndex":"`)
			_, after, _ := strings.Cut(rest, `"`)
			return before + `"logIndex":` + value + after
		}
	}
	cases := []reg{
		text("J05 nested", stemma.ReasonLimit, swap(`{"`, `{"x":`+nested+`,"`)),
		payload("J05 nested", stemma.ReasonLimit, swap(`"predicate":{`, `"predicate":{"x":`+nested+`,`)),
		text("J07 byte-order mark", malformed, func(s string) string { return "\ufeff" + s }),
		text("J07 NUL", malformed, func(s string) string { return s + "\x00" }),
		text("J07 invalid UTF-8", malformed, swap(`{"`, "{\"\xff\":1,\"")),
		text("J07 lone surrogate", malformed, swap(`{"`, `{"\ud800":1,"`)),
		text("J08 second document", malformed, func(s string) string { return s + "\n" + s }),
		text("J08 trailing comma", malformed, func(s string) string { return strings.TrimSuffix(s, "}") + ",}" }),
		text("cut", malformed, func(s string) string { return s[:len(s)/2] }),
		payload("J07 byte-order mark", malformed, func(s string) string { return "\ufeff" + s }),
		payload("J07 invalid UTF-8", malformed, swap(`"name":"ghcr.io`, "\"name\":\"\xff")),
		payload("J07 lone surrogate", malformed, swap(`"name":"ghcr.io`, `"name":"\ud800`)),
		payload("J08 second document", malformed, func(s string) string { return s + s }),
		payload("empty", malformed, func(string) string { return "" }),
		{name: "statement/J07 NFD in a repository", want: fails("provenance.consistent", stemma.ReasonContradiction), control: func(s *stage) { s.attach(stemmatest.Vary{}) }, vary: stemmatest.Vary{
			Statement: func(st *stemmatest.Statement) {
				st.Set("/buildDefinition/externalParameters/workflow/ref", "refs/tags/v2.0.0\u0301")
			},
		}},
	}
	for name, value := range map[string]string{
		"1e400": "1e400", "2^63": `"9223372036854775808"`, "-0": "-0", "-1": `"-1"`, "fraction": "1.0", "hex": `"0x10"`, "leading zero": `"007"`, "plus": `"+7"`, "empty": `""`,
	} {
		cases = append(cases, text("J06 "+name, malformed, index(value)))
	}
	play(t, cases...)

	// J06: numbers of which a reader with floating point makes the same.
	s := newStage(t)
	id := func(number string) stemmatest.Vary {
		return stemmatest.Vary{Payload: func(b []byte) []byte {
			return []byte(in(string(b), `"invocationId":"https://github.com/acme/app/actions/runs/15920000001/attempts/1"`, `"invocationId":`+number))
		}}
	}
	s.attach(id("15920000001"))
	s.expect(want{})
	for _, number := range []string{"15920000001.0", "1.5920000001e10", "15920000002", "9007199254740993"} {
		s = newStage(t)
		s.attach(id(number))
		if r, err := s.run(); err != nil || r.Decision.Verdict != stemma.Deny {
			t.Errorf("run %s: error %v, decision %+v", number, err, r)
		}
	}
}

// dsse b64Decode: one form of base64, and the bytes that are hashed are those that were decoded.
func TestReg_J09_base64(t *testing.T) {
	field := func(name string, edit func(string) string) func(string) string {
		return func(s string) string {
			before, rest, _ := strings.Cut(s, `"`+name+`":"`)
			value, after, _ := strings.Cut(rest, `"`)
			return before + `"` + name + `":"` + edit(value) + `"` + after
		}
	}
	pad := func(v string) string { return v + "=" }
	unpad := func(v string) string { return strings.TrimRight(v, "=") }
	fold := func(v string) string { return v[:40] + `\n` + v[40:] }
	space := func(v string) string { return v[:40] + " " + v[40:] }
	// The last letter of what is padded holds bits that no byte takes up.
	loose := func(v string) string {
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
		core := strings.TrimRight(v, "=")
		return core[:len(core)-1] + string(letters[strings.IndexByte(letters, core[len(core)-1])|1]) + v[len(core):]
	}
	cases := []reg{}
	for _, name := range []string{"payload", "sig", "rawBytes", "canonicalizedBody", "signedTimestamp"} {
		cases = append(
			cases,
			text(name+", one letter too many", malformed, field(name, pad)),
			text(name+", folded", malformed, field(name, fold)),
			text(name+", spaced", malformed, field(name, space)),
			text(name+", another alphabet", malformed, field(name, func(v string) string { return v[:8] + "-_-_" + v[12:] })),
		)
	}
	play(t, cases...)
	for _, c := range []struct {
		name string
		edit func(string) string
	}{{"without padding", unpad}, {"loose bits", loose}} {
		s := newStage(t)
		x := s.attest(stemmatest.Vary{})
		for len(x.Envelope.Payload)%3 != 1 { // so that there is padding
			x = s.attest(stemmatest.Vary{Payload: func([]byte) []byte { return append(x.Envelope.Payload, ' ') }})
		}
		v := must[*verify.Verifier](t)(s.verifier())
		if r := s.judge(v, x.Bundle()); r.Decision.Verdict != stemma.Allow {
			t.Fatalf("control: %s", findings(r.Decision))
		}
		r := s.judge(v, []byte(field("payload", c.edit)(string(x.Bundle()))))
		s.compare(r, rejected(malformed))
		if _, err := base64.StdEncoding.DecodeString(c.edit("YQ==")); c.name == "loose bits" && err != nil {
			t.Error("the common reader refuses this by itself: the case shows nothing")
		}
	}
}

// Conformance: versions of a bundle that are not known.
func TestReg_J17_version(t *testing.T) {
	var cases []reg
	for _, mediaType := range []string{
		"application/vnd.dev.sigstore.bundle.v0.4+json", "application/vnd.dev.sigstore.bundle+json;version=99.9", "application/vnd.dev.sigstore.bundle.v0.3.1+json",
		"application/vnd.dev.sigstore.bundle.v0.2+json", "application/vnd.dev.sigstore.bundle+json; version=0.3", "Application/vnd.dev.sigstore.bundle.v0.3+json", "",
	} {
		cases = append(cases, text(mediaType, unsupported, swap(`"`+stemmatest.MediaTypeV03+`"`, `"`+mediaType+`"`)))
	}
	cases = append(cases, text("none", unsupported, swap(`"mediaType":"`+stemmatest.MediaTypeV03+`",`, "")))
	play(t, cases...)
}

// oracle tries mutants of evidence on an image that has no other.
type oracle struct {
	*stage
	verifier       *verify.Verifier
	base           stemma.Attestation
	seen           map[stemma.Digest]bool
	lines          [][]byte
	tried, allowed int
}

func newOracle(t *testing.T, text string, make func(s *stage) []byte) (*oracle, []byte) {
	t.Helper()
	s := newStage(t)
	s.policy = text
	s.image = must[*stemmatest.Image](t)(s.Registry.PutImage(stemmatest.ImageSpec{Repository: stemmatest.Repository, Tags: []string{"single"}, Single: true, Content: "single"}))
	s.request.Image = "ghcr.io/acme/app:single"
	data := make(s)
	o := &oracle{stage: s, verifier: must[*verify.Verifier](t)(s.verifier()), seen: map[stemma.Digest]bool{stemma.SHA256(data): true}}
	r := s.judge(o.verifier, data)
	if r.Decision.Verdict != stemma.Allow || len(r.Evidence.Attestations) != 1 {
		t.Fatalf("the seed is not allowed:\n%s%s", findings(r.Decision), refusals(r.Evidence))
	}
	o.base = r.Evidence.Attestations[0]
	return o, data
}

// try keeps a mutant for the next look, in which many are tried at once: each must be refused by itself.
func (o *oracle) try(data []byte) {
	if id := stemma.SHA256(data); !o.seen[id] {
		o.seen[id] = true
		o.lines = append(o.lines, bytes.Clone(data))
	}
	if len(o.lines) == 200 {
		o.flush()
	}
}

func (o *oracle) flush() {
	o.Helper()
	if len(o.lines) == 0 {
		return
	}
	// The first line is JSON by itself, which tells a file of lines from a document.
	r := o.judge(o.verifier, append([][]byte{[]byte("{}")}, o.lines...)...)
	e := r.Evidence
	if n := len(e.Attestations) + len(e.Rejected) + len(e.Unsigned); n != len(o.lines)+1 {
		o.Errorf("%d mutants, and an answer about %d", len(o.lines), n-1)
	}
	if r.Decision.Verdict == stemma.Allow && len(e.Attestations) == 0 {
		o.Errorf("allowed without evidence")
	}
	for _, a := range e.Attestations {
		if !same(o.base, a) {
			o.Errorf("accepted, and it says something else than the seed:\n%+v\n%+v", a, o.base)
		}
	}
	o.tried += len(o.lines)
	o.allowed += len(e.Attestations)
	o.lines = nil
}

// same reports whether two attestations are of one statement, by one signer, of one image.
func same(a, b stemma.Attestation) bool {
	say := func(a stemma.Attestation) string {
		b, err := json.Marshal([]any{a.Statement, a.Signer, a.Cosigners, a.Binding, a.Signature})
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	return say(a) == say(b)
}

// long asks for every mutant, which takes a few minutes.
var long = flag.Bool("long", false, "try every mutation at every byte")

// J15, with J03 and J04 of bundles: one byte after the other is flipped and left out, each member dropped, made null and
// of every other type, and each exchanged for that of another good bundle. Nothing of it is ever allowed, unless it says
// the same by the same signer: some bytes are neither signed nor needed.
func TestReg_J15_mutations(t *testing.T) {
	key := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "ci-2026"))
	bundle := func(sign stemmatest.Sign) func(s *stage) []byte {
		return func(s *stage) []byte { return s.attest(signAs(sign)).Bundle() }
	}
	for name, c := range map[string]struct {
		policy string
		make   func(s *stage) []byte
	}{
		"bundle v0.3":        {trusting, bundle(stemmatest.Sign{})},
		"bundle v0.1":        {trusting, bundle(stemmatest.Sign{MediaType: stemmatest.MediaTypeV01, Entry: stemmatest.EntryInToto002})},
		"bundle of Rekor v2": {trusting, bundle(stemmatest.Sign{Entry: stemmatest.EntryHashedRekord002})},
		"bundle of a manifest": {signing, func(s *stage) []byte {
			return must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: s.Build}, s.image.Manifest)).Bundle()
		}},
		"envelope": {keyed(key), func(s *stage) []byte {
			return must[*stemmatest.Envelope](s)(stemmatest.Seal(stemmatest.PayloadTypeInToto, generic(s.Subject(s.image)).JSON(), key)).JSON()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, data := newOracle(t, c.policy, c.make)
			step := 5
			switch {
			case testing.Short():
				step = 37
			case *long, name == "bundle v0.3", name == "envelope":
				step = 1
			}
			for i := 0; i < len(data); i += step {
				for kind, mutate := range []func([]byte) []byte{
					func(b []byte) []byte { b[i] ^= 0x01; return b },
					func(b []byte) []byte { b[i] ^= 0x20; return b },
					func(b []byte) []byte { return slices.Delete(b, i, i+1) },
				} {
					if *long || (i/step)%3 == kind { // every byte in one of the ways, or in all
						o.try(mutate(bytes.Clone(data)))
					}
				}
			}
			each(t, data, types, func(_ string, variant []byte) { o.try(variant) })
			drop(t, data, o.try)
			for range 2 { // by another certificate of the same identity
				splice(t, data, c.make(o.stage), o.try)
			}
			o.flush()
			if o.allowed*20 > o.tried && !testing.Short() {
				t.Errorf("%d of %d mutants are harmless: more is unsigned than is known", o.allowed, o.tried)
			}
			t.Logf("%d mutants, %d of them harmless", o.tried, o.allowed)
		})
	}
}

// drop yields the document without each of its members and elements.
func drop(t testing.TB, data []byte, yield func([]byte)) {
	t.Helper()
	each(t, data, func(_ string, v any) []any {
		var out []any
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				less := maps.Clone(v)
				delete(less, k)
				out = append(out, less)
			}
		case []any:
			for i := range v {
				out = append(out, slices.Delete(slices.Clone(v), i, i+1), append(slices.Clone(v), v[i]))
			}
		}
		return out
	}, func(_ string, variant []byte) { yield(variant) })
}

// splice yields the document with each member in turn taken from another.
func splice(t testing.TB, data, other []byte, yield func([]byte)) {
	t.Helper()
	donor := map[string]any{}
	each(t, other, func(pointer string, v any) []any { donor[pointer] = v; return nil }, nil)
	each(t, data, func(pointer string, _ any) []any {
		if v, ok := donor[pointer]; ok && pointer != "" {
			return []any{v}
		}
		return nil
	}, func(_ string, variant []byte) { yield(variant) })
}

// J15 of what is kept in annotations (cosign): each is dropped, emptied, and taken from another good piece.
func TestReg_J15_annotations(t *testing.T) {
	for name, sign := range map[string]stemmatest.Sign{
		"intoto 0.0.1": {MediaType: stemmatest.MediaTypeDSSE, Entry: stemmatest.EntryInToto001}, "dsse 0.0.1": {MediaType: stemmatest.MediaTypeDSSE},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			layer := func(v stemmatest.Vary) stemmatest.Layer {
				return must[stemmatest.Layer](t)(s.attest(v).CosignAttestation())
			}
			good := layer(signAs(sign))
			s.image.AttachCosign(".att", good)
			base := s.expect(want{}).Evidence.Attestations[0]
			other := layer(signAs(sign))
			allowed := map[string]bool{}
			for name := range good.Annotations {
				for what, value := range map[string]string{"another's": other.Annotations[name], "empty": "", "{}": "{}", "x": "x", "none": "\x00"} {
					if value == good.Annotations[name] {
						continue
					}
					l := good
					l.Annotations = maps.Clone(good.Annotations)
					if l.Annotations[name] = value; value == "\x00" {
						delete(l.Annotations, name)
					}
					s.image.AttachCosign(".att", l)
					r, err := s.run()
					check(t, err)
					if r.Decision.Verdict != stemma.Allow {
						continue
					}
					allowed[name+" "+what] = true
					if !same(base, r.Evidence.Attestations[0]) {
						t.Errorf("%s %s: allowed, and it says something else", name, what)
					}
				}
			}
			for _, name := range []string{"dev.sigstore.cosign/certificate", "dev.sigstore.cosign/bundle"} {
				for _, what := range []string{"another's", "empty", "{}", "x", "none"} {
					if allowed[name+" "+what] {
						t.Errorf("%s %s: allowed", name, what)
					}
				}
			}
		})
	}
}

// FuzzVerifyEvidenceFile: whatever the file, an image that nobody signed is not allowed.
func FuzzVerifyEvidenceFile(f *testing.F) {
	s := newStage(f)
	v := must[*verify.Verifier](f)(s.verifier())
	sibling := s.Provenance.Bundle()
	statement := stemmatest.ActionsAttest(s.Build, s.Subject(s.image)).JSON()
	for _, seed := range [][]byte{
		nil, []byte("{}"), sibling, bytes.ReplaceAll(sibling, []byte(s.Image.Digest().Hex()), []byte(s.hex())), s.SBOM.Bundle(), statement,
		must[*stemmatest.Envelope](f)(stemmatest.Seal(stemmatest.PayloadTypeInToto, statement)).JSON(), bytes.Join([][]byte{sibling, statement, []byte("{}")}, []byte("\n")),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		request := s.request
		request.Evidence = []policy.File{{Name: "fuzz", Data: data}}
		r, err := v.Verify(context.Background(), request)
		var failure *verify.Error
		switch {
		case err == nil && r.Decision.Verdict != stemma.Deny:
			t.Fatalf("verdict %s", r.Decision.Verdict)
		case err != nil && (!errors.As(err, &failure) || failure.Kind == verify.Internal):
			t.Fatal(err)
		}
	})
}
