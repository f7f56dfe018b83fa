package verify_test

import (
	"bytes"
	"testing"

	"stemma"
	"stemma/stemmatest"
)

// Builders of one's own: what a policy maps of their predicates is judged as what is read of others is.

const (
	mappedOwn  = ", internal: {type: \"" + stemmatest.InternalPredicateType + "\", id: /by, repository: /run/repository, commit: /run/commit, ref: /run/ref, run: /run/url}}\n"
	mappedSLSA = ", internal: {buildType: \"" + stemmatest.BuildTypeGeneric + "\", id: /runDetails/builder/id, repository: /buildDefinition/internalParameters/source, commit: /buildDefinition/resolvedDependencies/0/digest/gitCommit}}\n"
)

// byOwn attaches a statement of a builder's own, signed with a key.
func (s *stage) byOwn(sign stemmatest.Sign, change func(st *stemmatest.Statement)) {
	s.byKey(sign, func(st *stemmatest.Statement) {
		*st = *stemmatest.Generic{
			BuilderID: "https://ci.acme.example/builder", Repository: "https://git.acme.example/acme/app", Ref: "refs/tags/v2.0.1",
			Commit: stemmatest.Commit("app"), Run: "https://ci.acme.example/runs/7",
		}.Internal(st.Subject...)
		if change != nil {
			change(st)
		}
	})
}

func TestInternalOwnPredicate(t *testing.T) {
	key, other := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "ci-2026")), must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "other"))
	impostor := *other
	impostor.Hint = key.Hint
	text := in(in(keyed(key), ", level: 2}\n", ", level: 2"+mappedOwn), "saidBy: tenant", "refs: [\"refs/tags/v*\"], saidBy: builder")
	good := func(s *stage) { s.byOwn(bare(key), nil) }
	with := func(change func(st *stemmatest.Statement)) func(s *stage) {
		return func(s *stage) { s.byOwn(bare(key), change) }
	}
	set := func(pointer string, value any) func(s *stage) {
		return with(func(st *stemmatest.Statement) { st.Set(pointer, value) })
	}
	expect := func(commit string) func(s *stage) {
		return func(s *stage) {
			good(s)
			s.request.Situation.Expect = map[stemma.Field]string{stemma.FieldCommit: commit}
		}
	}
	play(
		t,
		reg{name: "the commit that is expected", policy: text, control: good, play: expect(stemmatest.Commit("app")), want: want{}},
		reg{name: "another commit than is expected", policy: text, control: good, play: expect(stemmatest.Commit("x")), want: fails("provenance.expected", stemma.ReasonExpected)},
		reg{name: "no such commit", policy: text, control: good, play: func(s *stage) {
			with(func(st *stemmatest.Statement) { st.Set("/run/commit", "main") })(s)
			s.request.Situation.Expect = map[stemma.Field]string{stemma.FieldCommit: stemmatest.Commit("app")}
		}, want: fails("provenance.expected", stemma.ReasonNotStated)},
		reg{name: "C17 another id", policy: text, control: good, play: set("/by", "https://ci.acme.example/builder2"), want: fails("builder.approved", stemma.ReasonBuilder)},
		reg{name: "C17 no id", policy: text, control: good, play: set("/by", nil), want: fails("builder.approved", stemma.ReasonBuilder)},
		reg{name: "another repository", policy: text, control: good, play: set("/run/repository", "https://git.acme.example/evil/app"), want: fails("source.repository", stemma.ReasonRepository)},
		reg{name: "no repository where it must stand", policy: text, control: good, play: with(func(st *stemmatest.Statement) {
			st.Set("/run/repository", []string{"https://git.acme.example/acme/app"})
			st.Set("/repository", "https://git.acme.example/acme/app")
		}), want: fails("source.repository", stemma.ReasonNotStated)},
		reg{name: "a ref that is short", policy: text, control: good, play: set("/run/ref", "v2.0.1"), want: fails("source.ref", stemma.ReasonRef)},
		reg{name: "another type", policy: text, control: good, play: with(func(st *stemmatest.Statement) { st.PredicateType += "0" }), want: fails("provenance.present", stemma.ReasonNoProvenance)},
		reg{name: "no builder of such a type", policy: text, control: good, play: func(s *stage) {
			s.policy = keyed(key)
			good(s)
		}, want: fails("provenance.present", stemma.ReasonNoProvenance)},
		reg{name: "SLSA provenance in its place", policy: text, control: good, play: func(s *stage) { s.byKey(bare(key), nil) }, want: fails("builder.approved", stemma.ReasonBuilder)},
		reg{name: "wrong key under the same name", policy: text, control: good, play: func(s *stage) { s.byOwn(bare(&impostor), nil) }, want: rejected(stemma.ReasonSignatureInvalid)},
		reg{name: "key that is not known", policy: text, control: good, play: func(s *stage) { s.byOwn(bare(other), nil) }, want: rejected(stemma.ReasonSignerUnknown)},
		reg{name: "B01 another image", policy: text, control: good, play: with(func(st *stemmatest.Statement) {
			st.Subject[0].Digest["sha256"] = stemma.SHA256(nil).Hex()
		}), want: rejected(stemma.ReasonSubjectMismatch)},
		reg{name: "the same name twice", policy: text, control: good, play: func(s *stage) {
			st := stemmatest.Generic{BuilderID: "https://ci.acme.example/builder", Repository: "https://git.acme.example/acme/app", Ref: "refs/tags/v2.0.1", Commit: stemmatest.Commit("app")}.Internal(s.Subject(s.image))
			twice := bytes.Replace(st.JSON(), []byte(`"run":{`), []byte(`"run":{},"run":{`), 1)
			if bytes.Equal(twice, st.JSON()) {
				s.Fatal("nothing stands twice")
			}
			s.Attach(s.image, must[*stemmatest.Signed](s)(s.Sigstore.Attest(bare(key), twice)))
		}, want: rejected(stemma.ReasonMalformed)},
	)
	s := newStage(t)
	s.policy = text
	good(s)
	if d := s.expect(want{}).Decision; d.Level != 2 {
		t.Errorf("level %d", d.Level)
	}
}

func TestInternalSLSA(t *testing.T) {
	key := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "ci-2026"))
	text := in(in(keyed(key), ", level: 2}\n", ", level: 2"+mappedSLSA), "saidBy: tenant", "saidBy: builder")
	with := func(change func(st *stemmatest.Statement)) func(s *stage) {
		return func(s *stage) {
			s.byKey(bare(key), func(st *stemmatest.Statement) {
				st.Set("/buildDefinition/internalParameters", map[string]any{"source": "https://git.acme.example/acme/app"})
				if change != nil {
					change(st)
				}
			})
		}
	}
	good := with(nil)
	set := func(pointer string, value any) func(s *stage) {
		return with(func(st *stemmatest.Statement) { st.Set(pointer, value) })
	}
	play(
		t,
		// externalParameters, in which it stands, too, are the word of the tenant.
		reg{name: "the builder's word in the tenant's place", policy: text, control: good, play: func(s *stage) {
			s.policy = in(s.policy, "/buildDefinition/internalParameters/source", "/buildDefinition/externalParameters/source/repository")
			good(s)
		}, want: fails("source.repository", stemma.ReasonSaidBy)},
		reg{name: "what stands elsewhere", policy: text, control: good, play: set("/buildDefinition/internalParameters/source", nil), want: fails("source.repository", stemma.ReasonNotStated)},
		reg{name: "another repository", policy: text, control: good, play: set("/buildDefinition/internalParameters/source", "https://git.acme.example/evil/app"), want: fails("source.repository", stemma.ReasonRepository)},
		reg{name: "another build type", policy: text, control: good, play: set("/buildDefinition/buildType", "https://ci.acme.example/other/v1"), want: fails("builder.approved", stemma.ReasonBuilder)},
		reg{name: "C17 another id", policy: text, control: good, play: set("/runDetails/builder/id", "https://jenkins.acme.example"), want: fails("builder.approved", stemma.ReasonBuilder)},
		reg{name: "a predicate of one's own in its place", policy: text, control: good, play: func(s *stage) { s.byOwn(bare(key), nil) }, want: fails("provenance.present", stemma.ReasonNoProvenance)},
	)
}

// Under a certificate the predicate can only say the same.
func TestInternalCertificate(t *testing.T) {
	text := in(in(trusting, "      level: 3\n  provenance", "      level: 3\n      internal: {type: \""+stemmatest.InternalPredicateType+"\", repository: /run/repository, commit: /run/commit, ref: /run/ref, run: /run/url}\n  provenance"), "formats: [slsa/v1], ", "")
	with := func(change func(st *stemmatest.Statement)) func(s *stage) {
		return func(s *stage) {
			s.attach(stemmatest.Vary{Statement: func(st *stemmatest.Statement) {
				told := stemmatest.Generic{Repository: "https://github.com/" + s.Build.Repository, Ref: s.Build.Ref, Commit: s.Build.SHA}.Internal(st.Subject...)
				told.Set("/run/url", nil)
				*st = *told
				if change != nil {
					change(st)
				}
			}})
		}
	}
	good := with(nil)
	set := func(pointer string, value any) func(s *stage) {
		return with(func(st *stemmatest.Statement) { st.Set(pointer, value) })
	}
	lie := fails("provenance.consistent", stemma.ReasonContradiction)
	play(
		t,
		reg{name: "silent", policy: text, control: good, play: with(func(st *stemmatest.Statement) { st.Predicate = map[string]any{} }), want: want{}},
		reg{name: "another repository", policy: text, control: good, play: set("/run/repository", "https://github.com/evil/app"), want: lie},
		reg{name: "another commit", policy: text, control: good, play: set("/run/commit", stemmatest.Commit("x")), want: lie},
		reg{name: "another ref", policy: text, control: good, play: set("/run/ref", "refs/heads/main"), want: lie},
		reg{name: "another run", policy: text, control: good, play: set("/run/url", "https://github.com/acme/app/actions/runs/1"), want: lie},
		reg{name: "another builder", policy: text, control: good, play: func(s *stage) {
			s.attach(stemmatest.Vary{
				Build:     func(b *stemmatest.GitHub) { b.Builder = "evil/builders/.github/workflows/build.yml@refs/tags/v1.2.3" },
				Statement: func(st *stemmatest.Statement) { *st = *stemmatest.Generic{}.Internal(st.Subject...) },
			})
		}, want: fails("builder.approved", stemma.ReasonBuilder)},
	)
}
