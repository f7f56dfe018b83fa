package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"stemma"
)

func hasSBOM(p *loaded) bool { return p.spec.SBOM != nil }

func sbomPresent() Rule {
	return Rule{
		ID:       "sbom.present",
		Title:    "no accepted bill of materials is about this image",
		Why:      "A bill of materials that anybody could have written, or that is about another image, hides what is in this one from everybody who looks for it there.",
		Fix:      "have an identity that sbom.by names attest an SBOM of this very digest",
		Since:    "0.1",
		Controls: []string{"CM-8", "SR-4(4)"},
		inForce:  hasSBOM,
		image: func(j *judgement) result {
			r := j.demand(j.sbomDemand())
			if r.outcome == stemma.Pass {
				var formats []string
				for _, b := range j.bills() {
					formats = append(formats, b.sbom.Format)
				}
				slices.Sort(formats)
				r.detail = strings.Join(slices.Compact(formats), ", ")
			}
			return r
		},
	}
}

func (j *judgement) sbomDemand() demand {
	spec := j.spec.SBOM
	return demand{
		kind: kind{
			absent: stemma.ReasonNoSBOM,
			what: func(e *stemma.Evidence, a *stemma.Attestation) string {
				if len(sbomsOf(e, a)) == 0 {
					return ""
				}
				return "an SBOM"
			},
			unsigned: unsignedSBOM,
		},
		what: "an SBOM", path: "sbom", by: spec.By, maxAge: spec.MaxAge,
		is: func(a *stemma.Attestation) bool { return len(sbomsOf(j.evidence, a)) > 0 },
		flaw: func(a *stemma.Attestation) *flaw {
			all := sbomsOf(j.evidence, a)
			if slices.ContainsFunc(all, spec.takes) {
				return nil
			}
			return &flaw{result{
				outcome: stemma.Fail, reason: stemma.ReasonFormat, got: "in " + quoteEmpty(all[0].Format), want: "an SBOM in " + strings.Join(spec.Formats, " or "),
				path: "sbom.formats", proof: proof(a),
			}, 2}
		},
	}
}

// sbomsOf are the SBOMs that an attestation states.
func sbomsOf(e *stemma.Evidence, a *stemma.Attestation) []*stemma.SBOM {
	var out []*stemma.SBOM
	for i := range e.SBOMs {
		if s := &e.SBOMs[i]; !a.Signature && a.Bundle != "" && s.Bundle == a.Bundle {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *stemma.SBOM) int { return cmp.Compare(a.Format, b.Format) })
	return out
}

// takes reports whether the format of an SBOM, "SPDX 2.3", is accepted.
func (b *BOM) takes(s *stemma.SBOM) bool {
	family, _, _ := strings.Cut(s.Format, " ")
	return len(b.Formats) == 0 || slices.Contains(b.Formats, strings.ToLower(family))
}

// unsignedSBOM names an SBOM that is there and that nobody vouches for: as a bare statement, or as a file attached to the
// image.
func unsignedSBOM(e *stemma.Evidence) string {
	text := unsignedOf(e, func(u *stemma.Unsigned) string {
		if u.SBOM == nil {
			return ""
		}
		return "an SBOM in " + u.SBOM.Format
	})
	for _, x := range e.Attached {
		if x != nil && len(x.SBOMs) > 0 && text == "" {
			text = "an SBOM as a file (attached " + x.Image.Digest.Short() + "), which nobody attests of the image"
		}
	}
	return text
}

// bill is an SBOM about this very image that sbom.present accepts. One that is authentic under two trust domains is one
// of each.
type bill struct {
	sbom        *stemma.SBOM
	attestation *stemma.Attestation
	signers     map[string][]string // distinct signers, and the names in sbom.by that each fits
	names       *named              // what it names; read when it is asked for
}

// bills lists what counts, the newest first. Half a dozen rules ask for it.
func (j *judgement) bills() []*bill {
	if j.counted == nil {
		j.counted = slices.Clip(append([]*bill{}, j.count()...))
	}
	return j.counted
}

func (j *judgement) count() []*bill {
	var out []*bill
	d := j.sbomDemand()
	for i := range j.evidence.Attestations {
		a := &j.evidence.Attestations[i]
		if !j.bound(a) || d.age(a, j.at.At) != nil {
			continue
		}
		for _, s := range sbomsOf(j.evidence, a) {
			b := &bill{sbom: s, attestation: a, signers: map[string][]string{}}
			if !j.spec.SBOM.takes(s) {
				continue
			}
			for _, p := range j.signatories(a) {
				if names := p.among(d.by); len(names) > 0 {
					b.signers[p.distinct] = append(b.signers[p.distinct], names...)
				}
			}
			if len(b.signers) > 0 {
				out = append(out, b)
			}
		}
	}
	slices.SortFunc(out, func(a, b *bill) int {
		order := cmp.Or(b.attestation.Time().Compare(a.attestation.Time()), compareAttestations(a.attestation, b.attestation))
		if order == 0 && a.sbom != b.sbom {
			order = bytes.Compare(encode(a.sbom), encode(b.sbom))
		}
		return order
	})
	return out
}

// reading is a requirement on what an SBOM says: one that compares it with a provenance judges it beside each that is
// accepted, and one beside which it holds is enough.
type reading struct {
	asked func(*BOM) bool
	alone func(*judgement, *bill) result
	with  func(*judgement, *bill, *candidate) result
}

// readings holds the requirements on what an SBOM says, by rule.
func readings() map[string]reading {
	consistent := func(with string) func(*BOM) bool {
		return func(b *BOM) bool { return slices.Contains(b.ConsistentWith, with) }
	}
	return map[string]reading{
		"sbom.generator": {asked: func(b *BOM) bool { return len(b.Generators) > 0 }, alone: checkGenerator},
		"sbom.subject":   {asked: consistent(consistentImage), alone: checkSubject},
		"sbom.base":      {asked: consistent(consistentBase), with: checkBase},
		"sbom.packages":  {asked: consistent(consistentProvenance), with: checkPackages},
		"sbom.elements":  {asked: func(b *BOM) bool { return b.Elements != "" }, alone: checkElements},
	}
}

// read makes a rule of a requirement on what an SBOM says.
func read(rule Rule) Rule {
	how := readings()[rule.ID]
	rule.inForce = func(p *loaded) bool { return hasSBOM(p) && how.asked(p.spec.SBOM) }
	rule.image = func(j *judgement) result { return j.read(how, j.bills()) }
	return rule
}

// read is what all SBOMs that count say of one requirement. As with provenance, it passes when as many distinct signers
// as the policy asks for have one that meets it; that the same SBOM meets all of them is sbom.whole.
func (j *judgement) read(r reading, bills []*bill) result {
	if len(bills) == 0 {
		out := sbomPresent().image(j)
		out.proof, out.detail, out.needs = "", "", "sbom.present"
		return out
	}
	partners := j.partners()
	if r.with != nil && len(partners) == 0 {
		if len(j.candidates) == 0 {
			return j.dependent()
		}
		return result{
			outcome: stemma.Fail, reason: stemma.ReasonNoProvenance, got: "provenance by builders that are not accepted", want: "an accepted provenance to compare it with",
			path: "sbom.consistentWith", needs: "builder.approved",
		}
	}
	results := make([]result, len(bills))
	for i, b := range bills {
		if r.alone != nil {
			results[i] = r.alone(j, b)
			continue
		}
		for k, c := range partners {
			if x := r.with(j, b, c); k == 0 || demerit(x) < demerit(results[i]) {
				results[i] = x
			}
			if demerit(results[i]) == 0 {
				break
			}
		}
	}
	for most := range 4 {
		var good []*bill
		nearest := -1
		for i, b := range bills {
			if demerit(results[i]) <= most {
				good = append(good, b)
				if nearest < 0 || demerit(results[i]) > demerit(results[nearest]) {
					nearest = i
				}
			}
		}
		if j.enoughBills(good) {
			return results[nearest]
		}
	}
	// Fewer distinct signers than asked for, whatever their SBOMs say. What is wrong with one of them is said first.
	for _, x := range results {
		if demerit(x) == 3 {
			return x
		}
	}
	out := sbomPresent().image(j)
	out.proof, out.detail, out.needs = "", "", "sbom.present"
	return out
}

// demerit orders results from the best: met, advisory, unknown, failed.
func demerit(r result) int {
	switch b := badness(r.outcome); {
	case b == 1 && r.advisory:
		return 1
	case b > 0:
		return b + 1
	}
	return 0
}

func (j *judgement) enoughBills(bills []*bill) bool {
	matches := map[string][]string{}
	for _, b := range bills {
		for id, names := range b.signers {
			matches[id] = append(matches[id], names...)
		}
	}
	n := distinct(matches)
	return n > 0 && n >= j.spec.SBOM.By.AtLeast
}

// partners are the provenances that an SBOM is compared with: by accepted builders.
func (j *judgement) partners() []*candidate {
	return slices.DeleteFunc(slices.Clone(j.candidates), func(c *candidate) bool { return !c.accepted() })
}

func sbomGenerator() Rule {
	return read(Rule{
		ID:       "sbom.generator",
		Title:    "the bill of materials was not made by an accepted tool",
		Why:      "What a tool does not look for, its bill of materials does not list; an unknown one may have looked at nothing.",
		Fix:      "make the SBOM with a tool that sbom.generators names",
		Since:    "0.1",
		Controls: []string{"CM-8"},
	})
}

func checkGenerator(j *judgement, b *bill) result {
	accepted := j.spec.SBOM.Generators
	for _, tool := range b.sbom.Tools {
		if slices.ContainsFunc(accepted, func(g string) bool { return strings.EqualFold(g, tool) || strings.EqualFold(g, toolName(tool)) }) {
			return pass(tool, b.sbom.Bundle)
		}
	}
	r := result{
		outcome: stemma.Fail, reason: stemma.ReasonValue, got: strings.Join(cutShort(slices.Sorted(slices.Values(b.sbom.Tools))), ", "), want: strings.Join(accepted, " or "),
		proof: proof(b.attestation), path: "sbom.generators",
	}
	if len(b.sbom.Tools) == 0 {
		r.reason, r.got = stemma.ReasonNotStated, "the SBOM names no tool"
	}
	return r
}

// toolName is the name of "syft 1.18.0" or "syft-1.18.0", without the version.
func toolName(tool string) string {
	for i := len(tool) - 2; i > 0; i-- {
		if tool[i] != ' ' && tool[i] != '-' {
			continue
		}
		version := strings.TrimPrefix(strings.TrimPrefix(strings.TrimLeft(tool[i:], " -"), "v"), "V")
		if version != "" && version[0] >= '0' && version[0] <= '9' && (tool[i] == ' ' || strings.Contains(version, ".")) {
			return strings.TrimSpace(tool[:i])
		}
		if tool[i] == ' ' {
			break
		}
	}
	return tool
}

func sbomSubject() Rule {
	return read(Rule{
		ID:       "sbom.subject",
		Title:    "the bill of materials does not describe this image",
		Why:      "An SBOM that was made of another image and attested of this one lists what is not in it, and not what is.",
		Fix:      "make the SBOM of the image by digest, after it was pushed",
		Since:    "0.1",
		Controls: []string{"CM-8", "SI-7"},
	})
}

// checkSubject asks that whatever the document says it describes is this image, by digest.
func checkSubject(j *judgement, b *bill) result {
	var got []string
	stated := false
	for _, s := range b.sbom.Subjects {
		digests := digestsOf(s)
		if len(digests) == 0 {
			continue
		}
		stated = true
		if !slices.ContainsFunc(digests, j.related) {
			got = append(got, strings.TrimSpace(s.Name+" "+string(digests[0])))
		}
	}
	r := result{
		outcome: stemma.Fail, reason: stemma.ReasonInconsistent, want: "an SBOM that describes " + string(j.evidence.Image.Digest),
		proof: proof(b.attestation), path: "sbom.consistentWith",
	}
	switch {
	case !stated:
		r.reason, r.got = stemma.ReasonNotStated, "the SBOM does not say by digest what it describes"
	case len(got) > 0:
		slices.Sort(got)
		r.got = "it describes " + got[0]
		if len(got) > 1 {
			r.items = itemised(got)
		}
	default:
		return pass("it describes this image", b.sbom.Bundle)
	}
	return r
}

// related reports whether a digest names what is judged, its config, or an index that lists it where evidence about an
// index is enough.
func (j *judgement) related(d stemma.Digest) bool {
	return d != "" && (d == j.evidence.Image.Digest || d == j.evidence.Config || len(j.set.Platforms) == 0 && j.listedBy(d))
}

func sbomElements() Rule {
	return read(Rule{
		ID:       "sbom.elements",
		Title:    "the bill of materials lacks elements that are required",
		Why:      "A component without supplier, version or identifier cannot be looked up when a vulnerability is published; without relationships and time nobody knows what the list covers.",
		Fix:      "make the SBOM with a tool and settings that state the minimum elements (NTIA, 2021)",
		Since:    "0.1",
		Controls: []string{"CM-8"},
	})
}

// checkElements counts, element by element, what is missing of NTIA's minimum elements. A document without components
// lacks all that is said of components.
func checkElements(_ *judgement, b *bill) result {
	e := b.sbom.Elements
	var lacks []string
	of := func(n int, what string) {
		switch {
		case e.Components <= 0:
		case n > 0:
			lacks = append(lacks, fmt.Sprintf("%s: missing in %d of %d components", what, n, e.Components))
		}
	}
	if e.Components <= 0 {
		lacks = append(lacks, "components: none")
	}
	of(e.Unsupplied, "supplier")
	of(e.Unnamed, "name")
	of(e.Unversioned, "version")
	of(e.Unidentified, "unique identifier")
	if e.Relationships <= 0 && e.Components != 1 {
		lacks = append(lacks, "dependency relationships: none")
	}
	if len(b.sbom.Authors) == 0 {
		lacks = append(lacks, "author of the SBOM: not stated")
	}
	if b.sbom.Created.IsZero() {
		lacks = append(lacks, "timestamp: not stated")
	}
	if len(lacks) == 0 {
		return pass(fmt.Sprintf("all minimum elements of %s, made %s", count(e.Components, "component"), b.sbom.Created.UTC().Format(time.DateOnly)), b.sbom.Bundle)
	}
	r := result{
		outcome: stemma.Fail, reason: stemma.ReasonElements, got: lacks[0], want: "supplier, name, version, unique identifier, relationships, author and timestamp",
		proof: proof(b.attestation), path: "sbom.elements",
	}
	if len(lacks) > 1 {
		r.got, r.items = fmt.Sprintf("%d of the minimum elements are missing", len(lacks)), lacks
	}
	return r
}

func sbomWhole() Rule {
	return Rule{
		ID:       "sbom.whole",
		Title:    "no single bill of materials meets every requirement",
		Why:      "Requirements that are met by parts of several documents are met by none: a list of another image with the right generator and a right one by an unknown tool say nothing together.",
		Fix:      "attest one SBOM that meets the whole sbom block",
		Since:    "0.1",
		Controls: []string{"CM-8"},
		inForce:  hasSBOM,
		image:    checkBillWhole,
	}
}

// checkBillWhole asks that the same SBOM meets all requirements that are not waived, those that compare it with provenance beside the same
// provenance, and that one meets all of its own. With one of each there is nothing to mix, and where one fails for all of
// them, that says it.
func checkBillWhole(j *judgement) result {
	none := result{outcome: stemma.NotApplicable}
	bills, partners := j.bills(), j.partners()
	if len(bills) < 2 && len(partners) < 2 {
		return none
	}
	var all []reading
	compared := false
	for _, rule := range bomRules() {
		if r, ok := readings()[rule.ID]; ok && r.asked(j.spec.SBOM) && !slices.Contains(j.waived, rule.ID) {
			all, compared = append(all, r), compared || r.with != nil
		}
	}
	if !compared {
		partners = []*candidate{nil}
	}
	if len(bills)*len(partners) < 2 || len(all) < 2 && !compared ||
		slices.ContainsFunc(all, func(r reading) bool { return demerit(j.read(r, bills)) == 3 }) {
		return none
	}
	worst := make([]result, len(bills)) // of each SBOM, what is worst of it beside the provenance where that is least bad
	for i, b := range bills {
		for k, c := range partners {
			if w := j.worst(all, b, c); k == 0 || demerit(w) < demerit(worst[i]) {
				worst[i] = w
			}
		}
	}
	for most := 1; most <= 3; most++ {
		var good []*bill
		for i, b := range bills {
			if demerit(worst[i]) <= most {
				good = append(good, b)
			}
		}
		if !j.enoughBills(good) {
			continue
		}
		if most == 1 {
			return pass("every requirement, by "+describe(good[0].attestation.Signer), good[0].sbom.Bundle)
		}
		r := worst[slices.IndexFunc(worst, func(r result) bool { return demerit(r) == most })]
		r.detail, r.fix = "each requirement is met by some SBOM, and all of them by none; this is what the nearest one lacks", ""
		return r
	}
	return none
}

// worst is what is worst of an SBOM beside a provenance, which must meet its own requirements, too.
func (j *judgement) worst(all []reading, b *bill, c *candidate) result {
	w := pass("")
	take := func(r result) {
		if demerit(r) > demerit(w) {
			w = r
		}
	}
	for _, r := range all {
		if r.with != nil {
			take(r.with(j, b, c))
		} else {
			take(r.alone(j, b))
		}
	}
	if c != nil {
		for _, r := range c.results {
			take(r)
		}
	}
	return w
}
