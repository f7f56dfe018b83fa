package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"stemma"
	"stemma/internal/expression"
)

// Rule is one requirement that the language can express. It is a documented value: what "stemma policy explain", the
// reference page and the findings print comes from here.
type Rule struct {
	ID    string // stable, "block.what"
	Title string // what is wrong when it fails, in a few words
	Why   string // what an attacker or an accident could do without it
	Fix   string // what the reader can do
	Since string // version that introduced it
	// Controls of NIST SP 800-53 Rev. 5 that a Pass is evidence for: "SI-7(15)", control and enhancement. None is met by a
	// rule alone.
	Controls []string

	// inForce reports whether the policy asks for it.
	inForce func(*loaded) bool
	// asked, where it is set, reports whether the situation asks for it, whatever the policy says.
	asked func(stemma.Situation) bool
	// Exactly one of the three is set: a requirement of the image as a whole, of the provenance that is judged, or of what
	// an index lists.
	image     func(*judgement) result
	each      func(*judgement, *candidate) result
	platforms func(*judgement) []listing
}

// Rules returns every rule in the order in which findings are listed.
func Rules() []Rule {
	rules := []Rule{
		imageAuthentic(), imagePlatform(), imageTag(), imageDerived(), signatureBy(),
		provenancePresent(), builderApproved(), builderTrigger(), builderRunner(), builderNamespace(), builderTasks(), builderSteps(),
		provenanceFormat(), provenanceLevel(), provenanceAge(), provenanceConsistent(), provenanceAgreement(), provenanceRun(), provenanceBuilders(), provenanceWhole(),
		sourceRepository(), sourceIdentity(), sourceRef(),
	}
	return slices.Concat(rules, expectRules(), inputRules(), bomRules(), baseRules(), approvalRules())
}

// UnmatchedRule is the rule of the set itself: an image needs a policy.
func UnmatchedRule() Rule {
	return Rule{
		ID:       "image.policy",
		Title:    "no policy is about this image",
		Why:      "An image that no policy matches was never thought about; letting it pass would make the policy set a list of suggestions.",
		Fix:      "add the repository to match.images of a policy, or set unmatched in the PolicySet",
		Since:    "0.1",
		Controls: []string{"CM-7(5)", "CM-14"},
	}
}

// result is what a rule's check says.
type result struct {
	outcome stemma.Outcome
	reason  stemma.Reason
	got     string
	want    string
	detail  string
	proof   string
	fix     string // instead of the rule's own
	path    string // of the requirement in the policy, below spec
	cites   []stemma.Digest
	needs   string // the rule whose outcome this is, for want of anything to judge

	items []string // where several things are wrong, a line for each
	place string   // where the requirement stands, if that is not in the policy

	advisory bool // an Unknown that is reported and does not count
}

func pass(got string, cites ...stemma.Digest) result {
	return result{outcome: stemma.Pass, got: got, cites: cites}
}

// judgement is one policy applied to one image, or to one platform of it.
type judgement struct {
	of          *Set
	set         *SetSpec
	expressions *expression.Environment
	policy      *loaded
	spec        *Spec
	top         *stemma.Evidence // of the digest that was asked for
	target      target
	evidence    *stemma.Evidence     // of what is judged
	unavailable []stemma.Unavailable // what could not be looked at of it
	at          stemma.Situation
	vars        map[string]string // captures of the pattern that matched the image
	candidates  []*candidate      // the nearest to what the policy wants first
	told        *stemma.Facts     // what expressions see of it
	seen        *expression.Scope
	elements    map[ForEach][]element
	counted     []*bill // SBOMs that count
	signed      map[*stemma.Attestation][]signatory
	cells       []*result // of the rules that judge each provenance, over all candidates
	each        []string  // ids of those rules, in the same order
	waived      []string  // ids of rules that are waived for the image
	descent     *descent  // what the target stands on, once that was asked
}

// candidate is an authenticated provenance about this very image, judged as the work of one builder. A signer that fits
// several names in provenance.by makes a candidate of each, so that the controls of one and the credit of another never
// add up.
type candidate struct {
	attestation *stemma.Attestation
	provenance  *stemma.Provenance
	builder     string     // name in provenance.by that the signer is, or came closest to
	order       int        // of that name in provenance.by
	away        difference // from that builder; zero when the signer is it
	results     []result   // of the rules that judge each provenance, in order
	proven      string     // see proof
	assessed    *assessed  // see level
}

// proof says by what the provenance is authentic. Most rules have it at hand, and few show it.
func (c *candidate) proof() string {
	if c.proven == "" {
		c.proven = proof(c.attestation)
	}
	return c.proven
}

// accepted reports whether a builder that the policy names made the provenance.
func (c *candidate) accepted() bool { return c.builder != "" && c.away.reason == "" }

// credit is the level that the policy gives to the builder of the candidate.
func (j *judgement) credit(c *candidate) (credit int, name string) {
	if !c.accepted() {
		return 0, ""
	}
	return cmp.Or(j.policy.builders[c.builder].Level, defaultCredit), c.builder
}

// defaultCredit is the level of a builder to which the policy gives none.
const defaultCredit = 2

// proof says where the identity of an attestation is proven.
func proof(a *stemma.Attestation) string {
	who := "certificate SAN"
	if a.Signer.KeyID != "" {
		who = "key " + a.Signer.Key.Short()
	}
	b := make([]byte, 0, 192)
	b = append(append(append(append(append(b, who...), " in "...), a.Format...), ' '), a.Bundle.Short()...)
	for _, l := range a.Log {
		b = append(append(append(b, ", "...), l.Log...), " entry "...)
		b = strconv.AppendInt(b, l.Index, 10)
	}
	if t := a.Time(); !t.IsZero() {
		b = t.UTC().AppendFormat(append(b, ", signed "...), "2006-01-02 15:04:05Z")
	}
	return string(b)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
