package policy

import (
	"fmt"
	"slices"

	"stemma"
)

func bomRules() []Rule {
	return []Rule{
		sbomPresent(), sbomGenerator(), sbomSubject(), sbomBase(), sbomPackages(), sbomElements(), sbomWhole(),
		vulnerabilitiesScanned(), vulnerabilitiesNone(), attestationsPresent(),
	}
}

// itemised sorts lines and cuts the list short; the last line then says how many more there are.
func itemised(lines []string) []string {
	slices.Sort(lines)
	lines = slices.Compact(lines)
	return cutShort(lines)
}

// cutShort bounds a list and its lines, which quote evidence.
func cutShort(lines []string) []string {
	lines = slices.Clone(lines)
	for i := range lines {
		lines[i] = shortened(lines[i])
	}
	if more := len(lines) - maxItems; more > 0 {
		return append(slices.Clip(lines[:maxItems]), fmt.Sprintf("and %d more", more))
	}
	return lines
}

// unsignedOf names the first of what nobody signed: what is filed under the image as a bare statement.
func unsignedOf(e *stemma.Evidence, what func(*stemma.Unsigned) string) string {
	var all []string
	for i := range e.Unsigned {
		if name := what(&e.Unsigned[i]); name != "" && e.Unsigned[i].Bound {
			all = append(all, name+" that nobody signed ("+e.Unsigned[i].Place+")")
		}
	}
	if len(all) == 0 {
		return ""
	}
	return slices.Min(all)
}
