package verify_test

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

// under is the trusting policy in a set with the given keys.
func under(keys string) string {
	return "apiVersion: policy.stemma.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: set}\nspec:\n  " + strings.ReplaceAll(keys, "\n", "\n  ") + "\n---\n" + trusting
}

// child is the i-th child of the stage's image.
func (s *stage) child(i int) v1.Descriptor { return s.image.Children[i] }

// ask asks for a child by its digest; with is "" or a tag, such as ":v2.0.1".
func (s *stage) ask(i int, with string) {
	s.request.Image = "ghcr.io/acme/app" + with + "@" + string(s.child(i).Digest)
}

// aboutChild makes provenance of the i-th child.
func (s *stage) aboutChild(i int, v stemmatest.Vary) *stemmatest.Signed {
	s.Helper()
	change := v.Statement
	v.Statement = func(st *stemmatest.Statement) {
		st.Subject = []stemma.ResourceDescriptor{stemmatest.Subject("ghcr.io/acme/app", stemma.Digest(s.child(i).Digest))}
		if change != nil {
			change(st)
		}
	}
	return s.attest(v)
}

// attachChild attaches evidence to the i-th child.
func (s *stage) attachChild(i int, x *stemmatest.Signed) {
	a := stemmatest.BundleArtifact(x)
	c := s.child(i)
	a.Subject = &c
	s.image.AttachReferrer(a)
}

// ratify#101, harbor#23540: evidence about an index counts for a child that is proven to be in it, if the policy set
// says so, and never otherwise.
func TestReg_B12_child_of_index(t *testing.T) {
	asked := func(with string) func(s *stage) {
		return func(s *stage) { s.attach(stemmatest.Vary{}); s.ask(0, with) }
	}
	whole := asked(":v2.0.1")
	play(
		t,
		reg{name: "control is the tag beside the digest", policy: under("platforms: index"), control: whole, play: whole, want: want{}},
		reg{name: "named index", policy: under("platforms: index"), control: whole, play: func(s *stage) {
			s.attach(stemmatest.Vary{})
			s.ask(1, "")
			s.request.Index = string(s.image.Digest())
		}, want: want{}},
		reg{name: "no index is known", policy: under("platforms: index"), control: whole, play: asked(""), want: fails("image.authentic", stemma.ReasonNoEvidence)},
		reg{name: "platforms all wants evidence about the child", policy: under("platforms: all"), play: whole, want: fails("image.authentic", stemma.ReasonBinding), control: func(s *stage) {
			s.attachChild(0, s.aboutChild(0, stemmatest.Vary{}))
			s.ask(0, "")
		}},
		reg{name: "platform list wants it, too", policy: under("platforms: [linux/amd64]"), play: whole, want: fails("image.authentic", stemma.ReasonBinding), control: func(s *stage) {
			s.attachChild(0, s.aboutChild(0, stemmatest.Vary{}))
			s.ask(0, "")
		}},
		reg{name: "evidence about the index by another builder", policy: under("platforms: index"), control: whole, play: func(s *stage) {
			s.attach(stemmatest.Vary{Build: func(b *stemmatest.GitHub) { b.Builder = "evil/builders/.github/workflows/build.yml@refs/tags/v1.2.3" }})
			s.ask(0, ":v2.0.1")
		}, want: fails("builder.approved", stemma.ReasonBuilder)},
	)
}

// B13: an index that does not list the child proves nothing about it, whoever names it.
func TestReg_B13_child_of_another_index(t *testing.T) {
	whole := func(s *stage) { s.attach(stemmatest.Vary{}); s.ask(0, ":v2.0.1") }
	play(
		t,
		reg{name: "the tag points at another index", policy: under("platforms: index"), control: whole, play: func(s *stage) {
			s.attach(stemmatest.Vary{})
			s.ask(0, ":v2.0.0") // the world's own image, which is attested
		}, want: fails("image.authentic", stemma.ReasonNoEvidence)},
		reg{name: "the request names another index", policy: under("platforms: index"), control: whole, play: func(s *stage) {
			s.attach(stemmatest.Vary{})
			s.ask(0, "")
			s.request.Index = string(s.Image.Digest())
		}, want: fails("image.authentic", stemma.ReasonNoEvidence)},
		reg{name: "the index served for the digest is another", policy: under("platforms: index"), control: whole, play: func(s *stage) {
			s.attach(stemmatest.Vary{})
			check(s, s.Registry.Corrupt(stemmatest.Repository, s.image.Digest(), s.Image.Manifest))
			s.ask(0, "")
			s.request.Index = string(s.image.Digest())
		}, want: want{verdict: stemma.Undetermined, rule: "image.authentic", reason: stemma.ReasonBadAnswer}},
	)
}

// ratify#101, harbor#23540: the platform that it is to run on must be in the index, once, and known.
func TestReg_B14_platform_of_index(t *testing.T) {
	attested := func(platforms ...string) func(s *stage) {
		return func(s *stage) {
			for i := range s.image.Children {
				s.attachChild(i, s.aboutChild(i, stemmatest.Vary{}))
			}
			s.attach(stemmatest.Vary{})
			s.request.Situation.Platforms = platforms
		}
	}
	// twice lists the first child's platform for the second child, too; unknown lists none.
	relist := func(change func(d *v1.Descriptor)) func(s *stage) {
		return func(s *stage) {
			s.image = must[*stemmatest.Image](s)(reindex(s.image, "v2.0.1", func(children []v1.Descriptor) []v1.Descriptor {
				change(&children[1])
				return children
			}))
			attested("linux/arm64")(s)
		}
	}
	both := attested("linux/amd64", "linux/arm64")
	for name, keys := range map[string]string{"index": "platforms: index", "nodes": "platforms: nodes"} {
		t.Run(name, func(t *testing.T) {
			play(
				t,
				reg{name: "both", policy: under(keys), control: both, play: both, want: want{}},
				reg{name: "missing", policy: under(keys), control: both, play: attested("linux/s390x"), want: fails("image.platform", stemma.ReasonPlatform)},
				reg{name: "another variant", policy: under(keys), control: both, play: attested("linux/arm/v7"), want: fails("image.platform", stemma.ReasonPlatform)},
				reg{name: "unknown", policy: under(keys), control: both, play: relist(func(d *v1.Descriptor) {
					d.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
				}), want: fails("image.platform", stemma.ReasonPlatform)},
				reg{name: "duplicated", policy: under(keys), control: both, play: func(s *stage) {
					relist(func(d *v1.Descriptor) { d.Platform = &v1.Platform{OS: "linux", Architecture: "amd64"} })(s)
					s.request.Situation.Platforms = []string{"linux/amd64"}
				}, want: fails("image.platform", stemma.ReasonPlatform)},
				reg{name: "changed bytes", policy: under(keys), control: both, play: func(s *stage) {
					both(s)
					check(s, s.Registry.Corrupt(stemmatest.Repository, stemma.Digest(s.child(1).Digest), s.Image.Manifest))
				}, want: want{verdict: stemma.Undetermined, rule: "image.platform", reason: stemma.ReasonBadAnswer}},
			)
		})
	}
}

// SLSA threat G: a copy is judged under the name that it has. Evidence of the origin says nothing of whether the
// repository of the copy is one to deploy from.
func TestReg_B15_copy(t *testing.T) {
	const evil = "evil/app"
	copied := func(s *stage) {
		s.attach(stemmatest.Vary{})
		must[*stemmatest.Image](s)(s.image.CopyTo(s.Registry, evil, "v2.0.1"))
	}
	mirrored := "mirrors: [{from: \"ghcr.io/hub/**\", is: \"ghcr.io/acme/**\"}]"
	play(
		t,
		reg{name: "unapproved repository", play: func(s *stage) {
			copied(s)
			s.request.Image = "ghcr.io/" + evil + ":v2.0.1"
		}, want: fails("image.policy", stemma.ReasonNoPolicy)},
		reg{name: "a mirror without evidence", policy: under(mirrored), play: func(s *stage) {
			s.attach(stemmatest.Vary{})
			must[*stemmatest.Image](s)(s.image.CopyTo(s.Registry, "hub/app", "v2.0.1"))
			s.request.Image = "ghcr.io/hub/app:v2.0.1"
		}, want: fails("image.authentic", stemma.ReasonNotMirrored)},
		reg{name: "a mirror, evidence declared at the origin", policy: under(mirrored + "\nevidence: [{for: \"ghcr.io/acme/*\", also: [\"ghcr.io/acme/app\"]}]"), play: func(s *stage) {
			s.attach(stemmatest.Vary{})
			must[*stemmatest.Image](s)(s.image.CopyTo(s.Registry, "hub/app", "v2.0.1"))
			s.request.Image = "ghcr.io/hub/app:v2.0.1"
		}, want: want{}},
		reg{name: "a mirror of something else", policy: under(mirrored), play: func(s *stage) {
			s.attach(stemmatest.Vary{})
			must[*stemmatest.Image](s)(s.image.CopyTo(s.Registry, "hubs/app", "v2.0.1"))
			s.request.Image = "ghcr.io/hubs/app:v2.0.1"
		}, want: fails("image.policy", stemma.ReasonNoPolicy)},
	)
}

// A config digest as subject, as GitLab documents it, counts where the set accepts it and nowhere else.
func TestConfigSubject(t *testing.T) {
	about := func(change func(stemma.Digest) stemma.Digest) func(s *stage) {
		return func(s *stage) {
			config := s.configOf(0)
			s.attachChild(0, s.attest(stemmatest.Vary{Statement: func(st *stemmatest.Statement) {
				st.Subject = []stemma.ResourceDescriptor{stemmatest.Subject("app", change(config))}
			}}))
			s.ask(0, "")
		}
	}
	same := func(d stemma.Digest) stemma.Digest { return d }
	accept := under("configSubjects: accept")
	play(
		t,
		reg{name: "accepted", policy: accept, control: about(same), play: about(same), want: want{}},
		reg{name: "not asked for", control: func(s *stage) { s.attachChild(0, s.aboutChild(0, stemmatest.Vary{})); s.ask(0, "") }, play: about(same), want: fails("image.authentic", stemma.ReasonBinding)},
		reg{name: "another config", policy: accept, control: about(same), play: about(func(d stemma.Digest) stemma.Digest { return stemma.SHA256([]byte(d)) }), want: rejected(stemma.ReasonSubjectMismatch)},
	)
}

// dockerChain is a policy for what docker/github-builder leaves behind: provenance in an attestation manifest, of which
// only the manifest's digest is signed.
func dockerChain() string {
	return strings.NewReplacer(
		"trusted/builders/.github/workflows/build.yml", "docker/github-builder/.github/workflows/build.yml",
		"  source: {repository: \"github.com/acme/{service}\", refs: [\"refs/tags/v*\"]}\n", "",
	).Replace(under("platforms: [linux/amd64]"))
}

// The Docker chain: image ← attestation manifest ← signature whose subject is the attestation manifest.
func TestDockerChain(t *testing.T) {
	chain := func(edit func(c *dockerBuilder)) func(s *stage) {
		return func(s *stage) {
			var c dockerBuilder
			if edit != nil {
				edit(&c)
			}
			c.build(s)
			s.request.Image = "ghcr.io/acme/app@" + string(s.image.Digest())
		}
	}
	good := chain(nil)
	play(
		t,
		reg{name: "whole", policy: dockerChain(), control: good, play: good, want: want{}},
		reg{name: "unsigned", policy: dockerChain(), control: good, play: chain(func(c *dockerBuilder) { c.unsigned = true }), want: fails("image.authentic", stemma.ReasonNoEvidence)},
		reg{name: "signed by somebody else", policy: dockerChain(), control: good, play: chain(func(c *dockerBuilder) {
			c.builder = "evil/github-builder/.github/workflows/build.yml@refs/tags/v1.0.0"
		}), want: fails("builder.approved", stemma.ReasonBuilder)},
		reg{name: "the signature is of another manifest", policy: dockerChain(), control: good, play: chain(func(c *dockerBuilder) { c.signOther = true }), want: fails("image.authentic", stemma.ReasonSubjectMismatch)},
		reg{name: "the statement is about another image", policy: dockerChain(), control: good, play: chain(func(c *dockerBuilder) { c.otherSubject = true }), want: fails("image.authentic", stemma.ReasonNoEvidence)},
	)
}

// What passes only because of a declared alternate says so.
func TestFoundInAlternate(t *testing.T) {
	s := newStage(t)
	s.policy = under("evidence: [{for: \"ghcr.io/acme/*\", also: [\"ghcr.io/acme/evidence\"]}]")
	s.image.At(s.Registry, "acme/evidence").AttachReferrer(stemmatest.BundleArtifact(s.attest(stemmatest.Vary{})))
	r := s.expect(want{})
	i := slices.IndexFunc(r.Decision.Findings, func(f stemma.Finding) bool { return f.Rule == "image.authentic" })
	if f := r.Decision.Findings[i]; f.Reason != stemma.ReasonFoundInAlternate || !strings.Contains(f.Detail, "ghcr.io/acme/evidence") {
		t.Errorf("finding %+v, want one that says where it was found", f)
	}
	s.policy = trusting
	s.expect(fails("image.authentic", stemma.ReasonNoEvidence))
}

// reindex puts the image's children into another index under the tag.
func reindex(i *stemmatest.Image, tag string, change func([]v1.Descriptor) []v1.Descriptor) (*stemmatest.Image, error) {
	children := change(slices.Clone(i.Children))
	data, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": children})
	if err != nil {
		return nil, err
	}
	made := *i
	made.Children, made.Manifest = children, data
	made.Descriptor = i.Registry.PutManifest(i.Repository, v1.MediaTypeImageIndex, data, tag)
	return &made, nil
}

// dockerBuilder leaves behind what docker/github-builder does, but for the faults that are set.
type dockerBuilder struct {
	builder                           string
	unsigned, signOther, otherSubject bool
}

func (c dockerBuilder) build(s *stage) {
	s.Helper()
	build := s.Build
	build.Builder = cmp.Or(c.builder, "docker/github-builder/.github/workflows/build.yml@refs/tags/v1.0.0")
	build.BuilderSHA = ""
	amd64 := stemma.Platform{OS: "linux", Architecture: "amd64"}
	s.image = must[*stemmatest.Image](s)(s.Registry.PutImage(stemmatest.ImageSpec{
		Repository: stemmatest.Repository, Tags: []string{"chain"}, Content: "chain", Platforms: []stemma.Platform{amd64}, Subject: true,
		Attest: func(p stemma.Platform, manifest stemma.Digest) []*stemmatest.Statement {
			if c.otherSubject {
				manifest = stemma.Digest(s.Image.Children[0].Digest)
			}
			return []*stemmatest.Statement{stemmatest.BuildKit{
				Platform: p, Max: true, Repository: "ghcr.io/acme/app", Tag: "chain", Source: "https://github.com/acme/app.git", Commit: s.Build.SHA,
			}.V1(manifest)}
		},
	}))
	if c.unsigned {
		return
	}
	signed := s.child(1)
	if c.signOther {
		signed = s.child(0)
	}
	_, data, err := s.Registry.Manifest(stemmatest.Repository, string(signed.Digest))
	check(s, err)
	x := must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: build}, data))
	a := stemmatest.BundleArtifact(x)
	subject := s.child(1)
	a.Subject = &subject
	s.image.AttachReferrer(a)
}

// configOf is the config of the i-th child, whatever the index says of it.
func (s *stage) configOf(i int) stemma.Digest {
	s.Helper()
	_, data, err := s.Registry.Manifest(stemmatest.Repository, string(s.child(i).Digest))
	check(s, err)
	var m v1.Manifest
	check(s, stemma.DecodeJSON(data, &m))
	return stemma.Digest(m.Config.Digest)
}
