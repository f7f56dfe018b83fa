package verify_test

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"stemma/stemmatest"
	"stemma/verify"
)

func privatePEM(t testing.TB, key *stemmatest.Signer, password string) []byte {
	der := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key.Key))
	if password == "" {
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: must[[]byte](t)(encrypted.Encrypt(der, []byte(password)))})
}

// A signature that is made is one that counts, or it is not made.
func TestSignPolicies(t *testing.T) {
	s := newShop(t)
	s.Network["timestamp.sigstore.test"] = s.Sigstore.TSA.Server(s.Now)
	stranger := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, ""))
	const none = "requires: {log: none, timestamp: none, sct: none}\n      time: none"
	stamped := s.set(none, "root: public-good\n      requires: {log: none, sct: none}")
	logged := s.set(none, "root: public-good\n      requires: {timestamp: none, sct: none}")
	expired := s.set("{name: release-2026,", "{name: release-2026, until: 2026-01-31,")
	unnamed := s.set("  signedBy: [release]\n", "", "release: {trust: acme-keys, keys: [release-2026]}", "release: {trust: acme-keys, keys: [leads-2026]}")
	const server = "https://timestamp.sigstore.test/"
	for _, c := range []struct {
		name    string
		text    string
		signing verify.Signing
		names   string // by which the set calls the signer; "-": it does not know the key
		want    string
	}{
		{"as it should be", s.set(), verify.Signing{Key: privatePEM(t, s.key, "")}, "release", ""},
		{"with a key that cosign made", s.set(), verify.Signing{Key: privatePEM(t, s.key, "secret"), Password: []byte("secret")}, "release", ""},
		{"with a timestamp that nobody asks for", s.set(), verify.Signing{Key: privatePEM(t, s.key, ""), TimestampServer: server}, "release", ""},
		{"with a timestamp that is required", stamped, verify.Signing{Key: privatePEM(t, s.key, ""), TimestampServer: server}, "release", ""},
		{"without the timestamp that is required", stamped, verify.Signing{Key: privatePEM(t, s.key, "")}, "", "does not count under trust domain acme-keys"},
		{"where a log entry is required", logged, verify.Signing{Key: privatePEM(t, s.key, "")}, "", "does not count under trust domain acme-keys"},
		{"with a key that has ended", expired, verify.Signing{Key: privatePEM(t, s.key, "")}, "", "does not count under trust domain acme-keys"},
		{"with a key of no signer", unnamed, verify.Signing{Key: privatePEM(t, s.key, "")}, "", ""},
		{"with a key of no trust domain", s.set(), verify.Signing{Key: privatePEM(t, stranger, "")}, "-", ""},
		{"with the wrong password", s.set(), verify.Signing{Key: privatePEM(t, s.key, "secret"), Password: []byte("Secret")}, "", "password"},
		{"with no key", s.set(), verify.Signing{Key: []byte("x")}, "", "no PEM block"},
		{"where no authority answers", s.set(), verify.Signing{Key: privatePEM(t, s.key, ""), TimestampServer: "https://nowhere.test/"}, "", "nowhere.test"},
		{"by an authority without TLS", s.set(), verify.Signing{Key: privatePEM(t, s.key, ""), TimestampServer: "http://timestamp.sigstore.test/"}, "", "without TLS"},
		{"by an authority at a private address", s.set(), verify.Signing{Key: privatePEM(t, s.key, ""), TimestampServer: "https://169.254.169.254/"}, "", "169.254.169.254"},
	} {
		t.Run(c.name, func(t *testing.T) {
			signed, err := verify.Sign(t.Context(), s.config(file("set.yaml", c.text)), c.signing, file("set.yaml", c.text), nil)
			wants(t, err, c.want)
			if err != nil {
				if signed != nil {
					t.Error("it is signed all the same")
				}
				return
			}
			if known := signed.Signer.KeyID != ""; known != (c.names != "-") || strings.Join(signed.Names, " ") != strings.Trim(c.names, "-") {
				t.Errorf("signed by %v, called %q", signed.Signer, signed.Names)
			}
			if c.names == "release" {
				_, err = verify.New(t.Context(), s.config(file("set.yaml", c.text), beside("set.yaml", signed.Content)))
				check(t, err)
			}
		})
	}
}

// Signatures by others over the same bytes stay; all others go.
func TestSignBeside(t *testing.T) {
	s := newShop(t)
	text := s.set()
	c := s.config(file("set.yaml", text))
	sign := func(before []byte, key *stemmatest.Signer) []byte {
		t.Helper()
		return must[*verify.Signed](t)(verify.Sign(t.Context(), c, verify.Signing{Key: privatePEM(t, key, "")}, file("set.yaml", text), before)).Content
	}
	lines := func(b []byte) int { return strings.Count(string(b), "\n") }
	one := sign(nil, s.leads)
	both := sign(one, s.key)
	again := sign(both, s.key)
	stale := sign(s.sign("something else", stemmatest.Sign{With: s.leads}), s.key)
	keyless := sign(s.sign(text, stemmatest.Sign{As: s.Build}), s.key)
	junk := sign([]byte("{\n"), s.key)
	for name, got := range map[string][2]int{
		"one": {lines(one), 1}, "both": {lines(both), 2}, "one of them again": {lines(again), 2}, "after a change": {lines(stale), 1},
		"beside a certified one": {lines(keyless), 2}, "beside junk": {lines(junk), 1},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d signatures, want %d", name, got[0], got[1])
		}
	}
	if !strings.HasPrefix(string(both), string(one)) {
		t.Error("the signature of others was changed")
	}
	check(t, func() error {
		_, err := verify.New(t.Context(), s.config(file("set.yaml", text), beside("x.yaml", both)))
		return err
	}())
}
