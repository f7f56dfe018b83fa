package stemmatest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"testing"

	"stemma/stemmatest"
)

// Weak and unusual signatures are valid ones: a verifier has to refuse them for what they are.
func TestUnusualKeys(t *testing.T) {
	message := []byte("message")
	for _, c := range []struct {
		alg  stemmatest.Algorithm
		hash crypto.Hash // of the signer; 0: that of the key
		used crypto.Hash // by the signature
	}{
		{stemmatest.RSA1024, 0, crypto.SHA256},
		{stemmatest.RSA2048, crypto.SHA512, crypto.SHA512},
		{stemmatest.ECDSAP224, 0, crypto.SHA256},
		{stemmatest.ECDSAP384, 0, crypto.SHA384},
		{stemmatest.ECDSAP384, crypto.SHA256, crypto.SHA256},
		{stemmatest.ECDSAP521, 0, crypto.SHA512},
		{stemmatest.Ed25519, 0, 0},
		{stemmatest.Ed25519, crypto.SHA512, crypto.SHA512},
	} {
		s := must[*stemmatest.Signer](t)(stemmatest.NewKey(c.alg, ""))
		s.Hash = c.hash
		sig := must[[]byte](t)(s.Sign(message))
		digest := message
		if c.used != 0 {
			h := c.used.New()
			h.Write(message)
			digest = h.Sum(nil)
		}
		ok := false
		switch k := s.Key.Public().(type) {
		case *ecdsa.PublicKey:
			ok = ecdsa.VerifyASN1(k, digest, sig)
		case *rsa.PublicKey:
			ok = rsa.VerifyPKCS1v15(k, c.used, digest, sig) == nil
		case ed25519.PublicKey:
			ok = ed25519.VerifyWithOptions(k, digest, sig, &ed25519.Options{Hash: c.used}) == nil
		}
		if !ok {
			t.Errorf("%s with %v: the signature does not verify", c.alg, c.used)
		}
	}
	if _, err := stemmatest.NewKey("dsa-1024", ""); err == nil {
		t.Error("made a key of an unknown kind")
	}
}
