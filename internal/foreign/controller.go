package foreign

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
)

// clusterImagePolicy translates a policy of Sigstore's policy-controller (policy.sigstore.dev/v1alpha1 and v1beta1): of its
// authorities one must hold.
func (t *translation) clusterImagePolicy(p part, name string) {
	p = t.policy(p, "ClusterImagePolicy", name)
	p.each(map[string]func(part){
		"apiVersion": nil, "kind": nil, "metadata": nil, "status": nil,
		"spec": func(p part) {
			p.each(map[string]func(part){
				"images":      func(p part) { p.controllerImages() },
				"authorities": func(p part) { p.authorities() },
				"mode": func(p part) {
					switch p.text() {
					case "enforce", "":
					case "warn":
						p.in.mode = "warn"
					default:
						p.told("mode %q is not known: the policy enforces", p.text())
					}
				},
				"match": differs("the policy is about these images in whatever resource they are"),
				"policy": func(p part) {
					p.lost("write it as a rule of your own: docs/expressions.md", "a condition in %s", inWords(p))
				},
			})
		},
	})
	if len(p.in.ways) == 0 {
		p.lost("", "no authority was carried over")
	}
}

func inWords(p part) string {
	if kind := p.get("type").text(); kind != "" {
		return kind
	}
	return "another language"
}

// image writes the pattern of an image: registries of Docker Hub under its one name, without a tag.
func (p part) image(text string) (string, bool) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, ":*"), "@*")
	for _, hub := range []string{"index.docker.io/", "registry-1.docker.io/", "registry.hub.docker.com/"} {
		if rest, ok := strings.CutPrefix(text, hub); ok {
			text = "docker.io/" + rest
		}
	}
	host, rest, several := strings.Cut(text, "/")
	if several && !strings.ContainsAny(host, ".:*") && host != "localhost" {
		text, host, rest = "docker.io/"+text, "docker.io", host+"/"+rest
	}
	parts := strings.Split(text, "/")
	for i, c := range parts {
		if c != "**" && (strings.Contains(c, "**") || c == "" || strings.ContainsAny(c, "?[]{}@ ") || i > 0 && strings.Contains(c, ":")) {
			return "", false
		}
	}
	if host != "**" && strings.Contains(host, "*") || !several && text != "**" {
		return "", false
	}
	if host == "docker.io" && several && !strings.Contains(rest, "/") && rest != "**" {
		text = "docker.io/library/" + rest
	}
	return text, true
}

// wider is a pattern of more images than one that cannot be said: whatever the policy demands of them, it demands of more.
// Fewer would be under another policy alone, which may demand less.
func (p part) wider(text, wild string) string {
	out := "**"
	if at := strings.IndexAny(text, wild); at > 0 {
		if slash := strings.LastIndexByte(text[:at], '/'); slash > 0 {
			if whole, ok := p.image(text[:slash] + "/**"); ok {
				out = whole
			}
		}
	}
	p.told("no pattern says %q: the policy is about all images of %s", text, out)
	return out
}

func (p part) controllerImages() {
	for _, item := range p.items() {
		item.each(map[string]func(part){
			"glob": func(p part) {
				text, ok := p.text(), false
				if !strings.ContainsAny(text, "/*?[") {
					text = "docker.io/library/" + text
				}
				if text, ok = p.image(text); !ok {
					text = p.wider(p.text(), "*?[")
				}
				p.in.images = append(p.in.images, text)
			},
		})
	}
}

func (p part) authorities() {
	for i, a := range p.items() {
		a.in = &policy{signers: p.in.signers} // whose conditions are this authority's
		w := way{name: fmt.Sprintf("authority-%d", i+1)}
		var attestations part
		var by []string
		handlers := map[string]func(part){
			"name":         func(part) {},
			"keyless":      func(p part) { by = append(by, p.keyless()...) },
			"key":          func(p part) { by = append(by, p.key(a.get("ctlog").there())...) },
			"attestations": func(p part) { attestations = p },
			"ctlog": func(p part) {
				p.each(map[string]func(part){
					"url": func(p part) {
						if url := strings.TrimSuffix(p.text(), "/"); url != "https://rekor.sigstore.dev" {
							p.lost("write a trust domain with the trusted root of this log", "another transparency log, %s", url)
						}
					},
					"trustRootRef": func(p part) { p.lost("write a trust domain with this trusted root", "a trusted root of its own") },
				})
			},
			"rfc3161timestamp": differs("timestamps count under the trusted root alone"),
			"source":           differs("evidence in another repository is looked for where evidence.also of the PolicySet says; without it, it is not found"),
			"signatureFormat":  differs("all formats of signatures are read"),
			"static": func(p part) {
				if p.get("action").text() == "pass" {
					p.lost("", "an authority that passes without evidence")
				} else {
					p.lost("", "an authority that never passes")
				}
			},
		}
		a.each(handlers)
		if a.there() && len(by) == 0 && len(a.in.conditions) == 0 {
			a.lost("", "no identity was carried over")
		}
		if attestations.there() {
			for _, item := range attestations.items() {
				w.attestations = append(w.attestations, item.attestation(by))
			}
			if len(w.attestations) == 0 {
				attestations.lost("", "no attestation is named")
			}
		} else {
			w.by = by
		}
		p.in.signers = a.in.signers
		if len(a.in.conditions) == 0 {
			p.in.ways = append(p.in.ways, w)
		}
	}
	p.in.ways = merged(p.in.ways)
}

// merged makes one of ways that are only one signature each.
func merged(ways []way) []way {
	var out []way
	at := -1
	for _, w := range ways {
		if len(w.attestations) > 0 || w.atLeast > 1 {
			out = append(out, w)
			continue
		}
		if at < 0 {
			at, out = len(out), append(out, w)
			continue
		}
		for _, name := range w.by {
			if !slices.Contains(out[at].by, name) {
				out[at].by = append(slices.Clip(out[at].by), name)
			}
		}
	}
	return out
}

func (p part) attestation(by []string) attestation {
	a := attestation{by: by}
	p.each(map[string]func(part){
		"name": nil,
		"predicateType": func(p part) {
			if a.kind = predicateType(p.text()); a.kind == "" {
				p.lost("", "the predicate type %q is not known", p.text())
			}
		},
		"policy": func(p part) {
			p.lost("write it below attestations as require: docs/expressions.md", "a condition on the predicate in %s", inWords(p))
		},
	})
	if a.kind == "" && !p.get("predicateType").there() {
		p.lost("", "no predicate type")
	}
	return a
}

// predicateType is the URI of a type by its short name (cosign), or the URI itself.
func predicateType(text string) string {
	switch text {
	case "slsaprovenance", "slsaprovenance02":
		return "https://slsa.dev/provenance/v0.2"
	case "slsaprovenance1":
		return "https://slsa.dev/provenance/v1"
	case "spdx", "spdxjson":
		return "https://spdx.dev/Document"
	case "cyclonedx":
		return "https://cyclonedx.org/bom"
	case "link":
		return "https://in-toto.io/Link/v1"
	case "vuln":
		return "https://cosign.sigstore.dev/attestation/vuln/v1"
	case "openvex":
		return "https://openvex.dev/ns"
	case "custom":
		return "https://cosign.sigstore.dev/attestation/v1"
	}
	if scheme, rest, ok := strings.Cut(text, "://"); ok && (scheme == "https" || scheme == "http") && rest != "" && !strings.ContainsAny(text, "*{} \n") {
		return text
	}
	return ""
}

func (p part) keyless() []string {
	var by []string
	p.each(map[string]func(part){
		"url": func(p part) {
			if url := strings.TrimSuffix(p.text(), "/"); url != "https://fulcio.sigstore.dev" {
				p.lost("write a trust domain with the trusted root of this authority", "another certificate authority, %s", url)
			}
		},
		"ca-cert": func(p part) {
			p.lost("write a trust domain with its trusted root", "a certificate authority of its own")
		},
		"trustRootRef":      func(p part) { p.lost("write a trust domain with this trusted root", "a trusted root of its own") },
		"insecureIgnoreSCT": differs("certificate timestamps are required"),
		"identities": func(p part) {
			for _, item := range p.items() {
				by = append(by, item.identity(fromRegexp)...)
			}
		},
	})
	return by
}

// identity reads issuer and subject, exact or as expressions.
func (p part) identity(shapes func(string) ([]string, string)) []string {
	field := func(exact, expression string) (out []string) {
		if e := p.get(exact); e.there() && e.text() != "" {
			return []string{e.text()}
		}
		e := p.get(expression)
		if e.text() == "" {
			return nil
		}
		out, problem := shapes(e.text())
		if problem != "" {
			e.note(false, "name the identities one by one", "an identity is left out, the expression cannot be written as patterns: %s", problem)
			return nil
		}
		return out
	}
	p.each(map[string]func(part){"issuer": nil, "subject": nil, "issuerRegExp": nil, "subjectRegExp": nil})
	issuers, subjects := field("issuer", "issuerRegExp"), field("subject", "subjectRegExp")
	if len(issuers) == 0 || len(subjects) == 0 {
		p.note(false, "", "an identity is left out that has no issuer or no subject")
		return nil
	}
	var by []string
	for _, lines := range identities(p, issuers, subjects) {
		by = append(by, p.in.signer(lines))
	}
	return by
}

func (p part) key(logged bool) []string {
	var by []string
	p.each(map[string]func(part){
		"data":          func(p part) { by = append(by, p.pem(p.text(), logged)...) },
		"hashAlgorithm": differs("signatures are verified with the hash that their key has"),
		"secretRef":     func(p part) { p.lost("write its public key into a trust domain", "a key in a secret") },
		"kms":           func(p part) { p.lost("write its public key into a trust domain", "a key in a key management service") },
	})
	return by
}

// pem adds public keys, each as an identity of its own.
func (p part) pem(text string, logged bool) []string {
	var by []string
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil || block.Type != "PUBLIC KEY" || len(block.Headers) > 0 {
			p.lost("write a public key, BEGIN PUBLIC KEY", "a key that cannot be read")
			continue
		}
		encoded := string(pem.EncodeToMemory(block))
		k := p.t.keys[encoded]
		if k == nil {
			k = &key{name: fmt.Sprintf("key-%d", len(p.t.order)+1), pem: encoded}
			p.t.keys[encoded], p.t.order = k, append(p.t.order, k)
		}
		k.logged = k.logged || logged // the stricter of two
		by = append(by, p.in.signer(keyMark+k.name))
	}
	if len(by) == 0 {
		p.lost("write a public key, BEGIN PUBLIC KEY", "no key can be read")
	}
	return by
}
