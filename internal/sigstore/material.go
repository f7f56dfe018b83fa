package sigstore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"

	"stemma"
)

// material is a trusted root, made ready.
type material struct {
	root        *root.TrustedRoot // nil without one
	issuers     []*issuer
	logs        map[string]*transparencyLog // by the bytes of the log id
	authorities []root.TimestampingAuthority
}

// issuer is a certificate of an authority that may have issued signing certificates, and those above it. That they
// certify one another was verified once, when the domain was made; their times are checked for every signature.
type issuer struct {
	cert  *x509.Certificate
	chain []*x509.Certificate // cert and those above, root last
	pool  *x509.CertPool      // cert alone, or the root where only the whole chain decides
	below *x509.CertPool      // what stands between the pool and the leaf; nil for none
	window
}

type transparencyLog struct {
	url      string
	names    []string // by which its checkpoints may call it: the host of the URL, with and without port
	pub      crypto.PublicKey
	verifier signature.Verifier
	window
}

// read takes the material of a trusted root (protobuf-specs trustroot v1, JSON).
func (d *Domain) read(data []byte, certificates bool) error {
	if len(data) > maxTrustedRoot {
		return fmt.Errorf("%d bytes, limit %d", len(data), maxTrustedRoot)
	}
	var head struct {
		MediaType string `json:"mediaType"`
	}
	if err := stemma.DecodeJSON(data, &head); err != nil {
		return err
	}
	if !strings.HasPrefix(head.MediaType, "application/vnd.dev.sigstore.trustedroot") {
		return fmt.Errorf("mediaType %.80q: want application/vnd.dev.sigstore.trustedroot+json;version=0.1", head.MediaType)
	}
	tr, err := root.NewTrustedRootFromJSON(data)
	if err != nil {
		return err
	}
	d.root = tr
	d.authorities = tr.TimestampingAuthorities()
	d.logs = map[string]*transparencyLog{}
	for id, l := range tr.RekorLogs() {
		key, err := hex.DecodeString(id)
		if err != nil {
			return fmt.Errorf("log id %.80q: %w", id, err)
		}
		log, err := newLog(l)
		if err != nil {
			return fmt.Errorf("log %s: %w", l.BaseURL, err)
		}
		d.logs[string(key)] = log
	}
	if !certificates {
		return nil
	}
	for _, ca := range tr.FulcioCertificateAuthorities() {
		authority, ok := ca.(*root.FulcioCertificateAuthority)
		if !ok {
			return fmt.Errorf("certificate authority of type %T is not known", ca)
		}
		added, err := newIssuers(authority)
		if err != nil {
			return fmt.Errorf("certificate authority %s: %w", authority.URI, err)
		}
		d.issuers = append(d.issuers, added...)
	}
	return nil
}

func newLog(l *root.TransparencyLog) (*transparencyLog, error) {
	if l.ValidityPeriodStart.IsZero() {
		return nil, fmt.Errorf("its key has no start of validity")
	}
	if err := checkKey(l.PublicKey); err != nil {
		return nil, err
	}
	v, err := signature.LoadVerifier(l.PublicKey, l.SignatureHashFunc)
	if err != nil {
		return nil, fmt.Errorf("loading key: %w", err)
	}
	u, err := url.Parse(l.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("parsing URL: %w", err)
	}
	log := &transparencyLog{url: l.BaseURL, pub: l.PublicKey, verifier: v, window: window{l.ValidityPeriodStart, l.ValidityPeriodEnd}}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("URL %q has no host, so its checkpoints could not be told from another log's", l.BaseURL)
	}
	log.names = []string{u.Hostname(), u.Host}
	return log, nil
}

func newIssuers(ca *root.FulcioCertificateAuthority) ([]*issuer, error) {
	chain := append(append([]*x509.Certificate{}, ca.Intermediates...), ca.Root)
	var out []*issuer
	for i, c := range chain {
		above := chain[i:]
		if err := checkKey(c.PublicKey); err != nil {
			return nil, fmt.Errorf("certificate %s has %w", c.Subject, err)
		}
		if !c.IsCA || !c.BasicConstraintsValid {
			return nil, fmt.Errorf("certificate %s is not one of an authority", c.Subject)
		}
		iss := &issuer{cert: c, chain: above, pool: x509.NewCertPool(), window: window{ca.ValidityPeriodStart, ca.ValidityPeriodEnd}}
		iss.pool.AddCert(c)
		for n, up := range above {
			if (up.MaxPathLen > 0 || up.MaxPathLenZero) && n > up.MaxPathLen {
				return nil, fmt.Errorf("certificate %s allows %d authorities below it, there are %d", up.Subject, up.MaxPathLen, n)
			}
		}
		if len(above) > 1 {
			if err := checkChain(above); err != nil {
				return nil, err
			}
			if constrained(above[1:]) {
				iss.pool, iss.below = x509.NewCertPool(), x509.NewCertPool()
				iss.pool.AddCert(ca.Root)
				for _, up := range above[:len(above)-1] {
					iss.below.AddCert(up)
				}
			}
		}
		out = append(out, iss)
	}
	return out, nil
}

// checkChain verifies once that each certificate certifies the one before it, at a time when all of them are valid.
func checkChain(chain []*x509.Certificate) error {
	var at time.Time
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for i, c := range chain {
		if c.NotBefore.After(at) {
			at = c.NotBefore
		}
		if i == len(chain)-1 {
			roots.AddCert(c)
		} else if i > 0 {
			between.AddCert(c)
		}
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	if err != nil {
		return fmt.Errorf("verifying certificate %s by those above it: %w", chain[0].Subject, err)
	}
	return nil
}

// constrained reports whether what stands above an issuer limits the names below it, which only verifying the
// whole chain decides.
func constrained(chain []*x509.Certificate) bool {
	for _, c := range chain {
		if len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains)+len(c.PermittedIPRanges)+len(c.ExcludedIPRanges)+
			len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses)+len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) > 0 {
			return true
		}
	}
	return false
}

// issuersOf are the issuers that a certificate names. Staging and public good share their distinguished names, so it
// is the key identifier that decides (RFC 5280 section 4.2.1.1); the name only where there is none.
func (d *Domain) issuersOf(leaf *x509.Certificate) []*issuer {
	var out []*issuer
	for _, i := range d.issuers {
		if len(leaf.AuthorityKeyId) > 0 {
			if bytes.Equal(leaf.AuthorityKeyId, i.cert.SubjectKeyId) {
				out = append(out, i)
			}
		} else if bytes.Equal(leaf.RawIssuer, i.cert.RawSubject) {
			out = append(out, i)
		}
	}
	return out
}
