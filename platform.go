package stemma

import "strings"

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
// index could list linux/amd64 for whoever verifies it and linux/x86_64 for the node that runs it.
func (p Platform) Normal() Platform {
	p.OS, p.Architecture, p.Variant = strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	if p.OS == "macos" {
		p.OS = "darwin"
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
	case p.Architecture == "arm64" && (p.Variant == "8" || p.Variant == "v8"), p.Architecture == "amd64" && p.Variant == "v1":
		p.Variant = ""
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
		(p.OSVersion == "" || other.OSVersion == p.OSVersion || other.OSVersion == "")
}

// Unknown reports whether the platform is unknown/unknown: what BuildKit lists its attestation manifests as, and nothing
// runs on. The zero Platform is not of them: an index that gives none leaves it to the config.
func (p Platform) Unknown() bool {
	p = p.Normal()
	return p.OS == "unknown" && p.Architecture == "unknown"
}
