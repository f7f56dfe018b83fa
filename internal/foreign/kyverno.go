package foreign

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// action is what Kyverno does when a rule is not met: Audit, unless something says Enforce.
type action struct {
	said     bool
	enforces bool
}

func (a *action) read(p part) {
	if a.said = a.said || p.text() != ""; !strings.EqualFold(p.text(), "audit") {
		a.enforces = true
	}
}

// overridden reads namespaces in which another action is taken: one that enforces makes the policy enforce in all.
func (a *action) overridden(p part) {
	for _, item := range p.items() {
		if !strings.EqualFold(item.get("action").text(), "audit") {
			a.enforces = true
		}
	}
	p.told("namespaces in which another action is taken: the strictest is taken in all; write exempt")
}

// kyverno translates the verifyImages rules of a ClusterPolicy or Policy: each rule, and each entry of it, is a policy of its
// own, and an image must meet all that are about it.
func (t *translation) kyverno(p part, name string) {
	p.in = &policy{} // what is said of all rules
	written := len(t.policies)
	var fallback action
	var rules []part
	p.each(map[string]func(part){
		"apiVersion": nil, "kind": nil, "status": nil,
		"metadata": func(p part) {
			if p.get("namespace").there() {
				p.told("the policy is one of all namespaces")
			}
		},
		"spec": func(p part) {
			p.each(map[string]func(part){
				"rules":                            func(p part) { rules = p.items() },
				"validationFailureAction":          fallback.read,
				"validationFailureActionOverrides": fallback.overridden,
				"failurePolicy":                    differs("what becomes of an image when nobody answers, the PolicySet says (undetermined)"),
				"webhookTimeoutSeconds":            nil, "webhookConfiguration": nil, "background": nil, "admission": nil, "schemaValidation": nil,
				"generateExisting": nil, "mutateExistingOnPolicyUpdate": nil, "emitWarning": nil, "useServerSideApply": nil,
				"applyRules": differs("all rules are applied"),
			})
		},
	})
	for _, rule := range rules {
		images := rule.get("verifyImages")
		if !images.there() {
			rule.told("a rule that verifies no images, which is left out")
			continue
		}
		first := len(t.policies)
		rule.in = &policy{}
		rule.each(map[string]func(part){
			"name": nil, "verifyImages": nil,
			"match":            differs("the policy is about these images in whatever resource they are"),
			"exclude":          differs("resources are not left out: write exempt for namespaces"),
			"preconditions":    differs("the policy is about these images without preconditions"),
			"celPreconditions": differs("the policy is about these images without preconditions"),
			"context":          nil, "skipBackgroundRequests": nil, "reportProperties": nil,
			"imageExtractors": differs("images in fields of other resources are for the edge to find"),
		})
		for i, entry := range images.items() {
			called := name + "-" + rule.get("name").text()
			if i > 0 {
				called += fmt.Sprintf("-%d", i+1)
			}
			t.policy(entry, "Kyverno rule", called).verifyImages(fallback)
		}
		for _, written := range t.policies[first:] {
			written.conditions = append(written.conditions, rule.in.conditions...)
		}
	}
	for _, written := range t.policies[written:] {
		written.conditions = append(written.conditions, p.in.conditions...)
	}
	if len(t.policies) == written {
		p.told("no rule of it verifies images")
	}
}

// verifyImages reads one entry of a rule.
func (p part) verifyImages(does action) {
	var rows []part
	var attestations part
	p.each(map[string]func(part){
		"imageReferences": func(p part) {
			for _, item := range p.items() {
				item.kyvernoImages()
			}
		},
		"image": func(p part) { p.kyvernoImages() },
		"skipImageReferences": func(p part) {
			for _, item := range p.items() {
				item.skipped()
			}
		},
		"attestors":              func(p part) { rows = p.items() },
		"attestations":           func(p part) { attestations = p },
		"failureAction":          func(p part) { does = action{}; does.read(p) },
		"failureActionOverrides": nil, // read below
		"type": func(p part) {
			if !slices.Contains([]string{"Cosign", "SigstoreBundle", ""}, p.text()) {
				p.lost("sign with Sigstore, too", "signatures of %s are not read", p.text())
			}
		},
		"mutateDigest": nil, "verifyDigest": nil, // read below
		"required":   differs("evidence is required"),
		"validate":   func(p part) { p.lost("write it as a rule of your own: docs/expressions.md", "a condition") },
		"repository": differs("evidence in another repository is looked for where evidence.also of the PolicySet says; without it, it is not found"),
		"useCache":   nil, "imageRegistryCredentials": nil, "cosignOCI11": nil,
	})
	if o := p.get("failureActionOverrides"); o.there() {
		does.overridden(o)
	}
	p.act(does)
	w := p.attestors(rows, "attestors")
	if !attestations.there() {
		if len(rows) > 0 {
			p.in.ways = []way{w}
		}
	} else {
		out := way{name: "attestations"}
		for _, item := range attestations.items() {
			out.attestations = append(out.attestations, item.kyvernoAttestation(w))
		}
		if len(rows) > 0 {
			out.by, out.atLeast = w.by, w.atLeast // an attestation does not replace the signature
		}
		if len(out.attestations) > 0 {
			p.in.ways = []way{out}
		}
	}
	if len(p.in.ways) == 1 && len(p.in.ways[0].by) == 0 && len(p.in.ways[0].attestations) == 0 {
		p.in.ways = nil
	}
	if len(p.in.ways) == 0 {
		p.lost("", "nobody who signs was carried over")
	}
}

// act says what becomes of an image that does not meet the policy, and of a tag.
func (p part) act(does action) {
	if !does.enforces {
		p.in.mode = "audit"
		if !does.said {
			p.told("nothing is said of failures, which are audited then")
		}
		return
	}
	switch {
	case p.get("mutateDigest").text() != "false":
		p.t.tag("pin")
	case p.get("verifyDigest").text() != "false":
		p.t.tag("refuse")
	}
}

// attestors reads lists of signers: of each list so many must sign as it counts, all where it does not, and every list.
func (p part) attestors(rows []part, what string) way {
	w := way{name: what}
	exact := true
	for _, row := range rows {
		var entries []part
		count := 0
		row.each(map[string]func(part){
			"count": func(p part) {
				var err error
				if count, err = strconv.Atoi(p.text()); err != nil || count < 1 {
					p.lost("", "a count that is none")
				}
			},
			"entries": func(p part) { entries = p.items() },
		})
		if len(entries) == 0 {
			row.lost("", "a list of nobody")
		}
		n, total := 0, 0
		for _, e := range entries {
			e.in = &policy{signers: p.in.signers} // whose conditions are this entry's
			by, each := e.attestor()
			if p.in.signers = e.in.signers; len(e.in.conditions) > 0 {
				by, each = nil, 0
			}
			if len(by) > each {
				exact = false // any of several names is one signer
			}
			n += each
			total += max(1, each)
			for _, name := range by {
				if !slices.Contains(w.by, name) {
					w.by = append(w.by, name)
				}
			}
		}
		need := total
		if count > 0 {
			need = count
		}
		if n < need {
			row.lost("", "signers demanded: %d, carried over: %d", need, n)
		}
		if need < total && len(rows) > 1 {
			exact = false
		}
		w.atLeast += need
	}
	if !exact && w.atLeast > 1 {
		p.told("the signers are demanded from several lists: here all of them must sign")
		w.atLeast = len(w.by)
	}
	w.atLeast = min(w.atLeast, max(1, len(w.by)))
	return w
}

// attestor is one entry: names, and how many signers they are. Several keys are several signers, of several forms of one
// identity each is it.
func (p part) attestor() (by []string, each int) {
	p.each(map[string]func(part){
		"keys": func(p part) {
			keys := p.kyvernoKeys()
			by, each = append(by, keys...), each+len(keys)
		},
		"keyless": func(p part) {
			names := p.kyvernoKeyless()
			by, each = append(by, names...), each+min(1, len(names))
		},
		"certificates":       func(p part) { p.lost("write a trust domain with its trusted root", "certificates of its own") },
		"attestor":           func(p part) { p.lost("", "attestors inside one another") },
		"annotations":        func(p part) { p.lost("", "annotations of signatures are not compared") },
		"repository":         differs("evidence in another repository is looked for where evidence.also of the PolicySet says; without it, it is not found"),
		"signatureAlgorithm": func(p part) { p.hash() },
	})
	return by, each
}

func (p part) kyvernoKeys() []string {
	// Without a word about it the log is demanded.
	logged := p.get("rekor").get("ignoreTlog").text() != "true"
	var by []string
	p.each(map[string]func(part){
		"publicKeys": func(p part) {
			if !strings.Contains(p.text(), "BEGIN PUBLIC KEY") {
				p.lost("write its public key into a trust domain", "a key in a secret, a file or a key management service")
				return
			}
			by = append(by, p.pem(p.text(), logged)...)
		},
		"rekor":              func(p part) { p.rekor() },
		"ctlog":              func(p part) { p.ctlog() },
		"signatureAlgorithm": func(p part) { p.hash() },
		"hashAlgorithm":      func(p part) { p.hash() },
		"secret":             func(p part) { p.lost("write its public key into a trust domain", "a key in a secret") },
		"kms":                func(p part) { p.lost("write its public key into a trust domain", "a key in a key management service") },
	})
	return by
}

func (p part) rekor() {
	p.each(map[string]func(part){
		"url": func(p part) {
			if url := strings.TrimSuffix(p.text(), "/"); url != "https://rekor.sigstore.dev" && url != "" {
				p.lost("write a trust domain with the trusted root of this log", "another transparency log, %s", url)
			}
		},
		"ignoreTlog": nil,
		"pubkey": func(p part) {
			p.lost("write a trust domain with the trusted root of this log", "a key of another transparency log")
		},
	})
}

func (p part) ctlog() {
	p.each(map[string]func(part){
		"ignoreSCT": nil, // it is required
		"pubkey": func(p part) {
			p.lost("write a trust domain with the trusted root of this log", "a key of another log of certificates")
		},
		"tsaCertChain": func(p part) {
			p.lost("write a trust domain with this trusted root, which requires timestamps", "timestamps by an authority of its own")
		},
	})
}

func (p part) kyvernoKeyless() []string {
	p.each(map[string]func(part){
		"issuer": nil, "subject": nil, "issuerRegExp": nil, "subjectRegExp": nil,
		"rekor": func(p part) { p.rekor() },
		"ctlog": func(p part) { p.ctlog() },
		"roots": func(p part) {
			p.lost("write a trust domain with its trusted root", "certificate authorities of its own")
		},
		"additionalExtensions": func(p part) {
			p.lost("write caller, events or source: the certificate's claims are fields of the language", "claims of the certificate")
		},
	})
	return p.identity(fromWildcard)
}

func (p part) kyvernoAttestation(otherwise way) attestation {
	a := attestation{by: otherwise.by}
	p.each(map[string]func(part){
		"name": nil,
		"type": func(p part) { a.kind = predicateType(p.text()) },
		"predicateType": func(p part) {
			if a.kind == "" {
				a.kind = predicateType(p.text())
			}
		},
		"attestors": func(p part) {
			w := p.attestors(p.items(), "attestors")
			if a.by = w.by; w.atLeast > 1 {
				p.lost("write atLeast in by", "several signers of one attestation")
			}
		},
		"conditions": func(p part) {
			p.lost(p.instead(), "conditions on the predicate")
		},
	})
	if otherwise.atLeast > 1 && !p.get("attestors").there() {
		p.lost("write atLeast in by", "several signers of one attestation")
	}
	if a.kind == "" {
		p.lost("", "the predicate type is not known")
	}
	if len(a.by) == 0 {
		p.lost("", "nobody who attests was carried over")
	}
	return a
}
