package oci

import (
	"stemma"
)

// Look says which image is looked at, and how far. It is plain data: whoever asks has put it together from what a
// policy set declares and needs.
type Look struct {
	Ref Reference

	// Name is what the image is called by services that keep attestations by name and digest: the canonical repository
	// of a mirror, or the name given to a layout. "": as in Ref.
	Name string

	// Index is the digest of an index, in the repository of Ref, that is said to list the manifest of Ref. Besides it,
	// a tag of Ref that has a digest, too, is asked for such an index. Evidence about an index that really lists the
	// manifest is found with it. "": none is said.
	Index stemma.Digest

	// Also are further repositories (canonical names) where evidence about the same digests may lie.
	Also []string

	// Sources are services besides registries that keep attestations by digest.
	Sources []Source

	// Want bounds the look. Nil looks at everything.
	Want *Want
}

// Want is what can be needed of an image. What it does not name, and is not hinted at only by what somebody wrote into
// a descriptor, is not fetched, and named in Found.NotFetched.
type Want struct {
	// Children wants the children of an index and evidence about them: those that one of Platforms takes and those that
	// may turn out to be, or all when there are none.
	Children  bool
	Platforms []stemma.Platform
	// Indexes wants evidence about an index that lists the manifest asked for.
	Indexes bool
	// Unsigned wants statements and SBOMs that nobody signed.
	Unsigned bool
}

// SourceKind is the protocol of a Source.
type SourceKind string

// The services that are known.
const (
	GitHubAttestations SourceKind = "github"            // GET /repos/OWNER/REPO/attestations/DIGEST of GitHub's API
	GitLabAttestations SourceKind = "gitlab"            // GET /projects/ID/attestations/DIGEST of GitLab's API
	ArtifactAnalysis   SourceKind = "artifact-analysis" // occurrences of Google Artifact Analysis
	Archivista         SourceKind = "archivista"        // in-toto's graph of attestations
)

// Source is one place at a service.
type Source struct {
	Kind SourceKind
	// Of is what is asked there: "acme/app" or "acme" (GitHub), "gitlab.example.com/group/project" (GitLab), the id of
	// a project (Artifact Analysis), or the URL of a server (Archivista).
	Of string
}

// Credential is what one registry or service is spoken to with. The zero value is nobody.
type Credential struct {
	Username     string
	Password     string
	RefreshToken string // OAuth2 refresh or identity token, exchanged for an access token at the registry's realm
	AccessToken  string // bearer token, sent as it is
}

// Exchange is one request and its answer, without anything secret.
type Exchange struct {
	Host   string // host[:port] that was spoken to
	Method string
	URL    string // without user, query and fragment
	Sent   string // scheme of the credential sent: "", "Basic", "Bearer", "token request"
	Status int    // 0: no answer
	Err    string // why there is no answer
}
