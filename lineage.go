package stemma

// Layer is one layer of an image, as its manifest and its config say.
type Layer struct {
	Digest    Digest `json:"digest"` // of the blob
	DiffID    Digest `json:"diffID"` // of its content, as the config claims; registries do not compare it
	Size      int64  `json:"size"`   // bytes of the blob
	MediaType string `json:"mediaType,omitempty"`
	Foreign   bool   `json:"foreign,omitempty"`  // the descriptor has urls: it may be fetched from anywhere
	Verified  bool   `json:"verified,omitempty"` // DiffID was computed from the blob
}

// emptyLayers are contents that hold no file: nothing at all, and a tar of nothing in two or in twenty blocks of zeros.
func emptyLayers() []Digest {
	return []Digest{
		"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
		"sha256:84ff92691f909a05b224e1c56abb4864f01b4f8e3c854e4bb4c7baf1d3f6d652",
	}
}

// Empty reports whether the layer holds no file, as WORKDIR leaves one. It is in images that have nothing else in common,
// so that it proves nothing.
func (l Layer) Empty() bool {
	for _, e := range emptyLayers() {
		if l.DiffID == e {
			return true
		}
	}
	return false
}

// Settings are what a runtime takes from the config of an image.
type Settings struct {
	User       string            `json:"user,omitempty"`
	Env        []string          `json:"env,omitempty"`
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	WorkingDir string            `json:"workingDir,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
}

// Stack is the layers of one manifest, bottom first.
type Stack struct {
	Image    Image    `json:"image"`           // of the manifest
	Index    Digest   `json:"index,omitempty"` // that was asked for, and lists it for the platform
	Platform Platform `json:"platform"`
	Config   Digest   `json:"config"`
	Layers   []Layer  `json:"layers"`
	Settings Settings `json:"settings"`
	From     []string `json:"from,omitempty"` // images that comments of the history name: for people
}

// ChainIDs identify the layers up to each one, by content (OCI image specification, "Layer ChainID").
func (s *Stack) ChainIDs() []Digest {
	out := make([]Digest, len(s.Layers))
	for i, l := range s.Layers {
		if out[i] = l.DiffID; i > 0 {
			out[i] = SHA256([]byte(string(out[i-1]) + " " + string(l.DiffID)))
		}
	}
	return out
}

// KnownBase is an image that may be underneath others, and by what it is found.
type KnownBase struct {
	Image   Image  `json:"image"`           // the manifest of one platform
	Index   Digest `json:"index,omitempty"` // that lists it, by which it is usually named
	ChainID Digest `json:"chainID"`         // of its last layer
}

// Known is the stack as an image that may be underneath others. What has no layer with a file in it is underneath everything,
// and is none.
func (s *Stack) Known() (KnownBase, bool) {
	ids := s.ChainIDs()
	if len(ids) == 0 {
		return KnownBase{}, false
	}
	content := false
	for _, l := range s.Layers {
		content = content || !l.Empty()
	}
	return KnownBase{Image: s.Image, Index: s.Index, ChainID: ids[len(ids)-1]}, content
}

// BaseGrade is how it is known what an image stands on.
type BaseGrade string

// Grades, from the best. Only the first three name a base whose layers are those of the image.
const (
	BaseProven       BaseGrade = "proven"          // named by verified provenance, and its layers are the lowest of the image
	BaseSealed       BaseGrade = "sealed"          // named by provenance that nobody signed and the image's digest covers, and its layers are
	BaseLayers       BaseGrade = "layers"          // its layers are; nobody who is trusted names it
	BaseClaimed      BaseGrade = "claimed"         // a digest is named; the layers were not compared, or could not be
	BaseUnknown      BaseGrade = "unknown"         // nothing tells
	BaseContradicted BaseGrade = "contradicted"    // what is named does not match the layers, or two who are trusted name two
	BaseScratch      BaseGrade = "scratch-proven"  // nothing is underneath, by the steps of verified provenance
	BaseNoneClaimed  BaseGrade = "scratch-claimed" // nothing is underneath, by the word of whoever pushed the image
)

// BaseGrades lists the grades from the best.
func BaseGrades() []BaseGrade {
	return []BaseGrade{BaseProven, BaseScratch, BaseSealed, BaseLayers, BaseClaimed, BaseNoneClaimed, BaseUnknown, BaseContradicted}
}

// Based reports whether a grade says that the layers of a base were found in the image.
func (g BaseGrade) Based() bool { return g == BaseProven || g == BaseSealed || g == BaseLayers }

// Signal is one thing that tells, or is taken to tell, what an image stands on.
type Signal struct {
	Kind    SignalKind    `json:"kind"`
	Image   Image         `json:"image,omitzero"` // that it names; Digest may be that of an index
	Scratch bool          `json:"scratch,omitempty"`
	Binding SignalBinding `json:"binding"`
	By      string        `json:"by,omitempty"`     // the signer of the statement
	Bundle  Digest        `json:"bundle,omitempty"` // the Attestation or Unsigned
	Where   string        `json:"where,omitempty"`
	Outcome SignalOutcome `json:"outcome"`
	Reason  Reason        `json:"reason,omitempty"` // of what could not be read: why not; none where it is not there
	Detail  string        `json:"detail,omitempty"`
}

// SignalKind says where a signal comes from.
type SignalKind string

// Kinds of signals, from the one that says most.
const (
	SignalSteps      SignalKind = "steps"      // the steps of the build, in provenance with mode=max
	SignalMaterials  SignalKind = "materials"  // images among the dependencies of provenance: a set, never an answer
	SignalLayers     SignalKind = "layers"     // a known image whose layers are the lowest of this one
	SignalSBOM       SignalKind = "sbom"       // a bill of materials that names its base
	SignalBuildpacks SignalKind = "buildpacks" // the label of the lifecycle
	SignalAnnotation SignalKind = "annotation" // org.opencontainers.image.base
	SignalLabel      SignalKind = "label"      // the same, as a label, which children inherit
	SignalHistory    SignalKind = "history"    // a comment in the history of the config
)

// SignalBinding says what stands behind a signal.
type SignalBinding string

// Bindings of signals.
const (
	BindingSigned SignalBinding = "signed" // the statement is signed by somebody who is trusted with it
	BindingSealed SignalBinding = "sealed" // nobody signed it, and a verified signature over the image covers its bytes
	BindingLoose  SignalBinding = "loose"  // neither: whoever can push the image can write it
	BindingBytes  SignalBinding = "bytes"  // the layers themselves
)

// SignalOutcome is what became of a signal.
type SignalOutcome string

// Outcomes of signals.
const (
	SignalChosen       SignalOutcome = "chosen"        // it names the base, and its layers were found
	SignalAgrees       SignalOutcome = "agrees"        // it names the base that others prove
	SignalNotImmediate SignalOutcome = "not-immediate" // the layers of what it names are in the image, and those of another on top of them
	SignalSameLayers   SignalOutcome = "same-layers"   // it names another image with the very layers of the base
	SignalDisagrees    SignalOutcome = "disagrees"     // the layers of what it names are not in the image
	SignalUnresolved   SignalOutcome = "unresolvable"  // what it names could not be read
	SignalUnproven     SignalOutcome = "unproven"      // the layers look alike, and it could not be shown that they are
	SignalNameless     SignalOutcome = "no-digest"     // it names no digest
	SignalBeneath      SignalOutcome = "beneath"       // its layers are in the image, which was said to stand on something else
	SignalScratch      SignalOutcome = "scratch"       // it says that nothing is underneath
)

// Change is a setting that an image changes of its base.
type Change struct {
	Setting string `json:"setting"` // "user", "entrypoint", "cmd", "workingDir", "env PATH"
	Was     string `json:"was,omitempty"`
	Is      string `json:"is,omitempty"`
}

// Overwrite is a file of a base that is not, as the base has it, in the image.
type Overwrite struct {
	Path    string `json:"path"`
	Deleted bool   `json:"deleted,omitempty"`
	Class   string `json:"class,omitempty"` // "loader", "certificates", "packages", "accounts", "executable", or "" of any other file
	Layer   int    `json:"layer"`           // from 1 at the bottom: the one that replaces or deletes it
}

// FileClasses are the classes of Overwrite, the gravest first, without that of any other file.
func FileClasses() []string {
	return []string{"loader", "certificates", "packages", "accounts", "executable"}
}

// Lineage is what one image stands on, how that is known, and all that was said of it.
type Lineage struct {
	Grade   BaseGrade `json:"grade"`
	Base    Image     `json:"base,omitzero"`    // the manifest of the platform; of a claimed one, what is named
	Index   Digest    `json:"index,omitempty"`  // by which it was named
	Layers  int       `json:"layers,omitempty"` // so many layers, from the bottom, are its
	How     string    `json:"how,omitempty"`    // "blob-identical", or "diffid-recomputed" where the compression differs
	By      string    `json:"by,omitempty"`     // who names it: a signer
	Bundle  Digest    `json:"bundle,omitempty"` // where
	Why     string    `json:"why,omitempty"`    // it is no better
	Reason  Reason    `json:"reason,omitempty"` // where something could not be looked at: why not
	Steps   bool      `json:"steps,omitempty"`  // somebody whose word counts tells the steps of the build
	Signals []Signal  `json:"signals,omitempty"`
	// Equivalent: the base is the image itself, compressed anew: the same config, and the same content of every layer.
	Equivalent bool `json:"equivalent,omitempty"`
	// Rebased is what became of the image that it is said to be, on another base.
	Rebased *Rebase `json:"rebased,omitempty"`
	// Changes are what the image changes of the config of its base; Inherited are labels that it has from there, and so does
	// not say of itself.
	Changes   []Change `json:"changes,omitempty"`
	Inherited []string `json:"inherited,omitempty"`
	// Overwrites are files of the base that layers above replace or delete; nil where that was not asked for, and no more
	// than are shown. FilesWhy says why it could not be seen.
	Overwrites  []Overwrite    `json:"overwrites,omitempty"`
	Files       int            `json:"files,omitempty"`     // how many there are
	FilesBy     map[string]int `json:"filesBy,omitempty"`   // of each class
	FilesRead   bool           `json:"filesRead,omitempty"` // they were compared
	FilesWhy    string         `json:"filesWhy,omitempty"`
	FilesReason Reason         `json:"filesReason,omitempty"`
	// Tagged is to what the tag leads by which the base was named; nil without a tag, or where it was not asked.
	Tagged *Tagged `json:"tagged,omitempty"`
	// Evidence is what was found about the base, with what that stands on; nil when there is none, or when it was not
	// looked at, which Stopped says.
	Evidence *Evidence `json:"evidence,omitempty"`
	Stopped  string    `json:"stopped,omitempty"`
	// Stages are images of which the build used something that is not what the result stands on.
	Stages     []Stage `json:"stages,omitempty"`
	MoreStages bool    `json:"moreStages,omitempty"` // there are more, which were not looked at
}

// Rebase is an image that another is said to be, put onto another base.
type Rebase struct {
	Original Image     `json:"original"`
	Evidence *Evidence `json:"evidence,omitempty"` // about the original
	Why      string    `json:"why,omitempty"`      // it is not; empty: it is
	Reason   Reason    `json:"reason,omitempty"`   // where that could not be seen
	Changes  []Change  `json:"changes,omitempty"`  // of its config that do not come from the bases
}

// Tagged is to what a tag led when it was looked at.
type Tagged struct {
	Tag    string `json:"tag"`
	Digest Digest `json:"digest,omitempty"` // of an image or an index
	Why    string `json:"why,omitempty"`    // it is not known
	Reason Reason `json:"reason,omitempty"`
}

// Stage is an image of which a build used something: what compiled the program that lies in the layers, above all.
type Stage struct {
	Image    Image         `json:"image"`              // as it is named; Digest may be that of an index
	By       string        `json:"by,omitempty"`       // who names it: a signer, or nobody
	Binding  SignalBinding `json:"binding"`            // what stands behind that
	Evidence *Evidence     `json:"evidence,omitempty"` // about it, without what it stands on
	Why      string        `json:"why,omitempty"`      // there is none
	Reason   Reason        `json:"reason,omitempty"`   // where it could not be looked at
}
