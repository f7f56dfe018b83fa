package stemma_test

import (
	"strings"
	"testing"

	"stemma"
)

// platform reads OS/architecture[/variant][:os.version] as it stands, whatever it is.
func platform(s string) stemma.Platform {
	name, version, _ := strings.Cut(s, ":")
	parts := append(strings.Split(name, "/"), "", "")
	return stemma.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2], OSVersion: version}
}

func TestPlatformNormal(t *testing.T) {
	for s, want := range map[string]string{
		"":                         "",
		"linux/amd64":              "linux/amd64",
		"Linux/AMD64":              "linux/amd64",
		"linux/x86_64":             "linux/amd64",
		"linux/X86-64":             "linux/amd64",
		"linux/amd64/v1":           "linux/amd64",
		"linux/amd64/V3":           "linux/amd64/v3",
		"linux/arm64":              "linux/arm64",
		"linux/arm64/8":            "linux/arm64",
		"linux/aarch64/v8":         "linux/arm64",
		"linux/arm64/v8.0":         "linux/arm64",
		"linux/arm64/v9":           "linux/arm64/v9",
		"linux/arm64/9":            "linux/arm64/v9",
		"linux/arm64/v9.0":         "linux/arm64/v9",
		"linux/arm64/v8.5":         "linux/arm64/v8.5",
		"linux/amd64:5.10":         "linux/amd64",
		"/amd64:10.0.1":            "/amd64:10.0.1",
		"linux/arm":                "linux/arm/v7",
		"linux/arm/6":              "linux/arm/v6",
		"linux/armhf/v6":           "linux/arm/v7",
		"linux/armel":              "linux/arm/v6",
		"linux/i386/x":             "linux/386",
		"macOS/arm64":              "darwin/arm64",
		"windows/amd64:10.0.1":     "windows/amd64:10.0.1",
		"/amd64":                   "/amd64",
		"linux/amd64p32":           "linux/amd64p32",
		"linux/ppc64le/v8":         "linux/ppc64le/v8",
		"linux /amd64":             "linux /amd64",
		"Unknown/UNKNOWN":          "unknown/unknown",
		"windows/amd64:10.0.1-Abc": "windows/amd64:10.0.1-Abc",
	} {
		got := platform(s).Normal()
		if got.String() != want || got.Normal() != got {
			t.Errorf("%q: %q, want %q, and %q again", s, got, want, got.Normal())
		}
	}
}

// A manifest of this platform is taken, or not, by a runtime that wants that one.
func TestPlatformTakes(t *testing.T) {
	for wanted, cases := range map[string]struct{ yes, no []string }{
		"linux/amd64": {
			[]string{"linux/amd64", "linux/amd64/v1", "linux/amd64/v3", "linux/x86_64", "Linux/AMD64", "linux/x86-64", "linux/amd64:5.10", "/amd64"},
			[]string{"linux/arm64", "windows/amd64", "linux/386", "linux/amd64p32", "unknown/unknown", "unknown/amd64", "linux/unknown", "linux/", "/", "linux", ""},
		},
		"Linux/x86_64":   {[]string{"linux/amd64", "/x86-64"}, []string{"linux/arm64", "windows/x86_64", ""}},
		"linux/amd64/v1": {[]string{"linux/amd64", "linux/amd64/v1"}, []string{"linux/amd64/v2", "linux/arm64"}},
		"linux/arm64":    {[]string{"linux/arm64", "linux/arm64/v8", "linux/arm64/8", "linux/aarch64", "linux/arm64/v9"}, []string{"linux/arm", "linux/arm/v8", "linux/amd64", "windows/arm64"}},
		"linux/arm64/v8": {[]string{"linux/arm64", "linux/arm64/v8", "linux/aarch64/v8"}, []string{"linux/arm64/v9", "linux/arm/v8", "linux/amd64/v8", "linux/armhf"}},
		"linux/arm64/8":  {[]string{"linux/arm64", "linux/arm64/v8"}, []string{"linux/arm64/v9", "linux/arm/8"}},
		"linux/arm":      {[]string{"linux/arm", "linux/arm/v5", "linux/arm/v7", "linux/armhf", "linux/armel"}, []string{"linux/arm64", "linux/arm64/v8", "linux/armbe", "windows/arm"}},
		"linux/arm/v7":   {[]string{"linux/arm/v7", "linux/arm", "linux/arm/7", "linux/armhf"}, []string{"linux/arm/v6", "linux/armel", "linux/arm64", "linux/arm/v8"}},
		"windows/amd64":  {[]string{"windows/amd64", "windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.2227"}, []string{"linux/amd64", "windows/arm64", "windows2/amd64", "windows"}},
		"windows/amd64:10.0.20348.2227": {
			[]string{"windows/amd64:10.0.20348.2227", "windows/amd64", "windows/x86_64:10.0.20348.2227", "windows/amd64:10.0.20348.2228", "windows/amd64:10.0.20348", "/amd64:10.0.20348.1"},
			[]string{"windows/amd64:10.0.17763.2227", "windows/amd64:10.0.26100.1", "windows/amd64:11.0.20348.2227", "windows/amd64:10.1.20348.2227", "windows/amd64:10.0", "windows/amd64:10.0.20348x", "linux/amd64:10.0.20348.2227"},
		},
		// Windows Server 2025 runs images of 2022, and 2019 none but its own.
		"windows/amd64:10.0.26100.1": {
			[]string{"windows/amd64:10.0.26100.9", "windows/amd64:10.0.20348.2227", "windows/amd64:10.0.25398.1"},
			[]string{"windows/amd64:10.0.17763.1", "windows/amd64:10.0.26101.1"},
		},
		"windows/amd64:10.0.17763.1": {[]string{"windows/amd64:10.0.17763.2"}, []string{"windows/amd64:10.0.14393.1", "windows/amd64:10.0.20348.1"}},
		"windows/amd64:ltsc":         {[]string{"windows/amd64:ltsc", "windows/amd64"}, []string{"windows/amd64:ltsc2", "windows/amd64:10.0.17763.2"}},
		"":                           {nil, []string{"", "linux/amd64", "unknown/unknown", "/"}},
	} {
		w := platform(wanted)
		for _, s := range cases.yes {
			if !w.Takes(platform(s)) || !w.Takes(platform(s).Normal()) {
				t.Errorf("%q does not take %q", wanted, s)
			}
		}
		for _, s := range cases.no {
			if w.Takes(platform(s)) {
				t.Errorf("%q takes %q", wanted, s)
			}
		}
	}
}

func TestPlatformUnknown(t *testing.T) {
	for s, want := range map[string]bool{
		"unknown/unknown": true, "Unknown/UNKNOWN": true, "unknown/unknown/v8": true, "unknown/unknown:1": true,
		"": false, "/": false, "unknown/amd64": false, "linux/unknown": false, "unknown": false, "linux/amd64": false, "unknown /unknown": false,
	} {
		if got := platform(s).Unknown(); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}
