package foreign

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// containers translates policy.json of containers/image (containers-policy.json(5)). For an image the most specific scope
// counts alone, and all its requirements.
func (t *translation) containers(p part) {
	var names []string // of scopes of registries
	docker := p.get("transports").get("docker")
	if docker.there() {
		for i := 0; i+1 < len(docker.node.Content); i += 2 {
			names = append(names, docker.node.Content[i].Value)
		}
	}
	if len(names) > maxPolicies {
		t.problem = fmt.Errorf("%s:%d: %w: over %d scopes", p.file, docker.node.Line, ErrLarge, maxPolicies)
		return
	}
	p.each(map[string]func(part){
		"default": func(p part) {
			if !docker.get("").there() {
				p.fallback("default", names)
			}
		},
		"transports": func(p part) {
			handlers := map[string]func(part){}
			for i := 0; i+1 < len(p.node.Content); i += 2 {
				handlers[p.node.Content[i].Value] = differs("images of this transport are of no registry, and refused")
			}
			handlers["docker"] = func(p part) {
				each := map[string]func(part){}
				for _, name := range names {
					each[name] = func(p part) { p.scoped(name, names) }
				}
				each[""] = func(p part) { p.fallback("docker", names) }
				p.each(each)
			}
			p.each(handlers)
		},
	})
}

// fallback reads what holds of images that are in no scope. What accepts them all demands nothing, and is no policy.
func (p part) fallback(name string, scopes []string) {
	accepts := slices.ContainsFunc(p.items(), func(item part) bool { return item.get("type").text() == "insecureAcceptAnything" })
	if accepts && len(p.items()) == 1 {
		p.leftOut("write a policy for the images that are meant, or unmatched in the PolicySet", "images without a scope are accepted without evidence, and refused here")
		if slices.ContainsFunc(scopes, func(name string) bool { return name != "" }) {
			return
		}
		p = p.t.policy(p, "policy.json, images without a scope,", name)
		p.in.images, p.in.refuses = []string{"**"}, true
		return
	}
	p = p.t.policy(p, "policy.json, images without a scope,", name)
	p.in.images = []string{"**"}
	for _, other := range scopes {
		if inner, ok := scope(other); ok {
			p.in.except = append(p.in.except, inner...)
		}
	}
	p.requirements("")
}

// scoped reads one scope.
func (p part) scoped(name string, all []string) {
	if name == "" {
		return
	}
	patterns, ok := scope(name)
	if p = p.t.policy(p, "policy.json, scope", name); !ok {
		// A policy about fewer images would leave some to that of a wider scope.
		p.in.images = wider(name, "*")
		p.lost("write it for the repository", "no pattern says the scope %q: images of %s are refused", name, p.in.images[0])
		return
	}
	p.in.images = patterns
	for _, other := range all {
		inner, ok := scope(other)
		// A more specific scope replaces this one; one that no pattern says refuses besides.
		if ok && other != name && within(other, name) {
			p.in.except = append(p.in.except, inner...)
		}
	}
	p.requirements(name)
}

// within reports whether images of a scope are those of a wider one, too.
func within(scope, wider string) bool {
	host, _, _ := strings.Cut(scope, "/")
	return strings.HasPrefix(scope, wider+"/") || strings.HasPrefix(wider, "*.") && strings.HasSuffix(host, wider[1:])
}

// scope writes a scope of images: a host, a namespace or a repository, with all below it, or all hosts below one.
func scope(name string) ([]string, bool) {
	if host, ok := strings.CutPrefix(name, "*."); ok {
		return []string{name + "/**"}, plainName(strings.Replace(host, ":", "", 1))
	}
	if !strings.Contains(name, "/") {
		whole := repository(name + "/x")
		return []string{strings.TrimSuffix(whole, "x") + "**"}, strings.HasPrefix(whole, name+"/")
	}
	whole := repository(name)
	return []string{whole, whole + "/**"}, whole == name
}

// requirements reads those of one scope: all must hold.
func (p part) requirements(scope string) {
	w := way{name: "signatures"}
	items := p.items()
	for _, item := range items {
		switch kind := item.get("type").text(); kind {
		case "sigstoreSigned":
			by := item.sigstoreSigned(scope)
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
			item.each(map[string]func(part){"type": nil})
			p.in.refuses = true
		case "insecureAcceptAnything":
			item.each(map[string]func(part){"type": nil})
			if len(items) == 1 {
				item.leftOut("write a policy for the images that are meant, or approved for their digests", "images that are accepted without evidence, and refused here")
			}
		default:
			item.lost("", "a requirement %q that is not known", kind)
		}
	}
	if len(items) == 0 {
		p.lost("", "a list of no requirements")
	}
	w.atLeast = min(w.atLeast, len(w.by))
	if len(w.by) > 0 && !p.in.refuses {
		p.in.ways = []way{w}
	}
}

// sigstoreSigned reads keys, any of which is enough, and which name the signature must say.
func (p part) sigstoreSigned(scope string) []string {
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
		by = append(by, p.onePEM(string(data), logged)...)
	}
	path := func(p part) { p.lost("write its public key into a trust domain", "a key in a file, %s", p.text()) }
	paths := func(p part) {
		for _, item := range p.items() {
			item.lost("write its public key into a trust domain", "a key in a file, %s", item.text())
		}
	}
	// A path or a key names no log that is known here.
	log := func(p part) {
		p.lost("write a trust domain with the trusted root of this log, or with root: public-good if it is Rekor's public one", "a key of a transparency log")
	}
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
		"signedIdentity": func(p part) { p.signedIdentity(scope) },
	})
	if !p.get("signedIdentity").there() {
		p.exactTag()
	}
	return by
}

// signedIdentity reads which name of the image a signature must say. Here it is that of its own repository.
func (p part) signedIdentity(scope string) {
	own := func(name string) {
		if name != scope || !strings.Contains(scope, "/") {
			p.lost("write mirrors in the PolicySet: copies are judged under the name that is signed", "signatures that name another repository, %s", name)
		}
	}
	switch kind := p.get("type").text(); kind {
	case "matchRepository":
		p.each(map[string]func(part){"type": nil})
	case "matchRepoDigestOrExact":
		p.each(map[string]func(part){"type": nil})
		p.exactTag()
	case "exactRepository":
		// The repositories below the scope have other names.
		p.each(map[string]func(part){"type": nil, "dockerRepository": func(p part) { own(p.text()) }})
		p.in.images = slices.DeleteFunc(p.in.images, func(pattern string) bool { return pattern == scope+"/**" })
	case "matchExact", "exactReference":
		p.lost("deploy by digest", "the tag in a signature is not compared")
	case "remapIdentity":
		p.lost("write mirrors in the PolicySet: copies are judged under the name that is signed", "signatures that name another repository")
	default:
		p.lost("", "a kind of identity %q that is not known", kind)
	}
}

// exactTag: an image that is asked for by its tag must be signed under this tag, which is not compared here. Asked for by
// digest, it may be signed under any.
func (p part) exactTag() {
	p.told("which tag is signed is not compared: tags are refused (tags in the PolicySet)")
	p.t.tag("refuse")
}
