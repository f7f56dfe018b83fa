package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stemma"
)

// inputRules are the requirements on what went into a build. None of them passes for want of anything to judge: where
// nothing is named at all, inputs.present fails, and what a builder does not name inputs.unreported or inputs.complete
// says.
func inputRules() []Rule {
	rules := []Rule{inputsPresent()}
	for _, l := range inputLists() {
		rules = append(rules, l.rule())
	}
	return append(rules, inputsUnreported(), inputsComplete(), inputsDigests(), inputsDeclared(), inputsParameters(), inputsHermetic())
}

// inputList is an allow-list for one kind of inputs.
type inputList struct {
	kind     stemma.InputKind
	key      string // in the block inputs
	one      string // what one of them is called
	patterns func(*Inputs) []Pattern
	title    string
	why      string
	fix      string
	controls []string
}

func inputLists() [5]inputList {
	return [...]inputList{
		{
			stemma.InputImage, "images", "image", func(i *Inputs) []Pattern { return i.Images },
			"built from or with an image that is not accepted",
			"What the base image holds, the built one holds; and an image that only a stage used could have written anything into it.",
			"build from an accepted image, or add the repository to inputs.images after a review",
			[]string{"SR-3", "SR-4(4)", "SR-11"},
		},
		{
			stemma.InputGit, "git", "git input", func(i *Inputs) []Pattern { return i.Git },
			"a repository went into the build that is not accepted",
			"A second repository that the build clones is source code, too, and no review of the first one saw it.",
			"build without it, or add the repository to inputs.git after a review",
			[]string{"SR-3", "SR-4(4)"},
		},
		{
			stemma.InputHTTP, "http", "http input", func(i *Inputs) []Pattern { return i.HTTP },
			"a file was fetched from an address that is not accepted",
			"Whoever controls the server controls what the next build gets from it.",
			"fetch it from an accepted place, or add the address to inputs.http after a review",
			[]string{"SI-7", "SR-3"},
		},
		{
			stemma.InputAction, "actions", "action", func(i *Inputs) []Pattern { return i.Actions },
			"an action, workflow or task took part in the build that is not accepted",
			"An action runs with the rights of the job: one that was taken over has put code into what thousands of projects released.",
			"build without it, or add its repository to inputs.actions after a review",
			[]string{"SA-15", "SR-3"},
		},
		{
			stemma.InputPackage, "packages", "package", func(i *Inputs) []Pattern { return i.Packages },
			"a package came from a host, or has a name, that is not accepted",
			"A public registry that holds a package under the name of an internal one is asked first by some tools (dependency confusion).",
			"fetch packages through an accepted host, or add the host or the package URL to inputs.packages after a review",
			[]string{"SR-3", "SR-11"},
		},
	}
}

func (l inputList) rule() Rule {
	return Rule{
		ID: "inputs." + l.key, Title: l.title, Why: l.why, Fix: l.fix, Since: "0.1", Controls: l.controls,
		inForce: hasInputs(func(i *Inputs) bool { return len(l.patterns(i)) > 0 }),
		each:    l.check,
	}
}

// hasInputs makes an inForce of what a rule asks the block for.
func hasInputs(asks func(*Inputs) bool) func(*loaded) bool {
	return func(p *loaded) bool { return p.spec.Inputs != nil && p.spec.Provenance != nil && asks(p.spec.Inputs) }
}

// constrained reports whether the block says something of inputs, not only of parameters or the network.
func constrained(i *Inputs) bool {
	return i.Digests != "" || i.Declared != "" || listed(i)
}

func listed(i *Inputs) bool {
	lists := inputLists()
	return slices.ContainsFunc(lists[:], func(l inputList) bool { return len(l.patterns(i)) > 0 })
}

func inputsPresent() Rule {
	return Rule{
		ID:       "inputs.present",
		Title:    "the provenance names no inputs at all",
		Why:      "A list that is compared with nothing would always be met: a builder that leaves its dependencies out would pass every one (GHSA-vmvj).",
		Fix:      "build with a builder that names what it resolved (docker buildx build --provenance=mode=max), or remove the inputs block for this builder",
		Since:    "0.1",
		Controls: []string{"SR-4(4)"},
		inForce:  hasInputs(constrained),
		each: func(_ *judgement, c *candidate) result {
			if n := len(c.provenance.Inputs); n > 0 {
				return pass(count(n, "input"), c.provenance.Bundle)
			}
			return result{
				outcome: stemma.Fail, reason: stemma.ReasonNoInputs, got: "no inputs", want: "the inputs that the build resolved",
				proof: c.proof(), path: "inputs",
			}
		},
	}
}

// withoutInputs is the result of a rule about inputs where none is named.
func withoutInputs(path string) result {
	return result{
		outcome: stemma.Fail, reason: stemma.ReasonNoInputs, got: "no inputs", want: "the inputs that the build resolved", path: path,
		needs: "inputs.present",
	}
}

func (l inputList) check(j *judgement, c *candidate) result {
	path := "inputs." + l.key
	if len(c.provenance.Inputs) == 0 {
		return withoutInputs(path)
	}
	list, n := l.patterns(j.spec.Inputs), 0
	var bad []string
	for i := range c.provenance.Inputs {
		in := &c.provenance.Inputs[i]
		if in.Kind != l.kind || l.kind == stemma.InputGit && isSource(in, c.provenance) {
			continue
		}
		n++
		if !slices.ContainsFunc(list, func(p Pattern) bool { return matchesInput(p, in, j.vars) }) {
			bad = append(bad, inputItem(in))
		}
	}
	switch {
	case n == 0:
		// Whether that is so because there are none or because the builder does not name them, inputs.unreported or inputs.complete says.
		return result{outcome: stemma.NotApplicable}
	case len(bad) == 0:
		return pass(count(n, l.one)+", accepted", c.provenance.Bundle)
	}
	return several(c, result{
		outcome: stemma.Fail, reason: stemma.ReasonInput, want: "only " + anyPattern(list, j.vars), path: path,
	}, bad, fmt.Sprintf("%d of %s", len(bad), count(n, l.one)))
}

// isSource reports whether an input is the source itself, which source.repository judges. Another commit of the same
// repository is another input: forges serve the commits of every fork under its name.
func isSource(in *stemma.Input, p *stemma.Provenance) bool {
	if in.Canonical == "" || in.Canonical != p.Value(stemma.FieldRepository) {
		return false
	}
	commit, other := p.Value(stemma.FieldCommit), false
	for _, v := range in.Digest {
		if commit != "" && v == commit {
			return true
		}
		other = other || stemma.IsCommit(v)
	}
	return !other || commit == "" && in.Role == stemma.RoleSource
}

// matchesInput compares the one name of an input with a pattern. What has no single meaning has no name, and an empty
// one matches nothing.
func matchesInput(p Pattern, in *stemma.Input, vars map[string]string) bool {
	name := in.Canonical
	switch in.Kind {
	case stemma.InputGit:
		p = foldGitHub(p)
	case stemma.InputAction:
		p, name = foldAction(p), onGitHub(name)
	case stemma.InputPackage:
		if host, ok := packageHost(p); ok {
			_, ok = host.match(in.Host, nil)
			return ok && name != ""
		}
		// A purl writes the '@' of a scope as %40, which no pattern can hold.
		name = strings.ReplaceAll(name, "/%40", "/@")
	}
	_, ok := p.match(name, vars)
	return ok
}

// packageHost is the host of a pattern HOST/**, which stands for all packages that come from there.
func packageHost(p Pattern) (Pattern, bool) {
	host, ok := strings.CutSuffix(string(p), "/**")
	return Pattern(host), ok && !strings.Contains(host, "/") && !strings.HasPrefix(host, "pkg:")
}

// onGitHub puts the host before the name of an action, which workflows leave out, so that both spellings are one.
func onGitHub(name string) string {
	if first, _, _ := strings.Cut(name, "/"); name == "" || strings.ContainsAny(first, ".:") {
		return name
	}
	return "github.com/" + name
}

// foldAction is a pattern for actions with its host, and with owner and repository in lower case on GitHub, where case
// does not distinguish them. It does distinguish the files below.
func foldAction(p Pattern) Pattern {
	parts := strings.SplitN(onGitHub(string(p)), "/", 4)
	head := foldGitHub(Pattern(strings.Join(parts[:min(3, len(parts))], "/")))
	if len(parts) < 4 {
		return head
	}
	return head + "/" + Pattern(parts[3])
}

// Bounds of what a finding lists.
const (
	maxItems    = 50
	maxItemName = 200 // characters
)

// inputItem is the line of a finding about one input: "docker.io/evil/base@sha256:1234… (/resolvedDependencies/3)".
func inputItem(in *stemma.Input) string {
	text, where := shortened(in.Canonical), shortened(in.Where)
	if text == "" {
		text, where = fmt.Sprintf("%q", shortened(cmp.Or(in.URI, in.Name))), "no single meaning; "+where
	}
	switch {
	case in.Pinned():
		text += "@" + shownDigest(in)
	case in.Version != "" && in.Kind == stemma.InputImage:
		text += ":" + shortened(in.Version)
	case in.Version != "":
		text += "@" + shortened(in.Version)
	}
	if in.Kind == stemma.InputPackage && in.Host != "" {
		text += " from " + shortened(in.Host)
	}
	return text + " (" + where + ")"
}

// shownDigest is the digest that names an input, whatever the order in which several are written, and of a repository
// the commit.
func shownDigest(in *stemma.Input) string {
	best := ""
	for _, alg := range slices.Sorted(maps.Keys(in.Digest)) {
		one := stemma.Input{Kind: in.Kind}
		one.Digest = map[string]string{alg: in.Digest[alg]}
		if !one.Pinned() || best != "" && alg != "sha256" {
			continue
		}
		best = stemma.Digest(alg + ":" + in.Digest[alg]).Short()
		if !stemma.AcceptedAlgorithm(alg) {
			best = strings.TrimPrefix(best, alg+":")
		}
	}
	return best
}

func shortened(s string) string {
	if len(s) <= maxItemName { // bytes, of which there are as many as characters or more
		return s
	}
	if r := []rune(s); len(r) > maxItemName {
		return string(r[:maxItemName]) + "…"
	}
	return s
}

// several makes a finding of all that is wrong with a provenance, a line for each, in an order that is not the one in
// which the builder wrote them.
func several(c *candidate, r result, items []string, got string) result {
	slices.Sort(items)
	r.got = items[0]
	if len(items) > 1 {
		r.got = got + ", such as " + items[0]
	}
	r.items, r.proof = items, cmp.Or(r.proof, c.proof())
	if n := len(items) - maxItems; n > 0 {
		r.items = append(items[:maxItems:maxItems], fmt.Sprintf("and %d more", n))
	}
	return r
}

// anyPattern lists patterns for people.
func anyPattern(list []Pattern, vars map[string]string) string {
	var texts []string
	for i, p := range list {
		if i == 5 {
			texts = append(texts, fmt.Sprintf("%d more", len(list)-i))
			break
		}
		texts = append(texts, p.expand(vars))
	}
	return strings.Join(texts, " or ")
}
