package stemmatest

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"sync"
	"time"
)

// EntryKind is the kind and version of a log entry.
type EntryKind string

// The entries that signers of container images make. The last one belongs to a Rekor v2 log, the others to v1.
const (
	EntryHashedRekord001 EntryKind = "hashedrekord 0.0.1"
	EntryDSSE001         EntryKind = "dsse 0.0.1"
	EntryInToto001       EntryKind = "intoto 0.0.1"
	EntryInToto002       EntryKind = "intoto 0.0.2"
	EntryHashedRekord002 EntryKind = "hashedrekord 0.0.2"

	// NotLogged makes no entry.
	NotLogged EntryKind = "none"
)

// Content is what an entry is about: an envelope, or a signature over a message.
type Content struct {
	Signer    *Signer   // whose certificate or key the entry names
	Envelope  *Envelope // nil for a message
	Message   []byte
	Signature []byte // of the message
}

// EntryBody is the canonical body (RFC 8785) of an entry.
func EntryBody(kind EntryKind, c Content) ([]byte, error) {
	if c.Signer == nil {
		return nil, errors.New("making a log entry: no signer")
	}
	if c.Envelope == nil && (kind == EntryDSSE001 || kind == EntryInToto001 || kind == EntryInToto002) {
		return nil, fmt.Errorf("making a log entry: %s without an envelope", kind)
	}
	name, version, _ := strings.Cut(string(kind), " ")
	var spec object
	switch kind {
	case EntryHashedRekord001:
		h := c.prehash()
		message, sig := c.signed()
		spec = object{
			"data":      object{"hash": object{"algorithm": hashName(h), "value": hex.EncodeToString(sumOf(h, message))}},
			"signature": object{"content": sig, "publicKey": object{"content": c.Signer.VerifierPEM()}},
		}
	case EntryHashedRekord002:
		spec = object{"hashedRekordV002": c.hashedRekord002()}
	case EntryDSSE001:
		var sigs []object
		for _, s := range c.Envelope.Signatures {
			sigs = append(sigs, object{"signature": base64.StdEncoding.EncodeToString(s.Sig), "verifier": c.Signer.VerifierPEM()})
		}
		spec = object{"envelopeHash": hash256(c.Envelope.JSON()), "payloadHash": hash256(c.Envelope.Payload), "signatures": sigs}
	case EntryInToto001:
		spec = object{
			"content":   object{"hash": hash256(c.Envelope.JSON()), "payloadHash": hash256(c.Envelope.Payload)},
			"publicKey": c.Signer.VerifierPEM(),
		}
	case EntryInToto002:
		var sigs []object
		for _, s := range c.Envelope.Signatures {
			// The entry's signature is base64 of the envelope's text, which is base64 itself.
			text := []byte(base64.StdEncoding.EncodeToString(s.Sig))
			sigs = append(sigs, object{"publicKey": c.Signer.VerifierPEM(), "sig": text})
		}
		spec = object{"content": object{
			"envelope": object{"payloadType": c.Envelope.PayloadType, "signatures": sigs},
			"hash":     hash256(c.Envelope.JSON()), "payloadHash": hash256(c.Envelope.Payload),
		}}
	default:
		return nil, fmt.Errorf("making a log entry: unknown kind %q", kind)
	}
	return canonical(object{"apiVersion": version, "kind": name, "spec": spec}), nil
}

func (c Content) hashedRekord002() object {
	message, sig := c.signed()
	h := c.prehash()
	verifier := object{"keyDetails": keyDetails(c.Signer.Key.Public())}
	if cert := c.Signer.Certificate; cert != nil {
		verifier["x509Certificate"] = object{"rawBytes": cert.Raw}
	} else {
		verifier["publicKey"] = object{"rawBytes": c.Signer.PublicKey()}
	}
	return object{
		"data":      object{"algorithm": "SHA2_" + hashName(h)[3:], "digest": sumOf(h, message)},
		"signature": object{"content": sig, "verifier": verifier},
	}
}

// signed returns the bytes that were signed, which for an envelope are its pre-authentication encoding, and the
// signature.
func (c Content) signed() (message, sig []byte) {
	if c.Envelope == nil {
		return c.Message, c.Signature
	}
	if len(c.Envelope.Signatures) > 0 {
		sig = c.Envelope.Signatures[0].Sig
	}
	return c.Envelope.PAE(), sig
}

// prehash is the hash that names the message in an entry.
func (c Content) prehash() crypto.Hash {
	if h := c.Signer.hash(); h != 0 {
		return h
	}
	return crypto.SHA512
}

func hashName(h crypto.Hash) string {
	switch h {
	case crypto.SHA384:
		return "sha384"
	case crypto.SHA512:
		return "sha512"
	}
	return "sha256"
}

func sumOf(h crypto.Hash, b []byte) []byte {
	sum := h.New()
	sum.Write(b)
	return sum.Sum(nil)
}

type object = map[string]any

func hash256(b []byte) object {
	sum := sha256.Sum256(b)
	return object{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}
}

// canonical is the JSON of v without insignificant space and with sorted names. For the ASCII names and the integers
// used here this is RFC 8785.
func canonical(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("stemmatest: encoding JSON: %v", err)) // only values that have a JSON form are passed
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Log is a transparency log: Rekor v1 where it promises inclusion, Rekor v2 where it is tiled. It keeps the hashes of
// its leaves, and proves inclusion in the tree of the moment.
type Log struct {
	URL    string
	Key    crypto.Signer // ECDSA P-256; Ed25519, as the public v2 logs have it, for a tiled log only
	Origin string        // first line of its checkpoints
	Name   string        // name in its signature lines
	Tiled  bool          // Rekor v2: neither promise nor integrated time
	Shard  int64         // v1: entries in older shards, by which the index in the log differs from the one in the tree

	mu     sync.Mutex
	leaves [][]byte
}

// Entry is an entry as bundles carry it. It is plain data: edit it after it was made, or before Promise.
type Entry struct {
	Kind  EntryKind
	LogID []byte // Log.ID
	Index int64
	Time  int64 // integrated time, seconds since 1970; 0: none
	Body  []byte
	SET   []byte // signed entry timestamp, the promise of inclusion; nil: none
	Proof *Proof // nil: none
}

// Proof is a proof of inclusion (RFC 6962 section 2.1.1) with the checkpoint that it ends in.
type Proof struct {
	Index, Size int64
	Root        []byte
	Hashes      [][]byte
	Checkpoint  string
}

// ID is the identity of the log: the SHA-256 of its public key, or, for Ed25519, the key id of its notes in full.
func (l *Log) ID() []byte { return noteKeyID(l.Name, l.Key) }

// Append logs the content and returns its entry with proof and, unless the log is tiled, promise.
func (l *Log) Append(kind EntryKind, c Content, at time.Time) (*Entry, error) {
	body, err := EntryBody(kind, c)
	if err != nil {
		return nil, err
	}
	return l.AppendBody(kind, body, at)
}

// AppendBody is Append for a body of any bytes.
func (l *Log) AppendBody(kind EntryKind, body []byte, at time.Time) (*Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.leaves) == 0 {
		for i := range 5 { // so that a proof has a path
			l.leaves = append(l.leaves, leafHash(fmt.Appendf(nil, "%s %d", l.URL, i)))
		}
	}
	index := int64(len(l.leaves))
	l.leaves = append(l.leaves, leafHash(body))
	root := treeHash(l.leaves)
	checkpoint, err := l.Checkpoint(int64(len(l.leaves)), root)
	if err != nil {
		return nil, err
	}
	e := &Entry{
		Kind: kind, LogID: l.ID(), Index: index + l.Shard, Body: body,
		Proof: &Proof{Index: index, Size: int64(len(l.leaves)), Root: root, Hashes: treePath(l.leaves, index), Checkpoint: checkpoint},
	}
	if l.Tiled {
		return e, nil
	}
	e.Time = at.Unix()
	return e, l.Promise(e)
}

// Promise signs the entry as it stands: body, time, index and log id.
func (l *Log) Promise(e *Entry) error {
	set, err := (&Signer{Key: l.Key}).Sign(canonical(e.promised()))
	if err != nil {
		return fmt.Errorf("signing entry timestamp: %w", err)
	}
	e.SET = set
	return nil
}

func (e *Entry) promised() object {
	return object{"body": e.Body, "integratedTime": e.Time, "logIndex": e.Index, "logID": hex.EncodeToString(e.LogID)}
}

// Checkpoint signs a tree head, whether or not the log ever had it.
func (l *Log) Checkpoint(size int64, root []byte) (string, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", l.Origin, size, base64.StdEncoding.EncodeToString(root))
	return SignNote(text, NoteSigner{Name: l.Name, Key: l.Key})
}

// NoteSigner signs notes under a name.
type NoteSigner struct {
	Name string
	Key  crypto.Signer
}

// SignNote makes a signed note (C2SP signed-note) of text, which ends in a newline, with one line for each signer.
func SignNote(text string, signers ...NoteSigner) (string, error) {
	note := text + "\n"
	for _, s := range signers {
		sig, err := (&Signer{Key: s.Key}).Sign([]byte(text))
		if err != nil {
			return "", fmt.Errorf("signing note as %s: %w", s.Name, err)
		}
		note += fmt.Sprintf("— %s %s\n", s.Name, base64.StdEncoding.EncodeToString(append(noteKeyID(s.Name, s.Key)[:4:4], sig...)))
	}
	return note, nil
}

// noteKeyID is the id of which a signature line holds the first four bytes (C2SP signed-note): for Ed25519
// SHA-256(name || 0x0A || 0x01 || key), for ECDSA the SHA-256 of the SubjectPublicKeyInfo.
func noteKeyID(name string, key crypto.Signer) []byte {
	if pub, ok := key.Public().(ed25519.PublicKey); ok {
		sum := sha256.Sum256(append([]byte(name+"\n\x01"), pub...))
		return sum[:]
	}
	return keyID(key)
}

func leafHash(b []byte) []byte {
	sum := sha256.Sum256(append([]byte{0}, b...))
	return sum[:]
}

func nodeHash(left, right []byte) []byte {
	sum := sha256.Sum256(append(append([]byte{1}, left...), right...))
	return sum[:]
}

// split is "the largest power of two smaller than n" (RFC 6962 section 2.1).
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

func treeHash(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := split(len(leaves))
	return nodeHash(treeHash(leaves[:k]), treeHash(leaves[k:]))
}

func treePath(leaves [][]byte, index int64) [][]byte {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	if index < int64(k) {
		return append(treePath(leaves[:k], index), treeHash(leaves[k:]))
	}
	return append(treePath(leaves[k:], index-int64(k)), treeHash(leaves[:k]))
}
