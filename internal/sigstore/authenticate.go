package sigstore

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"stemma"
)

// Config is what an Authenticator trusts.
type Config struct {
	Domains []*Domain

	// CacheEntries bounds how many results are kept (and 64 MiB of evidence with them); 0 keeps none.
	CacheEntries int
}

// Authenticator turns evidence into attestations and rejections. It is safe for concurrent use.
type Authenticator struct {
	domains []*Domain
	cache   *cache
}

// Artifact is what evidence must be about.
type Artifact struct {
	Digest  stemma.Digest
	Content []byte // the bytes that Digest addresses; nil when they are not at hand
	// Config is the config that Content names, or "". A statement about it is about the artifact's family, and bound as
	// via-config.
	Config stemma.Digest
	// Commits are what the artifact was built from, as its provenance says. A verification summary about one of them is
	// bound as source: it says nothing of the artifact.
	Commits []string
	Now     time.Time // judges the keys of domains with Time None, and nothing else
}

// New checks that the domains are told apart by name, certificate authority and key.
func New(c Config) (*Authenticator, error) {
	if len(c.Domains) == 0 {
		return nil, errors.New("no trust domain")
	}
	if err := distinct(c.Domains); err != nil {
		return nil, err
	}
	return &Authenticator{domains: slices.Clone(c.Domains), cache: newCache(c.CacheEntries)}, nil
}

// Trust names the domains in force.
func (a *Authenticator) Trust() []stemma.TrustRef {
	var out []stemma.TrustRef
	for _, d := range a.domains {
		out = append(out, d.ref)
	}
	return out
}

// Authenticate verifies one piece of evidence about one artifact. Exactly one result is not nil, whatever the input.
// The Attestation is the caller's own: it shares nothing with what is kept, which would else come to be about whatever
// a caller writes.
func (a *Authenticator) Authenticate(raw stemma.Raw, art Artifact) (att *stemma.Attestation, rej *stemma.Rejection) {
	id := raw.ID()
	reject := func(r *refusal, format, signer string) *stemma.Rejection {
		if format == "" {
			format = string(raw.Format)
		}
		return &stemma.Rejection{Bundle: id, Format: format, Place: raw.Place, Reason: r.reason, Detail: r.detail, Signer: signer}
	}
	// INV-2: a panic is never a pass.
	defer func() {
		if r := recover(); r != nil {
			att, rej = nil, reject(refuse(stemma.ReasonMalformed, "verifying it panicked: %v", r), "", "")
		}
	}()
	key := cacheKey{id, raw.Format}
	res, ok := a.cache.get(key)
	if !ok {
		res = a.verify(raw)
		a.cache.put(key, res, len(raw.Data)+annotationBytes(raw))
	}
	if res.ref != nil {
		return nil, reject(res.ref, res.format, res.signer)
	}
	v := res.ok
	binding, ref := v.bind(art)
	var held []*verified
	if ref == nil {
		held, ref = v.heldAt(art.Now)
	}
	if ref != nil {
		return nil, reject(ref, res.format, v.signer.String())
	}
	att = &stemma.Attestation{
		Bundle: id, Format: res.format, Place: raw.Place, Signature: v.signature, Signer: cloneIdentity(held[0].signer),
		Log: slices.Clone(held[0].log.entries), SignedAt: slices.Clone(held[0].times), Binding: binding,
	}
	att.Binding.Subject = cloneResource(binding.Subject)
	for _, h := range held[1:] {
		att.Cosigners = append(att.Cosigners, cloneIdentity(h.signer))
	}
	if v.statement != nil {
		att.Statement = cloneStatement(*v.statement)
	}
	return att, nil
}

func cloneIdentity(id stemma.Identity) stemma.Identity {
	id.Claims = maps.Clone(id.Claims)
	return id
}

func cloneResource(r stemma.ResourceDescriptor) stemma.ResourceDescriptor {
	r.Digest, r.Annotations = maps.Clone(r.Digest), slices.Clone(r.Annotations)
	return r
}

func cloneStatement(s stemma.Statement) stemma.Statement {
	s.Subject, s.Predicate = slices.Clone(s.Subject), slices.Clone(s.Predicate)
	for i, r := range s.Subject {
		s.Subject[i] = cloneResource(r)
	}
	return s
}

// result is what does not depend on the artifact.
type result struct {
	format string
	signer string // unproven, of a rejection
	ref    *refusal
	ok     *verified
}

// verified is evidence whose signature, signer, log entries and times hold.
type verified struct {
	signer stemma.Identity
	log    logged
	times  []stemma.SignedTime
	now    []timed     // what must hold at Artifact.Now, because no time is proven
	also   []*verified // further signers of a bare envelope, each with its own times

	// What it is about: a statement, the image named by a simple signing payload, or a message.
	signature bool
	statement *stemma.Statement
	image     stemma.Digest
	name      string
	hash      crypto.Hash
	digest    []byte
	pure      func(message []byte) error // Ed25519: verifies the signature once the message is known
}

// timed is something with a window that must cover the time.
type timed struct {
	reason stemma.Reason
	what   string
	window
}

func (a *Authenticator) verify(raw stemma.Raw) result {
	e, ref := read(raw)
	if ref != nil {
		return result{ref: ref}
	}
	res := result{format: e.format, signer: stemma.Printable(e.unproven(), maxDetail)}
	if e.bare {
		res.ok, res.ref = a.verifyBare(e)
		return res
	}
	var v *verified
	if e.leaf != nil {
		v, ref = a.verifyCertificate(e, e.leaf)
	} else {
		v, ref = a.verifyKey(e)
	}
	if ref == nil {
		ref = v.readPayload(e)
	}
	if ref != nil {
		res.ref = ref
		return res
	}
	res.ok = v
	return res
}

func (e *envelope) unproven() string {
	switch {
	case e.leaf != nil:
		return unprovenName(e.leaf)
	case e.hint != "":
		return "key " + e.hint
	case e.bare && e.signatures[0].leaf != nil:
		return unprovenName(e.signatures[0].leaf)
	}
	return ""
}

// verifyCertificate verifies a signature made with a certificate, under the one domain that holds its issuer. That
// another domain might require less is no reason to ask it.
func (a *Authenticator) verifyCertificate(e *envelope, leaf *x509.Certificate) (*verified, *refusal) {
	var d *Domain
	for _, c := range a.domains {
		if len(c.issuersOf(leaf)) == 0 {
			continue
		}
		if d != nil {
			return nil, refuse(stemma.ReasonSignerUnknown, "trust domains %s and %s both have an authority named %.80q, and the certificate does not say by key which one issued it", d.name, c.name, leaf.Issuer)
		}
		d = c
	}
	if d == nil {
		return nil, refuse(stemma.ReasonSignerUnknown, "the certificate was issued by %.80q with key %x, which is in no trust domain", leaf.Issuer, leaf.AuthorityKeyId)
	}
	iss, ref := d.checkIssued(leaf)
	if ref != nil {
		return nil, ref
	}
	v := &verified{}
	if ref := v.checkSignature(e, leaf.PublicKey, true); ref != nil {
		return nil, ref
	}
	if ref := v.prove(d, e, signedBy{leaf.Raw, true, leaf.PublicKey}); ref != nil {
		return nil, ref
	}
	if len(v.times) == 0 {
		return nil, refuse(stemma.ReasonTimeMissing, "nothing proves when it was signed: no log entry with a signed time, and no timestamp of an authority of trust domain %s", d.name)
	}
	for _, t := range v.times {
		if ref := iss.checkTime(leaf, t); ref != nil {
			return nil, ref
		}
	}
	if ref := d.checkSCT(leaf, iss); ref != nil {
		return nil, ref
	}
	v.signer, ref = d.identify(leaf)
	return v, ref
}

// verifyKey verifies a signature made with a managed key: the one that the hint names, or else the one of all
// domains' that verifies it.
func (a *Authenticator) verifyKey(e *envelope) (*verified, *refusal) {
	k, ref := a.findKey(e, e.hint, e.signatures[0].sig)
	if ref != nil {
		return nil, ref
	}
	return k.verify(e, e.signatures[0].sig)
}

// findKey finds the key that made a signature.
func (a *Authenticator) findKey(e *envelope, hint string, sig []byte) (*managedKey, *refusal) {
	var named, all []*managedKey
	for _, d := range a.domains {
		for _, k := range d.keys {
			all = append(all, k)
			if hint != "" && k.called(hint) {
				named = append(named, k)
			}
		}
	}
	candidates := named
	if len(named) == 0 {
		candidates = all
	}
	for _, k := range candidates {
		if _, ok := k.pub.(ed25519.PublicKey); ok && e.kind == isMessage {
			if len(candidates) == 1 {
				return k, nil // only the message itself can tell
			}
			continue
		}
		if (&verified{}).checkSignature(k.signs(e, sig), k.pub, false) == nil {
			return k, nil
		}
	}
	switch {
	case len(named) > 0:
		return nil, refuse(stemma.ReasonSignatureInvalid, "the signature does not verify with key %s of trust domain %s, which it names", named[0].name, named[0].domain.name)
	case hint != "":
		return nil, refuse(stemma.ReasonSignerUnknown, "signed with a key called %.100q, which is in no trust domain, and none of their %d keys verifies it", hint, len(all))
	}
	return nil, refuse(stemma.ReasonSignerUnknown, "signed with a key that is not named, and none of the %d keys of the trust domains verifies it", len(all))
}

// called reports whether a hint names the key: by its name, or by the SHA-256 of its SubjectPublicKeyInfo in hex or
// base64, as signers write it. A hint is not protected; it only spares trying.
func (k *managedKey) called(hint string) bool {
	sum, _ := hex.DecodeString(k.digest.Hex())
	return hint == k.name || hint == k.digest.Hex() || hint == base64.StdEncoding.EncodeToString(sum)
}

// signs is the envelope with one signature of k, over what k signs. A key signs in one of the two ways only: a signature
// over a payload says nothing of its type, and must not be taken for one that does, nor the reverse.
func (k *managedKey) signs(e *envelope, sig []byte) *envelope {
	one := *e
	one.signatures = []sealed{{sig: sig}}
	if k.unframed {
		one.signed = e.unframed
	}
	return &one
}

// verify checks everything about a signature that k made.
func (k *managedKey) verify(e *envelope, sig []byte) (*verified, *refusal) {
	d := k.domain
	v := &verified{}
	one := k.signs(e, sig)
	if ref := v.checkSignature(one, k.pub, false); ref != nil {
		return nil, ref
	}
	if ref := v.prove(d, one, signedBy{k.spki, false, k.pub}); ref != nil {
		return nil, ref
	}
	what := fmt.Sprintf("key %s of trust domain %s", k.name, d.name)
	for _, t := range v.times {
		if !k.covers(t.Time) {
			return nil, refuse(stemma.ReasonKeyTime, "signed at %s according to %s, %s is valid %s", t.Time.Format(time.RFC3339), t.From, what, k.window)
		}
	}
	if len(v.times) == 0 {
		if d.time == Required {
			return nil, refuse(stemma.ReasonTimeMissing, "nothing proves when it was signed, which trust domain %s requires", d.name)
		}
		v.now = append(v.now, timed{stemma.ReasonKeyTime, what, k.window})
		for _, l := range v.log.keys {
			v.now = append(v.now, timed{stemma.ReasonLogInvalid, "the key of log " + l.url, l.window})
		}
	}
	v.signer = stemma.Identity{Trust: d.name, KeyID: k.name, Key: k.digest}
	return v, nil
}

// verifyBare verifies an envelope that may have several signers. A signature counts only if everything that its own
// trust domain requires holds (GHSA-2v4r), and no key counts twice.
func (a *Authenticator) verifyBare(e *envelope) (*verified, *refusal) {
	var held []*verified
	var first *refusal
	for _, s := range e.signatures {
		one := *e
		one.signatures = []sealed{s}
		var v *verified
		var ref *refusal
		if len(s.sig) == 0 {
			ref = refuse(stemma.ReasonSignatureCount, "an empty signature")
		} else if s.leaf != nil {
			v, ref = a.verifyCertificate(&one, s.leaf)
		} else {
			one.hint = s.keyID
			v, ref = a.verifyKey(&one)
		}
		if ref != nil {
			if first == nil {
				first = ref
			}
			continue
		}
		if !slices.ContainsFunc(held, func(h *verified) bool { return h.signer.Key == v.signer.Key }) {
			held = append(held, v)
		}
	}
	if len(held) == 0 {
		return nil, first
	}
	// The order of signatures is anybody's to choose: the order of trust domains and keys decides who is named first.
	slices.SortStableFunc(held, func(x, y *verified) int { return a.rank(x.signer) - a.rank(y.signer) })
	v := held[0]
	v.also = held[1:]
	return v, v.readPayload(e)
}

// heldAt is the signers whose windows hold at a time. One that does not is no signer then, and spoils nobody else's
// signature: else anybody with a retired key could.
func (v *verified) heldAt(now time.Time) (held []*verified, first *refusal) {
	for _, s := range append([]*verified{v}, v.also...) {
		if ref := s.checkNow(now); ref == nil {
			held = append(held, s)
		} else if first == nil {
			first = ref
		}
	}
	if len(held) == 0 {
		return nil, first
	}
	return held, nil
}

func (a *Authenticator) rank(id stemma.Identity) int {
	n := 0
	for _, d := range a.domains {
		for _, k := range d.keys {
			if d.name == id.Trust && k.name == id.KeyID {
				return n
			}
			n++
		}
		if d.name == id.Trust && id.KeyID == "" {
			return n
		}
		n++
	}
	return n
}

// checkSignature verifies the only signature of e.
func (v *verified) checkSignature(e *envelope, pub crypto.PublicKey, certified bool) *refusal {
	if ref := exactlyOne(e); ref != nil {
		return ref
	}
	sig := e.signatures[0].sig
	var err error
	switch _, edwards := pub.(ed25519.PublicKey); {
	case e.kind != isMessage && e.signed == nil:
		return refuse(stemma.ReasonSignatureInvalid, "the key signs payloads of DSSE envelopes of type %s, and this is none", stemma.PayloadTypeInToto)
	case e.kind != isMessage:
		err = e.signed.verify(pub, sig)
	case edwards && !certified:
		// A managed Ed25519 key signs the message itself; with a certificate it is Ed25519ph, the only way in which a
		// log records it.
		v.pure = func(message []byte) error { return verifyMessage(pub, message, sig) }
	case e.hash != prehashOf(pub):
		return refuse(stemma.ReasonAlgorithm, "a message digest of %s, and the key signs %s", digestAlgorithm(e.hash), digestAlgorithm(prehashOf(pub)))
	default:
		err = verifyDigest(pub, e.digest, sig)
	}
	if err != nil {
		return refuse(stemma.ReasonSignatureInvalid, "%v with the signer's key", err)
	}
	return nil
}

// prove verifies timestamps and log entries, and collects the times that they prove.
func (v *verified) prove(d *Domain, e *envelope, by signedBy) *refusal {
	stamps, ref := d.checkTimestamps(e)
	if ref != nil {
		return ref
	}
	if v.log, ref = d.checkLog(e, by); ref != nil {
		return ref
	}
	v.times = append(stamps, v.log.times...)
	// A log that signs no time may not go on after its key was retired (sigstore-go 1.2.1).
	for _, l := range v.log.keys {
		for _, t := range v.times {
			if !l.covers(t.Time) {
				return refuse(stemma.ReasonLogInvalid, "signed at %s according to %s, the key of log %s is valid %s", t.Time.Format(time.RFC3339), t.From, l.url, l.window)
			}
		}
	}
	return nil
}

func (v *verified) checkNow(now time.Time) *refusal {
	for _, w := range v.now {
		switch {
		case w.open():
		case now.IsZero():
			return refuse(w.reason, "no time is proven or given, and %s is valid %s", w.what, w.window)
		case !w.covers(now):
			return refuse(w.reason, "it is %s, %s is valid %s, and nothing proves an earlier time", now.UTC().Format(time.RFC3339), w.what, w.window)
		}
	}
	return nil
}

// readPayload parses what was signed, once, now that it is known by whom.
func (v *verified) readPayload(e *envelope) *refusal {
	switch e.kind {
	case isMessage:
		v.signature, v.hash, v.digest = true, e.hash, e.digest
		return nil
	case isSimpleSigning:
		return v.readSimpleSigning(e.payload)
	}
	// "payloadType … MUST be application/vnd.in-toto+json" (in-toto Attestation Framework, Envelope v1)
	if e.payloadType != stemma.PayloadTypeInToto {
		return refuse(stemma.ReasonPayloadType, "payload type %.100q: want %s", e.payloadType, stemma.PayloadTypeInToto)
	}
	s, err := stemma.ParseStatement(e.payload)
	if err != nil {
		return malformed("statement", err)
	}
	v.statement, v.signature = &s, s.PredicateType == stemma.PredicateCosignSign
	return nil
}

type simpleSigning struct {
	Critical *struct {
		Identity *struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image *struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
}

func (v *verified) readSimpleSigning(payload []byte) *refusal {
	var p simpleSigning
	if err := stemma.DecodeJSON(payload, &p); err != nil {
		return malformed("simple signing payload", err)
	}
	if p.Critical == nil || p.Critical.Image == nil {
		return refuse(stemma.ReasonMalformed, "simple signing payload without critical.image")
	}
	if p.Critical.Type != "cosign container image signature" {
		return refuse(stemma.ReasonUnsupported, "simple signing payload of type %.60q: want \"cosign container image signature\"", p.Critical.Type)
	}
	d, err := stemma.ParseDigest(p.Critical.Image.Digest)
	if err != nil {
		return refuse(stemma.ReasonMalformed, "docker-manifest-digest: %v", err)
	}
	v.signature, v.image = true, d
	if p.Critical.Identity != nil {
		v.name = p.Critical.Identity.Reference
	}
	return nil
}

// bind ties the evidence to the artifact, or says why not.
func (v *verified) bind(art Artifact) (stemma.Binding, *refusal) {
	b := stemma.Binding{Kind: stemma.BindingExact, Member: art.Digest}
	if _, err := stemma.ParseDigest(string(art.Digest)); err != nil {
		return b, refuse(stemma.ReasonSubjectMismatch, "the artifact is not named by a digest: %v", err)
	}
	if art.Content != nil && !art.Digest.Matches(art.Content) {
		return b, refuse(stemma.ReasonSubjectMismatch, "the artifact's content is not what %s addresses", art.Digest.Short())
	}
	switch {
	case v.statement != nil:
		subject, reason, detail := v.statement.Bind(art.Digest, art.Content)
		if reason == stemma.ReasonSubjectMismatch && art.Config != "" {
			if of, none, _ := v.statement.Bind(art.Config, nil); none == "" {
				return stemma.Binding{Kind: stemma.BindingViaConfig, Member: art.Config, Subject: of}, nil
			}
		}
		if reason == stemma.ReasonSubjectMismatch && v.statement.PredicateType == stemma.PredicateVSAv1 {
			if of, ok := aboutCommit(v.statement, art.Commits); ok {
				return stemma.Binding{Kind: stemma.BindingSource, Subject: of}, nil
			}
		}
		if reason != "" {
			return b, refuse(reason, "%s", detail)
		}
		b.Subject = subject
	case v.image != "":
		if v.image != art.Digest && (art.Content == nil || !v.image.Matches(art.Content)) {
			return b, refuse(stemma.ReasonSubjectMismatch, "signs %s, want %s", v.image.Short(), art.Digest.Short())
		}
		b.Subject = stemma.ResourceDescriptor{Name: v.name, Digest: map[string]string{v.image.Algorithm(): v.image.Hex()}}
	default:
		return b, v.bindMessage(art)
	}
	return b, nil
}

// aboutCommit finds the subject that is one of the commits. "gitCommit" is their name in in-toto; a digest of content is
// never taken for one.
func aboutCommit(s *stemma.Statement, commits []string) (stemma.ResourceDescriptor, bool) {
	for _, sub := range s.Subject {
		for _, alg := range []string{"gitCommit", "sha1"} {
			if c := sub.Digest[alg]; stemma.IsCommit(c) && slices.Contains(commits, c) {
				return sub, true
			}
		}
	}
	return stemma.ResourceDescriptor{}, false
}

func (v *verified) bindMessage(art Artifact) *refusal {
	var got []byte
	switch {
	case art.Content != nil:
		got = sumOf(v.hash, art.Content)
	case art.Digest.Algorithm() == digestAlgorithm(v.hash):
		got, _ = hex.DecodeString(art.Digest.Hex())
	default:
		return refuse(stemma.ReasonAlgorithm, "signs a %s digest, and the artifact is known by its %s digest alone", digestAlgorithm(v.hash), art.Digest.Algorithm())
	}
	if !bytes.Equal(got, v.digest) {
		return refuse(stemma.ReasonSubjectMismatch, "signs %s:%.12x…, want %s", digestAlgorithm(v.hash), v.digest, art.Digest.Short())
	}
	if v.pure == nil {
		return nil
	}
	if art.Content == nil {
		return refuse(stemma.ReasonAlgorithm, "an Ed25519 signature is over the artifact itself, of which only the digest is known")
	}
	if err := v.pure(art.Content); err != nil {
		return refuse(stemma.ReasonSignatureInvalid, "%v with the signer's key", err)
	}
	return nil
}
