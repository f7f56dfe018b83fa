package policy

import (
	"go.yaml.in/yaml/v3"

	"stemma/internal/expression"
)

// Custom is a rule of one's own, in the Common Expression Language (docs/expressions.md). It sees evidence by identities that the
// policy names, and no other: a stranger can make it neither pass nor fail.
type Custom struct {
	ID       string     `yaml:"id,required"`      // own name, with a dot: acme.no-debug-build
	For      ForEach    `yaml:"for"`              // kind of evidence of which each accepted piece must meet it, as it: provenance, attestations, sboms, scans, signers, platforms or base (each image underneath); none at all fails. Without it the expression is about the image as a whole
	Require  Expression `yaml:"require,required"` // expression that must be true
	Why      string     `yaml:"why,required"`     // what could happen without it, printed in every denial
	Fix      string     `yaml:"fix"`              // what the reader can do
	Controls []string   `yaml:"controls"`         // of which control catalogue it is evidence: SI-7
}

// Expression is an expression in the Common Expression Language: typed, limited in cost, and with nothing to read but what
// was found.
type Expression struct {
	Text string

	node    *yaml.Node // where it stands
	program *expression.Program
}

// MarshalText makes the canonical JSON of a policy carry the expression as it is written.
func (e Expression) MarshalText() ([]byte, error) { return []byte(e.Text), nil }

func (e *Expression) decodeYAML(d *decoder, n *yaml.Node, path string) {
	e.Text, e.node = d.text(n, path), n
}

// ForEach is a kind of evidence.
type ForEach string

// Kinds of evidence that a rule can go through.
const (
	ForProvenance   ForEach = "provenance"
	ForAttestations ForEach = "attestations"
	ForSBOMs        ForEach = "sboms"
	ForScans        ForEach = "scans"
	ForSigners      ForEach = "signers"
	ForPlatforms    ForEach = "platforms"
	ForBase         ForEach = "base"
)

func (ForEach) choices() []string {
	return []string{string(ForProvenance), string(ForAttestations), string(ForSBOMs), string(ForScans), string(ForSigners), string(ForPlatforms), string(ForBase)}
}
