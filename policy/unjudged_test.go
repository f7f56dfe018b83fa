package policy

import (
	"strings"
	"testing"
)

// A control that can be written and is not judged would be believed: each is refused when the policy is loaded.
func TestUnjudged(t *testing.T) {
	load(t, f0Policy)
	for _, block := range []string{
		"internal: {commit: /commit}",
	} {
		name, _, _ := strings.Cut(block, ":")
		_, err := Load(files(change(t, f0Policy, "      level: 3\n", "      level: 3\n      "+block+"\n"))...)
		if err == nil || !strings.Contains(err.Error(), name+" is not judged by this version") {
			t.Errorf("%s: %v", block, err)
		}
	}
}
