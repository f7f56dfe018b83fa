package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stemma"
)

func imageDistrusted() Rule {
	return Rule{
		ID:       "image.distrusted",
		Title:    "something that is said of this image is distrusted",
		Why:      "A stolen key, a compromised run or a poisoned commit leaves evidence that verifies for ever. Only a list of what is known to be bad takes it back.",
		Fix:      "rebuild the image from what is not distrusted, and find out how far the incident reached",
		Since:    "0.1",
		Controls: []string{"IR-4", "SI-5"},
		inForce:  func(p *loaded) bool { return len(p.distrust) > 0 },
		image:    checkDistrusted,
	}
}

// checkDistrusted looks at everything authentic that is said of what is judged, accepted or not, and of the indexes above
// it. It passes only when all of it could be compared with every list.
func checkDistrusted(j *judgement) result {
	var cites []stemma.Digest
	type read struct {
		a        *stemma.Attestation
		readings []*stemma.Provenance
	}
	var all []read
	beneath, underneath := j.underneath()
	for _, e := range slices.Concat([]*stemma.Evidence{j.top, j.evidence}, j.target.above, beneath) {
		if e == nil {
			continue
		}
		for i := range e.Attestations {
			a := &e.Attestations[i]
			cites = append(cites, a.Bundle)
			all = append(all, read{a, j.policy.readings(a, e)})
		}
	}
	unknown := ""
	for _, d := range j.policy.distrust {
		named := []struct{ what, digest string }{{"image", string(j.top.Image.Digest)}, {"image", string(j.target.digest())}}
		if j.evidence != nil {
			named = append(named, struct{ what, digest string }{"config", string(j.evidence.Config)})
		}
		for _, digest := range underneath {
			named = append(named, struct{ what, digest string }{"underneath, image", string(digest)})
		}
		for _, n := range named {
			if i := slices.Index(d.spec.Digests, n.digest); i >= 0 && n.digest != "" {
				return d.deny(n.what+" "+n.digest, fmt.Sprintf("digests[%d]", i), "")
			}
		}
		for _, r := range all {
			what, path, unclear := d.names(r.a, r.readings)
			if what != "" {
				found := d.deny(what, path, proof(r.a))
				found.cites = []stemma.Digest{r.a.Bundle}
				return found
			}
			unknown = max(unknown, unclear)
		}
	}
	if unknown != "" {
		return result{
			outcome: stemma.Unknown, reason: stemma.ReasonBadAnswer, got: unknown, want: "a name that can be compared with what is distrusted",
			detail: "it has characters or parts that no canonical name has, so that no pattern can be compared with it",
		}
	}
	return pass(count(len(j.policy.distrust), "Distrust document")+" names nothing of it", cites...)
}

func (d *distrusted) deny(got, path, proof string) result {
	return result{
		outcome: stemma.Fail, reason: stemma.ReasonDistrusted, got: got, want: "nothing that Distrust " + d.name + " names",
		detail: strings.TrimSpace(d.spec.Reason + " " + d.spec.Ticket), proof: proof, place: d.where(path),
	}
}

// underneath are the images that what is judged is known to stand on, or to be built with, and the evidence about them: what
// is distrusted is so at any depth.
func (j *judgement) underneath() (about []*stemma.Evidence, digests []stemma.Digest) {
	if j.evidence == nil {
		return nil, nil
	}
	add := func(image stemma.Image, index stemma.Digest, e *stemma.Evidence) {
		digests = append(digests, image.Digest, index)
		if e != nil {
			about, digests = append(about, e), append(digests, e.Config)
		}
	}
	for _, c := range j.chains() {
		for _, s := range c.steps {
			add(s.lineage.Base, s.lineage.Index, s.lineage.Evidence)
		}
		if l := c.of.Base; l != nil {
			for i := range l.Stages {
				if l.Stages[i].Binding != stemma.BindingLoose {
					add(l.Stages[i].Image, "", l.Stages[i].Evidence)
				}
			}
		}
	}
	return about, digests
}

// readings are all that an attestation says of a build: as it was read, and as each builder of the policy that signed it
// means it. What is distrusted is so wherever a policy finds it.
func (p *loaded) readings(a *stemma.Attestation, e *stemma.Evidence) []*stemma.Provenance {
	var out []*stemma.Provenance
	for _, list := range [][]stemma.Provenance{e.Provenance, e.Other} {
		for i := range list {
			if list[i].Bundle != a.Bundle {
				continue
			}
			out = append(out, &list[i])
			for _, name := range slices.Sorted(maps.Keys(p.builders)) {
				b := p.builders[name]
				if !slices.ContainsFunc(append([]stemma.Identity{a.Signer}, a.Cosigners...), func(id stemma.Identity) bool { return b.differs(id).reason == "" }) {
					continue
				}
				if view, away := b.view(a, &list[i]); away.reason == "" && view != &list[i] {
					out = append(out, view)
				}
			}
		}
	}
	return out
}

// within reports whether a signing time is one that the document means. One that is not proven is.
func (d *distrusted) within(t time.Time) bool {
	return t.IsZero() || !t.Before(d.spec.From.Time) && (d.spec.Until.IsZero() || t.Before(d.spec.Until.AddDate(0, 0, 1)))
}

// comparison looks for what an attestation says in the lists of a document, and keeps the first that is named.
type comparison struct {
	*distrusted
	what, path string // what is named, and by which entry
	unclear    string // what no pattern can be compared with
}

// names reports what of an attestation the document names. A name that no pattern can be compared with is unclear: it
// must not slip through a list of what is bad.
func (d *distrusted) names(a *stemma.Attestation, readings []*stemma.Provenance) (what, path, unclear string) {
	c := &comparison{distrusted: d}
	first := d.within(a.Time())
	if first {
		c.exact(d.spec.Digests, "digests", "evidence", string(a.Bundle))
		c.identity(a.Signer)
	}
	// The time that is proven is that of the first signature. Of the others nobody knows it.
	for _, id := range a.Cosigners {
		c.identity(id)
	}
	for _, p := range readings {
		if first && c.what == "" {
			c.provenance(p)
		}
	}
	return c.what, c.path, c.unclear
}

func (c *comparison) identity(id stemma.Identity) {
	c.exact(c.spec.Keys, "keys", "key", string(id.Key))
	for i, issuer := range c.spec.Issuers {
		// The issuer that a certificate states has a slash at its end or not, as its operator configured it.
		if id.Issuer != "" && plainName(issuer) == plainName(id.Issuer) {
			c.found("issuer", id.Issuer, "issuers", i)
		}
	}
	c.like(c.spec.Signers, "signers", "signer", id.Subject, withoutRef)
	for _, claim := range []struct{ name, what string }{
		{stemma.ClaimSourceRepositoryHash, "commit"},
		{stemma.ClaimGitHubSHA, "commit"},
		{stemma.ClaimBuildSignerDigest, "commit of the workflow"},
		{stemma.ClaimBuildConfigDigest, "commit of the workflow"},
	} {
		c.exact(c.spec.Commits, "commits", claim.what, id.Claims[claim.name])
	}
	c.like(c.spec.Runs, "runs", "run", id.Claims[stemma.ClaimRunInvocationURI], anyAttempt)
	c.like(c.spec.Repositories, "repositories", "repository", id.Claims[stemma.ClaimSourceRepositoryURI], asItIs)
	if name := id.Claims[stemma.ClaimGitHubRepository]; name != "" {
		c.like(c.spec.Repositories, "repositories", "repository", "github.com/"+name, asItIs)
	}
	workflow, _, _ := strings.Cut(id.Claims[stemma.ClaimBuildConfigURI], "@")
	c.like(c.spec.Repositories, "repositories", "workflow", workflow, below)
}

// provenance compares what was built and what says how: a poisoned pipeline or task turns good sources into bad images.
func (c *comparison) provenance(p *stemma.Provenance) {
	for _, f := range stemma.Fields() {
		claim := p.Claims[f]
		for _, s := range append([]stemma.Said{claim.Said}, claim.Others...) {
			switch f {
			case stemma.FieldBuilder:
				c.like(c.spec.Builders, "builders", "builder", s.Value, withoutRef)
			case stemma.FieldRepository:
				c.like(c.spec.Repositories, "repositories", "repository", s.Value, asItIs)
			case stemma.FieldCommit, stemma.FieldWorkflowCommit:
				c.exact(c.spec.Commits, "commits", string(f), s.Value)
			case stemma.FieldRun:
				c.like(c.spec.Runs, "runs", "run", s.Value, anyAttempt)
			case stemma.FieldDefinition:
				name, version, _ := strings.Cut(s.Value, "@")
				c.defined("definition", name, version)
			}
		}
	}
	c.like(c.spec.Builders, "builders", "builder", p.Delegate, withoutRef)
	for i := range p.Tasks {
		c.defined("task", p.Tasks[i].Ref, p.Tasks[i].Digest)
	}
}

// defined compares what defines a build or a part of it: a repository or a bundle, or a path in it, at a commit or digest.
func (c *comparison) defined(what, name, version string) {
	c.like(c.spec.Repositories, "repositories", what, name, below)
	c.exact(c.spec.Commits, "commits", what+" at", version)
	c.exact(c.spec.Digests, "digests", what, version)
}

func (c *comparison) found(what, value, key string, i int) {
	if c.what == "" {
		c.what, c.path = what+" "+value, fmt.Sprintf("%s[%d]", key, i)
	}
}

func (c *comparison) exact(list []string, key, what, value string) {
	if i := slices.Index(list, value); i >= 0 && value != "" {
		c.found(what, value, key, i)
	}
}

// like compares a name with patterns, as it is and in the other forms in which a pattern can mean it.
func (c *comparison) like(list []Pattern, key, what, value string, other func(pattern, value string) bool) {
	if value == "" || c.what != "" || len(list) == 0 {
		return
	}
	plain := plainName(value)
	if _, ok := Pattern("**").match(plain, nil); !ok {
		c.unclear = what + " " + value
		return
	}
	for i, p := range list {
		pattern := plainName(string(p))
		if _, ok := Pattern(pattern).match(plain, nil); ok || other(pattern, plain) {
			c.found(what, value, key, i)
			return
		}
	}
}

func asItIs(string, string) bool { return false }

// below reports a path in what a pattern names.
func below(pattern, value string) bool {
	_, ok := Pattern(pattern+"/**").match(value, nil)
	return ok
}

// withoutRef: a pattern that names no ref means the workflow, or the version of a builder, at any.
func withoutRef(pattern, value string) bool {
	name, _, ok := strings.Cut(value, "@")
	if !ok || strings.Contains(pattern, "@") || !strings.Contains(name, "/") {
		return false // an e-mail address has no ref
	}
	_, ok = Pattern(pattern).match(name, nil)
	return ok
}

// anyAttempt: a pattern that names no attempt of a run means all of them, and a run without attempt may have been any.
func anyAttempt(pattern, value string) bool {
	parts := strings.Split(value, "/")
	if n := len(parts); n > 2 && parts[n-2] == "attempts" {
		_, ok := Pattern(pattern).match(strings.Join(parts[:n-2], "/"), nil)
		return ok
	}
	steps := 0
	return overlapAll(Pattern(pattern).components(), append(parts, "attempts", "*"), &steps)
}

// plainName is a name as lists of distrust compare it: without scheme, in lower case, and with the double slash of GitLab
// as one. What is bad stays bad in another spelling.
func plainName(name string) string {
	if _, rest, ok := strings.Cut(name, "://"); ok {
		name = rest
	}
	name = strings.ToLower(name)
	for strings.Contains(name, "//") {
		name = strings.ReplaceAll(name, "//", "/")
	}
	return strings.TrimSuffix(name, "/")
}
