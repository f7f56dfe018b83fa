package predicate

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// severities collects what is said of how severe a vulnerability is, in words and as scores. Of all of it the worst counts:
// whoever rates it lower may be right, and it is not for a reader to say.
type severities struct{ word, score, old int }

// ranks are the words of a severity, the least first.
func ranks() []string {
	return []string{"", "unknown", "negligible", "low", "medium", "high", "critical"}
}

// say adds a word, a score of CVSS or a vector of it, and reports whether it is one of them. To say nothing is no oddity.
func (v *severities) say(text string) bool {
	text = strings.TrimSpace(text)
	word, score := severityWord(text), scored(text)
	if base, ok := baseScore(text); ok {
		score = rating(base)
	}
	v.word = max(v.word, slices.Index(ranks(), word))
	v.score = max(v.score, slices.Index(ranks(), score))
	return text == "" || word != "" || score != ""
}

// sayOld adds a score of CVSS v2, in which high is the worst (nvd.nist.gov/vuln-metrics/cvss). It counts where no score of
// a later version is said.
func (v *severities) sayOld(score string) {
	v.old = max(v.old, min(slices.Index(ranks(), scored(score)), slices.Index(ranks(), "high")))
}

func (v *severities) add(other severities) {
	v.word, v.score, v.old = max(v.word, other.word), max(v.score, other.score), max(v.old, other.old)
}

// String is the worst of what was said, or "unknown".
func (v severities) String() string {
	score := v.score
	if score == 0 {
		score = v.old
	}
	return ranks()[max(v.word, score, 1)]
}

// severityWord is a scanner's word in those of this package, or "" for none. Moderate and important are Red Hat's.
func severityWord(text string) string {
	switch word := strings.ToLower(strings.TrimSpace(text)); word {
	case "critical", "high", "medium", "low", "negligible", "unknown":
		return word
	case "important":
		return "high"
	case "moderate":
		return "medium"
	case "none", "informational":
		return "negligible"
	}
	return ""
}

// scored is a base score of CVSS, as text, in words; "" for what is none.
func scored(text string) string {
	if text == "" || len(text) > 8 || strings.Trim(text, "0123456789.") != "" {
		return ""
	}
	score, err := strconv.ParseFloat(text, 64)
	if err != nil || score > 10 {
		return ""
	}
	return rating(score)
}

// rating is a base score of CVSS v3 or v4 in words (v3.0 section 5, "Qualitative Severity Rating Scale"; NVD uses the same):
// none 0.0, low 0.1-3.9, medium 4.0-6.9, high 7.0-8.9, critical 9.0-10.0.
func rating(score float64) string {
	switch {
	case score >= 9:
		return "critical"
	case score >= 7:
		return "high"
	case score >= 4:
		return "medium"
	case score > 0:
		return "low"
	}
	return "negligible"
}

// baseScore is the base score of a vector of CVSS v3.0 or v3.1 (first.org/cvss/v3.1/specification-document, section 7.1; the
// base equations of both are the same). Temporal and environmental metrics change other scores than this one. Vectors of
// v2 and v4 are not read.
func baseScore(vector string) (score float64, ok bool) {
	rest, ok := strings.CutPrefix(vector, "CVSS:3.1/")
	if !ok {
		rest, ok = strings.CutPrefix(vector, "CVSS:3.0/")
	}
	if !ok || len(vector) > 256 {
		return 0, false
	}
	said := map[string]string{}
	for metric := range strings.SplitSeq(rest, "/") {
		name, value, _ := strings.Cut(metric, ":")
		if _, twice := said[name]; twice || value == "" {
			return 0, false
		}
		said[name] = value
	}
	weights := cvssWeights(said["S"] == "C")
	w := map[string]float64{}
	for name, value := range said {
		of, base := weights[name]
		if !base {
			if !slices.Contains([]string{"E", "RL", "RC", "CR", "IR", "AR", "MAV", "MAC", "MPR", "MUI", "MS", "MC", "MI", "MA"}, name) {
				return 0, false
			}
			continue
		}
		if w[name], ok = of[value]; !ok {
			return 0, false
		}
	}
	if len(w) != len(weights) {
		return 0, false
	}
	exploitability := 8.22 * w["AV"] * w["AC"] * w["PR"] * w["UI"]
	base := 1 - (1-w["C"])*(1-w["I"])*(1-w["A"])
	impact, factor := 6.42*base, 1.0
	if said["S"] == "C" {
		impact, factor = 7.52*(base-0.029)-3.25*math.Pow(base-0.02, 15), 1.08
	}
	if impact <= 0 {
		return 0, true
	}
	return roundUp(min(factor*(impact+exploitability), 10)), true
}

// cvssWeights are the values of the base metrics (section 7.4). Privileges weigh more where the scope changes.
func cvssWeights(changed bool) map[string]map[string]float64 {
	impact := map[string]float64{"H": 0.56, "L": 0.22, "N": 0}
	privileges := map[string]float64{"N": 0.85, "L": 0.62, "H": 0.27}
	if changed {
		privileges = map[string]float64{"N": 0.85, "L": 0.68, "H": 0.5}
	}
	return map[string]map[string]float64{
		"AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
		"AC": {"L": 0.77, "H": 0.44},
		"PR": privileges,
		"UI": {"N": 0.85, "R": 0.62},
		"S":  {"U": 0, "C": 0},
		"C":  impact, "I": impact, "A": impact,
	}
}

// roundUp rounds up to one decimal, in whole numbers so that 4.00000000001 is 4.0 (appendix A).
func roundUp(x float64) float64 {
	n := int(math.Round(x * 100000))
	if n%10000 == 0 {
		return float64(n) / 100000
	}
	return float64(n/10000+1) / 10
}
