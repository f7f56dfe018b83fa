package stemma

import (
	"strconv"
	"strings"
)

// Platform is the platform of one manifest, as in the OCI image index.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
	OSVersion    string `json:"osVersion,omitempty"`
}

// String is "os/architecture[/variant][:os.version]", or "" for the zero Platform.
func (p Platform) String() string {
	if p == (Platform{}) {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	if p.OSVersion != "" {
		s += ":" + p.OSVersion
	}
	return s
}

// Normal gives platforms that a runtime takes for the same one the same form, as containerd compares them. Otherwise an
// index could list linux/amd64 for whoever verifies it and linux/x86_64 for the node that runs it. An OS version is of
// Windows alone: for any other, runtimes do not look at it.
func (p Platform) Normal() Platform {
	p.OS, p.Architecture, p.Variant = strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	if p.OS == "macos" {
		p.OS = "darwin"
	}
	if p.OS != "windows" && p.OS != "" {
		p.OSVersion = ""
	}
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "i386":
		p.Architecture, p.Variant = "386", ""
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	switch {
	case p.Architecture == "arm" && p.Variant == "":
		p.Variant = "v7"
	case p.Architecture == "arm" && !strings.HasPrefix(p.Variant, "v"):
		p.Variant = "v" + p.Variant
	case p.Architecture == "arm64" && (p.Variant == "8" || p.Variant == "v8" || p.Variant == "v8.0"), p.Architecture == "amd64" && p.Variant == "v1":
		p.Variant = ""
	case p.Architecture == "arm64" && (p.Variant == "9" || p.Variant == "9.0" || p.Variant == "v9.0"):
		p.Variant = "v9"
	}
	return p
}

// Takes reports whether a runtime that wants the platform could take a manifest of the offered one for it. Both are
// compared in the normal form. A variant or an OS version that is not wanted may be any; an OS or an OS version that is
// not offered may be any, too, since a runtime adds its own. The zero Platform takes nothing, and is taken by none:
// whose platform is not told, it is for the caller to find out.
func (p Platform) Takes(offered Platform) bool {
	wanted, other := p.Normal(), offered.Normal()
	return p != (Platform{}) && (other.OS == wanted.OS || other.OS == "") && other.Architecture == wanted.Architecture &&
		(p.Variant == "" || other.Variant == wanted.Variant) &&
		(wanted.OSVersion == "" || other.OSVersion == "" || other.OSVersion == wanted.OSVersion || sameWindows(wanted.OSVersion, other.OSVersion))
}

// sameWindows reports whether Windows of one version runs images of the other. Revisions do not count, and of several a
// runtime takes the highest: an index could list the one that is wanted, and another with a higher revision for the node
// to run. Since Windows Server 2022 a host runs images of the builds before its own, too, back to that one.
func sameWindows(host, image string) bool {
	const stable = 20348
	h, i := strings.SplitN(host, ".", 4), strings.SplitN(image, ".", 4)
	if len(h) < 3 || len(i) < 3 {
		return false
	}
	var n [6]uint64
	for k, text := range append(h[:3:3], i[:3]...) {
		var err error
		if n[k], err = strconv.ParseUint(text, 10, 16); err != nil {
			return false
		}
	}
	return n[0] == n[3] && n[1] == n[4] && (n[2] == n[5] || stable <= n[5] && n[5] <= n[2])
}

// Unknown reports whether the platform is unknown/unknown: what BuildKit lists its attestation manifests as, and nothing
// runs on. The zero Platform is not of them: an index that gives none leaves it to the config.
func (p Platform) Unknown() bool {
	p = p.Normal()
	return p.OS == "unknown" && p.Architecture == "unknown"
}
