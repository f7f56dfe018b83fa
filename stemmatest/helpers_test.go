package stemmatest_test

import (
	"github.com/sigstore/sigstore/pkg/signature"

	"stemma/stemmatest"
)

func loadVerifier(key *stemmatest.Signer) (signature.Verifier, error) {
	return signature.LoadDefaultVerifier(key.Key.Public())
}
