package policy

import "stemma"

// ReleaseRule is the rule of a release: what is deployed as one is judged as one.
func ReleaseRule() Rule {
	return Rule{
		ID:       "release.complete",
		Title:    "the release has an image that was not given to be judged",
		Why:      "Whoever asks chooses what is asked about. A pipeline that leaves one image of a release out of its gate deploys it unseen.",
		Fix:      "give every image of the release, by the digest that the release names, or take it out of the release",
		Since:    "0.2",
		Controls: []string{"CM-3", "CM-8"},
	}
}

// Omitted is the decision on an image that a release names and that was not given to be judged (conforma IV-4). It is a
// refusal, whatever the policies would have said.
func Omitted(set *Set, image stemma.Image, situation stemma.Situation) *stemma.Decision {
	if set == nil {
		set = &Set{}
	}
	rule := ReleaseRule()
	d := &stemma.Decision{
		Image: image, Situation: situation, Set: set.Digest, Policies: []stemma.PolicyRef{}, Help: set.spec.Help.String(), Version: Version,
		Verdict: stemma.Deny, Effect: stemma.Refuse,
		Findings: []stemma.Finding{{
			Rule: rule.ID, Outcome: stemma.Fail, Reason: stemma.ReasonOmitted, Title: rule.Title, Fix: rule.Fix,
			Got: "it was not given", Want: "a decision on every image of the release",
		}},
	}
	set.sealer.seal(d, &stemma.Evidence{Image: image})
	return d
}
