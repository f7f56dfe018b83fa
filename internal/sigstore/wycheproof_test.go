package sigstore

import (
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
)

type vectors struct {
	TestGroups []struct {
		PublicKeyPem string
		Tests        []struct {
			TcID             int
			Comment          string
			Msg, Sig, Result string
		}
	}
}

func readVectors(t *testing.T, name string) vectors {
	t.Helper()
	b, err := fs.ReadFile(wycheproof.TestVectors, name)
	check(t, err)
	var v vectors
	check(t, json.Unmarshal(b, &v))
	if len(v.TestGroups) == 0 {
		t.Fatal("no vectors")
	}
	return v
}

// A30 [Wycheproof]: every vector of the algorithms that are enabled, through the loader of keys.
func TestReg_A30_wycheproof(t *testing.T) {
	for _, name := range []string{
		"ecdsa_secp256r1_sha256_test.json", "ecdsa_secp384r1_sha384_test.json", "ecdsa_secp521r1_sha512_test.json", "ed25519_test.json",
		"rsa_signature_2048_sha256_test.json", "rsa_signature_3072_sha256_test.json", "rsa_signature_4096_sha256_test.json", "rsa_signature_8192_sha256_test.json",
	} {
		t.Run(name, func(t *testing.T) {
			valid, invalid := 0, 0
			for _, g := range readVectors(t, name).TestGroups {
				pub, err := parseKey([]byte(g.PublicKeyPem))
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range g.Tests {
					msg, sig := must[[]byte](t)(hex.DecodeString(c.Msg)), must[[]byte](t)(hex.DecodeString(c.Sig))
					err := verifyMessage(pub, msg, sig)
					switch {
					case c.Result == "valid":
						valid++
						if err != nil {
							t.Errorf("%d %s: valid and refused: %v", c.TcID, c.Comment, err)
						}
					case c.Result == "invalid":
						invalid++
						if err == nil {
							t.Errorf("%d %s: invalid and accepted", c.TcID, c.Comment)
						}
					}
				}
			}
			if valid == 0 || invalid == 0 {
				t.Errorf("%d valid and %d invalid vectors", valid, invalid)
			}
			t.Logf("%d valid accepted, %d invalid refused", valid, invalid)
		})
	}
}

// Algorithms that are not enabled: keys that are not loaded, and good signatures over another hash.
func TestReg_A30_disabled_algorithms(t *testing.T) {
	for _, name := range []string{"ecdsa_secp224r1_sha256_test.json", "ecdsa_secp256k1_sha256_test.json", "ecdsa_brainpoolP256r1_sha256_test.json"} {
		for _, g := range readVectors(t, name).TestGroups {
			if _, err := parseKey([]byte(g.PublicKeyPem)); err == nil {
				t.Errorf("%s: a key is loaded", name)
			}
		}
	}
	for _, name := range []string{"ecdsa_secp384r1_sha256_test.json", "ecdsa_secp256r1_sha512_test.json", "rsa_signature_2048_sha512_test.json", "rsa_pss_2048_sha256_mgf1_32_test.json"} {
		for _, g := range readVectors(t, name).TestGroups {
			pub, err := parseKey([]byte(g.PublicKeyPem))
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range g.Tests {
				if c.Result != "valid" {
					continue // some are invalid there because they are what is enabled here
				}
				if err := verifyMessage(pub, must[[]byte](t)(hex.DecodeString(c.Msg)), must[[]byte](t)(hex.DecodeString(c.Sig))); err == nil {
					t.Errorf("%s %d: accepted", name, c.TcID)
				}
			}
		}
	}
}
