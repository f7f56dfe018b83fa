package foreign

import (
	"fmt"
	"slices"
	"strings"
)

// kyverno translates the verifyImages rules of a ClusterPolicy or Policy: each rule, and each entry of it, is a policy of its
// own, and an image must meet all that are about it.
func (t *translation) kyverno(p part, name string) {
	mode := ""
	found := false
	spec := p.get("spec")
	audit := func(p part) {
		if strings.EqualFold(p.text(), "audit") {
			mode = "audit"
		}
	}
	var rules []part
	spec.each(map[string]func(part){
		"rules":                            func(p part) { rules = p.items() },
		"validationFailureAction":          audit,
		"validationFailureActionOverrides": differs("namespaces in which another action is taken: write exempt, or policies of namespaces"),
		"failurePolicy":                    differs("what becomes of an image when nobody answers, the PolicySet says (undetermined)"),
		"webhookTimeoutSeconds":            nil, "webhookConfiguration": nil, "background": nil, "admission": nil, "schemaValidation": nil,
		"generateExisting": nil, "mutateExistingOnPolicyUpdate": nil, "emitWarning": nil, "useServerSideApply": nil,
		"applyRules": differs("all rules are applied"),
	})
	for _, rule := range rules {
		images := rule.get("verifyImages")
		if !images.there() {
			rule.told("a rule that verifies no images, which is left out")
			continue
		}
		found = true
		rule.each(map[string]func(part){
			"name": nil, "verifyImages": nil,
			"match":            differs("the policy is about these images in whatever resource they are"),
			"exclude":          differs("resources are not left out: write exempt for namespaces"),
			"preconditions":    differs("the policy is about these images without preconditions"),
			"celPreconditions": differs("the policy is about these images without preconditions"),
			"context":          nil, "skipBackgroundRequests": nil,
			"imageExtractors": differs("images in fields of other resources are for the edge to find"),
		})
		for i, entry := range images.items() {
			called := name + "-" + rule.get("name").text()
			if i > 0 {
				called += fmt.Sprintf("-%d", i+1)
			}
			e := t.policy(entry, "Kyverno rule", called)
			e.in.mode = mode
			e.verifyImages()
			if e.in.mode == "" {
				t.pin = t.pin || e.get("mutateDigest").text() != "false"
			}
		}
	}
	if !found {
		p.told("no rule of it verifies images")
	}
}

// kyvernoImage writes an image of Kyverno, whose star goes over slashes: exactly, or not at all.
func (p part) kyvernoImage(text string) ([]string, bool) {
	name := strings.TrimSuffix(strings.TrimSuffix(text, "@*"), ":*")
	if name == "*" || name == "*/*" {
		return []string{"**"}, true
	}
	first := strings.IndexAny(name, "*?")
	if first < 0 {
		if !strings.Contains(name, "/") {
			name = "docker.io/library/" + name
		}
		if at := strings.LastIndexByte(name, '/'); strings.ContainsAny(name[at:], ":@") {
			name = name[:at+strings.IndexAny(name[at:], ":@")] // the policy is about every tag
		}
		whole, ok := p.image(name)
		return []string{whole}, ok
	}
	if first != len(name)-1 || name[first] != '*' || !strings.Contains(name, "/") || strings.Contains(name[strings.LastIndexByte(name, '/'):], ":") {
		return nil, false
	}
	if rest, ok := strings.CutSuffix(name, "/*"); ok {
		whole, ok := p.image(rest + "/**")
		return []string{whole}, ok
	}
	whole, ok1 := p.image(name)
	deep, ok2 := p.image(name + "/**")
	return []string{whole, deep}, ok1 && ok2
}

// verifyImages reads one entry of a rule.
func (p part) verifyImages() {
	var rows []part
	var attestations part
	p.each(map[string]func(part){
		"imageReferences": func(p part) {
			for _, item := range p.items() {
				patterns, ok := item.kyvernoImage(item.text())
				if !ok {
					patterns = []string{item.wider(item.text(), "*?")}
				}
				p.in.images = append(p.in.images, patterns...)
			}
		},
		"skipImageReferences": func(p part) {
			for _, item := range p.items() {
				// Of a tag the whole repository would be left out, and of what cannot be said something else.
				patterns, ok := item.kyvernoImage(item.text())
				if name := item.text(); !ok || strings.ContainsAny(name[strings.LastIndexByte(name, '/')+1:], ":@") && !strings.HasSuffix(name, ":*") {
					item.told("no pattern says %q: these images are not skipped", name)
					continue
				}
				p.in.except = append(p.in.except, patterns...)
			}
			p.told("images that are skipped are under no policy, and refused: write unmatched, or a policy of their own")
		},
		"attestors":    func(p part) { rows = p.items() },
		"attestations": func(p part) { attestations = p },
		"failureAction": func(p part) {
			if p.in.mode = ""; strings.EqualFold(p.text(), "audit") {
				p.in.mode = "audit"
			}
		},
		"type": func(p part) {
			if !slices.Contains([]string{"Cosign", "SigstoreBundle", ""}, p.text()) {
				p.lost("sign with Sigstore, too", "signatures of %s are not read", p.text())
			}
		},
		"mutateDigest": nil, // read above
		"verifyDigest": differs("a tag is replaced by the digest, or refused: tags in the PolicySet"),
		"required":     differs("evidence is required"),
		"validate":     func(p part) { p.lost("write it as a rule of your own: docs/expressions.md", "a condition") },
		"repository":   differs("evidence in another repository is looked for where evidence.also of the PolicySet says; without it, it is not found"),
		"useCache":     nil, "imageRegistryCredentials": nil, "cosignOCI11": nil,
	})
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

// attestors reads lists of signers: of each list so many must sign as it counts, all where it does not, and every list.
func (p part) attestors(rows []part, what string) way {
	w := way{name: what}
	exact := true
	for _, row := range rows {
		var entries []part
		count := 0
		row.each(map[string]func(part){
			"count": func(p part) {
				if _, err := fmt.Sscan(p.text(), &count); err != nil || count < 1 {
					p.lost("", "a count that is none")
				}
			},
			"entries": func(p part) { entries = p.items() },
		})
		n, total := 0, 0
		for _, e := range entries {
			by, each := e.attestor()
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
			row.lost("", "%d signers are demanded, and %d were carried over", need, n)
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
		"signatureAlgorithm": nil,
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
		"ctlog":              func(part) {},
		"signatureAlgorithm": nil,
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

func (p part) kyvernoKeyless() []string {
	var by []string
	p.each(map[string]func(part){
		"issuer": nil, "subject": nil, "issuerRegExp": nil, "subjectRegExp": nil,
		"rekor": func(p part) { p.rekor() },
		"ctlog": func(part) {},
		"roots": func(p part) {
			p.lost("write a trust domain with its trusted root", "certificate authorities of its own")
		},
		"additionalExtensions": func(p part) {
			p.lost("write caller, events or source: the certificate's claims are fields of the language", "claims of the certificate")
		},
	})
	field := func(exact, expression string) []string {
		read, shapes := p.get(exact), fromWildcard
		if read.text() == "" {
			read, shapes = p.get(expression), fromRegexp
		}
		if read.text() == "" {
			return nil
		}
		out, problem := shapes(read.text())
		if problem != "" {
			read.note(false, "name the identities one by one", "an identity is left out, it cannot be written as patterns: %s", problem)
		}
		return out
	}
	for _, lines := range identities(p, field("issuer", "issuerRegExp"), field("subject", "subjectRegExp")) {
		by = append(by, p.in.signer(lines))
	}
	return by
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
			p.lost("write it below attestations as require: docs/expressions.md", "conditions on the predicate")
		},
	})
	if otherwise.atLeast > 1 && !p.get("attestors").there() {
		p.lost("write atLeast in by", "several signers of one attestation")
	}
	if a.kind == "" {
		p.lost("", "the predicate type is not known")
	}
	return a
}
