package foreign

import (
	"slices"
	"strings"
)

// imageValidating translates an ImageValidatingPolicy of Kyverno (policies.kyverno.io). Its validations are expressions, of
// which the usual ones are understood: that every image has signatures by some attestors, or attestations by them.
func (t *translation) imageValidating(p part, name string) {
	p = t.policy(p, "ImageValidatingPolicy", name)
	attestors, kinds := map[string][]string{}, map[string]string{}
	var validations part
	p.each(map[string]func(part){
		"apiVersion": nil, "kind": nil, "metadata": nil, "status": nil,
		"spec": func(p part) {
			p.each(map[string]func(part){
				"matchImageReferences": func(p part) { p.matchImages() },
				"validationActions": func(p part) {
					switch actions := p.texts(); {
					case slices.Contains(actions, "Deny"), len(actions) == 0:
					case slices.Contains(actions, "Warn"):
						p.in.mode = "warn"
					default:
						p.in.mode = "audit"
					}
				},
				"attestors": func(p part) {
					for _, item := range p.items() {
						by, name := item.validator(), item.get("name").text()
						if _, twice := attestors[name]; twice {
							item.lost("use another name", "two attestors of one name")
						}
						attestors[name] = by
					}
				},
				"attestations": func(p part) {
					for _, item := range p.items() {
						if _, twice := kinds[item.get("name").text()]; twice {
							item.lost("use another name", "two attestations of one name")
						}
						item.each(map[string]func(part){
							"name":     nil,
							"intoto":   func(p part) { kinds[item.get("name").text()] = predicateType(p.get("type").text()) },
							"referrer": func(p part) { p.told("an attestation by the type of its artifact is not read") },
						})
					}
				},
				"validations":      func(p part) { validations = p },
				"matchConstraints": differs("the policy is about these images in whatever resource they are"),
				"matchConditions":  differs("the policy is about these images without conditions"),
				"variables":        nil,
				"images":           differs("images in fields of other resources are for the edge to find"),
				"credentials":      nil, "failurePolicy": nil, "evaluation": nil, "webhookConfiguration": nil, "autogen": nil, "background": nil,
				"auditAnnotations": nil,
				"validationConfigurations": func(p part) {
					p.each(map[string]func(part){"mutateDigest": nil, "verifyDigest": nil, "required": nil})
				},
			})
		},
	})
	if p.in.mode == "" {
		p.get("spec").get("validationConfigurations").act(action{enforces: true})
	}
	w := way{name: "validations"}
	for _, v := range validations.items() {
		v.each(map[string]func(part){
			"expression": func(p part) { p.validation(&w, attestors, kinds) },
			"message":    nil, "messageExpression": nil, "reason": nil,
		})
	}
	if len(w.by) > 0 || len(w.attestations) > 0 {
		p.in.ways = []way{w}
	} else {
		p.lost("", "no validation was carried over")
	}
}

func (p part) matchImages() {
	for _, item := range p.items() {
		item.each(map[string]func(part){
			"glob": func(p part) { p.kyvernoImages() },
			"expression": func(p part) {
				p.told("images by an expression: the policy is about all images")
				p.in.images = append(p.in.images, "**")
			},
		})
	}
}

// validator reads one attestor: any of its identities is it.
func (p part) validator() []string {
	outer := p.in
	p.in = &policy{signers: outer.signers} // what is lost here is only so if a validation names it
	var by []string
	p.each(map[string]func(part){
		"name": nil,
		"cosign": func(p part) {
			p.each(map[string]func(part){
				"key": func(c part) {
					c.each(map[string]func(part){
						"data": func(d part) {
							by = append(by, d.onePEM(d.text(), p.get("ctlog").get("insecureIgnoreTlog").text() != "true")...)
						},
						"hashAlgorithm": func(p part) { p.hash() },
						"secretRef":     func(p part) { p.lost("write its public key into a trust domain", "a key in a secret") },
						"kms":           func(p part) { p.lost("write its public key into a trust domain", "a key in a key management service") },
						"expression":    func(p part) { p.lost("write its public key into a trust domain", "a key by an expression") },
					})
				},
				"keyless": func(p part) {
					p.each(map[string]func(part){
						"identities": func(p part) {
							for _, item := range p.items() {
								by = append(by, item.identities()...)
							}
						},
						"roots": func(p part) {
							p.lost("write a trust domain with its trusted root", "certificate authorities of its own")
						},
					})
				},
				"ctlog": func(p part) {
					p.each(map[string]func(part){
						"url": func(p part) {
							if url := strings.TrimSuffix(p.text(), "/"); url != "https://rekor.sigstore.dev" && url != "" {
								p.lost("write a trust domain with the trusted root of this log", "another transparency log, %s", url)
							}
						},
						"insecureIgnoreTlog": nil,
						"insecureIgnoreSCT":  differs("certificate timestamps are required"),
						"rekorPubKey": func(p part) {
							p.lost("write a trust domain with the trusted root of this log", "a key of another transparency log")
						},
						"ctLogPubKey": func(p part) {
							p.lost("write a trust domain with the trusted root of this log", "a key of another transparency log")
						},
						"tsaCertChain": func(p part) {
							p.lost("write a trust domain with this trusted root, which requires timestamps", "timestamps by an authority of its own")
						},
					})
				},
				"tuf":         func(p part) { p.lost("write a trust domain with this trusted root", "a trusted root of its own") },
				"certificate": func(p part) { p.lost("write a trust domain with its trusted root", "certificates of its own") },
				"annotations": func(p part) { p.lost("", "annotations of signatures are not compared") },
				"source":      differs("evidence in another repository is looked for where evidence.also of the PolicySet says; without it, it is not found"),
			})
		},
		"notary": func(p part) { p.lost("sign with Sigstore, too", "signatures of Notary are not read") },
	})
	outer.signers = p.in.signers
	if len(p.in.conditions) > 0 {
		return nil
	}
	return by
}

// isName reports whether text is the name of a field, and no expression.
func isName(text string) bool {
	return text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// validation reads an expression: images.containers.map(image, verifyImageSignatures(image, [attestors.a, attestors.b])).all(e, e > 0).
func (p part) validation(w *way, attestors map[string][]string, kinds map[string]string) {
	text := strings.Join(strings.Fields(p.text()), "")
	unknown := func() {
		p.lost(p.instead(), "an expression that is not one of the usual ones")
	}
	before, rest, ok := strings.Cut(text, ".map(image,")
	inner, after, end := strings.Cut(rest, "))")
	extractor, named := strings.CutPrefix(before, "images.")
	if !ok || !end || !named || !isName(extractor) || after != ".all(e,e>0)" {
		unknown()
		return
	}
	inner += ")"
	names := func(list string) (by []string, ok bool) {
		list, bracket := strings.CutPrefix(list, "[")
		list, closed := strings.CutSuffix(list, "]")
		if !bracket || !closed || list == "" {
			return nil, false
		}
		for _, one := range strings.Split(list, ",") {
			name, known := strings.CutPrefix(one, "attestors.")
			if !known || len(attestors[name]) == 0 {
				return nil, false
			}
			by = append(by, attestors[name]...)
		}
		slices.Sort(by)
		return slices.Compact(by), true
	}
	if list, is := strings.CutPrefix(inner, "verifyImageSignatures(image,"); is {
		by, ok := names(strings.TrimSuffix(list, ")"))
		switch {
		case !ok:
			p.lost("write it with signers that are carried over", "signatures by an attestor that was not carried over")
		case len(w.by) > 0:
			p.told("several validations of signatures: here all signers must sign")
			for _, name := range by {
				if !slices.Contains(w.by, name) {
					w.by = append(w.by, name)
				}
			}
			w.atLeast = len(w.by)
		default:
			w.by = by
		}
		return
	}
	list, is := strings.CutPrefix(inner, "verifyAttestationSignatures(image,attestations.")
	name, list, both := strings.Cut(strings.TrimSuffix(list, ")"), ",")
	by, ok := names(list)
	if !is || !both {
		unknown()
		return
	}
	if !ok || kinds[name] == "" {
		p.lost("write it with signers that are carried over", "an attestation, or an attestor, that was not carried over")
		return
	}
	w.attestations = append(w.attestations, attestation{kinds[name], by})
}
