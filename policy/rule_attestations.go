package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stemma"
)

func attestationsPresent() Rule {
	return Rule{
		ID:       "attestations.present",
		Title:    "an attestation that is required of this image is missing",
		Why:      "A review or a test that nobody can show was not done. An attestation of another type by the right signer, or of the right type by a stranger, says nothing of it (CVE-2022-35929).",
		Fix:      "have an identity that attestations.by names attest what is required of this very digest",
		Since:    "0.1",
		Controls: []string{"CM-3", "SA-11"},
		inForce:  func(p *loaded) bool { return len(p.spec.Attestations) > 0 },
		image:    checkAttestations,
	}
}

// checkAttestations asks for every entry. With several that are not met it shows the worst and lists all.
func checkAttestations(j *judgement) result {
	var worst *result
	var met, unmet []string
	var cites []stemma.Digest
	for i := range j.spec.Attestations {
		entry := &j.spec.Attestations[i]
		r := j.demand(j.attestedDemand(entry, fmt.Sprintf("attestations[%d]", i)))
		if r.outcome == stemma.Pass {
			met, cites = append(met, r.got), append(cites, r.cites...)
			continue
		}
		unmet = append(unmet, entry.Type+": "+cmp.Or(r.got, r.detail, string(r.reason)))
		if worst == nil || badness(r.outcome) > badness(worst.outcome) {
			worst = &r
		}
	}
	switch {
	case worst == nil:
		r := pass(strings.Join(met, "; "), cites...)
		return r
	case len(unmet) > 1:
		worst.items = cutShort(unmet)
	}
	return *worst
}

func (j *judgement) attestedDemand(entry *Attested, path string) demand {
	is := func(a *stemma.Attestation) bool { return !a.Signature && a.Statement.PredicateType == entry.Type }
	what := "an attestation " + entry.Type
	return demand{
		kind: kind{
			absent: stemma.ReasonNoAttestation,
			what: func(_ *stemma.Evidence, a *stemma.Attestation) string {
				if !is(a) {
					return ""
				}
				return what
			},
			unsigned: func(e *stemma.Evidence) string {
				return unsignedOf(e, func(u *stemma.Unsigned) string {
					if u.Statement.PredicateType != entry.Type {
						return ""
					}
					return "a statement " + entry.Type
				})
			},
		},
		what: what, path: path, by: entry.By, maxAge: entry.MaxAge, is: is,
		flaw: func(a *stemma.Attestation) *flaw { return j.attestedFlaw(entry, a, path) },
	}
}

// attestedFlaw is the first value that is not accepted, or an expression that does not hold.
func (j *judgement) attestedFlaw(entry *Attested, a *stemma.Attestation, path string) *flaw {
	if f := entry.flaw(a, path); f != nil || entry.Require.Text == "" {
		return f
	}
	// Who signed is judged already, and by which names: that of the signers who counts may be a cosigner.
	facts := attestedFacts(a, a.Signer, entry.By.Of)
	r := j.holds(&entry.Require, &facts, join(path, "require"))
	if r.outcome == stemma.Pass {
		return nil
	}
	if r.outcome == stemma.Fail && r.reason == stemma.ReasonRule {
		r.reason = stemma.ReasonValue
	}
	r.proof = proof(a)
	return &flaw{r, 3}
}

// flaw is the first value that is not accepted. A predicate that cannot be read has no values, and is no attestation
// (CVE-2026-39395).
func (entry *Attested) flaw(a *stemma.Attestation, path string) *flaw {
	predicate := a.Statement.Predicate
	root, err := (*stemma.JSON)(nil), error(nil)
	if len(predicate) > 0 && len(entry.Values) == 0 {
		err = stemma.CheckJSON(predicate)
	} else if len(predicate) > 0 {
		root, err = stemma.ParseJSON(predicate)
	}
	if err != nil {
		return &flaw{result{
			outcome: stemma.Fail, reason: stemma.ReasonMalformed, got: "with a predicate that cannot be read: " + err.Error(), want: "a predicate of JSON",
			proof: proof(a), path: join(path, "type"),
		}, 2}
	}
	for _, pointer := range slices.Sorted(maps.Keys(entry.Values)) {
		got, ok := scalarAt(root, pointer)
		if ok && slices.Contains(entry.Values[pointer], got) {
			continue
		}
		r := result{
			outcome: stemma.Fail, reason: stemma.ReasonValue, want: pointer + " " + strings.Join(entry.Values[pointer], " or "),
			proof: proof(a), path: join(join(path, "values"), pointer),
		}
		switch {
		case !ok:
			r.reason, r.got = stemma.ReasonNotStated, "does not state "+pointer
		default:
			r.got = "says " + pointer + " " + quoteEmpty(got)
		}
		return &flaw{r, 3}
	}
	return nil
}

// scalarAt is the text, number or boolean at a JSON pointer (RFC 6901), as it is written. Objects, lists and null are no
// value.
func scalarAt(root *stemma.JSON, pointer string) (string, bool) {
	v := lookUp(root, pointer)
	raw := string(v.Raw())
	if raw == "" || strings.ContainsAny(raw[:1], "{[n") {
		return "", false
	}
	return v.Scalar(), true
}

// lookUp follows a JSON pointer (RFC 6901). It yields nil where it leads nowhere: an index with leading zeros and "-",
// which is past the end, are no elements of an array.
func lookUp(root *stemma.JSON, pointer string) *stemma.JSON {
	steps := strings.Split(pointer, "/")[1:]
	for i, s := range steps {
		steps[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return root.At(steps...)
}
