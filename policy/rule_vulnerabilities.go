package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stemma"
)

func hasVulnerabilities(p *loaded) bool { return p.spec.Vulnerabilities != nil }

// severities lists the words of the language, the worst first.
func severities() []string {
	return []string{"critical", "high", "medium", "low", "negligible", "unknown"}
}

func vulnerabilitiesScanned() Rule {
	return Rule{
		ID:       "vulnerabilities.scanned",
		Title:    "no accepted and recent vulnerability scan is about this image",
		Why:      "An image without findings may be one that nobody looked at, or looked at before the vulnerability was known.",
		Fix:      "scan the image again with a current database, and have an identity that vulnerabilities.by names attest the result",
		Since:    "0.1",
		Controls: []string{"RA-5"},
		inForce:  hasVulnerabilities,
		image:    func(j *judgement) result { return j.demand(j.scanDemand()) },
	}
}

func (j *judgement) scanDemand() demand {
	spec := j.spec.Vulnerabilities
	return demand{
		kind: kind{
			absent: stemma.ReasonNoAttestation,
			what: func(e *stemma.Evidence, a *stemma.Attestation) string {
				if len(scansOf(e, a)) == 0 {
					return ""
				}
				return "a vulnerability scan"
			},
			unsigned: func(e *stemma.Evidence) string {
				return unsignedOf(e, func(u *stemma.Unsigned) string {
					if u.Scan == nil {
						return ""
					}
					return "a vulnerability scan"
				})
			},
		},
		what: "a vulnerability scan", path: "vulnerabilities", by: spec.By, maxAge: spec.MaxAge,
		is: func(a *stemma.Attestation) bool { return len(scansOf(j.evidence, a)) > 0 },
		flaw: func(a *stemma.Attestation) *flaw {
			for _, s := range scansOf(j.evidence, a) {
				if f := j.scanFlaw(s, a); f != nil {
					return f
				}
			}
			return nil
		},
	}
}

// scansOf are the scans that an attestation states.
func scansOf(e *stemma.Evidence, a *stemma.Attestation) []*stemma.Scan {
	var out []*stemma.Scan
	for i := range e.Scans {
		if s := &e.Scans[i]; !a.Signature && a.Bundle != "" && s.Bundle == a.Bundle {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *stemma.Scan) int { return bytes.Compare(encode(a), encode(b)) })
	return out
}

// scanFlaw is why a scan by an accepted signer does not count. What is attested today can have been found last year, with
// a database of the year before: each of the times that the scan states must be recent, and it must state one.
func (j *judgement) scanFlaw(s *stemma.Scan, a *stemma.Attestation) *flaw {
	limit := j.spec.Vulnerabilities.MaxAge
	aged := func(reason stemma.Reason, got string, rank int) *flaw {
		return &flaw{result{outcome: stemma.Fail, reason: reason, got: got, want: "a scan not older than " + limit.String(), proof: proof(a), path: "vulnerabilities.maxAge"}, rank}
	}
	for _, t := range []struct {
		what string
		at   time.Time
	}{{"scanned", s.Finished}, {"with a database of", s.Database}} {
		if limit > 0 && !t.at.IsZero() && (j.at.At.Sub(t.at) > time.Duration(limit) || t.at.Sub(j.at.At) > skew) {
			return aged(stemma.ReasonAge, t.what+" "+t.at.UTC().Format(time.DateOnly), 2)
		}
	}
	if limit > 0 && s.Finished.IsZero() && s.Database.IsZero() {
		return aged(stemma.ReasonNotStated, "does not say when it scanned", 3)
	}
	if note := notUnderstood(s); note != "" {
		return &flaw{result{
			outcome: stemma.Unknown, reason: stemma.ReasonUnsupported, want: "a result that can be read", detail: note, path: "vulnerabilities.by",
			fix: "attest the scan in a format whose results are read", proof: proof(a),
		}, 4}
	}
	return nil
}

// notUnderstood is the note of a scan whose findings could not be read: that it lists none says nothing.
func notUnderstood(s *stemma.Scan) string {
	for _, n := range s.Notes {
		if strings.HasPrefix(n, "result not understood") {
			return n
		}
	}
	return ""
}

func vulnerabilitiesNone() Rule {
	return Rule{
		ID:       "vulnerabilities.none",
		Title:    "the image has vulnerabilities that are not accepted",
		Why:      "A vulnerability that is known is used within days. Every accepted scan that is recent counts: a clean one does not silence another that found something.",
		Fix:      "rebuild the image with what mends them; or, if they do not affect it, have a signer that vulnerabilities.vex names say so",
		Since:    "0.1",
		Controls: []string{"RA-5", "SI-2"},
		inForce:  hasVulnerabilities,
		image:    checkVulnerable,
	}
}

// counting lists the accepted scans that are not known to be too old. One whose age nobody can tell does not make an image
// scanned; what it found counts.
func (j *judgement) counting() (scans []*stemma.Scan, cites []stemma.Digest) {
	d := j.scanDemand()
	for i := range j.evidence.Attestations {
		a := &j.evidence.Attestations[i]
		if !d.is(a) || !j.bound(a) || !j.signedBy(a, d.by) {
			continue
		}
		old := func(t time.Time) bool { return d.maxAge > 0 && !t.IsZero() && j.at.At.Sub(t) > time.Duration(d.maxAge) }
		for _, s := range scansOf(j.evidence, a) {
			if !old(a.Time()) && !old(s.Finished) && !old(s.Database) {
				scans, cites = append(scans, s), append(cites, a.Bundle)
			}
		}
	}
	return scans, cites
}

// checkVulnerable passes when every scan that counts lists nothing of the severities, but for what VEX takes out. It is a
// negative fact: withholding the scan that found something helps whoever withholds it, which is why such scans are kept
// once they were seen; which of two scans is newer is left out of account, so that order and clocks are nothing.
func checkVulnerable(j *judgement) result {
	scans, cites := j.counting()
	if len(scans) == 0 {
		r := vulnerabilitiesScanned().image(j)
		r.proof, r.detail, r.needs = "", "", "vulnerabilities.scanned"
		return r
	}
	spec := j.spec.Vulnerabilities
	want := "no vulnerability that is " + strings.Join(spec.None, " or ")
	r := result{outcome: stemma.Fail, reason: stemma.ReasonVulnerable, want: want, path: "vulnerabilities.none"}
	words := j.statements()
	lines, bySeverity := map[string]int{}, map[string]int{}
	excused, unread := map[string]bool{}, ""
	for _, s := range scans {
		unread = max(unread, notUnderstood(s))
		for _, v := range s.Found {
			severity := strings.ToLower(v.Severity)
			rank := slices.Index(severities(), severity)
			if rank < 0 {
				// What cannot be ranked is not harmless: it is unknown.
				severity, rank = "unknown", len(severities())-1
			}
			bySeverity[severity]++
			if !slices.Contains(spec.None, severity) {
				continue
			}
			line := severity + " " + v.ID + " in " + quoteEmpty(v.Package)
			if word, ok := j.excused(v, words); ok {
				excused[line] = true
				cites = append(cites, word)
				continue
			}
			if v.Fixed != "" {
				line += ", mended in " + v.Fixed
			}
			lines[line] = rank
		}
	}
	r.cites = cites
	switch {
	case len(lines) > 0:
		all := slices.SortedFunc(maps.Keys(lines), func(a, b string) int { return cmp.Or(cmp.Compare(lines[a], lines[b]), cmp.Compare(a, b)) })
		r.got = all[0]
		if len(all) > 1 {
			r.got, r.items = fmt.Sprintf("%d, the worst: %s", len(all), all[0]), cutShort(all)
		}
		if len(spec.VEX) > 0 && len(j.unavailable) > 0 {
			// The word that takes them out may lie where no answer came from.
			u := j.blind(kind{absent: stemma.ReasonNoAttestation, what: func(*stemma.Evidence, *stemma.Attestation) string { return "" }}, want, r.path)
			u.got, u.items, u.cites, u.fix = r.got, r.items, cites, remedy(u.reason)
			return *u
		}
		return r
	case unread != "":
		r.outcome, r.reason, r.detail, r.fix = stemma.Unknown, stemma.ReasonUnsupported, unread, "attest the scan in a format whose results are read"
		return r
	}
	if s := vulnerabilitiesScanned().image(j); s.outcome != stemma.Pass {
		s.proof, s.detail, s.needs = "", "", "vulnerabilities.scanned"
		return s
	}
	p := pass("none that is "+strings.Join(spec.None, " or "), cites...)
	var found []string
	for _, severity := range severities() {
		if n := bySeverity[severity]; n > 0 && !slices.Contains(spec.None, severity) {
			found = append(found, fmt.Sprintf("%d %s", n, severity))
		}
	}
	if len(found) > 0 {
		p.detail = "found: " + strings.Join(found, ", ")
	}
	if len(excused) > 0 {
		p.detail = strings.TrimPrefix(p.detail+"; not affected, by VEX: "+strings.Join(cutShort(slices.Sorted(maps.Keys(excused))), ", "), "; ")
	}
	if u := j.unseen(stemma.ReasonNoAttestation, "no other scan that found something", "vulnerabilities.none"); u != nil {
		// As with provenance.agreement: anyone who can make a place fail could otherwise stop deploys.
		u.got, u.cites, u.fix, u.advisory = p.got+", as far as could be seen", cites, remedy(u.reason), true
		return *u
	}
	return p
}

// word is what an accepted signer says of vulnerabilities.
type word struct {
	stemma.Exploitability
	bundle stemma.Digest
}

// statements lists what the signers that vulnerabilities.vex names say in attestations about this very image, by the ids
// of the vulnerabilities.
func (j *judgement) statements() map[string][]word {
	out := map[string][]word{}
	by := By{AtLeast: 1, Of: j.spec.Vulnerabilities.VEX}
	for i := range j.evidence.Attestations {
		a := &j.evidence.Attestations[i]
		if a.Signature || a.Bundle == "" || !j.bound(a) || !j.signedBy(a, by) {
			continue
		}
		for _, v := range j.evidence.VEX {
			if v.Bundle != a.Bundle {
				continue
			}
			for _, s := range v.Statements {
				if s.Time.Sub(j.at.At) > skew {
					// It would be the last word for as long as it lies ahead: a time that cannot be is none.
					s.Time = time.Time{}
				}
				for _, id := range s.IDs {
					id = strings.ToUpper(id)
					out[id] = append(out[id], word{s, v.Bundle})
				}
			}
		}
	}
	return out
}

// excused reports whether somebody whose word counts says that a vulnerability does not affect the image or is fixed in
// it, and nobody of them later, or at a time that cannot be compared, that it may; and where that is said.
func (j *judgement) excused(v stemma.Vulnerability, words map[string][]word) (bundle stemma.Digest, ok bool) {
	var yes, no []word
	if v.ID == "" {
		return "", false
	}
	for _, w := range words[strings.ToUpper(v.ID)] {
		if !j.concerns(w, v) {
			continue
		}
		switch w.Status {
		case "not_affected", "fixed":
			yes = append(yes, w)
		default:
			no = append(no, w)
		}
	}
	for _, y := range yes {
		takenBack := slices.ContainsFunc(no, func(n word) bool { return y.Time.IsZero() || n.Time.IsZero() || !n.Time.Before(y.Time) })
		if !takenBack && (!ok || y.bundle < bundle) {
			bundle, ok = y.bundle, true
		}
	}
	return bundle, ok
}

// concerns reports whether a statement is about the package in this image. Of what it names, images must include this one,
// and packages this one: a statement about a component of another product, or about another component of this one, is no
// word about it.
func (j *judgement) concerns(w word, v stemma.Vulnerability) bool {
	images, image, packages, pkg := 0, false, 0, false
	for _, d := range w.Digests {
		images++
		image = image || j.related(d)
	}
	of, known := parsePURL(v.Package)
	for _, product := range w.Products {
		p, ok := parsePURL(product)
		switch {
		case ok && p.isImage():
			repository, digest := p.image()
			images++
			image = image || digest != "" && j.related(digest) || digest == "" && p.version == "" && repository == j.evidence.Image.Repository && repository != ""
		case ok:
			packages++
			pkg = pkg || known && p.covers(of)
		case product == v.Package && product != "":
			packages++
			pkg = true
		default:
			if _, d, found := strings.Cut(product, "@"); found {
				if d, err := stemma.ParseDigest(d); err == nil {
					images++
					image = image || j.related(d)
				}
			}
		}
	}
	return images+packages > 0 && (images == 0 || image) && (packages == 0 || pkg)
}
