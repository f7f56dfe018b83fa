package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"stemma"
)

func signatureBy() Rule {
	return Rule{
		ID:       "signature.by",
		Title:    "the image is not signed by those who must sign it",
		Why:      "A signature of the image says that somebody released this very digest. An attestation of another type, such as an SBOM, says something about the image and does not release it (CVE-2022-35929).",
		Fix:      "have it signed by an identity that signature.by names, after the review that this signature stands for",
		Since:    "0.1",
		Controls: []string{"CM-14", "SI-7(15)"},
		inForce:  func(p *loaded) bool { return p.spec.Signature != nil },
		image:    checkSignature,
	}
}

func checkSignature(j *judgement) result {
	return j.demand(demand{
		kind: kindOf(stemma.ReasonNoSignature), what: "a signature", path: "signature",
		by: j.spec.Signature.By, maxAge: j.spec.Signature.MaxAge,
		is: func(a *stemma.Attestation) bool { return a.Signature },
	})
}

// demand is a kind of evidence about this very image that those must sign whom a policy names.
type demand struct {
	kind
	what   string // one of it: "a signature"
	path   string // the block of the policy: "signature"
	by     By
	maxAge Duration
	is     func(*stemma.Attestation) bool
	flaw   func(*stemma.Attestation) *flaw // why one of it does not count, though it is signed by the right one; nil: any counts
}

// flaw is why a piece of evidence by an accepted signer does not count.
type flaw struct {
	result
	rank int // how far the piece came, so that the explanation is about the one that came furthest
}

// age is the flaw of evidence that is too old or of no proven time.
func (d demand) age(a *stemma.Attestation, now time.Time) *flaw {
	if d.maxAge == 0 {
		return nil
	}
	want := func() string { return d.wanted() + " not older than " + d.maxAge.String() }
	switch fresh, known := young(a, time.Duration(d.maxAge), now); {
	case !known:
		return &flaw{result{outcome: stemma.Unknown, reason: stemma.ReasonNoTime, want: want(), path: d.path + ".maxAge", detail: "the trust domain proves no signing time"}, 1}
	case !fresh:
		return &flaw{result{
			outcome: stemma.Fail, reason: stemma.ReasonAge, got: "on " + a.Time().UTC().Format(time.DateOnly), want: want(), path: d.path + ".maxAge",
		}, 1}
	}
	return nil
}

func (d demand) wanted() string {
	if d.by.AtLeast > 1 {
		return fmt.Sprintf("%s by %d of %s", d.what, d.by.AtLeast, strings.Join(d.by.Of, ", "))
	}
	return d.what + " by " + strings.Join(d.by.Of, " or ")
}

// signatory is somebody who signed an envelope.
type signatory struct {
	id       stemma.Identity
	distinct string   // what makes him another than others
	says     string   // for people
	names    []string // of builders and signers of the policy that he is, under the controls of each
}

// signatories lists everybody who signed the envelope of an attestation. Many rules ask for it.
func (j *judgement) signatories(a *stemma.Attestation) []signatory {
	if all, ok := j.signed[a]; ok {
		return all
	}
	all := make([]signatory, 0, 1+len(a.Cosigners))
	for i := range 1 + len(a.Cosigners) {
		id := a.Signer
		if i > 0 {
			id = a.Cosigners[i-1]
		}
		p := signatory{id: id, distinct: distinctID(id), says: describe(id)}
		for name, b := range j.policy.builders {
			if b.accepts(id) && j.called(b.Signer, id).reason == "" {
				p.names = append(p.names, name)
			}
		}
		for name, s := range j.policy.signers {
			if s.accepts(id) && j.called(s, id).reason == "" {
				p.names = append(p.names, name)
			}
		}
		slices.Sort(p.names)
		all = append(all, p)
	}
	if j.signed == nil {
		j.signed = map[*stemma.Attestation][]signatory{}
	}
	j.signed[a] = all
	return all
}

// among lists the names of a "by" that he is.
func (p signatory) among(by By) []string {
	var out []string
	for _, n := range by.Of {
		if slices.Contains(p.names, n) {
			out = append(out, n)
		}
	}
	return out
}

// signedBy reports whether one of a "by" signed the envelope.
func (j *judgement) signedBy(a *stemma.Attestation, by By) bool {
	return slices.ContainsFunc(j.signatories(a), func(p signatory) bool {
		return slices.ContainsFunc(by.Of, func(n string) bool { return slices.Contains(p.names, n) })
	})
}

// uncontrolled is the flaw of evidence by the right identity from a run that none of the names in a "by" accepts, or nil.
func (j *judgement) uncontrolled(by By, a *stemma.Attestation, id stemma.Identity) *flaw {
	for _, n := range by.Of {
		if g := j.policy.signer(n); g.differs(id).reason == "" {
			d, block := g.under(id), "signers"
			if d.reason == "" {
				d = j.called(g, id)
			}
			if _, ok := j.policy.builders[n]; ok {
				block = "builders"
			}
			return &flaw{result{outcome: stemma.Fail, reason: d.reason, got: d.got, want: d.want, path: join(join(block, n), d.path), proof: proof(a)}, 0}
		}
	}
	return nil
}

// demanded is what there is of a demand. Each map leads from a distinct signer to the names that it fits.
type demanded struct {
	good   map[string][]string // of evidence without a flaw
	open   map[string][]string // of evidence with one that leaves it open
	by     []string            // descriptions of the good
	others []string            // and of those who are not accepted
	flaws  []flaw
	cites  []stemma.Digest
	newest *stemma.Attestation // of the good ones
}

// perhaps are the signers that there would be if all that is open were good.
func (s *demanded) perhaps() map[string][]string {
	out := map[string][]string{}
	for _, signers := range []map[string][]string{s.good, s.open} {
		for id, names := range signers {
			out[id] = slices.Concat(out[id], names)
		}
	}
	return out
}

func (j *judgement) demanded(d demand) demanded {
	var s demanded
	for i := range j.evidence.Attestations {
		a := &j.evidence.Attestations[i]
		if !d.is(a) || !j.bound(a) {
			continue
		}
		for _, p := range j.signatories(a) {
			names := p.among(d.by)
			if len(names) == 0 {
				if f := j.uncontrolled(d.by, a, p.id); f != nil {
					f.got = p.says + ": " + f.got
					s.flaws = append(s.flaws, *f)
				}
				s.others = append(s.others, p.says)
				continue
			}
			key := p.distinct
			f := d.age(a, j.at.At)
			if f == nil && d.flaw != nil {
				f = d.flaw(a)
			}
			switch {
			case f == nil:
				if s.good == nil {
					s.good = map[string][]string{}
				}
				s.good[key] = append(s.good[key], names...)
				s.by = append(s.by, p.says)
				s.cites = append(s.cites, a.Bundle)
				if s.newest == nil || cmp.Or(a.Time().Compare(s.newest.Time()), -compareAttestations(a, s.newest)) > 0 {
					s.newest = a
				}
				continue
			case f.outcome == stemma.Unknown:
				if s.open == nil {
					s.open = map[string][]string{}
				}
				s.open[key] = append(s.open[key], names...)
			}
			f.got = strings.TrimSpace(p.says + " " + f.got)
			s.flaws = append(s.flaws, *f)
		}
	}
	for _, list := range []*[]string{&s.by, &s.others} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	slices.SortFunc(s.flaws, func(a, b flaw) int {
		return cmp.Or(
			cmp.Compare(b.rank, a.rank), cmp.Compare(a.reason, b.reason), cmp.Compare(a.got, b.got), cmp.Compare(a.want, b.want),
			cmp.Compare(a.path, b.path), cmp.Compare(a.detail, b.detail), cmp.Compare(a.proof, b.proof),
		)
	})
	return s
}

// demand judges whether there is what is demanded, by as many distinct signers. One good piece is enough, whatever
// others say: what is withheld can take a Pass away and never give one, and order is nothing (GHSA-r4fv).
func (j *judgement) demand(d demand) result {
	s := j.demanded(d)
	n := distinct(s.good)
	if n >= d.by.AtLeast && n > 0 {
		r := pass(d.what+" by "+strings.Join(s.by, ", "), s.cites...)
		r.proof = proof(s.newest)
		return r
	}
	want := d.wanted()
	first := func(o stemma.Outcome) *result {
		i := slices.IndexFunc(s.flaws, func(f flaw) bool { return f.outcome == o })
		if i < 0 {
			return nil
		}
		return &s.flaws[i].result
	}
	switch {
	case len(j.unavailable) > 0:
		return *j.blind(d.kind, want, d.path+".by")
	case first(stemma.Unknown) != nil && distinct(s.perhaps()) >= d.by.AtLeast:
		r := *first(stemma.Unknown)
		r.got = ""
		return r
	case first(stemma.Fail) != nil:
		return *first(stemma.Fail)
	case n > 0:
		return result{outcome: stemma.Fail, reason: stemma.ReasonThreshold, got: fmt.Sprintf("%d: %s", n, strings.Join(s.by, ", ")), want: want, path: d.path + ".by", cites: s.cites}
	case len(s.others) > 0:
		return result{outcome: stemma.Fail, reason: stemma.ReasonSigner, got: d.what + " by " + strings.Join(s.others, ", "), want: want, path: d.path + ".by"}
	}
	return j.absent(d.kind, want, d.path)
}

// skew is how far a proven signing time may lie after the time of the decision, for clocks that disagree.
const skew = 5 * time.Minute

// young reports whether an attestation is not older than max (0: any age). known is false when nothing proves when it
// was signed and the age matters.
func young(a *stemma.Attestation, max time.Duration, now time.Time) (fresh, known bool) {
	if max == 0 {
		return true, true
	}
	t := a.Time()
	if t.IsZero() {
		return false, false
	}
	return now.Sub(t) <= max && t.Sub(now) <= skew, true
}
