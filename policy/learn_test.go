package policy

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"stemma"
)

// body is a learned policy without its comments, and without what all have: header, kind and name.
func body(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "  #")
		line = strings.TrimRight(line, " \n")
		if line != "" && line[0] != '#' && !strings.HasPrefix(line, "apiVersion:") && !strings.HasPrefix(line, "kind:") {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// variant is f0 with changes, as another image of a repository.
func variant(name string, repository string, changes ...func(*stemma.Evidence)) *stemma.Evidence {
	e := f0()
	for _, c := range changes {
		c(e)
	}
	e.Image = stemma.Image{Repository: repository, Digest: digest(name)}
	for i := range e.Attestations {
		e.Attestations[i].Binding.Member = e.Image.Digest
	}
	for i := range e.Provenance {
		e.Provenance[i].Claims = maps.Clone(e.Provenance[i].Claims)
		for k := range e.Provenance[i].Tasks {
			if len(e.Provenance[i].Tasks[k].Results) > 0 {
				e.Provenance[i].Tasks[k].Results = []stemma.Digest{e.Image.Digest}
			}
		}
	}
	return e
}

// releasedBy makes f0 the work of the source's own workflow at a ref.
func releasedBy(repository, ref, number string) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		own := "https://github.com/" + repository + "/.github/workflows/release.yml@" + ref
		signerIs(func(id *stemma.Identity) {
			id.Subject = own
			id.Claims[stemma.ClaimBuildSignerURI], id.Claims[stemma.ClaimSourceRepositoryURI] = own, "https://github.com/"+repository
			id.Claims[stemma.ClaimSourceRepositoryID] = number
		})(e)
		for field, value := range map[stemma.Field]string{
			stemma.FieldBuilder: own, stemma.FieldRepository: "github.com/" + repository, stemma.FieldRef: ref,
			stemma.FieldOwnerID: "48120341", stemma.FieldRepositoryID: number,
		} {
			byCertificate(field, value)(e)
		}
	}
}

func replaced(e *stemma.Evidence) func(*stemma.Evidence) {
	return func(x *stemma.Evidence) { *x = *e }
}

const learnedImage = "ghcr.io/acme/app"

// learnedF0 is what is learned of f0.
const learnedF0 = `metadata: {name: app}
spec:
  match:
    images: [ghcr.io/acme/app]
  builders:
    github:
      trust: public-good
      github:
        issuer: "https://token.actions.githubusercontent.com"
        workflow: trusted/builders/.github/workflows/build.yml
        workflowRefs: [refs/tags/v1.2.3]
        caller:
          ownerID: "48120341"
        events: [push]
        runner: github-hosted
      level: 2
  provenance:
    by: [github]
    formats: [slsa/v1]
    level: 2
  source:
    repository: github.com/acme/app
    refs: [refs/tags/v2.0.0]
    saidBy: certificate
`

// learnedBy is the same of another builder.
func learnedBy(t testing.TB, name, identity string, pairs ...string) string {
	i, k := strings.Index(learnedF0, "    github:\n"), strings.Index(learnedF0, "  provenance:\n")
	text := learnedF0[:i] + "    " + name + ":\n" + identity + "      level: 2\n" + learnedF0[k:]
	return change(t, text, append([]string{"by: [github]", "by: [" + name + "]"}, pairs...)...)
}

func trusting(t testing.TB) *Set {
	t.Helper()
	set, err := LoadTrust(File{Name: "set.yaml", Data: []byte(strings.TrimSuffix(keySet, "---\n"))})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func learn(t testing.TB, images ...*stemma.Evidence) *Learned {
	t.Helper()
	l, err := Learn(images, LearnOptions{Trust: trusting(t)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// refuses checks that a decision refuses by one requirement, and by what rests on it alone.
func refuses(t testing.TB, d *stemma.Decision, rule string, reason stemma.Reason) {
	t.Helper()
	d.Findings = slices.DeleteFunc(slices.Clone(d.Findings), func(f stemma.Finding) bool { return f.Needs == rule })
	only(t, d, rule, reason)
}

func atTag(builder, source string) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		subject := trustedWorkflow + "@refs/tags/" + builder
		san(subject)(e)
		byCertificate(stemma.FieldBuilder, subject)(e)
		byCertificate(stemma.FieldRef, "refs/tags/"+source)(e)
	}
}

func started(event string) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		signerIs(func(id *stemma.Identity) { id.Claims[stemma.ClaimBuildTrigger] = event })(e)
		byCertificate(stemma.FieldTrigger, event)(e)
	}
}

// What is learned is exactly what the images have, and generalises in nothing but what they vary in.
func TestLearn(t *testing.T) {
	type all = []*stemma.Evidence
	one := func(changes ...func(*stemma.Evidence)) all { return all{variant("one", learnedImage, changes...)} }
	tenant := []string{"github.com/acme/app", "gitlab.com/acme/app", "    refs: [refs/tags/v2.0.0]\n", "", "saidBy: certificate", "saidBy: tenant"}
	key := "      trust: chains\n      keys: [chains-2026]\n      id: "
	for _, c := range []struct {
		name   string
		images all
		want   string
	}{
		{"one", one(), learnedF0},
		{"two versions", all{variant("a", learnedImage), variant("b", learnedImage, atTag("v1.3.0", "v2.1.0"))}, change(t, learnedF0,
			"[refs/tags/v1.2.3]", `["refs/tags/v1.*"]`, "[refs/tags/v2.0.0]", `["refs/tags/v2.*"]`)},
		{"two versions of the source", all{variant("a", learnedImage), variant("b", learnedImage, atTag("v1.2.3", "v2.0.1"))}, change(t, learnedF0, "[refs/tags/v2.0.0]", `["refs/tags/v2.0.*"]`)},
		{"two events", all{variant("a", learnedImage), variant("b", learnedImage, started("release"))}, change(t, learnedF0, " [push]", "\n          - push\n          - release")},
		{"a branch beside a tag", all{variant("a", learnedImage), variant("b", learnedImage, byCertificate(stemma.FieldRef, "refs/heads/main"))}, change(t, learnedF0,
			" [refs/tags/v2.0.0]", "\n      - refs/heads/main\n      - refs/tags/v2.0.0")},
		{"no event in one", all{variant("a", learnedImage), variant("b", learnedImage, started(""))}, change(t, learnedF0, "        events: [push]\n", "")},
		{"two kinds of machines", all{variant("a", learnedImage), variant("b", learnedImage, func(e *stemma.Evidence) {
			signerIs(func(id *stemma.Identity) { id.Claims[stemma.ClaimRunnerEnvironment] = "self-hosted" })(e)
			byCertificate(stemma.FieldRunner, "self-hosted")(e)
		})}, change(t, learnedF0, "        runner: github-hosted\n", "")},
		{"two owners call", all{variant("a", learnedImage), variant("b", learnedImage, signerIs(func(id *stemma.Identity) { id.Claims[stemma.ClaimSourceOwnerID] = "7" }))}, change(t, learnedF0,
			"        caller:\n          ownerID: \"48120341\"\n", "")},
		{"at a commit", one(san(trustedWorkflow+"@"+commitOfBuilder), byCertificate(stemma.FieldBuilder, trustedWorkflow+"@"+commitOfBuilder)), change(t, learnedF0,
			"workflowRefs: [refs/tags/v1.2.3]", "workflowCommits: ["+commitOfBuilder+"]")},
		{"the number of the source", one(byCertificate(stemma.FieldRepositoryID, "42"), byCertificate(stemma.FieldOwnerID, "7")), change(t, learnedF0,
			"    refs:", "    repositoryIDs: [\"42\"]\n    ownerIDs: [\"7\"]\n    refs:")},
		{"a source that nobody names", one(claim(stemma.FieldRepository, stemma.Claim{})), learnedF0[:strings.Index(learnedF0, "  source:")]},
		{"GitLab", one(replaced(builtAs(gitlabSigner()))), learnedBy(t, "gitlab", `      trust: public-good
      gitlab:
        issuer: "https://gitlab.com"
        config: acme/ci//image.yml
        configRefs: [refs/heads/main]
        projectIDs: ["55235664"]
        events: [push]
        runner: gitlab-hosted
`, tenant...)},
		{"Buildkite", one(replaced(builtAs(buildkiteSigner()))), learnedBy(t, "buildkite", `      trust: public-good
      buildkite:
        pipeline: acme/images
        events: [webhook]
        runner: buildkite-hosted
`, tenant...)},
		{"CircleCI", one(replaced(builtAs(circleciSigner()))), learnedBy(t, "circleci", `      trust: public-good
      circleci:
        organization: `+circleciOrganization+`
        project: "`+circleciProject+`"
        definitions: ["`+circleciDefinition+`"]
`, tenant...)},
		{"anybody else", one(replaced(builtAs(stemma.Identity{Trust: PublicGood, Issuer: "https://accounts.google.com", Subject: "ci@acme.example", Key: digest("k")}))), learnedBy(t, "oidc", `      trust: public-good
      oidc:
        issuer: "https://accounts.google.com"
        subject: "ci@acme.example"
`, tenant...)},
		// A pattern of this ref would match every branch.
		{"a workflow at a ref that looks like a capture", one(san(trustedWorkflow+"@refs/heads/{x}"), byCertificate(stemma.FieldBuilder, trustedWorkflow+"@refs/heads/{x}")), learnedBy(t, "oidc", `      trust: public-good
      oidc:
        issuer: "https://token.actions.githubusercontent.com"
        subject: "`+trustedWorkflow+`@refs/heads/{x}"
`)},
		{"a source ref that looks like a capture", one(byCertificate(stemma.FieldRef, "refs/heads/{x}")), change(t, learnedF0, "    refs: [refs/tags/v2.0.0]\n", "")},
		{"Tekton Chains", one(chained), learnedBy(t, "keys", key+`"https://tekton.dev/chains/v2"
      level: 2
      tekton:
        namespaces: [acme-tenant]
        serviceAccounts: [build-pipeline]
        tasks:
          trusted:
            - github.com/acme/tasks/build/Image.yaml
            - quay.io/acme/tasks/git-clone
          commits: [`+commitOfBuilder+`]
          others: refuse
        sourceFrom:
          task: clone
          url: url
          commit: commit
`, "          commit: commit\n      level: 2\n", "          commit: commit\n", "    refs: [refs/tags/v2.0.0]\n", "", "saidBy: certificate", "saidBy: builder")},
		{"Tekton Chains, a task of the tenant's", one(chained, extraTask(stemma.Task{Name: "lint"})), learnedBy(t, "keys", key+`"https://tekton.dev/chains/v2"
      level: 2
      tekton:
        namespaces: [acme-tenant]
        serviceAccounts: [build-pipeline]
        tasks:
          trusted:
            - github.com/acme/tasks/build/Image.yaml
            - quay.io/acme/tasks/git-clone
          commits: [`+commitOfBuilder+`]
          others: allow
`, "          others: allow\n      level: 2\n", "          others: allow\n", "    refs: [refs/tags/v2.0.0]\n", "", "saidBy: certificate", "saidBy: tenant")},
		{"Cloud Build", one(clouded), strings.Split(learnedBy(t, "keys", key+`"https://cloudbuild.googleapis.com/GoogleHostedWorker"
      level: 2
      gcb:
        projects: [acme-build]
        triggers: ["11111111"]
`, "[\"11111111\"]\n      level: 2\n", "[\"11111111\"]\n"), "  source:")[0]},
		{"BuildKit", one(stepped), change(t, learnedF0, "      level: 2\n", "      level: 2\n      buildkit:\n        mode: max\n")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := body(learn(t, c.images...).Policy); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// Several images of several names: one policy where their names are those of their sources, or where one source is that of
// all; one for each else.
func TestLearnSeveral(t *testing.T) {
	const web = "ghcr.io/acme/web"
	own := change(t, learnedF0, "trusted/builders/.github/workflows/build.yml", "acme/app/.github/workflows/release.yml", "[refs/tags/v1.2.3]", "[refs/heads/main]",
		"          ownerID: \"48120341\"\n", "          ownerID: \"48120341\"\n          repositoryID: \"1\"\n",
		"    refs: [refs/tags/v2.0.0]", "    repositoryIDs: [\"1\"]\n    ownerIDs: [\"48120341\"]\n    refs: [refs/heads/main]")
	app := func(name, repository string) *stemma.Evidence {
		return variant(name, repository, releasedBy("acme/app", "refs/heads/main", "1"))
	}
	vary := change(t, own, "name: app", "name: acme", "[ghcr.io/acme/app]", `["ghcr.io/acme/{name}"]`, "acme/app/.github", "\"acme/*/.github", "release.yml", "release.yml\"",
		"          repositoryID: \"1\"\n", "", "    repositoryIDs: [\"1\"]\n", "", "github.com/acme/app", "\"github.com/acme/{name}\"")
	for _, c := range []struct {
		name string
		with *stemma.Evidence
		want string
	}{
		{"the name is that of the source", variant("b", web, releasedBy("acme/web", "refs/heads/main", "2")), vary},
		{"one source", variant("b", web, releasedBy("acme/app", "refs/heads/main", "1")), change(t, own, " [ghcr.io/acme/app]", "\n      - ghcr.io/acme/app\n      - ghcr.io/acme/web")},
		{"another owner of that name", variant("b", "ghcr.io/evil/app", releasedBy("evil/app", "refs/heads/main", "2")), own + "---\n" + change(t, own,
			"name: app", "name: app-2", "ghcr.io/acme/app", "ghcr.io/evil/app", "acme/app/.github", "evil/app/.github", "github.com/acme", "github.com/evil", "[\"1\"]", "[\"2\"]", "repositoryID: \"1\"", "repositoryID: \"2\"")},
		{"another builder", variant("b", web, byCertificate(stemma.FieldRepository, "github.com/acme/web")), own + "---\n" + change(t, learnedF0, "name: app", "name: web", "ghcr.io/acme/app", web, "github.com/acme/app", "github.com/acme/web")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := body(learn(t, app("a", learnedImage), c.with).Policy); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
	// Of what varies another one fits; of what does not, none.
	set := load(t, learn(t, app("a", learnedImage), variant("b", web, releasedBy("acme/web", "refs/heads/main", "2"))).Policy)
	third := func(changes ...func(*stemma.Evidence)) *stemma.Decision {
		return Evaluate(set, variant("c", "ghcr.io/acme/db", append([]func(*stemma.Evidence){releasedBy("acme/db", "refs/heads/main", "3")}, changes...)...), now())
	}
	allowed(t, third())
	refuses(t, third(byCertificate(stemma.FieldRepository, "github.com/acme/app")), "source.repository", stemma.ReasonRepository)
	refuses(t, third(byCertificate(stemma.FieldOwnerID, "7")), "source.identity", stemma.ReasonRepository)
	refuses(t, third(byCertificate(stemma.FieldRef, "refs/heads/wip")), "source.ref", stemma.ReasonRef)
	refuses(t, third(signerIs(func(id *stemma.Identity) { id.Claims[stemma.ClaimSourceOwnerID] = "7" })), "builder.approved", stemma.ReasonCaller)
}

// A policy of two versions of an image allows the next one, and nothing that differs in anything else.
func TestLearnNext(t *testing.T) {
	set := load(t, learn(t, variant("a", learnedImage), variant("b", learnedImage, atTag("v1.3.0", "v2.1.0"))).Policy)
	next := func(changes ...func(*stemma.Evidence)) *stemma.Decision {
		return Evaluate(set, variant("c", learnedImage, append([]func(*stemma.Evidence){atTag("v1.4.0", "v2.2.0")}, changes...)...), now())
	}
	allowed(t, next())
	refuses(t, next(atTag("v1.4.0", "v3.0.0")), "source.ref", stemma.ReasonRef)
	refuses(t, next(atTag("v1.4.0", "v2/x")), "source.ref", stemma.ReasonRef)
	refuses(t, next(atTag("v2.0.0", "v2.2.0")), "builder.approved", stemma.ReasonBuilderRef)
	refuses(t, next(started("pull_request_target")), "builder.trigger", stemma.ReasonTrigger)
	refuses(t, next(byCertificate(stemma.FieldRepository, "github.com/acme/app2")), "source.repository", stemma.ReasonRepository)
	refuses(t, next(byCertificate(stemma.FieldRunner, "self-hosted")), "builder.runner", stemma.ReasonRunner)
}

// An image that GitHub built from one repository and GitLab from another has two ways, and no mixture of them.
func TestLearnWays(t *testing.T) {
	gitlab := variant("b", learnedImage, replaced(builtAs(gitlabSigner())))
	l := learn(t, variant("a", learnedImage), gitlab)
	set := load(t, l.Policy)
	allowed(t, Evaluate(set, gitlab, now()))
	mixed := variant("c", learnedImage, byCertificate(stemma.FieldRepository, "gitlab.com/acme/app"))
	if d := Evaluate(set, mixed, now()); d.Verdict != stemma.Deny {
		t.Errorf("%s\n%s", render(d), l.Policy)
	}
	// From one source, one way: either of two builders, or both where every image has both.
	same := variant("b", learnedImage, replaced(builtAs(gitlabSigner())), byCertificate(stemma.FieldRepository, "github.com/acme/app"))
	if got := body(learn(t, variant("a", learnedImage), same).Policy); !strings.Contains(got, "    by:\n      - github\n      - gitlab\n") {
		t.Error(got)
	}
	// One who says less of the source is named, too, and is not enough.
	less := variant("a", learnedImage)
	weak := variant("b", learnedImage, replaced(builtAs(gitlabSigner())), claim(stemma.FieldRepository, said("github.com/acme/app", stemma.SaidByTenant, "/x")))
	weak.Attestations[0].Bundle, weak.Provenance[0].Bundle, weak.Attestations[0].Binding.Member = digest("weak"), digest("weak"), less.Image.Digest
	less.Attestations, less.Provenance = append(less.Attestations, weak.Attestations...), append(less.Provenance, weak.Provenance...)
	l = learn(t, less)
	if !strings.Contains(l.Policy, "- gitlab ") || !strings.Contains(l.Policy, "# REVIEW: also claims 1 of 1 image") || !strings.Contains(l.Policy, "saidBy: certificate ") {
		t.Error(l.Policy)
	}
	less.Attestations, less.Provenance = less.Attestations[1:], less.Provenance[1:]
	if d := Evaluate(load(t, l.Policy), less, now()); d.Verdict != stemma.Deny || finding(t, d, "source.repository").Reason != stemma.ReasonSaidBy {
		t.Error(render(d))
	}
	both := variant("a", learnedImage)
	both.Attestations, both.Provenance = append(both.Attestations, same.Attestations...), append(both.Provenance, same.Provenance...)
	both.Attestations[1].Bundle, both.Provenance[1].Bundle, both.Attestations[1].Binding.Member = digest("second"), digest("second"), both.Image.Digest
	if got := body(learn(t, both).Policy); !strings.Contains(got, "    by: {atLeast: 2, of: [github, gitlab]}\n") {
		t.Error(got)
	}
}

// Bills of materials, scans, reviews and signatures are asked for when every image has them.
func TestLearnDocuments(t *testing.T) {
	full := func(name string) *stemma.Evidence {
		return variant(name, learnedImage, equip, func(e *stemma.Evidence) { e.Attestations = append(e.Attestations, signature("signed", vendor())) })
	}
	got := body(learn(t, full("a"), full("b")).Policy)
	for _, want := range []string{
		"  signature:\n    by: [keys-signer]\n", "  sbom:\n    by: [github]\n    formats: [spdx]\n    consistentWith:\n      - provenance\n      - base\n    elements: ntia\n",
		"    none:\n      - critical\n      - high\n      - medium\n      - negligible\n      - unknown\n",
		"    - type: \"https://acme.example/image-review/v1\"\n      by: [keys-signer]\n      values:\n        \"/result\": [accepted]\n",
		"    keys-signer:\n      trust: acme-kms\n      keys: [release]\n", "    keys-signer-2:\n      trust: acme-kms\n      keys: [review]\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks\n%s\nin\n%s", want, got)
		}
	}
	l := learn(t, full("a"), variant("b", learnedImage))
	if got := body(l.Policy); got != learnedF0 || !strings.Contains(l.Policy, "#   sbom: only 1 of 2 images have it\n") {
		t.Error(l.Policy)
	}
}

// What cannot be learned from is an error that names the image and what to do.
func TestLearnErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		images []*stemma.Evidence
		want   string
	}{
		{"nothing", []*stemma.Evidence{none()}, "nothing authentic is about it"},
		{"one has nothing", []*stemma.Evidence{f0(), variant("x", "ghcr.io/acme/web", nothing)}, "learning from ghcr.io/acme/web@"},
		{"rejected", []*stemma.Evidence{variant("x", learnedImage, nothing, func(e *stemma.Evidence) {
			e.Rejected = append(e.Rejected, rejected("r", stemma.ReasonSignatureInvalid))
		})}, "signature-invalid: detail of r"},
		{"about another digest", []*stemma.Evidence{variant("x", learnedImage, func(e *stemma.Evidence) {}, func(e *stemma.Evidence) { e.Attestations[0].Binding.Kind = "" })}, "nothing authentic is about it"},
		{"without a name", []*stemma.Evidence{variant("x", "")}, "it has no name"},
		{"a name that looks like a capture", []*stemma.Evidence{variant("x", "ghcr.io/acme/{x}")}, "no pattern matches only its name"},
		{"only the platforms", []*stemma.Evidence{variant("x", learnedImage, index("linux/amd64"))}, "only about its platforms"},
		{"a domain that nobody gave", []*stemma.Evidence{variant("x", learnedImage, signerIs(func(id *stemma.Identity) { id.Trust = "corp" }))}, `trust domain "corp", which nothing`},
		{"a key that nobody gave", []*stemma.Evidence{variant("x", learnedImage, signerIs(func(id *stemma.Identity) { *id = keySigner("chains", "other") }))}, "key other signed under trust domain"},
		{"two sources in one image", []*stemma.Evidence{variant("x", learnedImage, func(e *stemma.Evidence) {
			add(e, "second", githubSigner(trustedSAN), func(_ *stemma.Attestation, p *stemma.Provenance) {
				p.Claims[stemma.FieldCommit] = said(strings.Repeat("1", 40), stemma.SaidByCertificate, "certificate")
			})
		})}, "provenance.agreement"},
		{"a contradiction", []*stemma.Evidence{variant("x", learnedImage, claim(stemma.FieldCommit, said(commitOfSource, stemma.SaidByCertificate, "certificate", bySelf(commitOfBuilder, "/x"))))}, "provenance.consistent"},
		{"provenance in one only", []*stemma.Evidence{f0(), variant("x", learnedImage, nothing, func(e *stemma.Evidence) {
			e.Attestations = append(e.Attestations, signature("s", githubSigner(trustedSAN)))
		})}, "it has no provenance"},
		{"a key without builder.id", []*stemma.Evidence{variant("x", learnedImage, chained, claim(stemma.FieldBuilder, stemma.Claim{}))}, "names no builder.id"},
		{"a source of no single name", []*stemma.Evidence{variant("x", learnedImage, byCertificate(stemma.FieldRepository, "github.com/acme/{x}"))}, "no pattern matches only the name of its source"},
		{"a subject with a line break", []*stemma.Evidence{variant("x", learnedImage, replaced(builtAs(stemma.Identity{Trust: PublicGood, Issuer: "https://accounts.google.com", Subject: "a\u0085b", Key: digest("k")})))}, "a value that cannot be written"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := Learn(c.images, LearnOptions{Trust: trusting(t)})
			var u *Unlearnable
			if !errors.As(err, &u) || !strings.Contains(err.Error(), c.want) || l != nil {
				t.Errorf("%v, want an Unlearnable with %q, and no policy", err, c.want)
			}
		})
	}
	if _, err := Learn(nil, LearnOptions{}); err == nil {
		t.Error("learned from nothing")
	}
}

// Versions of tags, as the narrowest pattern that the language has.
func TestLearnVersions(t *testing.T) {
	for _, c := range []struct{ tags, want string }{
		{"v1.0.0", "v1.0.0"},
		{"v2.0.0 v2.1.0", "v2.*"},
		{"v2.1.0 v2.1.3", "v2.1.*"},
		{"v1.9.0 v2.0.0", "v*.*.*"},
		{"1.0 2.0", "*.*"},
		{"v1 v2", "v*"},
		{"1 2", "1 2"},
		{"v2 v2.1", "v2 v2.1"},
		{"v2 v2.1 v2.2", "v2 v2.*"},
		{"v2.0.0-rc.1 v2.0.0-rc.2 v2.0.0", "v2.0.0 v2.0.0-rc.1 v2.0.0-rc.2"},
		{"v2.0.0 v2.1.0-rc.1", "v2.*"},
		{"api/v1.0.0 api/v1.1.0 web/v1.0.0", "api/v1.* web/v1.0.0"},
		{"api2-v1.0 api2-v1.1", "api2-v1.*"},
		{"api2-v1.0 api3-v1.0", "api2-v1.0 api3-v1.0"},
		{"latest stable", "latest stable"},
		{"v1.0.0 v1.0.0x", "v1.0.0 v1.0.0x"},
	} {
		g, i, tags := &lesson{basis: map[string]string{}}, &studied{}, tally{}
		for tag := range strings.FieldsSeq(c.tags) {
			tags.add("refs/tags/"+tag, i)
		}
		got := strings.ReplaceAll(strings.Join(texts(g.refs("refs", "x", tags)), " "), "refs/tags/", "")
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.tags, got, c.want)
		}
	}
}

// Every line that says something has a comment on what it rests on, the first says that nobody verified it, and neither the
// order of the images nor giving one twice makes a difference.
func TestLearnText(t *testing.T) {
	a, b := variant("a", learnedImage, equip), variant("b", learnedImage, equip, atTag("v1.3.0", "v2.1.0"))
	text := learn(t, a, b).Policy
	if again := learn(t, b, a, b).Policy; again != text {
		t.Errorf("another order: %s", again)
	}
	if !strings.HasPrefix(text, "# learned, not verified: ") {
		t.Error(text)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		says := line != "" && line[0] != '#' && !strings.HasSuffix(line, ":") && !slices.ContainsFunc([]string{"apiVersion:", "kind:", "metadata:"}, func(p string) bool { return strings.HasPrefix(line, p) })
		if says && !strings.Contains(line, "  # ") {
			t.Errorf("%q rests on nothing", line)
		}
	}
	if want := "# certificate extension .17 of 2 of 2 images\n"; !strings.Contains(text, want) {
		t.Errorf("lacks %q", want)
	}
	l, err := Learn([]*stemma.Evidence{a}, LearnOptions{Trust: trusting(t), Name: "mine", Explain: true})
	if err != nil || !strings.Contains(l.Policy, "metadata: {name: mine}") {
		t.Errorf("%v", err)
	}
	for _, want := range []string{"refs/tags/** would also accept every tag", "without caller.ownerID", "source.repository github.com/acme/** would"} {
		if !slices.ContainsFunc(l.Wider, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%q is not among %q", want, l.Wider)
		}
	}
}

// Whatever the evidence, what is learned from it allows it, or there is an error that blames the image and not the
// program.
func TestLearnAnything(t *testing.T) {
	set := trusting(t)
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.SampledFrom([]func(*rapid.T) *stemma.Evidence{drawEvidence, drawBOM, drawBuilt}).Draw(t, "kind")
		images := []*stemma.Evidence{draw(t)}
		if rapid.Bool().Draw(t, "two") {
			images = append(images, draw(t))
		}
		l, err := Learn(images, LearnOptions{Trust: set, Explain: true})
		var u *Unlearnable
		if err != nil && (l != nil || !errors.As(err, &u)) {
			t.Fatal(err)
		}
	})
}

// Inputs are listed by name, of the kinds that every provenance reports, and no more is asked than all have.
func TestLearnInputs(t *testing.T) {
	debian := dependency(stemma.InputImage, "docker.io/library/debian", "12", map[string]string{"sha256": digest("base").Hex()}, stemma.RoleBase)
	golang := dependency(stemma.InputImage, "docker.io/library/golang", "1.26", map[string]string{"sha256": digest("go").Hex()}, stemma.RoleStage)
	with := func(name string, change func(*stemma.Provenance), inputs ...stemma.Input) *stemma.Evidence {
		return variant(name, learnedImage, provenanceHas(func(p *stemma.Provenance) {
			p.Inputs, p.Reported = inputs, map[stemma.InputKind]stemma.Reported{stemma.InputImage: stemma.ReportedAll}
			if change != nil {
				change(p)
			}
		}))
	}
	var packages []stemma.Input
	for i := range maxListed + 1 {
		in := dependency(stemma.InputPackage, "pkg:npm/%40acme/lib"+strings.Repeat("x", i), "1", map[string]string{"sha256": digest("lib").Hex()}, "")
		in.Host = "registry.acme.example"
		packages = append(packages, in)
	}
	reports := func(p *stemma.Provenance) { p.Reported[stemma.InputPackage] = stemma.ReportedSome }
	set := func(kind string, names ...string) func(*stemma.Provenance) {
		return func(p *stemma.Provenance) {
			p.External = []byte(`{}`)
			for _, n := range names {
				p.Parameters = append(p.Parameters, stemma.Parameter{Name: n, Kind: kind, Where: "/x"})
			}
		}
	}
	const images = "  inputs:\n    unreported: refuse\n    images: [docker.io/library/debian]\n    digests: required\n"
	for _, c := range []struct {
		name   string
		images []*stemma.Evidence
		want   string
		left   string // said in a comment
	}{
		{"one image", []*stemma.Evidence{with("a", nil, debian)}, images, "inputs.git: the builder names none"},
		{"two images", []*stemma.Evidence{with("a", nil, debian), with("b", nil, debian, golang)}, change(t, images, " [docker.io/library/debian]", "\n      - docker.io/library/debian\n      - docker.io/library/golang"), ""},
		{"a tag", []*stemma.Evidence{with("a", nil, debian), with("b", nil, dependency(stemma.InputImage, "docker.io/library/debian", "12", nil, ""))}, change(t, images, "    digests: required\n", ""), ""},
		{"some are reported", []*stemma.Evidence{with("a", func(p *stemma.Provenance) { p.Reported[stemma.InputImage] = stemma.ReportedSome }, debian)}, change(t, images, "refuse", "warn"), ""},
		{"none is reported in one", []*stemma.Evidence{with("a", nil, debian), with("b", func(p *stemma.Provenance) { p.Reported = nil }, debian)}, "  inputs:\n    digests: required\n", "inputs.images: the builder names none"},
		{"a name that looks like a pattern", []*stemma.Evidence{with("a", nil, dependency(stemma.InputImage, "docker.io/library/*", "12", debian.Digest, ""))}, "  inputs:\n    digests: required\n", "inputs.images: no pattern matches only docker.io/library/*"},
		{"many packages", []*stemma.Evidence{with("a", reports, packages...)}, "  inputs:\n    unreported: warn\n    packages: [\"registry.acme.example/**\"]\n    digests: required\n", "inputs.packages by name: they are 65"},
		{"some packages", []*stemma.Evidence{with("a", reports, packages[:1]...)}, "  inputs:\n    unreported: warn\n    packages: [\"pkg:npm/@acme/lib\"]\n    digests: required\n", ""},
		{"parameters", []*stemma.Evidence{with("a", set("build-arg", "VERSION"), debian)}, images + "    parameters:\n      allow: [VERSION]\n", ""},
		{"parameters of GitLab", []*stemma.Evidence{with("a", set(variableParameter, "CI"), debian)}, images, "inputs.parameters: none was set"},
		{"a parameter that no pattern names", []*stemma.Evidence{with("a", set("build-arg", "A*"), debian)}, images, `inputs.parameters: no pattern matches only "A*"`},
		{"and that is not known", []*stemma.Evidence{with("a", set(unknownParameter, "A*"), debian)}, "", "inputs: a parameter that the build type does not define was set"},
		{"hermetic", []*stemma.Evidence{with("a", func(p *stemma.Provenance) {
			p.Claims[stemma.FieldHermetic] = said("true", stemma.SaidByBuilder, "/hermetic")
		}, debian)}, images + "    hermetic: required\n", ""},
		{"said to be hermetic by the tenant", []*stemma.Evidence{with("a", func(p *stemma.Provenance) {
			p.Claims[stemma.FieldHermetic] = said("true", stemma.SaidByTenant, "/hermetic")
		}, debian)}, images, ""},
		{"no inputs", []*stemma.Evidence{with("a", nil)}, "", "inputs: the provenance names no inputs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := learn(t, c.images...)
			if got, want := body(l.Policy), learnedF0+c.want; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if !strings.Contains(l.Policy, "#   "+c.left) {
				t.Errorf("%q is not said in\n%s", c.left, l.Policy)
			}
		})
	}
}

// What a set says of trust, mirrors and platforms stays what it is; its policies do not count, and no image is allowed.
func TestLoadTrust(t *testing.T) {
	text := strings.Replace(keySet, "spec:\n", "spec:\n  platforms: [linux/amd64]\n  configSubjects: accept\n  policies: [app]\n", 1) + f0Policy
	set, err := LoadTrust(File{Name: "set.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(set.TrustNames(), " "); got != "acme-kms chains github public-good" {
		t.Errorf("trusts %s", got)
	}
	if !slices.Equal(set.spec.Platforms, Platforms{"linux/amd64"}) || set.spec.ConfigSubjects != ConfigsAccepted || len(set.Trust()) != 2 {
		t.Errorf("%+v", set.spec)
	}
	if d := Evaluate(set, f0(), now()); d.Verdict != stemma.Deny {
		t.Error(render(d))
	}
	if _, err := LoadTrust(File{Name: "set.yaml", Data: []byte("kind: PolicySet\n")}); err == nil {
		t.Error("a document that is none was loaded")
	}
}
