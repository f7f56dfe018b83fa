package predicate

import (
	"fmt"
	"strings"

	"stemma"
)

// Predicate type of the verification summary before SLSA 1.0.
const predicateVSAv02 = "https://slsa.dev/verification_summary/v0.2"

// summary is a verification summary of SLSA 1.x and, with the names that v0.2 has, of that.
type summary struct {
	Verifier struct {
		ID string `json:"id"`
	} `json:"verifier"`
	Policy struct {
		URI string `json:"uri"`
	} `json:"policy"`
	TimeVerified string   `json:"timeVerified"`
	ResourceURI  string   `json:"resourceUri"`
	Result       string   `json:"verificationResult"`
	Levels       []string `json:"verifiedLevels"`
}

// summaryV02 has the names of v0.2.
type summaryV02 struct {
	Verifier struct {
		ID string `json:"id"`
	} `json:"verifier"`
	Policy struct {
		URI string `json:"uri"`
	} `json:"policy"`
	TimeVerified string `json:"time_verified"`
	ResourceURI  string `json:"resource_uri"`
	Result       string `json:"verification_result"`
	Level        string `json:"policy_level"`
}

// vsa reads a verification summary. Its result is kept as it is written: what is not exactly PASSED is for the policy to
// refuse.
func vsa(id stemma.Digest, s stemma.Statement) (*stemma.VSA, error) {
	var v summary
	var err error
	if s.PredicateType == predicateVSAv02 {
		var old summaryV02
		err = stemma.DecodeJSON(s.Predicate, &old)
		v = summary{Verifier: old.Verifier, Policy: old.Policy, TimeVerified: old.TimeVerified, ResourceURI: old.ResourceURI, Result: old.Result}
		if old.Level != "" {
			v.Levels = []string{old.Level}
		}
	} else {
		err = stemma.DecodeJSON(s.Predicate, &v)
	}
	if err != nil {
		return nil, fmt.Errorf("reading verification summary: %w", err)
	}
	out := &stemma.VSA{
		Bundle: id, Verifier: v.Verifier.ID, Resource: v.ResourceURI, Policy: v.Policy.URI, Result: v.Result, Levels: v.Levels, Commit: summarised(s.Subject),
	}
	switch {
	case v.Verifier.ID == "":
		return nil, fmt.Errorf("reading verification summary: no verifier.id")
	case v.Result == "":
		return nil, fmt.Errorf("reading verification summary: no result")
	case len(v.Levels) > maxListed:
		return nil, fmt.Errorf("reading verification summary: %d levels, limit %d", len(v.Levels), maxListed)
	}
	for _, text := range append([]string{v.Verifier.ID, v.ResourceURI, v.Policy.URI, v.Result}, v.Levels...) {
		if len(text) > maxClaim || !printable(text) {
			return nil, fmt.Errorf("reading verification summary: a value that is no name: %s", stemma.Printable(text, 80))
		}
	}
	if v.TimeVerified != "" {
		t, err := instant(v.TimeVerified)
		if err != nil {
			return nil, fmt.Errorf("reading verification summary: the time %.40q: want RFC 3339", v.TimeVerified)
		}
		out.Time = t
	}
	return out, nil
}

// summarised is the commit that a summary about a source is about: the only one that its subjects name. A sha1 beside a
// digest that can identify an image is the image's.
func summarised(subjects []stemma.ResourceDescriptor) string {
	commit := ""
	for _, s := range subjects {
		value := s.Digest["gitCommit"]
		if value == "" && !identifiesImage(s.Digest) {
			value = s.Digest["sha1"]
		}
		if value == "" {
			continue
		}
		if len(value) != 40 || !stemma.IsCommit(value) || commit != "" && commit != value {
			return ""
		}
		commit = value
	}
	return commit
}

func identifiesImage(set map[string]string) bool {
	for algorithm := range set {
		if stemma.AcceptedAlgorithm(strings.ToLower(algorithm)) {
			return true
		}
	}
	return false
}
