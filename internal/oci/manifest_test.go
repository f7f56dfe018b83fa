package oci

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
)

const (
	goodManifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + digA + `","size":2},"layers":[]}`
	goodIndex    = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + digA + `","size":2}]}`
)

func parse(data string, told ...string) (*document, error) {
	return parseDocument([]byte(data), stemma.SHA256([]byte(data)), told...)
}

func TestParseDocument(t *testing.T) {
	for in, want := range map[string]string{
		goodManifest: v1.MediaTypeImageManifest,
		goodIndex:    v1.MediaTypeImageIndex,
		strings.Replace(goodManifest, `"mediaType":"application/vnd.oci.image.manifest.v1+json",`, "", 1): v1.MediaTypeImageManifest,
		strings.Replace(goodIndex, `"mediaType":"application/vnd.oci.image.index.v1+json",`, "", 1):       v1.MediaTypeImageIndex,
		strings.Replace(goodManifest, `"layers":[]`, `"layers":null`, 1):                                  v1.MediaTypeImageManifest,
	} {
		for _, told := range []string{"", want} {
			if d, err := parse(in, told); err != nil || d.mediaType != want {
				t.Errorf("%s told %q: %v", in, told, err)
			}
		}
	}
}

// One digest, one meaning: a document that two clients could take for two things is neither.
func TestReg_F04_ambiguous_manifest(t *testing.T) { // GHSA-qq97 (CVE-2021-41190), GHSA-5j5w
	for name, c := range map[string]struct{ in, told, want string }{
		"layers and manifests":   {strings.Replace(goodManifest, `"layers":[]`, `"layers":[],"manifests":[]`, 1), "", "lists manifests and layers"},
		"config and manifests":   {strings.Replace(goodIndex, `"manifests"`, `"config":{},"manifests"`, 1), "", "lists manifests and layers"},
		"index called manifest":  {strings.Replace(goodIndex, "image.index", "image.manifest", 1), "", "does not fit the media type"},
		"manifest called index":  {strings.Replace(goodManifest, "image.manifest", "image.index", 1), "", "does not fit the media type"},
		"header against body":    {goodManifest, v1.MediaTypeImageIndex, "it is called"},
		"Docker against OCI":     {goodManifest, mediaTypeDockerManifest, "it is called"},
		"unknown type":           {goodManifest, "application/json", "it is called"},
		"type of something else": {strings.Replace(goodManifest, "image.manifest", "descriptor", 1), "", "neither an image manifest nor an index"},
		"schema 1":               {`{"schemaVersion":1,"fsLayers":[]}`, "", "schemaVersion 1"},
		"nothing":                {`{"schemaVersion":2}`, "", "neither layers nor manifests"},
		"nothing, with a type":   {`{"schemaVersion":2}`, v1.MediaTypeImageManifest, "neither layers nor manifests"},
	} {
		_, err := parse(c.in, c.told)
		if err == nil || asFault(err).reason != stemma.ReasonBadAnswer || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestReg_J01_duplicate_names_in_manifest(t *testing.T) { // gitsign 44309, ToB
	for name, in := range map[string]string{
		"layers twice":    strings.Replace(goodManifest, `"layers":[]`, `"layers":[],"layers":[]`, 1),
		"config twice":    strings.Replace(goodManifest, `"config"`, `"config":{},"config"`, 1),
		"manifests twice": strings.Replace(goodIndex, `"manifests"`, `"manifests":[],"manifests"`, 1),
		"digest twice":    strings.Replace(goodIndex, `"digest"`, `"digest":"`+digA+`","digest"`, 1),
		"escaped":         strings.Replace(goodManifest, `"layers":[]`, `"layers":[],"\u006cayers":[]`, 1),
		"unknown name":    strings.Replace(goodManifest, `"layers":[]`, `"layers":[],"x":{"a":1,"a":2}`, 1),
	} {
		if _, err := parse(in); err == nil || !strings.Contains(err.Error(), "duplicate name") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestReg_J02_case_of_names_in_manifest(t *testing.T) { // ToB
	for _, in := range []string{
		strings.Replace(goodManifest, `"layers"`, `"Layers"`, 1),
		strings.Replace(goodManifest, `"layers":[]`, `"layers":[],"MANIFESTS":[]`, 1),
		strings.Replace(goodIndex, `"digest"`, `"Digest"`, 1),
	} {
		if _, err := parse(in); err == nil || !strings.Contains(err.Error(), "only in case") {
			t.Errorf("%s: got %v", in, err)
		}
	}
}

// Every field as null and as every other type, one at a time: never a panic, and never another meaning.
func TestReg_J03_J04_null_and_other_types_in_manifest(t *testing.T) { // rekor, go-tuf, kyverno panics; conforma IV-3
	full := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"a","config":{"mediaType":"c","digest":"` + digA + `","size":2,"annotations":{"a":"b"}},"layers":[{"mediaType":"application/vnd.in-toto+json","digest":"` + digA + `","size":2}],"subject":{"mediaType":"m","digest":"` + digA + `","size":3,"platform":{"os":"linux","architecture":"arm64"}},"annotations":{"a":"b"}}`
	if _, err := parse(full); err != nil {
		t.Fatal(err)
	}
	root, err := stemma.ParseJSON([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	var walk func(j *stemma.JSON)
	walk = func(j *stemma.JSON) {
		for _, k := range j.Elems() {
			walk(k)
			for _, value := range []string{"null", "7", "1.5", `"x"`, "[]", "[[]]", "{}", `{"a":{}}`, "true"} {
				in := strings.Replace(full, `"`+k.Name()+`":`+string(k.Raw()), `"`+k.Name()+`":`+value, 1)
				doc, err := parse(in)
				if err != nil {
					continue
				}
				accepted++
				_, _ = doc.isRunnable(), doc.isAttestation()
				for _, l := range doc.body.Layers {
					if l.check(maxEvidence) == nil && l.Digest != digA {
						t.Errorf("%s: layer %+v", in, l)
					}
				}
			}
		}
	}
	walk(root)
	if accepted == 0 {
		t.Error("none of the variants was accepted: the test does not replace what it means to")
	}
}

func TestReg_J05_J07_J08_manifest_encoding(t *testing.T) { // GHSA-74fp, ToB
	for name, c := range map[string]struct{ in, want string }{
		"J05 depth":          {strings.Replace(goodManifest, `"layers":[]`, `"layers":[],"x":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000), 1), "nested deeper than"},
		"J06 size":           {strings.Replace(goodManifest, `"size":2`, `"size":9223372036854775808`, 1), "integer"},
		"J06 fraction":       {strings.Replace(goodManifest, `"size":2`, `"size":2.0`, 1), "integer"},
		"J07 byte order":     {"\xef\xbb\xbf" + goodManifest, "byte-order mark"},
		"J07 UTF-8":          {strings.Replace(goodManifest, `"layers":[]`, `"layers":[],"x":"`+"\xff"+`"`, 1), "invalid UTF-8"},
		"J07 lone surrogate": {strings.Replace(goodManifest, `"layers":[]`, `"layers":[],"x":"\ud800"`, 1), "lone surrogate"},
		"J08 second":         {goodManifest + goodIndex, "after the document"},
		"J08 second line":    {goodManifest + "\n" + goodManifest, "after the document"},
		"cut":                {goodManifest[:len(goodManifest)-1], "expected"},
		"empty":              {"", "empty document"},
		"array":              {"[]", "expected an object"},
	} {
		if _, err := parse(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	var f *fault
	if _, err := parse(strings.Repeat(" ", maxManifest) + goodManifest); !errors.As(err, &f) || f.reason != stemma.ReasonTruncated {
		t.Errorf("over the limit: %v", err)
	}
}

func TestDescriptor(t *testing.T) {
	data := []byte("content")
	good := descriptor{Digest: stemma.SHA256(data), Size: int64(len(data))}
	if err := errors.Join(good.check(100), good.matches(data)); err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]descriptor{
		"other digest": {Digest: digA, Size: good.Size},
		"F03 shorter":  {Digest: good.Digest, Size: good.Size - 1},
		"F03 longer":   {Digest: good.Digest, Size: good.Size + 1},
		"no size":      {Digest: good.Digest},
	} {
		if err := d.matches(data); err == nil || asFault(err).reason != stemma.ReasonBadAnswer {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, d := range map[string]descriptor{
		"path":        {Digest: "sha256:../../../../etc/passwd"},
		"short":       {Digest: "sha256:abc"},
		"weak":        {Digest: "md5:d41d8cd98f00b204e9800998ecf8427e"},
		"none":        {},
		"negative":    {Digest: digA, Size: -1},
		"over limit":  {Digest: digA, Size: 101},
		"upper hex":   {Digest: stemma.Digest(strings.ToUpper(digA))},
		"no algoritm": {Digest: hexA},
	} {
		if err := d.check(100); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzManifest(f *testing.F) {
	for _, s := range []string{goodManifest, goodIndex, "{}", `{"schemaVersion":2,"layers":[],"manifests":[]}`, `{"schemaVersion":2,"manifests":null}`} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), v1.MediaTypeImageManifest)
	}
	f.Fuzz(func(t *testing.T, data []byte, told string) {
		doc, err := parseDocument(data, stemma.SHA256(data), told)
		if err != nil {
			if doc != nil {
				t.Fatal("a document and an error")
			}
			return
		}
		if !isIndex(doc.mediaType) && !isManifest(doc.mediaType) || told != "" && doc.mediaType != told {
			t.Fatalf("accepted as %q, told %q", doc.mediaType, told)
		}
		if doc.body.Manifests != nil && (doc.body.Layers != nil || doc.body.Config != nil) {
			t.Fatal("accepted as two things at once")
		}
		if doc.isIndex() != (doc.body.Layers == nil && doc.body.Config == nil) {
			t.Fatalf("%s and %+v", doc.mediaType, doc.body)
		}
		// Whatever an index lists, its children are among it.
		d := &discovery{manifests: maxManifestsTotal}
		n := d.add(&node{desc: doc.descriptor(), doc: doc})
		d.expand(n)
		for _, child := range n.children {
			if !strings.Contains(fmt.Sprint(doc.body.Manifests), string(child.desc.Digest)) || child.desc.check(maxManifest) != nil {
				t.Fatalf("child %s is not listed", child.desc.Digest)
			}
		}
		if len(d.nodes) > maxNodes {
			t.Fatalf("%d nodes", len(d.nodes))
		}
	})
}
