package policy

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"stemma"
)

// seal computes the digests of a decision and its id. Decided covers the set, the situation and what was found, by the
// evidence that it rests on; an explanation that junk can change (which rejected piece came closest) is not part of it.
func seal(d *stemma.Decision, evidence *stemma.Evidence) {
	type cell struct {
		Policy, Rule, Platform string
		Of                     stemma.Digest
		Outcome                stemma.Outcome
		Cites                  []stemma.Digest
	}
	cells := make([]cell, len(d.Findings))
	for i := range d.Findings {
		f := &d.Findings[i]
		cells[i] = cell{f.Policy, f.Rule, f.Platform, f.Of, f.Outcome, f.Cites}
	}
	d.Decided = hash(d.Set, d.Image.Repository, d.Image.Digest, &d.Situation, d.Trust, cells, d.Verdict, d.Effect)
	d.Evidence = DigestOf(evidence)
	d.ID = strings.ToLower(base32.StdEncoding.EncodeToString(sum(d))[:26])
}

// DigestOf is the digest of all that was seen of an image, whatever the order in which it was found and the time of the
// look.
func DigestOf(e *stemma.Evidence) stemma.Digest {
	parts := make([]string, 1, 1+len(e.Indexes)+2*len(e.Attestations)+len(e.Rejected)+len(e.Unavailable)+len(e.Trust)+len(e.Platforms))
	parts[0] = "image " + string(hash(e.Image.Digest, e.Image.Repository, e.From, e.MediaType, e.ArtifactType, e.Platform, e.Attestation, e.Config))
	for _, index := range e.Indexes {
		parts = append(parts, "index "+string(index))
	}
	// By pointers, which encode alike: what is large is not copied.
	for i := range e.SBOMs {
		parts = append(parts, "sbom "+string(hash(&e.SBOMs[i])))
	}
	for i := range e.Attestations {
		a := &e.Attestations[i]
		parts = append(parts, "attestation "+string(hash(&a.Bundle, a.Signature, &a.Signer, a.Cosigners, a.Log, a.SignedAt, &a.Binding)))
	}
	for i := range e.Provenance {
		parts = append(parts, "provenance "+string(hash(&e.Provenance[i])))
	}
	for i := range e.Other {
		parts = append(parts, "other "+string(hash(&e.Other[i])))
	}
	for i := range e.Scans {
		parts = append(parts, "scan "+string(hash(&e.Scans[i])))
	}
	for i := range e.VEX {
		parts = append(parts, "vex "+string(hash(&e.VEX[i])))
	}
	for i := range e.Summaries {
		parts = append(parts, "summary "+string(hash(&e.Summaries[i])))
	}
	for _, u := range e.Unsigned {
		parts = append(parts, "unsigned "+string(u.Bundle))
	}
	for _, r := range e.Rejected {
		parts = append(parts, "rejected "+string(r.Bundle)+" "+string(r.Reason))
	}
	for _, u := range e.Unavailable {
		parts = append(parts, "unavailable "+u.Place+" "+string(u.Reason))
	}
	for _, t := range e.Trust {
		parts = append(parts, "trust "+t.Name+" "+string(t.Digest))
	}
	for what, list := range map[string][]*stemma.Evidence{"platform ": e.Platforms, "attached ": e.Attached} {
		for _, c := range list {
			if c != nil {
				parts = append(parts, what+string(DigestOf(c)))
			}
		}
	}
	slices.Sort(parts)
	return hash(parts)
}

func hash(v ...any) stemma.Digest {
	return stemma.Digest("sha256:" + hex.EncodeToString(sum(v)))
}

// sum is the SHA-256 of the JSON of v and a line feed, without a copy of it.
func sum(v any) []byte {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(v); err != nil {
		panic("policy: encoding a decision: " + err.Error()) // unreachable: every type in it encodes
	}
	return h.Sum(nil)
}

// encode is deterministic: structs, slices and maps with string keys, no floating-point numbers.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("policy: encoding a decision: " + err.Error()) // unreachable: every type in it encodes
	}
	return b
}
