package sigstore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"stemma"
	"stemma/stemmatest"
)

func pkcs8(t testing.TB, key crypto.Signer) []byte {
	return must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func sealedKey(t testing.TB, kind string, key crypto.Signer, password string) []byte {
	return block(kind, must[[]byte](t)(encrypted.Encrypt(pkcs8(t, key), []byte(password))))
}

// What is signed with a key is a signature over that content, by that key, in a domain that has it, and nothing else.
func TestSign(t *testing.T) {
	w := newWorld(t)
	content := []byte("kind: PolicySet\n")
	for _, a := range []stemmatest.Algorithm{stemmatest.ECDSAP256, stemmatest.ECDSAP384, stemmatest.ECDSAP521, stemmatest.Ed25519, stemmatest.RSA2048} {
		t.Run(string(a), func(t *testing.T) {
			key, other := newKey(t, a, "release"), newKey(t, a, "release")
			private := must[*PrivateKey](t)(ReadPrivateKey(block("PRIVATE KEY", pkcs8(t, key.Key)), nil))
			if !bytes.Equal(private.PublicPEM(), key.PublicKeyPEM()) || private.ID() != stemma.SHA256(key.PublicKey()) {
				t.Error("another public key")
			}
			data := must[[]byte](t)(private.Sign(content, nil))
			stranger := stemma.ReasonSignerUnknown
			if a == stemmatest.Ed25519 {
				stranger = stemma.ReasonSignatureInvalid // the domain's only key is tried once the message is known
			}
			for _, c := range []struct {
				name    string
				key     *stemmatest.Signer
				content []byte
				data    []byte
				reason  stemma.Reason
			}{
				{"as signed", key, content, data, ""},
				{"of a domain with another key of that name", other, content, data, stranger},
				{"another file", key, []byte("kind: PolicySet \n"), data, stemma.ReasonSubjectMismatch},
				{"of a later bundle version", key, content, bytes.Replace(data, []byte("v0.3"), []byte("v0.9"), 1), stemma.ReasonUnsupported},
				{"twice", key, content, append(bytes.Clone(data), data...), stemma.ReasonMalformed},
			} {
				t.Run(c.name, func(t *testing.T) {
					auth := must[*Authenticator](t)(New(Config{Domains: []*Domain{w.domain(t, withKeys(c.key), offline)}}))
					got, rejection := auth.Authenticate(stemma.Raw{Data: c.data, Format: stemma.FormatBundle, Place: "file"}, Artifact{Digest: stemma.SHA256(c.content), Content: c.content, Now: time.Now()})
					switch {
					case c.reason == "" && (got == nil || !got.Signature || got.Statement.PredicateType != "" || got.Signer.KeyID != "release"):
						t.Errorf("not accepted: %+v", rejection)
					case c.reason != "" && (rejection == nil || rejection.Reason != c.reason):
						t.Errorf("got %+v, want %s", rejection, c.reason)
					}
				})
			}
		})
	}
}

// What other verifiers of Sigstore make of it: sigstore-go, which cosign verify-blob --bundle --key is made of.
func TestSignInterop(t *testing.T) {
	content := []byte("kind: PolicySet\n")
	for _, a := range []stemmatest.Algorithm{stemmatest.ECDSAP256, stemmatest.ECDSAP384, stemmatest.Ed25519} {
		t.Run(string(a), func(t *testing.T) {
			key := newKey(t, a, "")
			private := must[*PrivateKey](t)(ReadPrivateKey(block("PRIVATE KEY", pkcs8(t, key.Key)), nil))
			var b bundle.Bundle
			check(t, b.UnmarshalJSON(must[[]byte](t)(private.Sign(content, nil))))
			h := hashOf(key.Key.Public())
			verifier := must[signature.Verifier](t)(signature.LoadVerifier(key.Key.Public(), h))
			material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
				return root.NewExpiringKey(verifier, time.Time{}, time.Time{}), nil
			})
			v := must[*verify.Verifier](t)(verify.NewVerifier(material, verify.WithNoObserverTimestamps()))
			for text, want := range map[string]bool{string(content): true, "kind: PolicySet \n": false} {
				_, err := v.Verify(&b, verify.NewPolicy(verify.WithArtifact(strings.NewReader(text)), verify.WithKey()))
				if (err == nil) != want {
					t.Errorf("%q: %v", text, err)
				}
			}
		})
	}
}

func TestReadPrivateKey(t *testing.T) {
	key := newKey(t, stemmatest.ECDSAP256, "").Key
	sec1 := must[[]byte](t)(x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey)))
	plain := block("PRIVATE KEY", pkcs8(t, key))
	cosign := sealedKey(t, "ENCRYPTED SIGSTORE PRIVATE KEY", key, "open sesame")
	greedy := must[[]byte](t)(encrypted.Encrypt(pkcs8(t, key), []byte("x")))
	greedy = bytes.Replace(greedy, []byte(`"N":65536`), []byte(`"N":1073741824`), 1)
	for _, c := range []struct {
		name     string
		text     []byte
		password string
		want     string
	}{
		{"PKCS #8", plain, "", ""},
		{"SEC 1", block("EC PRIVATE KEY", sec1), "", ""},
		{"cosign", cosign, "open sesame", ""},
		{"cosign of old", sealedKey(t, "ENCRYPTED COSIGN PRIVATE KEY", key, ""), "", ""},
		{"wrong password", cosign, "open Sesame", "does not open it"},
		{"no password", cosign, "", "does not open it"},
		{"more work than the library takes on", block("ENCRYPTED SIGSTORE PRIVATE KEY", greedy), "x", "does not open it"},
		{"nothing", nil, "", "no PEM block"},
		{"no PEM", []byte("secret"), "", "no PEM block"},
		{"two keys", append(bytes.Clone(plain), plain...), "", "bytes after the PEM block"},
		{"public key", newKey(t, stemmatest.ECDSAP256, "").PublicKeyPEM(), "", "the public key"},
		{"PKCS #1", block("RSA PRIVATE KEY", []byte{0x30, 0}), "", "openssl pkcs8"},
		{"encrypted PKCS #8", block("ENCRYPTED PRIVATE KEY", []byte{0x30, 0}), "", "openssl pkcs8"},
		{"no key in it", block("PRIVATE KEY", []byte{0x30, 0}), "", "asn1"},
		{"weak curve", block("PRIVATE KEY", pkcs8(t, newKey(t, stemmatest.ECDSAP224, "").Key)), "", "P-224"},
		{"short RSA", block("PRIVATE KEY", pkcs8(t, newKey(t, stemmatest.RSA1024, "").Key)), "", "1024 bits"},
		{"large file", bytes.Repeat([]byte("-"), maxPEM+1), "", "limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ReadPrivateKey(c.text, []byte(c.password))
			if c.want == "" {
				check(t, err)
				return
			}
			if got != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if wrong := strings.Contains(c.want, "open it"); errors.Is(err, ErrPassword) != wrong {
				t.Errorf("%v is a wrong password: want %v", err, wrong)
			}
		})
	}
}

type answering func(*http.Request) *http.Response

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func says(status int, body []byte) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Location": {"https://elsewhere.test/"}}, Body: io.NopCloser(bytes.NewReader(body))}
}

// A timestamp is asked for over the signature, and what is no answer to that question is not put into the bundle.
func TestStamp(t *testing.T) {
	w := newWorld(t)
	key := newKey(t, stemmatest.ECDSAP256, "release")
	private := must[*PrivateKey](t)(ReadPrivateKey(block("PRIVATE KEY", pkcs8(t, key.Key)), nil))
	server := stemmatest.Network{"timestamp.sigstore.test": w.TSA.Server(w.Now)}
	var earlier []byte // answer to another question
	token := func(message string) []byte { return must[[]byte](t)(w.TSA.Timestamp([]byte(message), w.Now)) }
	for _, c := range []struct {
		name      string
		url       string
		transport http.RoundTripper
		want      string
	}{
		{"as it should be", "https://timestamp.sigstore.test/api/v1/timestamp", answering(func(r *http.Request) *http.Response {
			resp, err := server.RoundTrip(r)
			check(t, err)
			earlier = must[[]byte](t)(io.ReadAll(resp.Body))
			return says(http.StatusOK, earlier)
		}), ""},
		{"replayed", "https://timestamp.sigstore.test/", answering(func(*http.Request) *http.Response { return says(http.StatusOK, earlier) }), "about something else"},
		{"without the nonce", "https://timestamp.sigstore.test/", answering(func(*http.Request) *http.Response { return says(http.StatusOK, token("signature")) }), "another question"},
		{"of something else", "https://timestamp.sigstore.test/", answering(func(*http.Request) *http.Response { return says(http.StatusOK, token("x")) }), "about something else"},
		{"redirect", "https://timestamp.sigstore.test/", answering(func(*http.Request) *http.Response { return says(http.StatusFound, nil) }), "Found"},
		{"refusal", "https://timestamp.sigstore.test/", answering(func(*http.Request) *http.Response { return says(http.StatusInternalServerError, nil) }), "Internal Server Error"},
		{"page", "https://timestamp.sigstore.test/", answering(func(*http.Request) *http.Response { return says(http.StatusOK, []byte("<html>")) }), "RFC 3161 response"},
		{"endless", "https://timestamp.sigstore.test/", answering(func(*http.Request) *http.Response { return says(http.StatusOK, make([]byte, maxToken+1)) }), "more than"},
		{"no such host", "https://nowhere.test/", server, "nowhere.test"},
		{"no scheme", "timestamp.sigstore.test/", server, "not the address"},
		{"file", "file:///etc/passwd", server, "not the address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stamp := func(sig []byte) ([]byte, error) {
				if strings.Contains(c.name, "nonce") {
					sig = []byte("signature")
				}
				return Stamp(t.Context(), c.transport, c.url, sig)
			}
			data, err := private.Sign([]byte("x"), stamp)
			if c.want != "" {
				if data != nil || err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want an error with %q", err, c.want)
				}
				return
			}
			check(t, err)
			bare := must[[]byte](t)(private.Sign([]byte("x"), nil))
			domain := w.domain(t, withKeys(key), func(c *DomainConfig) { c.Log, c.SCT = None, None })
			auth := must[*Authenticator](t)(New(Config{Domains: []*Domain{domain}}))
			about := Artifact{Digest: stemma.SHA256([]byte("x")), Content: []byte("x")}
			if got, rejection := auth.Authenticate(stemma.Raw{Data: data, Format: stemma.FormatBundle}, about); got == nil || len(got.SignedAt) != 1 || !got.SignedAt[0].Time.Equal(w.Now) {
				t.Errorf("%+v, %+v", got, rejection)
			}
			if _, rejection := auth.Authenticate(stemma.Raw{Data: bare, Format: stemma.FormatBundle}, about); rejection == nil || rejection.Reason != stemma.ReasonTimeMissing {
				t.Errorf("without a timestamp: %+v", rejection)
			}
		})
	}
}
