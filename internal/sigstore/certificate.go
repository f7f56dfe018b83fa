package sigstore

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sigstore/sigstore-go/pkg/verify"

	"stemma"
)

// checkIssued verifies that an issuer of the domain issued the certificate for code signing. It says nothing of the
// signing time: that is proven later.
func (d *Domain) checkIssued(leaf *x509.Certificate) (*issuer, *refusal) {
	var last *refusal
	for _, i := range d.issuersOf(leaf) {
		if last = i.issued(leaf); last == nil {
			return i, nil
		}
	}
	if last == nil {
		last = refuse(stemma.ReasonSignerUnknown, "trust domain %s has no certificate authority %.80q", d.name, leaf.Issuer)
	}
	return nil, last
}

func (i *issuer) issued(leaf *x509.Certificate) *refusal {
	if err := checkKey(leaf.PublicKey); err != nil {
		return refuse(stemma.ReasonAlgorithm, "the signing certificate has %v", err)
	}
	signs := false
	for _, u := range leaf.ExtKeyUsage {
		signs = signs || u == x509.ExtKeyUsageCodeSigning
	}
	switch {
	case leaf.IsCA:
		// INV-9: an authority is never an identity.
		return refuse(stemma.ReasonCertificateInvalid, "the signing certificate is one of an authority")
	case leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return refuse(stemma.ReasonCertificateInvalid, "the certificate is not for digital signatures")
	case !signs:
		return refuse(stemma.ReasonCertificateInvalid, "the certificate is not for code signing")
	}
	// Any moment at which leaf and issuers are valid together will do for the signatures.
	at := leaf.NotBefore
	for _, c := range i.chain {
		if c.NotBefore.After(at) {
			at = c.NotBefore
		}
	}
	for _, c := range append([]*x509.Certificate{leaf}, i.chain...) {
		if at.After(c.NotAfter) {
			return refuse(stemma.ReasonCertificateTime, "certificate %.80q expired at %s, before %s, when the whole chain first was valid",
				c.Subject, c.NotAfter.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: i.pool, Intermediates: i.below, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	if err != nil {
		return refuse(stemma.ReasonCertificateInvalid, "verifying the certificate by %.80q: %v", i.cert.Subject, err)
	}
	return nil
}

// checkTime: "For a signature with a given certificate to be considered valid, it must have a timestamp while every
// certificate in the chain up to the root is valid" (Sigstore client specification). Every proven time must satisfy it.
func (i *issuer) checkTime(leaf *x509.Certificate, t stemma.SignedTime) *refusal {
	at := t.Time.UTC().Format(time.RFC3339)
	for _, c := range append([]*x509.Certificate{leaf}, i.chain...) {
		if w := (window{c.NotBefore, c.NotAfter}); !w.covers(t.Time) {
			who := "the signing certificate"
			if c != leaf {
				who = "certificate " + c.Subject.String()
			}
			return refuse(stemma.ReasonCertificateTime, "signed at %s according to %s, %.120s is valid %s", at, t.From, who, w)
		}
	}
	if !i.covers(t.Time) {
		return refuse(stemma.ReasonCertificateTime, "signed at %s according to %s, the authority is trusted %s", at, t.From, i.window)
	}
	return nil
}

// checkSCT verifies that a trusted certificate log has seen the certificate (RFC 6962 section 3.2).
func (d *Domain) checkSCT(leaf *x509.Certificate, i *issuer) *refusal {
	if d.sct == None {
		return nil
	}
	chains := [][]*x509.Certificate{{leaf, i.cert}}
	if err := verify.VerifySignedCertificateTimestamp(chains, 1, d.root); err != nil {
		return refuse(stemma.ReasonSCT, "certificate timestamps: %v", err)
	}
	return nil
}

// extension is the object identifier 1.3.6.1.4.1.57264.1.n of Fulcio.
func extension(id asn1.ObjectIdentifier) (int, bool) {
	arc := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}
	if len(id) != len(arc)+1 || !id[:len(arc)].Equal(arc) {
		return 0, false
	}
	return id[len(arc)], true
}

// claimName is the name of extension .n, or "".
func claimName(n int) string {
	names := [...]string{
		2: stemma.ClaimGitHubTrigger, 3: stemma.ClaimGitHubSHA, 4: stemma.ClaimGitHubName,
		5: stemma.ClaimGitHubRepository, 6: stemma.ClaimGitHubRef,
		9: stemma.ClaimBuildSignerURI, 10: stemma.ClaimBuildSignerDigest, 11: stemma.ClaimRunnerEnvironment,
		12: stemma.ClaimSourceRepositoryURI, 13: stemma.ClaimSourceRepositoryHash, 14: stemma.ClaimSourceRepositoryRef,
		15: stemma.ClaimSourceRepositoryID, 16: stemma.ClaimSourceOwnerURI, 17: stemma.ClaimSourceOwnerID,
		18: stemma.ClaimBuildConfigURI, 19: stemma.ClaimBuildConfigDigest, 20: stemma.ClaimBuildTrigger,
		21: stemma.ClaimRunInvocationURI, 22: stemma.ClaimRepositoryVisibility,
		23: stemma.ClaimDeploymentEnvironment, 24: stemma.ClaimTokenSubject,
	}
	if n < 0 || n >= len(names) {
		return ""
	}
	return names[n]
}

// identify reads who a verified certificate was issued to.
func (d *Domain) identify(leaf *x509.Certificate) (stemma.Identity, *refusal) {
	id := stemma.Identity{Trust: d.name, Key: stemma.SHA256(leaf.RawSubjectPublicKeyInfo), Claims: map[string]string{}}
	var ref *refusal
	if id.Subject, ref = onlyName(leaf.Extensions); ref != nil {
		return stemma.Identity{}, ref
	}
	issuers := map[int]string{}
	for _, x := range leaf.Extensions {
		n, ok := extension(x.Id)
		if !ok {
			continue
		}
		name := claimName(n)
		if name == "" && n != 1 && n != 8 {
			continue
		}
		value, err := claimValue(n, x.Value)
		if err != "" {
			return stemma.Identity{}, refuse(stemma.ReasonCertificateInvalid, "certificate extension .%d %s", n, err)
		}
		if name == "" {
			issuers[n] = value
			continue
		}
		if _, ok := id.Claims[name]; ok {
			return stemma.Identity{}, refuse(stemma.ReasonCertificateInvalid, "certificate extension .%d stands twice", n)
		}
		if value != "" {
			id.Claims[name] = value
		}
	}
	old, hasOld := issuers[1]
	id.Issuer = issuers[8]
	if id.Issuer == "" {
		id.Issuer = old
	}
	switch {
	case id.Issuer == "":
		return stemma.Identity{}, refuse(stemma.ReasonCertificateInvalid, "the certificate names no OIDC issuer (extensions .1 and .8)")
	case hasOld && old != id.Issuer:
		return stemma.Identity{}, refuse(stemma.ReasonCertificateInvalid, "the certificate names two issuers, %.100q and %.100q", old, id.Issuer)
	}
	return id, nil
}

// claimValue decodes an extension: .1 to .6 are raw strings, .8 and above a DER UTF8String.
func claimValue(n int, der []byte) (value, problem string) {
	value = string(der)
	if n >= 8 {
		var raw asn1.RawValue
		rest, err := asn1.Unmarshal(der, &raw)
		if err != nil || len(rest) != 0 || raw.Class != asn1.ClassUniversal || raw.Tag != asn1.TagUTF8String || raw.IsCompound {
			return "", "is not a DER UTF8String"
		}
		value = string(raw.Bytes)
	}
	if !plain(value) {
		return "", "holds invalid UTF-8 or control characters"
	}
	return value, ""
}

func plain(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// oidNames is id-ce-subjectAltName (RFC 5280 section 4.2.1.6).
func oidNames() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 17} }

// onlyName is the certificate's subject alternative name. A certificate with two says two different things of its
// signer, and which one is read would depend on the reader.
func onlyName(extensions []pkix.Extension) (string, *refusal) {
	var names []asn1.RawValue
	found := false
	for _, x := range extensions {
		if !x.Id.Equal(oidNames()) {
			continue
		}
		if found {
			return "", refuse(stemma.ReasonCertificateInvalid, "two extensions with subject alternative names")
		}
		found = true
		if rest, err := asn1.Unmarshal(x.Value, &names); err != nil || len(rest) != 0 {
			return "", refuse(stemma.ReasonCertificateInvalid, "the subject alternative names cannot be read")
		}
	}
	if len(names) != 1 {
		return "", refuse(stemma.ReasonCertificateInvalid, "%d subject alternative names: want exactly one", len(names))
	}
	name, ok := generalName(names[0])
	if !ok || name == "" || !plain(name) {
		return "", refuse(stemma.ReasonCertificateInvalid, "the subject alternative name is not a plain URI, email address or Fulcio name")
	}
	return name, nil
}

// generalName reads the three kinds of names that Fulcio issues (RFC 5280 section 4.2.1.6).
func generalName(n asn1.RawValue) (string, bool) {
	if n.Class != asn1.ClassContextSpecific {
		return "", false
	}
	switch n.Tag {
	case 1, 6: // rfc822Name, uniformResourceIdentifier: IA5String
		for _, c := range n.Bytes {
			if c >= 0x80 {
				return "", false
			}
		}
		return string(n.Bytes), !n.IsCompound
	case 0: // otherName ::= SEQUENCE { type-id OBJECT IDENTIFIER, value [0] EXPLICIT ANY }
		var id asn1.ObjectIdentifier
		rest, err := asn1.Unmarshal(n.Bytes, &id)
		if err != nil {
			return "", false
		}
		if num, ok := extension(id); !ok || num != 7 {
			return "", false
		}
		var value string
		rest, err = asn1.UnmarshalWithParams(rest, &value, "utf8,explicit,tag:0")
		return value, err == nil && len(rest) == 0
	}
	return "", false
}

// unprovenName is whom a certificate that is not verified names, for a Rejection.
func unprovenName(leaf *x509.Certificate) string {
	if name, ref := onlyName(leaf.Extensions); ref == nil {
		return name
	}
	return leaf.Subject.String() + " (serial " + strconv.Quote(leaf.SerialNumber.String()) + ")"
}
