package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

//go:embed demo.yaml
var demoPolicy string

func (a *app) demoCommand() *cobra.Command {
	var into string
	c := &cobra.Command{
		Use:   "demo",
		Short: "A story in a world of its own: good and bad images, and why",
		Long: `Makes a registry, a private Sigstore instance and five images in memory, judges each by one policy and explains the
decision. No network, no files; about a second.

With --into the images are written as OCI layouts, with the trusted root that their evidence verifies under, to try every
other command on. docs/tutorial.md begins so.`,
		Example: "  stemma demo\n  stemma demo --into try",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("into") {
				return a.demoInto(into)
			}
			return a.demo(c.Context())
		},
	}
	c.Flags().StringVar(&into, "into", "", "write the images, and their trusted root, into a new directory `DIR` instead")
	return c
}

// scene is one image of the story.
type scene struct {
	title string
	tag   string
	name  string // of its layout
	tale  string
	// stage puts the image and its evidence into the registry.
	stage  func(*stemmatest.World, *stemmatest.Image) error
	expect stemma.Verdict
}

func scenes() []scene {
	attest := func(w *stemmatest.World, i *stemmatest.Image, v stemmatest.Vary) error {
		signed, err := w.Attest(i, v)
		if err == nil {
			w.Attach(i, signed)
		}
		return err
	}
	return []scene{{
		title: "The good image", tag: "v2.0.0", name: "good", expect: stemma.Allow,
		tale: "The release job of acme/app called the reusable workflow of trusted/builders, which built the image, signed its provenance and pushed both.",
	}, {
		title: "A tampered provenance", tag: "v2.0.1", name: "tampered", expect: stemma.Deny,
		tale: "Somebody pushed an image of his own, took the genuine provenance and put his digest where the real one stood.",
		stage: func(w *stemmatest.World, i *stemmatest.Image) error {
			genuine, err := w.Attest(w.Image, stemmatest.Vary{})
			if err != nil {
				return err
			}
			payload := strings.ReplaceAll(string(genuine.Envelope.Payload), w.Image.Digest().Hex(), i.Digest().Hex())
			genuine.Envelope.Payload = []byte(payload)
			w.Attach(i, genuine)
			return nil
		},
	}, {
		title: "Another artifact's provenance", tag: "v2.0.2", name: "borrowed", expect: stemma.Deny,
		tale: "This time the provenance is left as it is: genuine, signed by the right workflow, and about another image of the same repository.",
		stage: func(w *stemmatest.World, i *stemmatest.Image) error {
			w.Attach(i, w.Provenance)
			return nil
		},
	}, {
		title: "A rogue workflow", tag: "v2.0.3", name: "rogue", expect: stemma.Deny,
		tale: "Somebody with write access to acme/app added a workflow on a branch, and had it build and attest an image. Every signature is valid.",
		stage: func(w *stemmatest.World, i *stemmatest.Image) error {
			return attest(w, i, stemmatest.Vary{Build: func(g *stemmatest.GitHub) {
				g.Workflow, g.Ref = ".github/workflows/debug.yml", "refs/heads/wip"
				g.Builder = "acme/app/.github/workflows/debug.yml@refs/heads/wip"
			}})
		},
	}, {
		title: "An unsigned image", tag: "v2.0.4", name: "unsigned", expect: stemma.Deny,
		tale:  "Built on a laptop and pushed by hand. There is nothing to verify, and nothing is not a pass.",
		stage: func(*stemmatest.World, *stemmatest.Image) error { return nil },
	}}
}

func (a *app) demo(ctx context.Context) error {
	world, err := stemmatest.NewWorld(stemmatest.Config{})
	if err != nil {
		return err
	}
	set, err := policy.Load(policy.File{Name: "demo.yaml", Data: []byte(demoPolicy)})
	if err != nil {
		return err
	}
	v, err := verify.New(ctx, verify.Config{
		Policies: set, Network: verify.Network{Transport: world.Transport()},
		Roots: map[string][]byte{policy.PublicGood: world.Sigstore.TrustedRoot()},
		Clock: world.Now.UTC,
	})
	if err != nil {
		return err
	}
	p := colours(a.stdout)
	fmt.Fprintf(a.stdout, "A registry, a Sigstore instance and five images, all in memory. One policy, demo.yaml:\n\n")
	for line := range strings.Lines(demoPolicy) {
		fmt.Fprint(a.stdout, "    ", p.dim(strings.TrimRight(line, "\n")), "\n")
	}
	for n, s := range scenes() {
		fmt.Fprintf(a.stdout, "\n%s\n%s\n\n", p.bold(fmt.Sprintf("── %d. %s ", n+1, s.title)+strings.Repeat("─", 60-len(s.title))), wrap(s.tale, 100))
		if s.stage != nil {
			image, err := world.PutImage(s.tag)
			if err != nil {
				return err
			}
			if err := s.stage(world, image); err != nil {
				return err
			}
		}
		asked := "ghcr.io/acme/app:" + s.tag
		result, err := v.Verify(ctx, verify.Request{Image: asked})
		if err != nil {
			return err
		}
		a.printDecision(result.Decision, asked, "stemma inspect "+asked, false)
		if result.Decision.Verdict != s.expect {
			return fmt.Errorf("scene %d ended with %s, not %s", n+1, result.Decision.Verdict, s.expect)
		}
	}
	fmt.Fprintf(a.stdout, "\n%s\n", wrap("Only the first would have been deployed. Try your own: stemma inspect IMAGE shows what there is to require, "+
		"stemma policy explain lists the rules, and README.md has a policy to start from.", 100))
	return nil
}

// demoInto writes the images of the story as OCI layouts. Their evidence is of now.
func (a *app) demoInto(dir string) error {
	if _, err := os.Stat(dir); err == nil || dir == "" {
		return &usageError{fmt.Errorf("--into %s: it is there already", clean(dir)), "name a directory that does not exist"}
	}
	now := time.Now
	if a.clock != nil {
		now = a.clock
	}
	world, err := stemmatest.NewWorld(stemmatest.Config{Now: now()})
	if err != nil {
		return err
	}
	next := scene{
		title: "The next release", tag: "v2.1.0", name: "next",
		stage: func(w *stemmatest.World, i *stemmatest.Image) error {
			signed, err := w.Attest(i, stemmatest.Vary{Build: func(g *stemmatest.GitHub) {
				g.Ref, g.Builder = "refs/tags/v2.1.0", strings.Replace(g.Builder, "v1.2.3", "v1.3.0", 1)
			}})
			if err == nil {
				w.Attach(i, signed)
			}
			return err
		},
	}
	all := scenes()
	rows := [][]string{}
	for _, s := range slices.Concat(all[:1], []scene{next}, all[1:]) {
		image := world.Image
		if s.stage != nil {
			if image, err = world.PutImage(s.tag); err != nil {
				return err
			}
			if err := s.stage(world, image); err != nil {
				return err
			}
		}
		path := filepath.Join(dir, s.name)
		if err := image.WriteLayout(path, stemmatest.LayoutTags); err != nil {
			return &usageError{err, ""}
		}
		rows = append(rows, []string{"oci:" + clean(path), s.title})
	}
	root := filepath.Join(dir, "trusted_root.json")
	if err := written(root, world.Sigstore.TrustedRoot()); err != nil {
		return err
	}
	rows = append(rows, []string{clean(root), "the trusted root of their signatures"})
	table(a.stdout, "", rows, nil)
	return nil
}

// wrap breaks text into lines of at most width runes.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		if column > 0 && column+1+len(word) > width {
			b.WriteByte('\n')
			column = 0
		} else if column > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
