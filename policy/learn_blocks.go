package policy

import (
	"slices"
	"strings"

	"stemma"
)

// block learns what provenance of one kind of builder says besides.
func (g *group) block(path string, b *learnedBuilder) {
	form := b.form().key()
	switch known := b.said[0].provenance.Known; {
	case known == "Google Cloud Build" && form == "keys":
		g.cloudBuild(path, b)
	case known == "Tekton Chains" && (form == "keys" || form == "oidc"):
		g.tekton(path, b)
	case known == "BuildKit":
		if slices.ContainsFunc(b.said, func(s exhibit) bool {
			return len(s.provenance.Tasks) == 0 || s.provenance.Mode == modeMin
		}) {
			g.leave("%s.buildkit: mode=min, which does not tell the steps", path)
			return
		}
		b.BuildKit = &BuildKit{Mode: modeMax}
		g.because(path+".buildkit.mode", "%s", g.of("steps in the provenance", b.images()))
	}
}

// stated counts what provenance states of a field in the builder's own words or better, as far as ok takes it.
func stated(all []exhibit, ok func(string) bool, fields ...stemma.Field) tally {
	t := tally{}
	for _, s := range all {
		value := ""
		for _, f := range fields {
			if c := s.provenance.Claims[f]; value == "" && c.By.Rank() >= stemma.SaidByBuilder.Rank() && ok(c.Value) {
				value = c.Value
			}
		}
		t.add(value, s.image)
	}
	return t
}

func (g *group) cloudBuild(path string, b *learnedBuilder) {
	plain := func(v string) bool { return !strings.ContainsAny(v, "*/{} ") }
	projects := stated(b.said, plain, stemma.FieldNamespace)
	triggers := stated(b.said, plain, stemma.FieldTriggerID, stemma.FieldTrigger)
	block := CloudBuild{Projects: projects.values(), Triggers: triggers.values()}
	g.all(path+".gcb.projects", "project in the provenance", projects, block.Projects)
	g.all(path+".gcb.triggers", "trigger in the provenance", triggers, block.Triggers)
	if len(block.Projects) == 0 {
		g.leave("%s.gcb.projects: the provenance names none", path)
	}
	if len(block.Triggers) == 0 {
		g.leave("%s.gcb.triggers: the provenance names none", path)
	}
	if len(block.Projects) == 0 && (len(block.Triggers) == 0 || !block.byID()) {
		block.Projects = []string{string(anyNamespace)}
		g.because(path+".gcb.projects", "REVIEW: the key signs for every project of the world, and only the source tells them apart")
	}
	b.CloudBuild = &block
}

// tekton is what a run of Tekton Chains alone would be read as, or nil: tasks that are pinned are trusted where the image
// is then that of one of them, and one that says what it cloned is where the source comes from.
func (s exhibit) tekton() *Tekton {
	p := s.provenance
	if form, _ := formOf(s.attestation.Signer, unchanged); p.Known != "Tekton Chains" || form != "keys" && form != "oidc" {
		return nil
	}
	var trusted []Pattern
	var commits []string
	for _, t := range p.Tasks {
		if stemma.IsCommit(t.Digest) && !slices.Contains(commits, t.Digest) && len(commits) <= maxListed {
			commits = append(commits, t.Digest)
		}
		if len(trusted) > maxListed {
			return &Tekton{} // nobody reviews so many
		}
		if host, rest, _ := strings.Cut(t.Ref, "/"); t.Digest != "" && rest != "" && literal(t.Ref) && strings.ContainsAny(host, ".:") && !slices.Contains(trusted, Pattern(t.Ref)) {
			trusted = append(trusted, Pattern(t.Ref))
		}
	}
	out := &Tekton{}
	for _, others := range []Others{OthersAllowed, OthersRefused} {
		with := Tekton{Tasks: &Tasks{Trusted: trusted, Commits: commits, Others: others}}
		if len(trusted) > 0 && with.takes(s) {
			out = &with // the tighter one, if it does
		}
	}
	tried := 0
	for _, t := range p.Tasks {
		if out.Tasks == nil || t.Name == "" || t.Outputs["url"] == "" || t.Outputs["commit"] == "" {
			continue
		}
		if tried++; tried > maxListed {
			break // each is looked for among all others
		}
		with := *out
		with.SourceFrom = &SourceFrom{Task: t.Name, URL: "url", Commit: "commit"}
		r, _ := with.source(p)
		if own := p.Claims[stemma.FieldRepository]; r.Value != "" && r.By.Rank() > own.By.Rank() {
			return &with
		}
	}
	return out
}

// mode is what runs of one builder must have in common to be read alike.
func (k *Tekton) mode() string {
	text := ""
	if k != nil && k.Tasks != nil {
		text += string(k.Tasks.Others)
	}
	if k != nil && k.SourceFrom != nil {
		text += "\x00" + k.SourceFrom.Task
	}
	return text
}

func (g *group) tekton(path string, b *learnedBuilder) {
	name := func(v string) bool { return literal(v) && !strings.Contains(v, "/") }
	namespaces, accounts := stated(b.said, name, stemma.FieldNamespace), stated(b.said, name, stemma.FieldServiceAccount)
	block := Tekton{Namespaces: patterns(namespaces.values()), ServiceAccounts: patterns(accounts.values())}
	g.all(path+".tekton.namespaces", "namespace in the provenance", namespaces, namespaces.values())
	g.all(path+".tekton.serviceAccounts", "service account in the provenance", accounts, accounts.values())
	if len(block.Namespaces) == 0 {
		g.leave("%s.tekton.namespaces: the provenance names none in the words of Chains itself", path)
	}
	n, tasks, chains := b.images(), tally{}, b.said[0].chains
	if chains.Tasks == nil {
		g.leave("%s.tekton.tasks: no pinned task says that it built the image, or one that is not pinned does", path)
	} else {
		commits := tally{}
		for _, s := range b.said {
			for _, t := range s.chains.Tasks.Trusted {
				tasks.add(string(t), s.image)
			}
			for _, c := range s.chains.Tasks.Commits {
				commits.add(c, s.image)
			}
		}
		block.Tasks = &Tasks{Trusted: patterns(tasks.values()), Commits: commits.values(), Others: chains.Tasks.Others}
		g.all(path+".tekton.tasks.trusted", "tasks that are pinned,", tasks, tasks.values())
		g.all(path+".tekton.tasks.commits", "commits of their definitions,", commits, commits.values())
		g.because(path+".tekton.tasks.others", "%s", g.of("tasks that are not pinned, of which none claims an image,", n))
		if block.Tasks.Others == OthersRefused {
			g.because(path+".tekton.tasks.others", "%s", g.of("every task is pinned,", n))
		}
	}
	if block.SourceFrom = chains.SourceFrom; block.SourceFrom != nil {
		for _, key := range []string{"task", "url", "commit"} {
			g.because(path+".tekton.sourceFrom."+key, "%s", g.of("results of a trusted task", n))
		}
	}
	if len(block.Namespaces) == 0 && !block.proven() {
		block.Namespaces = []Pattern{anyNamespace}
		g.because(path+".tekton.namespaces", "REVIEW: the key signs for every tenant of the cluster, and nothing in the words of Chains tells them apart")
	}
	b.Tekton = &block
}

// takes reports whether the tasks of a run are accepted.
func (k Tekton) takes(s exhibit) bool {
	j := *s.image.judgement
	j.policy = &loaded{builders: map[string]Builder{"tekton": {Tekton: &k}}}
	r := guard(func() result {
		return checkTasks(&j, &candidate{attestation: s.attestation, provenance: s.provenance, builder: "tekton"})
	})
	return r.outcome == stemma.Pass
}

// maxListed is how many inputs of one kind are listed one by one.
const maxListed = 64

// inputs is the block of that name, of the kinds that every provenance reports.
func (g *group) inputs(path string, way []exhibit) *Inputs {
	out := &Inputs{}
	named := !slices.ContainsFunc(way, func(s exhibit) bool { return len(s.provenance.Inputs) == 0 })
	complete := named
	n := len(perSaid(way))
	if named {
		for _, l := range inputLists() {
			all, seen := g.listed(path, l, way)
			if len(all) == 0 {
				continue
			}
			*l.field(out) = patterns(all)
			g.all(join(path, l.key), "inputs in the provenance", seen, all)
			complete = complete && !slices.ContainsFunc(way, func(s exhibit) bool { return s.provenance.Reported[l.kind] != stemma.ReportedAll })
		}
		none := func(wrong func(*stemma.Input) bool) Demand {
			for _, s := range way {
				for i := range s.provenance.Inputs {
					if wrong(&s.provenance.Inputs[i]) {
						return ""
					}
				}
			}
			return Demanded
		}
		out.Digests = none(func(in *stemma.Input) bool { return !in.Pinned() })
		g.because(join(path, "digests"), "%s", g.of("inputs, each with a digest or commit,", n))
		if !slices.ContainsFunc(way, func(s exhibit) bool { return len(s.provenance.Tasks) == 0 }) {
			out.Declared = none(func(in *stemma.Input) bool { return in.Undeclared })
			g.because(join(path, "declared"), "%s", g.of("steps that use nothing else,", n))
		}
		if listed(out) {
			out.Unreported = UnreportedWarn
			g.because(join(path, "unreported"), "the builder names some of the inputs of a kind above")
			if complete && none(func(in *stemma.Input) bool {
				return in.Kind == stemma.InputOther || !slices.Contains(stemma.InputKinds(), in.Kind)
			}) != "" {
				out.Unreported = UnreportedRefuse
				g.because(join(path, "unreported"), "the builder names every input of the kinds above")
			}
		}
	} else {
		g.leave("%s: the provenance names no inputs", path)
	}
	hermetic := func(s exhibit) bool {
		return checkHermetic(nil, &candidate{attestation: s.attestation, provenance: s.provenance}).outcome == stemma.Pass
	}
	if !slices.ContainsFunc(way, func(s exhibit) bool { return !hermetic(s) }) {
		out.Hermetic = Demanded
		g.because(join(path, "hermetic"), "%s", g.of("said by the builder", n))
	}
	known := g.parameters(path, out, way)
	if !known || !constrained(out) && out.Hermetic == "" && out.Parameters == nil {
		return nil
	}
	return out
}

// field is where the block keeps the list.
func (l inputList) field(i *Inputs) *[]Pattern {
	return map[stemma.InputKind]*[]Pattern{
		stemma.InputImage: &i.Images, stemma.InputGit: &i.Git, stemma.InputHTTP: &i.HTTP, stemma.InputAction: &i.Actions, stemma.InputPackage: &i.Packages,
	}[l.kind]
}

// listed is the list for one kind of inputs; nothing where that cannot be written.
func (g *group) listed(path string, l inputList, way []exhibit) ([]string, tally) {
	seen, hosts := tally{}, tally{}
	check := &checker{d: &decoder{places: map[string]position{}}}
	for _, s := range way {
		p := s.provenance
		if p.Reported[l.kind] == "" {
			g.leave("%s.%s: the builder names none", path, l.key)
			return nil, nil
		}
		for i := range p.Inputs {
			in := &p.Inputs[i]
			if in.Kind != l.kind || l.kind == stemma.InputGit && isSource(in, p) {
				continue
			}
			name := in.Canonical
			if l.kind == stemma.InputPackage {
				name = strings.ReplaceAll(name, "/%40", "/@")
			}
			if !literal(name) || !matchesInput(Pattern(name), in, nil) || !check.input(l.kind, path, name) {
				g.leave("%s.%s: no pattern matches only %s", path, l.key, inputItem(in))
				return nil, nil
			}
			seen.add(name, s.image)
			hosts.add(in.Host, s.image)
		}
	}
	all := seen.values()
	if len(all) == 0 {
		g.leave("%s.%s: none went in, and no list says that", path, l.key)
	}
	if len(all) <= maxListed {
		return all, seen
	}
	if l.kind == stemma.InputPackage {
		all = nil
		for _, host := range hosts.values() {
			if !literal(host) || !check.input(l.kind, path, host+"/**") {
				all = nil
				break
			}
			hosts[host+"/**"] = hosts[host]
			all = append(all, host+"/**")
		}
		if n := len(all); n > 0 && n <= maxListed {
			g.leave("%s.packages by name: they are %d, so that only their hosts are listed", path, len(seen))
			return all, hosts
		}
	}
	g.leave("%s.%s: they are %d, more than %d", path, l.key, len(seen), maxListed)
	return nil, nil
}

// parameters learns the allow-list of parameters. It is false when one that the build type does not define was set and
// cannot be named: any block of inputs refuses those.
func (g *group) parameters(path string, out *Inputs, way []exhibit) bool {
	seen := tally{}
	possible, unknown := true, false
	for _, s := range way {
		if len(s.provenance.External) == 0 && len(s.provenance.Parameters) == 0 {
			g.leave("%s.parameters: the provenance tells none", path)
			possible = false
		}
		for _, p := range s.provenance.Parameters {
			if p.Kind == variableParameter {
				continue
			}
			unknown = unknown || p.Kind == unknownParameter
			if !literal(p.Name) {
				g.leave("%s.parameters: no pattern matches only %q", path, shortened(p.Name))
				possible = false
				continue
			}
			seen.add(p.Name, s.image)
		}
	}
	all := seen.values()
	switch {
	case len(all) > maxListed:
		g.leave("%s.parameters: they are %d, more than %d", path, len(all), maxListed)
		possible = false
	case possible && len(all) == 0:
		g.leave("%s.parameters: none was set, and no list says that", path)
	}
	if !possible || len(all) == 0 {
		if unknown {
			g.leave("%s: a parameter that the build type does not define was set, which every such block refuses", path)
		}
		return !unknown
	}
	out.Parameters = &Parameters{Allow: patterns(all)}
	g.all(join(path, "parameters.allow"), "parameters in the provenance", seen, all)
	return true
}
