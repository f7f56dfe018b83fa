package stemma

import (
	"encoding/json"
	"slices"
	"time"
)

// Facts is what was found of one image in the form that expressions of a policy read, and other policy engines: the normal
// form, without what a machine needs to verify it again. A field that nobody states is absent, never empty text.
//
// What a rule reads is limited to evidence by identities that the policy names, each piece under the names in By. What
// "stemma inspect --output facts" prints has all that is authentic; without a policy nobody has a name in it.
type Facts struct {
	Image        ImageFacts        `json:"image"`
	Platforms    []ImageFacts      `json:"platforms"` // what an index lists and runs; of an image that is none, itself
	Base         []BaseFacts       `json:"base"`      // what the image, or each platform of it, stands on, step by step down to where that ends
	Attestations []AttestedFacts   `json:"attestations"`
	Provenance   []ProvenanceFacts `json:"provenance"`
	SBOMs        []SBOMFacts       `json:"sboms"`
	Scans        []ScanFacts       `json:"scans"`
	Signers      []SignerFacts     `json:"signers"` // whoever signed any of it, each once
	Now          time.Time         `json:"now"`     // the time of the decision
	Situation    SituationFacts    `json:"situation"`
}

// SituationFacts is for whom the decision is made.
type SituationFacts struct {
	Namespace string `json:"namespace,omitempty"`
	Requester string `json:"requester,omitempty"`
}

// ImageFacts is an image or one platform of it.
type ImageFacts struct {
	Repository   string `json:"repository,omitempty"`
	Digest       Digest `json:"digest"`
	Tag          string `json:"tag,omitempty"`
	MediaType    string `json:"mediaType,omitempty"`
	OS           string `json:"os,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	Variant      string `json:"variant,omitempty"`
}

// BaseFacts is one step down: what an image stands on, or that it is not known to stand on anything.
type BaseFacts struct {
	Platform  string      `json:"platform,omitempty"` // of the image itself: linux/amd64
	Depth     int         `json:"depth"`              // 1: what the image itself stands on
	Image     *ImageFacts `json:"image,omitempty"`    // absent where nothing is known to be underneath
	Grade     BaseGrade   `json:"grade"`
	Layers    int         `json:"layers"`            // so many of the lowest layers are its
	By        string      `json:"by,omitempty"`      // who names it: a signer
	Changes   []Change    `json:"changes"`           // what is changed of its settings
	Inherited []string    `json:"inherited"`         // labels that the image above has from it
	Files     int         `json:"files,omitempty"`   // of it that are replaced or deleted, where that was looked at
	Newest    Digest      `json:"newest,omitempty"`  // to what its tag leads, where that was looked at
	Stopped   string      `json:"stopped,omitempty"` // why what is underneath was not looked at
}

// NewBaseFacts describes one step down.
func NewBaseFacts(platform string, depth int, l *Lineage) BaseFacts {
	f := BaseFacts{
		Platform: platform, Depth: depth, Grade: l.Grade, Layers: l.Layers, By: l.By, Changes: l.Changes, Inherited: l.Inherited, Files: l.Files, Stopped: l.Stopped,
	}
	if l.Base != (Image{}) {
		f.Image = &ImageFacts{Repository: l.Base.Repository, Digest: l.Base.Digest, Tag: l.Base.Tag}
	}
	if l.Tagged != nil {
		f.Newest = l.Tagged.Digest
	}
	return f
}

// SignerFacts is a verified identity.
type SignerFacts struct {
	By      []string          `json:"by"` // names of builders and signers of the policy that it is
	Trust   string            `json:"trust"`
	Issuer  string            `json:"issuer,omitempty"`
	Subject string            `json:"subject,omitempty"`
	KeyID   string            `json:"keyID,omitempty"`
	Claims  map[string]string `json:"claims"` // of the certificate, by the names of Claim… constants
}

// AttestedFacts is a signed statement about the image, or a signature of it.
type AttestedFacts struct {
	Type      string          `json:"type,omitempty"`      // predicate type; none of a signature
	Signature bool            `json:"signature"`           // signs the image itself, and states nothing
	Predicate json.RawMessage `json:"predicate,omitempty"` // as it stands
	Signer    SignerFacts     `json:"signer"`
	SignedAt  time.Time       `json:"signedAt,omitzero"` // earliest proven time
	Binding   BindingKind     `json:"binding"`
	Bundle    Digest          `json:"bundle"`
}

// ProvenanceFacts is the normal form of a provenance. Each claim has its strongest saying.
type ProvenanceFacts struct {
	Builder        string `json:"builder,omitempty"`
	WorkflowCommit string `json:"workflowCommit,omitempty"`
	Repository     string `json:"repository,omitempty"`
	RepositoryID   string `json:"repositoryID,omitempty"`
	OwnerID        string `json:"ownerID,omitempty"`
	Commit         string `json:"commit,omitempty"`
	Ref            string `json:"ref,omitempty"`
	EntryPoint     string `json:"entryPoint,omitempty"`
	Definition     string `json:"definition,omitempty"`
	Trigger        string `json:"trigger,omitempty"`
	TriggerID      string `json:"triggerID,omitempty"`
	Runner         string `json:"runner,omitempty"`
	Environment    string `json:"environment,omitempty"`
	Namespace      string `json:"namespace,omitempty"`
	ServiceAccount string `json:"serviceAccount,omitempty"`
	Run            string `json:"run,omitempty"`
	Hermetic       string `json:"hermetic,omitempty"` // "true" or "false"

	SaidBy        map[Field]Grade        `json:"saidBy"` // by whom each of them is said
	Format        string                 `json:"format"`
	BuildType     string                 `json:"buildType,omitempty"`
	Level         int                    `json:"level"`                   // SLSA Build level, as credited
	CutParameters []string               `json:"cutParameters,omitempty"` // those of which only the beginning is told, if anything: an expression that reads one is an error
	Parameters    map[string]string      `json:"parameters,omitzero"`     // external parameters that are a choice, by name; absent when the builder tells none of them
	Inputs        []Input                `json:"inputs"`
	Reported      map[InputKind]Reported `json:"reported"` // how much of each kind the builder names
	Tasks         []Task                 `json:"tasks"`
	Signer        SignerFacts            `json:"signer"`
	SignedAt      time.Time              `json:"signedAt,omitzero"`
	Bundle        Digest                 `json:"bundle"`
}

// SBOMFacts is a signed bill of materials about the image.
type SBOMFacts struct {
	Format   string      `json:"format"`
	Name     string      `json:"name,omitempty"`
	Created  time.Time   `json:"created,omitzero"`
	Tools    []string    `json:"tools"`
	Authors  []string    `json:"authors"`
	Subjects []Component `json:"subjects"`
	Bases    []Component `json:"bases"`
	Packages []Component `json:"packages"`
	Signer   SignerFacts `json:"signer"`
	SignedAt time.Time   `json:"signedAt,omitzero"`
	Bundle   Digest      `json:"bundle"`
}

// ScanFacts is a signed vulnerability scan of the image.
type ScanFacts struct {
	Scanner  string          `json:"scanner,omitempty"`
	Database time.Time       `json:"database,omitzero"`
	Finished time.Time       `json:"finished,omitzero"`
	Found    []Vulnerability `json:"found"`
	Signer   SignerFacts     `json:"signer"`
	SignedAt time.Time       `json:"signedAt,omitzero"`
	Bundle   Digest          `json:"bundle"`
}

// NewSignerFacts describes a verified identity by the names that it has in a policy.
func NewSignerFacts(id Identity, by []string) SignerFacts {
	return SignerFacts{By: by, Trust: id.Trust, Issuer: id.Issuer, Subject: id.Subject, KeyID: id.KeyID, Claims: id.Claims}
}

// NewProvenanceFacts describes a provenance by the attestation that it was read from.
func NewProvenanceFacts(p *Provenance, a *Attestation, by []string, level Level) ProvenanceFacts {
	f := ProvenanceFacts{
		Builder: p.Value(FieldBuilder), WorkflowCommit: p.Value(FieldWorkflowCommit), Repository: p.Value(FieldRepository),
		RepositoryID: p.Value(FieldRepositoryID), OwnerID: p.Value(FieldOwnerID), Commit: p.Value(FieldCommit), Ref: p.Value(FieldRef),
		EntryPoint: p.Value(FieldEntryPoint), Definition: p.Value(FieldDefinition), Trigger: p.Value(FieldTrigger),
		TriggerID: p.Value(FieldTriggerID), Runner: p.Value(FieldRunner), Environment: p.Value(FieldEnvironment),
		Namespace: p.Value(FieldNamespace), ServiceAccount: p.Value(FieldServiceAccount), Run: p.Value(FieldRun), Hermetic: p.Value(FieldHermetic),

		SaidBy: make(map[Field]Grade, len(p.Claims)), Format: p.Format, BuildType: p.BuildType, Level: int(level),
		Inputs: p.Inputs, Reported: p.Reported, Tasks: p.Tasks,
		Signer: NewSignerFacts(a.Signer, by), SignedAt: a.Time(), Bundle: p.Bundle,
	}
	for field, claim := range p.Claims {
		f.SaidBy[field] = claim.By
	}
	if len(p.External) > 0 || len(p.Parameters) > 0 {
		f.Parameters = make(map[string]string, len(p.Parameters))
	}
	for _, parameter := range p.Parameters {
		if (parameter.Cut || parameter.Kind == "secret") && !slices.Contains(f.CutParameters, parameter.Name) {
			f.CutParameters = append(f.CutParameters, parameter.Name)
		}
		// Of a name that stands twice, such as a build argument and a label, no value hides the other.
		if other, twice := f.Parameters[parameter.Name]; twice && other != parameter.Value {
			parameter.Value = other + "\n" + parameter.Value
		}
		f.Parameters[parameter.Name] = parameter.Value
	}
	return f
}
