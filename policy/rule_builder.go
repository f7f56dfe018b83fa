package policy

import (
	"slices"
	"strings"

	"stemma"
)

func builderApproved() Rule {
	return Rule{
		ID:       "builder.approved",
		Title:    "built by a workflow or key that this policy does not accept",
		Why:      "Anybody can run a build and get a valid signature for it. What counts is whose build it was, and that is read from the signer, never from the text of the provenance.",
		Fix:      "deploy an image from the accepted builder; if this builder should be accepted, add it to provenance.by after a review",
		Since:    "0.1",
		Controls: []string{"CM-14", "SA-10", "SR-4"},
		inForce:  hasProvenance,
		each:     checkBuilder,
	}
}

func checkBuilder(j *judgement, c *candidate) result {
	by := j.spec.Provenance.By
	if c.accepted() {
		r := pass(describe(c.attestation.Signer)+" as "+c.builder, c.provenance.Bundle)
		r.proof = c.proof()
		return r
	}
	d := c.away
	want := d.want
	if len(by.Of) > 1 {
		want += " (or " + strings.Join(slices.DeleteFunc(slices.Clone(by.Of), func(n string) bool { return n == c.builder }), ", ") + ")"
	}
	// A place that gave no answer cannot make this right: whatever it holds, the image has this builder, too, and
	// provenance.agreement says so.
	return result{
		outcome: stemma.Fail, reason: d.reason, got: d.got, want: want, detail: explainDifference(d),
		proof: c.proof(), path: j.builderPath(c.builder, d.path),
		fix: "deploy an image that " + c.builder + " built (" + d.want + ")",
	}
}

// builderPath is where a builder stands: in the policy, or in the set.
func (j *judgement) builderPath(name, path string) string {
	return "builders." + name + "." + path
}

// explainDifference names the parts of a workflow identity that differ.
func explainDifference(d difference) string {
	if d.reason != stemma.ReasonBuilder && d.reason != stemma.ReasonBuilderRef {
		return ""
	}
	got, gotRef, ok1 := strings.Cut(d.got, " @ ")
	want, wantRef, ok2 := strings.Cut(d.want, " @ ")
	if !ok1 || !ok2 {
		return ""
	}
	g, w := strings.Split(got, "/"), strings.Split(want, "/")
	if len(g) < 5 || len(w) < 5 {
		return ""
	}
	var parts, same []string
	note := func(equal bool, what string) {
		if equal {
			same = append(same, "same "+what)
		} else {
			parts = append(parts, what)
		}
	}
	note(g[0] == w[0], "organisation")
	note(strings.Join(g[:2], "/") == strings.Join(w[:2], "/"), "workflow repository")
	note(strings.Join(g[4:], "/") == strings.Join(w[4:], "/"), "workflow file")
	if d.reason == stemma.ReasonBuilderRef {
		parts = append(parts, "ref")
	} else if gotRef != wantRef && !strings.ContainsAny(wantRef, "*{") {
		parts = append(parts, "ref")
	}
	text := "differs in: " + strings.Join(parts, ", ")
	if len(same) > 0 {
		text += "   (" + strings.Join(same, ", ") + ")"
	}
	return text
}

func builderTrigger() Rule {
	return Rule{
		ID:       "builder.trigger",
		Title:    "the build was started by an event or a trigger that is not accepted",
		Why:      "pull_request_target, workflow_run and issue events run with the repository's rights on input that strangers write; builds started by them have released malware under the right workflow's name.",
		Fix:      "deploy an image that was built by an accepted event, such as a push or a release",
		Since:    "0.1",
		Controls: []string{"CM-3", "CM-5", "SA-10"},
		inForce: func(p *loaded) bool {
			return p.asksBuilder(func(b Builder) bool {
				return len(b.form().controls().events) > 0 || b.CloudBuild != nil && len(b.CloudBuild.Triggers) > 0
			})
		},
		each: func(j *judgement, c *candidate) result {
			b := j.policy.builders[c.builder]
			all := []control{{
				allowed: b.form().controls().events, fields: []stemma.Field{stemma.FieldTrigger}, by: stemma.SaidByCertificate,
				reason: stemma.ReasonTrigger, path: b.form().key() + ".events",
			}}
			if b.CloudBuild != nil {
				all = append(all, control{
					allowed: b.CloudBuild.Triggers, fields: []stemma.Field{stemma.FieldTrigger, stemma.FieldTriggerID}, by: stemma.SaidByBuilder,
					reason: stemma.ReasonTrigger, path: "gcb.triggers",
				})
			}
			return j.controlled(c, all...)
		},
	}
}

func builderRunner() Rule {
	return Rule{
		ID:       "builder.runner",
		Title:    "the build ran on a kind of machine that is not accepted",
		Why:      "A self-hosted runner keeps its state between builds, and whoever once ran a job on it can wait there for the next.",
		Fix:      "build on an accepted runner",
		Since:    "0.1",
		Controls: []string{"SA-15", "SR-3"},
		inForce: func(p *loaded) bool {
			return p.asksBuilder(func(b Builder) bool { return b.form().controls().runner != "" })
		},
		each: func(j *judgement, c *candidate) result {
			form := j.policy.builders[c.builder].form()
			runner := control{fields: []stemma.Field{stemma.FieldRunner}, by: stemma.SaidByCertificate, reason: stemma.ReasonRunner, path: form.key() + ".runner"}
			if r := form.controls().runner; r != "" {
				runner.allowed = []string{r}
			}
			return j.controlled(c, runner)
		},
	}
}

// asksBuilder reports whether a builder of provenance.by asks for something.
func (p *loaded) asksBuilder(asks func(Builder) bool) bool {
	return p.spec.Provenance != nil && slices.ContainsFunc(p.spec.Provenance.By.Of, func(n string) bool { return asks(p.builders[n]) })
}

// control is an allow-list of what a builder may say of a run. One that lists nothing asks nothing.
type control struct {
	allowed []string
	matches func(allowed, got string) bool // equal when it is nil
	fields  []stemma.Field                 // of which one must be allowed
	by      stemma.Grade                   // nobody weaker may state it
	reason  stemma.Reason                  // of another value
	path    string                         // below the builder
}

// controlled judges a candidate by the controls of the builder that it is or came closest to: all of them must hold.
func (j *judgement) controlled(c *candidate, all ...control) result {
	var got []string
	for _, k := range all {
		if len(k.allowed) == 0 {
			continue
		}
		r := j.control(c, k)
		if r.outcome != stemma.Pass {
			return r
		}
		got = append(got, r.got)
	}
	if len(got) == 0 {
		return result{outcome: stemma.NotApplicable}
	}
	return pass(strings.Join(got, ", "), c.provenance.Bundle)
}

func (j *judgement) control(c *candidate, k control) result {
	var others, weaker []string
	for _, f := range k.fields {
		claim := c.provenance.Claims[f]
		switch {
		case claim.Value == "":
		case claim.By.Rank() < k.by.Rank():
			// What the job says of itself is no control of the job.
			weaker = append(weaker, claim.Value+", said by "+grade(claim.By))
		case slices.ContainsFunc(k.allowed, func(allowed string) bool {
			return allowed == claim.Value || k.matches != nil && k.matches(allowed, claim.Value)
		}):
			return pass(claim.Value, c.provenance.Bundle)
		default:
			others = append(others, claim.Value)
		}
	}
	r := result{
		outcome: stemma.Fail, reason: k.reason, got: strings.Join(others, ", "), want: strings.Join(k.allowed, " or "),
		proof: c.proof(), path: j.builderPath(c.builder, k.path),
	}
	if len(others) == 0 {
		r.reason, r.got = stemma.ReasonNotStated, "not stated by the "+string(k.by)
		if len(weaker) > 0 {
			r.got += " (" + strings.Join(weaker, "; ") + ")"
		}
	}
	return r
}

// everyBuilder is the choice of all of them.
func everyBuilder(Builder) bool { return true }

// identify adds a candidate for every builder of provenance.by that the signer is, or one for the builder that it came
// closest to, among those that may have written a statement like this.
func (j *judgement) identify(a *stemma.Attestation, p *stemma.Provenance, writes func(Builder) bool) {
	if j.spec.Provenance == nil {
		if writes(Builder{}) {
			j.candidates = append(j.candidates, &candidate{attestation: a, provenance: p})
		}
		return
	}
	var nearest *candidate
	for i, name := range j.spec.Provenance.By.Of {
		b := j.policy.builders[name]
		if !writes(b) {
			continue
		}
		c := &candidate{attestation: a, provenance: p, builder: name, order: i, away: b.differs(a.Signer)}
		view := p
		if c.accepted() {
			// What a stranger says is compared with the others as it stands: no mapping of a builder's is about it.
			if view, c.away = b.view(a, p); c.accepted() {
				c.provenance = view
			}
		}
		// A key speaks only for the builder.id that the policy gives it (SLSA: roots of trust map a key to a builder.id).
		// A delegator signs for whoever calls it; who that is, the policy must name, however it writes the delegator's own
		// name (threats C19).
		got, delegated := view.Value(stemma.FieldBuilder), view.Delegate != "" || b.GitHub != nil && b.Internal == nil
		if delegated {
			got = view.Delegate
		}
		if c.accepted() && (b.ID != "" || delegated) && got != b.ID {
			c.away = difference{stemma.ReasonBuilder, "builder.id " + quoteEmpty(got), "builder.id " + b.ID, "id", 30}
		}
		if c.accepted() {
			j.candidates = append(j.candidates, c)
			nearest = c
		} else if nearest == nil || !nearest.accepted() && c.away.rank > nearest.away.rank {
			nearest = c
		}
	}
	if nearest != nil && !nearest.accepted() {
		j.candidates = append(j.candidates, nearest)
	}
}
