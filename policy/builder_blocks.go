package policy

import (
	"maps"
	"slices"
	"strings"

	"stemma"
)

// block is what provenance of one kind of builder must say besides, whoever signs it: at most one is written.
type block interface {
	key() string // under which it is written: "tekton"
	// view is the provenance as such a builder means it, and in what it is none of such a builder; the zero difference when
	// it is one. It never changes p, and never returns nil.
	view(a *stemma.Attestation, p *stemma.Provenance) (*stemma.Provenance, difference)
	check(c *checker, path string, b Builder) // when it is loaded
}

// blocks lists what is written.
func (b Builder) blocks() []block {
	var out []block
	if b.Tekton != nil {
		out = append(out, *b.Tekton)
	}
	if b.CloudBuild != nil {
		out = append(out, *b.CloudBuild)
	}
	if b.BuildKit != nil {
		out = append(out, *b.BuildKit)
	}
	if b.Internal != nil {
		out = append(out, *b.Internal)
	}
	return out
}

// shared reports whether the identity signs for several who are told apart by what provenance says: tenants of one key, and
// workflows that use a workflow which signs for others.
func (b Builder) shared() bool {
	return b.Tekton != nil || b.CloudBuild != nil || b.GitHub != nil && b.ID != ""
}

// view is what an attestation says of the build, read as the work of this builder.
func (b Builder) view(a *stemma.Attestation, p *stemma.Provenance) (*stemma.Provenance, difference) {
	if blocks := b.blocks(); len(blocks) == 1 {
		return blocks[0].view(a, p)
	}
	return p, difference{}
}

// ofFamily is a view of provenance that the reader of one kind of builder read, as it stands.
func ofFamily(known, key string, p *stemma.Provenance) (*stemma.Provenance, difference) {
	if p.Known == known {
		return p, difference{}
	}
	got := p.Known
	if got == "" {
		got = "an unknown builder, buildType " + quoteEmpty(p.BuildType)
	}
	return p, difference{stemma.ReasonBuilder, "provenance of " + got, "provenance of " + known, key, 25}
}

// saying is provenance of which a policy says where some fields stand. What stands there replaces all that the predicate
// says of the field elsewhere, which a reader could only take for it; the certificate's word stays, and may contradict.
// Where nothing stands, only a certificate states the field.
func saying(p *stemma.Provenance, fields map[stemma.Field]stemma.Said) *stemma.Provenance {
	out := *p
	out.Claims = maps.Clone(p.Claims)
	if out.Claims == nil {
		out.Claims = map[stemma.Field]stemma.Claim{}
	}
	for f, s := range fields {
		claim := out.Claims[f]
		all := slices.DeleteFunc(slices.Concat([]stemma.Said{claim.Said}, claim.Others), func(o stemma.Said) bool {
			return o.Value == "" || o.By != stemma.SaidByCertificate
		})
		if s.Value != "" {
			all = append(all, s)
		}
		delete(out.Claims, f)
		if len(all) > 0 {
			out.Claims[f] = stemma.Claim{Said: all[0], Others: all[1:]}
		}
	}
	return &out
}

func builderNamespace() Rule {
	return Rule{
		ID:       "builder.namespace",
		Title:    "built in a namespace, under an account, or in a project that is not accepted",
		Why:      "Tekton Chains signs with one key for every namespace of a cluster, and Google Cloud Build for every project of the world: only the namespace or the project tells whose build it was.",
		Fix:      "deploy an image that was built in an accepted namespace or project, and see that the provenance names it in its builder's own words",
		Since:    "0.1",
		Controls: []string{"CM-5", "SR-4"},
		inForce: func(p *loaded) bool {
			return p.asksBuilder(func(b Builder) bool {
				return slices.ContainsFunc(namespaceControls(b), func(k control) bool { return len(k.allowed) > 0 })
			})
		},
		each: func(j *judgement, c *candidate) result {
			return j.controlled(c, namespaceControls(j.policy.builders[c.builder])...)
		},
	}
}

// namespaceControls are what a builder asks of the place of a build.
func namespaceControls(b Builder) []control {
	of := func(allowed []string, f stemma.Field, path string) control {
		return control{allowed: allowed, fields: []stemma.Field{f}, by: stemma.SaidByBuilder, reason: stemma.ReasonCaller, path: path}
	}
	var out []control
	if b.Tekton != nil {
		for _, k := range []struct {
			patterns []Pattern
			field    stemma.Field
			path     string
		}{
			{b.Tekton.Namespaces, stemma.FieldNamespace, "tekton.namespaces"},
			{b.Tekton.ServiceAccounts, stemma.FieldServiceAccount, "tekton.serviceAccounts"},
		} {
			if slices.Contains(k.patterns, anyNamespace) {
				continue
			}
			one := of(texts(k.patterns), k.field, k.path)
			one.matches = func(allowed, got string) bool {
				_, ok := Pattern(allowed).match(got, nil)
				return ok
			}
			out = append(out, one)
		}
	}
	if b.CloudBuild != nil && !slices.Contains(b.CloudBuild.Projects, string(anyNamespace)) {
		out = append(out, of(b.CloudBuild.Projects, stemma.FieldNamespace, "gcb.projects"))
	}
	return out
}

// texts are patterns as they are written.
func texts(patterns []Pattern) []string {
	out := make([]string, len(patterns))
	for i, p := range patterns {
		out[i] = string(p)
	}
	return out
}

// signedBy refuses a block beside an identity that no such builder has.
func (c *checker) signedBy(path, builder string, b Builder, keys ...string) {
	if forms := b.forms(); len(forms) == 1 && !slices.Contains(keys, forms[0].key()) {
		c.fail(path, "write "+strings.Join(keys, " or ")+" beside it", "%s does not sign as a builder by %s", builder, forms[0].key())
	}
}
