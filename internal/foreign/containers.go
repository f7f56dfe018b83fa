package foreign

import (
	"encoding/base64"
	"slices"
	"strings"
)

// containers translates policy.json of containers/image (containers-policy.json(5)). For an image the most specific scope
// counts alone, and all its requirements.
func (t *translation) containers(p part) {
	p.each(map[string]func(part){
		"default": func(p part) { p.defaults() },
		"transports": func(p part) {
			handlers := map[string]func(part){}
			for i := 0; i+1 < len(p.node.Content); i += 2 {
				handlers[p.node.Content[i].Value] = differs("images of this transport are of no registry, and refused")
			}
			handlers["docker"] = func(p part) { t.scopes(p) }
			p.each(handlers)
		},
	})
}

// defaults reads what holds of images without a scope: here they are under no policy, and refused.
func (p part) defaults() {
	for _, item := range p.items() {
		if item.get("type").text() != "reject" {
			item.note(true, "write a policy for the images that are meant, or unmatched in the PolicySet", "images without a scope are accepted by %s; here they are refused", item.get("type").text())
		}
	}
}

func (t *translation) scopes(p part) {
	var names []string
	for i := 0; i+1 < len(p.node.Content); i += 2 {
		names = append(names, p.node.Content[i].Value)
	}
	handlers := map[string]func(part){}
	for _, name := range names {
		handlers[name] = func(s part) {
			if name == "" {
				s.defaults()
				return
			}
			patterns, ok := s.scope(name)
			if !ok && strings.HasPrefix(name, "*.") {
				s.told("no pattern is of all hosts below another: images there are under no policy, and refused")
				return
			}
			s = t.policy(s, "policy.json, scope", name)
			if s.in.images = patterns; !ok {
				// Otherwise a wider scope would speak for it.
				base := name
				if at := strings.LastIndexByte(name, '/') + 1; strings.ContainsAny(name[at:], ":@") {
					base = name[:at+strings.IndexAny(name[at:], ":@")]
				}
				whole, known := s.image(base)
				if !known {
					whole = s.wider(base, "*:@{} ")
				}
				s.in.images = []string{whole}
				s.lost("write it for the repository", "a scope that is no repository")
				return
			}
			for _, other := range names {
				// A more specific scope replaces this one.
				if other != name && (strings.HasPrefix(other, name+"/") || strings.HasPrefix(name, "*.") && strings.HasSuffix(strings.SplitN(other, "/", 2)[0], name[1:])) {
					if inner, ok := s.scope(other); ok {
						s.in.except = append(s.in.except, inner...)
					}
				}
			}
			s.requirements()
		}
	}
	p.each(handlers)
}

// scope writes a scope of images: a host, a namespace or a repository, with all below it.
func (p part) scope(name string) ([]string, bool) {
	if host, ok := strings.CutPrefix(name, "*."); ok && !strings.ContainsAny(host, "/*:@") {
		return nil, false // no pattern is of all hosts below one
	}
	if strings.ContainsAny(name, "*{}@ ") || strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") && strings.Contains(name, "/") {
		return nil, false
	}
	below, ok := p.image(name + "/**")
	if !ok || !strings.Contains(name, "/") {
		return []string{below}, ok
	}
	whole, ok := p.image(name)
	return []string{whole, below}, ok
}

// requirements reads those of one scope: all must hold.
func (p part) requirements() {
	w := way{name: "signatures"}
	for _, item := range p.items() {
		switch kind := item.get("type").text(); kind {
		case "sigstoreSigned":
			by := item.sigstoreSigned()
			if len(by) == 0 {
				item.lost("", "no key was carried over")
			}
			if w.atLeast++; len(w.by) > 0 && len(by) > 0 {
				item.told("several requirements: here all keys must sign")
				w.atLeast = len(w.by) + len(by)
			}
			for _, name := range by {
				if !slices.Contains(w.by, name) {
					w.by = append(w.by, name)
				}
			}
		case "signedBy":
			item.lost("sign with Sigstore, too", "OpenPGP signatures are not read")
		case "reject":
			item.lost("", "images that are never accepted")
		case "insecureAcceptAnything":
			item.lost("write a policy for the images that are meant, or unmatched in the PolicySet", "images that are accepted without evidence")
		default:
			item.lost("", "a requirement %q that is not known", kind)
		}
	}
	w.atLeast = min(w.atLeast, len(w.by))
	if len(w.by) > 0 {
		p.in.ways = []way{w}
	}
}

func (p part) sigstoreSigned() []string {
	var by []string
	logged := false
	for _, name := range []string{"rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas"} {
		logged = logged || p.get(name).there()
	}
	encoded := func(p part) {
		data, err := base64.StdEncoding.DecodeString(p.text())
		if err != nil {
			p.lost("", "a key that is no base64")
			return
		}
		by = append(by, p.pem(string(data), logged)...)
	}
	path := func(p part) { p.lost("write its public key into a trust domain", "a key in a file, %s", p.text()) }
	paths := func(p part) {
		for _, item := range p.items() {
			item.lost("write its public key into a trust domain", "a key in a file, %s", item.text())
		}
	}
	log := differs("the log must be Rekor's public one; for another one write a trust domain")
	p.each(map[string]func(part){
		"type": nil, "keyPath": path, "keyPaths": paths, "keyData": encoded,
		"keyDatas": func(p part) {
			for _, item := range p.items() {
				encoded(item)
			}
		},
		"fulcio": func(p part) {
			p.lost("write a trust domain with the trusted root of this authority, and the identity as oidc", "certificates of an authority of its own")
		},
		"pki": func(p part) {
			p.lost("write a trust domain with its trusted root", "certificates of an authority of its own")
		},
		"rekorPublicKeyPath": log, "rekorPublicKeyPaths": log, "rekorPublicKeyData": log, "rekorPublicKeyDatas": log,
		"signedIdentity": func(p part) {
			switch kind := p.get("type").text(); kind {
			case "matchRepository", "matchRepoDigestOrExact":
			case "matchExact":
				p.lost("deploy by digest", "the tag in a signature is not compared")
			default:
				p.told("a signature must name the image's own repository; for copies write mirrors")
			}
		},
	})
	return by
}
