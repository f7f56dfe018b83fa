package oci

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

const (
	someBundle    = `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{},"dsseEnvelope":{}}`
	someEnvelope  = `{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[]}`
	someStatement = `{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x"}`
)

func TestReadEvidenceFile(t *testing.T) {
	type raw struct {
		Format stemma.Format
		Place  string
		Data   string
	}
	for name, c := range map[string]struct {
		in   string
		want []raw
	}{
		"bundle":              {someBundle + "\n", []raw{{stemma.FormatBundle, "file f", someBundle}}},
		"bundle, indented":    {"{\n \"verificationMaterial\": {}\n}\n", []raw{{stemma.FormatBundle, "file f", "{\n \"verificationMaterial\": {}\n}"}}},
		"bundle of a version": {`{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=99"}`, []raw{{stemma.FormatBundle, "file f", `{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=99"}`}}},
		"envelope":            {someEnvelope, []raw{{stemma.FormatDSSE, "file f", someEnvelope}}},
		"statement":           {someStatement, []raw{{stemma.FormatStatement, "file f", someStatement}}},
		"lines": {
			someBundle + "\r\n\n" + someEnvelope + "\n" + someStatement,
			[]raw{{stemma.FormatBundle, "file f line 1", someBundle}, {stemma.FormatDSSE, "file f line 3", someEnvelope}, {stemma.FormatStatement, "file f line 4", someStatement}},
		},
	} {
		raws, rejected := ReadEvidenceFile("f", []byte(c.in))
		if len(rejected) > 0 {
			t.Errorf("%s: %v", name, rejected)
		}
		var got []raw
		for _, r := range raws {
			if r.Of != "" || r.Sealed || r.Annotations != nil {
				t.Errorf("%s: %+v", name, r)
			}
			got = append(got, raw{r.Format, r.Place, string(r.Data)})
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestReadEvidenceFileRefused(t *testing.T) {
	for name, c := range map[string]struct {
		in     string
		good   int
		reason stemma.Reason
		detail string
	}{
		"empty":             {"\n", 0, stemma.ReasonMalformed, "empty"},
		"text":              {"hello", 0, stemma.ReasonUnsupported, "not JSON"},
		"PEM":               {"-----BEGIN CERTIFICATE-----\n", 0, stemma.ReasonUnsupported, "PEM"},
		"gzip":              {"\x1f\x8b\x08", 0, stemma.ReasonUnsupported, "compressed"},
		"truncated":         {someBundle[:len(someBundle)-1], 0, stemma.ReasonMalformed, "expected"},
		"number":            {"7", 0, stemma.ReasonMalformed, "expected an object"},
		"trusted root":      {`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[]}`, 0, stemma.ReasonUnsupported, "--trusted-root"},
		"cosign v2 bundle":  {`{"base64Signature":"","cert":"","rekorBundle":{}}`, 0, stemma.ReasonUnsupported, "cosign"},
		"predicate":         {`{"buildDefinition":{},"runDetails":{}}`, 0, stemma.ReasonUnsupported, "predicate"},
		"SBOM":              {`{"bomFormat":"CycloneDX"}`, 0, stemma.ReasonUnsupported, "SBOM"},
		"something":         {`{"a":1}`, 0, stemma.ReasonUnsupported, "no Sigstore bundle"},
		"other case":        {`{"_Type":"x","PredicateType":"y"}`, 0, stemma.ReasonUnsupported, "no Sigstore bundle"},
		"one line is junk":  {someBundle + "\n{junk\n" + someEnvelope, 2, stemma.ReasonMalformed, "member name"},
		"one line is cut":   {someBundle + "\n" + someEnvelope[:20], 1, stemma.ReasonMalformed, "unterminated"},
		"257 lines":         {strings.Repeat(someBundle+"\n", 257), 256, stemma.ReasonLimit, "257 lines, of which 256"},
		"J01 in a bundle":   {`{"mediaType":"a","mediaType":"b","verificationMaterial":{}}`, 0, stemma.ReasonMalformed, "duplicate name"},
		"J05 depth":         {`{"verificationMaterial":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}", 0, stemma.ReasonLimit, "nested deeper"},
		"J07 byte order":    {"\xef\xbb\xbf" + someBundle, 0, stemma.ReasonMalformed, "byte-order mark"},
		"J07 UTF-8":         {`{"verificationMaterial":"` + "\xff" + `"}`, 0, stemma.ReasonMalformed, "invalid UTF-8"},
		"J07 lone":          {`{"verificationMaterial":"\ud800"}`, 0, stemma.ReasonMalformed, "lone surrogate"},
		"J08 same line":     {someBundle + someEnvelope, 0, stemma.ReasonMalformed, "after the document"},
		"J08 after indents": {"{\n\"verificationMaterial\":{}\n}\n" + someEnvelope, 0, stemma.ReasonMalformed, "after the document"},
	} {
		raws, rejected := ReadEvidenceFile("f", []byte(c.in))
		if len(raws) != c.good || len(rejected) != 1 || rejected[0].Reason != c.reason || !strings.Contains(rejected[0].Detail, c.detail) {
			t.Errorf("%s: %d pieces, rejected %+v\nwant %d and %s: %s", name, len(raws), rejected, c.good, c.reason, c.detail)
		}
	}
}

// An envelope as gcloud writes it, in the alphabet of URLs, and as DSSE prescribes; an attestation of PyPI, and its bundle.
const (
	gcloudEnvelope   = `{"payload":"eyI_IjoiPn5-In0=","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"k","sig":"-_-_"}]}`
	standardOfGcloud = `{"payload":"eyI/IjoiPn5+In0=","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"k","sig":"+/+/"}]}`
	somePyPI         = `{"version":1,"verification_material":{"certificate":"AAAA","transparency_entries":[{"logIndex":"7"}]},"envelope":{"statement":"e30=","signature":"AAAB"}}`
	bundleOfSomePyPI = `{"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAB"}]},"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"AAAA"},"tlogEntries":[{"logIndex":"7"}]}}`
)

func gcloudDocument(envelopes ...string) string {
	return `{"image_summary":{"digest":"x"},"provenance_summary":{"provenance":[{"kind":"BUILD","envelope":` + strings.Join(envelopes, `},{"envelope":`) + `}]}}`
}

// What other tools write around evidence is opened, and what in it is none is said entry by entry.
func TestEvidenceInContainers(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string // place, format and data
		not  []string // place, reason and a part of the detail
	}{
		"array": {"[" + someBundle + "," + someEnvelope + "]", []string{"file f element 1 sigstore-bundle " + someBundle, "file f element 2 dsse " + someEnvelope}, nil},
		"array with what is none": {
			"[null, 7, [" + someBundle + `], {"attestations":[]}, {"spdxVersion":""}, ` + someStatement + "]",
			[]string{"file f element 6 in-toto-statement " + someStatement},
			[]string{"file f element 1 malformed it is empty", "file f element 2 malformed expected an object", "file f element 3 unsupported a list in a list", "file f element 4 unsupported a list in a list", "file f element 5 unsupported a bare SBOM"},
		},
		"array of none": {"[]", nil, []string{"file f unsupported none in it"}},
		"GitHub": {
			`{"attestations":[{"bundle":` + someBundle + `,"repository_id":1,"bundle_url":"https://x.example/1.json.sn"},{"bundle":null,"bundle_url":"https://x.example/2"},{"bundle":"` + "x" + `"},{},null,7]}`,
			[]string{"file f attestation 1 sigstore-bundle " + someBundle},
			[]string{"file f attestation 2 unsupported which is not followed", "file f attestation 3 unsupported without a bundle", "file f attestation 4 unsupported without a bundle", "file f attestation 5 malformed empty", "file f attestation 6 malformed expected an object"},
		},
		"npm":                    {`{"attestations":[{"predicateType":"https://slsa.dev/provenance/v1","bundle":` + someBundle + `}]}`, []string{"file f attestation 1 sigstore-bundle " + someBundle}, nil},
		"list of nothing":        {`{"attestations":[]}`, nil, []string{"file f unsupported none in it"}},
		"list that is null":      {`{"attestations":null}`, nil, []string{"file f unsupported none in it"}},
		"list that is an object": {`{"attestations":{"bundle":` + someBundle + `}}`, nil, []string{"file f malformed expected an array"}},
		"gcloud":                 {gcloudDocument(gcloudEnvelope, standardOfGcloud), []string{"file f provenance 1 dsse " + standardOfGcloud, "file f provenance 2 dsse " + standardOfGcloud}, nil},
		"gcloud, one without": {
			gcloudDocument("null", gcloudEnvelope, `"x"`, strings.Replace(gcloudEnvelope, "eyI_IjoiPn5-In0=", "eyI_IjoiPn5+In0=", 1), strings.Replace(gcloudEnvelope, "-_-_", "-_-", 1), strings.Replace(gcloudEnvelope, "-_-_", "-_\\n-_", 1)),
			[]string{"file f provenance 2 dsse " + standardOfGcloud},
			[]string{"file f provenance 1 malformed there is none", "file f provenance 3 malformed there is none", "file f provenance 4 malformed two alphabets", "file f provenance 5 malformed signature 1: decoding base64", "file f provenance 6 malformed signature 1: line break"},
		},
		"gcloud, J01":        {gcloudDocument(strings.Replace(gcloudEnvelope, `"payload"`, `"payload":"","payload"`, 1)), nil, []string{"file f malformed duplicate name"}},
		"gcloud, unsigned":   {gcloudDocument(`{"payload":"e30=","payloadType":"t"}`), []string{`file f provenance 1 dsse {"payload":"e30=","payloadType":"t","signatures":[]}`}, nil},
		"gcloud, no summary": {`{"provenance_summary":{}}`, nil, []string{"file f unsupported none in it"}},
		"PyPI":               {somePyPI, []string{"file f sigstore-bundle " + bundleOfSomePyPI}, nil},
		"PyPI, integrity":    {`{"version":1,"attestation_bundles":[{"publisher":{},"attestations":[` + somePyPI + `]},{"attestations":[` + somePyPI + "," + someBundle + `]}]}`, []string{"file f attestation 1 sigstore-bundle " + bundleOfSomePyPI, "file f attestation 2 sigstore-bundle " + bundleOfSomePyPI, "file f attestation 3 sigstore-bundle " + someBundle}, nil},
		"PyPI, version 2":    {strings.Replace(somePyPI, ":1,", ":2,", 1), nil, []string{"file f malformed version 2, want 1"}},
		"PyPI, as text":      {strings.Replace(somePyPI, ":1,", `:"1",`, 1), nil, []string{"file f malformed an attestation of PyPI"}},
		"PyPI, alphabet":     {strings.Replace(somePyPI, "AAAB", "AA-B", 1), nil, []string{"file f malformed decoding base64"}},
		"PyPI, no version":   {strings.Replace(somePyPI, `"version":1,`, "", 1), nil, []string{"file f malformed version 0, want 1"}},
		"lists on lines": {
			`{"attestations":[{"bundle":` + someBundle + "}]}\n" + somePyPI + "\n[" + someEnvelope + "]",
			[]string{"file f line 1 attestation 1 sigstore-bundle " + someBundle, "file f line 2 sigstore-bundle " + bundleOfSomePyPI, "file f line 3 element 1 dsse " + someEnvelope},
			nil,
		},
	} {
		raws, rejected := ReadEvidenceFile("f", []byte(c.in))
		var got []string
		for _, r := range raws {
			got = append(got, fmt.Sprintf("%s %s %s", r.Place, r.Format, r.Data))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if len(rejected) != len(c.not) {
			t.Errorf("%s: %+v", name, rejected)
			continue
		}
		for i, r := range rejected {
			head := fmt.Sprintf("%s %s ", r.Place, r.Reason)
			part, ok := strings.CutPrefix(c.not[i], head)
			if !ok || !strings.Contains(r.Detail, part) {
				t.Errorf("%s: got %s%s, want %s", name, head, r.Detail, c.not[i])
			}
		}
	}
}

func TestReadEvidenceFileBounded(t *testing.T) {
	data := bytes.Repeat([]byte(" "), maxEvidence+1)
	copy(data, someBundle)
	raws, rejected := ReadEvidenceFile("f", data)
	if len(raws) > 0 || len(rejected) != 1 || rejected[0].Reason != stemma.ReasonLimit {
		t.Errorf("%d %+v", len(raws), rejected)
	}
	if raws, rejected = ReadEvidenceFile("f", data[:maxEvidence]); len(raws) != 1 || len(rejected) != 0 {
		t.Errorf("%d %+v", len(raws), rejected)
	}
	// Lines cost what they hold, not what it takes to remember where they are.
	lines := bytes.Repeat([]byte("\n"), maxEvidence)
	if n := testing.AllocsPerRun(1, func() { ReadEvidenceFile("f", lines) }); n > 100 {
		t.Errorf("%v allocations for a file of empty lines", n)
	}
}

func FuzzEvidenceFile(f *testing.F) {
	for _, s := range []string{someBundle, someEnvelope + "\n" + someStatement, "{}\n{}", "[", "\xef\xbb\xbf{}", someBundle + "\n{", "[" + someBundle + ",7]", `{"attestations":[{"bundle":` + someBundle + `}]}`, gcloudDocument(gcloudEnvelope), somePyPI, `{"attestation_bundles":[{"attestations":[` + somePyPI + `]}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		raws, rejected := ReadEvidenceFile("f", data)
		if len(raws)+len(rejected) == 0 {
			t.Fatal("something must be said of every file")
		}
		for _, r := range raws {
			// Never evidence that is not one strict document, standing in the file as it is, and filed under nothing.
			// But for what is written in another form on purpose.
			if stemma.CheckJSON(r.Data) != nil || r.Of != "" || r.Sealed || r.Annotations != nil {
				t.Fatalf("accepted %+v", r)
			}
			if !bytes.Contains(data, r.Data) && !bytes.Contains(data, []byte("provenance_summary")) && !bytes.Contains(data, []byte("verification_material")) && !bytes.Contains(data, []byte(`\u`)) {
				t.Fatalf("made up %s", r.Data)
			}
		}
		if len(raws) > maxPieces {
			t.Fatalf("%d pieces", len(raws))
		}
	})
}
