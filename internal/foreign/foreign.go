// Package foreign translates policies of other verifiers of images: ClusterImagePolicy of Sigstore's policy-controller,
// verifyImages rules and ImageValidatingPolicy of Kyverno, and policy.json of containers/image (Podman, CRI-O, Skopeo).
//
// The translation never accepts an image that the original would refuse. What the language of policies says otherwise is
// written tighter, and what it does not say becomes a rule that nothing meets, with its place and its reason, so that
// whoever removes it knows what was lost. Every field that is not understood is reported.
package foreign

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"stemma"
)

// Bounds of what is read.
const (
	maxFile      = 1 << 20
	maxDocuments = 256
	maxDepth     = 40
	maxNotes     = 500
	maxBranches  = 32 // alternatives that one expression stands for
)

// File is a file of policies of another verifier.
type File struct {
	Name string
	Data []byte
}

// Kind says how much of the original a note is about.
type Kind string

// The three kinds of notes.
const (
	Lost    Kind = "lost"     // a condition that the policy does not have, and for which it refuses
	LeftOut Kind = "left out" // something that the original accepts, and the policy does not
	Tighter Kind = "note"     // something that is said otherwise, and no looser
)

// Note says what became of a part of the original.
type Note struct {
	File         string `json:"file"`
	Line, Column int    // from 1
	Path         string `json:"path"` // of the part in its document: spec.authorities[0].keyless
	Problem      string `json:"problem"`
	Hint         string `json:"hint,omitempty"`
	Kind         Kind   `json:"kind"`
}

func (n Note) String() string {
	text := fmt.Sprintf("%s:%d:%d: %s: %s", n.File, n.Line, n.Column, n.Path, n.Problem)
	if n.Hint != "" {
		text += "\n  " + n.Hint
	}
	return text
}

// Result is a translation.
type Result struct {
	Policy string   // documents of this program's language
	Read   []string // what was translated: "ClusterImagePolicy signed-images"
	Notes  []Note   // in the order of the files
}

// Count counts the notes of a kind.
func (r *Result) Count(kind Kind) int {
	n := 0
	for _, note := range r.Notes {
		if note.Kind == kind {
			n++
		}
	}
	return n
}

// Errors of files that hold nothing to translate, or too much for one policy.
var (
	ErrNothing = errors.New("no policy of policy-controller, Kyverno or containers/image")
	ErrMixed   = errors.New("policies of several verifiers, which do not speak for each other's images")
	ErrLarge   = errors.New("more than one policy can say")
)

// Import translates files. What is no YAML, has a name twice or an alias, or is larger than any policy, is an error; what is
// another kind of document is a note.
func Import(files ...File) (*Result, error) {
	t := &translation{keys: map[string]*key{}}
	for _, f := range files {
		name := stemma.Printable(f.Name, 200)
		if len(f.Data) > maxFile {
			return nil, fmt.Errorf("%s: %d bytes, over the limit of %d", name, len(f.Data), maxFile)
		}
		if !utf8.Valid(f.Data) {
			return nil, fmt.Errorf("%s: not valid UTF-8", name)
		}
		d := yaml.NewDecoder(bytes.NewReader(f.Data))
		for n := 0; ; n++ {
			var root yaml.Node
			if err := d.Decode(&root); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %s", name, stemma.Printable(err.Error(), 300))
			}
			if n == maxDocuments {
				return nil, fmt.Errorf("%s: more than %d documents", name, maxDocuments)
			}
			if err := plain(name, &root, 0); err != nil {
				return nil, err
			}
			if len(root.Content) == 1 {
				t.document(part{t: t, file: name, node: root.Content[0]})
			}
		}
	}
	switch {
	case t.problem != nil:
		return nil, t.problem
	case len(t.policies) == 0 && len(t.notes) > 0:
		return nil, fmt.Errorf("%w; %s", ErrNothing, t.notes[0].String())
	case len(t.policies) == 0:
		return nil, ErrNothing
	}
	return &Result{Policy: t.write(), Read: t.read, Notes: t.notes}, nil
}

// plain refuses what two readers may take differently, and what stands for more than it is.
func plain(file string, n *yaml.Node, depth int) error {
	wrong := func(at *yaml.Node, problem string) error {
		return fmt.Errorf("%s:%d:%d: %s", file, at.Line, at.Column, problem)
	}
	switch {
	case depth > maxDepth:
		return wrong(n, fmt.Sprintf("nested more than %d deep", maxDepth))
	case n.Kind == yaml.AliasNode:
		return wrong(n, "an alias; write out what it stands for")
	case n.Style&yaml.TaggedStyle != 0:
		return wrong(n, "a tag, which makes a value another one")
	}
	seen := map[string]bool{}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if c.Kind != yaml.ScalarNode || c.Tag == "!!merge" {
				return wrong(c, "a key that is no plain name")
			}
			if seen[c.Value] {
				return wrong(c, fmt.Sprintf("%q stands twice", stemma.Printable(c.Value, 80)))
			}
			seen[c.Value] = true
		}
		if err := plain(file, c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// translation is what was read so far.
type translation struct {
	read     []string
	notes    []Note
	policies []*policy
	keys     map[string]*key // by their bytes
	order    []*key
	tags     string // what becomes of a tag: refuse, pin, or nothing
	verifier string // whose policies these are
	problem  error
}

// Bounds of what is written: a policy file has no more documents, and a list of more is read by nobody.
const (
	maxPolicies = 200
	maxSigners  = 500
)

// tag makes the stricter of two demands on tags.
func (t *translation) tag(demand string) {
	if t.tags != "refuse" {
		t.tags = demand
	}
}

// of notes whose policies are read. One verifier says nothing of images that another one is about: of both, the policies
// that match would not be the same.
func (t *translation) of(verifier string) {
	if t.verifier != "" && t.verifier != verifier || t.verifier == containersImage {
		t.problem = cmp.Or(t.problem, fmt.Errorf("%w: import them one by one", ErrMixed))
	}
	t.verifier = verifier
}

const containersImage = "containers/image" // of whose policies there is one in force

// key is a public key that a policy holds.
type key struct {
	name, pem string
	logged    bool // the original demands an entry in Rekor
}

// policy is one document that is written.
type policy struct {
	name       string
	from       string // what it was
	images     []string
	except     []string
	mode       string
	signers    []signer
	ways       []way // of which one must be met
	refuses    bool  // the original does, whatever there is
	conditions []Note
}

// way is one way to meet a policy: signatures by so many signers, and attestations.
type way struct {
	name         string
	atLeast      int
	by           []string
	attestations []attestation
}

type attestation struct {
	kind string // predicate type
	by   []string
}

// signer is an identity as the language writes it.
type signer struct {
	name  string
	lines string // in flow style
}

// part is a piece of a document, with its place.
type part struct {
	t    *translation
	file string
	path string
	node *yaml.Node // nil where nothing is written
	at   *yaml.Node // the nearest that is
	in   *policy    // that conditions are of
}

func (p part) note(kind Kind, hint, problem string, args ...any) {
	at := p.node
	if at == nil {
		at = p.at
	}
	n := Note{
		File: p.file, Line: at.Line, Column: at.Column, Path: cmp.Or(strings.TrimPrefix(stemma.Printable(p.path, 200), "."), "document"),
		Problem: stemma.Printable(fmt.Sprintf(problem, args...), 300), Hint: hint, Kind: kind,
	}
	switch {
	case len(p.t.notes) == maxNotes:
		// Whoever reads so many misses what comes after them.
		p.t.problem = cmp.Or(p.t.problem, fmt.Errorf("%s:%d:%d: %w: over %d notes", n.File, n.Line, n.Column, ErrLarge, maxNotes))
	default:
		p.t.notes = append(p.t.notes, n)
	}
	if kind == Lost && p.in != nil {
		p.in.conditions = append(p.in.conditions, n)
	}
}

// lost reports a condition that is not carried over: the policy refuses for it.
func (p part) lost(hint, problem string, args ...any) { p.note(Lost, hint, problem, args...) }

// leftOut reports what the original accepts, and the policy does not.
func (p part) leftOut(hint, problem string, args ...any) { p.note(LeftOut, hint, problem, args...) }

// told reports what is different, and no looser.
func (p part) told(problem string, args ...any) { p.note(Tighter, "", problem, args...) }

// each goes through a mapping. What no handler is for is a condition that nobody understands.
func (p part) each(handlers map[string]func(part)) {
	if p.t.problem != nil {
		return // nothing of it is written
	}
	if p.node == nil || p.node.Kind != yaml.MappingNode {
		p.lost("", "a mapping is expected here")
		return
	}
	for i := 0; i+1 < len(p.node.Content) && p.t.problem == nil; i += 2 {
		k := p.node.Content[i].Value
		child := p
		child.node, child.path = p.node.Content[i+1], p.path+"."+k
		switch handle, known := handlers[k]; {
		case !known:
			child.lost("look up what it means, and write what it demands by hand", "this field is not known")
		case handle != nil:
			handle(child)
		}
	}
}

// get is a field of a mapping; a part without a node when there is none.
func (p part) get(k string) part {
	child := p
	child.node, child.path = nil, p.path+"."+k
	if p.node != nil {
		child.at = p.node
	}
	if p.node != nil && p.node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(p.node.Content); i += 2 {
			if p.node.Content[i].Value == k {
				child.node = p.node.Content[i+1]
			}
		}
	}
	return child
}

func (p part) there() bool { return p.node != nil && p.node.Tag != "!!null" }

// items are the items of a list.
func (p part) items() []part {
	if p.node == nil || p.node.Kind != yaml.SequenceNode || p.t.problem != nil {
		if p.there() && p.t.problem == nil {
			p.lost("", "a list is expected here")
		}
		return nil
	}
	out := make([]part, len(p.node.Content))
	for i, n := range p.node.Content {
		out[i] = p
		out[i].node, out[i].path = n, fmt.Sprintf("%s[%d]", p.path, i)
	}
	return out
}

func (p part) text() string {
	if p.node == nil || p.node.Kind != yaml.ScalarNode || p.node.Tag == "!!null" {
		return ""
	}
	return p.node.Value
}

// texts are the items of a list of texts.
func (p part) texts() []string {
	var out []string
	for _, item := range p.items() {
		out = append(out, item.text())
	}
	return out
}

// differs handles a field whose absence from the result is no looser.
func differs(problem string) func(part) { return func(p part) { p.told("%s", problem) } }

// document finds out what a document is.
func (t *translation) document(p part) {
	api, kind := p.get("apiVersion").text(), p.get("kind").text()
	group, _, _ := strings.Cut(api, "/")
	name := stemma.Printable(p.get("metadata").get("name").text(), 100)
	known := map[[2]string]func(part, string){
		{"policy.sigstore.dev", "ClusterImagePolicy"}:              t.clusterImagePolicy,
		{"kyverno.io", "ClusterPolicy"}:                            t.kyverno,
		{"kyverno.io", "Policy"}:                                   t.kyverno,
		{"policies.kyverno.io", "ImageValidatingPolicy"}:           t.imageValidating,
		{"policies.kyverno.io", "NamespacedImageValidatingPolicy"}: t.imageValidating,
	}
	switch read := known[[2]string{group, kind}]; {
	case t.problem != nil:
	case read != nil:
		t.of(strings.TrimPrefix(group, "policies."))
		t.read = append(t.read, strings.TrimSpace(kind+" "+name))
		read(p, name)
	case api == "" && kind == "" && p.get("default").there():
		t.of(containersImage)
		t.read = append(t.read, "policy.json "+p.file)
		t.containers(p)
	default:
		p.told("a document of another kind, %s %s, which is left out", stemma.Printable(api, 80), stemma.Printable(kind, 80))
	}
}

// policy begins a document.
func (t *translation) policy(p part, kind, name string) part {
	if t.problem != nil {
		p.in = &policy{} // nothing of it is written
		return p
	}
	p.in = &policy{name: t.unused(name), from: kind + " " + name + ", " + fmt.Sprintf("%s:%d", filepath.Base(p.file), p.node.Line)}
	if t.policies = append(t.policies, p.in); len(t.policies) > maxPolicies {
		t.problem = cmp.Or(t.problem, fmt.Errorf("%s:%d: %w: over %d policies", p.file, p.node.Line, ErrLarge, maxPolicies))
	}
	return p
}

// unused is a name of a document that no other has.
func (t *translation) unused(name string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(name) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' {
			b.WriteRune(c)
		} else {
			b.WriteByte('-')
		}
	}
	clean := strings.Trim(b.String(), "-")
	if clean = strings.Trim(clean[:min(len(clean), 50)], "-"); clean == "" {
		clean = "imported"
	}
	if clean[0] >= '0' && clean[0] <= '9' {
		clean = "p-" + clean
	}
	out := clean
	for n := 2; slices.ContainsFunc(t.policies, func(p *policy) bool { return p.name == out }); n++ {
		out = fmt.Sprintf("%s-%d", clean, n)
	}
	return out
}

// signer adds an identity to the policy, and returns its name there.
func (p *policy) signer(t *translation, lines string) string {
	for _, s := range p.signers {
		if s.lines == lines {
			return s.name
		}
	}
	if len(p.signers) == maxSigners {
		t.problem = cmp.Or(t.problem, fmt.Errorf("%s: %w: over %d signers", p.from, ErrLarge, maxSigners))
		return p.signers[0].name
	}
	name := fmt.Sprintf("signer-%d", len(p.signers)+1)
	p.signers = append(p.signers, signer{name, lines})
	return name
}
