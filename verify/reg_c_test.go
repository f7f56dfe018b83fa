package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"stemma"
	"stemma/stemmatest"
)

// Group C of the regression cases: who built it. Every certificate here is genuine and every signature valid.

func build(change func(g *stemmatest.GitHub)) stemmatest.Vary { return stemmatest.Vary{Build: change} }

func certificate(change func(c *stemmatest.Certificate)) stemmatest.Vary {
	return stemmatest.Vary{Certificate: change}
}

const (
	trustedWorkflow = "trusted/builders/.github/workflows/build.yml"
	trustedSAN      = "https://github.com/" + trustedWorkflow + "@refs/tags/v1.2.3"
)

// san is a certificate whose name and Build Signer URI are another text.
func san(text string) stemmatest.Vary {
	return certificate(func(c *stemmatest.Certificate) { c.URIs, c.Extensions[9] = []string{text}, text })
}

// CVE-2026-22772, CVE-2026-25542: an expression that was not anchored matched a URL inside of a URL.
func TestReg_C01_unanchored(t *testing.T) {
	var cases []reg
	for _, text := range []string{
		"https://evil.com/?" + trustedSAN, "https://evil.com/#" + trustedSAN, "https://evil.com/" + trustedSAN,
		trustedSAN + "/../../evil/x/.github/workflows/y.yml@refs/tags/v1.0.0", "x" + trustedSAN,
		in(trustedSAN, "https:", "http:"), in(trustedSAN, "github.com", "github.com.evil.com"), in(trustedSAN, "https://github.com", "https://github.com@evil.com"),
		in(trustedSAN, "github.com/", "github.com//"), in(trustedSAN, "trusted/", "x/../trusted/"), in(trustedSAN, "/builders", "%2Fbuilders"),
		in(trustedSAN, "github.com", "GITHUB.COM"),
	} {
		w := fails("builder.approved", stemma.ReasonBuilder)
		if strings.HasPrefix(text, trustedSAN) {
			w.reason = stemma.ReasonBuilderRef
		}
		cases = append(cases, reg{name: text, vary: san(text), want: w})
	}
	play(t, cases...)
}

// slsa-verifier: "append A", "prepend A", "middle A". fulcio config_test: a dot is a dot.
func TestReg_C02_names_alike(t *testing.T) {
	var cases []reg
	for _, path := range []string{
		"trusted-evil/builders/.github/workflows/build.yml", "trustedX/builders/.github/workflows/build.yml", "Xtrusted/builders/.github/workflows/build.yml",
		"truXsted/builders/.github/workflows/build.yml", "truste/builders/.github/workflows/build.yml", "trusted/builders2/.github/workflows/build.yml",
		"trusted/builders/.github/workflows/build.yaml", "trusted/builders/.github/workflows/xbuild.yml", "trusted/builders/.github/workflows/Build.yml",
		// C03
		"trusted/builders/.github/workflows/buildXyml", "trusted/builders/Xgithub/workflows/build.yml", "trusted/builders/.github/workflows/build.yml.x",
	} {
		cases = append(cases, reg{
			name: path, vary: build(func(g *stemmatest.GitHub) { g.Builder = path + "@refs/tags/v1.2.3" }), want: fails("builder.approved", stemma.ReasonBuilder),
		})
	}
	// Owner and repository name the same on GitHub in any case.
	cases = append(cases, reg{name: "owner in another case", vary: build(func(g *stemmatest.GitHub) {
		g.Builder = "Trusted/Builders/.github/workflows/build.yml@refs/tags/v1.2.3"
	})})
	play(t, cases...)
	s := newStage(t)
	s.attach(san("https://githubXcom/" + trustedWorkflow + "@refs/tags/v1.2.3"))
	s.expect(fails("builder.approved", stemma.ReasonBuilder))
}

// CVE-2025-29778: a policy that had only expressions was not enforced. Here an expression is no pattern, and a pattern
// that says too much is refused.
func TestReg_C04_expressions(t *testing.T) {
	for _, pattern := range []string{
		`^https://github.com/trusted/.*`, `trusted/builders/.github/workflows/.*\\.yml`, `trusted/(builders|x)/.github/workflows/build.yml`,
		"**", "*", "*/*/.github/workflows/*", "https://github.com/" + trustedWorkflow,
	} {
		s := newStage(t)
		s.policy = in(trusting, "workflow: "+trustedWorkflow, fmt.Sprintf("workflow: %q", pattern))
		s.attach(stemmatest.Vary{})
		// Parentheses are letters like others, and match no workflow.
		if r, err := s.run(); err == nil && r.Decision.Verdict != stemma.Deny {
			t.Errorf("%s: %s", pattern, r.Decision.Verdict)
		}
	}
	s := newStage(t)
	s.attach(stemmatest.Vary{})
	s.expect(want{})
}

// GHSA-mpvw, sigstore-go: an identity without an issuer or a subject.
func TestReg_C05_empty_identity(t *testing.T) {
	for name, identity := range map[string]string{
		"no subject": "oidc: {issuer: https://issuer.example}", "empty subject": `oidc: {issuer: "https://issuer.example", subject: ""}`,
		"no issuer": "oidc: {subject: a@b.example}", "empty issuer": `oidc: {issuer: "", subject: a@b.example}`, "nothing": "level: 2", "no keys": "keys: []",
		"no workflow": "github: {workflowRefs: [refs/tags/v1]}", "no ref": "github: {workflow: " + trustedWorkflow + "}", "empty ref": "github: {workflow: " + trustedWorkflow + `, workflowRefs: [""]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			before, rest, _ := strings.Cut(trusting, "      github:\n")
			_, after, _ := strings.Cut(rest, "      level: 3\n")
			s.policy = before + "      " + identity + "\n" + after
			refusedAtStart(t, s, "")
		})
	}
	bad := rejected(stemma.ReasonCertificateInvalid)
	play(
		t,
		reg{name: "certificate without issuer", want: bad, vary: certificate(func(c *stemmatest.Certificate) {
			delete(c.Extensions, 1)
			delete(c.Extensions, 8)
		})},
		reg{name: "certificate with an empty issuer", want: bad, vary: certificate(func(c *stemmatest.Certificate) { delete(c.Extensions, 1); c.Extensions[8] = "" })},
		reg{name: "certificate without name", want: bad, vary: certificate(func(c *stemmatest.Certificate) { c.URIs = nil })},
		// C15: which of two names is the signer's?
		reg{name: "C15 summarize.go/two names, the first trusted", want: bad, vary: certificate(func(c *stemmatest.Certificate) { c.URIs = append(c.URIs, "https://evil.example/") })},
		reg{name: "C15 two names, the second trusted", want: bad, vary: certificate(func(c *stemmatest.Certificate) { c.URIs = append([]string{"https://evil.example/"}, c.URIs...) })},
		reg{name: "C15 a name and an address", want: bad, vary: certificate(func(c *stemmatest.Certificate) { c.Emails = []string{"a@evil.example"} })},
		// C16
		reg{name: "C16 extensions.go/issuers disagree", want: bad, vary: certificate(func(c *stemmatest.Certificate) { c.Extensions[1] = "https://accounts.google.com" })},
		reg{name: "C16 issuers disagree the other way", want: bad, vary: certificate(func(c *stemmatest.Certificate) { c.Extensions[8] = "https://accounts.google.com" })},
		reg{name: "C16 one issuer only", vary: certificate(func(c *stemmatest.Certificate) { delete(c.Extensions, 1) })},
	)
}

// Client specification: the same subject, by another issuer.
func TestReg_C06_wrong_issuer(t *testing.T) {
	var cases []reg
	for _, issuer := range []string{
		"https://accounts.google.com", "https://gitlab.acme.example", stemmatest.GitHubIssuer + "/hammer-time", stemmatest.GitHubIssuer + "/",
		"https://token.actions.githubusercontent.com.evil.com", "http://token.actions.githubusercontent.com", "https://token.actions.acme.ghe.com",
	} {
		cases = append(cases, reg{name: issuer, vary: build(func(g *stemmatest.GitHub) { g.Issuer = issuer }), want: fails("builder.approved", stemma.ReasonIssuer)})
	}
	play(t, cases...)
}

// cli/cli#9045: a trusted reusable workflow builds for whoever calls it.
func TestReg_C07_caller(t *testing.T) {
	evil := func(g *stemmatest.GitHub) {
		g.Repository, g.SHA, g.OwnerID, g.RepositoryID = "evil/app", "", "666", "667"
	}
	owned := in(trusting, "        runner: github-hosted\n", "        runner: github-hosted\n        caller: {ownerID: \"9001000\", repositoryID: \"700100200\"}\n")
	play(
		t,
		reg{name: "cli#9045", vary: build(evil), want: fails("source.repository", stemma.ReasonRepository)},
		reg{name: "another repository of the owner", vary: build(func(g *stemmatest.GitHub) { g.Repository, g.SHA = "acme/app2", "" }), want: fails("source.repository", stemma.ReasonRepository)},
		reg{name: "caller is named", policy: owned, vary: build(evil), want: fails("builder.approved", stemma.ReasonCaller)},
		reg{name: "owner's name taken over", policy: owned, vary: build(func(g *stemmatest.GitHub) { g.OwnerID = "666" }), want: fails("builder.approved", stemma.ReasonCaller)},
		reg{name: "repository's name taken over", policy: owned, vary: build(func(g *stemmatest.GitHub) { g.RepositoryID = "666" }), want: fails("builder.approved", stemma.ReasonCaller)},
		reg{name: "not stated", policy: owned, vary: certificate(func(c *stemmatest.Certificate) { delete(c.Extensions, 17) }), want: fails("builder.approved", stemma.ReasonNotStated)},
	)
}

// A workflow that somebody added to the source's own repository.
func TestReg_C08_local_workflow(t *testing.T) {
	play(
		t,
		reg{name: "rogue workflow", vary: build(func(g *stemmatest.GitHub) {
			g.Workflow, g.Builder = ".github/workflows/x.yml", "acme/app/.github/workflows/x.yml@refs/tags/v2.0.0"
		}), want: fails("builder.approved", stemma.ReasonBuilder)},
		reg{name: "of the same name", vary: build(func(g *stemmatest.GitHub) { g.Builder = "acme/app/.github/workflows/build.yml@refs/tags/v1.2.3" }), want: fails("builder.approved", stemma.ReasonBuilder)},
		reg{name: "fork of the builders", vary: build(func(g *stemmatest.GitHub) { g.Builder = "acme/builders/.github/workflows/build.yml@refs/tags/v1.2.3" }), want: fails("builder.approved", stemma.ReasonBuilder)},
	)
}

// slsa-verifier verifyTrustedBuilderRef: the right workflow at a ref that anybody can make.
func TestReg_C09_ref(t *testing.T) {
	var cases []reg
	commit := stemmatest.Commit("fork")
	at := func(ref string) stemmatest.Vary {
		return build(func(g *stemmatest.GitHub) { g.Builder = trustedWorkflow + "@" + ref })
	}
	for _, ref := range []string{
		"refs/heads/dev", "refs/heads/v1.2.3", "refs/tags/v2.0.0", "refs/tags/v1", "refs/pull/7/merge", "refs/heads/x@refs/tags/v1.2.3", "refs/tags/v1.2/3", "v1.2.3", commit, commit[:7],
	} {
		cases = append(cases, reg{name: ref, vary: at(ref), want: fails("builder.approved", stemma.ReasonBuilderRef)})
	}
	pinned := in(trusting, `workflowRefs: ["refs/tags/v1.*"]`, "workflowCommits: ["+commit+"]")
	listed := func(s *stage) { s.attach(at(commit)) }
	cases = append(
		cases,
		reg{name: "commit that is listed", policy: pinned, control: listed, vary: stemmatest.Vary{}, want: fails("builder.approved", stemma.ReasonBuilderRef)},
		reg{name: "commit that is another", policy: pinned, control: listed, vary: at(stemmatest.Commit("x")), want: fails("builder.approved", stemma.ReasonBuilderRef)},
	)
	play(t, cases...)
}

// attest#539: the body names the trusted builder, the certificate another.
func TestReg_C10_builder_lie(t *testing.T) {
	rogue := "https://github.com/evil/x/.github/workflows/y.yml@refs/tags/v1.2.3"
	lie := stemmatest.Vary{
		Build:     func(g *stemmatest.GitHub) { g.Builder = strings.TrimPrefix(rogue, "https://github.com/") },
		Statement: func(s *stemmatest.Statement) { s.Set("/runDetails/builder/id", trustedSAN) },
	}
	play(
		t,
		reg{name: "attest#539", vary: lie, want: fails("builder.approved", stemma.ReasonBuilder)},
		reg{name: "attest#539 contradicts itself", vary: lie, want: fails("provenance.consistent", stemma.ReasonContradiction)},
		reg{name: "the other way round", want: fails("provenance.consistent", stemma.ReasonContradiction), vary: stemmatest.Vary{
			Statement: func(s *stemmatest.Statement) { s.Set("/runDetails/builder/id", rogue) },
		}},
		reg{name: "name and Build Signer URI disagree", want: fails("provenance.consistent", stemma.ReasonContradiction), vary: certificate(func(c *stemmatest.Certificate) { c.Extensions[9] = rogue })},
	)
}

// Fulcio .11 and Mini Shai-Hulud (C12): on which machine and by which event.
func TestReg_C11_runner_and_trigger(t *testing.T) {
	var cases []reg
	for _, runner := range []string{"self-hosted", "GitHub-hosted", "github-hosted "} {
		cases = append(cases, reg{name: "C11 " + runner, vary: build(func(g *stemmatest.GitHub) { g.Runner = runner }), want: fails("builder.runner", stemma.ReasonRunner)})
	}
	for _, event := range []string{"pull_request_target", "workflow_run", "pull_request", "issue_comment", "PUSH", "pushx", "schedule"} {
		cases = append(cases, reg{name: "C12 " + event, vary: build(func(g *stemmatest.GitHub) { g.Event = event }), want: fails("builder.trigger", stemma.ReasonTrigger)})
	}
	play(t, append(
		cases,
		reg{name: "C12 release", vary: build(func(g *stemmatest.GitHub) { g.Event = "release" })},
		// The predicate says what is wanted, and the certificate does not.
		reg{name: "C11 said by the predicate only", vary: certificate(func(c *stemmatest.Certificate) { delete(c.Extensions, 11) }), want: fails("builder.runner", stemma.ReasonNotStated)},
		reg{name: "C12 said by the predicate only", vary: certificate(func(c *stemmatest.Certificate) { delete(c.Extensions, 20); delete(c.Extensions, 2) }), want: fails("builder.trigger", stemma.ReasonNotStated)},
		reg{name: "C12 said by the predicate otherwise", vary: certificate(func(c *stemmatest.Certificate) {
			c.Extensions[20], c.Extensions[2] = "pull_request_target", "pull_request_target"
		}), want: fails("builder.trigger", stemma.ReasonTrigger)},
	)...)
}

// SLSA: a builder is believed up to a level, and one that its tenant controls not beyond level 2.
func TestReg_C14_level(t *testing.T) {
	own := func(s *stage) {
		s.attach(build(func(g *stemmatest.GitHub) {
			g.Builder = "acme/app/.github/workflows/release.yml@refs/tags/v2.0.0"
			g.BuilderSHA = g.SHA
		}))
	}
	ownPolicy := in(in(trusting, trustedWorkflow, "acme/app/.github/workflows/release.yml"), "refs/tags/v1.*", "refs/tags/v*")
	for text, w := range map[string]want{
		in(trusting, "      level: 3\n", "      level: 2\n"): fails("provenance.level", stemma.ReasonLevel),
		in(trusting, "      level: 3\n", ""):                 fails("provenance.level", stemma.ReasonLevel),
		ownPolicy:                                            fails("provenance.level", stemma.ReasonLevel),
	} {
		attest := func(s *stage) { s.attach(stemmatest.Vary{}) }
		if text == ownPolicy {
			attest = own
		}
		play(t, reg{name: "level 3 is wanted", policy: text, want: w, play: attest, control: func(s *stage) {
			s.policy = in(s.policy, "level: 3, maxAge", "level: 2, maxAge")
			attest(s)
		}})
	}
}

// The certificate is the identity provider's word, the predicate the job's. Where they differ, one of them lies.
func TestReg_D06_contradictions(t *testing.T) {
	var cases []reg
	for pointer, value := range map[string]any{
		"/buildDefinition/externalParameters/workflow/repository":       "https://github.com/evil/app",
		"/buildDefinition/externalParameters/workflow/ref":              "refs/tags/v9.9.9",
		"/buildDefinition/externalParameters/workflow/path":             ".github/workflows/other.yml",
		"/buildDefinition/resolvedDependencies/0/uri":                   "git+https://github.com/evil/app@refs/tags/v2.0.0",
		"/buildDefinition/resolvedDependencies/0/digest":                map[string]any{"gitCommit": stemmatest.Commit("evil")},
		"/buildDefinition/internalParameters/github/event_name":         "pull_request",
		"/buildDefinition/internalParameters/github/runner_environment": "self-hosted",
		"/runDetails/builder/id":                                        "https://github.com/evil/x/.github/workflows/y.yml@refs/tags/v1.2.3",
		"/runDetails/metadata/invocationId":                             "https://github.com/acme/app/actions/runs/1/attempts/1",
		"/buildDefinition/resolvedDependencies/0/digest/gitCommit":      strings.Repeat("0", 40),
		"/buildDefinition/externalParameters/workflow/repository#fork":  "https://github.com/acme/app2",
	} {
		at, _, _ := strings.Cut(pointer, "#")
		w := fails("provenance.consistent", stemma.ReasonContradiction)
		cases = append(cases, reg{name: pointer, want: w, vary: stemmatest.Vary{Statement: func(s *stemmatest.Statement) { s.Set(at, value) }}})
	}
	for n, value := range map[int]string{12: "https://github.com/acme/other", 13: stemmatest.Commit("x"), 14: "refs/tags/v2.0.9", 21: "https://github.com/acme/app/actions/runs/2/attempts/1"} {
		w := fails("provenance.consistent", stemma.ReasonContradiction)
		cases = append(cases, reg{name: fmt.Sprintf("certificate .%d", n), want: w, vary: certificate(func(c *stemmatest.Certificate) { c.Extensions[n] = value })})
	}
	// Written otherwise is not a contradiction.
	for _, same := range []string{"git+https://github.com/acme/app.git@refs/tags/v2.0.0", "git+https://GitHub.com/acme/app@refs/tags/v2.0.0", "git+https://github.com:443/Acme/App@refs/tags/v2.0.0"} {
		cases = append(cases, reg{name: same, vary: stemmatest.Vary{Statement: func(s *stemmatest.Statement) { s.Set("/buildDefinition/resolvedDependencies/0/uri", same) }}})
	}
	play(t, cases...)

	// What names no repository at all is left out of the claims, and said in a note; the certificate decides.
	s := newStage(t)
	s.attach(stemmatest.Vary{Statement: func(st *stemmatest.Statement) {
		st.Set("/buildDefinition/externalParameters/workflow/repository", "https://github.com/acme/app/x")
	}})
	if r := s.expect(want{}); len(r.Evidence.Provenance[0].Notes) == 0 {
		t.Error("a source that is no repository is passed over in silence")
	}
}

// TestClaimGrades: what the certificate says is graded so, for a reusable and for a workflow of the source's own.
func TestClaimGrades(t *testing.T) {
	for name, builder := range map[string]string{"reusable": trustedWorkflow + "@refs/tags/v1.2.3", "own": "acme/app/.github/workflows/release.yml@refs/tags/v2.0.0"} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.attach(build(func(g *stemmatest.GitHub) { g.Builder = builder }))
			r, err := s.run()
			check(t, err)
			// The job writes its own predicate in its own workflow; in a reusable one its builder does.
			others := stemma.SaidByBuilder
			if name == "own" {
				others = stemma.SaidByTenant
			}
			claims := r.Evidence.Provenance[0].Claims
			for field, value := range map[stemma.Field]string{
				stemma.FieldBuilder: "https://github.com/" + builder, stemma.FieldRepository: "github.com/acme/app", stemma.FieldRef: "refs/tags/v2.0.0",
				stemma.FieldCommit: s.Build.SHA, stemma.FieldEntryPoint: ".github/workflows/release.yml", stemma.FieldTrigger: "push",
				stemma.FieldRunner: "github-hosted", stemma.FieldRun: "https://github.com/acme/app/actions/runs/15920000001/attempts/1",
			} {
				c := claims[field]
				if c.Value != value || c.By != stemma.SaidByCertificate || len(c.Others) == 0 || c.Contradicted() != nil {
					t.Errorf("%s: %+v, want %s by the certificate", field, c, value)
				}
				for _, o := range c.Others {
					if o.By != stemma.SaidByCertificate && o.By != others {
						t.Errorf("%s: %s says it as %s, want %s", field, o.Where, o.By, others)
					}
				}
			}
		})
	}
}
