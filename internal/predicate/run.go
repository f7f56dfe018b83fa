package predicate

import (
	"strings"

	"stemma"
)

// canonicalRun writes the URL of a GitHub run with the canonical name of its repository, and leaves other ids alone.
func canonicalRun(id string) string {
	repository, run, ok := strings.Cut(id, "/actions/runs/")
	number, attempt, both := strings.Cut(run, "/attempts/")
	if !ok || !strings.HasPrefix(id, "https://") || !isDigits(number) || both && !isDigits(attempt) {
		return id
	}
	canonical, revision, err := stemma.ParseRepository(repository)
	if err != nil || revision != "" {
		return id
	}
	return "https://" + canonical + "/actions/runs/" + run
}

// isHex reports whether s has the form of a git object name that is cut short or in another case.
func isHex(s string) bool {
	return len(s) >= 7 && len(s) <= 64 && strings.Trim(strings.ToLower(s), "0123456789abcdef") == ""
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
