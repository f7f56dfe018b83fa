package foreign

import (
	"encoding/json"
	"slices"
	"strings"

	"stemma"
)

// A shape is text in which some runes stand for several: what an expression, or a wildcard, accepts.
const (
	anything  = '\uE000' // any text, or none
	something = '\uE001' // any text, not none
	component = '\uE002' // any text without a slash, or none
	named     = '\uE003' // any text without a slash, not none
	wildcards = "\uE000\uE001\uE002\uE003"
)

// fromRegexp is what a regular expression accepts, as shapes each of which accepts no more. An expression that is not
// anchored accepts what has more before and after it; the shapes are anchored. The second result says what is not
// understood, or "".
func fromRegexp(text string) (shapes []string, problem string) {
	if strings.ContainsAny(text, wildcards) {
		return nil, "it has private characters"
	}
	branches, problem := split(text)
	if problem != "" {
		return nil, problem
	}
	for _, b := range branches {
		some, problem := fromBranch(b)
		if problem != "" {
			return nil, problem
		}
		if shapes = append(shapes, some...); len(shapes) > maxBranches {
			return nil, "it stands for too many names"
		}
	}
	return shapes, ""
}

// split parts an expression at the bars outside of groups.
func split(text string) (out []string, problem string) {
	depth, start := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '[':
			end := strings.IndexByte(text[i:], ']')
			if end < 0 {
				return nil, "a class without an end"
			}
			i += end
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				out, start = append(out, text[start:i]), i+1
			}
		}
	}
	if depth != 0 {
		return nil, "a group without an end"
	}
	return append(out, text[start:]), ""
}

// fromBranch reads one alternative: plain characters, escaped ones, any text, and groups of plain texts.
func fromBranch(text string) (shapes []string, problem string) {
	shapes = []string{""}
	add := func(more ...string) bool {
		var out []string
		for _, s := range shapes {
			for _, m := range more {
				out = append(out, s+m)
			}
		}
		shapes = out
		return len(out) <= maxBranches
	}
	text = strings.TrimPrefix(text, "^")
	if strings.HasSuffix(text, "$") && !strings.HasSuffix(text, `\$`) {
		text = strings.TrimSuffix(text, "$")
	}
	for len(text) > 0 {
		literal := ""
		switch c := text[0]; {
		case strings.HasPrefix(text, ".*"), strings.HasPrefix(text, ".+"), strings.HasPrefix(text, "[^/]*"), strings.HasPrefix(text, "[^/]+"):
			class := 1
			if c == '[' {
				class = 4
			}
			kind := map[string]rune{".*": anything, ".+": something, "[^/]*": component, "[^/]+": named}[text[:class+1]]
			if text = text[class+1:]; strings.HasPrefix(text, "?") {
				text = text[1:] // how eager it is changes nothing
			}
			add(string(kind))
			if quantified(text) {
				return nil, "a quantifier"
			}
			continue
		case c == '(':
			end := strings.IndexByte(text, ')')
			inner := strings.TrimPrefix(text[1:max(end, 1)], "?:")
			if end < 0 || strings.ContainsAny(inner, `([?*+{^$.`) {
				return nil, "a group of more than plain names"
			}
			var names []string
			for _, n := range strings.Split(inner, "|") {
				plain, ok := unescaped(n)
				if !ok {
					return nil, "a group of more than plain names"
				}
				names = append(names, plain)
			}
			if text = text[end+1:]; quantified(text) {
				return nil, "a quantifier"
			}
			if !add(names...) {
				return nil, "it stands for too many names"
			}
			continue
		case c == '\\':
			if len(text) < 2 || text[1] >= 0x80 || isWord(text[1]) {
				return nil, "a class of characters"
			}
			literal, text = text[1:2], text[2:]
		case strings.IndexByte(`[]{}*+?|^$)`, c) >= 0:
			return nil, "a class or quantifier, from " + stemma.Printable(text, 40)
		default: // a dot among them, which stands for itself, too
			literal, text = text[:1], text[1:]
		}
		if quantified(text) {
			return nil, "a quantifier"
		}
		add(literal)
	}
	return shapes, ""
}

func quantified(rest string) bool { return rest != "" && strings.IndexByte("*+?{", rest[0]) >= 0 }

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func unescaped(text string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			if i++; i == len(text) || isWord(text[i]) || text[i] >= 0x80 {
				return "", false
			}
		}
		b.WriteByte(text[i])
	}
	return b.String(), true
}

// fromWildcard is what a wildcard of Kyverno accepts: its star goes over slashes.
func fromWildcard(text string) (shapes []string, problem string) {
	switch {
	case strings.ContainsAny(text, wildcards):
		return nil, "it has private characters"
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
		whole := []string{"", "*", ".github", "workflows", "*"}
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
	if !literal(parts[0]) {
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
	return "gitlab: {config: " + quoted(strings.Join(parts, "/")+"//"+strings.Join(names, "/")) + ", configRefs: [" + refs + "]}", ""
}

// pattern writes one component of a path. A star within one accepts no text, too, which only some wildcards do.
func pattern(shape string) (string, bool) {
	if shape == "" || strings.ContainsAny(shape, "*{}") || shape == "." || shape == ".." {
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

// identities are those of one entry: issuer and subject, each exact or a pattern.
func identities(p part, issuer, subject []string) []string {
	var out []string
	for _, i := range issuer {
		for _, s := range subject {
			lines, problem := identity{i, s}.lines()
			switch {
			case lines == "":
				p.note(false, "", "an identity is left out: %s", problem)
			case !slices.Contains(out, lines):
				out = append(out, lines)
			}
		}
	}
	return out
}

// quoted is text as YAML reads it, on one line.
func quoted(text string) string {
	b, err := json.Marshal(stemma.Printable(text, 2000))
	if err != nil {
		return `""` // unreachable: text is printable
	}
	return string(b)
}
