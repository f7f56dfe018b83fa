package foreign

import (
	"cmp"
	"encoding/json"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"stemma"
)

// A shape is text in which some runes stand for several: what an expression, or a wildcard, accepts.
const (
	anything  = '\uE000' // any text, or none
	something = '\uE001' // any text, not none
	component = '\uE002' // any text without a slash, or none
	named     = '\uE003' // any text without a slash, not none
	begin     = '\uE004' // nothing stands before
	end       = '\uE005' // nor behind
	wildcards = "\uE000\uE001\uE002\uE003"
	marks     = "\uE004\uE005"
)

// maxText bounds an issuer, a subject or an expression of either; longer ones name nobody.
const maxText = 1000

// maxPattern is the longest pattern of the language, less what wildcards grow by.
const maxPattern = 400

// isPlain reports whether text is what a person reads it as, and no shape of more.
func isPlain(text string) bool {
	return len(text) <= maxText && !strings.ContainsAny(text, wildcards+marks) && stemma.Printable(text, maxText) == text
}

// fromExact is text that stands for itself.
func fromExact(text string) (shapes []string, problem string) {
	if !isPlain(text) {
		return nil, "it has characters that are not printed, or very many"
	}
	return []string{text}, ""
}

// fromRegexp is what a regular expression accepts, as shapes each of which accepts no more. The expression is read by the
// parser of the library that the original matches with, so that both see the same one in it. It is enough that it matches
// somewhere; the shapes are whole, and tighter is true where that makes a difference.
func fromRegexp(text string) (shapes []string, tighter bool, problem string) {
	if !isPlain(text) {
		return nil, false, "it has characters that are not printed, or very many"
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, false, "it is no regular expression"
	}
	marked, problem := fromTree(tree)
	if problem != "" {
		return nil, false, problem
	}
	for _, s := range marked {
		open := strings.TrimPrefix(s, string(begin))
		whole := strings.TrimSuffix(open, string(end))
		tighter = tighter || open == s && !strings.HasPrefix(s, string(anything)) || whole == open && !strings.HasSuffix(s, string(anything))
		if whole != "" && !slices.Contains(shapes, whole) {
			shapes = append(shapes, whole)
		}
	}
	if len(shapes) == 0 {
		return nil, false, "it accepts no text that is one's name"
	}
	return shapes, tighter, ""
}

// fromTree is what a part of an expression accepts.
func fromTree(tree *syntax.Regexp) (shapes []string, problem string) {
	switch tree.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, ""
	case syntax.OpLiteral:
		return fromLiteral(tree)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"."}, "" // a dot is one of them, and the one that is nearly always meant
	case syntax.OpBeginText:
		return []string{string(begin)}, ""
	case syntax.OpEndText:
		return []string{string(end)}, ""
	case syntax.OpCapture:
		return fromTree(tree.Sub[0])
	case syntax.OpQuest:
		shapes, problem = fromTree(tree.Sub[0])
		return append([]string{""}, shapes...), problem
	case syntax.OpStar, syntax.OpPlus:
		return fromRepeat(tree)
	case syntax.OpCharClass:
		for i := 0; i+1 < len(tree.Rune); i += 2 {
			for r := tree.Rune[i]; r <= tree.Rune[i+1]; r++ {
				if shapes = append(shapes, string(r)); len(shapes) > maxBranches || !isPlain(string(r)) {
					return nil, "a class of characters, " + stemma.Printable(tree.String(), 40)
				}
			}
		}
		return shapes, ""
	case syntax.OpAlternate:
		for _, sub := range tree.Sub {
			some, problem := fromTree(sub)
			if shapes = append(shapes, some...); problem != "" || len(shapes) > maxBranches {
				return nil, cmp.Or(problem, "it stands for too many names")
			}
		}
		return shapes, ""
	case syntax.OpConcat:
		shapes = []string{""}
		for _, sub := range tree.Sub {
			some, problem := fromTree(sub)
			if shapes = product(shapes, some); problem != "" || len(shapes) > maxBranches {
				return nil, cmp.Or(problem, "it stands for too many names")
			}
		}
		return shapes, ""
	}
	return nil, "what no pattern says, " + stemma.Printable(tree.String(), 40)
}

// product puts each of more behind each of the shapes. What would stand before the beginning or behind the end matches
// nothing, and is no shape.
func product(shapes, more []string) (out []string) {
	for _, s := range shapes {
		for _, m := range more {
			switch {
			case strings.HasPrefix(m, string(begin)):
				if s == "" || s == string(begin) {
					out = append(out, m)
				}
			case strings.HasSuffix(s, string(end)):
				if m == "" || m == string(end) {
					out = append(out, s)
				}
			default:
				out = append(out, s+m)
			}
		}
	}
	return out
}

// fromLiteral is text; in any case, in lower case.
func fromLiteral(tree *syntax.Regexp) (shapes []string, problem string) {
	text := string(tree.Rune)
	if tree.Flags&syntax.FoldCase != 0 {
		if strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
			return nil, "letters of any case"
		}
		text = strings.ToLower(text)
	}
	return fromExact(text) // an escape may stand for what is no plain text
}

// fromRepeat is any text, or any without a slash: of other characters no pattern says any number.
func fromRepeat(tree *syntax.Regexp) (shapes []string, problem string) {
	some := tree.Op == syntax.OpPlus
	pick := func(none, one rune) []string {
		if some {
			return []string{string(one)}
		}
		return []string{string(none)}
	}
	switch sub := tree.Sub[0]; {
	case sub.Op == syntax.OpAnyChar || sub.Op == syntax.OpAnyCharNotNL:
		return pick(anything, something), ""
	case sub.Op == syntax.OpCharClass && slices.Equal(sub.Rune, []rune{0, '/' - 1, '/' + 1, unicode.MaxRune}):
		return pick(component, named), ""
	}
	return nil, "what no pattern says, " + stemma.Printable(tree.String(), 40)
}

// fromWildcard is what a wildcard of Kyverno accepts: its star goes over slashes.
func fromWildcard(text string) (shapes []string, problem string) {
	switch {
	case !isPlain(text):
		return nil, "it has characters that are not printed, or very many"
	case strings.Contains(text, "?"):
		return nil, "a wildcard for one character"
	}
	return []string{strings.ReplaceAll(text, "*", string(anything))}, ""
}

func literal(shape string) bool { return !strings.ContainsAny(shape, wildcards) }

// identity is one identity that a policy of somebody else accepts.
type identity struct{ issuer, subject string }

const (
	githubIssuer = "https://token.actions.githubusercontent.com"
	gitlabIssuer = "https://gitlab.com"
)

// lines writes an identity in the language, accepting no more; "" where that cannot be.
func (i identity) lines() (out, problem string) {
	if !literal(i.issuer) || i.issuer == "" {
		return "", "the issuer must be one, and not a pattern"
	}
	if i.subject == "" {
		return "", "no subject"
	}
	problem = "patterns of subjects are for workflows of GitHub and configurations of GitLab, here"
	switch {
	case i.issuer == githubIssuer:
		out, problem = github(i.subject)
	case i.issuer == gitlabIssuer:
		out, problem = gitlab(i.subject)
	}
	if out == "" && literal(i.subject) {
		out = "oidc: {issuer: " + quoted(i.issuer) + ", subject: " + quoted(i.subject) + "}"
	}
	return out, problem
}

// github writes the subject of a workflow, "https://github.com/acme/app/.github/workflows/x.yml@refs/heads/main".
func github(subject string) (out, problem string) {
	rest, ok := strings.CutPrefix(subject, "https://github.com/")
	if !ok {
		return "", "the subject does not begin with https://github.com/"
	}
	path, ref, ok := strings.Cut(rest, "@")
	if !ok {
		// What goes over the @ is any ref.
		if path = rest; !strings.HasSuffix(path, string(anything)) {
			return "", "the subject names no ref"
		}
		ref = string(anything)
	}
	parts := strings.Split(path, "/")
	if last := parts[len(parts)-1]; len(parts) >= 2 && len(parts) < 5 && (last == string(anything) || last == string(something)) {
		// "acme/app/.*" is every workflow there.
		whole := []string{"", string(component), ".github", "workflows", string(component)}
		parts = append(parts[:len(parts)-1], whole[len(parts)-1:]...)
	}
	if len(parts) != 5 || parts[2] != ".github" || parts[3] != "workflows" || !literal(parts[0]) {
		return "", "the subject is not OWNER/REPOSITORY/.github/workflows/FILE with a plain owner"
	}
	for k, c := range parts {
		if parts[k], ok = pattern(c); !ok {
			return "", "a part of the subject is more than a wildcard says"
		}
	}
	refs, ok := references(ref)
	if !ok {
		return "", "the ref is more than a pattern says"
	}
	if len(subject) > maxPattern {
		return "", "the subject is longer than a pattern"
	}
	return "github: {workflow: " + quoted(strings.Join(parts, "/")) + ", workflowRefs: [" + refs + "]}", ""
}

// gitlab writes the subject of a job, "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main".
func gitlab(subject string) (out, problem string) {
	rest, _ := strings.CutPrefix(subject, gitlabIssuer+"/")
	path, ref, ok := strings.Cut(rest, "@")
	project, file, both := strings.Cut(path, "//")
	if rest == subject || !ok || !both || !strings.Contains(project, "/") {
		return "", "the subject is not GROUP/PROJECT//FILE@REF"
	}
	parts := strings.Split(project, "/")
	if !literal(parts[0]) || parts[0] == "gitlab.com" {
		return "", "the subject is of any group"
	}
	for k, c := range parts {
		if parts[k], ok = pattern(c); !ok {
			return "", "a part of the subject is more than a wildcard says"
		}
	}
	names := strings.Split(file, "/")
	for k, c := range names {
		if names[k], ok = pattern(c); !ok {
			return "", "a part of the subject is more than a wildcard says"
		}
	}
	refs, ok := references(ref)
	if !ok {
		return "", "the ref is more than a pattern says"
	}
	if len(subject) > maxPattern {
		return "", "the subject is longer than a pattern"
	}
	return "gitlab: {config: " + quoted(strings.Join(parts, "/")+"//"+strings.Join(names, "/")) + ", configRefs: [" + refs + "]}", ""
}

// pattern writes one component of a path. A star within one accepts no text, too, which only some wildcards do.
func pattern(shape string) (string, bool) {
	if shape == "" || strings.ContainsAny(shape, "*{}%#?\\ ") || shape == "." || shape == ".." {
		return "", false
	}
	for _, c := range wildcards {
		switch {
		case shape == string(c):
			return "*", true
		case (c == something || c == named) && strings.ContainsRune(shape, c):
			return "", false
		}
	}
	out := strings.Map(func(c rune) rune {
		if strings.ContainsRune(wildcards, c) {
			return '*'
		}
		return c
	}, shape)
	return out, !strings.Contains(out, "**")
}

// references writes a ref as patterns.
func references(shape string) (string, bool) {
	if shape == string(anything) || shape == string(something) {
		return `"refs/heads/**", "refs/tags/**"`, true
	}
	parts := strings.Split(shape, "/")
	if len(parts) < 2 || parts[0] != "refs" {
		return "", false
	}
	for k, c := range parts {
		if k == len(parts)-1 && k == 1 && (c == string(anything) || c == string(something)) {
			return `"refs/heads/**", "refs/tags/**"`, true
		}
		if k == len(parts)-1 && k > 1 && (c == string(anything) || c == string(something)) {
			parts[k] = "**"
			continue
		}
		var ok bool
		if parts[k], ok = pattern(c); !ok {
			return "", false
		}
	}
	return quoted(strings.Join(parts, "/")), len(parts) > 2
}

// identity reads one entry: issuer and subject, each exact or as an expression. exact says what the plain fields accept.
func (p part) identity(exact func(string) ([]string, string)) (by []string) {
	if p.t.problem != nil {
		return nil
	}
	issuers, subjects := p.accepted("issuer", exact), p.accepted("subject", exact)
	for _, i := range issuers {
		for _, s := range subjects {
			lines, problem := identity{i, s}.lines()
			if lines == "" {
				p.leftOut("name the identities one by one", "an identity is left out: %s", problem)
				continue
			}
			if name := p.in.signer(p.t, lines); !slices.Contains(by, name) {
				by = append(by, name)
			}
		}
	}
	return by
}

// accepted is what a field accepts, written as it is or in the field with RegExp behind its name.
func (p part) accepted(name string, exact func(string) ([]string, string)) []string {
	plain, expression := p.get(name), p.get(name+"RegExp")
	switch {
	case plain.text() != "" && expression.text() != "":
		p.leftOut("keep one", "an identity is left out that has both %s and %sRegExp", name, name)
	case plain.text() != "":
		shapes, problem := exact(plain.text())
		if problem == "" {
			return shapes
		}
		plain.leftOut("name the identities one by one", "an identity is left out: %s", problem)
	case expression.text() != "":
		shapes, tighter, problem := fromRegexp(expression.text())
		if problem != "" {
			expression.leftOut("name the identities one by one", "an identity is left out, the expression cannot be written as patterns: %s", problem)
			return nil
		}
		if tighter {
			expression.told("the expression is not anchored, and is read as if it was")
		}
		return shapes
	default:
		p.leftOut("", "an identity is left out that has no %s", name)
	}
	return nil
}

// quoted is text as YAML reads it, on one line.
func quoted(text string) string {
	b, err := json.Marshal(stemma.Printable(text, 2000))
	if err != nil {
		return `""` // unreachable: text is printable
	}
	return string(b)
}
