package main

import (
	"bytes"
	"context"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"stemma"
	"stemma/stemmatest"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in testdata")

// TestScripts runs testdata/*.txtar: each is a story with its exact output, and documentation.
//
// Behind them is the world of stemmatest, the same for all: registry ghcr.io with acme/app:v2.0.0 (good) and the images
// that stage makes; root.json and other-root.json, its trusted root and a stranger's; layout, the good image as an OCI
// layout. Keys are new in every run, so digests of evidence and ids of decisions are shown as <…>.
func TestScripts(t *testing.T) {
	world := stage(t)
	keys := distribution(t, world)
	other, err := stemmatest.NewSigstore(stemmatest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			// Digests of the good image and of its first platform.
			env.Setenv("INDEX", string(world.Image.Digest()))
			env.Setenv("CHILD", string(world.Image.Children[0].Digest))
			for name, data := range map[string][]byte{
				"root.json": world.Sigstore.TrustedRoot(), "other-root.json": other.TrustedRoot(), "policy.yaml": []byte(demoPolicy),
				"bundle.json": world.Provenance.Bundle(),
			} {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), data, 0o600); err != nil {
					return err
				}
			}
			for name, data := range keys {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(env.WorkDir, name)), 0o700); err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), data, 0o600); err != nil {
					return err
				}
			}
			if err := os.MkdirAll(filepath.Join(env.WorkDir, "odd"), 0o700); err != nil {
				return err
			}
			// A policy whose file name is meant for the terminal.
			if err := os.WriteFile(filepath.Join(env.WorkDir, "odd", "\x1b[2J.yaml"), []byte(demoPolicy+"  extra: 1\n"), 0o600); err != nil {
				return err
			}
			return world.Image.WriteLayout(filepath.Join(env.WorkDir, "layout"), stemmatest.LayoutTags)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// stemma ARGS runs the program; the exit code is kept for exit.
			"stemma": func(ts *testscript.TestScript, _ bool, args []string) {
				stdout, stderr, code := execute(world.Transport(), world.Now, expand(ts, args)...)
				ts.Setenv("CODE", strconv.Itoa(code))
				_, _ = ts.Stdout().Write(scrub(stdout))
				_, _ = ts.Stderr().Write(scrub(stderr))
			},
			// pinned NAME DIR sets NAME to the digest that a set in a directory has when it is published.
			"pinned": func(ts *testscript.TestScript, _ bool, args []string) {
				stdout, stderr, _ := execute(world.Transport(), world.Now, "policy", "push", ts.MkAbs(args[1]), "oci://hub.example/acme/policy:pinned", "--trusted-root", ts.MkAbs("root.json"))
				_, digest, ok := strings.Cut(strings.TrimSpace(string(stdout)), "@")
				if !ok {
					ts.Fatalf("%s", stderr)
				}
				ts.Setenv(args[0], digest)
			},
			// exit N checks the exit code of the last stemma.
			"exit": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) != 1 || ts.Getenv("CODE") != args[0] {
					ts.Fatalf("exit code %s, want %v", ts.Getenv("CODE"), args)
				}
			},
		},
	})
}

func expand(ts *testscript.TestScript, args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if name, ok := bytes.CutPrefix([]byte(a), []byte("oci:")); ok {
			out[i] = "oci:" + ts.MkAbs(string(name))
			continue
		}
		if _, err := os.Stat(ts.MkAbs(a)); err == nil {
			out[i] = ts.MkAbs(a)
			continue
		}
		out[i] = a
	}
	return out
}

// execute runs the program in this process.
func execute(transport http.RoundTripper, now time.Time, args ...string) (stdout, stderr []byte, code int) {
	var o, e bytes.Buffer
	a := &app{stdout: &o, stderr: &e, transport: transport, clock: func() time.Time { return now }}
	a.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	code = a.run(context.Background(), args)
	return o.Bytes(), e.Bytes(), code
}

// scrub replaces what differs between runs: digests of evidence, which new keys sign, and ids made from them.
func scrub(b []byte) []byte {
	for pattern, with := range map[string]string{
		`decision [a-z2-7]{26}`: "decision <id>",
		`(bundle v?[0-9.]+|SBOM [A-Za-z]+ [0-9.]+|cosign [a-z]+|provenance|rejected|dsse|statement|bundle) sha256:[0-9a-f]{12}…`: "$1 <bundle>",
		`(verified under \S+) sha256:[0-9a-f]{12}…`: "$1 <root>",
		`/[^\s]*/script-[^/\s]+/`:                   "$$WORK/",
		`entry \d+`:                                 "entry <n>",
		`with key [0-9a-f]{40}`:                     "with key <id>",
		// Of the scripts about signed sets: what holds a new key, or a signature, has a new digest.
		`(acme/policy|set acme)@sha256:[0-9a-f]+`: "$1@<digest>",
		`(set version \d+,) sha256:[0-9a-f]{12}…`: "$1 <digest>",
	} {
		b = regexp.MustCompile(pattern).ReplaceAll(b, []byte(with))
	}
	return b
}

// stage makes the world of the scripts: the scenes of the demo under their tags.
func stage(t *testing.T) *stemmatest.World {
	t.Helper()
	world, err := stemmatest.NewWorld(stemmatest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenes() {
		if s.stage == nil {
			continue
		}
		image, err := world.PutImage(s.tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.stage(world, image); err != nil {
			t.Fatal(err)
		}
	}
	// A registry that asks to wait whenever it is asked for evidence.
	flaky := stemmatest.NewRegistry("flaky.example")
	if _, err := flaky.PutImage(stemmatest.ImageSpec{Repository: "acme/app", Tags: []string{"v1"}, Content: "app"}); err != nil {
		t.Fatal(err)
	}
	flaky.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			return false
		}
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	world.Network["flaky.example"] = flaky
	world.Network["hub.corp.example"], world.Network["auth.corp.example"] = private(t)
	// Images of builders that state nothing, and leave something in the image itself.
	base := stemma.SHA256([]byte("base"))
	for _, spec := range []stemmatest.ImageSpec{
		{Repository: "acme/ko", Annotations: stemmatest.KoAnnotations("https://github.com/acme/app", stemmatest.Commit("app"), base)},
		{Repository: "acme/pack", Labels: stemmatest.BuildpackLabels("https://github.com/acme/app", stemmatest.Commit("app"), base), Single: true},
	} {
		spec.Tags, spec.Content = []string{"v1"}, spec.Repository
		if _, err := world.Registry.PutImage(spec); err != nil {
			t.Fatal(err)
		}
	}
	destinations(world)
	places(t, world)
	standing(t, world)
	family(t, world)
	broken(t, world)
	services(t, world)
	return world
}
