package foreign

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
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
				"match": func(p part) { p.matched() },
				"policy": func(p part) {
					p.lost(p.instead(), "a condition in %s", inWords(p))
				},
			})
		},
	})
	if len(p.in.ways) == 0 && !p.in.refuses {
		p.lost("", "no authority was carried over")
	}
	if len(p.in.images) == 0 {
		// The images that no pattern says have a policy of their own, which refuses.
		t.policies = slices.DeleteFunc(t.policies, func(other *policy) bool { return other == p.in })
		p.leftOut("", "a policy about no images that a pattern says")
	}
}

// matched reads of which resources the images are. A Pod is among them wherever images are to run; its labels are not known
// here, and a policy for those with some would admit the images of all.
func (p part) matched() {
	for _, item := range p.items() {
		item.each(map[string]func(part){
			"group": nil, "version": nil, "resource": nil,
			"selector": func(p part) { p.lost("", "resources by their labels") },
		})
	}
	p.told("the policy is about these images in whatever resource they are")
}

// instead says which fields of the language ask for what a condition in another language names.
func (p part) instead() string {
	var text strings.Builder
	var collect func(n *yaml.Node)
	collect = func(n *yaml.Node) {
		text.WriteString(n.Value + " ")
		for _, c := range n.Content {
			collect(c)
		}
	}
	collect(p.node)
	var fields []string
	for _, known := range [][2]string{
		{"builder", "builders and provenance.by (the id of the builder)"},
		{"buildType", "buildType of internal, or a rule: it.buildType"},
		{"invocation", "source (repository, refs)"},
		{"configSource", "source (repository, refs)"},
		{"externalParameters", "source and inputs.parameters"},
		{"materials", "inputs (images, git, digests)"},
		{"resolvedDependencies", "inputs (images, git, digests)"},
		{"scanner", "vulnerabilities (none, maxAge)"},
		{"severity", "vulnerabilities (none, maxAge)"},
		{"vulnerabilit", "vulnerabilities (none, maxAge)"},
		{"packages", "sbom"},
		{"components", "sbom"},
		{"bomFormat", "sbom"},
		{"issuer", "signers"},
		{"subject", "signers"},
		{"timestamp", "maxAge"},
		{"time_since", "maxAge"},
		{"time.", "maxAge"},
	} {
		if strings.Contains(text.String(), known[0]) && !slices.Contains(fields, known[1]) {
			fields = append(fields, known[1])
		}
	}
	if len(fields) == 0 {
		return "write it as values or require of attestations, or as a rule: docs/expressions.md"
	}
	return "it may be said by " + strings.Join(fields, ", ") + "; else as a rule: docs/expressions.md"
}

func inWords(p part) string {
	if kind := p.get("type").text(); kind != "" {
		return kind
	}
	return "another language"
}

func (p part) authorities() {
	for i, a := range p.items() {
		a.in = &policy{signers: p.in.signers} // whose conditions are this authority's
		w := way{name: fmt.Sprintf("authority-%d", i+1)}
		var attestations part
		var by []string
		static := false
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
			"rfc3161timestamp": func(p part) {
				p.lost("write a trust domain with this trusted root, which requires timestamps", "timestamps by an authority of its own")
			},
			"source":          differs("evidence in another repository is looked for where evidence.also of the PolicySet says; without it, it is not found"),
			"signatureFormat": differs("all formats of signatures are read"),
			"static": func(p part) {
				static = true
				p.each(map[string]func(part){"action": nil, "message": nil})
				switch action := p.get("action").text(); action {
				case "pass":
					p.leftOut("write approved for digests, or exempt for namespaces", "an authority that passes without evidence")
				case "fail":
					p.told("an authority that never passes")
				default:
					p.lost("", "an action %q that is not known", action)
				}
			},
		}
		a.each(handlers)
		if p.in.signers = a.in.signers; a.get("key").there() && a.get("keyless").there() || static && (len(by) > 0 || attestations.there()) {
			a.lost("write them as authorities of their own", "an authority of several kinds")
		}
		if static {
			p.in.refuses = true
			continue
		}
		if len(by) == 0 && len(a.in.conditions) == 0 {
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
			p.lost(p.instead(), "a condition on the predicate in %s", inWords(p))
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
	if scheme, rest, ok := strings.Cut(text, "://"); ok && (scheme == "https" || scheme == "http") && rest != "" && isPlain(text) && !strings.ContainsAny(text, "*{} ") {
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
				by = append(by, item.identities()...)
			}
		},
	})
	return by
}

// identities are those of one entry of policy-controller, whose plain fields are exact.
func (p part) identities() []string {
	p.each(map[string]func(part){"issuer": nil, "subject": nil, "issuerRegExp": nil, "subjectRegExp": nil})
	return p.identity(fromExact)
}

// hash reads the hash that a key signs: what is no SHA-256 is another signature than the one that is verified here.
func (p part) hash() {
	if !strings.EqualFold(p.text(), "sha256") && p.there() {
		p.lost("", "signatures with %s", p.text())
	}
}

func (p part) key(logged bool) []string {
	var by []string
	p.each(map[string]func(part){
		"data":          func(p part) { by = append(by, p.pem(p.text(), logged)...) },
		"hashAlgorithm": func(p part) { p.hash() },
		"secretRef":     func(p part) { p.lost("write its public key into a trust domain", "a key in a secret") },
		"kms":           func(p part) { p.lost("write its public key into a trust domain", "a key in a key management service") },
	})
	return by
}

// onePEM adds the one public key that a field holds: which of several is meant is the reader's choice.
func (p part) onePEM(text string, logged bool) []string {
	by := p.pem(text, logged)
	if len(by) > 1 {
		p.lost("keep one", "several keys in one")
	}
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
		by = append(by, p.in.signer(p.t, keyMark+k.name))
	}
	if len(by) == 0 {
		p.lost("write a public key, BEGIN PUBLIC KEY", "no key can be read")
	}
	return by
}
