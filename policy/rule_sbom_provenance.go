package policy

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"stemma"
)

func sbomBase() Rule {
	return read(Rule{
		ID:       "sbom.base",
		Title:    "bill of materials and provenance name different base images",
		Why:      "Where the two disagree about what the image stands on, one of them is about another build, or somebody exchanged the base.",
		Fix:      "find out on which base the image was built; make the SBOM of the image that was pushed",
		Since:    "0.1",
		Controls: []string{"CM-8", "SR-4(4)"},
	})
}

// checkBase asks that a base image of the SBOM is one of those that went into the build.
func checkBase(_ *judgement, b *bill, c *candidate) result {
	var bases, inputs []stemma.Digest
	for _, base := range b.sbom.Bases {
		bases = append(bases, digestsOf(base)...)
	}
	for i := range standsOn(c.provenance.Inputs) {
		inputs = append(inputs, inputDigests(i)...)
	}
	for _, d := range bases {
		if slices.Contains(inputs, d) {
			return pass(string(d), b.sbom.Bundle, c.provenance.Bundle)
		}
	}
	r := result{
		outcome: stemma.Fail, reason: stemma.ReasonNotStated, got: "SBOM: " + digestList(bases), want: "provenance: " + digestList(inputs),
		proof: proof(b.attestation), path: "sbom.consistentWith",
	}
	if len(bases) > 0 && len(inputs) > 0 {
		r.reason = stemma.ReasonInconsistent
	}
	return r
}

// standsOn are the inputs that the image can stand on: what the builder calls its base or, where it calls none so, every
// image that it does not call something else.
func standsOn(inputs []stemma.Input) iter.Seq[*stemma.Input] {
	is := func(i *stemma.Input, role stemma.InputRole) bool {
		return i.Kind == stemma.InputImage && i.Role == role
	}
	return func(yield func(*stemma.Input) bool) {
		role := stemma.InputRole("")
		for i := range inputs {
			if is(&inputs[i], stemma.RoleBase) {
				role = stemma.RoleBase
			}
		}
		for i := range inputs {
			if is(&inputs[i], role) && !yield(&inputs[i]) {
				return
			}
		}
	}
}

func inputDigests(i *stemma.Input) []stemma.Digest {
	var out []stemma.Digest
	for alg, v := range i.Digest {
		if !stemma.AcceptedAlgorithm(alg) {
			continue
		}
		if d, err := stemma.NewDigest(alg, v); err == nil {
			out = append(out, d)
		}
	}
	slices.Sort(out)
	return out
}

func digestList(digests []stemma.Digest) string {
	if len(digests) == 0 {
		return "no base image by digest"
	}
	var out []string
	for _, d := range digests {
		out = append(out, string(d))
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if more := len(out) - 3; more > 0 {
		out = append(out[:3], count(more, "more"))
	}
	return "base " + strings.Join(out, " or ")
}

func sbomPackages() Rule {
	return read(Rule{
		ID:       "sbom.packages",
		Title:    "bill of materials and provenance name different dependencies",
		Why:      "What went into the build and is not on the list was left out of it, and what is on the list and went into no build came from elsewhere.",
		Fix:      "make the SBOM of the image that this provenance is about; a dependency that it lacks was hidden or removed",
		Since:    "0.1",
		Controls: []string{"CM-8", "SR-4(4)"},
	})
}

// checkPackages compares what the builder names as inputs with what the SBOM names as components, by package URL.
// Packages are compared with their version. Images are compared by digest and repositories by commit, where the SBOM names
// any of their kind; not those that are only tools of the build. The reverse holds of packages alone, and only where the
// builder names all of them and the image stands on no other, whose packages no builder names.
func checkPackages(_ *judgement, b *bill, c *candidate) result {
	if b.names == nil {
		b.names = readNames(b.sbom)
	}
	in, p := b.names, c.provenance
	var differ []string
	own := map[string]bool{} // packages of the provenance
	compared, unclear := 0, 0
	for k := range p.Inputs {
		i := &p.Inputs[k]
		switch i.Kind {
		case stemma.InputPackage:
			pkg, ok := inputPURL(i)
			if !ok {
				unclear++
				continue
			}
			compared++
			own[pkg.name], own[pkg.String()] = true, true
			if !in.packages[pkg.String()] {
				differ = append(differ, pkg.String()+": in the provenance ("+i.Where+"), not in the SBOM")
			}
		case stemma.InputImage:
			digests := inputDigests(i)
			if len(in.images) == 0 || i.Role != stemma.RoleBase && i.Role != "" {
				continue
			}
			if len(digests) == 0 {
				unclear++
				continue
			}
			compared++
			if !slices.ContainsFunc(digests, func(d stemma.Digest) bool { return in.images[d] }) {
				differ = append(differ, i.Canonical+"@"+string(digests[0])+": in the provenance ("+i.Where+"), not in the SBOM")
			}
		case stemma.InputGit:
			if len(in.repositories) == 0 || i.Role != "" || i.Canonical == "" || i.Canonical == p.Value(stemma.FieldRepository) {
				continue
			}
			compared++
			if !slices.ContainsFunc(revisions(i), func(r string) bool { return in.repositories[i.Canonical+"@"+r] }) {
				differ = append(differ, i.Canonical+" "+quoteEmpty(i.Version)+": in the provenance ("+i.Where+"), not in the SBOM")
			}
		}
	}
	reverse := p.Reported[stemma.InputPackage] == stemma.ReportedAll
	for range standsOn(p.Inputs) {
		reverse = false
	}
	if reverse {
		for name := range in.packages {
			if !own[name] {
				differ = append(differ, name+": in the SBOM, not in the provenance")
			}
		}
	}
	return in.compare(b, c, differ, compared, unclear, reverse)
}

// compare makes the result of a comparison.
func (in *named) compare(b *bill, c *candidate, differ []string, compared, unclear int, reverse bool) result {
	if len(differ) == 0 && compared > 0 && unclear == 0 {
		r := pass(fmt.Sprintf("all that the provenance names and an SBOM can is in it: %d", compared), b.sbom.Bundle, c.provenance.Bundle)
		if !reverse {
			r.detail = "what the SBOM names besides was not compared: the builder does not name all packages, or they may come with a base image"
		}
		return r
	}
	r := result{
		outcome: stemma.Fail, reason: stemma.ReasonInconsistent, want: "the same dependencies in the SBOM and in the provenance",
		proof: proof(b.attestation), path: "sbom.consistentWith",
	}
	switch {
	case len(differ) > 0 && in.cut:
		r.outcome, r.reason, r.detail = stemma.Unknown, stemma.ReasonTruncated, fmt.Sprintf("only the first %d components of the SBOM are compared", stemma.MaxPackages)
	case len(differ) > 0:
		r.items = itemised(differ)
		r.got = count(len(differ), "difference")
	default:
		// Nothing to compare is no agreement (GHSA-vmvj), and no fault of the image either.
		r.outcome, r.reason, r.advisory = stemma.Unknown, stemma.ReasonUnreported, true
		r.got = "the provenance names no dependency that an SBOM could name"
		if unclear > 0 {
			r.got = fmt.Sprintf("%d dependencies agree, and %d of the provenance cannot be compared", compared, unclear)
		}
		r.detail = "provenance by " + describe(c.attestation.Signer) + " was compared with " + count(len(b.sbom.Packages), "component")
		r.fix = "build with a builder that names its packages, or take provenance out of sbom.consistentWith"
	}
	return r
}

// named is what an SBOM names by package URL.
type named struct {
	packages     map[string]bool // with version, and images and repositories not among them
	images       map[stemma.Digest]bool
	repositories map[string]bool // "github.com/acme/lib@v1.2"
	cut          bool            // it has more components than are kept
}

func readNames(s *stemma.SBOM) *named {
	n := &named{
		packages: map[string]bool{}, images: map[stemma.Digest]bool{}, repositories: map[string]bool{},
		cut: len(s.Packages) >= stemma.MaxPackages,
	}
	for _, b := range s.Bases {
		for _, d := range digestsOf(b) {
			n.images[d] = true
		}
	}
	for _, c := range s.Packages {
		p, ok := parsePURL(c.PURL)
		switch {
		case !ok:
		case p.isImage():
			for _, d := range digestsOf(c) {
				n.images[d] = true
			}
		case host(p.kind) != "":
			if repository, err := stemma.CanonicalRepository(host(p.kind) + strings.TrimPrefix(p.name, "pkg:"+p.kind)); err == nil {
				n.repositories[repository+"@"+p.version] = true
			}
		default:
			n.packages[p.String()] = true
		}
	}
	return n
}

// host is where the repositories of a type of package URL lie, or "".
func host(kind string) string {
	switch kind {
	case "github", "gitlab":
		return kind + ".com"
	case "bitbucket":
		return "bitbucket.org"
	}
	return ""
}

// inputPURL is the package URL of an input, with its version.
func inputPURL(i *stemma.Input) (packageURL, bool) {
	p, ok := parsePURL(i.Canonical)
	if !ok {
		if p, ok = parsePURL(i.URI); !ok {
			return p, false
		}
	}
	if p.version == "" {
		p.version = i.Version
	}
	if q, ok := parsePURL(i.URI); ok && p.version == "" && q.name == p.name {
		p.version = q.version
	}
	return p, true
}

// revisions are the ways in which an SBOM can name the revision of a repository that is an input.
func revisions(i *stemma.Input) []string {
	out := []string{i.Version, strings.TrimPrefix(strings.TrimPrefix(i.Version, "refs/tags/"), "refs/heads/")}
	for _, alg := range []string{"gitCommit", "sha1", "sha256"} {
		out = append(out, i.Digest[alg])
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}
