package stemmatest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"time"
)

const year = 365 * 24 * time.Hour

// Now is the time of a world that is given none: 2026-06-01T00:00:00Z.
func Now() time.Time { return time.Date(2026, time.June, 1, 0, 0, 0, 0, time.UTC) }

// Config is what a world or an instance of Sigstore is made of. The zero value is good.
type Config struct {
	Now    time.Time // zero: Now()
	Domain string    // of the services; zero: "sigstore.test"
}

// Sigstore is a private instance: certificate authority, certificate log, two transparency logs and a timestamp
// authority. The services are fields so that one of them can be replaced by another, for example by one of a second
// instance; Trust follows.
type Sigstore struct {
	Now     time.Time
	Root    *CA    // issues Fulcio
	Fulcio  *CA    // intermediate that issues signing certificates
	CT      *CTLog // certificate transparency log
	Rekor   *Log   // transparency log, v1
	Tiles   *Log   // transparency log, v2
	TSA     *TSA   // timestamp authority
	TSARoot *CA    // issues the signer of TSA
}

// NewSigstore makes an instance with keys of its own. Everything is valid from a year before until nine years after
// its time.
func NewSigstore(c Config) (*Sigstore, error) {
	if c.Now.IsZero() {
		c.Now = Now()
	}
	if c.Domain == "" {
		c.Domain = "sigstore.test"
	}
	from, until := c.Now.Add(-year), c.Now.Add(9*year)
	s := &Sigstore{Now: c.Now}
	var err error
	if s.Root, err = NewCA("fulcio root", from, until); err != nil {
		return nil, err
	}
	s.Root.URL = "https://fulcio." + c.Domain
	if s.Fulcio, err = s.Root.Intermediate("fulcio intermediate", from, until, x509.ExtKeyUsageCodeSigning); err != nil {
		return nil, err
	}
	if s.TSARoot, err = NewCA("timestamp root", from, until); err != nil {
		return nil, err
	}
	if s.TSA, err = newTSA("https://timestamp."+c.Domain, s.TSARoot, from, until); err != nil {
		return nil, err
	}
	s.CT = &CTLog{URL: "https://ctfe." + c.Domain}
	// The origin of a v1 checkpoint names the tree, that of v2 is the host of the log's URL.
	host := "rekor." + c.Domain
	s.Rekor = &Log{URL: "https://" + host, Name: host, Origin: host + " - 3904496407287907110", Shard: 4_163_431}
	host = "log2026-1.rekor." + c.Domain
	s.Tiles = &Log{URL: "https://" + host, Name: host, Origin: host, Tiled: true}
	if s.CT.Key, err = generate(ECDSAP256); err != nil {
		return nil, fmt.Errorf("making certificate log: %w", err)
	}
	for _, l := range []*Log{s.Rekor, s.Tiles} {
		if l.Key, err = generate(ECDSAP256); err != nil {
			return nil, fmt.Errorf("making transparency log: %w", err)
		}
	}
	return s, nil
}

// Certify issues a certificate to the identity at the given time (zero: the time of the instance).
func (s *Sigstore) Certify(id Identity, at time.Time) (*Signer, error) {
	if at.IsZero() {
		at = s.Now
	}
	c := id.Certificate()
	key := c.Key
	if key == nil {
		var err error
		if key, err = generate(ECDSAP256); err != nil {
			return nil, fmt.Errorf("making signing key: %w", err)
		}
	}
	template := &x509.Certificate{
		NotBefore:       at,
		NotAfter:        at.Add(10 * time.Minute),
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: c.extensions(),
		Subject:         pkix.Name{},
	}
	if c.Usage != nil {
		template.ExtKeyUsage = c.Usage
	}
	if !c.From.IsZero() {
		template.NotBefore = c.From
	}
	if !c.Until.IsZero() {
		template.NotAfter = c.Until
	}
	logs := c.CT
	if logs == nil {
		logs = []*CTLog{s.CT}
	}
	cert, err := s.Fulcio.withSCTs(template, key.Public(), logs, at)
	if err != nil {
		return nil, fmt.Errorf("issuing certificate to %v%v: %w", c.URIs, c.Emails, err)
	}
	return &Signer{Key: key, Certificate: cert, Chain: s.Fulcio.Chain()}, nil
}

// Sign says how to sign. Its zero value but for As or With is the ordinary way: a certificate, an entry in the v1 log
// with promise and proof, a timestamp, in a bundle v0.3.
type Sign struct {
	As   Identity // is issued a certificate
	With *Signer  // signs in place of As: a managed key, or a certificate that exists already

	At          time.Time // zero: the time of the instance
	Entry       EntryKind // zero: dsse 0.0.1 for an envelope, hashedrekord 0.0.1 for a message
	NoTimestamp bool
	MediaType   string // of the bundle; zero: MediaTypeV03
}

func (s *Sigstore) signer(o Sign) (*Signer, error) {
	switch {
	case o.With != nil:
		return o.With, nil
	case o.As != nil:
		return s.Certify(o.As, o.At)
	}
	return nil, errors.New("signing: neither an identity nor a key is given")
}

// Attest signs a statement, or any payload that is given the type of one.
func (s *Sigstore) Attest(o Sign, statement []byte) (*Signed, error) {
	signer, err := s.signer(o)
	if err != nil {
		return nil, err
	}
	env, err := Seal(PayloadTypeInToto, statement, signer)
	if err != nil {
		return nil, err
	}
	return s.complete(o, &Signed{Signer: signer, Envelope: env})
}

// SignMessage signs bytes as they are.
func (s *Sigstore) SignMessage(o Sign, message []byte) (*Signed, error) {
	signer, err := s.signer(o)
	if err != nil {
		return nil, err
	}
	sig, err := signer.Sign(message)
	if err != nil {
		return nil, fmt.Errorf("signing message: %w", err)
	}
	return s.complete(o, &Signed{Signer: signer, Message: message, Signature: sig})
}

// complete logs and timestamps.
func (s *Sigstore) complete(o Sign, x *Signed) (*Signed, error) {
	if o.At.IsZero() {
		o.At = s.Now
	}
	x.MediaType = o.MediaType
	if o.Entry == "" {
		o.Entry = EntryDSSE001
		if x.Envelope == nil {
			o.Entry = EntryHashedRekord001
		}
	}
	if o.Entry != NotLogged {
		log := s.Rekor
		if o.Entry == EntryHashedRekord002 {
			log = s.Tiles
		}
		if err := x.Log(log, o.Entry, o.At); err != nil {
			return nil, err
		}
	}
	if !o.NoTimestamp {
		if err := x.Timestamp(s.TSA, o.At); err != nil {
			return nil, err
		}
	}
	return x, nil
}
