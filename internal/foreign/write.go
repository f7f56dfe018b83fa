package foreign

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"stemma"
)

// write makes the documents.
func (t *translation) write() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	comment := func(depth int, text string) { line("%s# %s", strings.Repeat("  ", depth), stemma.Printable(text, 400)) }
	comment(0, "imported, not reviewed: what the original demands, or more; where it demands what is not said here, a rule refuses")
	if len(t.order) > 0 || t.tags != "" {
		line("apiVersion: policy.stemma.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: imported}\nspec:")
		if t.tags != "" {
			line("  tags: %s", t.tags)
		}
		t.writeTrust(line)
	}
	for i, p := range t.policies {
		if i > 0 || len(t.order) > 0 || t.tags != "" {
			line("---")
		}
		p.write(t, line, comment)
	}
	return b.String()
}

func (t *translation) writeTrust(line func(string, ...any)) {
	if len(t.order) == 0 {
		return
	}
	line("  trust:")
	for _, logged := range []bool{false, true} {
		var keys []*key
		for _, k := range t.order {
			if k.logged == logged {
				keys = append(keys, k)
			}
		}
		if len(keys) == 0 {
			continue
		}
		line("    - name: %s\n      keys:", domain(logged))
		for _, k := range keys {
			line("        - {name: %s, pem: %s}", k.name, quotedLines(k.pem))
		}
		if logged {
			line("      root: public-good\n      requires: {timestamp: none, sct: none}")
		} else {
			line("      requires: {log: none, timestamp: none, sct: none}\n      time: none")
		}
	}
}

// domain is the trust domain of keys whose signatures must be in Rekor, or need not.
func domain(logged bool) string {
	if logged {
		return "imported-logged"
	}
	return "imported"
}

func quotedLines(pem string) string {
	return `"` + strings.ReplaceAll(strings.TrimSpace(pem), "\n", `\n`) + `\n"`
}

func (p *policy) write(t *translation, line func(string, ...any), comment func(int, string)) {
	comment(0, "from "+p.from)
	line("apiVersion: policy.stemma.dev/v1alpha1\nkind: ImageTrustPolicy\nmetadata: {name: %s}\nspec:", p.name)
	if p.mode != "" {
		line("  mode: %s", p.mode)
	}
	if len(p.images) == 0 {
		p.images = []string{"**"} // what it was about is said nowhere
	}
	line("  match:\n    images: [%s]", quotedList(p.images))
	if len(p.except) > 0 {
		line("    except: [%s]", quotedList(p.except))
	}
	p.ways = slices.DeleteFunc(p.ways, func(w way) bool {
		return len(w.by)+len(w.attestations) == 0 || slices.ContainsFunc(w.attestations, func(a attestation) bool { return a.kind == "" || len(a.by) == 0 })
	})
	if len(p.ways) == 0 {
		comment(1, "nobody meets this")
		p.refuse(t)
	}
	line("  signers:")
	for _, s := range p.signers {
		if !slices.ContainsFunc(p.ways, func(w way) bool { return w.names(s.name) }) {
			continue
		}
		line("    %s: {%s}", s.name, t.resolved(s.lines))
	}
	if len(p.ways) == 1 {
		p.ways[0].write("  ", line)
	} else {
		line("  anyOf:")
		for _, w := range p.ways {
			line("    - name: %s", w.name)
			w.write("      ", line)
		}
	}
	if len(p.conditions) == 0 {
		return
	}
	line("  rules:")
	for i, c := range p.conditions {
		if i == maxConditions {
			comment(2, fmt.Sprintf("and %d more, any of which would be enough to refuse", len(p.conditions)-i))
			break
		}
		line("    - id: imported.condition-%d", i+1)
		line(`      require: now < timestamp("1970-01-01T00:00:00Z")  # never`)
		line("      why: %s", quoted(fmt.Sprintf("%s, %s:%d, was not carried over: %s", c.Path, filepath.Base(c.File), c.Line, c.Problem)))
		line("      fix: %s", quoted("write what it demanded in place of this rule, or remove it after a review"))
	}
}

// maxConditions is how many are written of one policy.
const maxConditions = 50

// names reports whether a signer has a part in the way.
func (w way) names(signer string) bool {
	return slices.Contains(w.by, signer) || slices.ContainsFunc(w.attestations, func(a attestation) bool { return slices.Contains(a.by, signer) })
}

// resolved is an identity; of a key, with the domain that it came to be in.
func (t *translation) resolved(lines string) string {
	name, ok := strings.CutPrefix(lines, keyMark)
	if !ok {
		return lines
	}
	for _, k := range t.order {
		if k.name == name {
			return "trust: " + domain(k.logged) + ", keys: [" + name + "]"
		}
	}
	return lines
}

// keyMark begins an identity that is a key, whose domain is known when all is read.
const keyMark = "KEY "

// refuse makes the policy one that nobody meets.
func (p *policy) refuse(t *translation) {
	name := p.signer(t, `oidc: {issuer: "https://nobody.invalid", subject: nobody}`)
	p.ways = []way{{by: []string{name}}}
}

func (w way) write(indent string, line func(string, ...any)) {
	if len(w.by) > 0 {
		by := names(w.by)
		if w.atLeast > 1 {
			by = fmt.Sprintf("{atLeast: %d, of: %s}", w.atLeast, by)
		}
		line("%ssignature: {by: %s}", indent, by)
	}
	if len(w.attestations) > 0 {
		line("%sattestations:", indent)
		for _, a := range w.attestations {
			line("%s  - {type: %s, by: %s}", indent, quoted(a.kind), names(a.by))
		}
	}
}

// names are each written once, in the order in which they came.
func names(all []string) string {
	var out []string
	for _, name := range all {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func quotedList(all []string) string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = quoted(s)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}
