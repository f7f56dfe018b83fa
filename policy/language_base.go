package policy

import (
	"fmt"

	"stemma"
)

// Base requires something of what the image stands on: the image that its build began with, what that stands on in turn, and
// so down to where the chain ends. Without it nothing is asked of bases, and nothing is known of them.
type Base struct {
	Proof  Proof     `yaml:"proof" default:"layers"` // how each base must be known, at least: proven, sealed, layers (default) or claimed
	EndsAt []BaseEnd `yaml:"endsAt"`                 // where the chain may end: foundation, scratch, none; at a foundation or scratch when absent
	Policy string    `yaml:"policy"`                 // name of a policy in force that each base must meet, too
	Images []Pattern `yaml:"images"`                 // repositories that bases are of, by canonical name: docker.io/library/debian
	MaxAge Duration  `yaml:"maxAge"`                 // of the earliest signature about each base by whom its policy names

	Newer   Newer     `yaml:"newer"`   // warn or refuse where the tag by which a base was named leads to another image by now
	AtDepth []AtDepth `yaml:"atDepth"` // what is asked instead at one depth

	Foundations []Foundation `yaml:"foundations"` // images that are taken for the ground
	VSA         []Summarised `yaml:"vsa"`         // verification summaries that stand for all of a base and of what is underneath

	Stages *Stages `yaml:"stages"` // what is asked of images of which the build used something without standing on them

	DenyOverwrite []FileClass `yaml:"denyOverwrite"` // files of the base that layers above may neither replace nor delete: loader, certificates, packages, accounts, executable, any
	DenyEnv       []Pattern   `yaml:"denyEnv"`       // variables that an image may neither add nor change over its base: LD_*
	DenySettings  []Setting   `yaml:"denySettings"`  // settings of the base that an image may not change: user, entrypoint, cmd, workingDir
}

// Proof is how a base is known: a threshold over the grades of package stemma.
type Proof string

// Thresholds of proof.
const (
	ProofProven  Proof = "proven"  // an accepted builder names it, and its layers are the lowest of the image
	ProofSealed  Proof = "sealed"  // provenance that nobody signed names it, a signature over the image covers that, and its layers are
	ProofLayers  Proof = "layers"  // its layers are
	ProofClaimed Proof = "claimed" // somebody says so
)

// BaseEnd is where a chain of bases may end.
type BaseEnd string

// Ends of chains.
const (
	EndFoundation BaseEnd = "foundation" // an image that foundations names
	EndScratch    BaseEnd = "scratch"    // the last one was built from nothing
	EndNone       BaseEnd = "none"       // nothing names a base, and no known image is underneath: a statement about what is known
)

// Newer says what becomes of a base of which there is a newer build.
type Newer string

// Choices for newer builds. The zero value asks nothing.
const (
	NewerWarn   Newer = "warn"
	NewerRefuse Newer = "refuse"
)

// AtDepth is what is asked at one depth instead of what the block asks of all.
type AtDepth struct {
	Depth  int       `yaml:"depth,required"` // 1: what the image itself stands on
	Proof  Proof     `yaml:"proof"`          // as in base
	Policy string    `yaml:"policy"`         // as in base
	Images []Pattern `yaml:"images"`         // as in base
	MaxAge Duration  `yaml:"maxAge"`         // as in base
}

// Foundation is an image that is taken for the ground: nothing is asked of it, nor of what is underneath. It is told by
// digest, or by who signed it.
type Foundation struct {
	Image   Pattern  `yaml:"image,required"`  // repository
	Digests []string `yaml:"digests"`         // of the image or of an index that lists it: sha256:…
	By      []string `yaml:"by"`              // or names of signers or builders, one of whom signed it
	Owner   string   `yaml:"owner,required"`  // who answers for it
	Reason  string   `yaml:"reason,required"` // why it is enough
	Until   Date     `yaml:"until,required"`  // last day
}

// Summarised accepts verification summaries (SLSA VSA) about the very manifest of a base.
type Summarised struct {
	By       []string `yaml:"by,required"`       // names of signers, one of whom signed the summary
	Verifier string   `yaml:"verifier,required"` // verifier.id, exactly
	Policy   string   `yaml:"policy"`            // policy.uri, exactly
	Level    int      `yaml:"level"`             // SLSA Build level that it states at least
	MaxAge   Duration `yaml:"maxAge,required"`   // of timeVerified
}

// Stages requires something of the images of which a build used something: what compiled the program, above all. What they
// stand on is not asked.
type Stages struct {
	Policy string    `yaml:"policy"` // name of a policy in force that each must meet
	Images []Pattern `yaml:"images"` // repositories that they are of
}

// FileClass is a kind of files of a base.
type FileClass string

// AnyFile is every file.
const AnyFile FileClass = "any"

// Setting is a setting in the config of an image.
type Setting string

func (Proof) choices() []string {
	return []string{string(ProofProven), string(ProofSealed), string(ProofLayers), string(ProofClaimed)}
}

func (BaseEnd) choices() []string {
	return []string{string(EndFoundation), string(EndScratch), string(EndNone)}
}

func (Newer) choices() []string { return []string{string(NewerWarn), string(NewerRefuse)} }

func (FileClass) choices() []string { return append(stemma.FileClasses(), string(AnyFile)) }

func (Setting) choices() []string { return []string{"user", "entrypoint", "cmd", "workingDir"} }

// strength orders how a base is known; what nobody knows has none.
func (p Proof) strength() int {
	switch p {
	case ProofProven:
		return 4
	case ProofSealed:
		return 3
	case ProofClaimed:
		return 1
	}
	return 2 // layers, the default
}

// asked is what the block asks at a depth.
func (b *Base) asked(depth int) AtDepth {
	out := AtDepth{Depth: depth, Proof: b.Proof, Policy: b.Policy, Images: b.Images, MaxAge: b.MaxAge}
	for _, a := range b.AtDepth {
		if a.Depth != depth {
			continue
		}
		if a.Proof != "" {
			out.Proof = a.Proof
		}
		if a.Policy != "" {
			out.Policy = a.Policy
		}
		if len(a.Images) > 0 {
			out.Images = a.Images
		}
		if a.MaxAge > 0 {
			out.MaxAge = a.MaxAge
		}
	}
	return out
}

// ends are where the chain may end.
func (b *Base) ends() []BaseEnd {
	if len(b.EndsAt) == 0 {
		return []BaseEnd{EndFoundation, EndScratch}
	}
	return b.EndsAt
}

// policies lists the names of policies that the block refers to, by where.
func (b *Base) policies() map[string]string {
	out := map[string]string{}
	add := func(path, name string) {
		if name != "" {
			out[path] = name
		}
	}
	add("base.policy", b.Policy)
	for i, a := range b.AtDepth {
		add(fmt.Sprintf("base.atDepth[%d].policy", i), a.Policy)
	}
	if b.Stages != nil {
		add("base.stages.policy", b.Stages.Policy)
	}
	return out
}

// names are the signers and builders that the block refers to, by where.
func (b *Base) names() map[string][]string {
	out := map[string][]string{}
	for i, f := range b.Foundations {
		out[fmt.Sprintf("base.foundations[%d].by", i)] = f.By
	}
	for i, v := range b.VSA {
		out[fmt.Sprintf("base.vsa[%d].by", i)] = v.By
	}
	return out
}
