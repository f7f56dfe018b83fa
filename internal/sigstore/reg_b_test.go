package sigstore

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"stemma"
	"stemma/stemmatest"
)

// Group B: evidence that is genuine in all, and about something else. Each case is tried as a bundle and in cosign's
// layout (B03), with the image at hand and by its digest.
func TestReg_B01_binding(t *testing.T) {
	w := newWorld(t)
	a := authenticator(t, w.domain(t))
	mine := w.image.Digest.Hex()
	other := stemma.SHA256([]byte("another image")).Hex()
	sum512 := sha512.Sum512(w.image.Content)
	mine512 := hex.EncodeToString(sum512[:])
	other512 := fmt.Sprintf("%x", sha512.Sum512([]byte("another image")))
	weak1, weak5 := fmt.Sprintf("%x", sha1.Sum(w.image.Content)), fmt.Sprintf("%x", md5.Sum(w.image.Content))
	subject := func(pairs ...string) stemma.ResourceDescriptor {
		d := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			d[pairs[i]] = pairs[i+1]
		}
		return stemma.ResourceDescriptor{Name: "ghcr.io/acme/app", Digest: d}
	}
	many := func(n int) []stemma.ResourceDescriptor {
		out := make([]stemma.ResourceDescriptor, n)
		for i := range out {
			out[i] = subject("sha256", stemma.SHA256(fmt.Append(nil, i)).Hex())
		}
		out[n-1] = subject("sha256", mine)
		return out
	}
	digests := func(n int) []stemma.ResourceDescriptor {
		d := subject("sha256", mine)
		for i := range n - 1 {
			d.Digest[fmt.Sprintf("other%d", i)] = "x"
		}
		return []stemma.ResourceDescriptor{d}
	}
	const mismatch = stemma.ReasonSubjectMismatch
	for _, c := range []struct {
		name     string
		subjects []stemma.ResourceDescriptor
		full     stemma.Reason // with the content
		digest   stemma.Reason // by digest
	}{
		{"control", []stemma.ResourceDescriptor{subject("sha256", mine)}, "", ""},
		{"B01 sibling image", []stemma.ResourceDescriptor{subject("sha256", other)}, mismatch, mismatch},
		{"second of two", []stemma.ResourceDescriptor{subject("sha256", other), subject("sha256", mine)}, "", ""},
		{"B04 conflicting digests", []stemma.ResourceDescriptor{subject("sha256", mine, "sha512", other512)}, stemma.ReasonSubjectConflict, stemma.ReasonSubjectConflict},
		{"agreeing digests", []stemma.ResourceDescriptor{subject("sha256", mine, "sha512", mine512)}, "", stemma.ReasonSubjectConflict},
		{"B05 weak digests only", []stemma.ResourceDescriptor{subject("sha1", weak1, "md5", weak5)}, mismatch, mismatch},
		{"B06 value under another algorithm", []stemma.ResourceDescriptor{subject("sha512", mine)}, mismatch, mismatch},
		{"B07 upper case", []stemma.ResourceDescriptor{subject("sha256", strings.ToUpper(mine))}, mismatch, mismatch},
		{"B07 prefixed", []stemma.ResourceDescriptor{subject("sha256", "sha256:"+mine)}, mismatch, mismatch},
		{"B07 63 digits", []stemma.ResourceDescriptor{subject("sha256", mine[:63])}, mismatch, mismatch},
		{"B07 space", []stemma.ResourceDescriptor{subject("sha256", mine+" ")}, mismatch, mismatch},
		{"B08 unknown digest beside", []stemma.ResourceDescriptor{subject("arn", "arn:aws:ecr:::x"), subject("sha256", mine, "gitCommit", "zz")}, "", ""},
		{"B09 name only", []stemma.ResourceDescriptor{{Name: "ghcr.io/acme/app@" + string(w.image.Digest)}}, mismatch, mismatch},
		{"B10 none", []stemma.ResourceDescriptor{}, stemma.ReasonMalformed, stemma.ReasonMalformed},
		{"1024 subjects", many(1024), "", ""},
		{"B11 1025 subjects", many(1025), stemma.ReasonLimit, stemma.ReasonLimit},
		{"16 digests", digests(16), "", ""},
		{"B11 33 digests", digests(33), stemma.ReasonLimit, stemma.ReasonLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := w.statement()
			s.Subject = c.subjects
			for _, raw := range []stemma.Raw{
				bundleOf(w.attest(t, stemmatest.Sign{}, s.JSON())),
				attLayer(t, w.attest(t, stemmatest.Sign{MediaType: stemmatest.MediaTypeDSSE}, s.JSON())),
			} {
				for art, want := range map[bool]stemma.Reason{true: c.full, false: c.digest} {
					artifact := w.image
					if !art {
						artifact.Content = nil
					}
					if want == "" {
						wantAccepted(t, a, raw, artifact)
					} else {
						wantRejected(t, a, raw, artifact, want)
					}
				}
			}
		})
	}
	for _, text := range []string{`null`, `{}`, `"x"`} {
		payload := strings.Replace(string(w.statement().JSON()), `"subject":[`, `"subject":`+text+`,"was":[`, 1)
		wantRejected(t, a, bundleOf(w.attest(t, stemmatest.Sign{}, []byte(payload))), w.image, stemma.ReasonMalformed)
	}
}

// B02 [GHSA-mhg6]: a mismatch is never dropped, cached or not, and in whatever order the images are asked for.
func TestReg_B02_result_kept(t *testing.T) {
	w := newWorld(t)
	a := must[*Authenticator](t)(New(Config{Domains: []*Domain{w.domain(t)}, CacheEntries: 8}))
	raw := bundleOf(w.attest(t, stemmatest.Sign{}, nil))
	other := Artifact{Digest: stemma.SHA256([]byte("another image"))}
	for range 3 {
		wantRejected(t, a, raw, other, stemma.ReasonSubjectMismatch)
		wantAccepted(t, a, raw, w.image)
	}
	wantRejected(t, a, raw, Artifact{}, stemma.ReasonSubjectMismatch)
	wantRejected(t, a, raw, Artifact{Digest: "sha256:"}, stemma.ReasonSubjectMismatch)
}

// B17 [cosign claims]: what a simple signing payload says.
func TestReg_B17_simple_signing(t *testing.T) {
	w := newWorld(t)
	a := authenticator(t, w.domain(t))
	payload := func(edit func(string) string) []byte {
		return []byte(edit(string(stemmatest.SimpleSigning("ghcr.io/acme/app", w.image.Digest))))
	}
	replace := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	for _, c := range []struct {
		name string
		edit func(string) string
		want stemma.Reason
	}{
		{"control", replace("", ""), ""},
		{"reference of another repository", replace("acme/app", "evil/app"), ""},
		{"digest of another image", replace(w.image.Digest.Hex(), stemma.SHA256(nil).Hex()), stemma.ReasonSubjectMismatch},
		{"digest in upper case", strings.ToUpper, stemma.ReasonMalformed},
		{"weak digest", replace("sha256:"+w.image.Digest.Hex(), "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"), stemma.ReasonMalformed},
		{"no image", replace(`"image"`, `"photo"`), stemma.ReasonMalformed},
		{"type of another tool", replace("cosign container image", "atomic container"), stemma.ReasonUnsupported},
		{"duplicate name", replace(`"image":`, `"image":{},"image":`), stemma.ReasonMalformed},
		{"name in another case", replace(`"image":`, `"Image":`), stemma.ReasonMalformed},
		{"bytes after it", func(s string) string { return s + "{}" }, stemma.ReasonMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := must[*stemmatest.Signed](t)(w.SignMessage(stemmatest.Sign{As: w.job}, payload(c.edit)))
			if c.want != "" {
				wantRejected(t, a, sigLayer(t, x), w.image, c.want)
				return
			}
			att := wantAccepted(t, a, sigLayer(t, x), Artifact{Digest: w.image.Digest})
			if !att.Signature || att.Format != "cosign-simple-signing" || !strings.HasSuffix(att.Binding.Subject.Name, "/app") {
				t.Errorf("%+v", att)
			}
			raw := sigLayer(t, x)
			raw.Data = append(raw.Data, ' ')
			wantRejected(t, a, raw, w.image, stemma.ReasonSignatureInvalid)
		})
	}
	x := must[*stemmatest.Signed](t)(w.SignMessage(stemmatest.Sign{As: w.job}, payload(replace("", ""))))
	y := must[*stemmatest.Signed](t)(w.SignMessage(stemmatest.Sign{With: x.Signer}, payload(replace("acme/app", "acme/b"))))
	for _, c := range []struct {
		name, annotation, value string
		want                    stemma.Reason
	}{
		{"entry of another payload", annotationBundle, sigLayer(t, y).Annotations[annotationBundle], stemma.ReasonLogMismatch},
		{"no entry", annotationBundle, "", stemma.ReasonLogMissing},
		{"entry is not JSON", annotationBundle, "x", stemma.ReasonMalformed},
		{"entry without promise", annotationBundle, `{"Payload":{"body":"e30=","integratedTime":1,"logIndex":1,"logID":"00"}}`, stemma.ReasonMalformed},
		{"timestamp of another signature", annotationTimestamp, sigLayer(t, y).Annotations[annotationTimestamp], stemma.ReasonTimestampInvalid},
		{"no timestamp", annotationTimestamp, "", stemma.ReasonTimeMissing},
		{"empty timestamp", annotationTimestamp, "{}", stemma.ReasonMalformed},
		{"no signature", annotationSignature, "", stemma.ReasonSignatureCount},
		{"signature of another payload", annotationSignature, sigLayer(t, y).Annotations[annotationSignature], stemma.ReasonSignatureInvalid},
		{"URL-safe base64", annotationSignature, strings.NewReplacer("+", "-", "/", "_").Replace(sigLayer(t, x).Annotations[annotationSignature]) + "_", stemma.ReasonMalformed},
		{"no certificate", annotationCertificate, "", stemma.ReasonSignerUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := sigLayer(t, x)
			raw.Annotations[c.annotation] = c.value
			wantRejected(t, a, raw, w.image, c.want)
		})
	}
}

// What cosign 3 signs when asked to sign an image is a signature, and no statement about it.
func TestCosignSignStatement(t *testing.T) {
	w := newWorld(t)
	s := w.statement()
	s.PredicateType, s.Predicate = stemma.PredicateCosignSign, map[string]any{}
	att := wantAccepted(t, authenticator(t, w.domain(t)), bundleOf(w.attest(t, stemmatest.Sign{}, s.JSON())), w.image)
	if !att.Signature || att.Statement.PredicateType != stemma.PredicateCosignSign {
		t.Errorf("signature %v, predicate type %s", att.Signature, att.Statement.PredicateType)
	}
}
