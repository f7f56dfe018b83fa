package policy

import (
	"strings"
	"testing"

	"stemma"
)

// signedSet is a set that is signed by leads, who may also approve waivers.
func signedSet(changes ...string) string {
	text := strings.Replace(waiverSet, "PEM", `"`+pem1+`"`, 1)
	text = strings.Replace(text, "spec:\n", "spec:\n  version: 3\n  signedBy: [leads]\n", 1)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			panic(changes[i] + " is not in the set")
		}
		text = strings.Replace(text, changes[i], changes[i+1], 1)
	}
	return text
}

func TestSignedSet(t *testing.T) {
	set := load(t, f0Policy+signedSet(), waiverOf("w"))
	if set.Version() != 3 || strings.Join(set.SignedBy(), " ") != "leads (key leads-2026 under acme-kms)" || !set.SignedUnder("acme-kms") || set.SignedUnder(PublicGood) {
		t.Errorf("version %d, signed by %q", set.Version(), set.SignedBy())
	}
	if got := strings.Join(set.TrustNames(), " "); got != "acme-kms public-good" {
		t.Errorf("trust domains %s: whoever signs cannot be verified", got)
	}
	if n := len(set.Signables()); n != 3 {
		t.Errorf("%d things can be signed, want two files and a waiver", n)
	}
	file, other := stemma.SHA256([]byte(f0Policy+signedSet())), stemma.SHA256([]byte(waiverOf("w")))
	stranger := leads()
	stranger.KeyID = "mallory"
	elsewhere := leads()
	elsewhere.Trust = "github"
	const missing = "leads (key leads-2026 under acme-kms)"
	for _, c := range []struct {
		name   string
		signed []stemma.Endorsement
		want   string
	}{
		{"signed", []stemma.Endorsement{{Of: file, Signer: leads()}}, ""},
		{"signed by a stranger too", []stemma.Endorsement{{Of: file, Signer: stranger}, {Of: file, Signer: leads()}}, ""},
		{"unsigned", nil, missing},
		{"by a stranger", []stemma.Endorsement{{Of: file, Signer: stranger}}, missing},
		{"under another domain", []stemma.Endorsement{{Of: file, Signer: elsewhere}}, missing},
		{"another file of the set", []stemma.Endorsement{{Of: other, Signer: leads()}}, missing},
		{"what has the digest of the set", []stemma.Endorsement{{Of: set.Digest, Signer: leads()}}, missing},
		{"by nobody", []stemma.Endorsement{{Of: file}}, missing},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := set.Unsigned(c.signed); got != c.want {
				t.Errorf("missing %q, want %q", got, c.want)
			}
		})
	}
	if got := load(t, f0Policy).Unsigned(nil); got != "" {
		t.Errorf("a set that asks for no signature wants that of %s", got)
	}
}

// A signature is over one file. TUF calls it mix-and-match: files that are each well signed, of different versions.
func TestReg_E14_mix_and_match(t *testing.T) {
	idle := strings.Replace(f0Policy, "metadata: {name: app}", "metadata: {name: idle}", 1)
	for _, c := range []struct {
		name  string
		files []string
		want  string
	}{
		{"one file", []string{f0Policy + signedSet()}, ""},
		{"a waiver beside it, which is signed by itself", []string{f0Policy + signedSet(), waiverOf("w")}, ""},
		{"a policy that is not in force", []string{f0Policy + signedSet("spec:\n", "spec:\n  policies: [app]\n"), idle}, ""},
		{"a policy beside it", []string{f0Policy + signedSet(), idle}, `policy "idle" of a signed set stands in another file`},
		{"its only policy in another file", []string{signedSet(), f0Policy}, `policy "app" of a signed set stands in another file`},
		{"without a version", []string{f0Policy + signedSet("  version: 3\n", "")}, "without a version"},
		{"by nobody that it knows", []string{f0Policy + signedSet("signedBy: [leads]", "signedBy: [lead]")}, `no signer named "lead"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var files []File
			for i, text := range c.files {
				files = append(files, File{Name: string(rune('a'+i)) + ".yaml", Data: []byte(text)})
			}
			_, err := Load(files...)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
