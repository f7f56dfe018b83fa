package verify_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
)

// Managed keys, trust domains beside the public one, identities that are no GitHub workflow, and signatures.

// bare is a signature that comes with nothing.
func bare(key *stemmatest.Signer) stemmatest.Sign {
	return stemmatest.Sign{With: key, Entry: stemmatest.NotLogged, NoTimestamp: true}
}

// byKey attaches provenance of the builder with a key.
func (s *stage) byKey(sign stemmatest.Sign, change func(st *stemmatest.Statement)) {
	s.Helper()
	st := generic(s.Subject(s.image))
	if change != nil {
		change(st)
	}
	s.Attach(s.image, must[*stemmatest.Signed](s)(s.Sigstore.Attest(sign, st.JSON())))
}

func TestManagedKeys(t *testing.T) {
	key, other := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "ci-2026")), must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "other"))
	impostor := *other
	impostor.Hint = key.Hint
	good := func(s *stage) { s.byKey(bare(key), nil) }
	with := func(sign stemmatest.Sign, change func(st *stemmatest.Statement)) func(s *stage) {
		return func(s *stage) { s.byKey(sign, change) }
	}
	set := func(pointer string, value any) func(s *stage) {
		return with(bare(key), func(st *stemmatest.Statement) { st.Set(pointer, value) })
	}
	text := keyed(key)
	both := in(keyed(key), "    - name: ci\n", "    - name: elsewhere\n      requires: {log: none, timestamp: none, sct: none}\n      time: none\n      keys: [{name: other, pem: \""+
		strings.ReplaceAll(string(other.PublicKeyPEM()), "\n", `\n`)+"\"}]\n    - name: ci\n")
	two := in(in(both, "by: [ci]", "by: [ci, far]"), "builders:\n", "builders:\n    far: {trust: elsewhere, keys: [other], id: \"https://far.example/\"}\n")
	for _, alg := range []stemmatest.Algorithm{stemmatest.ECDSAP384, stemmatest.ECDSAP521, stemmatest.RSA2048, stemmatest.Ed25519} {
		s := newStage(t)
		k := s.key(alg, "k")
		s.policy = keyed(k)
		s.byKey(bare(k), nil)
		if d := s.expect(want{}).Decision; d.Level != 2 || !slices.Equal(d.Skipped, []string{"trust domain ci does not require: log, timestamp, sct", "trust domain ci proves no signing time"}) {
			t.Errorf("level %d, skipped %q", d.Level, d.Skipped)
		}
	}
	play(
		t,
		reg{name: "wrong key under the same name", policy: text, control: good, play: with(bare(&impostor), nil), want: rejected(stemma.ReasonSignatureInvalid)},
		reg{name: "key that is not known", policy: text, control: good, play: with(bare(other), nil), want: rejected(stemma.ReasonSignerUnknown)},
		reg{name: "key of another domain", policy: two, control: good, play: with(bare(other), nil), want: fails("builder.approved", stemma.ReasonBuilder)},
		reg{name: "key of another domain with the id of this", policy: two, control: good, play: func(s *stage) {
			s.policy = in(s.policy, "[ci, far]", "[ci]")
			s.policy = in(s.policy, "  provenance:", "  signers:\n    far-signer: {trust: elsewhere, keys: [other]}\n  signature: {by: [far-signer]}\n  provenance:")
			s.byKey(bare(other), nil)
		}, want: fails("builder.approved", stemma.ReasonTrustDomain)},
		reg{name: "C17 another builder.id", policy: text, control: good, play: set("/runDetails/builder/id", "https://jenkins.acme.example"), want: fails("builder.approved", stemma.ReasonBuilder)},
		reg{name: "C17 builder.id that begins alike", policy: text, control: good, play: set("/runDetails/builder/id", "https://ci.acme.example/builder2"), want: fails("builder.approved", stemma.ReasonBuilder)},
		reg{name: "another repository", policy: text, control: good, play: func(s *stage) {
			s.byKey(bare(key), func(st *stemmatest.Statement) {
				*st = *stemmatest.Generic{BuilderID: "https://ci.acme.example/builder", Repository: "https://git.acme.example/evil/app", Ref: "refs/tags/v1", Commit: stemmatest.Commit("x")}.Statement(st.Subject...)
			})
		}, want: fails("source.repository", stemma.ReasonRepository)},
		reg{name: "certificate's word is wanted", policy: text, control: good, play: func(s *stage) {
			s.policy = in(s.policy, ", saidBy: tenant", "")
			good(s)
		}, want: fails("source.repository", stemma.ReasonSaidBy)},
		reg{name: "B01 another image", policy: text, control: good, play: with(bare(key), func(st *stemmatest.Statement) {
			st.Subject[0].Digest["sha256"] = stemma.SHA256(nil).Hex()
		}), want: rejected(stemma.ReasonSubjectMismatch)},
		reg{name: "age without time", policy: in(text, "level: 2}\n  source", "level: 2, maxAge: 30d}\n  source"), control: func(s *stage) {
			s.policy = text
			good(s)
		}, play: good, want: want{verdict: stemma.Undetermined, rule: "provenance.age", reason: stemma.ReasonNoTime}},
	)
}

// CVE-2026-54787: a managed key counts only inside of its window, by the proven time where there is one, and by today's
// date where the domain proves none.
func TestReg_A10_key_window(t *testing.T) {
	key := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "ci-2026"))
	stamped := stemmatest.Sign{With: key, Entry: stemmatest.NotLogged}
	for mode, c := range map[string]struct {
		requires string
		sign     stemmatest.Sign
	}{
		"timestamp": {"requires: {log: none, sct: none}", stamped},
		"no time":   {"requires: {log: none, timestamp: none, sct: none}\n      time: none", bare(key)},
		"log entry": {"requires: {timestamp: none, sct: none}", stemmatest.Sign{With: key, NoTimestamp: true}},
	} {
		for window, w := range map[string]want{
			"from: 2026-01-01 until: 2026-12-31": {},
			"from: 2026-06-01 until: 2026-06-01": {}, // dates are inclusive
			"from: 2020-01-01 until: 2021-12-31": rejected(stemma.ReasonKeyTime),
			"from: 2026-06-02":                   rejected(stemma.ReasonKeyTime),
			"until: 2026-05-31":                  rejected(stemma.ReasonKeyTime),
		} {
			lines := ""
			for _, field := range strings.SplitAfter(window, " until") {
				field = strings.TrimSuffix(field, " until")
				if strings.HasPrefix(field, ": ") {
					field = "until" + field
				}
				lines += "          " + strings.TrimSpace(field) + "\n"
			}
			play(t, reg{name: mode + "/" + window, want: w, control: func(s *stage) {
				s.policy = keyedBy(c.requires, "", key)
				s.roots = map[string][]byte{"ci": s.Sigstore.TrustedRoot()}
				s.byKey(c.sign, nil)
			}, play: func(s *stage) {
				s.policy = keyedBy(c.requires, lines, key)
				s.roots = map[string][]byte{"ci": s.Sigstore.TrustedRoot()}
				s.byKey(c.sign, nil)
			}})
		}
		if mode == "no time" {
			continue
		}
		// What the domain requires is never met by asking for less.
		play(t, reg{name: mode + "/nothing of the kind", want: rejected(map[string]stemma.Reason{"timestamp": stemma.ReasonTimeMissing, "log entry": stemma.ReasonLogMissing}[mode]), control: func(s *stage) {
			s.policy = keyedBy(c.requires, "", key)
			s.roots = map[string][]byte{"ci": s.Sigstore.TrustedRoot()}
			s.byKey(c.sign, nil)
		}, play: func(s *stage) {
			s.policy = keyedBy(c.requires, "", key)
			s.roots = map[string][]byte{"ci": s.Sigstore.TrustedRoot()}
			s.byKey(bare(key), nil)
		}})
	}
	// The time of the decision does not heal what is proven, and ages what is not.
	late := func(mode string, sign stemmatest.Sign, w want) {
		s := newStage(t)
		s.policy = keyedBy(mode, "          until: 2026-06-30\n", key)
		s.roots = map[string][]byte{"ci": s.Sigstore.TrustedRoot()}
		s.byKey(sign, nil)
		s.expect(want{})
		s.request.Situation.At = s.Now.AddDate(1, 0, 0)
		s.expect(w)
	}
	late("requires: {log: none, sct: none}", stamped, want{})
	late("requires: {log: none, timestamp: none, sct: none}\n      time: none", bare(key), rejected(stemma.ReasonKeyTime))
}

// signedBy requires signatures of two of three signers, each with a key.
func signedBy(keys ...*stemmatest.Signer) string {
	text, _, _ := strings.Cut(keyedBy("requires: {log: none, timestamp: none, sct: none}\n      time: none", "", keys...), "  match:")
	text += "  match: {images: [\"ghcr.io/acme/{service}\"]}\n  signers:\n"
	var names []string
	for _, k := range keys {
		names = append(names, "by-"+k.Hint)
		text += "    by-" + k.Hint + ": {trust: ci, keys: [" + k.Hint + "]}\n"
	}
	return text + "  signature: {by: {atLeast: 2, of: [" + strings.Join(names, ", ") + "]}}\n"
}

// GHSA-3633: one key under two names, or one signature twice, is one signer. A26, GHSA-2v4r: an entry that did not
// verify is not counted, whoever it names.
func TestReg_A08_thresholds(t *testing.T) {
	var keys []*stemmatest.Signer
	for _, name := range []string{"review", "release", "third", "stranger"} {
		keys = append(keys, must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, name)))
	}
	text := signedBy(keys[:3]...)
	each := func(by ...*stemmatest.Signer) func(s *stage) {
		return func(s *stage) {
			for _, k := range by {
				s.Attach(s.image, must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(bare(k), s.image.Manifest)))
			}
		}
	}
	one := func(edit func(e *stemmatest.Envelope), by ...*stemmatest.Signer) func(s *stage) {
		return func(s *stage) {
			st := generic(s.Subject(s.image))
			st.PredicateType, st.Predicate = stemma.PredicateCosignSign, map[string]any{}
			e := must[*stemmatest.Envelope](s)(stemmatest.Seal(stemmatest.PayloadTypeInToto, st.JSON(), by...))
			if edit != nil {
				edit(e)
			}
			s.request.Evidence = []policy.File{{Name: "envelope.json", Data: e.JSON()}}
		}
	}
	review, release, stranger := keys[0], keys[1], keys[3]
	few := fails("signature.by", stemma.ReasonThreshold)
	play(
		t,
		reg{name: "one signer", policy: text, control: each(review, release), play: each(review), want: few},
		reg{name: "one signer twice", policy: text, control: each(review, release), play: each(review, review), want: few},
		reg{name: "one and a stranger", policy: text, control: each(review, release), play: each(review, stranger), want: few},
		reg{name: "envelope/one signer twice", policy: text, control: one(nil, review, release), play: one(nil, review, review), want: few},
		reg{name: "envelope/one and a stranger", policy: text, control: one(nil, review, release), play: one(nil, review, stranger), want: few},
		reg{name: "A26 GHSA-2v4r/envelope/right name, bad signature", policy: text, control: one(nil, review, release), play: one(func(e *stemmatest.Envelope) {
			e.Signatures[1].Sig[10] ^= 1
			e.Signatures[1].KeyID = release.Hint
		}, review, release), want: few},
		reg{name: "A26 one signature under the names of both", policy: text, control: one(nil, review, release), play: one(func(e *stemmatest.Envelope) {
			e.Signatures = append(e.Signatures, e.Signatures[0])
			e.Signatures[0].KeyID, e.Signatures[1].KeyID = review.Hint, release.Hint
		}, review), want: few},
		reg{name: "in two places at once", policy: text, control: each(review, release), play: func(s *stage) {
			each(review)(s)
			x := must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(bare(review), s.image.Manifest))
			_, err := s.image.AttachFallback(stemmatest.BundleArtifact(x))
			check(s, err)
		}, want: few},
		reg{name: "strangers only", policy: text, control: each(release, review), play: each(stranger), want: fails("signature.by", stemma.ReasonSignerUnknown)},
	)
	twin := *review
	twin.Hint = "again"
	s := newStage(t)
	s.policy = signedBy(review, &twin)
	refusedAtStart(t, s, "same key")
}

// GitHub's own instance has neither log nor certificate log, and a timestamp. What one domain does without, another does
// not: there is no falling back between them.
func TestTrustDomains(t *testing.T) {
	onGitHub := in(trusting, "      github:\n", "      trust: github\n      github:\n")
	either := in(trusting, "  provenance: {by: [trusted-builder]", `    inner-builder:
      trust: github
      github:
        workflow: trusted/builders/.github/workflows/build.yml
        workflowRefs: ["refs/tags/v1.*"]
      level: 3
  provenance: {by: [trusted-builder, inner-builder]`)
	foreign := must[*stemmatest.Sigstore](t)(stemmatest.NewSigstore(stemmatest.Config{Domain: "github.test"}))
	setup := func(s *stage) { s.roots = map[string][]byte{policy.GitHubTrust: foreign.TrustedRoot()} }
	with := func(instance *stemmatest.Sigstore, sct bool, sign stemmatest.Sign) func(s *stage) {
		return func(s *stage) {
			cert := s.Build.Certificate()
			if !sct {
				cert.CT = []*stemmatest.CTLog{}
			}
			from, sign := instance, sign
			sign.As = cert
			if from == nil {
				from = s.Sigstore
			}
			s.Attach(s.image, must[*stemmatest.Signed](s)(from.Attest(sign, stemmatest.ActionsAttest(s.Build, s.Subject(s.image)).JSON())))
		}
	}
	// The authorities of two instances have the same names, so that their signers differ by serial number only.
	unlike := func(s *stage, of *stemmatest.Sigstore) *stemmatest.TSA {
		return must[*stemmatest.TSA](s)(of.TSA.WithUsage(of.TSARoot, true, stemmatest.UsageTimeStamping))
	}
	stampOnly := stemmatest.Sign{Entry: stemmatest.NotLogged}
	inner := with(foreign, false, stampOnly)
	outer := with(nil, true, stemmatest.Sign{})
	play(
		t,
		reg{name: "timestamp only", policy: onGitHub, setup: setup, control: inner, play: with(foreign, false, stemmatest.Sign{Entry: stemmatest.NotLogged, NoTimestamp: true}), want: rejected(stemma.ReasonTimeMissing)},
		reg{name: "time of its log in place of a timestamp", policy: onGitHub, setup: setup, control: inner, play: with(foreign, false, stemmatest.Sign{NoTimestamp: true}), want: rejected(stemma.ReasonTimeMissing)},
		reg{name: "timestamp of the other instance", policy: onGitHub, setup: setup, control: inner, play: func(s *stage) {
			mixed := *foreign
			mixed.TSA = unlike(s, s.Sigstore)
			with(&mixed, false, stampOnly)(s)
		}, want: rejected(stemma.ReasonTimeMissing)},
		reg{name: "public evidence where the inner builder is wanted", policy: onGitHub, setup: func(s *stage) {
			setup(s)
			s.policy = in(either, "[trusted-builder, inner-builder]", "[inner-builder]")
		}, control: inner, play: outer, want: rejected(stemma.ReasonSignerUnknown)},
		reg{name: "inner evidence where the public builder is wanted", setup: setup, control: outer, play: inner, want: rejected(stemma.ReasonSignerUnknown)},
		reg{name: "public without log entry", policy: either, setup: setup, control: outer, play: with(nil, true, stampOnly), want: rejected(stemma.ReasonLogMissing)},
		reg{name: "public without certificate timestamp", policy: either, setup: setup, control: outer, play: with(nil, false, stemmatest.Sign{}), want: rejected(stemma.ReasonSCT)},
		reg{name: "public without log entry, timestamp of the inner authority", policy: either, setup: setup, control: inner, play: func(s *stage) {
			mixed := *s.Sigstore
			mixed.TSA = unlike(s, foreign)
			with(&mixed, true, stampOnly)(s)
		}, want: rejected(stemma.ReasonLogMissing)},
		reg{name: "trust root is missing", policy: onGitHub, setup: setup, control: inner, play: func(s *stage) {
			inner(s)
			s.roots = nil
		}, want: want{verdict: stemma.Undetermined, rule: "image.authentic", reason: stemma.ReasonTrustRoot}},
	)
	s := newStage(t)
	s.policy = onGitHub
	setup(s)
	inner(s)
	if d := s.expect(want{}).Decision; !slices.Contains(d.Skipped, "trust domain github does not require: log, sct (GitHub's instance offers neither)") {
		t.Errorf("skipped %q", d.Skipped)
	}
	// Both builders' evidence at once is two provenances that agree.
	s = newStage(t)
	s.policy = either
	setup(s)
	inner(s)
	outer(s)
	s.expect(want{})
}

// Identities of other providers: an exact issuer and an exact subject.
func TestIdentities(t *testing.T) {
	gitlab := stemmatest.GitLab{Project: "acme/app", Ref: "refs/tags/v2.0.1"}
	buildkite := stemmatest.Buildkite{Organization: "acme", Pipeline: "app", Build: "1", Job: "j", Commit: stemmatest.Commit("app"), Source: "ui", Runner: "self-hosted"}
	builder := func(issuer, subject, repository, more string) string {
		return `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: services}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  builders:
    ci:
      oidc: {issuer: "` + issuer + `", subject: "` + subject + `"}
  provenance: {by: [ci]}
  source: {repository: "` + repository + `"` + more + `}
`
	}
	provenance := func(id stemmatest.Identity, repository string) func(s *stage) {
		return func(s *stage) {
			st := stemmatest.Generic{BuilderID: "https://ci.example/", Repository: repository, Ref: "refs/tags/v2.0.1", Commit: stemmatest.Commit("acme/app@refs/tags/v2.0.1")}.Statement(s.Subject(s.image))
			st.Set("/runDetails/builder/id", id.Certificate().URIs[0])
			s.Attach(s.image, must[*stemmatest.Signed](s)(s.Sigstore.Attest(stemmatest.Sign{As: id}, st.JSON())))
		}
	}
	var cases []reg
	add := func(name, text string, control, play func(s *stage), w want) {
		cases = append(cases, reg{name: name, policy: text, control: control, play: play, want: w})
	}
	// GitLab
	text := builder("https://gitlab.com", gitlab.Certificate().URIs[0], "gitlab.com/acme/{service}", ", refs: [\"refs/tags/v*\"]")
	good := provenance(gitlab, "https://gitlab.com/acme/app")
	for name, c := range map[string]struct {
		edit func(g *stemmatest.GitLab)
		want want
	}{
		"self-managed":          {func(g *stemmatest.GitLab) { g.Server = "https://gitlab.acme.example" }, fails("builder.approved", stemma.ReasonIssuer)},
		"another project":       {func(g *stemmatest.GitLab) { g.Project = "acme/app2" }, fails("builder.approved", stemma.ReasonSigner)},
		"subgroup":              {func(g *stemmatest.GitLab) { g.Project = "acme/app/x" }, fails("builder.approved", stemma.ReasonSigner)},
		"another ref":           {func(g *stemmatest.GitLab) { g.Ref = "refs/heads/v2.0.1" }, fails("builder.approved", stemma.ReasonSigner)},
		"another pipeline file": {func(g *stemmatest.GitLab) { g.Config = "gitlab.com/acme/app//x.yml@refs/tags/v2.0.1" }, fails("builder.approved", stemma.ReasonSigner)},
		"case":                  {func(g *stemmatest.GitLab) { g.Config = "gitlab.com/Acme/app//.gitlab-ci.yml@refs/tags/v2.0.1" }, fails("builder.approved", stemma.ReasonSigner)},
		"right file, other project": {func(g *stemmatest.GitLab) {
			g.Project, g.Config = "evil/app", "gitlab.com/acme/app//.gitlab-ci.yml@refs/tags/v2.0.1"
		}, fails("source.repository", stemma.ReasonRepository)},
	} {
		g := gitlab
		c.edit(&g)
		repository := "https://gitlab.com/" + g.Project
		if g.Server != "" {
			repository = g.Server + "/" + g.Project
		}
		add("GitLab/"+name, text, good, provenance(g, repository), c.want)
	}
	add("GitLab/predicate lies", text, good, provenance(gitlab, "https://gitlab.com/evil/app"), fails("provenance.consistent", stemma.ReasonContradiction))
	// Buildkite: its certificates name no repository, so that only the predicate's word is left.
	soft := builder("https://agent.buildkite.com", "https://buildkite.com/acme/app", "github.com/acme/{service}", ", saidBy: tenant")
	kite := func(b stemmatest.Buildkite) func(s *stage) { return provenance(b, "https://github.com/acme/app") }
	other := buildkite
	other.Pipeline = "app2"
	b := buildkite
	b.Commit = stemmatest.Commit("acme/app@refs/tags/v2.0.1")
	add("Buildkite/another pipeline", soft, kite(b), kite(other), fails("builder.approved", stemma.ReasonSigner))
	add("Buildkite/another repository", soft, kite(b), provenance(b, "https://github.com/evil/app"), fails("source.repository", stemma.ReasonRepository))
	add("Buildkite/another commit in the certificate", soft, kite(b), kite(buildkite), fails("provenance.consistent", stemma.ReasonContradiction))
	add("Buildkite/the certificate's word is wanted", soft, kite(b), func(s *stage) {
		s.policy = in(soft, ", saidBy: tenant", "")
		kite(b)(s)
	}, fails("source.repository", stemma.ReasonSaidBy))
	// A person signs a release.
	person := strings.Replace(signing, "      github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: [\"refs/tags/v1.*\"]}\n", "      oidc: {issuer: \"https://accounts.google.com\", subject: release@acme.example}\n", 1)
	sign := func(id stemmatest.Identity) func(s *stage) {
		return func(s *stage) {
			x := must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: id}, stemmatest.SimpleSigning("ghcr.io/acme/app", s.image.Digest())))
			s.image.AttachCosign(".sig", must[stemmatest.Layer](s)(x.CosignSignature()))
		}
	}
	release := sign(stemmatest.Email{Address: "release@acme.example"})
	for name, id := range map[string]stemmatest.Identity{
		"another person": stemmatest.Email{Address: "intern@acme.example"}, "another issuer": stemmatest.Email{Address: "release@acme.example", Issuer: "https://github.com/login/oauth"},
		"longer": stemmatest.Email{Address: "release@acme.example.evil.example"}, "case": stemmatest.Email{Address: "Release@acme.example"}, "prefix": stemmatest.Email{Address: "x-release@acme.example"},
	} {
		add("Email/"+name, person, release, sign(id), fails("signature.by", stemma.ReasonSigner))
	}
	add("Email/old", in(person, "by: [release]", "by: [release], maxAge: 30d"), release, func(s *stage) {
		release(s)
		s.request.Situation.At = s.Now.Add(31 * 24 * time.Hour)
	}, fails("signature.by", stemma.ReasonAge))
	play(t, cases...)
}

// CVE-2022-35929, CVE-2022-35930: an attestation of another type, by the right identity, passed for a signature.
func TestReg_E03_other_types(t *testing.T) {
	attest := func(st func(...stemma.ResourceDescriptor) *stemmatest.Statement) func(s *stage) {
		return func(s *stage) {
			s.Attach(s.image, must[*stemmatest.Signed](s)(s.Sigstore.Attest(stemmatest.Sign{As: s.Build}, st(s.Subject(s.image)).JSON())))
		}
	}
	spdx, cyclone := attest(stemmatest.SPDX), attest(stemmatest.CycloneDX)
	provenance := func(s *stage) { s.attach(stemmatest.Vary{}) }
	signature := func(s *stage) {
		s.Attach(s.image, must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: s.Build}, s.image.Manifest)))
	}
	bogus := func(s *stage) {
		s.attach(stemmatest.Vary{Statement: func(st *stemmatest.Statement) { st.PredicateType += "x" }})
	}
	asAtt := func(s *stage) { // a signed SBOM renamed to be found where a signature lies
		x := must[*stemmatest.Signed](s)(s.Sigstore.Attest(stemmatest.Sign{As: s.Build, MediaType: stemmatest.MediaTypeDSSE}, stemmatest.SPDX(s.Subject(s.image)).JSON()))
		l := must[stemmatest.Layer](s)(x.CosignAttestation())
		s.image.AttachCosign(".sig", l)
	}
	play(
		t,
		reg{name: "SPDX is no signature", policy: signing, control: signature, play: spdx, want: fails("signature.by", stemma.ReasonNoSignature)},
		reg{name: "CycloneDX is no signature", policy: signing, control: signature, play: cyclone, want: fails("signature.by", stemma.ReasonNoSignature)},
		reg{name: "provenance is no signature", policy: signing, control: signature, play: provenance, want: fails("signature.by", stemma.ReasonNoSignature)},
		reg{name: "SBOM under the tag of signatures", policy: signing, control: signature, play: asAtt, want: fails("signature.by", stemma.ReasonNoSignature)},
		reg{name: "SBOM is no provenance", play: spdx, want: fails("provenance.present", stemma.ReasonNoProvenance)},
		reg{name: "signature is no provenance", play: signature, want: fails("provenance.present", stemma.ReasonNoProvenance)},
		reg{name: "type that begins alike", play: bogus, want: fails("provenance.present", stemma.ReasonNoProvenance)},
		reg{name: "E04 CVE-2026-39395/predicate that is none", want: rejected(stemma.ReasonMalformed), vary: stemmatest.Vary{
			Statement: func(st *stemmatest.Statement) { st.Set("/runDetails/builder", []any{}) },
		}},
		reg{name: "unsigned statement", play: func(s *stage) {
			s.request.Evidence = []policy.File{{Name: "statement.json", Data: stemmatest.ActionsAttest(s.Build, s.Subject(s.image)).JSON()}}
		}, want: fails("image.authentic", stemma.ReasonNoEvidence)},
		reg{name: "envelope without signature", play: func(s *stage) {
			data := must[*stemmatest.Envelope](s)(stemmatest.Seal(stemmatest.PayloadTypeInToto, stemmatest.ActionsAttest(s.Build, s.Subject(s.image)).JSON())).JSON()
			s.request.Evidence = []policy.File{{Name: "envelope.json", Data: bytes.TrimSpace(data)}}
		}, want: rejected(stemma.ReasonSignatureCount)},
	)
}
