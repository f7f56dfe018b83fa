package verify_test

import (
	"net/http"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

// smuggle lists a further image of linux/amd64, which nobody has attested, in the index, described as told. Both
// others are attested; so is the further one if it is told to be.
func smuggle(attested bool, described func(d, first *v1.Descriptor)) func(s *stage) {
	return func(s *stage) {
		s.Helper()
		evil := must[*stemmatest.Image](s)(s.Registry.PutImage(stemmatest.ImageSpec{Repository: stemmatest.Repository, Single: true, Content: "evil"}))
		first := s.image.Children[0]
		d := evil.Descriptor
		described(&d, &first)
		s.image = must[*stemmatest.Image](s)(reindex(s.image, "v2.0.1", func(children []v1.Descriptor) []v1.Descriptor {
			children[0] = first
			return append([]v1.Descriptor{d}, children...)
		}))
		for i := range s.image.Children {
			if i > 0 || attested {
				s.attachChild(i, s.aboutChild(i, stemmatest.Vary{}))
			}
		}
	}
}

// described gives the further image a platform, "" for none, and may mark it as an attestation manifest about the first.
func described(platform string, mark bool) func(d, first *v1.Descriptor) {
	return func(d, first *v1.Descriptor) {
		if os, architecture, ok := strings.Cut(platform, "/"); ok {
			d.Platform = &v1.Platform{OS: os, Architecture: architecture}
		}
		if mark {
			d.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": string(first.Digest)}
		}
	}
}

// An index cannot hide an image that a node would run from whoever verifies it: neither by the mark of an attestation
// manifest, nor by another spelling of its platform, nor by keeping back what says its platform.
func TestReg_B14_hidden_child(t *testing.T) {
	// instead makes the further image the only one of its platform: the first is of s390x then.
	instead := func(f func(d, first *v1.Descriptor)) func(d, first *v1.Descriptor) {
		return func(d, first *v1.Descriptor) {
			f(d, first)
			first.Platform = &v1.Platform{OS: "linux", Architecture: "s390x"}
		}
	}
	keptBack := func(f func(s *stage)) func(s *stage) {
		return func(s *stage) {
			f(s)
			config := string(s.configOf(0))
			s.Registry.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/blobs/"+config) {
					return false
				}
				w.WriteHeader(http.StatusNotFound)
				return true
			}
		}
	}
	for name, mode := range map[string]string{"all": "platforms: all", "list": "platforms: [linux/amd64, linux/arm64]"} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				name     string
				platform string
				mark     bool
			}{
				{"linux amd64", "linux/amd64", false},
				{"marked", "linux/amd64", true},
				{"marked, of no platform", "", true},
				{"of an empty platform, marked", "/", true},
				{"x86_64", "linux/x86_64", false},
				{"Linux", "Linux/amd64", false},
				{"marked, x86_64", "linux/x86_64", true},
				{"no OS", "/amd64", false},
			} {
				plain := instead(described(c.platform, c.mark))
				play(
					t,
					// The image that is run has no evidence; the control's has.
					reg{name: c.name, policy: under(mode), control: smuggle(true, plain), play: smuggle(false, plain), want: fails("image.authentic", stemma.ReasonNoEvidence)},
				)
				if c.platform == "/amd64" {
					continue // it may be of any OS, and is not the same platform a second time
				}
				twice := described(c.platform, c.mark)
				play(
					t,
					// One more of a platform is one too many, however well it is attested.
					reg{name: c.name + " twice", policy: under(mode), control: smuggle(true, plain), play: smuggle(true, twice), want: fails("image.platform", stemma.ReasonPlatform)},
				)
			}
			unknown := want{verdict: stemma.Undetermined, rule: "image.platform", reason: stemma.ReasonBadAnswer}
			bare, marked := described("", false), described("", true)
			play(
				t,
				reg{name: "config kept back", policy: under(mode), control: smuggle(true, instead(bare)), play: keptBack(smuggle(true, instead(bare))), want: unknown},
				reg{name: "config kept back, beside the platform", policy: under(mode), control: smuggle(true, instead(bare)), play: keptBack(smuggle(true, bare)), want: unknown},
				reg{name: "config kept back, marked", policy: under(mode), control: smuggle(true, instead(marked)), play: keptBack(smuggle(true, marked)), want: unknown},
			)
			// What nothing runs needs no evidence, and its config is not asked for.
			buildKit := described("unknown/unknown", true)
			play(t, reg{name: "attestation manifest", policy: under(mode), control: smuggle(false, buildKit), play: keptBack(smuggle(false, buildKit)), want: want{}})
		})
	}
}
