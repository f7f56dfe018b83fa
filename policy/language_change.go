package policy

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Kinds of documents besides PolicySet, ImageTrustPolicy and Distrust.
const (
	KindNamespacePolicy = "NamespaceImageTrustPolicy"
	KindWaiver          = "Waiver"
)

type waiverDocument struct {
	document `yaml:",inline"`
	Spec     Waiver `yaml:"spec,required"`
}

// Waiver is the content of a Waiver document: for some images, some rules of one policy may be unmet for some time. What
// is waived is not met: its outcome is waived, in every decision, and an image of which nothing is met is not allowed. It
// stands beside the policy, so that granting one changes no digest of a policy. It counts from its first day to its last,
// in its namespaces, and only with the signature of one whom the PolicySet lets approve; else it is shown, and why it does
// not count.
type Waiver struct {
	Policy     string        `yaml:"policy,required"`     // name of the policy
	Rules      []string      `yaml:"rules,required"`      // exact ids of rules that may be unmet: sbom.present
	Images     []WaivedImage `yaml:"images,required"`     // ghcr.io/acme/ledger@sha256:…, or a pattern of repositories without digest
	Namespaces []string      `yaml:"namespaces"`          // in which it counts; everywhere when absent
	Reason     string        `yaml:"reason,required"`     // why, printed in every decision
	Ticket     string        `yaml:"ticket"`              // where it is followed up
	Owner      string        `yaml:"owner,required"`      // who mends it
	ApprovedBy string        `yaml:"approvedBy,required"` // who accepts the risk: a name in waivers.approvedBy of the PolicySet, by whom the document is signed
	From       Date          `yaml:"from,required"`       // first day
	Until      Date          `yaml:"until,required"`      // last day
}

// WaivedImage is a pattern of repositories, with or without the digest of one image.
type WaivedImage string

// split parts the pattern from the digest.
func (w WaivedImage) split() (pattern Pattern, digest string) {
	name, digest, _ := strings.Cut(string(w), "@")
	return Pattern(name), digest
}

// Waivers limits what Waiver documents may grant.
type Waivers struct {
	Longest    Duration `yaml:"longest" default:"90d"` // from the first day to the last
	ApprovedBy []string `yaml:"approvedBy,required"`   // names of signers, of whom the one that the waiver names must have signed it
	Never      []string `yaml:"never"`                 // rules that are never waived, by id or by block: signature.*; image.distrusted and image.policy never are
}

// longestWaiver is how long a waiver may last where the set does not say.
const longestWaiver = 90 * 24 * time.Hour

// Exemption takes a namespace out of enforcement: verdicts stay what they are, and nothing but a Distrust document refuses.
type Exemption struct {
	Namespace string `yaml:"namespace,required"` // exact
	Owner     string `yaml:"owner,required"`     // who answers for it
	Reason    string `yaml:"reason,required"`    // why, printed in every decision
	Until     Date   `yaml:"until,required"`     // last day
}

// OnUndetermined says what becomes of an image of which too little could be looked at.
type OnUndetermined struct {
	LastKnownGood Duration  `yaml:"lastKnownGood"`              // admit it with a warning when the same set allowed it at most so long ago
	Otherwise     Otherwise `yaml:"otherwise" default:"refuse"` // refuse (default) or warn
}

// Otherwise is the effect of a verdict that is not one.
type Otherwise string

// Effects of an undetermined verdict. The zero value refuses.
const (
	OtherwiseRefuse Otherwise = "refuse"
	OtherwiseWarn   Otherwise = "warn"
)

// Running says what becomes of the restart of an image that was admitted to a namespace before: rejudge, keep, or
// keep:30d. Keep lets requirements on age only warn; all others still refuse.
type Running struct {
	Keep bool     // whether ages only warn
	For  Duration // at most so long after the image was admitted; zero: for good
}

// Running as words.
const (
	runningKeep    = "keep"
	runningRejudge = "rejudge"
)

// MarshalText writes it as in a policy.
func (r Running) MarshalText() ([]byte, error) {
	switch {
	case !r.Keep:
		return []byte(runningRejudge), nil
	case r.For == 0:
		return []byte(runningKeep), nil
	}
	text, err := r.For.MarshalText()
	return append([]byte(runningKeep+":"), text...), err
}

func (r *Running) decodeYAML(d *decoder, n *yaml.Node, path string) {
	s := d.text(n, path)
	word, rest, limited := strings.Cut(s, ":")
	r.Keep = word == runningKeep
	switch {
	case limited && r.Keep:
		value := *n
		value.Value = rest
		r.For.decodeYAML(d, &value, path)
	case s != "" && s != runningKeep && s != runningRejudge:
		d.fail(n, suggestion(s, []string{runningKeep, runningRejudge}), "%s cannot be %q", last(path), s)
	}
}

// Tags says what becomes of an image that is asked for by tag alone, which can be another one tomorrow.
type Tags string

// Choices for tags.
const (
	TagsRefused  Tags = "refuse"  // the image must be asked for by digest
	TagsPinned   Tags = "pin"     // the edge replaces the tag by the digest that was judged; where it cannot, it refuses
	TagsObserved Tags = "observe" // reported
)

func (Tags) choices() []string {
	return []string{string(TagsRefused), string(TagsPinned), string(TagsObserved)}
}

func (Otherwise) choices() []string {
	return []string{string(OtherwiseRefuse), string(OtherwiseWarn)}
}
