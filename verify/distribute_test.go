package verify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

// shop is where policy sets are published: a world with a registry that takes pushes, and whoever signs sets.
type shop struct {
	testing.TB
	*stemmatest.World
	hub   *stemmatest.Registry
	key   *stemmatest.Signer // release: signs sets
	leads *stemmatest.Signer // approve waivers
}

func newShop(t testing.TB) *shop {
	w := must[*stemmatest.World](t)(stemmatest.NewWorld(stemmatest.Config{}))
	key := must[*stemmatest.Signer](t)
	s := &shop{
		TB: t, World: w, hub: stemmatest.NewRegistry("hub.example"),
		key: key(stemmatest.NewKey(stemmatest.ECDSAP256, "release-2026")), leads: key(stemmatest.NewKey(stemmatest.ECDSAP256, "leads-2026")),
	}
	s.hub.Writable = true
	w.Network[s.hub.Host] = s.hub
	return s
}

// set is a set that release signs, by a key or as a workflow, with the policy that allows the world's image.
func (s *shop) set(changes ...string) string {
	text := fmt.Sprintf(`apiVersion: policy.stemma.dev/v1alpha1
kind: PolicySet
metadata: {name: acme}
spec:
  version: 7
  signedBy: [release]
  waivers: {approvedBy: [leads]}
  trust:
    - name: acme-keys
      requires: {log: none, timestamp: none, sct: none}
      time: none
      keys: [{name: release-2026, pem: %q}, {name: leads-2026, pem: %q}]
  signers:
    release: {trust: acme-keys, keys: [release-2026]}
    leads: {trust: acme-keys, keys: [leads-2026]}
---
`, s.key.PublicKeyPEM(), s.leads.PublicKeyPEM()) + trusting
	for i := 0; i < len(changes); i += 2 {
		text = in(text, changes[i], changes[i+1])
	}
	return text
}

// sign is a signature over a text, by a key or by whoever is issued a certificate.
func (s *shop) sign(text string, by stemmatest.Sign) []byte {
	s.Helper()
	if by.With != nil && by.Entry == "" {
		by.Entry, by.NoTimestamp = stemmatest.NotLogged, true
	}
	return must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(by, []byte(text))).Bundle()
}

func (s *shop) byKey() stemmatest.Sign { return stemmatest.Sign{With: s.key} }

func (s *shop) config(files ...policy.File) verify.Config {
	s.Helper()
	c := verify.Config{
		Network: verify.Network{Transport: s.Transport(), Sleep: atOnce}, Roots: map[string][]byte{policy.PublicGood: s.Sigstore.TrustedRoot()},
		Clock: func() time.Time { return s.Now },
	}
	var documents []policy.File
	for _, f := range files {
		if strings.HasSuffix(f.Name, ".sigstore.json") {
			c.Signatures = append(c.Signatures, f)
		} else {
			documents = append(documents, f)
		}
	}
	if len(documents) > 0 {
		c.Policies = must[*policy.Set](s)(policy.Load(documents...))
	}
	return c
}

func file(name, text string) policy.File { return policy.File{Name: name, Data: []byte(text)} }

func beside(name string, bundle []byte) policy.File {
	return policy.File{Name: name + ".sigstore.json", Data: bundle}
}

// push puts files into the registry as they are, whatever a careful client would say, and returns the reference.
func (s *shop) push(files ...policy.File) string {
	s.Helper()
	type object = map[string]any
	s.hub.PutBlob("acme/policy", "", []byte("{}"))
	layers := []object{}
	for _, f := range files {
		mediaType := "application/vnd.stemma.policy.v1+yaml"
		if strings.HasSuffix(f.Name, ".sigstore.json") {
			mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"
		}
		if kind, name, ok := strings.Cut(f.Name, "|"); ok {
			mediaType, f.Name = kind, name
		}
		d := s.hub.PutBlob("acme/policy", mediaType, f.Data)
		layers = append(layers, object{"mediaType": mediaType, "digest": d.Digest, "size": d.Size, "annotations": object{"org.opencontainers.image.title": f.Name}})
	}
	const manifest = "application/vnd.oci.image.manifest.v1+json"
	data := must[[]byte](s)(json.Marshal(object{
		"schemaVersion": 2, "mediaType": manifest, "artifactType": "application/vnd.stemma.policy.set.v1", "layers": layers,
		"config": object{"mediaType": "application/vnd.oci.empty.v1+json", "digest": stemma.SHA256([]byte("{}")), "size": 2},
	}))
	return "oci://hub.example/acme/policy@" + string(s.hub.PutManifest("acme/policy", manifest, data, "stable").Digest)
}

// wants compares an error with the text that it must have, and its kind.
func wants(t testing.TB, err error, want string) {
	t.Helper()
	var e *verify.Error
	var p policy.Errors
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want an error with %q", err, want)
	case want != "" && !errors.As(err, &e) && !errors.As(err, &p):
		t.Errorf("%v is of type %T", err, err)
	}
}

// A set that says by whom it is signed, and is not, judges nothing. Only a signature over its file is one.
func TestReg_E14_signed_by(t *testing.T) {
	s := newShop(t)
	text := s.set()
	keyless := s.set("release: {trust: acme-keys, keys: [release-2026]}", "release: {github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: [\"refs/tags/v1.*\"], caller: {ownerID: \"9001000\"}}}")
	shared := strings.Replace(keyless, ", caller: {ownerID: \"9001000\"}", "", 1)
	stranger := s.Build
	stranger.Repository, stranger.OwnerID, stranger.RepositoryID = "evil/app", "666", "667"
	fork := s.Build
	fork.Builder, fork.BuilderSHA = "mallory/builders/.github/workflows/build.yml@refs/tags/v1.2.3", ""
	other := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "release-2026"))
	statement := must[*stemmatest.Signed](t)(s.Sigstore.Attest(stemmatest.Sign{With: s.key, Entry: stemmatest.NotLogged, NoTimestamp: true},
		(&stemmatest.Statement{Subject: []stemma.ResourceDescriptor{stemmatest.Subject("set.yaml", stemma.SHA256([]byte(text)))}, PredicateType: "https://spdx.dev/Document"}).JSON()))
	for _, c := range []struct {
		name  string
		files []policy.File
		want  string
	}{
		{"by its key", []policy.File{file("set.yaml", text), beside("set.yaml", s.sign(text, s.byKey()))}, ""},
		{"by its workflow, as cosign sign-blob signs", []policy.File{file("set.yaml", keyless), beside("set.yaml", s.sign(keyless, stemmatest.Sign{As: s.Build}))}, ""},
		{"by its workflow, called by a stranger", []policy.File{file("set.yaml", keyless), beside("set.yaml", s.sign(keyless, stemmatest.Sign{As: stranger}))}, "no signature beside its file"},
		{"by a shared workflow, of which nothing says who may call it", []policy.File{file("set.yaml", shared), beside("set.yaml", s.sign(shared, stemmatest.Sign{As: s.Build}))}, "no signature beside its file"},
		{"by the workflow of a fork", []policy.File{file("set.yaml", keyless), beside("set.yaml", s.sign(keyless, stemmatest.Sign{As: fork}))}, "no signature beside its file"},
		{"by a stranger's key of that name", []policy.File{file("set.yaml", text), beside("set.yaml", s.sign(text, stemmatest.Sign{With: other}))}, "no signature beside its file"},
		{"by whoever approves waivers", []policy.File{file("set.yaml", text), beside("set.yaml", s.sign(text, stemmatest.Sign{With: s.leads}))}, "no signature beside its file"},
		{"unsigned", []policy.File{file("set.yaml", text)}, "no signature beside its file"},
		{"signed before a change", []policy.File{file("set.yaml", text+"\n"), beside("set.yaml", s.sign(text, s.byKey()))}, "no signature beside its file"},
		{"a statement about it", []policy.File{file("set.yaml", text), beside("set.yaml", statement.Bundle())}, "no signature beside its file"},
		{"the signature of something else", []policy.File{file("set.yaml", text), beside("set.yaml", s.sign("x", s.byKey()))}, "no signature beside its file"},
		{"no signature at all in the file", []policy.File{file("set.yaml", text), beside("set.yaml", []byte("{}"))}, "no signature beside its file"},
		{"two signatures, one a line", []policy.File{file("set.yaml", text), beside("set.yaml", append(append(s.sign(text, stemmatest.Sign{With: other}), '\n'), s.sign(text, s.byKey())...))}, ""},
		{"a set that asks for none", []policy.File{file("set.yaml", s.set("  signedBy: [release]\n", ""))}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := verify.New(t.Context(), s.config(c.files...))
			wants(t, err, c.want)
		})
	}
	c := s.config(file("set.yaml", keyless), beside("set.yaml", s.sign(keyless, stemmatest.Sign{As: s.Build})))
	c.Roots = map[string][]byte{"github": s.Sigstore.TrustedRoot()}
	var e *verify.Error
	if _, err := verify.New(t.Context(), c); !errors.As(err, &e) || e.Kind != verify.Unreachable {
		t.Errorf("without the trust domain that it is signed under: %v; nothing is known to be wrong with it", err)
	}
}

// Keys that sign the message itself, or a longer hash of it, sign files as well.
func TestEndorsementsOfAllKeys(t *testing.T) {
	for _, a := range []stemmatest.Algorithm{stemmatest.ECDSAP384, stemmatest.ECDSAP521, stemmatest.Ed25519, stemmatest.RSA2048} {
		s := newShop(t)
		s.key = must[*stemmatest.Signer](t)(stemmatest.NewKey(a, "release-2026"))
		text := s.set()
		if _, err := verify.New(t.Context(), s.config(file("set.yaml", text), beside("set.yaml", s.sign(text, s.byKey())))); err != nil {
			t.Errorf("%s: %v", a, err)
		}
		_, err := verify.New(t.Context(), s.config(file("set.yaml", text+" "), beside("set.yaml", s.sign(text, s.byKey()))))
		wants(t, err, "no signature beside its file")
	}
}

// conforma SC-2, EC-2014: a bundle by a tag that changes between two looks, a digest that does not match, an http:// that
// was taken for a file.
func TestReg_E14_references(t *testing.T) {
	s := newShop(t)
	text := s.set()
	first := s.push(file("set.yaml", text), beside("set.yaml", s.sign(text, s.byKey())))
	digest := first[strings.Index(first, "@"):]
	for _, c := range []struct {
		reference string
		want      string
	}{
		{first, ""},
		{"oci://hub.example/acme/policy:stable" + digest, ""},
		{"oci://hub.example/acme/policy:stable", "names no digest"},
		{"oci://hub.example/acme/policy", "names no digest"},
		{"oci://hub.example/acme/policy" + digest[:20], "digest"},
		{"oci://hub.example/acme/policy" + strings.ToUpper(digest), "digest"},
		{"oci://hub.example/acme/policy@" + string(s.Image.Digest()), "404"},
		{"oci://ghcr.io/acme/app@" + string(s.Image.Digest()), `want application/vnd.stemma.policy.set.v1`},
		{"oci://acme/policy" + digest, "at which registry"},
		{"oci://policy" + digest, "at which registry"},
		{"oci://oci:policy" + digest, "one scheme"},
		{"oci://https://hub.example/acme/policy" + digest, "not an image reference"},
		{"oci://", "not an image reference"},
		{"hub.example/acme/policy" + digest, "not the reference"},
	} {
		_, err := verify.FetchPolicies(t.Context(), s.config(), c.reference)
		t.Run(c.reference, func(t *testing.T) { wants(t, err, c.want) })
	}
	for arg, want := range map[string]string{
		"policy.yaml": "file", "policies/": "file", "./oci:x.yaml": "file", "/http://x": "file", "a:b.yaml": "file", "oci.yaml": "file",
		first: "published", "oci://x": "published",
		"Http://hub.example/acme/policy": "error", "http://x/y": "error", "https://x/y": "error", "oci:hub.example/acme/policy": "error",
		"OCI://hub.example/acme/policy": "error", "oci:/hub.example/x": "error", "git+https://x/y": "error", "docker://x/y": "error", "file:///etc/policy.yaml": "error",
	} {
		published, err := verify.IsPolicyReference(arg)
		got := map[bool]string{true: "published", false: "file"}[published]
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q is taken for %s, want %s", arg, got, want)
		}
	}
	// A registry that serves another set under the digest.
	evil := s.set("version: 7", "version: 8")
	s.hub.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		_, _ = w.Write([]byte(evil))
		return true
	}
	_, err := verify.FetchPolicies(t.Context(), s.config(), first)
	wants(t, err, "digest")
}

// The names of files come from whoever can push, and become names on a disk.
func TestReg_E14_names(t *testing.T) {
	s := newShop(t)
	text := s.set()
	good := []policy.File{file("set.yaml", text), beside("set.yaml", s.sign(text, s.byKey()))}
	for _, c := range []struct {
		name string
		want string
	}{
		{"more.yaml", ""},
		{"more-2.0_b.yml", ""},
		{"../more.yaml", "no name of a file of policies"},
		{"a/more.yaml", "no name of a file of policies"},
		{`a\more.yaml`, "no name of a file of policies"},
		{"/etc/more.yaml", "no name of a file of policies"},
		{".more.yaml", "no name of a file of policies"},
		{"-more.yaml", "no name of a file of policies"},
		{".yaml", "no name of a file of policies"},
		{"more.yaml ", "no name of a file of policies"},
		{"more\x00.yaml", "no name of a file of policies"},
		{"more\n.yaml", "no name of a file of policies"},
		{"mоre.yaml", "no name of a file of policies"}, // a Cyrillic о
		{"more.sh", "no name of a file of policies"},
		{"more.yaml.sh", "no name of a file of policies"},
		{"more.YAML", "no name of a file of policies"},
		{strings.Repeat("m", 128) + ".yaml", "no name of a file of policies"},
		{"SET.yaml", "two files are called"},
		{"set.yaml", "two of its files are called"},
		{"more.yaml.sigstore.json", "the signature of a file that is not in it"},
		{"application/vnd.dev.sigstore.bundle.v0.3+json|more.yaml", "by its name of another"},
		{"application/vnd.stemma.policy.v1+yaml|set.yml.sigstore.json", "by its name of another"},
		{"application/octet-stream|more.yaml", "which is not known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := verify.FetchPolicies(t.Context(), s.config(), s.push(append(good, file(c.name, "---\n"))...))
			wants(t, err, c.want)
			if c.want == "" && (len(p.Files) != 2 || len(p.Signatures) != 1) {
				t.Errorf("%d files, %d signatures", len(p.Files), len(p.Signatures))
			}
		})
	}
}

// Whoever can push, and signs nothing, puts neither a set of their own nor an older one in the place of the current one.
func TestReg_E14_succession(t *testing.T) {
	s := newShop(t)
	stranger := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "release-2026"))
	waiver := "apiVersion: policy.stemma.dev/v1alpha1\nkind: Waiver\nmetadata: {name: w}\nspec: {policy: services, rules: [source.ref], images: [ghcr.io/acme/app], reason: r, owner: o, approvedBy: leads, from: 2026-06-01, until: 2026-06-30}\n"
	signed := func(text string) []policy.File {
		return []policy.File{file("set.yaml", text), beside("set.yaml", s.sign(text, s.byKey()))}
	}
	by := func(text string, key *stemmatest.Signer) []policy.File {
		return []policy.File{file("set.yaml", text), beside("set.yaml", s.sign(text, stemmatest.Sign{With: key}))}
	}
	next := s.set("version: 7", "version: 8")
	mine := in(next, string(s.pem(s.key)), string(s.pem(stranger)))
	for _, c := range []struct {
		name    string
		current []policy.File
		next    []policy.File
		tag     bool // the reference is a tag
		want    string
	}{
		{"a higher version, signed", signed(s.set()), signed(next), true, ""},
		{"the same once more", signed(s.set()), signed(s.set()), true, ""},
		{"with a waiver, signed", signed(s.set()), append(signed(s.set()), file("w.yaml", waiver), beside("w.yaml", s.sign(waiver, s.byKey()))), true, ""},
		{"with a waiver, unsigned", signed(s.set()), append(signed(next), file("w.yaml", waiver)), true, "w.yaml is not signed by release"},
		{"unsigned", signed(s.set()), []policy.File{file("set.yaml", next)}, true, "set.yaml is not signed by release"},
		{"signed by whoever approves waivers", signed(s.set()), by(next, s.leads), true, "set.yaml is not signed by release"},
		{"with a waiver, signed by its approver alone", signed(s.set()), append(signed(next), file("w.yaml", waiver), beside("w.yaml", s.sign(waiver, stemmatest.Sign{With: s.leads}))), true, "w.yaml is not signed by release"},
		{"signed by a stranger", signed(s.set()), by(next, stranger), true, "set.yaml is not signed by release"},
		{"signed by the stranger whom it names", signed(s.set()), by(mine, stranger), true, "set.yaml is not signed by release"},
		{"by digest, signed by the stranger whom it names", signed(s.set()), by(mine, stranger), false, "set.yaml is not signed by release"},
		{"an older one", signed(s.set()), signed(s.set("version: 7", "version: 6")), true, "it has version 6, and the current set has 7"},
		{"an older one, by digest", signed(s.set()), signed(s.set("version: 7", "version: 6")), false, "it has version 6"},
		{"the same version, and another content", signed(s.set()), signed(s.set("maxAge: 365d", "maxAge: 366d")), true, "says something else"},
		{"the set of another place", signed(s.set()), signed(s.set("{name: acme}", "{name: acme-test}", "version: 7", "version: 9")), true, "it is the set acme-test"},
		{"one that does not load", signed(s.set()), signed(s.set("version: 7", "versoin: 8")), true, "versoin"},
		{"after a set that is not signed as it says", []policy.File{file("set.yaml", s.set())}, signed(next), true, "no signature beside its file"},
		{"after a set that names no signers, by tag", []policy.File{file("set.yaml", s.set("  signedBy: [release]\n", ""))}, signed(next), true, "says nothing of who may sign its successors"},
		{"after a set that names no signers, by digest", []policy.File{file("set.yaml", s.set("  signedBy: [release]\n", ""))}, signed(next), false, ""},
		{"the first, by tag", nil, signed(next), true, "no current set"},
		{"the first, by digest", nil, signed(next), false, ""},
		{"the first, by digest, not signed as it says", nil, []policy.File{file("set.yaml", next)}, false, "no signature beside its file"},
		{"signers that step down", signed(s.set()), signed(in(next, "  signedBy: [release]\n", "")), true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			reference := s.push(c.next...)
			if c.tag {
				reference = "oci://hub.example/acme/policy:stable"
			}
			p, set, err := verify.PullPolicies(t.Context(), s.config(c.current...), reference)
			wants(t, err, c.want)
			if (err == nil) != (p != nil && set != nil) && err == nil {
				t.Error("neither a set nor an error")
			}
		})
	}
}

func (s *shop) pem(key *stemmatest.Signer) []byte {
	quoted := fmt.Sprintf("%q", key.PublicKeyPEM())
	return []byte(quoted)
}

// What is published comes back as it was, and what is not signed as it says is not published.
func TestPushPolicies(t *testing.T) {
	s := newShop(t)
	text := s.set()
	signature := beside("set.yaml", s.sign(text, s.byKey()))
	c := s.config(file("set.yaml", text), signature)
	var first string
	for range 2 {
		reference, tagged, err := verify.PushPolicies(t.Context(), c, "oci://hub.example/acme/policy:v7", []policy.File{file("set.yaml", text)}, []policy.File{signature})
		check(t, err)
		if first != "" && reference != first || !tagged {
			t.Errorf("%s, then %s", first, reference)
		}
		first = reference
	}
	p := must[*verify.Published](t)(verify.FetchPolicies(t.Context(), s.config(), first))
	set := must[*policy.Set](t)(p.Load())
	if p.Reference != first || set.Digest != c.Policies.Digest || string(p.Files[0].Data) != text || string(p.Signatures[0].Data) != string(signature.Data) {
		t.Errorf("%s with %s came back as %s with %s", first, c.Policies.Digest, p.Reference, set.Digest)
	}
	for _, bad := range []struct {
		name      string
		config    verify.Config
		reference string
		file      string
		want      string
	}{
		{"unsigned", s.config(file("set.yaml", text)), "oci://hub.example/acme/policy:v8", "set.yaml", "no signature beside its file"},
		{"a name that leads elsewhere", c, "oci://hub.example/acme/policy:v8", "../set.yaml", "no name of a file"},
		{"the name of a signature", c, "oci://hub.example/acme/policy:v8", "set.yaml.sigstore.json", "the name of a signature"},
		{"no policy", s.config(), "oci://hub.example/acme/policy:v8", "set.yaml", "no policy"},
		{"to a digest", c, first, "set.yaml", "a push goes to a repository"},
		{"to an image reference", c, "hub.example/acme/policy:v8", "set.yaml", "not the reference"},
		{"to a registry that takes nothing", c, "oci://ghcr.io/acme/policy:v8", "set.yaml", "405"},
	} {
		t.Run(bad.name, func(t *testing.T) {
			reference, _, err := verify.PushPolicies(t.Context(), bad.config, bad.reference, []policy.File{file(bad.file, text)}, nil)
			wants(t, err, bad.want)
			if _, _, err := s.hub.Manifest("acme/policy", "v8"); reference != "" || err == nil {
				t.Error("it was pushed")
			}
		})
	}
}
