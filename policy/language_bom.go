package policy

import "go.yaml.in/yaml/v3"

// BOM requires a software bill of materials about this very image. Any that meets all of it is enough; with atLeast, one
// each of as many distinct signers.
type BOM struct {
	By             By       `yaml:"by,required"`    // names of signers or builders
	Formats        []string `yaml:"formats"`        // spdx, cyclonedx
	MaxAge         Duration `yaml:"maxAge"`         // of the proven signing time
	Generators     []string `yaml:"generators"`     // tools that may have made it, by name: syft, trivy; absent fails
	ConsistentWith []string `yaml:"consistentWith"` // image: it describes this digest; provenance: it names the packages that the provenance names; base: its base image is the provenance's
	Elements       string   `yaml:"elements"`       // ntia: supplier, name, version, identifier, dependencies, author and time
}

// Vulnerabilities requires a scan of this very image. Every scan that counts must be clean, not only one of them.
type Vulnerabilities struct {
	By     By       `yaml:"by,required"`   // names of signers whose scans count
	MaxAge Duration `yaml:"maxAge"`        // of the proven signing time, and of what the scan says of itself
	None   []string `yaml:"none,required"` // severities of which there may be none: critical, high, medium, low, negligible, unknown (nobody rates it in a way that is understood, so that it may be any of them)
	VEX    []string `yaml:"vex"`           // names of signers whose word that a vulnerability does not affect the image counts
}

// Attested asks for an attestation of any type about this very image. Any that meets all of it is enough, whatever others
// of its type say; with atLeast, one each of as many distinct signers.
type Attested struct {
	Type   string   `yaml:"type,required"` // predicate type
	By     By       `yaml:"by,required"`   // names of signers or builders
	MaxAge Duration `yaml:"maxAge"`        // of the proven signing time
	Values Pointers `yaml:"values"`        // JSON pointers into the predicate, each with the values that are accepted: {/result: [accepted]}

	Require Expression `yaml:"require"` // expression about the attestation, as it, that must be true: it.predicate.result == "accepted"
}

// Pointers maps JSON pointers (RFC 6901) to the values that are accepted there.
type Pointers map[string]Values

// Values are accepted values, as text, number or boolean.
type Values []string

// Words of ConsistentWith.
const (
	consistentImage      = "image"
	consistentProvenance = "provenance"
	consistentBase       = "base"
)

// elementsNTIA is the only word that Elements can be.
const elementsNTIA = "ntia"

// decodeYAML reads pointers, which unlike all other keys that a policy chooses are no names.
func (p *Pointers) decodeYAML(d *decoder, n *yaml.Node, path string) {
	*p = Pointers{}
	d.members(n, path, func(k, value *yaml.Node) {
		var v Values
		at := join(path, k.Value)
		d.at(k, at)
		for _, c := range append([]*yaml.Node{value}, value.Content...) {
			if c.Kind == yaml.ScalarNode && (c.Value == "" || c.Tag == "!!null") {
				// It is what a value that nobody states would look like.
				d.fail(c, "write the value that is accepted", "%s accepts an empty value", k.Value)
				return
			}
		}
		v.decodeYAML(d, value, at)
		(*p)[k.Value] = v
	})
}
