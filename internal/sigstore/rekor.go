package sigstore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	f_log "github.com/transparency-dev/formats/log"
	merkle "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"stemma"
)

// entry is a log entry as it was given.
type entry struct {
	logID         []byte
	index         int64
	kind, version string // as the bundle says; "" where only the body does
	time          int64  // seconds since 1970; 0: none
	promise       []byte // signed entry timestamp
	proof         *proof
	body          []byte
}

// proof is a proof of inclusion (RFC 6962 section 2.1.1) and the checkpoint that it ends in.
type proof struct {
	index, size int64
	root        []byte
	hashes      [][]byte
	checkpoint  string
}

// signedBy is what an entry must be about: the key or certificate that the signature was verified with.
type signedBy struct {
	raw  []byte // certificate or SubjectPublicKeyInfo, DER
	cert bool
	pub  crypto.PublicKey
}

// logged is what the entries prove.
type logged struct {
	entries []stemma.LogEntry
	times   []stemma.SignedTime
	keys    []logWindow // of logs that sign no time: the proven times must fall into the window of their key
}

type logWindow struct {
	url string
	window
}

// checkLog verifies the entries of logs that the domain trusts. Each of them must hold, even where none is required:
// an entry that does not is a forgery, and no other entry stands in for it (CVE-2022-36056). Entries of other logs
// prove nothing and count for nothing. No entry counts twice (CVE-2026-49834).
func (d *Domain) checkLog(e *envelope, by signedBy) (logged, *refusal) {
	var out logged
	for i, x := range e.entries {
		log, ok := d.logs[string(x.logID)]
		if !ok {
			continue
		}
		for _, other := range e.entries[:i] {
			if other.index == x.index && bytes.Equal(other.logID, x.logID) {
				return logged{}, refuse(stemma.ReasonLogInvalid, "entry %d of log %s is given twice", x.index, log.url)
			}
		}
		le, ref := log.check(e, x, by)
		if ref != nil {
			return logged{}, ref
		}
		out.entries = append(out.entries, le)
		if le.Time.IsZero() {
			out.keys = append(out.keys, logWindow{log.url, log.window})
		} else {
			out.times = append(out.times, stemma.SignedTime{Time: le.Time, By: "log", From: log.url})
		}
	}
	if len(out.entries) == 0 && d.log == Required {
		if n := len(e.entries); n > 0 {
			return logged{}, refuse(stemma.ReasonLogMissing, "%d log entries, none of a log that trust domain %s knows", n, d.name)
		}
		return logged{}, refuse(stemma.ReasonLogMissing, "no log entry, which trust domain %s requires", d.name)
	}
	return out, nil
}

func (l *transparencyLog) check(e *envelope, x *entry, by signedBy) (stemma.LogEntry, *refusal) {
	none := stemma.LogEntry{}
	body, ref := readBody(x)
	if ref != nil {
		return none, ref
	}
	if ref := body.about(e, by); ref != nil {
		return none, ref
	}
	le := stemma.LogEntry{Log: l.url, Index: x.index, Kind: body.kind()}
	var proofs []string
	if len(x.promise) > 0 {
		if body.tiled() {
			return none, refuse(stemma.ReasonLogInvalid, "an inclusion promise for a %s entry: such logs make none", body.kind())
		}
		if ref := l.checkPromise(x); ref != nil {
			return none, ref
		}
		le.Time = time.Unix(x.time, 0).UTC()
		proofs = append(proofs, "promise")
	}
	if x.proof != nil {
		if ref := l.checkInclusion(x, body.tiled()); ref != nil {
			return none, ref
		}
		proofs = append(proofs, "inclusion")
	}
	if len(x.promise) == 0 && x.proof != nil {
		le.Index = x.proof.index // the other index is covered by the promise alone
	}
	if len(proofs) == 0 {
		return none, refuse(stemma.ReasonLogInvalid, "entry %d of log %s has neither an inclusion promise nor a proof", x.index, l.url)
	}
	// The integrated time is covered by the promise alone: without one it is a number that anybody may write.
	le.Proof = strings.Join(proofs, "+")
	return le, nil
}

// checkPromise verifies the signed entry timestamp: an ECDSA signature over the RFC 8785 form of body, time, log id
// and index.
func (l *transparencyLog) checkPromise(x *entry) *refusal {
	at := time.Unix(x.time, 0).UTC()
	if x.time == 0 || !l.covers(at) {
		return refuse(stemma.ReasonLogInvalid, "entry %d was integrated at %s, the key of log %s is valid %s", x.index, at.Format(time.RFC3339), l.url, l.window)
	}
	key, ok := l.pub.(*ecdsa.PublicKey)
	if !ok {
		return refuse(stemma.ReasonLogInvalid, "log %s has a key of type %T: promises are signed with ECDSA", l.url, l.pub)
	}
	text := fmt.Sprintf(`{"body":"%s","integratedTime":%d,"logID":"%x","logIndex":%d}`, base64.StdEncoding.EncodeToString(x.body), x.time, x.logID, x.index)
	sum := sha256.Sum256([]byte(text))
	if !ecdsa.VerifyASN1(key, sum[:], x.promise) {
		return refuse(stemma.ReasonLogInvalid, "the inclusion promise of entry %d does not verify under the key of log %s", x.index, l.url)
	}
	return nil
}

// checkInclusion verifies the checkpoint under the log's key and name, and that the entry is in the tree it commits to.
func (l *transparencyLog) checkInclusion(x *entry, tiled bool) *refusal {
	p := x.proof
	bad := func(format string, args ...any) *refusal {
		return refuse(stemma.ReasonLogInvalid, "entry %d of log %s: %s", x.index, l.url, fmt.Sprintf(format, args...))
	}
	// Origin is the log's host name in v2; in v1 the tree's number follows it: "rekor.sigstore.dev - 2605736670972794746".
	origin, _, _ := strings.Cut(p.checkpoint, "\n")
	name := origin
	if !tiled {
		var tree string
		var ok bool
		if name, tree, ok = strings.Cut(origin, " - "); !ok || tree == "" || strings.Trim(tree, "0123456789") != "" {
			return bad("checkpoint of origin %.100q: want the name of the log and the number of a tree", origin)
		}
	}
	if !slices.Contains(l.names, name) {
		return bad("checkpoint of %.100q: want %s", name, l.names[0])
	}
	// A note is signed by the log when a line under its name verifies with its key. Other lines are witnesses'.
	v, err := note.NewNoteVerifier(name, l.verifier)
	if err != nil {
		return bad("%v", err)
	}
	cp, _, _, err := f_log.ParseCheckpoint([]byte(p.checkpoint), origin, v)
	if err != nil {
		return bad("the checkpoint is not signed by the log: %v", err)
	}
	if p.size < 0 || cp.Size != uint64(p.size) || len(p.root) > 0 && !bytes.Equal(cp.Hash, p.root) {
		return bad("the proof is for a tree of %d entries, the checkpoint for another tree of %d", p.size, cp.Size)
	}
	if tiled && p.index != x.index {
		return bad("the proof is for entry %d", p.index)
	}
	if err := merkle.VerifyInclusion(rfc6962.DefaultHasher, uint64(p.index), cp.Size, rfc6962.DefaultHasher.HashLeaf(x.body), p.hashes, cp.Hash); err != nil {
		return bad("the proof of inclusion does not hold: %v", err)
	}
	return nil
}

// body is the canonicalised body of an entry, of any kind.
type body struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Spec       *bodySpec `json:"spec"`
}

type bodySpec struct {
	// hashedrekord 0.0.1
	Data      *bodyData      `json:"data"`
	Signature *bodySignature `json:"signature"`
	// dsse 0.0.1
	PayloadHash *bodyHash  `json:"payloadHash"`
	Signatures  []bodyDSSE `json:"signatures"`
	// intoto 0.0.1 (publicKey, content.hash) and 0.0.2 (content.envelope)
	Content   *bodyContent `json:"content"`
	PublicKey []byte       `json:"publicKey"`
	// hashedrekord 0.0.2
	V002 *bodyV002 `json:"hashedRekordV002"`
}

type bodyHash struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"value"`
}

type bodyData struct {
	Hash *bodyHash `json:"hash"`
}

type bodySignature struct {
	Content   []byte   `json:"content"`
	PublicKey *bodyKey `json:"publicKey"`
}

type bodyKey struct {
	Content []byte `json:"content"`
}

type bodyDSSE struct {
	Signature []byte `json:"signature"`
	Verifier  []byte `json:"verifier"`
}

type bodyContent struct {
	Envelope    *bodyEnvelope `json:"envelope"`
	Hash        *bodyHash     `json:"hash"`
	PayloadHash *bodyHash     `json:"payloadHash"`
}

type bodyEnvelope struct {
	PayloadType string       `json:"payloadType"`
	Signatures  []bodyInToto `json:"signatures"`
}

type bodyInToto struct {
	PublicKey []byte `json:"publicKey"`
	Sig       []byte `json:"sig"` // base64 of base64
}

type bodyV002 struct {
	Data      *wireDigest `json:"data"`
	Signature *bodyV2Sig  `json:"signature"`
}

type bodyV2Sig struct {
	Content  []byte          `json:"content"`
	Verifier *bodyV2Verifier `json:"verifier"`
}

type bodyV2Verifier struct {
	KeyDetails  string    `json:"keyDetails"`
	PublicKey   *wireCert `json:"publicKey"`
	Certificate *wireCert `json:"x509Certificate"`
}

func (b *body) kind() string { return b.Kind + " " + b.APIVersion }

// tiled reports an entry of Rekor v2, which signs no time.
func (b *body) tiled() bool { return b.kind() == "hashedrekord 0.0.2" }

func readBody(x *entry) (*body, *refusal) {
	var b body
	if err := stemma.DecodeJSON(x.body, &b); err != nil {
		return nil, malformed("body of a log entry", err)
	}
	if x.kind != "" && (x.kind != b.Kind || x.version != b.APIVersion) {
		return nil, refuse(stemma.ReasonLogMismatch, "the bundle says that the log entry is %.60q, its body %.60q", x.kind+" "+x.version, b.kind())
	}
	switch b.kind() {
	case "hashedrekord 0.0.1", "hashedrekord 0.0.2", "dsse 0.0.1", "intoto 0.0.1", "intoto 0.0.2":
	default:
		return nil, refuse(stemma.ReasonUnsupported, "log entry of kind %.60q: want hashedrekord, dsse or intoto", b.kind())
	}
	if b.Spec == nil {
		return nil, refuse(stemma.ReasonMalformed, "log entry %s without spec", b.kind())
	}
	return &b, nil
}

// about checks that the entry is about this signature, made with this key over this payload. An entry that is about
// anything else proves nothing here (CVE-2022-23649, CVE-2026-22703).
func (b *body) about(e *envelope, by signedBy) *refusal {
	if len(e.signatures) != 1 {
		return refuse(stemma.ReasonLogMismatch, "a log entry is about one signature, the envelope has %d", len(e.signatures))
	}
	switch b.kind() {
	case "hashedrekord 0.0.1":
		return b.aboutMessage(e, by)
	case "hashedrekord 0.0.2":
		return b.aboutTiled(e, by)
	}
	if e.kind != isDSSE {
		return refuse(stemma.ReasonLogMismatch, "the log entry is %s, and what is signed is not an envelope", b.kind())
	}
	if b.Kind == "dsse" {
		return b.aboutDSSE(e, by)
	}
	return b.aboutInToto(e, by)
}

// same compares one thing that an entry records with what was given.
func (b *body) same(what string, ok bool) *refusal {
	if ok {
		return nil
	}
	return refuse(stemma.ReasonLogMismatch, "the %s entry records another %s", b.kind(), what)
}

func (b *body) aboutMessage(e *envelope, by signedBy) *refusal {
	s := b.Spec
	if s.Data == nil || s.Data.Hash == nil || s.Signature == nil || s.Signature.PublicKey == nil {
		return refuse(stemma.ReasonMalformed, "%s entry lacks data or signature", b.kind())
	}
	h, digest := hashNamed(s.Data.Hash.Algorithm), ""
	switch {
	case e.kind == isDSSE:
		return refuse(stemma.ReasonLogMismatch, "the log entry is %s, and what is signed is an envelope", b.kind())
	case h == 0:
		return refuse(stemma.ReasonAlgorithm, "%s entry with a hash of algorithm %.40q", b.kind(), s.Data.Hash.Algorithm)
	case e.kind == isSimpleSigning:
		digest = hex.EncodeToString(e.signed.sum(h))
	case e.hash == h:
		digest = hex.EncodeToString(e.digest)
	}
	return firstOf(
		b.same("digest", digest != "" && s.Data.Hash.Value == digest),
		b.same("signature", bytes.Equal(s.Signature.Content, e.signatures[0].sig)),
		b.same("key or certificate", by.isPEM(s.Signature.PublicKey.Content)))
}

// aboutTiled: "A DSSE attestation is logged as hashedrekord 0.0.2 over its pre-authentication encoding."
func (b *body) aboutTiled(e *envelope, by signedBy) *refusal {
	v := b.Spec.V002
	if v == nil || v.Data == nil || v.Signature == nil || v.Signature.Verifier == nil {
		return refuse(stemma.ReasonMalformed, "%s entry lacks data or signature", b.kind())
	}
	h := prehashOf(by.pub)
	digest := e.digest
	if e.kind != isMessage {
		digest = e.signed.sum(h)
	} else if e.hash != h {
		digest = nil
	}
	named := v.Signature.Verifier.PublicKey
	if by.cert {
		named = v.Signature.Verifier.Certificate
	}
	return firstOf(
		b.same("digest", digest != nil && hashNamed(v.Data.Algorithm) == h && bytes.Equal(v.Data.Digest, digest)),
		b.same("signature", bytes.Equal(v.Signature.Content, e.signatures[0].sig)),
		b.same("key or certificate", named != nil && bytes.Equal(named.RawBytes, by.raw)),
		b.same("key algorithm", v.Signature.Verifier.KeyDetails == keyDetails(by.pub)))
}

func (b *body) aboutDSSE(e *envelope, by signedBy) *refusal {
	s := b.Spec
	if s.PayloadHash == nil || len(s.Signatures) != 1 {
		return refuse(stemma.ReasonMalformed, "%s entry lacks its payloadHash, or has %d signatures", b.kind(), len(s.Signatures))
	}
	return firstOf(
		b.same("payload", s.PayloadHash.is(e.payload)),
		b.same("signature", bytes.Equal(s.Signatures[0].Signature, e.signatures[0].sig)),
		b.same("key or certificate", by.isPEM(s.Signatures[0].Verifier)))
}

func (b *body) aboutInToto(e *envelope, by signedBy) *refusal {
	c := b.Spec.Content
	if c == nil {
		return refuse(stemma.ReasonMalformed, "%s entry without content", b.kind())
	}
	payload := b.same("payload", c.PayloadHash != nil && c.PayloadHash.is(e.payload))
	if b.APIVersion == "0.0.1" {
		// The signature is not in the entry: the hash of the envelope's text is all that ties the two.
		return firstOf(payload,
			b.same("envelope", c.Hash != nil && e.logged != nil && c.Hash.is(e.logged)),
			b.same("key or certificate", by.isPEM(b.Spec.PublicKey)))
	}
	if c.Envelope == nil || len(c.Envelope.Signatures) != 1 {
		return refuse(stemma.ReasonMalformed, "%s entry without an envelope of one signature", b.kind())
	}
	sig := c.Envelope.Signatures[0]
	text, err := stemma.DecodeBase64(string(sig.Sig))
	if err != nil {
		return refuse(stemma.ReasonMalformed, "signature in the %s entry: %v", b.kind(), err)
	}
	return firstOf(payload,
		b.same("payload type", c.Envelope.PayloadType == e.payloadType),
		b.same("signature", bytes.Equal(text, e.signatures[0].sig)),
		b.same("key or certificate", by.isPEM(sig.PublicKey)))
}

func firstOf(all ...*refusal) *refusal {
	for _, r := range all {
		if r != nil {
			return r
		}
	}
	return nil
}

func (h *bodyHash) is(data []byte) bool {
	sum := sha256.Sum256(data)
	return h.Algorithm == "sha256" && h.Value == hex.EncodeToString(sum[:])
}

// isPEM reports whether text is the PEM of the very certificate or key.
func (by signedBy) isPEM(text []byte) bool {
	kind := "PUBLIC KEY"
	if by.cert {
		kind = "CERTIFICATE"
	}
	if len(text) > maxPEM {
		return false
	}
	der, err := onePEM(text, kind)
	return err == nil && bytes.Equal(der, by.raw)
}
