package predicate

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The vectors are those of published vulnerabilities, with the scores that FIRST (CVSS v3.1 examples) and NVD give them.
func TestCVSS(t *testing.T) {
	for vector, want := range map[string]float64{
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N": 6.1,  // CVE-2013-1937
		"CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N": 6.4,  // CVE-2013-0375
		"CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N": 3.1,  // CVE-2014-3566
		"CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H": 9.9,  // CVE-2012-1516
		"CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L": 4.2,  // CVE-2009-0783
		"CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H": 8.8,  // CVE-2012-0384
		"CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H": 7.8,  // CVE-2015-1098
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N": 7.5,  // CVE-2014-0160
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H": 9.8,  // CVE-2014-6271
		"CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:C/C:N/I:H/A:N": 6.8,  // CVE-2008-1447
		"CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H": 6.8,  // CVE-2014-2005
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:L/I:N/A:N": 5.8,  // CVE-2010-0467
		"CVSS:3.1/AV:A/AC:L/PR:N/UI:N/S:C/C:H/I:N/A:H": 9.3,  // CVE-2013-6014
		"CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N": 4.6,  // CVE-2014-2019
		"CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:N": 7.4,  // CVE-2014-0224
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:H/I:H/A:H": 9.6,  // CVE-2012-5376
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H": 10.0, // CVE-2021-44228
		"CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H": 7.8,  // CVE-2019-18276
		"CVSS:3.0/AV:N/AC:H/PR:N/UI:N/S:U/C:L/I:L/A:L": 5.6,  // CVE-2019-18224, Red Hat
		"CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N": 0,

		"CVSS:3.1/A:H/I:H/C:H/S:U/UI:N/PR:N/AC:L/AV:N":                 9.8, // in any order
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:C":   9.8, // the base score, whatever follows from the rest
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/MAV:P/MC:N/CR:L": 9.8,
		"CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:C/C:H/I:H/A:H":                 9.1,
		"CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H":                 7.2,
	} {
		if got, ok := baseScore(vector); !ok || got != want {
			t.Errorf("%s: %v, %v, want %v", vector, got, ok, want)
		}
	}
	const good = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
	for _, vector := range []string{
		"", "CVSS:3.1", "CVSS:3.1/", good + "/", "CVSS:3.1/AV:N/AC:L", strings.TrimSuffix(good, "/A:H"), good + "/A:H", good + "/A:N", good + "/X:Y", good + "/E:U/E:H",
		strings.Replace(good, "AV:N", "AV:X", 1), strings.Replace(good, "AV:N", "AV:", 1), strings.Replace(good, "AV:N", "AV", 1), strings.Replace(good, "S:U", "S:X", 1),
		strings.Replace(good, "3.1", "3.2", 1), strings.Replace(good, "3.1", "4.0", 1), strings.TrimPrefix(good, "CVSS:3.1/"), "CVSS:2.0/AV:N/AC:L/Au:N/C:P/I:P/A:P",
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", strings.ToLower(good), " " + good, good + strings.Repeat("/E:U", 1000),
	} {
		if got, ok := baseScore(vector); ok {
			t.Errorf("%.80q: %v", vector, got)
		}
	}
}

// TestCorpusCVSS compares the scores of all vectors in the reports of trivy in the corpus with those that stand beside them.
func TestCorpusCVSS(t *testing.T) {
	compared := map[string]bool{}
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				visit(x)
			}
		case map[string]any:
			vector, _ := v["V3Vector"].(string)
			score, stated := v["V3Score"].(float64)
			if got, ok := baseScore(vector); stated && (!ok || got != score) {
				t.Errorf("%s: %v, %v, want %v", vector, got, ok, score)
			}
			compared[vector] = compared[vector] || stated
			for _, x := range v {
				visit(x)
			}
		}
	}
	err := filepath.WalkDir(filepath.Join(corpusDir(t), "data", "aquasecurity_trivy"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".json.golden") {
			return err
		}
		data, err := os.ReadFile(path)
		var v any
		if err == nil && json.Unmarshal(data, &v) == nil {
			visit(v)
		}
		return err
	})
	if err != nil || len(compared) < 12 {
		t.Errorf("%d vectors (%v)", len(compared), err)
	}
	t.Logf("%d vectors", len(compared))
}
