package sigstore

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"stemma"
)

// Need says whether a domain requires a kind of proof.
type Need string

// The two needs. The zero Need is the strict one.
const (
	Required Need = ""
	None     Need = "none"
)

// Names of the built-in trust domains.
const (
	NamePublicGood = "public-good"
	NameGitHub     = "github"
)

const (
	maxPEM         = 64 << 10 // bytes of one key or certificate in PEM
	maxTrustedRoot = 4 << 20
	maxKeys        = 64 // keys of all domains together: a signature without a hint is tried with each
)

// Key is a managed key and the window of time in which its signatures count.
type Key struct {
	Name  string    // by which Identity.KeyID and the hint of a bundle name it
	PEM   []byte    // PKIX public key in PEM: ECDSA on P-256, P-384 or P-521, RSA of 2048 to 8192 bits, or Ed25519
	From  time.Time // zero: open
	Until time.Time // inclusive; zero: open

	// Unframed says that the key signs the payload of a DSSE envelope as it is, and not its pre-authentication encoding, as
	// regional keys of Google Cloud Build do. Such a signature does not cover the payload's type: only in-toto statements
	// are taken. The key counts for nothing else.
	Unframed bool
}

// DomainConfig is what a trust domain trusts and what it requires.
type DomainConfig struct {
	Name        string
	TrustedRoot []byte // Sigstore trusted_root.json; may be nil when there are Keys and neither Log nor Timestamp is required

	// Keys make this a domain of managed keys: TrustedRoot then supplies logs and timestamp authorities, and its
	// certificate authorities are not trusted. Trust both in two domains.
	Keys []Key

	SCT       Need // a signed certificate timestamp; has no meaning for keys
	Log       Need // an entry in a transparency log
	Timestamp Need // a signed RFC 3161 timestamp
	Time      Need // None, for keys only: no signing time is proven, and the key is judged at Artifact.Now
}

// Domain is a checked DomainConfig. It does not change.
type Domain struct {
	name                      string
	sct, log, timestamp, time Need
	ref                       stemma.TrustRef
	keys                      []*managedKey
	material
}

type managedKey struct {
	domain *Domain
	name   string
	pub    crypto.PublicKey
	spki   []byte // DER

	unframed bool
	digest   stemma.Digest
	window
}

// window is a closed interval of time; a zero end is open.
type window struct{ from, until time.Time }

func (w window) covers(t time.Time) bool {
	return (w.from.IsZero() || !t.Before(w.from)) && (w.until.IsZero() || !t.After(w.until))
}

func (w window) open() bool { return w.from.IsZero() && w.until.IsZero() }

func (w window) String() string {
	text := func(t time.Time) string {
		if t.IsZero() {
			return "…"
		}
		return t.UTC().Format(time.RFC3339)
	}
	return text(w.from) + " to " + text(w.until)
}

// NewDomain checks a configuration. An error is a mistake in it: no name, nothing to trust, a requirement that its
// material can never meet, a log key without the start of its validity, a weak or unreadable key, one key twice.
func NewDomain(c DomainConfig) (*Domain, error) {
	d := &Domain{name: c.Name, sct: c.SCT, log: c.Log, timestamp: c.Timestamp, time: c.Time}
	if c.Name == "" {
		return nil, errors.New("trust domain without a name")
	}
	for what, n := range map[string]Need{"sct": c.SCT, "log": c.Log, "timestamp": c.Timestamp, "time": c.Time} {
		if n != Required && n != None {
			return nil, fmt.Errorf("%s %q: want it empty (required) or %q", what, n, None)
		}
	}
	if len(c.TrustedRoot) == 0 && len(c.Keys) == 0 {
		return nil, errors.New("neither a trusted root nor a key: it would trust nothing")
	}
	if err := d.addKeys(c.Keys); err != nil {
		return nil, err
	}
	if len(c.TrustedRoot) > 0 {
		if err := d.read(c.TrustedRoot, len(c.Keys) == 0); err != nil {
			return nil, fmt.Errorf("reading trusted root: %w", err)
		}
	}
	if err := d.satisfiable(); err != nil {
		return nil, err
	}
	d.ref = stemma.TrustRef{Name: c.Name, Digest: d.digest(c)}
	return d, nil
}

func (d *Domain) addKeys(keys []Key) error {
	if len(keys) > maxKeys {
		return fmt.Errorf("%d keys, limit %d", len(keys), maxKeys)
	}
	for _, k := range keys {
		if k.Name == "" {
			return errors.New("key without a name")
		}
		if !k.Until.IsZero() && k.Until.Before(k.From) {
			return fmt.Errorf("key %s is valid from %s until %s, which is never", k.Name, k.From.Format(time.RFC3339), k.Until.Format(time.RFC3339))
		}
		pub, err := parseKey(k.PEM)
		if err != nil {
			return fmt.Errorf("key %s: %w", k.Name, err)
		}
		spki, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			return fmt.Errorf("key %s: %w", k.Name, err)
		}
		m := &managedKey{domain: d, name: k.Name, pub: pub, spki: spki, digest: stemma.SHA256(spki), window: window{k.From, k.Until}, unframed: k.Unframed}
		for _, other := range d.keys {
			// One key under two names would count twice (GHSA-3633).
			if other.digest == m.digest {
				return fmt.Errorf("keys %s and %s are the same key", other.name, m.name)
			}
			if other.name == m.name {
				return fmt.Errorf("two keys are named %s", m.name)
			}
		}
		d.keys = append(d.keys, m)
	}
	return nil
}

// satisfiable refuses requirements that nothing could ever meet, and waivers that would let anything pass.
func (d *Domain) satisfiable() error {
	managed := len(d.keys) > 0
	switch {
	case !managed && len(d.issuers) == 0:
		return errors.New("the trusted root has no certificate authority: it would trust nothing")
	case !managed && d.sct == Required && len(d.root.CTLogs()) == 0:
		return errors.New("a certificate timestamp is required, and the trusted root has no certificate log")
	case d.log == Required && len(d.logs) == 0:
		return errors.New("a log entry is required, and the trusted root has no transparency log")
	case d.log == Required && slices.ContainsFunc(d.keys, func(k *managedKey) bool { return k.unframed }):
		return errors.New("a log entry is required, and logs take no envelope whose signature is over the payload alone")
	case d.timestamp == Required && len(d.authorities) == 0:
		return errors.New("a signed timestamp is required, and the trusted root has no timestamp authority")
	case !managed && d.time == None:
		return errors.New("certificates are short-lived: without a proven signing time they prove nothing; only keys can do without")
	case d.time == Required && len(d.logs) == 0 && len(d.authorities) == 0:
		return errors.New("a proven signing time is required, and there is neither a log nor a timestamp authority to prove it")
	}
	return nil
}

func (d *Domain) digest(c DomainConfig) stemma.Digest {
	h := sha256.New()
	put := func(parts ...string) {
		for _, s := range parts {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
			h.Write([]byte(s))
		}
	}
	put(c.Name, string(stemma.SHA256(c.TrustedRoot)), string(c.SCT), string(c.Log), string(c.Timestamp), string(c.Time))
	for _, k := range d.keys {
		put(k.name, string(k.digest), k.window.String(), strconv.FormatBool(k.unframed))
	}
	return stemma.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// Ref names the domain and the digest of everything that it trusts and requires.
func (d *Domain) Ref() stemma.TrustRef { return d.ref }

// PublicGood is the domain "public-good" of the Sigstore public good instance. It requires a certificate timestamp
// and a log entry. The log's own time suffices; entries of Rekor v2 carry none and so need a signed timestamp.
func PublicGood(trustedRoot []byte) (*Domain, error) {
	return NewDomain(DomainConfig{Name: NamePublicGood, TrustedRoot: trustedRoot, Timestamp: None})
}

// GitHub is the domain "github" of GitHub's private instance, which has neither a certificate log nor a transparency
// log, and requires its signed timestamp.
func GitHub(trustedRoot []byte) (*Domain, error) {
	return NewDomain(DomainConfig{Name: NameGitHub, TrustedRoot: trustedRoot, SCT: None, Log: None})
}

// distinct refuses domains between which the choice would be ambiguous.
func distinct(domains []*Domain) error {
	names := map[string]bool{}
	owner := map[string]string{}
	keys := 0
	for _, d := range domains {
		if d == nil {
			return errors.New("a trust domain is nil")
		}
		if names[d.name] {
			return fmt.Errorf("two trust domains are named %s", d.name)
		}
		names[d.name] = true
		var held []string
		for _, i := range d.issuers {
			held = append(held, "certificate authority "+string(i.cert.SubjectKeyId), "certificate "+string(i.cert.Raw))
		}
		for _, k := range d.keys {
			held = append(held, "key "+string(k.spki))
		}
		slices.Sort(held)
		for _, what := range slices.Compact(held) {
			if other, ok := owner[what]; ok {
				return fmt.Errorf("trust domains %s and %s hold the same certificate authority or key: which one's requirements apply is ambiguous", other, d.name)
			}
			owner[what] = d.name
		}
		keys += len(d.keys)
	}
	if keys > maxKeys {
		return fmt.Errorf("%d keys in all trust domains, limit %d", keys, maxKeys)
	}
	return nil
}
