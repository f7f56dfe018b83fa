package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"stemma"
)

// sheet is a policy as it is written for people: every line that says something has a comment on what it rests on.
type sheet struct {
	basis map[string]string // by path below spec; of an item of a list, or of the list
	lines []string
	errs  []error
}

// commented is the column at which comments begin, where the line is not longer.
const commented = 64

// line writes text at a depth, with the comment of a path.
func (s *sheet) line(depth int, text, path string) {
	text = strings.Repeat("  ", depth) + text
	if why := s.why(path); why != "" {
		text = fmt.Sprintf("%-*s  # %s", commented, text, why)
	}
	s.lines = append(s.lines, text)
}

// why is the comment of a path; of an item of a list without one of its own, that of the list.
func (s *sheet) why(path string) string {
	if why, ok := s.basis[path]; ok || !strings.HasSuffix(path, "]") {
		return comment(why)
	}
	return comment(s.basis[path[:strings.LastIndexByte(path, '[')]])
}

// comment is text that ends where its line does, whatever evidence it quotes.
func comment(text string) string { return stemma.Printable(text, 300) }

// value writes one key and what stands below it. What is zero is not written.
func (s *sheet) value(depth int, key string, v reflect.Value, path string) {
	if v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
		return
	}
	if by, ok := v.Interface().(By); ok {
		if by.AtLeast <= 1 {
			s.value(depth, key, reflect.ValueOf(by.Of), path)
			return
		}
		s.line(depth, key+": {atLeast: "+fmt.Sprint(by.AtLeast)+", of: ["+strings.Join(by.Of, ", ")+"]}", path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		s.value(depth, key, v.Elem(), path)
	case reflect.Struct:
		s.line(depth, key+":", path)
		s.fields(depth+1, v, path)
	case reflect.Map:
		s.line(depth, key+":", path)
		for _, name := range slices.Sorted(maps.Keys(mapKeys(v))) {
			s.value(depth+1, s.scalar(name), v.MapIndex(mapKeys(v)[name]), join(path, name))
		}
	case reflect.Slice:
		s.list(depth, key, v, path)
	case reflect.Int:
		s.line(depth, key+": "+fmt.Sprint(v.Int()), path)
	default:
		s.line(depth, key+": "+s.scalar(v.String()), path)
	}
}

func mapKeys(v reflect.Value) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	for _, k := range v.MapKeys() {
		out[k.String()] = k
	}
	return out
}

// fields writes the keys of a struct, in the order of the language.
func (s *sheet) fields(depth int, v reflect.Value, path string) {
	names, at, _ := keysOf(v.Type())
	for _, name := range names {
		s.value(depth, name, v.FieldByIndex(at[name]), join(path, name))
	}
}

// list writes one value beside the key, and several below it, each with the images that it was seen in.
func (s *sheet) list(depth int, key string, v reflect.Value, path string) {
	if v.Type().Elem().Kind() == reflect.Struct {
		s.line(depth, key+":", path)
		for i := range v.Len() {
			item := sheet{basis: s.basis}
			item.fields(depth+2, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
			s.errs = append(s.errs, item.errs...)
			for k, line := range item.lines {
				if k == 0 {
					line = line[:2*depth+2] + "- " + line[2*depth+4:]
				}
				s.lines = append(s.lines, line)
			}
		}
		return
	}
	if v.Len() == 1 {
		s.line(depth, key+": ["+s.scalar(v.Index(0).String())+"]", path+"[0]")
		return
	}
	s.line(depth, key+":", path)
	for i := range v.Len() {
		s.line(depth+1, "- "+s.scalar(v.Index(i).String()), fmt.Sprintf("%s[%d]", path, i))
	}
}

// scalar writes a value so that YAML reads the same text: in quotes whatever could mean something else there. What cannot
// be shown is not written into a policy that people are to review.
func (s *sheet) scalar(text string) string {
	if text == "" || stemma.Printable(text, len(text)) != text {
		s.errs = append(s.errs, errors.New("a value that cannot be written, "+fmt.Sprintf("%.100q", text)))
		return `""`
	}
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./"
	letter := text[0] >= 'a' && text[0] <= 'z' || text[0] >= 'A' && text[0] <= 'Z'
	word := slices.Contains([]string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}, strings.ToLower(text))
	if strings.Trim(text, plain) == "" && letter && !word {
		return text
	}
	quoted, _ := json.Marshal(text) // which YAML reads alike
	return string(quoted)
}

// settle leaves out what only a trial can tell that the images do not have, and writes the policy. What it may leave out
// is listed; all else must hold as it was learned.
func (g *group) settle(name string) (string, error) {
	for {
		text, err := g.write(name)
		if err != nil {
			return "", err
		}
		failed := g.trial(text)
		b := g.spec.SBOM
		if b == nil || len(failed) == 0 {
			return text, nil
		}
		before := len(b.ConsistentWith) + len(b.Elements)
		for rule, word := range map[string]string{"sbom.subject": consistentImage, "sbom.packages": consistentProvenance, "sbom.base": consistentBase} {
			if failed[rule] || failed["sbom.whole"] && len(failed) == 1 {
				b.ConsistentWith = slices.DeleteFunc(b.ConsistentWith, func(w string) bool { return w == word })
			}
		}
		if failed["sbom.elements"] {
			b.Elements = ""
		}
		if len(b.ConsistentWith)+len(b.Elements) == before {
			return text, nil // prove says what is wrong
		}
	}
}

// trial lists the rules that an image of the group does not pass.
func (g *group) trial(text string) map[string]bool {
	out := map[string]bool{}
	set, err := g.learner.load(text)
	if err != nil {
		return out
	}
	for _, i := range g.images {
		for _, f := range Evaluate(set, i.top, i.at).Findings {
			if f.Outcome != stemma.Pass && (!f.Advisory || strings.HasPrefix(f.Rule, "sbom.")) && f.Needs == "" {
				out[f.Rule] = true
			}
		}
	}
	return out
}

// write makes the document.
func (g *group) write(name string) (string, error) {
	s := &sheet{basis: g.basis}
	s.line(0, "apiVersion: "+APIVersion, "")
	s.line(0, "kind: "+KindPolicy, "")
	s.line(0, "metadata: {name: "+name+"}", "")
	s.line(0, "spec:", "")
	s.fields(1, reflect.ValueOf(g.spec), "")
	for i, left := range g.left {
		if i == 0 {
			s.lines = append(s.lines, "# Not required, because the evidence does not bear it:")
		}
		if i == maxItems {
			s.lines = append(s.lines, "#   and more")
			break
		}
		s.lines = append(s.lines, "#   "+left)
	}
	if len(s.errs) > 0 {
		return "", &Unlearnable{g.images[0].top.Image, s.errs[0].Error(), ""}
	}
	return strings.Join(s.lines, "\n") + "\n", nil
}
