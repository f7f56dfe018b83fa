package stemma

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// Raw is one piece of possible evidence as it was found: bytes that nobody has verified. It carries no claim.
type Raw struct {
	Format      Format            // what the bytes are taken to be
	Data        []byte            // bundle, envelope, payload or statement
	Annotations map[string]string // annotations of the layer (cosign keeps signature, certificate and log entry there)
	Place       string            // where it was found, for people: "referrers", "tag sha256-….att", "file x.json"
	Of          Digest            // the manifest it is filed under
	Sealed      bool              // reachable by digest from the image itself, so the image's digest covers it
}

// Format is the form of a Raw.
type Format string

// The forms of evidence.
const (
	FormatBundle        Format = "sigstore-bundle"       // Sigstore bundle v0.1, v0.2 or v0.3, JSON
	FormatDSSE          Format = "dsse"                  // DSSE envelope; with cosign's annotations beside it, or bare
	FormatSimpleSigning Format = "cosign-simple-signing" // payload of a cosign .sig layer, the signature in its annotations
	FormatStatement     Format = "in-toto-statement"     // bare statement, signed by nobody (BuildKit)
)

// ID is the digest under which the piece is cited: the sha256 of Data, or, where annotations carry a part of it, of
// Data and all annotations, each preceded by its length.
func (r Raw) ID() Digest {
	// What is hashed with lengths begins with a zero byte, since no length reaches 2^56. Data that begins so is hashed
	// with its length, too; otherwise it could be made of another piece's data and annotations, and take its ID.
	if len(r.Annotations) == 0 && (len(r.Data) == 0 || r.Data[0] != 0) {
		return SHA256(r.Data)
	}
	var b []byte
	put := func(s string) { b = append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...) }
	put(string(r.Data))
	for _, k := range slices.Sorted(maps.Keys(r.Annotations)) {
		put(k)
		put(r.Annotations[k])
	}
	return SHA256(b)
}

// Identity is who signed. Either Issuer and Subject are set (a Fulcio certificate) or KeyID is (a managed key).
type Identity struct {
	Trust   string            `json:"trust"`             // the trust domain under which it was verified
	Issuer  string            `json:"issuer,omitempty"`  // OIDC issuer, Fulcio extension .8 (or .1)
	Subject string            `json:"subject,omitempty"` // the certificate's only subject alternative name
	Claims  map[string]string `json:"claims,omitempty"`  // Fulcio extensions by the names of Claim… constants
	KeyID   string            `json:"keyID,omitempty"`   // the name the trust domain gives the key
	Key     Digest            `json:"key"`               // sha256 of the public key (SubjectPublicKeyInfo, DER)
}

// Names of Fulcio certificate extensions (1.3.6.1.4.1.57264.1.N), as in Identity.Claims.
const (
	ClaimBuildSignerURI        = "buildSignerURI"                      // .9
	ClaimBuildSignerDigest     = "buildSignerDigest"                   // .10
	ClaimRunnerEnvironment     = "runnerEnvironment"                   // .11
	ClaimSourceRepositoryURI   = "sourceRepositoryURI"                 // .12
	ClaimSourceRepositoryHash  = "sourceRepositoryDigest"              // .13
	ClaimSourceRepositoryRef   = "sourceRepositoryRef"                 // .14
	ClaimSourceRepositoryID    = "sourceRepositoryIdentifier"          // .15
	ClaimSourceOwnerURI        = "sourceRepositoryOwnerURI"            // .16
	ClaimSourceOwnerID         = "sourceRepositoryOwnerIdentifier"     // .17
	ClaimBuildConfigURI        = "buildConfigURI"                      // .18
	ClaimBuildConfigDigest     = "buildConfigDigest"                   // .19
	ClaimBuildTrigger          = "buildTrigger"                        // .20
	ClaimRunInvocationURI      = "runInvocationURI"                    // .21
	ClaimRepositoryVisibility  = "sourceRepositoryVisibilityAtSigning" // .22
	ClaimDeploymentEnvironment = "deploymentEnvironment"               // .23
	ClaimTokenSubject          = "tokenSubject"                        // .24

	// Deprecated extensions of GitHub only, the sole ones in certificates issued before 2023.
	ClaimGitHubTrigger    = "githubWorkflowTrigger"    // .2
	ClaimGitHubSHA        = "githubWorkflowSHA"        // .3
	ClaimGitHubName       = "githubWorkflowName"       // .4
	ClaimGitHubRepository = "githubWorkflowRepository" // .5, owner/name without host
	ClaimGitHubRef        = "githubWorkflowRef"        // .6
)

// String names the identity for people.
func (i Identity) String() string {
	if i.KeyID != "" {
		return "key " + i.KeyID
	}
	return i.Subject
}

// LogEntry is a verified entry of a transparency log.
type LogEntry struct {
	Log   string    `json:"log"`           // host or URL of the log
	Index int64     `json:"index"`         // position in the log
	Kind  string    `json:"kind"`          // kind and version of the entry, "dsse 0.0.1"
	Time  time.Time `json:"time,omitzero"` // integrated time, when the log signs one
	Proof string    `json:"proof"`         // "promise", "inclusion" or "promise+inclusion"
}

// SignedTime is a proven signing time and who proves it.
type SignedTime struct {
	Time time.Time `json:"time"`
	By   string    `json:"by"`             // "log" or "timestamp"
	From string    `json:"from,omitempty"` // URL of the log or authority
}

// BindingKind is how evidence is tied to an image.
type BindingKind string

// Ways in which verified evidence is bound to the image it is filed under. Anything else is a Rejection.
const (
	BindingExact     BindingKind = "exact"      // the subject is this very digest
	BindingViaIndex  BindingKind = "via-index"  // the subject is an index whose bytes list this very digest
	BindingViaConfig BindingKind = "via-config" // the subject is the config that this manifest names
	// BindingSource is no tie to the image: the subject is the commit that its provenance names (a source VSA). Nothing
	// that is said of the image rests on it.
	BindingSource      BindingKind = "source"
	BindingViaManifest BindingKind = "via-attestation-manifest" // a statement about this very digest, in an attestation manifest that is signed as a whole
)

// Binding is the proof that evidence is about an image.
type Binding struct {
	Kind    BindingKind        `json:"kind"`
	Member  Digest             `json:"member"`           // the member of the image's family that matched: the manifest itself, its index or its config
	Via     Digest             `json:"via,omitempty"`    // the attestation manifest that the signature is over
	Subject ResourceDescriptor `json:"subject,omitzero"` // the subject that matched; zero for a signature over the manifest itself
}

// Attestation is verified evidence: its signature, signer, log entries, time and binding hold under one trust domain.
// Only the authenticator makes one.
type Attestation struct {
	Bundle    Digest       `json:"bundle"`              // ID of the Raw it came from
	Format    string       `json:"format"`              // form and version: "sigstore-bundle v0.3", "cosign dsse"
	Place     string       `json:"place"`               // where it was found
	Signature bool         `json:"signature,omitempty"` // signs the image itself, and states nothing about it
	Statement Statement    `json:"statement,omitzero"`
	Signer    Identity     `json:"signer"`
	Cosigners []Identity   `json:"cosigners,omitempty"` // further distinct signers of the same envelope
	Log       []LogEntry   `json:"log,omitempty"`
	SignedAt  []SignedTime `json:"signedAt,omitempty"`
	Binding   Binding      `json:"binding"`
}

// Time is the earliest proven signing time, or zero.
func (a Attestation) Time() time.Time {
	var t time.Time
	for _, s := range a.SignedAt {
		if t.IsZero() || s.Time.Before(t) {
			t = s.Time
		}
	}
	return t
}

// Rejection is a piece that looked like evidence and did not hold.
type Rejection struct {
	Bundle Digest `json:"bundle"`
	Format string `json:"format"`
	Place  string `json:"place"`
	Reason Reason `json:"reason"`
	Detail string `json:"detail"`           // one sentence; may quote the evidence, so it passes through Printable when shown
	Signer string `json:"signer,omitempty"` // whom the piece names as its signer, unproven
}

// Unavailable is a place that could not be looked at, or a trust domain that could not be loaded.
type Unavailable struct {
	Place  string `json:"place"`
	Reason Reason `json:"reason"`
	Detail string `json:"detail"`
}

// Place is one place where evidence may lie, and what it answered.
type Place struct {
	Name   string `json:"name"`         // "referrers", "fallback tag", ".att tag", "index children", "file …", "GitHub attestations of acme/app"
	In     string `json:"in,omitempty"` // the repository, where it is not the one that the image was read from
	Of     Digest `json:"of"`           // whose evidence was asked for
	Answer string `json:"answer"`       // "200", "404", "not asked (…)"
	Found  int    `json:"found"`        // pieces of possible evidence
}

// Unsigned is a statement that no signature covers by itself. When Sealed, the image's digest covers its bytes, so it
// cannot be exchanged without changing the image; it is still said by nobody.
type Unsigned struct {
	Bundle     Digest      `json:"bundle"`
	Place      string      `json:"place"`
	Sealed     bool        `json:"sealed"`
	Statement  Statement   `json:"statement"`
	Bound      bool        `json:"bound"` // its subject is the manifest it is filed under
	Provenance *Provenance `json:"provenance,omitempty"`
	SBOM       *SBOM       `json:"sbom,omitempty"`
	VEX        *VEX        `json:"vex,omitempty"`
	Scan       *Scan       `json:"scan,omitempty"`
}

// TrustRef names a trust domain in force and the digest of its material and requirements.
type TrustRef struct {
	Name   string `json:"name"`
	Digest Digest `json:"digest"`
}

// Evidence is everything that was found about one manifest, and, for an index, about each of its children. It is
// plain data: verified and unverified in different fields.
type Evidence struct {
	Image        Image    `json:"image"`
	From         string   `json:"from,omitempty"` // the repository that was read, where it is a mirror of Image.Repository
	MediaType    string   `json:"mediaType"`
	ArtifactType string   `json:"artifactType,omitempty"`
	Platform     Platform `json:"platform,omitzero"`
	Attestation  bool     `json:"attestationManifest,omitempty"` // a BuildKit attestation manifest, not something that runs
	Config       Digest   `json:"config,omitempty"`              // the config that the manifest names
	Indexes      []Digest `json:"indexes,omitempty"`             // indexes whose bytes were read and list this manifest

	Attestations []Attestation `json:"attestations,omitempty"`
	Provenance   []Provenance  `json:"provenance,omitempty"` // of Attestations
	SBOMs        []SBOM        `json:"sboms,omitempty"`      // of Attestations; of an attached artifact, its files
	Scans        []Scan        `json:"scans,omitempty"`
	VEX          []VEX         `json:"vex,omitempty"`
	Other        []Provenance  `json:"other,omitempty"`     // of signed statements of types that no reader knows: by whom they are said and what the certificate says, for builders of one's own
	Summaries    []VSA         `json:"summaries,omitempty"` // about this manifest, or about the source that its provenance names
	Unsigned     []Unsigned    `json:"unsigned,omitempty"`
	Hints        []Provenance  `json:"hints,omitempty"` // what builders wrote into annotations and labels of the image itself (ko, buildpacks): nobody signs it, and no rule looks at it
	Rejected     []Rejection   `json:"rejected,omitempty"`
	Unavailable  []Unavailable `json:"unavailable,omitempty"`
	Places       []Place       `json:"places,omitempty"`

	NotFetched []string `json:"notFetched,omitempty"` // what was seen to exist and left alone, because no policy can need it

	Stack *Stack   `json:"stack,omitempty"` // layers, where what the image stands on was looked for
	Base  *Lineage `json:"base,omitempty"`  // and what that is

	Platforms   []*Evidence `json:"platforms,omitempty"` // children of an index, in its order
	Attached    []*Evidence `json:"attached,omitempty"`  // manifests about this one that are no evidence by themselves (an SBOM as a file, unsigned statements), with what is about them
	Trust       []TrustRef  `json:"trust,omitempty"`
	CollectedAt time.Time   `json:"collectedAt"`
}
