package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"stemma"
	"stemma/internal/oci"
	"stemma/internal/sigstore"
	"stemma/policy"
)

// Signing says with what files of policies are signed.
type Signing struct {
	Key             []byte // private key in PEM
	Password        []byte // of an encrypted key
	TimestampServer string // URL of an RFC 3161 timestamp authority; "": the signature proves no time
}

// Signed is a signature over a file of policies.
type Signed struct {
	Content []byte          // of the file that is to lie beside it: Sigstore bundles, one a line
	Key     stemma.Digest   // of the public key
	Public  []byte          // the public key, as a PolicySet lists it
	Signer  stemma.Identity // what the set's trust domains make of it; zero when none of them has the key
	Names   []string        // by which the set calls the signer
}

// Sign signs a file of the policies of the configuration. before is what lies beside the file: signatures by others over
// the same content stay. A signature that cannot count under the trust domain that has the key is an error.
func Sign(ctx context.Context, c Config, s Signing, file policy.File, before []byte) (signed *Signed, err error) {
	defer caught(&err)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	key, err := sigstore.ReadPrivateKey(s.Key, s.Password)
	if err != nil {
		hint := "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 makes one, and openssl pkey -pubout prints what a PolicySet lists"
		if errors.Is(err, sigstore.ErrPassword) {
			hint = "put its password into STEMMA_PASSWORD or COSIGN_PASSWORD"
		}
		return nil, &Error{Kind: Invalid, Err: err, Hint: hint}
	}
	way, _, err := connect(c, nil)
	if err != nil {
		return nil, err
	}
	var stamp func([]byte) ([]byte, error)
	if s.TimestampServer != "" {
		stamp = func(sig []byte) ([]byte, error) { return sigstore.Stamp(ctx, way, s.TimestampServer, sig) }
	}
	bundle, err := key.Sign(file.Data, stamp)
	if err != nil {
		return nil, &Error{Kind: Unreachable, Err: fmt.Errorf("signing %s: %w", file.Name, err), Hint: "nothing was written"}
	}
	v := &Verifier{config: c, way: way}
	signed = &Signed{Key: key.ID(), Public: key.PublicPEM()}
	if signed.Signer, err = v.counts(ctx, key, bundle, file); err != nil {
		return nil, err
	}
	if signed.Signer.KeyID != "" {
		signed.Names = c.Policies.SignersOf(signed.Signer)
	}
	signed.Content = beside(file, before, bundle)
	return signed, nil
}

// counts verifies a signature as everybody will: under the trust domain of the set that has the key, or, when none has,
// by the key alone.
func (v *Verifier) counts(ctx context.Context, key *sigstore.PrivateKey, bundle []byte, file policy.File) (stemma.Identity, error) {
	domain, name := (*sigstore.Domain)(nil), ""
	var err error
	for _, t := range v.config.Policies.Trust() {
		for _, k := range t.Keys {
			if name == "" && key.Is([]byte(k.PEM)) {
				name = t.Name
				if domain, err = v.declared(ctx, t); err != nil {
					return stemma.Identity{}, &Error{Kind: Invalid, Err: fmt.Errorf("trust domain %s, which has the key: %w", t.Name, err)}
				}
			}
		}
	}
	if name == "" {
		domain, err = sigstore.NewDomain(sigstore.DomainConfig{
			Name: "key", Keys: []sigstore.Key{{Name: "key", PEM: key.PublicPEM()}},
			Log: sigstore.None, Timestamp: sigstore.None, SCT: sigstore.None, Time: sigstore.None,
		})
	}
	var auth *sigstore.Authenticator
	if err == nil {
		auth, err = sigstore.New(sigstore.Config{Domains: []*sigstore.Domain{domain}})
	}
	if err != nil {
		return stemma.Identity{}, &Error{Kind: Internal, Err: fmt.Errorf("verifying the signature: %w", err)}
	}
	got, refused := auth.Authenticate(stemma.Raw{Data: bundle, Format: stemma.FormatBundle, Place: file.Name}, sigstore.Artifact{Digest: stemma.SHA256(file.Data), Content: file.Data, Now: v.now()})
	if refused != nil {
		hint := "cosign sign-blob --key KEY --bundle FILE.sigstore.json FILE makes one that is in a transparency log, too"
		if refused.Reason == stemma.ReasonTimeMissing {
			hint = "add --timestamp-server URL, an authority of that trust domain"
		}
		return stemma.Identity{}, &Error{Kind: Invalid, Err: fmt.Errorf("a signature of %s by this key does not count under trust domain %s: %s", file.Name, name, refused.Detail), Hint: hint}
	}
	if name == "" {
		return stemma.Identity{}, nil
	}
	return got.Signer, nil
}

// beside is the content of the file with the signatures over another: those by other keys over the same content, and the
// new one.
func beside(file policy.File, before, bundle []byte) []byte {
	about := sums(file.Data)
	_, _, own, _ := sigstore.Message(bundle) // it was made here
	var out bytes.Buffer
	line := func(data []byte) {
		if err := json.Compact(&out, data); err == nil {
			out.WriteByte('\n')
		}
	}
	raws, _ := oci.ReadEvidenceFile(file.Name, before)
	for _, raw := range raws {
		if algorithm, digest, hint, err := sigstore.Message(raw.Data); err == nil && hint != own && about[algorithm] == digest {
			line(raw.Data)
		}
	}
	line(bundle)
	return out.Bytes()
}
