package verify_test

import (
	"slices"
	"strings"
	"testing"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
)

// Groups D and E of the regression cases through everything: source, inputs, bills of materials and what policies do with
// several pieces of evidence. Every signature here is genuine; what lies is what was signed, or who signed it.

const reviewType = "https://acme.example/image-review/v1"

// inputsPolicy is the trusting policy, and what may have gone into the build.
const inputsPolicy = trusting + `  inputs:
    unreported: ignore
    images: [docker.io/library/debian]
    git: [github.com/acme/lib]
    digests: required
    parameters: {allow: [VERSION]}
`

func body(pointer string, value any) stemmatest.Vary {
	return stemmatest.Vary{Statement: func(st *stemmatest.Statement) { st.Set(pointer, value) }}
}

// kit is provenance of BuildKit, from which inputs can be read, signed by the world's builder about the stage's image.
func (s *stage) kit(change func(*stemmatest.BuildKit), alter func(*stemmatest.Statement)) *stemmatest.Signed {
	s.Helper()
	k := stemmatest.BuildKit{
		Repository: "ghcr.io/acme/app", Tag: "v2.0.1", Platform: stemma.Platform{OS: "linux", Architecture: "amd64"}, Max: true,
		Source: "https://github.com/acme/app.git", Commit: s.Build.SHA, Base: "pkg:docker/debian@12", BaseDigest: stemma.SHA256([]byte("debian")),
		BuilderID: "https://github.com/acme/app/actions/runs/15920000001/attempts/1",
	}
	if change != nil {
		change(&k)
	}
	st := k.V1(s.image.Digest())
	if alter != nil {
		alter(st)
	}
	return must[*stemmatest.Signed](s)(s.Sigstore.Attest(stemmatest.Sign{As: s.Build}, st.JSON()))
}

func (s *stage) attachKit(change func(*stemmatest.BuildKit), alter func(*stemmatest.Statement)) {
	s.Helper()
	s.Attach(s.image, s.kit(change, alter))
}

func goodKit(s *stage) { s.attachKit(nil, nil) }

// input adds dependencies to those of the kit.
func input(all ...map[string]any) func(*stage) {
	return func(s *stage) {
		s.attachKit(nil, func(st *stemmatest.Statement) {
			definition := st.Predicate["buildDefinition"].(map[string]any)
			list := definition["resolvedDependencies"].([]any)
			for _, in := range all {
				list = append(list, in)
			}
			definition["resolvedDependencies"] = list
		})
	}
}

func resolved(uri string, digest map[string]any) map[string]any {
	return map[string]any{"uri": uri, "digest": digest}
}

// stated is a signed statement about the stage's image, or about what its change makes it be about.
func (s *stage) stated(as stemmatest.Identity, st *stemmatest.Statement, change func(*stemmatest.Statement)) *stemmatest.Signed {
	s.Helper()
	if change != nil {
		change(st)
	}
	return must[*stemmatest.Signed](s)(s.Sigstore.Attest(stemmatest.Sign{As: as}, st.JSON()))
}

// review is an attestation of a type of one's own.
func (s *stage) review(as stemmatest.Identity, result any) *stemmatest.Signed {
	s.Helper()
	return s.stated(as, &stemmatest.Statement{
		Type: stemma.StatementV1, Subject: []stemma.ResourceDescriptor{s.Subject(s.image)}, PredicateType: reviewType, Predicate: map[string]any{"result": result},
	}, nil)
}

func stranger() stemmatest.GitHub {
	return stemmatest.GitHub{Repository: "acme/app", Ref: "refs/tags/v2.0.0", Builder: "evil/builders/.github/workflows/build.yml@refs/tags/v1.2.3"}
}

// reviewer is a second identity that the policies below accept.
func reviewer() stemmatest.Email { return stemmatest.Email{Address: "review@acme.example"} }

const reviewerSigner = "  signers:\n    reviewer: {oidc: {issuer: https://accounts.google.com, subject: review@acme.example}}\n"

// SLSA threat D: a fork is another repository, whoever builds it.
func TestReg_D01_fork(t *testing.T) {
	var cases []reg
	for _, fork := range []string{"evilfork/app", "acme-fork/app", "acme/app-fork", "acme/ap", "xacme/app", "app/acme"} {
		cases = append(cases, reg{name: fork, vary: build(func(g *stemmatest.GitHub) { g.Repository = fork }), want: fails("source.repository", stemma.ReasonRepository)})
	}
	play(t, cases...)
}

// Names of the same repository are equal, whoever says them; in a body, a policy, and what is expected.
func TestReg_D02_canonical(t *testing.T) {
	var cases []reg
	for _, uri := range []string{
		"https://github.com/acme/app.git", "https://GitHub.com/acme/app", "https://github.com:443/acme/app", "git+https://github.com/acme/app@refs/tags/v2.0.0",
		"git@github.com:acme/app.git", "ssh://git@github.com/acme/app", "https://github.com/Acme/App",
	} {
		cases = append(
			cases, reg{name: "body/" + uri, vary: body("/buildDefinition/externalParameters/workflow/repository", uri)},
			reg{name: "expected/" + uri, play: func(s *stage) {
				s.attach(stemmatest.Vary{})
				s.request.Situation.Expect = map[stemma.Field]string{stemma.FieldRepository: uri}
			}},
		)
	}
	for _, uri := range []string{"https://github.com/acme/app2", "https://github.com/acme/app.git2", "https://gitlab.com/acme/app", "https://github.com:444/acme/app"} {
		cases = append(
			cases, reg{
				name: "body/" + uri, vary: body("/buildDefinition/externalParameters/workflow/repository", uri), want: fails("provenance.consistent", stemma.ReasonContradiction),
			},
			reg{name: "expected/" + uri, play: func(s *stage) {
				s.attach(stemmatest.Vary{})
				s.request.Situation.Expect = map[stemma.Field]string{stemma.FieldRepository: uri}
			}, want: fails("provenance.expected", stemma.ReasonExpected)},
		)
	}
	play(t, cases...)
}

// CVE-2021-41087, CVE-2026-39821, CVE-2026-26205: names that two readers understand differently name nothing; names that
// begin alike are others.
func TestReg_D03_confusing_names(t *testing.T) {
	const real = "https://github.com/acme/app"
	named := func(uri string) stemmatest.Vary {
		return stemmatest.Vary{
			Certificate: func(c *stemmatest.Certificate) { c.Extensions[12] = uri; delete(c.Extensions, 5) },
			Statement: func(st *stemmatest.Statement) {
				st.Set("/buildDefinition/externalParameters/workflow/repository", uri)
				st.Set("/buildDefinition/resolvedDependencies/0/uri", "git+"+uri+"@refs/tags/v2.0.0")
			},
		}
	}
	var cases []reg
	for _, uri := range []string{
		"https://github.com/acme/app%2F..%2Fapp", "https://github.com/evil/../acme/app", "https://github.com@evil.com/acme/app", "https://github.com//acme/app",
		"https://github.com./acme/app", "https://gіthub.com/acme/app", real + "?x=1", `https://github.com\acme\app`, "https://github.com/acme/./app",
		"https://user:pass@github.com/acme/app",
	} {
		cases = append(cases, reg{name: uri, vary: named(uri), want: fails("source.repository", stemma.ReasonNotStated)})
	}
	for _, uri := range []string{"https://github.com.evil.com/acme/app", "https://evil.com/github.com/acme/app", "https://github.com:8443/acme/app", "https://xgithub.com/acme/app"} {
		cases = append(cases, reg{name: uri, vary: named(uri), want: fails("source.repository", stemma.ReasonRepository)})
	}
	cases = append(cases, reg{name: "NUL", vary: named(real + "\x00"), want: rejected(stemma.ReasonCertificateInvalid)}, reg{name: "the name itself", vary: named(real)}, reg{name: "the name with .git", vary: named(real + ".git")})
	play(t, cases...)
}

// Case distinguishes nothing on GitHub, and projects on GitLab.
func TestReg_D04_owner_case(t *testing.T) {
	gitlab := strings.Replace(trusting[:strings.Index(trusting, "  builders:")], "metadata: {name: services}", "metadata: {name: gitlab}", 1) + `  builders:
    gitlab:
      oidc: {issuer: https://gitlab.com, subject: "https://gitlab.com/acme/ci//image.yml@refs/heads/main"}
  provenance: {by: [gitlab]}
  source: {repository: "gitlab.com/acme/{service}"}
`
	job := func(project string) func(*stage) {
		return func(s *stage) {
			g := stemmatest.GitLab{Project: project, Config: "gitlab.com/acme/ci//image.yml@refs/heads/main"}
			s.Attach(s.image, s.stated(g, stemmatest.GitLabRunner(g, s.Subject(s.image)), nil))
		}
	}
	good := job("acme/app")
	play(
		t,
		reg{name: "GitHub", vary: build(func(g *stemmatest.GitHub) { g.Repository = "ACME/App" })},
		reg{name: "GitHub, another owner", vary: build(func(g *stemmatest.GitHub) { g.Repository = "ACME1/App" }), want: fails("source.repository", stemma.ReasonRepository)},
		reg{name: "GitLab, owner", policy: gitlab, control: good, play: job("ACME/app"), want: fails("source.repository", stemma.ReasonRepository)},
		reg{name: "GitLab, project", policy: gitlab, control: good, play: job("acme/App"), want: fails("source.repository", stemma.ReasonRepository)},
	)
}

// SLSA: the right tag at another commit than the one that was reviewed.
func TestReg_D05_commit(t *testing.T) {
	expect := func(commit func(s *stage) string, v stemmatest.Vary) func(*stage) {
		return func(s *stage) {
			s.attach(v)
			s.request.Situation.Expect = map[stemma.Field]string{stemma.FieldCommit: commit(s)}
		}
	}
	right := func(s *stage) string { return s.Build.SHA }
	const inBody = "/buildDefinition/resolvedDependencies/0/digest"
	untold := func(c *stemmatest.Certificate) {
		for _, n := range []int{3, 13} {
			delete(c.Extensions, n)
		}
	}
	silent := func(st *stemmatest.Statement) { st.Set(inBody, nil) }
	good := expect(right, stemmatest.Vary{})
	play(
		t,
		reg{name: "another commit at the tag", control: good, play: expect(right, build(func(g *stemmatest.GitHub) { g.SHA = stemmatest.Commit("moved") })), want: fails("provenance.expected", stemma.ReasonExpected)},
		reg{name: "abbreviated", control: good, play: expect(func(s *stage) string { return s.Build.SHA[:12] }, stemmatest.Vary{}), want: fails("provenance.expected", stemma.ReasonExpected)},
		reg{name: "nothing is expected to be there", control: good, play: expect(func(*stage) string { return "" }, stemmatest.Vary{}), want: fails("provenance.expected", stemma.ReasonExpected)},
		reg{name: "nobody says it", control: good, play: expect(right, stemmatest.Vary{Certificate: untold, Statement: silent}), want: fails("provenance.expected", stemma.ReasonNotStated)},
		reg{name: "the certificate alone says it", control: good, play: expect(right, stemmatest.Vary{Statement: silent})},
		reg{name: "the body alone says it", control: good, play: expect(right, stemmatest.Vary{Certificate: untold}), want: fails("provenance.expected", stemma.ReasonSaidBy)},
	)
}

// slsa-verifier provenance_forgeable: the body names what the certificate does not. The coverage of builders does the same
// at every place of every builder.
func TestReg_D06_certificate_against_body(t *testing.T) {
	const external, internal = "/buildDefinition/externalParameters/workflow/", "/buildDefinition/internalParameters/github/"
	other := stemmatest.Commit("other")
	var cases []reg
	for place, value := range map[string]any{
		"/buildDefinition/resolvedDependencies/0/digest/gitCommit": other, "/buildDefinition/resolvedDependencies/0/uri": "git+https://github.com/evil/app@refs/tags/v2.0.0",
		external + "repository": "https://github.com/evil/app", external + "ref": "refs/tags/v2.0.9", external + "path": ".github/workflows/other.yml",
		internal + "event_name": "workflow_dispatch", internal + "repository_id": "1", internal + "repository_owner_id": "1", internal + "runner_environment": "self-hosted",
		"/runDetails/builder/id":            "https://github.com/trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.4",
		"/runDetails/metadata/invocationId": "https://github.com/acme/app/actions/runs/15920000001/attempts/2",
	} {
		cases = append(cases, reg{name: place, vary: body(place, value), want: fails("provenance.consistent", stemma.ReasonContradiction)})
	}
	play(t, cases...)
}

// SLSA, verification step 2: an external parameter that nobody checked.
func TestReg_D07_unknown_parameter(t *testing.T) {
	parameter := func(pointer string, value any) func(*stage) {
		return func(s *stage) {
			s.attachKit(nil, func(st *stemmatest.Statement) { st.Set("/buildDefinition/externalParameters/"+pointer, value) })
		}
	}
	bad := fails("inputs.parameters", stemma.ReasonParameter)
	play(
		t,
		reg{name: "the one that is allowed", policy: inputsPolicy, control: goodKit, play: parameter("request/args/build-arg:VERSION", "v9")},
		reg{name: "another build argument", policy: inputsPolicy, control: goodKit, play: parameter("request/args/build-arg:DEBUG", "1"), want: bad},
		reg{name: "in another case", policy: inputsPolicy, control: goodKit, play: parameter("request/args/build-arg:version", "v9"), want: bad},
		reg{name: "a key that the build type does not define", policy: inputsPolicy, control: goodKit, play: parameter("entitlements", []any{"network.host"}), want: bad},
		reg{name: "a key that differs in case", policy: inputsPolicy, control: goodKit, play: parameter("Request", map[string]any{}), want: bad},
	)
}

// SLSA threats of dependencies: an input that no list has, and one that may be anything.
func TestReg_D08_unexpected_input(t *testing.T) {
	sum := map[string]any{"sha256": stemma.SHA256([]byte("x")).Hex()}
	commit := map[string]any{"gitCommit": stemmatest.Commit("x")}
	base := func(name string) func(*stage) {
		return func(s *stage) { s.attachKit(func(k *stemmatest.BuildKit) { k.Base = name }, nil) }
	}
	one := func(name string, play func(*stage), w want) reg {
		return reg{name: name, policy: inputsPolicy, control: goodKit, play: play, want: w}
	}
	unexpected := func(kind string) want { return fails("inputs."+kind, stemma.ReasonInput) }
	unpinned := fails("inputs.digests", stemma.ReasonUnpinned)
	play(
		t,
		one("another library", input(resolved("git+https://github.com/acme/lib@refs/heads/main", commit)), want{}),
		one("another base", base("pkg:docker/evil/debian@12"), unexpected("images")),
		one("a base with a longer name", base("pkg:docker/debian-evil@12"), unexpected("images")),
		one("the base of another registry", base("pkg:docker/evil.com/library/debian@12"), unexpected("images")),
		one("another repository", input(resolved("git+https://github.com/evil/lib@refs/heads/main", commit)), unexpected("git")),
		one("a repository at a branch", input(resolved("git+https://github.com/acme/lib@refs/heads/main", map[string]any{})), unpinned),
		one("a repository at a tree", input(resolved("git+https://github.com/acme/lib", map[string]any{"gitTree": stemmatest.Commit("x")})), unpinned),
		one("an image at a tag", input(resolved("pkg:docker/debian@12?platform=linux%2Famd64", map[string]any{})), unpinned),
		one("an image at a digest", input(resolved("pkg:docker/debian@12?platform=linux%2Famd64", sum)), want{}),
		one("an action at a tag", input(resolved("pkg:githubactions/actions/cache@v4", map[string]any{})), unpinned),
		one("an image by a weak digest", input(resolved("pkg:docker/debian@12", map[string]any{"md5": "d41d8cd98f00b204e9800998ecf8427e"})), unpinned),
	)
}

// GHSA-vmvj: what is compared with nothing passed.
func TestReg_D09_no_inputs(t *testing.T) {
	var cases []reg
	for name, dependencies := range map[string]any{"empty": []any{}, "null": nil} {
		cases = append(cases, reg{name: name, policy: inputsPolicy, control: goodKit, play: func(s *stage) {
			s.attachKit(nil, func(st *stemmatest.Statement) {
				st.Predicate["buildDefinition"].(map[string]any)["resolvedDependencies"] = dependencies
			})
		}, want: fails("inputs.present", stemma.ReasonNoInputs)})
	}
	// What a builder never names is no empty list of it.
	refuse := trusting + "  inputs: {unreported: refuse, images: [docker.io/library/debian]}\n"
	cases = append(cases, reg{name: "a builder that names no images", policy: refuse, control: goodKit, want: fails("inputs.complete", stemma.ReasonUnreported)})
	play(t, cases...)
}

// A bill of materials counts that is about this image and by somebody who may say so.
func TestReg_D10_sbom(t *testing.T) {
	text := trusting + reviewerSigner + "  sbom: {by: [reviewer], formats: [spdx]}\n"
	bill := func(as stemmatest.Identity, change func(*stemmatest.Statement)) func(*stage) {
		return func(s *stage) {
			s.attach(stemmatest.Vary{})
			s.Attach(s.image, s.stated(as, stemmatest.SPDX(s.Subject(s.image)), change))
		}
	}
	good := bill(reviewer(), nil)
	one := func(name string, play func(*stage), reason stemma.Reason) reg {
		return reg{name: name, policy: text, control: good, play: play, want: fails("sbom.present", reason)}
	}
	play(
		t,
		one("none", func(s *stage) { s.attach(stemmatest.Vary{}) }, stemma.ReasonNoSBOM),
		one("of another digest", bill(reviewer(), func(st *stemmatest.Statement) { st.Subject[0].Digest["sha256"] = stemma.SHA256([]byte("other")).Hex() }), stemma.ReasonSubjectMismatch),
		one("of a sibling", func(s *stage) {
			s.attach(stemmatest.Vary{})
			s.Attach(s.image, s.stated(reviewer(), stemmatest.SPDX(s.Subject(s.Image)), nil))
		}, stemma.ReasonSubjectMismatch),
		one("by somebody else", bill(stemmatest.Email{Address: "evil@acme.example"}, nil), stemma.ReasonSigner),
		one("by the reviewer of another issuer", bill(stemmatest.Email{Address: "review@acme.example", Issuer: stemmatest.GitHubLoginIssuer}, nil), stemma.ReasonSigner),
		one("by the builder, who may not", bill(stranger(), nil), stemma.ReasonSigner),
		one("signed by nobody", func(s *stage) {
			s.attach(stemmatest.Vary{})
			s.image.AttachReferrer(stemmatest.Artifact{Type: "application/vnd.in-toto+json", Layers: []stemmatest.Layer{{
				MediaType: "application/vnd.in-toto+json", Data: stemmatest.SPDX(s.Subject(s.image)).JSON(), Annotations: map[string]string{"in-toto.io/predicate-type": stemmatest.PredicateTypeSPDX},
			}}})
		}, stemma.ReasonNoSBOM),
		one("in another format", func(s *stage) {
			s.attach(stemmatest.Vary{})
			s.Attach(s.image, s.stated(reviewer(), stemmatest.CycloneDX(s.Subject(s.image)), nil))
		}, stemma.ReasonFormat),
	)
}

// Mission case 4: what the SBOM says that the image stands on is not what it was built on.
func TestReg_D11_base(t *testing.T) {
	text := trusting + "  sbom: {by: [trusted-builder], consistentWith: [base]}\n"
	on := func(base string) func(*stage) {
		return func(s *stage) {
			s.attachKit(nil, nil)
			s.Attach(s.image, s.stated(s.Build, stemmatest.CycloneDX(s.Subject(s.image)), func(st *stemmatest.Statement) {
				if base != "" {
					st.Set("/metadata/component/pedigree", map[string]any{"ancestors": []any{map[string]any{
						"type": "container", "name": "debian", "hashes": []any{map[string]any{"alg": "SHA-256", "content": stemma.SHA256([]byte(base)).Hex()}},
					}}})
				}
			}))
		}
	}
	good := on("debian")
	play(
		t,
		reg{name: "another base", policy: text, control: good, play: on("evil"), want: fails("sbom.base", stemma.ReasonInconsistent)},
		reg{name: "no base in the SBOM", policy: text, control: good, play: on(""), want: fails("sbom.base", stemma.ReasonNotStated)},
		reg{name: "no base in the provenance", policy: text, control: good, play: func(s *stage) {
			s.attachKit(func(k *stemmatest.BuildKit) { k.Base = "" }, nil)
			s.Attach(s.image, s.stated(s.Build, stemmatest.CycloneDX(s.Subject(s.image)), nil))
		}, want: fails("sbom.base", stemma.ReasonNotStated)},
	)
}

// BuildKit's documentation of its vcs metadata: "can't be trusted". The client says it; nobody looked.
func TestReg_D12_vcs_hint(t *testing.T) {
	key := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "ci-2026"))
	text := in(keyed(key), `source: {repository: "git.acme.example/acme/{service}", saidBy: tenant}`, `source: {repository: "github.com/acme/{service}", saidBy: builder}`)
	by := func(change func(*stemmatest.BuildKit)) func(*stage) {
		return func(s *stage) {
			k := stemmatest.BuildKit{Commit: s.Build.SHA, BuilderID: "https://ci.acme.example/builder", Platform: stemma.Platform{OS: "linux", Architecture: "amd64"}}
			change(&k)
			s.Attach(s.image, must[*stemmatest.Signed](s)(s.Sigstore.Attest(bare(key), k.V1(s.image.Digest()).JSON())))
		}
	}
	fetched := by(func(k *stemmatest.BuildKit) { k.Source = "https://github.com/acme/app.git" })
	hint := by(func(k *stemmatest.BuildKit) { k.VCS = "https://github.com/acme/app" })
	play(
		t,
		reg{name: "only a hint", policy: text, control: fetched, play: hint, want: fails("source.repository", stemma.ReasonSaidBy)},
		reg{name: "a hint is enough for who says so", policy: in(text, "saidBy: builder", "saidBy: tenant"), control: fetched, play: hint},
		reg{name: "a hint of another repository", policy: in(text, "saidBy: builder", "saidBy: tenant"), control: hint, play: by(func(k *stemmatest.BuildKit) { k.VCS = "https://github.com/evil/app" }), want: fails("source.repository", stemma.ReasonRepository)},
		reg{name: "no source at all", policy: text, control: fetched, play: by(func(*stemmatest.BuildKit) {}), want: fails("source.repository", stemma.ReasonNotStated)},
		reg{name: "a hint beside another source", policy: text, control: fetched, play: by(func(k *stemmatest.BuildKit) {
			k.Source, k.VCS = "https://github.com/evil/app.git", "https://github.com/acme/app"
		}), want: fails("provenance.consistent", stemma.ReasonContradiction)},
	)
}

// in-toto: evidence that is kept back never makes a requirement met that was not; here bills, inputs and reviews, with
// genuine ones of strangers and of the wrong result among them.
func TestReg_D13_monotonic_blocks(t *testing.T) {
	s := newStage(t)
	s.policy = inputsPolicy + reviewerSigner + "  sbom: {by: [reviewer]}\n  attestations:\n    - {type: " + reviewType + ", by: [reviewer], values: {/result: [accepted]}}\n"
	var all []stemmatest.Artifact
	for _, x := range []*stemmatest.Signed{
		s.kit(nil, nil), s.kit(func(k *stemmatest.BuildKit) { k.Base = "pkg:docker/evil@1" }, nil),
		s.stated(reviewer(), stemmatest.SPDX(s.Subject(s.image)), nil), s.stated(stranger(), stemmatest.SPDX(s.Subject(s.image)), nil),
		s.review(reviewer(), "accepted"), s.review(reviewer(), "rejected"), s.review(stranger(), "accepted"),
	} {
		all = append(all, stemmatest.BundleArtifact(x))
	}
	monotonic(t, s, all)
}

// CVE-2022-35929, CVE-2022-35930: what is required is an attestation of its type, whatever else is valid.
func TestReg_E03_required_type(t *testing.T) {
	text := trusting + reviewerSigner + "  attestations:\n    - {type: " + reviewType + ", by: [reviewer], values: {/result: [accepted]}}\n"
	with := func(x func(s *stage) *stemmatest.Signed) func(*stage) {
		return func(s *stage) {
			s.attach(stemmatest.Vary{})
			s.Attach(s.image, x(s))
		}
	}
	good := with(func(s *stage) *stemmatest.Signed { return s.review(reviewer(), "accepted") })
	one := func(name string, reason stemma.Reason, x func(s *stage) *stemmatest.Signed) reg {
		return reg{name: name, policy: text, control: good, play: with(x), want: fails("attestations.present", reason)}
	}
	typed := func(kind string) func(s *stage) *stemmatest.Signed {
		return func(s *stage) *stemmatest.Signed {
			return s.stated(reviewer(), stemmatest.SPDX(s.Subject(s.image)), func(st *stemmatest.Statement) {
				st.PredicateType, st.Predicate = kind, map[string]any{"result": "accepted"}
			})
		}
	}
	play(
		t,
		one("an SBOM", stemma.ReasonNoAttestation, func(s *stage) *stemmatest.Signed {
			return s.stated(reviewer(), stemmatest.SPDX(s.Subject(s.image)), nil)
		}),
		one("a signature", stemma.ReasonNoAttestation, func(s *stage) *stemmatest.Signed {
			return must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: reviewer()}, s.image.Manifest))
		}),
		one("another version of the type", stemma.ReasonNoAttestation, typed("https://acme.example/image-review/v2")),
		one("the type with a slash", stemma.ReasonNoAttestation, typed(reviewType+"/")),
		one("the type in another case", stemma.ReasonNoAttestation, typed(strings.ToUpper(reviewType))),
		one("the type by somebody else", stemma.ReasonSigner, func(s *stage) *stemmatest.Signed { return s.review(stranger(), "accepted") }),
		one("another result", stemma.ReasonValue, func(s *stage) *stemmatest.Signed { return s.review(reviewer(), "rejected") }),
		reg{name: "provenance is required", policy: text, control: good, play: func(s *stage) { s.Attach(s.image, s.review(reviewer(), "accepted")) }, want: fails("provenance.present", stemma.ReasonNoProvenance)},
	)
}

// CVE-2026-39395: a predicate that is not what its type prescribes passed as one that states nothing.
func TestReg_E04_unparsable(t *testing.T) {
	var cases []reg
	for place, value := range map[string]any{
		"/runDetails/builder": []any{}, "/runDetails": "x", "/buildDefinition": []any{}, "/buildDefinition/buildType": 7, "/buildDefinition/resolvedDependencies": map[string]any{},
		"/buildDefinition/externalParameters": []any{"x"}, "/runDetails/builder/id": map[string]any{}, "/buildDefinition/resolvedDependencies/0/digest": "x",
	} {
		cases = append(cases, reg{name: place, vary: body(place, value), want: rejected(stemma.ReasonMalformed)})
	}
	text := trusting + reviewerSigner + "  attestations:\n    - {type: " + reviewType + ", by: [reviewer], values: {/result: [accepted]}}\n"
	reviewed := func(result any) func(*stage) {
		return func(s *stage) { s.attach(stemmatest.Vary{}); s.Attach(s.image, s.review(reviewer(), result)) }
	}
	for name, result := range map[string]any{"an object": map[string]any{}, "a list": []any{"accepted"}, "null": nil} {
		cases = append(cases, reg{name: "review/" + name, policy: text, control: reviewed("accepted"), play: reviewed(result), want: fails("attestations.present", stemma.ReasonNotStated)})
	}
	// Two members of one name have two readings, and none.
	cases = append(cases, reg{name: "review/a member twice", policy: text, control: reviewed("accepted"), play: func(s *stage) {
		s.attach(stemmatest.Vary{})
		x := s.stated(reviewer(), stemmatest.SPDX(s.Subject(s.image)), func(st *stemmatest.Statement) {
			st.PredicateType, st.Predicate = reviewType, map[string]any{"result": "accepted"}
		})
		twice := strings.Replace(string(x.Envelope.Payload), `{"result":"accepted"}`, `{"result":"rejected","result":"accepted"}`, 1)
		s.Attach(s.image, must[*stemmatest.Signed](s)(s.Sigstore.Attest(stemmatest.Sign{As: reviewer()}, []byte(twice))))
	}, want: fails("attestations.present", stemma.ReasonMalformed)})
	play(t, cases...)
}

// GHSA-r4fv: of two attestations of one type, which came first decided. The order in which they were made, found and
// listed decides nothing.
func TestReg_E05_duplicates(t *testing.T) {
	text := trusting + reviewerSigner + "  attestations:\n    - {type: " + reviewType + ", by: [reviewer], values: {/result: [accepted]}}\n"
	run := func(name string, w want, make func(s *stage) []*stemmatest.Signed) {
		t.Run(name, func(t *testing.T) {
			for range 3 { // signatures are random, and so is the order of their digests
				for _, turned := range []bool{false, true} {
					s := newStage(t)
					s.policy = text
					all := make(s)
					if turned {
						slices.Reverse(all)
					}
					for _, x := range all {
						s.Attach(s.image, x)
					}
					s.expect(w)
				}
			}
		})
	}
	provenance := func(s *stage) *stemmatest.Signed { return s.attest(stemmatest.Vary{}) }
	good := func(s *stage) *stemmatest.Signed { return s.review(reviewer(), "accepted") }
	bad := func(s *stage) *stemmatest.Signed { return s.review(reviewer(), "rejected") }
	run("one good review is enough", want{}, func(s *stage) []*stemmatest.Signed { return []*stemmatest.Signed{provenance(s), bad(s), good(s)} })
	run("by strangers, too", want{}, func(s *stage) []*stemmatest.Signed {
		return []*stemmatest.Signed{provenance(s), s.review(stranger(), "rejected"), good(s)}
	})
	run("two bad ones are none", fails("attestations.present", stemma.ReasonValue), func(s *stage) []*stemmatest.Signed { return []*stemmatest.Signed{provenance(s), bad(s), bad(s)} })
	run("one bad provenance is too many", fails("provenance.agreement", stemma.ReasonDisagreement), func(s *stage) []*stemmatest.Signed {
		return []*stemmatest.Signed{provenance(s), s.attest(build(func(g *stemmatest.GitHub) { g.Repository = "acme/other" })), good(s)}
	})
	run("the same provenance twice is one", want{}, func(s *stage) []*stemmatest.Signed {
		return []*stemmatest.Signed{provenance(s), provenance(s), good(s)}
	})
}

// GHSA-c346: one attestation in three places is one, and one signer who says it thrice is one signer.
func TestReg_E06_quorum(t *testing.T) {
	text := trusting + reviewerSigner + "    second: {oidc: {issuer: https://accounts.google.com, subject: second@acme.example}}\n  attestations:\n    - {type: " + reviewType + ", by: {atLeast: 2, of: [reviewer, second]}}\n"
	second := stemmatest.Email{Address: "second@acme.example"}
	reviews := func(make func(s *stage)) func(*stage) {
		return func(s *stage) {
			s.attach(stemmatest.Vary{})
			make(s)
		}
	}
	good := reviews(func(s *stage) {
		s.Attach(s.image, s.review(reviewer(), "accepted"))
		s.Attach(s.image, s.review(second, "accepted"))
	})
	one := func(name string, make func(s *stage)) reg {
		return reg{name: name, policy: text, control: good, play: reviews(make), want: fails("attestations.present", stemma.ReasonThreshold)}
	}
	play(
		t,
		one("one", func(s *stage) { s.Attach(s.image, s.review(reviewer(), "accepted")) }),
		one("found in three places", func(s *stage) {
			x := s.review(reviewer(), "accepted")
			s.Attach(s.image, x)
			_, err := s.image.AttachFallback(stemmatest.BundleArtifact(x))
			check(s, err)
			s.request.Evidence = append(s.request.Evidence, policy.File{Name: "review.json", Data: x.Bundle()})
		}),
		one("said thrice by one", func(s *stage) {
			for range 3 {
				s.Attach(s.image, s.review(reviewer(), "accepted"))
			}
		}),
		one("the second by another issuer", func(s *stage) {
			s.Attach(s.image, s.review(reviewer(), "accepted"))
			s.Attach(s.image, s.review(stemmatest.Email{Address: second.Address, Issuer: stemmatest.GitHubLoginIssuer}, "accepted"))
		}),
		one("the second about another image", func(s *stage) {
			s.Attach(s.image, s.review(reviewer(), "accepted"))
			about := s.image
			s.image = s.Image
			x := s.review(second, "accepted")
			s.image = about
			s.Attach(s.image, x)
		}),
	)
}
