package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"stemma"
)

// A child of this platform is taken, or not, by a runtime on that one.
func TestPlatformTaken(t *testing.T) {
	child := func(s string) stemma.Platform {
		name, version, _ := strings.Cut(s, ":")
		parts := append(strings.Split(name, "/"), "", "")
		return stemma.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2], OSVersion: version}
	}
	for wanted, cases := range map[string]struct{ yes, no []string }{
		"linux/amd64": {
			[]string{"linux/amd64", "linux/amd64/v1", "linux/amd64/v3", "linux/x86_64", "Linux/AMD64", "linux/x86-64", "linux/amd64:5.10", "/amd64"},
			[]string{"linux/arm64", "windows/amd64", "linux/386", "linux/amd64p32", "unknown/unknown", "linux/", "/", "linux"},
		},
		"linux/arm64":    {[]string{"linux/arm64", "linux/arm64/v8", "linux/arm64/8", "linux/aarch64", "linux/arm64/v9"}, []string{"linux/arm", "linux/arm/v8", "linux/amd64", "windows/arm64"}},
		"linux/arm64/v8": {[]string{"linux/arm64", "linux/arm64/v8", "linux/aarch64/v8"}, []string{"linux/arm64/v9", "linux/arm/v8", "linux/amd64/v8", "linux/armhf"}},
		"linux/arm":      {[]string{"linux/arm", "linux/arm/v5", "linux/arm/v7", "linux/armhf", "linux/armel"}, []string{"linux/arm64", "linux/arm64/v8", "linux/armbe", "windows/arm"}},
		"linux/arm/v7":   {[]string{"linux/arm/v7", "linux/arm", "linux/arm/7", "linux/armhf"}, []string{"linux/arm/v6", "linux/armel", "linux/arm64", "linux/arm/v8"}},
		"windows/amd64":  {[]string{"windows/amd64", "windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.2227"}, []string{"linux/amd64", "windows/arm64", "windows2/amd64", "windows"}},
		"windows/amd64:10.0.20348.2227": {
			[]string{"windows/amd64:10.0.20348.2227", "windows/amd64", "windows/x86_64:10.0.20348.2227", "windows/amd64:10.0.20348.2228", "windows/amd64:10.0.20348"},
			[]string{"windows/amd64:10.0.26100.1", "windows/amd64:10.0.17763.2227", "linux/amd64:10.0.20348.2227"},
		},
	} {
		w, ok := parsePlatform(wanted)
		if !ok {
			t.Fatalf("%s is not a platform", wanted)
		}
		for _, p := range cases.yes {
			if !w.takes(child(p)) {
				t.Errorf("%s does not take %s", wanted, p)
			}
		}
		for _, p := range cases.no {
			if w.takes(child(p)) {
				t.Errorf("%s takes %s", wanted, p)
			}
		}
	}
	for _, s := range []string{"", "linux", "linux/", "/amd64", "linux/amd64/v1/x", "linux/amd64:", "linux//v8", "unknown/unknown", "linux/unknown", "unknown/amd64", "linux/amd 64", "*/amd64", "linux/*", "linux/amd64:10:0", "línux/amd64", strings.Repeat("a", 100) + "/" + strings.Repeat("b", 100)} {
		if w, ok := parsePlatform(s); ok || w.takes(stemma.Platform{}) || w.takes(stemma.Platform{OS: "linux", Architecture: "amd64"}) {
			t.Errorf("%q is a platform: %+v", s, w)
		}
	}
}

// per lists the outcomes of one rule by platform.
func per(d *stemma.Decision, rule string) map[string]string {
	out := map[string]string{}
	for _, f := range d.Findings {
		if f.Rule == rule {
			out[f.Platform] = strings.TrimSpace(string(f.Outcome) + " " + string(f.Reason))
		}
	}
	return out
}

func on(platforms ...string) stemma.Situation {
	s := now()
	s.Platforms = platforms
	return s
}

func made(changes ...func(*stemma.Evidence)) *stemma.Evidence {
	e := f0()
	for _, c := range changes {
		c(e)
	}
	return e
}

// of changes the evidence about one platform of an index.
func of(platform string, change func(*stemma.Evidence)) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		for _, c := range e.Platforms {
			if c.Platform.String() == platform {
				change(c)
				return
			}
		}
		panic("no " + platform)
	}
}

func attestations(platform string) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		c := child(platform)
		nothing(c)
		c.Attestation = true
		e.Platforms = append(e.Platforms, c)
	}
}

func another(platform, name string, changes ...func(*stemma.Evidence)) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		c := child(platform)
		c.Image.Digest = digest(name)
		c.Attestations[0].Binding.Member = c.Image.Digest
		for _, change := range changes {
			change(c)
		}
		e.Platforms = append(e.Platforms, c)
	}
}

// TestPlatforms: which platforms are judged, and what becomes of those that cannot be.
func TestPlatforms(t *testing.T) {
	const amd, arm, ok, missing = "linux/amd64", "linux/arm64", "pass", "fail platform"
	wip := byCertificate(stemma.FieldRef, "refs/heads/wip")
	type many = []func(*stemma.Evidence)
	type outcomes = map[string]string
	both := []string{amd, arm}
	for _, c := range []struct {
		name    string
		mode    string
		on      []string
		changes many
		want    outcomes // of image.platform
		verdict stemma.Verdict
	}{
		{"all", "all", nil, many{index(both...)}, outcomes{amd: ok, arm: ok}, stemma.Allow},
		{"all, with attestations", "all", nil, many{index(both...), attestations("unknown/unknown")}, outcomes{amd: ok, arm: ok}, stemma.Allow},
		{"all, of one", "all", nil, many{index(arm)}, outcomes{arm: ok}, stemma.Allow},
		{"all, of none", "all", nil, many{index()}, outcomes{"": missing}, stemma.Deny},
		{"all, of attestations alone", "all", nil, many{index(), attestations("unknown/unknown")}, outcomes{"": missing}, stemma.Deny},
		{"all, of none that could be read", "all", nil, many{index(), unread}, outcomes{"": "unknown unreachable"}, stemma.Undetermined},
		{"all, one not attested", "all", nil, many{index(both...), of(arm, nothing)}, outcomes{amd: ok, arm: ok}, stemma.Deny},
		{"all, one from elsewhere", "all", nil, many{index(both...), of(arm, wip)}, outcomes{amd: ok, arm: ok}, stemma.Deny},
		{"all, one with a silent place", "all", nil, many{index(both...), of(arm, unavailable)}, outcomes{amd: ok, arm: ok}, stemma.Undetermined},
		{"all, one not read", "all", nil, many{index(amd), unread}, outcomes{amd: "unknown unreachable"}, stemma.Undetermined},
		{"all, one that nothing is known of", "all", nil, many{index(amd), func(e *stemma.Evidence) { e.Platforms = append(e.Platforms, nil) }}, outcomes{amd: "unknown bad-answer"}, stemma.Undetermined},
		{"all, in an index in it", "all", nil, many{index(amd), func(e *stemma.Evidence) {
			inner := made(index(arm))
			inner.Image.Digest = digest("inner")
			e.Platforms = append(e.Platforms, inner)
		}}, outcomes{amd: ok, arm: ok}, stemma.Allow},
		{"all, not attested in an index in it", "all", nil, many{index(amd), func(e *stemma.Evidence) {
			inner := made(index(arm), of(arm, nothing))
			inner.Platform = stemma.Platform{OS: "unknown", Architecture: "unknown"} // an index runs what it lists, whatever it is called
			e.Platforms = append(e.Platforms, inner)
		}}, outcomes{amd: ok, arm: ok}, stemma.Deny},
		{"all, no platform told, not attested", "all", nil, many{index(amd), another("/", "x", nothing)}, outcomes{amd: ok, "": ok}, stemma.Deny},
		{"all, called an attestation, and runs", "all", nil, many{index(amd), attestations(arm)}, outcomes{amd: ok, arm: ok}, stemma.Deny},
		{"all, called an attestation, and has a config", "all", nil, many{index(amd), another("/", "x", nothing, func(e *stemma.Evidence) { e.Attestation, e.Config = true, digest("config") })}, outcomes{amd: "unknown bad-answer", "": "unknown bad-answer"}, stemma.Deny},
		{"all, called an attestation, with the empty config", "all", nil, many{index(amd), another("/", "x", nothing, func(e *stemma.Evidence) { e.Attestation, e.Config = true, digest("{}") })}, outcomes{amd: ok}, stemma.Allow},

		{"list", "[linux/amd64, linux/arm64]", nil, many{index("linux/arm64/v8", amd)}, outcomes{amd: ok, "linux/arm64/v8": ok}, stemma.Allow},
		{"list, more is there", "[linux/amd64]", nil, many{index(amd, arm, "windows/amd64"), of(arm, nothing), of("windows/amd64", wip)}, outcomes{amd: ok}, stemma.Allow},
		{"list, one missing", "[linux/amd64, linux/s390x]", nil, many{index(both...)}, outcomes{amd: ok, "linux/s390x": missing}, stemma.Deny},
		{"list, all missing", "[linux/s390x]", nil, many{index(both...)}, outcomes{"linux/s390x": missing}, stemma.Deny},
		{"list, listed as unknown", "[linux/amd64]", nil, many{index("unknown/unknown", arm)}, outcomes{amd: missing}, stemma.Deny},
		{"list, listed twice", "[linux/amd64]", nil, many{index(amd), another(amd, "twin")}, outcomes{amd: missing}, stemma.Deny},
		{"list, listed twice in two spellings", "[linux/amd64]", nil, many{index(amd), another("Linux/x86_64", "twin", nothing)}, outcomes{amd: missing, "Linux/x86_64": missing}, stemma.Deny},
		{"list, arm64 with and without variant", "[linux/arm64]", nil, many{index(arm), another("linux/arm64/v8", "twin")}, outcomes{arm: missing, "linux/arm64/v8": missing}, stemma.Deny},
		{"list, the same twice", "[linux/amd64]", nil, many{index(amd, amd)}, outcomes{amd: ok}, stemma.Allow},
		{"list, another variant not attested", "[linux/amd64]", nil, many{index(amd, "linux/amd64/v3"), of("linux/amd64/v3", nothing)}, outcomes{amd: ok, "linux/amd64/v3": ok}, stemma.Deny},
		{"list, without OS, not attested", "[linux/amd64]", nil, many{index(amd), another("/amd64", "x", nothing)}, outcomes{amd: ok, "/amd64": ok}, stemma.Deny},
		{"list, one not read", "[linux/amd64, linux/arm64]", nil, many{index(amd), unread}, outcomes{amd: "unknown unreachable", arm: "unknown unreachable"}, stemma.Undetermined},
		{"list, no platform told, a config that was not read", "[linux/amd64]", nil, many{index(amd), another("/", "x", func(e *stemma.Evidence) {
			e.Unavailable = []stemma.Unavailable{{Place: "config", Reason: stemma.ReasonTimeout}}
		})}, outcomes{amd: "unknown timeout"}, stemma.Undetermined},
		{"list, no platform told, a config that was withheld", "[linux/amd64]", nil, many{index(amd), another("/", "x", func(e *stemma.Evidence) { e.Config = digest("config") })}, outcomes{amd: "unknown bad-answer"}, stemma.Undetermined},
		{"list, no platform told, no config", "[linux/amd64]", nil, many{index(amd), another("/", "x", nothing)}, outcomes{amd: ok}, stemma.Allow},

		{"Windows", "[windows/amd64]", nil, many{index("windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.2")}, outcomes{"windows/amd64:10.0.17763.1": ok, "windows/amd64:10.0.20348.2": ok}, stemma.Allow},
		{"Windows, one not attested", "[windows/amd64]", nil, many{index("windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.2"), of("windows/amd64:10.0.17763.1", nothing)}, outcomes{"windows/amd64:10.0.17763.1": ok, "windows/amd64:10.0.20348.2": ok}, stemma.Deny},
		{"Windows, of one version", "[windows/amd64:10.0.20348.2]", nil, many{index("windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.2"), of("windows/amd64:10.0.17763.1", nothing)}, outcomes{"windows/amd64:10.0.20348.2": ok}, stemma.Allow},
		{"Windows, of another version", "[windows/amd64:10.0.20348.3]", nil, many{index("windows/amd64:10.0.17763.3")}, outcomes{"windows/amd64:10.0.20348.3": missing}, stemma.Deny},
		// A node takes the highest revision of its build (containerd, image-spec os.version).
		{"Windows, of another revision", "[windows/amd64:10.0.20348.3]", nil, many{index("windows/amd64:10.0.20348.3", "windows/amd64:10.0.20348.9")}, outcomes{"windows/amd64:10.0.20348.3": ok, "windows/amd64:10.0.20348.9": ok}, stemma.Allow},
		{"Windows, of another revision, not attested", "[windows/amd64:10.0.20348.3]", nil, many{index("windows/amd64:10.0.20348.3", "windows/amd64:10.0.20348.9"), of("windows/amd64:10.0.20348.9", nothing)}, outcomes{"windows/amd64:10.0.20348.3": ok, "windows/amd64:10.0.20348.9": ok}, stemma.Deny},
		{"Linux with a version, which no runtime looks at", "[linux/amd64]", nil, many{index("linux/amd64", "linux/amd64:5.10")}, outcomes{"linux/amd64": missing, "linux/amd64:5.10": missing}, stemma.Deny},
		{"Windows, of one version twice", "[windows/amd64]", nil, many{index("windows/amd64:10.0.20348.2"), another("windows/amd64:10.0.20348.2", "twin")}, outcomes{"windows/amd64:10.0.20348.2": missing}, stemma.Deny},

		{"nodes", "nodes", []string{arm}, many{index(both...), of(amd, nothing)}, outcomes{arm: ok}, stemma.Allow},
		{"nodes, not known", "nodes", nil, many{index(both...), of(amd, nothing)}, outcomes{amd: ok, arm: ok}, stemma.Deny},
		{"nodes, of two", "nodes", []string{arm, amd, arm}, many{index(both...)}, outcomes{amd: ok, arm: ok}, stemma.Allow},
		{"nodes, one missing", "nodes", []string{amd, "linux/ppc64le"}, many{index(both...)}, outcomes{amd: ok, "linux/ppc64le": missing}, stemma.Deny},
		{"nodes, of no platform", "nodes", []string{"arm64"}, many{index(both...)}, outcomes{"arm64": missing}, stemma.Deny},
		{"nodes, of an empty one", "nodes", []string{""}, many{index(both...)}, outcomes{"": missing}, stemma.Deny},

		{"a manifest, all", "all", nil, nil, outcomes{"": ok}, stemma.Allow},
		{"a manifest, in the list", "[linux/amd64, linux/arm64]", nil, many{platform(arm)}, outcomes{arm: ok}, stemma.Allow},
		{"a manifest, not in the list", "[linux/amd64]", nil, many{platform(arm)}, outcomes{arm: missing}, stemma.Deny},
		{"a manifest, of no platform", "[linux/amd64]", nil, nil, outcomes{"": missing}, stemma.Deny},
		{"a manifest, whose config was not read", "[linux/amd64]", nil, many{func(e *stemma.Evidence) {
			e.Unavailable = []stemma.Unavailable{{Place: "config", Reason: stemma.ReasonTimeout}}
		}}, outcomes{"": "unknown timeout"}, stemma.Undetermined},
		{"a manifest, not of the nodes", "nodes", []string{amd}, many{platform(arm)}, outcomes{arm: missing}, stemma.Deny},
		{"an attestation manifest", "all", nil, many{platform("unknown/unknown")}, outcomes{"unknown/unknown": missing}, stemma.Deny},
		{"a manifest, index", "index", []string{amd}, many{platform(arm)}, outcomes{}, stemma.Allow},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Evaluate(load(t, platformsSet(c.mode)+withoutLevel(t)), made(c.changes...), on(c.on...))
			if got := per(d, "image.platform"); !maps.Equal(got, c.want) || d.Verdict != c.verdict || (d.Effect == stemma.Admit) != (c.verdict == stemma.Allow) {
				t.Errorf("%v and %s, want %v and %s\n%s", got, d.Verdict, c.want, c.verdict, render(d))
			}
			complete(t, d)
		})
	}
}

func platform(p string) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) { e.Platform = child(p).Platform }
}

// complete checks that every platform has a cell of every rule that any of them has, and that each cell names what it
// was judged on.
func complete(t *testing.T, d *stemma.Decision) {
	t.Helper()
	rules := map[string][]string{}
	for _, f := range d.Findings {
		rules[f.Platform+string(f.Of)] = append(rules[f.Platform+string(f.Of)], f.Rule)
		if f.Rule == "image.platform" && f.Outcome == stemma.Pass && f.Of == "" {
			t.Errorf("%s is listed as nothing", f.Platform)
		}
	}
	var first []string
	for _, p := range slices.Sorted(maps.Keys(rules)) {
		if first == nil {
			first = rules[p]
		}
		if !slices.Equal(rules[p], first) {
			t.Errorf("%s has the cells %v, and another platform %v", p, rules[p], first)
		}
	}
}

// The level of an image is that of its least platform, and none where one is missing.
func TestLevelOfPlatforms(t *testing.T) {
	text := platformsSet("all") + change(t, strictPolicy, "level: 2, maxAge", "level: 1, maxAge")
	d := Evaluate(load(t, text), made(index("linux/amd64", "linux/arm64")), now())
	allowed(t, d)
	if d.Level != 3 {
		t.Errorf("level %d, want 3", d.Level)
	}
	d = Evaluate(load(t, text), made(index("linux/amd64", "linux/arm64"), of("linux/arm64", byCertificate(stemma.FieldRunner, "self-hosted"))), now())
	allowed(t, d)
	if d.Level != 1 {
		t.Errorf("level %d, want 1", d.Level)
	}
	if d := Evaluate(load(t, change(t, text, "platforms: all", "platforms: [linux/amd64, linux/s390x]")), made(index("linux/amd64")), now()); d.Level != 0 || d.Verdict != stemma.Deny {
		t.Errorf("%s", render(d))
	}
}

// A situation alone never makes an index that lacks a platform pass, nor a manifest that is pinned fail.
func TestReg_B14_platform(t *testing.T) {
	set := load(t, f0Policy)
	// The index itself is attested, and that is what is judged.
	attested := func(platforms ...string) *stemma.Evidence {
		e := f0()
		e.MediaType = "application/vnd.oci.image.index.v1+json"
		for _, p := range platforms {
			c := child(p)
			nothing(c)
			e.Platforms = append(e.Platforms, c)
		}
		return e
	}
	allowed(t, Evaluate(set, attested("linux/amd64", "linux/arm64"), on("linux/amd64")))
	allowed(t, Evaluate(set, attested("linux/amd64", "linux/arm64"), on()))
	allowed(t, Evaluate(set, attested("windows/amd64:1", "windows/amd64:2"), on("windows/amd64")))
	allowed(t, Evaluate(set, f0(), on("linux/amd64")))
	twin := attested("linux/amd64")
	another("linux/amd64", "twin")(twin)
	spelled := attested("linux/amd64")
	another("linux/x86_64", "twin")(spelled)
	for name, c := range map[string]struct {
		e  *stemma.Evidence
		on []string
	}{
		"missing":            {attested("linux/amd64"), []string{"linux/arm64"}},
		"one of two missing": {attested("linux/amd64"), []string{"linux/amd64", "linux/arm64"}},
		"unknown":            {attested("unknown/unknown", "linux/arm64"), []string{"linux/amd64"}},
		"no children":        {attested(), []string{"linux/amd64"}},
		"nonsense":           {attested("linux/amd64"), []string{"amd64"}},
	} {
		t.Run(name, func(t *testing.T) { only(t, Evaluate(set, c.e, on(c.on...)), "image.platform", stemma.ReasonPlatform) })
	}
	for _, e := range []*stemma.Evidence{twin, spelled} {
		d := Evaluate(set, e, on("linux/amd64"))
		if f := finding(t, d, "image.platform"); d.Verdict != stemma.Deny || f.Reason != stemma.ReasonPlatform || !strings.HasPrefix(f.Got, "listed 2 times: sha256:") || finding(t, d, "image.authentic").Outcome != stemma.Pass {
			t.Errorf("%s", render(d))
		}
	}
	dark := attested("linux/amd64")
	unread(dark)
	d := Evaluate(set, dark, on("linux/amd64"))
	if f := finding(t, d, "image.platform"); d.Verdict != stemma.Undetermined || f.Outcome != stemma.Unknown || f.Reason != stemma.ReasonUnreachable {
		t.Errorf("%s", render(d))
	}
}

// familyOf is a manifest that an index lists, about which there is the given evidence.
func familyOf(kind stemma.BindingKind, signatures bool) *stemma.Evidence {
	e := f0()
	e.Indexes, e.Config = []stemma.Digest{digest("index"), digest("another index")}, digest("config")
	if signatures {
		e.Attestations, e.Provenance = []stemma.Attestation{signature("s", keySigner("acme-kms", "review"))}, nil
	}
	a := &e.Attestations[0]
	a.Binding.Kind = kind
	switch kind {
	case stemma.BindingViaIndex:
		a.Binding.Member = digest("index")
	case stemma.BindingViaConfig:
		a.Binding.Member = digest("config")
	case stemma.BindingViaManifest:
		a.Binding.Via = digest("attestation manifest")
	}
	return e
}

// ratify#101, harbor#23540: an attestation of an index, and a pod that pins one of its children.
func TestReg_B12_index_child(t *testing.T) {
	for _, text := range []string{f0Policy, signedPolicy} {
		viaIndex := func() *stemma.Evidence { return familyOf(stemma.BindingViaIndex, text == signedPolicy) }
		set := load(t, text)
		allowed(t, Evaluate(set, viaIndex(), now()))
		if text == signedPolicy {
			continue // its set has no platforms to change
		}
		allowed(t, Evaluate(load(t, platformsSet("index")+text), viaIndex(), now()))
		for _, mode := range []string{"all", "nodes", "[linux/amd64]"} {
			e := viaIndex()
			platform("linux/amd64")(e)
			d := Evaluate(load(t, platformsSet(mode)+text), e, now())
			f := finding(t, d, "image.authentic")
			if d.Verdict != stemma.Deny || f.Reason != stemma.ReasonBinding || f.Want != "platforms: index" || f.Got != "a provenance of the index "+digest("index").Short()+" that lists it" || !strings.Contains(f.Fix, "platforms: index") {
				t.Errorf("%s:\n%s", mode, render(d))
			}
			// With evidence about itself it is accepted all the same.
			add(e, "own", githubSigner(trustedSAN))
			allowed(t, Evaluate(load(t, platformsSet(mode)+text), e, now()))
		}
	}
	// The other way round: evidence about an index does not count for the children that are judged.
	e := made(index("linux/amd64", "linux/arm64"), of("linux/arm64", nothing))
	add(e, "of the index", githubSigner(trustedSAN))
	d := Evaluate(load(t, platformsSet("all")+f0Policy), e, now())
	if f := d.Findings[slices.IndexFunc(d.Findings, func(f stemma.Finding) bool { return f.Platform == "linux/arm64" })]; d.Verdict != stemma.Deny || f.Reason != stemma.ReasonBinding || f.Got != "a provenance of the index "+imageDigest().Short()+" that lists it" {
		t.Errorf("%s", render(d))
	}
	// Nor evidence about a child for the index.
	e = made(index("linux/amd64"))
	if d := Evaluate(load(t, f0Policy), e, now()); d.Verdict != stemma.Deny || finding(t, d, "image.authentic").Reason != stemma.ReasonNoEvidence {
		t.Errorf("%s", render(d))
	}
}

// An index that says of itself that it lists the image: only its bytes say so.
func TestReg_B13_not_listed(t *testing.T) {
	allowed(t, Evaluate(load(t, f0Policy), familyOf(stemma.BindingViaIndex, false), now()))
	for name, change := range map[string]func(*stemma.Evidence){
		"no index":          func(e *stemma.Evidence) { e.Indexes = nil },
		"another index":     func(e *stemma.Evidence) { e.Indexes = []stemma.Digest{digest("another index")} },
		"bound to a third":  func(e *stemma.Evidence) { e.Attestations[0].Binding.Member = digest("third") },
		"bound to itself":   func(e *stemma.Evidence) { e.Attestations[0].Binding.Member = imageDigest() },
		"bound to nothing":  func(e *stemma.Evidence) { e.Indexes, e.Attestations[0].Binding.Member = []stemma.Digest{""}, "" },
		"an index in it":    func(e *stemma.Evidence) { e.MediaType = "application/vnd.oci.image.index.v1+json" },
		"children in it":    func(e *stemma.Evidence) { e.Platforms = []*stemma.Evidence{child("linux/amd64")} },
		"as exact":          func(e *stemma.Evidence) { e.Attestations[0].Binding.Kind = stemma.BindingExact },
		"as the config":     func(e *stemma.Evidence) { e.Attestations[0].Binding.Kind = stemma.BindingViaConfig },
		"as the manifest's": func(e *stemma.Evidence) { e.Attestations[0].Binding.Kind = stemma.BindingViaManifest },
		"as nothing known":  func(e *stemma.Evidence) { e.Attestations[0].Binding.Kind = "via-child" },
	} {
		e := familyOf(stemma.BindingViaIndex, false)
		change(e)
		d := Evaluate(load(t, f0Policy), e, now())
		f := finding(t, d, "image.authentic")
		if want := map[bool]stemma.Reason{true: stemma.ReasonSubjectMismatch, false: stemma.ReasonNoEvidence}[e.Attestations[0].Binding.Kind == stemma.BindingViaIndex && e.Attestations[0].Binding.Member != ""]; d.Verdict != stemma.Deny || f.Outcome != stemma.Fail || f.Reason != want {
			t.Errorf("%s: %s", name, render(d))
		}
	}
}

// The subject is the config: GitLab's documentation has it so.
func TestConfigSubjects(t *testing.T) {
	accept := change(t, platformsSet("index"), "platforms: index", "configSubjects: accept") + f0Policy
	e := familyOf(stemma.BindingViaConfig, false)
	d := Evaluate(load(t, accept), e, now())
	allowed(t, d)
	if !slices.ContainsFunc(d.Skipped, func(s string) bool { return strings.HasPrefix(s, "configSubjects: accept") }) {
		t.Errorf("a weaker tie is accepted, and not said: %q", d.Skipped)
	}
	for _, text := range []string{f0Policy, strings.Replace(accept, "accept", "refuse", 1)} {
		d := Evaluate(load(t, text), e, now())
		f := finding(t, d, "image.authentic")
		if d.Verdict != stemma.Deny || f.Reason != stemma.ReasonBinding || f.Want != "configSubjects: accept" || f.Got != "a provenance of the config "+digest("config").Short() || !strings.Contains(f.Fix, "configSubjects: accept") {
			t.Errorf("%s", render(d))
		}
		if f := finding(t, d, "provenance.present"); f.Reason != stemma.ReasonBinding || f.Needs != "image.authentic" {
			t.Errorf("%+v", f)
		}
		checkKeys(t, f.Fix)
	}
	for name, change := range map[string]func(*stemma.Evidence){
		"another config": func(e *stemma.Evidence) { e.Config = digest("other") },
		"no config":      func(e *stemma.Evidence) { e.Config = "" },
		"no member":      func(e *stemma.Evidence) { e.Config, e.Attestations[0].Binding.Member = "", "" },
		"the image":      func(e *stemma.Evidence) { e.Attestations[0].Binding.Member = imageDigest() },
	} {
		e := familyOf(stemma.BindingViaConfig, false)
		change(e)
		if d := Evaluate(load(t, accept), e, now()); d.Verdict != stemma.Deny || finding(t, d, "image.authentic").Reason != stemma.ReasonNoEvidence {
			t.Errorf("%s: %s", name, render(d))
		}
	}
}

// The Docker chain: who signs an attestation manifest signs the statements in it.
func TestAttestationManifest(t *testing.T) {
	for _, mode := range []string{"index", "all"} {
		set := load(t, platformsSet(mode)+f0Policy)
		e := familyOf(stemma.BindingViaManifest, false)
		allowed(t, Evaluate(set, e, now()))
		for name, change := range map[string]func(*stemma.Attestation){
			"another image":       func(a *stemma.Attestation) { a.Binding.Member = digest("other") },
			"no manifest":         func(a *stemma.Attestation) { a.Binding.Via = "" },
			"by itself":           func(a *stemma.Attestation) { a.Binding.Via = a.Binding.Member },
			"signature of itself": func(a *stemma.Attestation) { a.Signature = true },
		} {
			e := familyOf(stemma.BindingViaManifest, false)
			change(&e.Attestations[0])
			if d := Evaluate(set, e, now()); d.Verdict != stemma.Deny || finding(t, d, "image.authentic").Outcome != stemma.Fail {
				t.Errorf("%s: %s", name, render(d))
			}
		}
	}
}

// TestNeeds: plain data, by mode, situation and whether a policy matches at all.
func TestNeeds(t *testing.T) {
	linux := func(archs ...string) []stemma.Platform {
		var out []stemma.Platform
		for _, a := range archs {
			out = append(out, stemma.Platform{OS: "linux", Architecture: a})
		}
		return out
	}
	for _, c := range []struct {
		mode, repository string
		on               []string
		want             Needs
	}{
		{"index", "ghcr.io/acme/app", nil, Needs{Indexes: true}},
		{"index", "ghcr.io/acme/app", []string{"linux/arm64", "linux/amd64", "linux/amd64"}, Needs{Indexes: true, Children: true, Platforms: linux("amd64", "arm64")}},
		{"all", "ghcr.io/acme/app", []string{"linux/amd64"}, Needs{Indexes: true, Children: true}},
		{"nodes", "ghcr.io/acme/app", []string{"linux/x86_64"}, Needs{Indexes: true, Children: true, Platforms: linux("amd64")}},
		{"nodes", "ghcr.io/acme/app", nil, Needs{Indexes: true, Children: true}},
		{"nodes", "ghcr.io/acme/app", []string{"amd64"}, Needs{Indexes: true, Children: true}},
		{"[linux/arm64, 'windows/amd64:10.0.1']", "ghcr.io/acme/app", []string{"linux/amd64"}, Needs{Indexes: true, Children: true, Platforms: append(linux("arm64"), stemma.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.1"})}},
		{"all", "ghcr.io/other/app", nil, Needs{}},
		{"index", "", []string{"linux/amd64"}, Needs{}},
	} {
		got := load(t, platformsSet(c.mode)+f0Policy).Needs(c.repository, on(c.on...))
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s, %s, %v: %+v, want %+v", c.mode, c.repository, c.on, got, c.want)
		}
	}
	if got := (&Set{}).Needs("ghcr.io/acme/app", now()); fmt.Sprint(got) != fmt.Sprint(Needs{}) {
		t.Errorf("%+v", got)
	}
}
