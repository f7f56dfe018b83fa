package oci

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

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
		raws, rejected, err := ReadEvidenceFile("f", strings.NewReader(c.in))
		if err != nil || len(rejected) > 0 {
			t.Errorf("%s: %v %v", name, rejected, err)
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
		"array":             {"[" + someBundle + "]", 0, stemma.ReasonUnsupported, "one on each line"},
		"number":            {"7", 0, stemma.ReasonMalformed, "expected an object"},
		"gh list":           {`{"attestations":[]}`, 0, stemma.ReasonUnsupported, ".bundle"},
		"gcloud":            {`{"image_summary":{},"provenance_summary":{}}`, 0, stemma.ReasonUnsupported, "gcloud"},
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
		raws, rejected, err := ReadEvidenceFile("f", strings.NewReader(c.in))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(raws) != c.good || len(rejected) != 1 || rejected[0].Reason != c.reason || !strings.Contains(rejected[0].Detail, c.detail) {
			t.Errorf("%s: %d pieces, rejected %+v\nwant %d and %s: %s", name, len(raws), rejected, c.good, c.reason, c.detail)
		}
	}
}

// endless is a file that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestReadEvidenceFileBounded(t *testing.T) {
	raws, rejected, err := ReadEvidenceFile("f", endless{})
	if err != nil || len(raws) > 0 || len(rejected) != 1 || rejected[0].Reason != stemma.ReasonLimit {
		t.Errorf("%d %+v %v", len(raws), rejected, err)
	}
	broken := errors.New("disk gone")
	if _, _, err := ReadEvidenceFile("f", iotest.ErrReader(broken)); !errors.Is(err, broken) || err.Error() != "reading evidence f: disk gone" {
		t.Errorf("got %v", err)
	}
}

func FuzzEvidenceFile(f *testing.F) {
	for _, s := range []string{someBundle, someEnvelope + "\n" + someStatement, "{}\n{}", "[", "\xef\xbb\xbf{}", someBundle + "\n{"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		raws, rejected, err := ReadEvidenceFile("f", bytes.NewReader(data))
		if err != nil || len(raws)+len(rejected) == 0 {
			t.Fatalf("%d pieces, %d rejected, %v: something must be said of every file", len(raws), len(rejected), err)
		}
		for _, r := range raws {
			// Never evidence that is not one strict document, standing in the file as it is, and filed under nothing.
			if stemma.CheckJSON(r.Data) != nil || !bytes.Contains(data, r.Data) || r.Of != "" || r.Sealed || r.Annotations != nil {
				t.Fatalf("accepted %+v", r)
			}
		}
		if len(raws) > maxPieces {
			t.Fatalf("%d pieces", len(raws))
		}
	})
}
