// Package policy reads policy documents and judges evidence by them.
//
// Load is strict: an unknown key, an empty block, a repeated key or a value that could mean two things is an error
// with its line, column and a suggestion. Evaluate is pure: the same set, evidence and situation give the same
// decision, byte for byte; it does no I/O, reads no clock and logs nothing.
//
// A block that is written is required; a block that is not written is not checked and is listed in the Decision.
// Blocks are all-of, lists are any-of. A value that nobody states fails a requirement. What could not be looked at
// is Unknown, never a pass.
package policy

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"stemma"
	"stemma/internal/expression"
)

// Names of the built-in trust domains.
const (
	PublicGood  = "public-good" // Sigstore's public-good instance: SCT and log entry required
	GitHubTrust = "github"      // GitHub's private instance: signed timestamp required, no log
)

// GitHubIssuer is the OIDC issuer of GitHub Actions on github.com.
const GitHubIssuer = "https://token.actions.githubusercontent.com"

// Set is a loaded, valid set of policies. The zero Set is not one: it comes from Load.
type Set struct {
	Name     string
	Digest   stemma.Digest // over all that can change a verdict: set and policies
	spec     SetSpec
	policies []*loaded
	distrust []*distrusted
	waivers  []*waiver

	files []Signable    // all of them
	file  stemma.Digest // of the one in which the PolicySet stands

	environment *expression.Environment // of the expressions; nil without one
	places      map[string]position
	lines       map[string][]string // of each file, to show what Lint is about
	idle        []*loaded           // policies that spec.policies leaves out
	sealer      sealer
}

// loaded is one policy in force, with where its parts stand.
type loaded struct {
	name     string
	id       stemma.Digest
	spec     Spec
	builders map[string]Builder
	signers  map[string]Signer
	places   map[string]position
	shared   map[string]position // of the PolicySet
	file     string
	of       stemma.Digest // of the file
	distrust []*distrusted
	tags     Tags   // of the PolicySet
	derived  bool   // the PolicySet says how an image may be made of another
	onBase   bool   // an expression of it looks at what the image stands on
	rules    []Rule // of its own
	required []Rule // all in force, whatever the situation

	namespace    string          // the only one in which it counts, of a NamespaceImageTrustPolicy
	alternatives []*loaded       // the policy with the blocks of each of anyOf
	alternative  string          // name of the alternative that this is
	at           string          // and where it stands: anyOf[1]
	blocks       map[string]bool // that stand there
}

// where is file:line of a path below spec, in the policy or in the set, or of the nearest thing above it.
func (p *loaded) where(path string) string {
	path = "spec." + p.place(path)
	for {
		if at, ok := p.places[path]; ok {
			return at.String()
		}
		if at, ok := p.shared[path]; ok && (strings.Count(path, ".") > 1 || path == "spec.platforms" || path == "spec.configSubjects" || path == "spec.tags" || path == "spec.derived") {
			return at.String()
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return p.file
		}
		path = path[:i]
	}
}

// Trust lists the trust domains that the set declares, besides the built-in ones.
func (s *Set) Trust() []Trust { return slices.Clone(s.spec.Trust) }

// Policies lists the names of the policies in force, in the order of the files.
func (s *Set) Policies() []string {
	names := make([]string, len(s.policies))
	for i, p := range s.policies {
		names[i] = p.name
	}
	return names
}

// Load reads all documents of all files as one set. Its error is of type Errors.
func Load(files ...File) (*Set, error) {
	l := &loader{set: &Set{Name: "default", places: map[string]position{}, lines: map[string][]string{}}}
	for _, f := range files {
		docs, d := documents(f)
		if _, twice := l.set.lines[f.Name]; twice {
			l.set.lines[f.Name] = []string{} // of two files with one name no line can be shown
		} else {
			l.set.lines[f.Name] = d.lines
		}
		signable := Signable{f.Name, stemma.SHA256(f.Data), f.Data}
		l.set.files = append(l.set.files, signable)
		for _, n := range docs {
			l.document(d, n, signable)
		}
		l.errs = append(l.errs, d.errs...)
	}
	if len(l.errs) == 0 {
		l.finish(files)
	}
	if len(l.errs) > 0 {
		return nil, l.errs
	}
	return l.set, nil
}

type loader struct {
	set     *Set
	haveSet bool
	errs    Errors
	checks  []func() // checks that need the whole set
	last    []func() // and those that need policies that were checked
}

func (l *loader) document(d *decoder, n *yaml.Node, file Signable) {
	if !d.plain(n, 0) {
		return
	}
	kind, kindNode := "", n
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "kind" {
				kindNode, kind = n.Content[i+1], n.Content[i+1].Value
			}
		}
	}
	d.places = map[string]position{}
	switch kind {
	case KindSet:
		var doc setDocument
		d.decode(n, &doc, "")
		d.header(n, doc.document)
		if l.haveSet {
			d.fail(kindNode, "keep one", "a second PolicySet")
		}
		l.haveSet = true
		l.set.Name, l.set.spec, l.set.places, l.set.file = doc.Metadata.Name, doc.Spec, d.places, file.Digest
		l.later(d, n, func(c *checker) { c.set(l.set) })
	case KindPolicy:
		var doc policyDocument
		d.decode(n, &doc, "")
		d.header(n, doc.document)
		l.policy(d, n, &loaded{name: doc.Metadata.Name, spec: doc.Spec, places: d.places, file: d.file, of: file.Digest})
	case KindNamespacePolicy:
		var doc namespacePolicyDocument
		d.decode(n, &doc, "")
		d.header(n, document{doc.APIVersion, doc.Kind, Metadata{doc.Metadata.Name}})
		if ns := doc.Metadata.Namespace; ns != "" && !validNamespace(ns) {
			d.failAt("metadata.namespace", n, "use lower-case letters, digits and '-'", "%q is not the name of a namespace", ns)
		}
		// No name of a document has a slash, so that a policy of a namespace is never taken for one of the set, nor for that
		// of another namespace (kyverno#16731).
		l.policy(d, n, &loaded{name: doc.Metadata.Namespace + "/" + doc.Metadata.Name, namespace: doc.Metadata.Namespace, spec: doc.Spec, places: d.places, file: d.file})
	case KindWaiver:
		var doc waiverDocument
		d.decode(n, &doc, "")
		d.header(n, doc.document)
		l.waiver(d, n, &waiver{name: doc.Metadata.Name, spec: doc.Spec, places: d.places, file: d.file, of: file.Digest})
	case KindDistrust:
		var doc distrustDocument
		d.decode(n, &doc, "")
		d.header(n, doc.document)
		for _, other := range l.set.distrust {
			if other.name == doc.Metadata.Name && other.name != "" {
				d.failAt("metadata.name", n, "give it another name", "a second Distrust named %q", other.name)
			}
		}
		l.set.distrust = append(l.set.distrust, &distrusted{name: doc.Metadata.Name, spec: doc.Spec, places: d.places, file: d.file})
		l.later(d, n, func(c *checker) { c.distrust(doc.Spec) })
	case "":
		d.fail(kindNode, fmt.Sprintf("begin with\n    apiVersion: %s\n    kind: %s", APIVersion, KindPolicy), "a document without kind")
	default:
		d.fail(kindNode, suggestion(kind, []string{KindPolicy, KindSet, KindDistrust, KindWaiver, KindNamespacePolicy}), "unknown kind %q", kind)
	}
}

func (l *loader) policy(d *decoder, n *yaml.Node, p *loaded) {
	for _, other := range l.set.policies {
		if other.name == p.name && p.name != "" {
			d.failAt("metadata.name", n, "give it another name", "a second policy named %q", p.name)
		}
	}
	l.set.policies = append(l.set.policies, p)
	l.later(d, n, func(c *checker) { c.policy(l.set, p) })
}

func (d *decoder) header(n *yaml.Node, h document) {
	if h.APIVersion != "" && h.APIVersion != APIVersion {
		d.failAt("apiVersion", n, "write apiVersion: "+APIVersion, "unknown apiVersion %q", h.APIVersion)
	}
	if h.Metadata.Name != "" && !validName(h.Metadata.Name) {
		d.failAt("metadata.name", n, "use lower-case letters, digits and '-', beginning with a letter", "%q is not a name", h.Metadata.Name)
	}
}

// later keeps a check until all documents are read. It does not run when the document itself has errors.
func (l *loader) later(d *decoder, n *yaml.Node, check func(*checker)) {
	had := len(d.errs)
	places, file, lines := d.places, d.file, d.lines
	l.checks = append(l.checks, func() {
		own := &decoder{file: file, lines: lines, places: places}
		c := &checker{d: own, top: n}
		if had == 0 {
			check(c)
		}
		l.errs = append(l.errs, own.errs...)
	})
}

func (l *loader) finish(files []File) {
	name := "policy"
	if len(files) > 0 {
		name = files[0].Name
	}
	if !slices.ContainsFunc(l.set.policies, func(p *loaded) bool { return p.namespace == "" }) {
		l.errs = append(l.errs, &Error{File: name, Problem: "no " + KindPolicy + " in it", Hint: "a set without a policy allows nothing; README.md has one to start from"})
		return
	}
	for _, p := range l.set.policies {
		p.shared, p.distrust, p.tags = l.set.places, l.set.distrust, l.set.spec.Tags
		p.derived = len(l.set.spec.Derived) > 0
	}
	for _, check := range slices.Concat(l.checks, l.last) {
		check()
	}
	if len(l.errs) > 0 {
		return
	}
	if in := l.set.spec.Policies; len(in) > 0 {
		l.set.policies = slices.DeleteFunc(l.set.policies, func(p *loaded) bool {
			out := p.namespace == "" && !slices.Contains(in, p.name)
			if out {
				l.set.idle = append(l.set.idle, p)
			}
			return out
		})
	}
	type entry struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
		Spec any    `json:"spec"`
	}
	digest := func(v any) stemma.Digest {
		b, _ := json.Marshal(v) // strings, numbers, maps and slices only
		return stemma.SHA256(b)
	}
	all := []entry{{KindSet, l.set.Name, canonical(reflect.ValueOf(l.set.spec))}}
	for _, p := range l.set.policies {
		e := entry{KindPolicy, p.name, canonical(reflect.ValueOf(p.spec))}
		p.id = digest(e)
		p.onBase = p.looksAtBase()
		for _, q := range append([]*loaded{p}, p.alternatives...) {
			q.onBase = p.onBase
			q.id, q.required = p.id, slices.DeleteFunc(append(Rules(), q.rules...), func(r Rule) bool { return !r.inForce(q) })
		}
		all = append(all, e)
	}
	for _, w := range l.set.waivers { // beside the policies: granting one changes no digest of theirs
		w.canonical = encode(entry{KindWaiver, w.name, canonical(reflect.ValueOf(w.spec))})
		w.id = stemma.SHA256(w.canonical)
	}
	for _, x := range l.set.distrust {
		all = append(all, entry{KindDistrust, x.name, canonical(reflect.ValueOf(x.spec))})
	}
	slices.SortFunc(all[1:], func(a, b entry) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	slices.SortFunc(l.set.policies, func(a, b *loaded) int { return cmp.Compare(a.name, b.name) })
	l.set.Digest = digest(all)
}

// checker finds what is well formed and still wrong.
type checker struct {
	d   *decoder
	top *yaml.Node
	of  *loaded // the alternative that is checked
}

func (c *checker) fail(path, hint, format string, args ...any) {
	if rest, ok := strings.CutPrefix(path, "spec."); ok && c.of != nil {
		path = "spec." + c.of.place(rest)
	}
	c.d.failAt(path, c.top, hint, format, args...)
}

func (c *checker) set(s *Set) {
	for i, name := range s.spec.Policies {
		if !slices.ContainsFunc(s.policies, func(p *loaded) bool { return p.name == name }) {
			names := make([]string, len(s.policies))
			for i, p := range s.policies {
				names[i] = p.name
			}
			c.fail(fmt.Sprintf("spec.policies[%d]", i), suggestion(name, names), "no policy named %q was given", name)
		}
		if slices.Contains(s.spec.Policies[:i], name) {
			c.fail(fmt.Sprintf("spec.policies[%d]", i), "keep one", "%q stands twice", name)
		}
	}
	seen := map[string]bool{PublicGood: true, GitHubTrust: true}
	for i, t := range s.spec.Trust {
		path := fmt.Sprintf("spec.trust[%d]", i)
		switch {
		case seen[t.Name]:
			c.fail(join(path, "name"), "use another name", "trust domain %q exists already", t.Name)
		case !validName(t.Name):
			c.fail(join(path, "name"), "use lower-case letters, digits and '-'", "%q is not a name", t.Name)
		case t.Root != "" && len(t.TrustedRoot) > 0:
			c.fail(join(path, "root"), "keep one of them", "root and trustedRoot exclude each other")
		case t.Root != "" && t.Root != PublicGood && t.Root != GitHubTrust:
			c.fail(join(path, "root"), suggestion(t.Root, []string{PublicGood, GitHubTrust}), "unknown built-in domain %q", t.Root)
		case t.Time == None && len(t.Keys) == 0:
			c.fail(join(path, "time"), "", "only a domain of keys can do without a signing time")
		}
		seen[t.Name] = true
		keys := map[string]bool{}
		for j, k := range t.Keys {
			at := fmt.Sprintf("%s.keys[%d]", path, j)
			if !publicKey(k.PEM) {
				c.fail(join(at, "pem"), "paste it with its lines -----BEGIN PUBLIC KEY----- and -----END PUBLIC KEY-----", "key %q is not a PEM public key", k.Name)
			}
			if k.Signs == SignsPayload && t.Requires.Log != None {
				c.fail(join(at, "signs"), "write requires: {log: none} in "+t.Name, "logs take no envelope whose signature is over the payload alone")
			}
			if keys[k.Name] {
				c.fail(join(at, "name"), "use another name", "key %q stands twice in %s", k.Name, t.Name)
			}
			if !k.Until.IsZero() && k.Until.Before(k.From.Time) {
				c.fail(join(at, "until"), "", "key %q ends before it begins", k.Name)
			}
			keys[k.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.spec.Builders)) {
		c.builder(s, join("spec.builders", name), s.spec.Builders[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.spec.Signers)) {
		c.signer(s, join("spec.signers", name), s.spec.Signers[name])
		if _, ok := s.spec.Builders[name]; ok {
			c.fail(join("spec.signers", name), "use another name", "%q names a builder already", name)
		}
	}
	c.mirrors(s.spec.Mirrors)
	c.alternates(s.spec.Evidence)
	c.changes(s)
}

// publicKey reports whether text is exactly one PKIX public key. Whether it is strong enough is for the authenticator.
func publicKey(text string) bool {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" || strings.TrimSpace(string(rest)) != "" {
		return false
	}
	_, err := x509.ParsePKIXPublicKey(block.Bytes)
	return err == nil
}

func (c *checker) policy(s *Set, p *loaded) {
	spec := &p.spec
	p.builders, p.signers = maps.Clone(s.spec.Builders), maps.Clone(s.spec.Signers)
	if p.builders == nil {
		p.builders = map[string]Builder{}
	}
	if p.signers == nil {
		p.signers = map[string]Signer{}
	}
	taken := func(path, name string) {
		_, b := p.builders[name]
		_, g := p.signers[name]
		if b || g {
			c.fail(path, "use another name", "%q names a builder or signer already", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Builders)) {
		taken(join("spec.builders", name), name)
		c.builder(s, join("spec.builders", name), spec.Builders[name])
		p.builders[name] = spec.Builders[name]
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Signers)) {
		taken(join("spec.signers", name), name)
		c.signer(s, join("spec.signers", name), spec.Signers[name])
		p.signers[name] = spec.Signers[name]
	}
	c.images("spec.match.images", spec.Match.Images...)
	c.images("spec.match.except", spec.Match.Except...)
	c.own(s, p)
	c.alternatives(p)
	if len(p.alternatives) == 0 {
		c.blocks(s, p)
	}
	for _, a := range p.alternatives {
		c.of = a
		c.blocks(s, a)
		c.of = nil
	}
	c.approvals(p)
}

// blocks checks what a policy, or one of its alternatives, requires.
func (c *checker) blocks(s *Set, p *loaded) {
	spec := &p.spec
	if spec.Signature == nil && spec.Provenance == nil && spec.SBOM == nil && spec.Vulnerabilities == nil && len(spec.Attestations) == 0 {
		c.fail("spec", "write a provenance, signature, sbom, vulnerabilities or attestations block", "the policy requires nothing, so it could never allow an image")
		return
	}
	if spec.Signature != nil {
		c.named(p, "spec.signature.by", spec.Signature.By, "signature")
	}
	if spec.Provenance != nil {
		c.by("spec.provenance.by", spec.Provenance.By, slices.Collect(maps.Keys(p.builders)), "builder")
		for i, f := range spec.Provenance.Formats {
			if f != "slsa/v1" && f != "slsa/v0.2" {
				c.fail(fmt.Sprintf("spec.provenance.formats[%d]", i), suggestion(f, []string{"slsa/v1", "slsa/v0.2"}), "unknown format %q", f)
			}
		}
		if l := spec.Provenance.Level; l < 0 || l > 3 {
			c.fail("spec.provenance.level", "write 1, 2 or 3", "SLSA Build has no level %d", l)
		}
	}
	if spec.Source != nil {
		c.source(p)
	}
	c.inputs(p)
	c.base(s, p)
	c.bom(p)
	c.attested(s, p)
}

// images refuses patterns that no canonical repository name can match, so that nobody believes to be protected by them.
func (c *checker) images(path string, patterns ...Pattern) {
	for i, p := range patterns {
		at := path
		if _, ok := c.d.places[at+"[0]"]; ok {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		first, rest, _ := strings.Cut(string(p), "/")
		name := rest[strings.LastIndexByte(rest, '/')+1:]
		switch {
		case strings.ToLower(string(p)) != string(p):
			c.fail(at, fmt.Sprintf("write %q", strings.ToLower(string(p))), "%q: names of repositories are lower-case", p)
		case strings.ContainsAny(name, ":@"):
			c.fail(at, "name the repository; a policy judges every tag and digest of it", "%q has a tag or digest", p)
		case !strings.ContainsAny(first, ".:*{") && first != "localhost":
			c.fail(at, fmt.Sprintf("write docker.io/%s if it is on Docker Hub", p), "%q does not begin with the name of a registry", p)
		}
	}
}

func (c *checker) source(p *loaded) {
	spec := p.spec
	if spec.Provenance == nil {
		c.fail("spec.source", "add provenance: {by: [...]}", "source is read from provenance, and this policy does not say whose provenance counts")
	}
	host := func(path string, pattern Pattern) {
		first, rest, _ := strings.Cut(string(pattern), "/")
		if rest == "" || strings.ContainsAny(first, "*{") || !strings.Contains(first, ".") {
			c.fail(path, "write host/owner/repository: github.com/acme/api", "%q does not begin with the name of a host", pattern)
		}
	}
	host("spec.source.repository", spec.Source.Repository)
	known := func(path string, pattern Pattern, images []Pattern) {
		for _, name := range pattern.captures() {
			for _, image := range images {
				if !slices.Contains(image.captures(), name) {
					c.fail(path, fmt.Sprintf("write {%s} in it, too", name), "{%s} is not bound by %q", name, image)
				}
			}
		}
	}
	known("spec.source.repository", spec.Source.Repository, spec.Match.Images)
	for i, r := range spec.Source.Refs {
		// A capture that nothing binds would match anything.
		known(fmt.Sprintf("spec.source.refs[%d]", i), r, spec.Match.Images)
		if !strings.HasPrefix(string(r), "refs/") && !strings.HasPrefix(string(r), "*") && !strings.HasPrefix(string(r), "{") {
			c.fail(fmt.Sprintf("spec.source.refs[%d]", i), fmt.Sprintf("write refs/tags/%s or refs/heads/%s", r, r), "%q is not a full ref, so nothing would match it", r)
		}
	}
	for i, e := range spec.Source.Exceptions {
		path := fmt.Sprintf("spec.source.exceptions[%d]", i)
		c.images(join(path, "image"), e.Image)
		host(join(path, "repository"), e.Repository)
		known(join(path, "repository"), e.Repository, []Pattern{e.Image})
	}
}

func (c *checker) by(path string, by By, names []string, what string) {
	for i, name := range by.Of {
		if !slices.Contains(names, name) {
			at := fmt.Sprintf("%s[%d]", path, i)
			if _, ok := c.d.places[at]; !ok {
				at = fmt.Sprintf("%s.of[%d]", path, i)
			}
			slices.Sort(names)
			hint := suggestion(name, names)
			if len(names) == 0 {
				hint = fmt.Sprintf("define it under %ss", what)
			}
			c.fail(at, hint, "no %s named %q", what, name)
		}
		if slices.Contains(by.Of[:i], name) {
			c.fail(path, "keep one", "%q stands twice", name)
		}
	}
}

// named is by for all evidence but provenance. A builder that signs for several tenants, with one key or as a workflow that
// signs for others, tells them apart by the words of its provenance, and nothing else that it signs has them.
func (c *checker) named(p *loaded, path string, by By, what string) {
	c.by(path, by, slices.Concat(slices.Collect(maps.Keys(p.signers)), slices.Collect(maps.Keys(p.builders))), "signer")
	for i, name := range by.Of {
		b, ok := p.builders[name]
		if !ok || !b.shared() {
			continue
		}
		at := fmt.Sprintf("%s[%d]", path, i)
		if _, ok := c.d.places[at]; !ok {
			at = fmt.Sprintf("%s.of[%d]", path, i)
		}
		c.fail(at, "if everybody that it signs for may do so, name its identity under signers", "%s tells those it signs for apart by what its provenance says, and a %s says nothing of them", name, what)
	}
}

// TrustNames lists the trust domains that the policies in force verify under, and those of who signs the set and waivers.
func (s *Set) TrustNames() []string {
	var names []string
	for _, p := range s.policies {
		names = append(names, p.trust()...)
	}
	for _, name := range s.endorsers() {
		names = append(names, cmp.Or(s.spec.Signers[name].Trust, PublicGood))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// signer finds a name among signers and builders; the checks made sure that every name in a "by" is one of them.
func (p *loaded) signer(name string) Signer {
	if s, ok := p.signers[name]; ok {
		return s
	}
	return p.builders[name].Signer
}
