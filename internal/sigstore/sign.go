package sigstore

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"

	"github.com/digitorus/timestamp"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"stemma"
)

// PrivateKey signs files. It is read from PEM, and never printed.
type PrivateKey struct {
	signer crypto.Signer
	spki   []byte // DER of the public key
}

// ErrPassword says that a private key is encrypted, and that the password is missing or wrong.
var ErrPassword = errors.New("the key is encrypted, and the password does not open it")

// ReadPrivateKey reads a private key in PEM: PKCS #8, SEC 1 of an elliptic curve, or what cosign generate-key-pair writes,
// which password opens.
func ReadPrivateKey(text, password []byte) (*PrivateKey, error) {
	if len(text) > maxPEM {
		return nil, fmt.Errorf("reading private key: %d bytes of PEM, limit %d", len(text), maxPEM)
	}
	kind := ""
	if block, _ := pem.Decode(text); block != nil {
		kind = block.Type
	}
	key, err := openKey(kind, text, password)
	if err != nil {
		return nil, fmt.Errorf("reading private key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("reading private key: a key of type %T signs nothing", key)
	}
	if err := checkKey(signer.Public()); err != nil {
		return nil, fmt.Errorf("reading private key: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("reading private key: %w", err)
	}
	return &PrivateKey{signer: signer, spki: spki}, nil
}

func openKey(kind string, text, password []byte) (any, error) {
	der, err := onePEM(text, kind)
	switch kind {
	case "":
		return nil, errors.New("no PEM block: want one PRIVATE KEY")
	case "PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		if err != nil {
			return nil, err
		}
	case "PUBLIC KEY":
		return nil, errors.New("this is the public key; the private one signs")
	default:
		return nil, fmt.Errorf("a PEM block %.40q: want PRIVATE KEY (PKCS #8, as openssl pkcs8 -topk8 -nocrypt writes it), EC PRIVATE KEY, or the key of cosign generate-key-pair", kind)
	}
	if kind == "EC PRIVATE KEY" {
		return x509.ParseECPrivateKey(der)
	}
	if kind != "PRIVATE KEY" {
		// The library takes three strengths of scrypt and no other, so that a file cannot make it work for hours.
		if der, err = encrypted.Decrypt(der, password); err != nil {
			return nil, ErrPassword
		}
	}
	return x509.ParsePKCS8PrivateKey(der)
}

// PublicPEM is the public key, as a PolicySet lists it.
func (k *PrivateKey) PublicPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.spki})
}

// ID is the SHA-256 of the public key's SubjectPublicKeyInfo.
func (k *PrivateKey) ID() stemma.Digest { return stemma.SHA256(k.spki) }

// Sign makes a Sigstore bundle v0.3 with a signature over content, as cosign sign-blob --key does. stamp is asked for an
// RFC 3161 timestamp over the signature; it may be nil.
//
// Managed Ed25519 keys sign the message itself, all others its digest.
func (k *PrivateKey) Sign(content []byte, stamp func(signature []byte) ([]byte, error)) ([]byte, error) {
	h := prehashOf(k.signer.Public())
	digest, over, by := sumOf(h, content), content, crypto.Hash(0)
	if hashOf(k.signer.Public()) != 0 {
		over, by = digest, h
	}
	sig, err := k.signer.Sign(rand.Reader, over, by)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	id, err := hex.DecodeString(k.ID().Hex())
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	type object = map[string]any
	material := object{"publicKey": object{"hint": base64.StdEncoding.EncodeToString(id)}}
	if stamp != nil {
		token, err := stamp(sig)
		if err != nil {
			return nil, err
		}
		material["timestampVerificationData"] = object{"rfc3161Timestamps": []object{{"signedTimestamp": token}}}
	}
	return json.Marshal(object{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": material,
		"messageSignature": object{
			"messageDigest": object{"algorithm": fmt.Sprintf("SHA2_%d", 8*h.Size()), "digest": digest},
			"signature":     sig,
		},
	})
}

// Stamp asks a timestamp authority for a timestamp over a signature (RFC 3161 section 3.4). It is looked at only as far
// as it must be about that signature: who trusts the authority is for the verifier to say.
func Stamp(ctx context.Context, transport http.RoundTripper, server string, signature []byte) ([]byte, error) {
	at, err := url.Parse(server)
	if err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" {
		return nil, fmt.Errorf("asking for a timestamp: %.200q is not the address of a timestamp authority", server)
	}
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return nil, fmt.Errorf("asking for a timestamp: %w", err)
	}
	imprint := sumOf(crypto.SHA256, signature)
	query, err := (&timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: imprint, Certificates: true, Nonce: nonce}).Marshal()
	if err != nil {
		return nil, fmt.Errorf("asking for a timestamp: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server, bytes.NewReader(query))
	if err != nil {
		return nil, fmt.Errorf("asking for a timestamp: %w", err)
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	req.Header.Set("Accept", "application/timestamp-reply")
	resp, err := transport.RoundTrip(req) // and follow nothing
	if err != nil {
		return nil, fmt.Errorf("asking %s for a timestamp: %w", at.Host, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return nil, fmt.Errorf("asking %s for a timestamp: it answers %s", at.Host, stemma.Printable(resp.Status, 60))
	}
	token, err := io.ReadAll(io.LimitReader(resp.Body, maxToken+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking %s for a timestamp: %w", at.Host, err)
	case len(token) > maxToken:
		return nil, fmt.Errorf("asking %s for a timestamp: an answer of more than %d bytes", at.Host, maxToken)
	}
	if _, err := checkToken(token); err != nil {
		return nil, fmt.Errorf("asking %s for a timestamp: %w", at.Host, err)
	}
	got, err := timestamp.ParseResponse(token)
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking %s for a timestamp: %w", at.Host, err)
	case got.HashAlgorithm != crypto.SHA256 || !bytes.Equal(got.HashedMessage, imprint):
		return nil, fmt.Errorf("asking %s for a timestamp: the answer is about something else", at.Host)
	case got.Nonce == nil || got.Nonce.Cmp(nonce) != 0:
		return nil, fmt.Errorf("asking %s for a timestamp: the answer is to another question", at.Host)
	}
	return token, nil
}

// Is reports whether the PEM is that of the key's public half.
func (k *PrivateKey) Is(public []byte) bool {
	pub, err := parseKey(public)
	if err != nil {
		return false
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	return err == nil && bytes.Equal(spki, k.spki)
}

// Message is what a Sigstore bundle says that its message signature is over, by the name of the hash in digests, and the
// hint of the key. Nothing of it is proven.
func Message(bundle []byte) (algorithm, digest, hint string, err error) {
	e, ref := readBundle(bundle)
	switch {
	case ref != nil:
		return "", "", "", fmt.Errorf("reading signature: %s", ref.detail)
	case e.kind != isMessage:
		return "", "", "", errors.New("reading signature: a statement, which is no signature of a file")
	}
	return digestAlgorithm(e.hash), hex.EncodeToString(e.digest), e.hint, nil
}
