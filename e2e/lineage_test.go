//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stemma"
	"stemma/stemmatest"
)

// rules are the policies: of the images, and of their bases, each by its own job.
func (w *world) rules(base string) string {
	builder := func(id string) string {
		return fmt.Sprintf(`{job: {github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: ["refs/tags/v1.*"], caller: {repositoryID: %s}}}}`, id)
	}
	return w.file(fmt.Sprintf("policy-%d.yaml", len(base)), fmt.Sprintf(`apiVersion: policy.stemma.dev/v1alpha1
kind: PolicySet
metadata: {name: acme}
spec: {platforms: ["linux/amd64"], derived: [rebased]}
---
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: apps}
spec:
  match: {images: ["%[1]s/acme/app*"]}
  builders: %[2]s
  provenance: {by: [job]}
  base: %[4]s
---
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: bases}
spec:
  match: {images: ["%[1]s/acme/base*", "%[1]s/acme/mid*", "%[1]s/acme/found*"]}
  builders: %[3]s
  provenance: {by: [job]}
`, w.host, builder("700100202"), builder("700100201"), base))
}

// twin is a variation of a chain, and what must come out.
type twin struct {
	name    string
	image   string // repository:tag
	args    []string
	verdict stemma.Verdict
	rule    string // that is not met
	reason  stemma.Reason
	chain   string // "": not compared
}

func (w *world) twins(policy string, twins []twin) {
	for _, x := range twins {
		w.Run(x.name, func(t *testing.T) {
			inner := *w
			inner.T = t
			d := inner.decision(x.image, policy, x.args...)
			var unmet []string
			met := x.rule == ""
			for _, f := range d.Findings {
				if f.Outcome != stemma.Pass {
					unmet = append(unmet, fmt.Sprintf("%s %s %s: %s; %s %q", f.Outcome, f.Rule, f.Reason, f.Got, f.Detail, f.Items))
				}
				met = met || f.Rule == x.rule && f.Reason == x.reason && f.Outcome != stemma.Pass
			}
			if d.Verdict != x.verdict || !met {
				t.Errorf("%s, want %s by %s for %s:\n%s", d.Verdict, x.verdict, x.rule, x.reason, strings.Join(unmet, "\n"))
			}
			if got := inner.chain(x.image, policy, x.args...); x.chain != "" && got != x.chain {
				t.Errorf("the chain is\n%swant\n%s", got, x.chain)
			}
		})
	}
}

// TestBuildKit: a base and an image on it, as BuildKit builds them, with its own account of its steps, signed by the job of each;
// and seven twins.
func TestBuildKit(t *testing.T) {
	w := newWorld(t)
	shell, err := os.ReadFile("/bin/busybox")
	w.must(err)
	base := "FROM scratch\nCOPY busybox /bin/sh\nCOPY release /etc/release\nENV PATH=/bin\n"
	w.buildKit("base:v1", base, map[string]string{"busybox": string(shell), "release": "1"}, "linux/amd64,linux/arm64")
	w.buildKit("base:v2", base, map[string]string{"busybox": string(shell), "release": "2"}, "linux/amd64,linux/arm64")
	app := "FROM " + w.host + "/acme/base:v1\nCOPY app /app\nRUN echo built > /built\n"
	w.buildKit("app:v1", app, map[string]string{"app": "app"}, "")
	sign := func(repository, reference, architecture string) descriptor {
		of := w.platform(repository, reference, architecture)
		w.attest(repository, w.job(repository), of, w.statement(repository, reference, of.Digest))
		return of
	}
	under, newer := sign("base", "v1", "amd64"), sign("base", "v2", "amd64")
	good := sign("app", "v1", "amd64")
	statement := string(w.statement("app", "v1", good.Digest))
	named := w.manifest("base", "v1")
	index := stemma.SHA256(named.raw)
	if !strings.Contains(statement, strings.TrimPrefix(string(index), "sha256:")) {
		t.Fatal("the provenance does not name the base")
	}
	// lie is the statement with other digests in it, of a manifest.
	lie := func(repository, reference string, pairs ...string) {
		of := w.platform(repository, reference, "amd64")
		w.attest(repository, w.job(repository), of, []byte(strings.NewReplacer(append(pairs, hex(good.Digest), hex(of.Digest))...).Replace(statement)))
	}

	// Each twin in a repository of its own, as the fallback tag of a manifest holds one piece.
	copyTo := func(repository string) {
		w.run("skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+w.host+"/acme/app@"+string(good.Digest), "docker://"+w.host+"/acme/"+repository)
	}
	w.buildKit("app-other:v1", "FROM scratch\nCOPY other /other\n", map[string]string{"other": "other"}, "")
	other := stemma.SHA256(w.manifest("app-other", "v1").raw)
	copyTo("app-wrong:v1")
	lie("app-wrong", "v1", hex(index), hex(other), "/acme/base:v1", "/acme/app-other:v1")
	copyTo("app-platform:v1")
	lie("app-platform", "v1", hex(index), hex(w.platform("base", "v1", "arm64").Digest))
	w.anew("app", good, "app-anew")
	lie("app-anew", "v1")
	w.squash("app", good, "app-squashed")
	lie("app-squashed", "v1")
	w.rebase("app", good, under, newer, "base", "app-rebased")
	w.buildKit("base-unsigned:v1", base, map[string]string{"busybox": string(shell), "release": "3"}, "linux/amd64")
	w.buildKit("app-unsigned:v1", strings.Replace(app, "base:v1", "base-unsigned:v1", 1), map[string]string{"app": "app"}, "")
	sign("app-unsigned", "v1", "amd64")

	whole := edge(stemma.BaseProven, under, 2, "blob-identical") + end(stemma.BaseScratch)
	policy := w.rules("{proof: proven, policy: bases, endsAt: [scratch]}")
	w.twins(policy, []twin{
		{name: "good", image: "app:v1", verdict: stemma.Allow, chain: whole},
		{name: "wrong base digest", image: "app-wrong:v1", verdict: stemma.Deny, rule: "base.proven", reason: stemma.ReasonBaseMismatch},
		{name: "other platform's base", image: "app-platform:v1", verdict: stemma.Deny, rule: "base.proven", reason: stemma.ReasonPlatform},
		{name: "compressed anew", image: "app-anew:v1", verdict: stemma.Allow, chain: edge(stemma.BaseProven, under, 2, "diffid-recomputed") + end(stemma.BaseScratch)},
		{name: "squashed", image: "app-squashed:v1", verdict: stemma.Deny, rule: "base.proven", reason: stemma.ReasonBaseMismatch},
		{name: "rebased", image: "app-rebased:v1", verdict: stemma.Deny, rule: "provenance.present", reason: stemma.ReasonNoProvenance},
		{name: "base unsigned", image: "app-unsigned:v1", verdict: stemma.Deny, rule: "base.policy", reason: stemma.ReasonBasePolicy},
	})
	// What is recomputed from the original: proven by layers, as nobody states the new base.
	layers := w.rules("{proof: layers, policy: bases,  endsAt: [scratch]}")
	w.twins(layers, []twin{{
		name: "rebased from what is attested", image: "app-rebased:v1", verdict: stemma.Allow,
		args:  []string{"--rebased-from", w.host + "/acme/app@" + string(good.Digest), "--base", w.host + "/acme/base@" + string(newer.Digest)},
		chain: edge(stemma.BaseLayers, newer, 2, "blob-identical") + end(stemma.BaseScratch),
	}})
}

// TestBuildah: a chain of three by buildah, which annotates each with a digest that no registry has; found by their layers among
// known images; and seven twins.
func TestBuildah(t *testing.T) {
	w := newWorld(t)
	shell, err := os.ReadFile("/bin/busybox")
	w.must(err)
	storage := []string{"--root", filepath.Join(w.dir, "containers"), "--runroot", filepath.Join(w.dir, "run"), "--storage-driver", "vfs"}
	buildah := func(args ...string) { w.run("buildah", append(slices.Clone(storage), args...)...) }
	build := func(repository, from, file, text string, options ...string) descriptor {
		dir := filepath.Join("buildah", repository)
		w.file(filepath.Join(dir, "Containerfile"), "FROM "+from+"\nCOPY "+file+" /"+file+"\n")
		w.file(filepath.Join(dir, file), text)
		local := "localhost/" + repository
		buildah(append(append([]string{"build", "--layers", "-q", "-t", local}, options...), filepath.Join(w.dir, dir))...)
		buildah("push", "--tls-verify=false", "-q", local, "docker://"+w.host+"/acme/"+repository+":v1")
		return w.platform(repository, "v1", "amd64")
	}
	sign := func(repository string, of descriptor) {
		subject := stemma.ResourceDescriptor{Name: repository, Digest: map[string]string{"sha256": hex(of.Digest)}}
		w.attest(repository, w.job(repository), of, stemmatest.ActionsAttest(w.job(repository), subject).JSON())
	}
	signed := func(repository, from, file, text string, options ...string) descriptor {
		of := build(repository, from, file, text, options...)
		sign(repository, of)
		return of
	}
	found := signed("found", "scratch", "sh", string(shell))
	mid := signed("mid", "localhost/found", "mid", "mid")
	newer := signed("mid-newer", "localhost/found", "mid", "newer")
	good := signed("app", "localhost/mid", "app", "app")
	annotate := func(repository, base string, digest stemma.Digest) {
		m := w.manifest("app", "v1")
		m.Annotations = map[string]string{"org.opencontainers.image.base.name": w.host + "/acme/" + base, "org.opencontainers.image.base.digest": string(digest)}
		config, ids := w.config("app", m)
		for _, l := range m.Layers {
			w.putBlob(repository, l.MediaType, w.blob("app", l.Digest))
		}
		w.put(repository, m, config, m.Layers, ids)
		sign(repository, w.platform(repository, "v1", "amd64"))
	}
	annotate("app-wrong", "found:v1", found.Digest)
	w.buildKit("found-multi:v1", "FROM scratch\nCOPY x /x\n", map[string]string{"x": "x"}, "linux/amd64,linux/arm64")
	annotate("app-platform", "found-multi:v1", w.platform("found-multi", "v1", "arm64").Digest)
	w.anew("app", good, "app-anew")
	sign("app-anew", w.platform("app-anew", "v1", "amd64"))
	buildah("build", "--squash", "-q", "-t", "localhost/app-squashed", filepath.Join(w.dir, "buildah", "app"))
	buildah("push", "--tls-verify=false", "-q", "localhost/app-squashed", "docker://"+w.host+"/acme/app-squashed:v1")
	w.squash("app", good, "app-squashed-all")
	sign("app-squashed-all", w.platform("app-squashed-all", "v1", "amd64"))
	w.rebase("app", good, mid, newer, "mid-newer", "app-rebased")
	build("mid-unsigned", "localhost/found", "mid", "unsigned")
	signed("app-unsigned", "localhost/mid-unsigned", "app", "app")

	store := []string{"--store", w.stored}
	w.run(w.stemma, append([]string{"base", "add", "--plain-http", w.host, "--allow-private", "127.0.0.1", "--cache-dir", "", w.host + "/acme/found:v1", w.host + "/acme/mid:*", w.host + "/acme/mid-newer:v1", w.host + "/acme/mid-unsigned:v1"}, store...)...)
	policy := w.rules(fmt.Sprintf(`{proof: layers, policy: bases, foundations: [{image: "%s/acme/found", digests: ["%s"], owner: platform, reason: reviewed, until: 2099-12-31}]}`, w.host, found.Digest))
	below := edge(stemma.BaseLayers, found, 1, "blob-identical")
	foot := func(first string) string { return first + below }
	whole := foot(edge(stemma.BaseLayers, mid, 2, "blob-identical"))
	twins := []twin{
		{name: "good", image: "app:v1", verdict: stemma.Allow, chain: whole},
		{name: "an annotation of the grandparent", image: "app-wrong:v1", verdict: stemma.Allow, chain: whole},
		{name: "an annotation of another platform's", image: "app-platform:v1", verdict: stemma.Allow, chain: whole},
		{name: "compressed anew", image: "app-anew:v1", verdict: stemma.Allow, chain: foot(edge(stemma.BaseLayers, mid, 2, "diffid-recomputed"))},
		{name: "squashed", image: "app-squashed-all:v1", verdict: stemma.Undetermined, rule: "base.proven", reason: stemma.ReasonForbidden}, // buildah names it localhost/mid
		{name: "rebased", image: "app-rebased:v1", verdict: stemma.Deny, rule: "provenance.present", reason: stemma.ReasonNoProvenance},
		{name: "rebased from what is attested", image: "app-rebased:v1", verdict: stemma.Allow, args: []string{"--rebased-from", w.host + "/acme/app@" + string(good.Digest)}, chain: foot(edge(stemma.BaseLayers, newer, 2, "blob-identical"))},
		{name: "base unsigned", image: "app-unsigned:v1", verdict: stemma.Deny, rule: "base.policy", reason: stemma.ReasonBasePolicy},
	}
	for i := range twins {
		twins[i].args = append(twins[i].args, store...)
		if twins[i].chain != "" {
			twins[i].chain += w.bottom(found)
		}
	}
	w.twins(policy, twins)
	on := w.run(w.stemma, append([]string{"base", "on", string(found.Digest), "-o", "json"}, store...)...)
	for _, repository := range []string{"app", "app-wrong", "app-anew", "app-rebased", "mid"} {
		if !strings.Contains(on, `"`+w.host+"/acme/"+repository+`"`) {
			t.Errorf("%s is not listed as standing on the foundation: %s", repository, on)
		}
	}
}

// bottom is what buildah's own annotations make of an image from scratch: nothing, or the digest of an image that nobody has.
func (w *world) bottom(of descriptor) string {
	w.Helper()
	if d := w.manifest("found", string(of.Digest)).Annotations["org.opencontainers.image.base.digest"]; d != "" {
		return fmt.Sprintf("%s %s 0 \n", stemma.BaseClaimed, stemma.Digest(d).Short())
	}
	return end(stemma.BaseUnknown)
}

func hex(d stemma.Digest) string { return strings.TrimPrefix(string(d), "sha256:") }

// config is a config as it stands, with its layers.
func (w *world) config(repository string, m manifest) (whole map[string]any, diffIDs []string) {
	w.Helper()
	data := w.blob(repository, m.Config.Digest)
	w.must(json.Unmarshal(data, &whole))
	for _, id := range whole["rootfs"].(map[string]any)["diff_ids"].([]any) {
		diffIDs = append(diffIDs, id.(string))
	}
	return whole, diffIDs
}

// anew has skopeo compress the layers of an image with zstd.
func (w *world) anew(repository string, of descriptor, to string) {
	w.Helper()
	plain, anew := "dir:"+filepath.Join(w.dir, "plain-"+to), "dir:"+filepath.Join(w.dir, "anew-"+to)
	w.run("skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-decompress", "docker://"+w.host+"/acme/"+repository+"@"+string(of.Digest), plain)
	w.run("skopeo", "copy", "-q", "--dest-compress", "--dest-compress-format", "zstd", plain, anew)
	// It would find that the registry has these layers in another compression, and leave them so: the files are pushed as they are.
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(strings.TrimPrefix(anew, "dir:"), name))
		w.must(err)
		return data
	}
	var m manifest
	data := read("manifest.json")
	w.must(json.Unmarshal(data, &m))
	for _, d := range append(m.Layers, m.Config) {
		w.putBlob(to, d.MediaType, read(hex(d.Digest)))
	}
	w.putManifest(to, "v1", m.MediaType, data)
	for _, l := range w.manifest(to, "v1").Layers {
		if slices.ContainsFunc(w.manifest(repository, string(of.Digest)).Layers, func(o descriptor) bool { return o.Digest == l.Digest }) {
			w.Fatal("skopeo compressed nothing anew")
		}
	}
}

// squash puts all files of an image into one layer, and keeps its annotations.
func (w *world) squash(repository string, of descriptor, to string) {
	w.Helper()
	m := w.manifest(repository, string(of.Digest))
	config, _ := w.config(repository, m)
	var plain bytes.Buffer
	out := tar.NewWriter(&plain)
	for _, l := range m.Layers {
		z, err := gzip.NewReader(bytes.NewReader(w.blob(repository, l.Digest)))
		w.must(err)
		in := tar.NewReader(z)
		for {
			h, err := in.Next()
			if err == io.EOF {
				break
			}
			w.must(err)
			w.must(out.WriteHeader(h))
			_, err = io.Copy(out, in)
			w.must(err)
		}
	}
	w.must(out.Close())
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(plain.Bytes())
	w.must(err)
	w.must(z.Close())
	layer := w.putBlob(to, m.Layers[0].MediaType, packed.Bytes())
	w.put(to, m, config, []descriptor{layer}, []string{string(stemma.SHA256(plain.Bytes()))})
}

// rebase puts the layers of an image above its base onto another, as crane rebase does: nobody attests what comes out.
func (w *world) rebase(repository string, of, old, newer descriptor, bases, to string) {
	w.Helper()
	m := w.manifest(repository, string(of.Digest))
	config, ids := w.config(repository, m)
	oldRepository := "base"
	if bases != "base" {
		oldRepository = "mid"
	}
	below := len(w.manifest(oldRepository, string(old.Digest)).Layers)
	n := w.manifest(bases, string(newer.Digest))
	_, newIDs := w.config(bases, n)
	layers := append(slices.Clone(n.Layers), m.Layers[below:]...)
	for i, l := range layers {
		from := bases
		if i >= len(n.Layers) {
			from = repository
		}
		w.putBlob(to, l.MediaType, w.blob(from, l.Digest))
	}
	m.Annotations = nil
	w.put(to, m, config, layers, append(newIDs, ids[below:]...))
}

// put puts an image with other layers.
func (w *world) put(repository string, m manifest, config map[string]any, layers []descriptor, diffIDs []string) {
	w.Helper()
	config["rootfs"] = map[string]any{"type": "layers", "diff_ids": diffIDs}
	delete(config, "history")
	data, err := json.Marshal(config)
	w.must(err)
	c := w.putBlob(repository, m.Config.MediaType, data)
	value := map[string]any{"schemaVersion": 2, "mediaType": m.MediaType, "config": c, "layers": layers}
	if m.Annotations != nil {
		value["annotations"] = m.Annotations
	}
	w.putManifest(repository, "v1", m.MediaType, value)
}
