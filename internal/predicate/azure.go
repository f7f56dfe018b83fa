package predicate

import (
	"slices"
	"strings"

	"stemma"
)

// azure reads SLSA v0.2 as Azure Pipelines' users write it: no build type, the builder is the name of a service account,
// the configuration lies in a repository of Azure DevOps, and commits stand under "sha256". It reports false for what is
// none of it. Where another repository is among the materials, that is what was built, and the configuration is another's.
func (r *reader) azure(b build) bool {
	repository, ok := azureRepository(b.configSource.At("uri").Text())
	if !ok {
		return false
	}
	r.out.Known = "Azure Pipelines"
	r.builder(b.builderID)
	r.run(b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
	r.otherwise(stemma.FieldEntryPoint, b.entryPoint.Text(), r.grade, b.entryPoint.Pointer())
	r.undefinedParameters(b)
	r.report(stemma.InputGit)

	var others []candidate
	for _, c := range gitDependencies(b) {
		if c.repository != repository {
			others = append(others, c)
		}
	}
	where, commit := b.configSource.At("uri").Pointer(), ""
	for _, k := range b.configSource.At("digest").Elems() {
		if namesCommit(k.Name(), k.Text()) && stemma.IsCommit(k.Text()) {
			commit = k.Text()
		}
	}
	if len(others) == 0 {
		r.say(stemma.FieldRepository, repository, r.grade, where)
		r.digest(b.configSource.At("digest"), r.grade)
		return true
	}
	name := repository
	if commit != "" {
		name += "@" + commit
	}
	r.say(stemma.FieldDefinition, name, r.grade, where)
	r.only(others)
	return true
}

// azureRepository is the canonical name of a repository of Azure DevOps. The address that it shows for cloning names the
// organisation as the user: https://ORG@dev.azure.com/ORG/PROJECT/_git/REPOSITORY. Another user is not taken.
func azureRepository(uri string) (string, bool) {
	rest, ok := strings.CutPrefix(uri, "https://")
	authority, path, _ := strings.Cut(rest, "/")
	organisation, _, _ := strings.Cut(path, "/")
	if user, host, found := strings.Cut(authority, "@"); found {
		if user != organisation || host != "dev.azure.com" {
			return "", false
		}
		authority = host
	}
	repository, revision, err := stemma.ParseRepository("https://" + authority + "/" + path)
	if !ok || err != nil || revision != "" {
		return "", false
	}
	host, _, _ := strings.Cut(repository, "/")
	segments := strings.Split(repository, "/")
	i := slices.Index(segments, "_git")
	return repository, (host == "dev.azure.com" && (i == 2 || i == 3) || strings.HasSuffix(host, ".visualstudio.com") && (i == 1 || i == 2)) && len(segments) == i+2
}
