package stemma

import "time"

// Component is something that a bill of materials names.
type Component struct {
	Name    string   `json:"name,omitempty"`
	Version string   `json:"version,omitempty"`
	PURL    string   `json:"purl,omitempty"` // package URL as written
	Digests []Digest `json:"digests,omitempty"`
}

// SBOM is the normal form of a software bill of materials: SPDX 2 and 3, CycloneDX.
type SBOM struct {
	Bundle  Digest    `json:"bundle"` // the Attestation or the Unsigned it was read from, or the file in an attached artifact
	Format  string    `json:"format"` // "SPDX 2.3", "CycloneDX 1.6"
	Name    string    `json:"name,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Tools   []string  `json:"tools,omitempty"`   // generators, "syft 1.18.0"
	Authors []string  `json:"authors,omitempty"` // persons and organisations
	// Subjects is what the document says it describes: of an image its digests and package URL.
	Subjects []Component `json:"subjects,omitempty"`
	// Bases are images that it names as ancestors of its subject.
	Bases []Component `json:"bases,omitempty"`
	// BaseImages are the same, by their canonical names as far as these can be told.
	BaseImages []Image `json:"baseImages,omitempty"`

	Packages []Component `json:"packages,omitempty"` // all other components, in order, at most MaxPackages
	Elements Elements    `json:"elements,omitzero"`
	Notes    []string    `json:"notes,omitempty"`
}

// Elements counts what a bill of materials says of its components (NTIA, minimum elements).
type Elements struct {
	Components    int `json:"components"`              // in the document
	Unnamed       int `json:"unnamed,omitempty"`       // without a name
	Unversioned   int `json:"unversioned,omitempty"`   // without a version
	Unsupplied    int `json:"unsupplied,omitempty"`    // without supplier, author or originator
	Unidentified  int `json:"unidentified,omitempty"`  // without package URL, CPE, SWID or digest
	Relationships int `json:"relationships,omitempty"` // relationships or dependencies among them
}

// MaxPackages is how many components of an SBOM are kept.
const MaxPackages = 200000

// Vulnerability is one finding of a scan.
type Vulnerability struct {
	ID       string `json:"id"`
	Severity string `json:"severity,omitempty"` // the worst that is said of it: critical, high, medium, low, negligible or unknown; lower case
	Package  string `json:"package,omitempty"`  // package URL, or name and version
	Fixed    string `json:"fixed,omitempty"`    // version that mends it
}

// Scan is a vulnerability scan that somebody attests.
type Scan struct {
	Bundle   Digest          `json:"bundle"`
	Scanner  string          `json:"scanner,omitempty"` // URI or name, and version
	Database time.Time       `json:"database,omitzero"` // when its database was last updated
	Finished time.Time       `json:"finished,omitzero"`
	Found    []Vulnerability `json:"found,omitempty"`
	Notes    []string        `json:"notes,omitempty"`
}

// Exploitability is what a VEX document says of one vulnerability in some products.
type Exploitability struct {
	IDs           []string `json:"ids"`                     // name and aliases
	Products      []string `json:"products,omitempty"`      // identifiers and package URLs of products and of components in them
	Digests       []Digest `json:"digests,omitempty"`       // digests of products
	Status        string   `json:"status"`                  // not_affected, affected, fixed, under_investigation
	Justification string   `json:"justification,omitempty"` // or impact statement
	// Time is when this was said: by the statement's own word, or else the document's. Of a document that was changed since it
	// was issued nobody knows which of its words are the new ones, so those that take a vulnerability out count as the old ones,
	// and all others as the new ones. Zero: nobody says when.
	Time time.Time `json:"time,omitzero"`
}

// VEX is a Vulnerability Exploitability eXchange document: OpenVEX, or CycloneDX with vulnerabilities.
type VEX struct {
	Bundle     Digest           `json:"bundle"`
	Format     string           `json:"format"` // "OpenVEX v0.2.0"
	Author     string           `json:"author,omitempty"`
	Time       time.Time        `json:"time,omitzero"` // of the document; each statement has its own
	Statements []Exploitability `json:"statements,omitempty"`
}

// VSA is a SLSA verification summary: what another verifier found.
type VSA struct {
	Bundle   Digest    `json:"bundle"`
	Verifier string    `json:"verifier"`           // verifier.id
	Time     time.Time `json:"time,omitzero"`      // timeVerified
	Resource string    `json:"resource,omitempty"` // resourceUri
	Policy   string    `json:"policy,omitempty"`   // policy.uri
	Result   string    `json:"result"`             // PASSED or FAILED, as written
	Levels   []string  `json:"levels,omitempty"`   // verifiedLevels: SLSA_BUILD_LEVEL_3, SLSA_SOURCE_LEVEL_2
	Commit   string    `json:"commit,omitempty"`   // of a summary about a source: the commit that it is about
}
