package policy

import "go.yaml.in/yaml/v3"

// KindDistrust is a document that names what is not to be believed, however well it is signed.
const KindDistrust = "Distrust"

type distrustDocument struct {
	document `yaml:",inline"`
	Spec     Distrust `yaml:"spec,required"`
}

// Distrust is the content of a Distrust document. Each list stands for itself: an image is denied when it, or anything
// authentic that is said of it, is named by one of them, within the time if one is given.
type Distrust struct {
	Reason       string    `yaml:"reason,required"` // why, printed in every denial
	Ticket       string    `yaml:"ticket"`          // where it is followed up
	Digests      []string  `yaml:"digests"`         // images, pieces of evidence, or bundles of pipelines and tasks: sha256:…
	Signers      []Pattern `yaml:"signers"`         // subject alternative names without scheme: github.com/acme/app/.github/workflows/release.yml, which without @ is meant at every ref, or …/release.yml@refs/heads/**
	Issuers      []string  `yaml:"issuers"`         // OIDC issuers, each exactly but for capitals and a slash at the end
	Keys         []string  `yaml:"keys"`            // sha256:… of public keys
	Builders     []Pattern `yaml:"builders"`        // builder ids without scheme; without @ at every ref or version
	Repositories []Pattern `yaml:"repositories"`    // repositories of sources, and of what says how to build: workflows, pipelines, tasks and what lies below them
	Commits      []string  `yaml:"commits"`         // commits of the same
	Runs         []Pattern `yaml:"runs"`            // runs without scheme: github.com/acme/app/actions/runs/15920000001, which means every attempt, or …/15920000001/attempts/2; a run that does not say its attempt may be any
	From         Date      `yaml:"from"`            // first day of the signing times meant; evidence without a proven time counts as within
	Until        Date      `yaml:"until"`           // last day
}

// Disagreement is a conflict between valid provenance that this policy puts up with.
type Disagreement struct {
	On     []string `yaml:"on,required"`     // repository, commit, ref, run, builder
	By     []string `yaml:"by,required"`     // names of builders whose provenance may differ
	Reason string   `yaml:"reason,required"` // why, printed in every decision
}

// Alternative is a named set of blocks. Of a policy with alternatives one must be met as a whole, besides the blocks of
// the policy itself; a block stands in the policy or in the alternatives, not in both.
type Alternative struct {
	Name            string           `yaml:"name,required"`   // of this alternative
	Signature       *Signature       `yaml:"signature"`       // as in the policy
	Provenance      *Provenance      `yaml:"provenance"`      // as in the policy
	Source          *Source          `yaml:"source"`          // as in the policy
	Inputs          *Inputs          `yaml:"inputs"`          // as in the policy
	SBOM            *BOM             `yaml:"sbom"`            // as in the policy
	Vulnerabilities *Vulnerabilities `yaml:"vulnerabilities"` // as in the policy
	Attestations    []Attested       `yaml:"attestations"`    // as in the policy
}

// Approval takes a digest on trust: for it nothing else of the policy is required until the day it ends.
type Approval struct {
	Image  Pattern `yaml:"image,required"`  // repository
	Digest string  `yaml:"digest,required"` // sha256:…
	Owner  string  `yaml:"owner,required"`  // who answers for it
	Reason string  `yaml:"reason,required"` // why
	Ticket string  `yaml:"ticket"`          // where it is followed up
	Until  Date    `yaml:"until,required"`  // last day
}

func (v *Values) decodeYAML(d *decoder, n *yaml.Node, path string) {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	if len(nodes) == 0 {
		d.fail(n, "write at least one value", "%s is empty", last(path))
	}
	for _, c := range nodes {
		if c.Kind != yaml.ScalarNode {
			d.fail(c, "write a text, a number or true or false", "%s holds something else than a value", last(path))
			return
		}
		*v = append(*v, c.Value)
	}
}
