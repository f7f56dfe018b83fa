package stemmatest

import (
	"crypto"
	"crypto/x509"
	"time"
)

// TrustedRoot is a Sigstore trusted root (protobuf-specs trustroot v1) that may be edited before it is encoded.
type TrustedRoot struct {
	MediaType              string             `json:"mediaType"`
	TLogs                  []TrustedLog       `json:"tlogs,omitempty"`
	CertificateAuthorities []TrustedAuthority `json:"certificateAuthorities,omitempty"`
	CTLogs                 []TrustedLog       `json:"ctlogs,omitempty"`
	TimestampAuthorities   []TrustedAuthority `json:"timestampAuthorities,omitempty"`
}

// TrustedLog is a log and the window in which its key is trusted.
type TrustedLog struct {
	BaseURL       string     `json:"baseUrl"`
	HashAlgorithm string     `json:"hashAlgorithm"`
	PublicKey     TrustedKey `json:"publicKey"`
	LogID         TrustedID  `json:"logId"`
}

// TrustedKey is a public key, DER.
type TrustedKey struct {
	RawBytes   []byte    `json:"rawBytes"`
	KeyDetails string    `json:"keyDetails"`
	ValidFor   *Validity `json:"validFor,omitempty"`
}

// TrustedID is the id of a log.
type TrustedID struct {
	KeyID []byte `json:"keyId"`
}

// TrustedAuthority is a certificate authority by its chain, root last, and the window in which it is trusted.
type TrustedAuthority struct {
	Subject   TrustedSubject `json:"subject"`
	URI       string         `json:"uri"`
	CertChain TrustedChain   `json:"certChain"`
	ValidFor  *Validity      `json:"validFor,omitempty"`
}

// TrustedSubject names an authority.
type TrustedSubject struct {
	Organization string `json:"organization"`
	CommonName   string `json:"commonName"`
}

// TrustedChain is a chain of certificates, DER.
type TrustedChain struct {
	Certificates []RawCertificate `json:"certificates"`
}

// RawCertificate is one certificate, DER.
type RawCertificate struct {
	RawBytes []byte `json:"rawBytes"`
}

// Validity is a window of time, closed at both ends; nil is open.
type Validity struct {
	Start *time.Time `json:"start,omitempty"`
	End   *time.Time `json:"end,omitempty"`
}

// JSON encodes the trusted root.
func (t TrustedRoot) JSON() []byte { return canonical(t) }

// Trust is the trusted root of the instance as it now is: replacing a service replaces what is trusted.
func (s *Sigstore) Trust() TrustedRoot {
	from := s.Now.Add(-year)
	window := func() *Validity { return &Validity{Start: &from} }
	log := func(url string, id []byte, key crypto.Signer) TrustedLog {
		return TrustedLog{
			BaseURL: url, HashAlgorithm: "SHA2_256", LogID: TrustedID{KeyID: id},
			PublicKey: TrustedKey{RawBytes: publicKey(key), KeyDetails: keyDetails(key.Public()), ValidFor: window()},
		}
	}
	authority := func(url string, chain []*x509.Certificate) TrustedAuthority {
		root := chain[len(chain)-1]
		a := TrustedAuthority{URI: url, ValidFor: window(), Subject: TrustedSubject{Organization: "stemmatest", CommonName: root.Subject.CommonName}}
		for _, c := range chain {
			a.CertChain.Certificates = append(a.CertChain.Certificates, RawCertificate{RawBytes: c.Raw})
		}
		return a
	}
	tsa := append([]*x509.Certificate{s.TSA.Signer.Certificate}, s.TSA.Signer.Chain...)
	return TrustedRoot{
		MediaType:              "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		TLogs:                  []TrustedLog{log(s.Rekor.URL, s.Rekor.ID(), s.Rekor.Key), log(s.Tiles.URL, s.Tiles.ID(), s.Tiles.Key)},
		CertificateAuthorities: []TrustedAuthority{authority(s.Fulcio.URL, s.Fulcio.Chain())},
		CTLogs:                 []TrustedLog{log(s.CT.URL, keyID(s.CT.Key), s.CT.Key)},
		TimestampAuthorities:   []TrustedAuthority{authority(s.TSA.URL, tsa)},
	}
}

// TrustedRoot is Trust encoded as a trusted_root.json file.
func (s *Sigstore) TrustedRoot() []byte { return s.Trust().JSON() }
