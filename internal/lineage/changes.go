package lineage

import (
	"encoding/json"
	"slices"
	"strings"

	"stemma"
)

// maxSetting is the longest text of a setting that is kept, in characters.
const maxSetting = 300

// changes compares the config of an image with that of its base. Owning the layers of a base is not running as it does: a
// preloaded library, another search path or the root user undo what the base was accepted for.
func changes(base, own stemma.Settings) (out []stemma.Change, inherited []string) {
	differ := func(setting, was, is string) {
		if was != is {
			out = append(out, stemma.Change{Setting: setting, Was: stemma.Printable(was, maxSetting), Is: stemma.Printable(is, maxSetting)})
		}
	}
	differ("user", base.User, own.User)
	differ("entrypoint", words(base.Entrypoint), words(own.Entrypoint))
	differ("cmd", words(base.Cmd), words(own.Cmd))
	differ("workingDir", base.WorkingDir, own.WorkingDir)
	was, is := variables(base.Env), variables(own.Env)
	var names []string
	for _, env := range []map[string]string{was, is} {
		for name := range env {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		differ("env "+stemma.Printable(name, maxSetting), was[name], is[name])
	}
	for name, value := range own.Labels {
		if other, ok := base.Labels[name]; ok && other == value {
			inherited = append(inherited, stemma.Printable(name, maxSetting))
		}
	}
	slices.Sort(inherited)
	return out, inherited
}

// variables are by name. Of one that is set twice runtimes take the last.
func variables(env []string) map[string]string {
	out := make(map[string]string, len(env))
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		out[name] = value
	}
	return out
}

// words writes a command as JSON, so that no two look alike.
func words(list []string) string {
	if len(list) == 0 {
		return ""
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "" // unreachable: texts encode
	}
	return string(text)
}
