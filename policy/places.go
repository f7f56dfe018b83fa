package policy

import "stemma"

// Kinds of an EvidencePlace.
const (
	InRepository       = "repository"
	InGitHub           = "github"
	InGitLab           = "gitlab"
	InArtifactAnalysis = "artifact-analysis"
	InArchivista       = "archivista"
)

// EvidencePlace is one place besides an image's own repository where evidence about it may lie.
type EvidencePlace struct {
	Kind string
	Of   string
}

// Places lists the further places of evidence that the set declares for a repository.
func (s *Set) Places(repository string) []EvidencePlace { return nil }

// Canonical maps the repository of a mirror to the one that it mirrors.
func (s *Set) Canonical(repository string) (canonical string, mirrored bool) {
	return repository, false
}

// Needs is what a set can read of an image.
type Needs struct {
	Children  bool
	Platforms []stemma.Platform
	Indexes   bool
	Unsigned  bool
}

// Needs states what the set can read of an image.
func (s *Set) Needs(repository string, situation stemma.Situation) Needs {
	return Needs{Children: true, Indexes: true, Unsigned: true}
}
