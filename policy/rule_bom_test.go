package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stemma"
)

const (
	reviewType = "https://acme.example/image-review/v1"
	spdxType   = "https://spdx.dev/Document"
)

// bomPolicy asks for everything that equip adds to F0.
const bomPolicy = keySet + f0Policy + `  signers:
    scanner: {trust: acme-kms, keys: [review]}
    vendor: {trust: acme-kms, keys: [release]}
  sbom: {by: [release, vendor], formats: [spdx], maxAge: 90d, generators: [syft, Trivy], consistentWith: [image, provenance, base], elements: ntia}
  vulnerabilities: {by: [scanner, vendor], maxAge: 7d, none: [critical, high], vex: [vendor]}
  attestations:
    - {type: "https://acme.example/image-review/v1", by: [vendor, scanner], maxAge: 30d, values: {/result: [accepted], /by/0/score: [5, 6]}}
`

func hours(n int) time.Time { return now().At.Add(-time.Duration(n) * time.Hour) }

// about makes an attestation of any type about the image.
func about(name, kind string, signer stemma.Identity, predicate string) stemma.Attestation {
	a := attest(name, signer)
	a.Statement.PredicateType, a.Statement.Predicate = kind, json.RawMessage(predicate)
	return a
}

func materials(name string) stemma.SBOM {
	return stemma.SBOM{
		Bundle: digest(name), Format: "SPDX 2.3", Created: hours(13), Tools: []string{"syft 1.18.0"}, Authors: []string{"Acme"},
		Subjects: []stemma.Component{{Name: "app", Digests: []stemma.Digest{imageDigest()}}},
		Bases:    []stemma.Component{{Name: "debian", PURL: "pkg:oci/debian@" + string(digest("base")) + "?repository_url=docker.io/library/debian"}},
		Packages: []stemma.Component{
			{Name: "lib", Version: "1.2.3", PURL: "pkg:npm/%40acme/lib@1.2.3"},
			{Name: "openssl", Version: "3.0", PURL: "pkg:deb/debian/openssl@3.0?arch=amd64"},
		},
		Elements: stemma.Elements{Components: 2, Relationships: 2},
	}
}

func addSBOM(e *stemma.Evidence, name string, signer stemma.Identity, changes ...func(*stemma.Attestation, *stemma.SBOM)) {
	a, s := about(name, spdxType, signer, `{}`), materials(name)
	for _, c := range changes {
		c(&a, &s)
	}
	e.Attestations, e.SBOMs = append(e.Attestations, a), append(e.SBOMs, s)
}

func addScan(e *stemma.Evidence, name string, signer stemma.Identity, changes ...func(*stemma.Attestation, *stemma.Scan)) {
	a := about(name, "https://cosign.sigstore.dev/attestation/vuln/v1", signer, `{}`)
	s := stemma.Scan{Bundle: digest(name), Scanner: "trivy 0.60.0", Finished: hours(13), Database: hours(20), Found: []stemma.Vulnerability{{ID: "CVE-2026-1", Severity: "low", Package: "pkg:npm/%40acme/lib@1.2.3"}}}
	for _, c := range changes {
		c(&a, &s)
	}
	e.Attestations, e.Scans = append(e.Attestations, a), append(e.Scans, s)
}

// addVEX adds a document whose statements have the document's time, but for those that have their own.
func addVEX(e *stemma.Evidence, name string, signer stemma.Identity, at time.Time, s ...stemma.Exploitability) {
	s = slices.Clone(s)
	for i := range s {
		if s[i].Time.IsZero() {
			s[i].Time = at
		}
	}
	e.Attestations = append(e.Attestations, about(name, "https://openvex.dev/ns", signer, `{}`))
	e.VEX = append(e.VEX, stemma.VEX{Bundle: digest(name), Format: "OpenVEX v0.2.0", Time: at, Statements: s})
}

func addReview(e *stemma.Evidence, name string, signer stemma.Identity, predicate string) {
	e.Attestations = append(e.Attestations, about(name, reviewType, signer, predicate))
}

const accepted = `{"result":"accepted","by":[{"score":5}]}`

func scanner() stemma.Identity { return keySigner("acme-kms", "review") }
func vendor() stemma.Identity  { return keySigner("acme-kms", "release") }

// dependencies makes the provenance name a base and a package.
func dependencies(e *stemma.Evidence) {
	e.Provenance[0].Inputs = []stemma.Input{
		dependency(stemma.InputImage, "docker.io/library/debian", "12", map[string]string{"sha256": digest("base").Hex()}, stemma.RoleBase),
		dependency(stemma.InputImage, "docker.io/library/node", "22", map[string]string{"sha256": digest("stage").Hex()}, stemma.RoleStage),
		dependency(stemma.InputPackage, "pkg:npm/%40acme/lib", "1.2.3", nil, ""),
	}
}

func dependency(kind stemma.InputKind, canonical, version string, digests map[string]string, role stemma.InputRole) stemma.Input {
	return stemma.Input{ResourceDescriptor: stemma.ResourceDescriptor{Digest: digests}, Kind: kind, Canonical: canonical, Version: version, Role: role, By: stemma.SaidByBuilder, Where: "/dependencies"}
}

// equip adds to F0 what bomPolicy asks for.
func equip(e *stemma.Evidence) {
	dependencies(e)
	addSBOM(e, "sbom", githubSigner(trustedSAN))
	addScan(e, "scan", scanner())
	addReview(e, "review", vendor(), accepted)
}

// sbom and scan change the one that there is.
func sbom(change func(*stemma.SBOM)) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) { change(&e.SBOMs[0]) }
}

func scan(change func(*stemma.Scan)) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) { change(&e.Scans[0]) }
}

// piece changes the attestation of a piece of evidence, and minus takes it away.
func piece(name string, change func(*stemma.Attestation)) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		i := slices.IndexFunc(e.Attestations, func(a stemma.Attestation) bool { return a.Bundle == digest(name) })
		change(&e.Attestations[i])
	}
}

func minus(name string) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		e.Attestations = slices.DeleteFunc(e.Attestations, func(a stemma.Attestation) bool { return a.Bundle == digest(name) })
	}
}

func silent(e *stemma.Evidence) { e.Unavailable = []stemma.Unavailable{away()} }

func found(vs ...stemma.Vulnerability) func(*stemma.Evidence) {
	return scan(func(s *stemma.Scan) { s.Found = append(s.Found, vs...) })
}

func critical(id string) stemma.Vulnerability {
	return stemma.Vulnerability{ID: id, Severity: "critical", Package: "pkg:deb/debian/openssl@3.0?arch=amd64", Fixed: "3.1"}
}

func bomRuleCases() []ruleCase {
	const pass, fail, unknown = stemma.Pass, stemma.Fail, stemma.Unknown
	var cases []ruleCase
	add := func(rule string, outcome stemma.Outcome, reason stemma.Reason, changes ...func(*stemma.Evidence)) {
		cases = append(cases, ruleCase{rule: rule, outcome: outcome, reason: reason, policy: bomPolicy, changes: append([]func(*stemma.Evidence){equip}, changes...)})
	}
	stranger := func(a *stemma.Attestation) { a.Signer = keySigner("acme-kms", "intern") }
	old := func(days int) func(*stemma.Attestation) {
		return func(a *stemma.Attestation) { a.SignedAt[0].Time = now().At.AddDate(0, 0, -days) }
	}
	timeless := func(a *stemma.Attestation) { a.SignedAt = nil }
	for _, r := range bomRules() {
		if r.ID != "sbom.whole" {
			add(r.ID, pass, "")
		}
		if r.ID != "sbom.whole" && r.ID != "sbom.base" && r.ID != "sbom.packages" {
			name := map[bool]string{true: "sbom", false: "scan"}[strings.HasPrefix(r.ID, "sbom")]
			if r.ID == "attestations.present" {
				name = "review"
			}
			add(r.ID, unknown, stemma.ReasonRateLimited, minus(name), silent)
		}
	}

	add("sbom.present", fail, stemma.ReasonNoSBOM, minus("sbom"))
	add("sbom.present", fail, stemma.ReasonSigner, piece("sbom", stranger))
	add("sbom.present", fail, stemma.ReasonFormat, sbom(func(s *stemma.SBOM) { s.Format = "CycloneDX 1.6" }))
	add("sbom.present", fail, stemma.ReasonAge, piece("sbom", old(91)))
	add("sbom.present", pass, "", piece("sbom", old(90)))
	add("sbom.present", unknown, stemma.ReasonNoTime, piece("sbom", timeless))
	add("sbom.present", fail, stemma.ReasonNoSBOM, piece("sbom", func(a *stemma.Attestation) { a.Binding.Member = digest("other") }))
	add("sbom.present", fail, stemma.ReasonNoSBOM, piece("sbom", func(a *stemma.Attestation) { a.Signature = true }))

	add("sbom.generator", fail, stemma.ReasonValue, sbom(func(s *stemma.SBOM) { s.Tools = []string{"syft2 1.0", "my syft", "syft-like 1.0"} }))
	add("sbom.generator", fail, stemma.ReasonNotStated, sbom(func(s *stemma.SBOM) { s.Tools = nil }))
	add("sbom.generator", pass, "", sbom(func(s *stemma.SBOM) { s.Tools = []string{"x", "trivy-0.60.0"} }))
	add("sbom.generator", fail, stemma.ReasonNoSBOM, minus("sbom"))
	add("sbom.generator", fail, stemma.ReasonSigner, piece("sbom", stranger), sbom(func(s *stemma.SBOM) { s.Tools = nil }))

	subject := func(c ...stemma.Component) func(*stemma.Evidence) {
		return sbom(func(s *stemma.SBOM) { s.Subjects = c })
	}
	other := string(digest("other"))
	add("sbom.subject", fail, stemma.ReasonInconsistent, subject(stemma.Component{Digests: []stemma.Digest{digest("other")}}))
	add("sbom.subject", fail, stemma.ReasonInconsistent, subject(materials("x").Subjects[0], stemma.Component{PURL: "pkg:oci/app@" + other}))
	add("sbom.subject", fail, stemma.ReasonNotStated, subject(stemma.Component{Name: "app", Version: "2.0", PURL: "pkg:npm/app@2.0"}))
	add("sbom.subject", fail, stemma.ReasonNotStated, subject())
	add("sbom.subject", pass, "", subject(stemma.Component{Version: string(imageDigest())}, stemma.Component{Name: "a file"}))
	add("sbom.subject", pass, "", subject(stemma.Component{PURL: "pkg:oci/app@" + strings.Replace(string(imageDigest()), ":", "%3A", 1)}))
	add("sbom.subject", pass, "", subject(stemma.Component{Digests: []stemma.Digest{digest("config")}}), func(e *stemma.Evidence) { e.Config = digest("config") })
	add("sbom.subject", pass, "", subject(stemma.Component{Digests: []stemma.Digest{digest("index")}}), func(e *stemma.Evidence) { e.Indexes = []stemma.Digest{digest("index")} })

	builtFrom := func(in ...stemma.Input) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) { e.Provenance[0].Inputs = in }
	}
	image := func(name string, role stemma.InputRole) stemma.Input {
		return dependency(stemma.InputImage, "docker.io/library/debian", "12", map[string]string{"sha256": digest(name).Hex()}, role)
	}
	add("sbom.base", fail, stemma.ReasonInconsistent, builtFrom(image("other", stemma.RoleBase), image("base", stemma.RoleStage), image("base", "")))
	add("sbom.base", fail, stemma.ReasonNotStated, builtFrom(image("base", stemma.RoleStage), image("base", stemma.RoleBuilder)))
	add("sbom.base", fail, stemma.ReasonNotStated, sbom(func(s *stemma.SBOM) { s.Bases = nil }))
	add("sbom.base", fail, stemma.ReasonNotStated, sbom(func(s *stemma.SBOM) { s.Bases = []stemma.Component{{Name: "debian", Version: "12"}} }))
	add("sbom.base", pass, "", builtFrom(image("other", ""), image("base", "")))
	add("sbom.base", fail, stemma.ReasonNoProvenance, func(e *stemma.Evidence) { e.Provenance = nil })
	add("sbom.base", fail, stemma.ReasonNoProvenance, san("https://github.com/acme/app/.github/workflows/x.yml@refs/tags/v1.2.3"), piece("sbom", func(a *stemma.Attestation) { a.Signer = vendor() }))
	add("sbom.base", unknown, stemma.ReasonRateLimited, func(e *stemma.Evidence) { e.Provenance = nil }, silent)

	pkg := func(name, version string) stemma.Input {
		return dependency(stemma.InputPackage, name, version, nil, "")
	}
	base := image("base", stemma.RoleBase)
	all := func(e *stemma.Evidence) {
		e.Provenance[0].Reported = map[stemma.InputKind]stemma.Reported{stemma.InputPackage: stemma.ReportedAll}
	}
	add("sbom.packages", fail, stemma.ReasonInconsistent, builtFrom(base, pkg("pkg:npm/%40acme/lib", "1.2.4")))
	add("sbom.packages", fail, stemma.ReasonInconsistent, builtFrom(base, pkg("pkg:npm/%40acme/lib", "1.2.3"), pkg("pkg:npm/hidden", "1.0")))
	add("sbom.packages", fail, stemma.ReasonInconsistent, builtFrom(image("other", "")))
	add("sbom.packages", pass, "", all) // what it names besides may come with the base
	add("sbom.packages", pass, "", func(e *stemma.Evidence) {
		source := dependency(stemma.InputGit, "github.com/acme/app", "main", map[string]string{"gitCommit": commitOfSource}, "")
		e.Provenance[0].Inputs = append(e.Provenance[0].Inputs, source)
		e.SBOMs[0].Packages = append(e.SBOMs[0].Packages, stemma.Component{PURL: "pkg:github/actions/checkout@v4"})
	})
	add("sbom.packages", fail, stemma.ReasonInconsistent, builtFrom(pkg("pkg:npm/%40acme/lib", "1.2.3")), all)
	add("sbom.packages", pass, "", builtFrom(pkg("pkg:npm/@acme/lib", "1.2.3"), pkg("pkg:deb/Debian/openssl", "3.0")), all)
	add("sbom.packages", fail, stemma.ReasonInconsistent, builtFrom(pkg("pkg:npm/%40acme/lib", "1.2.3"), dependency(stemma.InputGit, "github.com/acme/dep", "v1", map[string]string{"gitCommit": commitOfSource}, "")),
		sbom(func(s *stemma.SBOM) {
			s.Packages = append(s.Packages, stemma.Component{PURL: "pkg:github/acme/dep@" + commitOfBuilder})
		}))
	add("sbom.packages", pass, "", builtFrom(pkg("pkg:npm/%40acme/lib", "1.2.3"), dependency(stemma.InputGit, "github.com/acme/dep", "refs/tags/v1", map[string]string{"gitCommit": commitOfSource}, "")),
		sbom(func(s *stemma.SBOM) {
			s.Packages = append(s.Packages, stemma.Component{PURL: "pkg:github/ACME/dep@v1"})
		}))
	add("sbom.packages", unknown, stemma.ReasonTruncated, builtFrom(pkg("pkg:npm/hidden", "1.0")), sbom(func(s *stemma.SBOM) { s.Packages = make([]stemma.Component, stemma.MaxPackages) }))

	elements := func(change func(*stemma.Elements)) func(*stemma.Evidence) {
		return sbom(func(s *stemma.SBOM) { change(&s.Elements) })
	}
	for _, change := range []func(*stemma.Evidence){
		elements(func(e *stemma.Elements) { *e = stemma.Elements{} }),
		elements(func(e *stemma.Elements) { e.Unsupplied = 1 }),
		elements(func(e *stemma.Elements) { e.Unnamed = 1 }),
		elements(func(e *stemma.Elements) { e.Unversioned = 1 }),
		elements(func(e *stemma.Elements) { e.Unidentified = 1 }),
		elements(func(e *stemma.Elements) { e.Relationships = 0 }),
		sbom(func(s *stemma.SBOM) { s.Authors = nil }),
		sbom(func(s *stemma.SBOM) { s.Created = time.Time{} }),
	} {
		add("sbom.elements", fail, stemma.ReasonElements, change)
	}
	add("sbom.elements", pass, "", elements(func(e *stemma.Elements) { *e = stemma.Elements{Components: 1} }))

	second := func(change func(*stemma.Attestation, *stemma.SBOM)) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) { addSBOM(e, "second", vendor(), change) }
	}
	same := func(*stemma.Attestation, *stemma.SBOM) {}
	noTool := func(_ *stemma.Attestation, s *stemma.SBOM) { s.Tools = nil }
	add("sbom.whole", pass, "", second(same))
	add("sbom.whole", pass, "", second(noTool))
	add("sbom.whole", fail, stemma.ReasonNotStated, sbom(func(s *stemma.SBOM) { s.Subjects = nil }), second(noTool))
	add("sbom.whole", unknown, stemma.ReasonTruncated, second(noTool), sbom(func(s *stemma.SBOM) {
		s.Packages = make([]stemma.Component, stemma.MaxPackages)
	}))

	at := func(finished, database time.Time) func(*stemma.Evidence) {
		return scan(func(s *stemma.Scan) { s.Finished, s.Database = finished, database })
	}
	days := func(n int) time.Time { return now().At.AddDate(0, 0, -n) }
	confused := scan(func(s *stemma.Scan) { s.Notes, s.Found = []string{"result not understood: a format of its own"}, nil })
	add("vulnerabilities.scanned", fail, stemma.ReasonNoAttestation, minus("scan"))
	add("vulnerabilities.scanned", fail, stemma.ReasonSigner, piece("scan", stranger))
	add("vulnerabilities.scanned", fail, stemma.ReasonAge, piece("scan", old(8)))
	add("vulnerabilities.scanned", fail, stemma.ReasonAge, at(days(8), time.Time{}))
	add("vulnerabilities.scanned", fail, stemma.ReasonAge, at(days(1), days(8)))
	add("vulnerabilities.scanned", fail, stemma.ReasonAge, at(days(-1), days(1)))
	add("vulnerabilities.scanned", fail, stemma.ReasonNotStated, at(time.Time{}, time.Time{}))
	add("vulnerabilities.scanned", pass, "", at(time.Time{}, days(7)))
	add("vulnerabilities.scanned", pass, "", at(days(7), time.Time{}))
	add("vulnerabilities.scanned", unknown, stemma.ReasonNoTime, piece("scan", timeless))
	add("vulnerabilities.scanned", unknown, stemma.ReasonUnsupported, confused)
	add("vulnerabilities.none", unknown, stemma.ReasonUnsupported, confused)
	add("vulnerabilities.none", fail, stemma.ReasonNoAttestation, minus("scan"))
	add("vulnerabilities.none", fail, stemma.ReasonVulnerable, found(critical("CVE-2026-2")))
	add("vulnerabilities.none", fail, stemma.ReasonVulnerable, found(stemma.Vulnerability{ID: "CVE-2026-2", Severity: "HIGH"}))
	add("vulnerabilities.none", fail, stemma.ReasonAge, found(critical("CVE-2026-2")), piece("scan", old(8)))
	add("vulnerabilities.none", unknown, stemma.ReasonRateLimited, found(critical("CVE-2026-2")), silent)

	review := func(predicate string) func(*stemma.Evidence) {
		return piece("review", func(a *stemma.Attestation) { a.Statement.Predicate = json.RawMessage(predicate) })
	}
	add("attestations.present", fail, stemma.ReasonNoAttestation, minus("review"))
	add("attestations.present", fail, stemma.ReasonNoAttestation, piece("review", func(a *stemma.Attestation) { a.Statement.PredicateType += "/" }))
	add("attestations.present", fail, stemma.ReasonSigner, piece("review", stranger))
	add("attestations.present", fail, stemma.ReasonAge, piece("review", old(31)))
	add("attestations.present", unknown, stemma.ReasonNoTime, piece("review", timeless))
	add("attestations.present", fail, stemma.ReasonValue, review(`{"result":"Accepted","by":[{"score":5}]}`))
	add("attestations.present", fail, stemma.ReasonValue, review(`{"result":"accepted","by":[{"score":5.0}]}`))
	add("attestations.present", fail, stemma.ReasonNotStated, review(`{"result":["accepted"],"by":[{"score":5}]}`))
	add("attestations.present", fail, stemma.ReasonNotStated, review(`{"by":[{"score":5}]}`))
	add("attestations.present", fail, stemma.ReasonNotStated, review(`{"result":null,"by":[{"score":5}]}`))
	add("attestations.present", fail, stemma.ReasonNotStated, review(``))
	add("attestations.present", fail, stemma.ReasonMalformed, review(`{"result":"accepted","result":"accepted","by":[{"score":5}]}`))
	add("attestations.present", pass, "", review(`{"by":[{"score":"6"}],"result":"accepted"}`))
	return cases
}

func bomed(t *testing.T, policy string, changes ...func(*stemma.Evidence)) *stemma.Decision {
	t.Helper()
	return evaluate(t, policy, append([]func(*stemma.Evidence){equip}, changes...)...)
}

// What VEX takes out: the vulnerability by its id or an alias, of this image or of this package in it, in the word of an
// accepted signer that none of them took back.
func TestVEX(t *testing.T) {
	const id, openssl = "CVE-2026-2", "pkg:deb/debian/openssl@3.0"
	this, other := imageDigest(), digest("other")
	says := func(status string, ids []string, digests []stemma.Digest, products ...string) stemma.Exploitability {
		return stemma.Exploitability{IDs: ids, Digests: digests, Products: products, Status: status}
	}
	one := []string{id}
	for name, c := range map[string]struct {
		s    stemma.Exploitability
		good bool
	}{
		"digest of the image":                    {says("not_affected", one, []stemma.Digest{this}), true},
		"fixed":                                  {says("fixed", one, []stemma.Digest{this}), true},
		"an alias":                               {says("fixed", []string{"GHSA-x", "cve-2026-2"}, []stemma.Digest{this}), true},
		"package URL of the image":               {says("fixed", one, nil, "pkg:oci/app@"+string(this)), true},
		"name of the image":                      {says("fixed", one, nil, "ghcr.io/acme/app@"+string(this)), true},
		"repository of the image":                {says("fixed", one, nil, "pkg:oci/app?repository_url=ghcr.io/acme/app"), true},
		"the package":                            {says("fixed", one, nil, openssl), true},
		"the package of any version":             {says("fixed", one, nil, "pkg:deb/debian/openssl"), true},
		"the package in the image":               {says("fixed", one, []stemma.Digest{this}, "pkg:oci/app@"+string(this), openssl), true},
		"affected":                               {says("affected", one, []stemma.Digest{this}), false},
		"under investigation":                    {says("under_investigation", one, []stemma.Digest{this}), false},
		"no status":                              {says("", one, []stemma.Digest{this}), false},
		"another vulnerability":                  {says("fixed", []string{"CVE-2026-22", ""}, []stemma.Digest{this}), false},
		"no product":                             {says("fixed", one, nil), false},
		"another image":                          {says("fixed", one, []stemma.Digest{other}), false},
		"another image by package URL":           {says("fixed", one, nil, "pkg:oci/app@"+string(other)), false},
		"another repository":                     {says("fixed", one, nil, "pkg:oci/app?repository_url=ghcr.io/evil/app"), false},
		"a tag":                                  {says("fixed", one, nil, "pkg:oci/app@v1?repository_url=ghcr.io/acme/app"), false},
		"the package in another image":           {says("fixed", one, []stemma.Digest{other}, openssl), false},
		"another package of the image":           {says("fixed", one, []stemma.Digest{this}, "pkg:deb/debian/zlib@1"), false},
		"the package in another version":         {says("fixed", one, nil, "pkg:deb/debian/openssl@3.0.1"), false},
		"the package of another architecture":    {says("fixed", one, nil, openssl+"?arch=arm64"), false},
		"a package whose name begins alike":      {says("fixed", one, nil, "pkg:deb/debian/openssl-dev@3.0"), false},
		"an identifier that nobody can look up":  {says("fixed", one, nil, "https://acme.example/app"), false},
		"a word of which the type is another":    {says("Not_Affected", one, []stemma.Digest{this}), false},
		"the namespace of another distribution":  {says("fixed", one, nil, "pkg:deb/ubuntu/openssl@3.0"), false},
		"the package under a path that leads up": {says("fixed", one, nil, "pkg:deb/debian/%2E%2E/debian/openssl@3.0"), false},
	} {
		t.Run(name, func(t *testing.T) {
			d := bomed(t, bomPolicy, found(critical(id)), func(e *stemma.Evidence) { addVEX(e, "vex", vendor(), hours(1), c.s) })
			if c.good {
				allowed(t, d)
				if f := finding(t, d, "vulnerabilities.none"); !strings.Contains(f.Detail, id) {
					t.Errorf("what was taken out is not told: %s", f.Detail)
				}
			} else {
				only(t, d, "vulnerabilities.none", stemma.ReasonVulnerable)
			}
		})
	}
	saidOn := func(s stemma.Exploitability, at time.Time) stemma.Exploitability {
		s.Time = at
		return s
	}
	fixed, affected := says("fixed", one, []stemma.Digest{this}), says("affected", one, []stemma.Digest{this})
	for name, c := range map[string]struct {
		change func(*stemma.Evidence)
		good   bool
	}{
		"taken back": {func(e *stemma.Evidence) {
			addVEX(e, "a", vendor(), hours(2), fixed)
			addVEX(e, "b", vendor(), hours(1), affected)
		}, false},
		"taken back at once": {func(e *stemma.Evidence) { addVEX(e, "a", vendor(), hours(2), fixed, affected) }, false},
		"taken back some day": {func(e *stemma.Evidence) {
			addVEX(e, "a", vendor(), hours(2), fixed)
			addVEX(e, "b", vendor(), time.Time{}, affected)
		}, false},
		"said later": {func(e *stemma.Evidence) {
			addVEX(e, "a", vendor(), hours(1), fixed)
			addVEX(e, "b", vendor(), hours(2), affected)
		}, true},
		// The age of a document is not that of what it says.
		"taken back since it was said, in a document that was updated": {func(e *stemma.Evidence) {
			addVEX(e, "a", vendor(), hours(1), saidOn(fixed, hours(3)))
			addVEX(e, "b", vendor(), hours(2), affected)
		}, false},
		"said since it was taken back, in a document that is older": {func(e *stemma.Evidence) {
			addVEX(e, "a", vendor(), hours(3), saidOn(fixed, hours(1)))
			addVEX(e, "b", vendor(), hours(1), saidOn(affected, hours(2)))
		}, true},
		"taken back, in a document that is older": {func(e *stemma.Evidence) {
			addVEX(e, "a", vendor(), hours(2), fixed)
			addVEX(e, "b", vendor(), hours(3), saidOn(affected, hours(1)))
		}, false},
		"both in one document": {func(e *stemma.Evidence) {
			addVEX(e, "a", vendor(), hours(1), saidOn(fixed, hours(2)), saidOn(affected, hours(3)))
		}, true},
		"both in one document, the other way round": {func(e *stemma.Evidence) {
			addVEX(e, "a", vendor(), hours(1), saidOn(fixed, hours(3)), saidOn(affected, hours(2)))
		}, false},
		"said in the future, and taken back": {func(e *stemma.Evidence) {
			addVEX(e, "a", vendor(), hours(1), saidOn(fixed, hours(-24)), saidOn(affected, hours(2)))
		}, false},
		"by a stranger":  {func(e *stemma.Evidence) { addVEX(e, "a", keySigner("acme-kms", "intern"), hours(1), fixed) }, false},
		"by the scanner": {func(e *stemma.Evidence) { addVEX(e, "a", scanner(), hours(1), fixed) }, false},
		"taken back by strangers": {func(e *stemma.Evidence) {
			addVEX(e, "a", vendor(), hours(2), fixed)
			addVEX(e, "b", scanner(), hours(1), affected)
		}, true},
		"signed by nobody": {func(e *stemma.Evidence) {
			e.Unsigned = []stemma.Unsigned{{Bundle: digest("a"), Bound: true, VEX: &stemma.VEX{Bundle: digest("a"), Statements: []stemma.Exploitability{fixed}}}}
			e.VEX = []stemma.VEX{*e.Unsigned[0].VEX}
		}, false},
		"about another image": {func(e *stemma.Evidence) {
			addVEX(e, "a", vendor(), hours(1), fixed)
			piece("a", func(a *stemma.Attestation) { a.Binding.Member = other })(e)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := bomed(t, bomPolicy, found(critical(id)), c.change)
			if c.good {
				allowed(t, d)
			} else {
				only(t, d, "vulnerabilities.none", stemma.ReasonVulnerable)
			}
		})
	}
	// Without vex in the policy nobody's word takes anything out.
	nobody := change(t, bomPolicy, ", vex: [vendor]", "")
	only(t, bomed(t, nobody, found(critical(id)), func(e *stemma.Evidence) { addVEX(e, "vex", vendor(), hours(1), fixed) }), "vulnerabilities.none", stemma.ReasonVulnerable)
}

// A scan that counts and found something is not silenced by another, nor by one of a place that gave no answer.
func TestScans(t *testing.T) {
	dirty := func(_ *stemma.Attestation, s *stemma.Scan) { s.Found = append(s.Found, critical("CVE-2026-2")) }
	stale := func(a *stemma.Attestation, s *stemma.Scan) {
		dirty(a, s)
		a.SignedAt[0].Time = now().At.AddDate(0, 0, -8)
	}
	undated := func(a *stemma.Attestation, s *stemma.Scan) {
		dirty(a, s)
		a.SignedAt = nil
	}
	with := func(name string, id stemma.Identity, change func(*stemma.Attestation, *stemma.Scan)) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) { addScan(e, name, id, change) }
	}
	allowed(t, bomed(t, bomPolicy, with("b", scanner(), stale)))
	allowed(t, bomed(t, bomPolicy, with("b", keySigner("acme-kms", "intern"), dirty)))
	for name, irrelevant := range map[string]func(*stemma.Attestation, *stemma.Scan){
		"of another image":         func(a *stemma.Attestation, _ *stemma.Scan) { a.Binding.Member = digest("other") },
		"made long ago":            func(_ *stemma.Attestation, s *stemma.Scan) { s.Finished = now().At.AddDate(0, 0, -8) },
		"with a database long ago": func(_ *stemma.Attestation, s *stemma.Scan) { s.Database = now().At.AddDate(0, 0, -8) },
	} {
		if d := bomed(t, bomPolicy, with("b", scanner(), func(a *stemma.Attestation, s *stemma.Scan) { dirty(a, s); irrelevant(a, s) })); d.Verdict != stemma.Allow {
			t.Errorf("%s:\n%s", name, render(d))
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		only(t, bomed(t, bomPolicy, with(name, scanner(), dirty)), "vulnerabilities.none", stemma.ReasonVulnerable)
		only(t, bomed(t, bomPolicy, with(name, vendor(), undated)), "vulnerabilities.none", stemma.ReasonVulnerable)
	}
	d := bomed(t, bomPolicy, found(critical("CVE-2026-3"), critical("CVE-2026-2"), stemma.Vulnerability{ID: "CVE-2026-9", Severity: "high"}))
	want := []string{
		"critical CVE-2026-2 in pkg:deb/debian/openssl@3.0?arch=amd64, mended in 3.1",
		"critical CVE-2026-3 in pkg:deb/debian/openssl@3.0?arch=amd64, mended in 3.1",
		"high CVE-2026-9 in (none)",
	}
	if f := finding(t, d, "vulnerabilities.none"); !slices.Equal(f.Items, want) {
		t.Errorf("%q", f.Items)
	}
	// Severities that nobody can rank are unknown, and unknown is what the policy says of it.
	strange := found(stemma.Vulnerability{ID: "CVE-2026-2", Severity: "catastrophic"})
	if f := finding(t, bomed(t, bomPolicy, strange), "vulnerabilities.none"); f.Outcome != stemma.Pass || f.Detail != "found: 1 low, 1 unknown" {
		t.Errorf("%+v", f)
	}
	only(t, bomed(t, change(t, bomPolicy, "none: [critical, high]", "none: [critical, unknown]"), strange), "vulnerabilities.none", stemma.ReasonVulnerable)
	// Whether another scan found something is not known while a place is silent: said, and no refusal.
	d = bomed(t, bomPolicy, silent)
	if f := finding(t, d, "vulnerabilities.none"); d.Verdict != stemma.Allow || f.Outcome != stemma.Unknown || !f.Advisory || f.Reason != stemma.ReasonRateLimited {
		t.Errorf("%s", render(d))
	}
}

// Of several entries that are not met the worst is shown, and all are listed.
func TestSeveralAttestations(t *testing.T) {
	two := bomPolicy + "    - {type: \"https://acme.example/test/v1\", by: [scanner]}\n"
	tested := func(e *stemma.Evidence) {
		e.Attestations = append(e.Attestations, about("test", "https://acme.example/test/v1", scanner(), `{}`))
	}
	untimedReview := piece("review", func(a *stemma.Attestation) { a.SignedAt = nil })
	allowed(t, bomed(t, two, tested))
	only(t, bomed(t, two), "attestations.present", stemma.ReasonNoAttestation)
	if f := finding(t, bomed(t, two, tested, untimedReview), "attestations.present"); f.Outcome != stemma.Unknown || f.Items != nil {
		t.Errorf("%+v", f)
	}
	d := bomed(t, two, untimedReview)
	only(t, d, "attestations.present", stemma.ReasonNoAttestation)
	if f := finding(t, d, "attestations.present"); len(f.Items) != 2 || !strings.HasSuffix(f.Where, fmt.Sprint(":", strings.Count(two, "\n"))) {
		t.Errorf("%+v", f)
	}
}

// An SBOM that describes the index says nothing of a platform where each is judged by itself.
func TestSubjectIsIndex(t *testing.T) {
	index := func(e *stemma.Evidence) {
		e.Indexes = []stemma.Digest{digest("index")}
		e.SBOMs[0].Subjects[0].Digests = e.Indexes
	}
	each := change(t, bomPolicy, "spec:\n  trust:", "spec:\n  platforms: all\n  trust:")
	allowed(t, bomed(t, each))
	allowed(t, bomed(t, bomPolicy, index))
	d := bomed(t, each, index)
	if f := finding(t, d, "sbom.subject"); d.Verdict != stemma.Deny || f.Reason != stemma.ReasonInconsistent {
		t.Errorf("%s", render(d))
	}
}

// Provenance that names no dependencies agrees with no SBOM; that is said and refuses nothing.
func TestUnreportedPackages(t *testing.T) {
	withoutBase := change(t, bomPolicy, "[image, provenance, base]", "[image, provenance]")
	for name, in := range map[string][]stemma.Input{
		"nothing":        nil,
		"tools":          {dependency(stemma.InputImage, "docker.io/library/node", "22", map[string]string{"sha256": digest("stage").Hex()}, stemma.RoleStage)},
		"no package URL": {dependency(stemma.InputPackage, "proxy.acme.example/lib.tgz", "", nil, "")},
		"one of two":     {dependency(stemma.InputPackage, "pkg:npm/%40acme/lib", "1.2.3", nil, ""), dependency(stemma.InputPackage, "", "", nil, "")},
	} {
		t.Run(name, func(t *testing.T) {
			d := bomed(t, withoutBase, func(e *stemma.Evidence) { e.Provenance[0].Inputs = in })
			f := finding(t, d, "sbom.packages")
			if d.Verdict != stemma.Allow || f.Outcome != stemma.Unknown || !f.Advisory || f.Reason != stemma.ReasonUnreported || f.Got == "" {
				t.Errorf("%s", render(d))
			}
		})
	}
	d := bomed(t, bomPolicy, func(e *stemma.Evidence) {
		e.Provenance[0].Inputs = append(e.Provenance[0].Inputs, dependency(stemma.InputPackage, "pkg:npm/b", "1", nil, ""), dependency(stemma.InputPackage, "pkg:npm/a", "1", nil, ""))
	})
	if f := finding(t, d, "sbom.packages"); f.Got != "2 differences" || !slices.Equal(f.Items, []string{"pkg:npm/a@1: in the provenance (/dependencies), not in the SBOM", "pkg:npm/b@1: in the provenance (/dependencies), not in the SBOM"}) {
		t.Errorf("%q %q", f.Got, f.Items)
	}
}

// The same SBOM and the same provenance: neither halves of SBOMs nor a provenance that fails elsewhere add up.
func TestWholeBeside(t *testing.T) {
	wrong := func(_ *stemma.Attestation, p *stemma.Provenance) {
		p.Claims[stemma.FieldRef] = said("refs/heads/wip", stemma.SaidByCertificate, "certificate .14")
		p.Inputs = []stemma.Input{
			dependency(stemma.InputImage, "docker.io/library/debian", "", map[string]string{"sha256": digest("base").Hex()}, stemma.RoleBase),
			dependency(stemma.InputPackage, "pkg:npm/%40acme/lib", "1.2.3", nil, ""),
		}
	}
	beside := func(e *stemma.Evidence) { add(e, "wrong", githubSigner(trustedSAN), wrong) }
	allowed(t, bomed(t, bomPolicy, beside))
	// The good provenance stands on another base; only the one of a branch that nobody accepts stands on the SBOM's.
	moved := func(e *stemma.Evidence) {
		e.Provenance[0].Inputs[0].Digest = map[string]string{"sha256": digest("moved").Hex()}
	}
	only(t, bomed(t, change(t, bomPolicy, "[image, provenance, base]", "[image, base]"), moved, beside), "sbom.whole", stemma.ReasonInconsistent)
}
