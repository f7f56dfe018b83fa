package sigstore

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"stemma"
	"stemma/stemmatest"
)

// textual spoils the text of a bundle that verifies.
func textual(t *testing.T, cases map[string]func(string) string, want stemma.Reason) {
	t.Helper()
	w := newWorld(t)
	a := authenticator(t, w.domain(t))
	raw := bundleOf(w.attest(t, stemmatest.Sign{}, nil))
	wantAccepted(t, a, raw, w.image)
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) {
			text := cases[name](string(raw.Data))
			if text == string(raw.Data) {
				t.Fatal("nothing was changed")
			}
			wantRejected(t, a, stemma.Raw{Format: stemma.FormatBundle, Data: []byte(text)}, w.image, want)
		})
	}
}

func swap(old, new string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, new, 1) }
}

// statements signs changed statements, and wants each refused for the reason.
func statements(t *testing.T, cases map[string]func(string) string, want stemma.Reason) {
	t.Helper()
	w := newWorld(t)
	a := authenticator(t, w.domain(t))
	good := string(w.statement().JSON())
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run("statement/"+name, func(t *testing.T) {
			text := cases[name](good)
			if text == good {
				t.Fatal("nothing was changed")
			}
			wantRejected(t, a, bundleOf(w.attest(t, stemmatest.Sign{}, []byte(text))), w.image, want)
		})
	}
}

// J01 [gitsign#44309]: no name twice, at any depth.
func TestReg_J01_duplicate_names(t *testing.T) {
	textual(t, map[string]func(string) string{
		"mediaType":                     swap(`{"`, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","`),
		"envelope":                      swap(`"dsseEnvelope":`, `"dsseEnvelope":{},"dsseEnvelope":`),
		"payload":                       swap(`"payload":`, `"payload":"e30=","payload":`),
		"escaped":                       swap(`"payload":`, `"\u0070ayload":"e30=","payload":`),
		"in a log entry":                swap(`"logIndex":`, `"logIndex":"1","logIndex":`),
		"in a member that is not known": swap(`{"`, `{"x":{"a":1,"a":2},"`),
	}, stemma.ReasonMalformed)
	statements(t, map[string]func(string) string{
		"subject":       swap(`"subject":`, `"subject":[],"subject":`),
		"predicateType": swap(`"predicateType":`, `"predicateType":"x","predicateType":`),
		"in predicate":  swap(`"buildType":`, `"buildType":"x","buildType":`),
		"digest":        swap(`"sha256":`, `"sha256":"x","sha256":`),
	}, stemma.ReasonMalformed)
}

// J02, J10 [client specification]: names in another case, in snake_case, enums as numbers.
func TestReg_J02_names(t *testing.T) {
	textual(t, map[string]func(string) string{
		"DsseEnvelope alone":       swap(`"dsseEnvelope"`, `"DsseEnvelope"`),
		"beside the right one":     swap(`"dsseEnvelope":`, `"DSSEENVELOPE":{},"dsseEnvelope":`),
		"J10 dsse_envelope":        swap(`"dsseEnvelope"`, `"dsse_envelope"`),
		"J10 beside the right":     swap(`"dsseEnvelope":`, `"dsse_envelope":{},"dsseEnvelope":`),
		"J10 raw_bytes":            swap(`"rawBytes"`, `"raw_bytes"`),
		"J10 tlog_entries":         swap(`"tlogEntries"`, `"tlog_entries"`),
		"a name that is not known": swap(`{"`, `{"note":"","`),
	}, stemma.ReasonMalformed)
	statements(t, map[string]func(string) string{
		"Subject alone":         swap(`"subject"`, `"Subject"`),
		"SUBJECT beside":        swap(`"subject":`, `"SUBJECT":[],"subject":`),
		"predicatetype":         swap(`"predicateType"`, `"predicatetype"`),
		"predicate_type alone":  swap(`"predicateType"`, `"predicate_type"`),
		"type without its dash": swap(`"_type"`, `"type"`),
	}, stemma.ReasonMalformed)
	w := newWorld(t)
	x := must[*stemmatest.Signed](t)(w.SignMessage(stemmatest.Sign{As: w.job}, w.image.Content))
	text := strings.Replace(string(x.Bundle()), `"SHA2_256"`, `1`, 1)
	wantRejected(t, authenticator(t, w.domain(t)), stemma.Raw{Format: stemma.FormatBundle, Data: []byte(text)}, w.image, stemma.ReasonMalformed)
}

// each yields every variant of a document in which one value is replaced by another.
func each(t *testing.T, data []byte, with []any, yield func(where string, variant []byte)) {
	t.Helper()
	var doc any
	check(t, json.Unmarshal(data, &doc))
	emit := func(where string) {
		b, err := json.Marshal(doc)
		check(t, err)
		yield(where, b)
	}
	var walk func(where string, v any, set func(any))
	walk = func(where string, v any, set func(any)) {
		for _, r := range with {
			if fmt.Sprint(r) == fmt.Sprint(v) {
				continue
			}
			set(r)
			emit(fmt.Sprintf("%s = %v", where, r))
			set(v)
		}
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(where+"/"+k, v[k], func(r any) { v[k] = r })
			}
		case []any:
			for i := range v {
				walk(fmt.Sprintf("%s/%d", where, i), v[i], func(r any) { v[i] = r })
			}
		}
	}
	walk("", doc, func(r any) { doc = r })
}

// J03 [rekor, go-tuf, kyverno panics], J04 [conforma IV-3]: every field null, and of every other type. What is still
// accepted must say the same; some fields are neither needed nor signed.
func TestReg_J03_null_and_types(t *testing.T) {
	with := []any{nil, 1.5, "x", []any{}, map[string]any{}, true}
	var accepted, refused int
	judge := func(a *Authenticator, want *stemma.Attestation, raw stemma.Raw, art Artifact, where string) {
		att, rej := a.Authenticate(raw, art)
		if (att == nil) == (rej == nil) {
			t.Fatalf("%s: both or neither result", where)
		}
		if rej != nil {
			refused++
			if strings.Contains(rej.Detail, "panicked") {
				t.Errorf("%s: %s", where, rej.Detail)
			}
			return
		}
		accepted++
		same(t, want, att)
	}
	w := newWorld(t)
	a := authenticator(t, w.domain(t))
	for _, kind := range []stemmatest.EntryKind{stemmatest.EntryDSSE001, stemmatest.EntryHashedRekord002} {
		raw := bundleOf(w.attest(t, stemmatest.Sign{Entry: kind}, nil))
		want := wantAccepted(t, a, raw, w.image)
		each(t, raw.Data, with, func(where string, variant []byte) {
			judge(a, want, stemma.Raw{Format: stemma.FormatBundle, Data: variant}, w.image, where)
		})
	}
	x := w.attest(t, stemmatest.Sign{MediaType: stemmatest.MediaTypeDSSE, Entry: stemmatest.EntryInToto001}, nil)
	layer := attLayer(t, x)
	want := wantAccepted(t, a, layer, w.image)
	each(t, []byte(layer.Annotations[annotationBundle]), with, func(where string, variant []byte) {
		raw := layer
		raw.Annotations = maps.Clone(layer.Annotations)
		raw.Annotations[annotationBundle] = string(variant)
		judge(a, want, raw, w.image, where)
	})
	// The body of a log entry, logged as it is then.
	body := x.Entries[0].Body
	each(t, body, with, func(where string, variant []byte) {
		y := *x
		e, err := w.Rekor.AppendBody(stemmatest.EntryInToto001, variant, w.Now)
		check(t, err)
		y.Entries = []*stemmatest.Entry{e}
		judge(a, want, attLayer(t, &y), w.image, "body "+where)
	})
	if accepted > refused/10 || refused < 500 {
		t.Errorf("%d variants accepted, %d refused", accepted, refused)
	}
	t.Logf("%d variants refused, %d accepted that say the same", refused, accepted)
}

// J03, J04 for what is signed: the statement.
func TestReg_J04_statement(t *testing.T) {
	w := newWorld(t)
	a := authenticator(t, w.domain(t, logTime))
	key := w.attest(t, stemmatest.Sign{}, nil).Signer
	required := []string{"", "/_type", "/predicateType", "/subject", "/subject/0", "/subject/0/digest", "/subject/0/digest/sha256"}
	each(t, w.statement().JSON(), []any{nil, 1.5, "x", []any{}, map[string]any{}, true}, func(where string, variant []byte) {
		at, _, _ := strings.Cut(where, " ")
		if !slices.Contains(required, at) {
			return
		}
		x := w.attest(t, stemmatest.Sign{With: key, NoTimestamp: true}, variant)
		if att, _ := a.Authenticate(bundleOf(x), w.image); att != nil && where != "/predicateType = x" {
			t.Errorf("%s: accepted", where)
		}
	})
}

// J05 [GHSA-74fp], J06 [structpb], J07, J08
func TestReg_J05_json_bounds(t *testing.T) {
	nested := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	statements(t, map[string]func(string) string{"J05 nested": swap(`"predicate":`, `"x":`+nested+`,"predicate":`)}, stemma.ReasonLimit)
	textual(t, map[string]func(string) string{"J05 nested": swap(`{"`, `{"x":`+nested+`,"`)}, stemma.ReasonLimit)
	index := func(value string) func(string) string {
		return func(s string) string {
			i := strings.Index(s, `"logIndex":"`) + len(`"logIndex":`)
			end := i + 1 + strings.Index(s[i+1:], `"`) + 1
			return s[:i] + value + s[end:]
		}
	}
	textual(t, map[string]func(string) string{
		"J06 1e400": index("1e400"), "J06 2^63": index(`"9223372036854775808"`), "J06 -0": index("-0"), "J06 -1": index(`"-1"`),
		"J06 fraction": index("1.0"), "J06 hex": index(`"0x10"`), "J06 leading zero": index(`"007"`), "J06 plus": index(`"+7"`), "J06 empty": index(`""`),
		"J07 byte-order mark": func(s string) string { return "\ufeff" + s },
		"J07 NUL":             func(s string) string { return s + "\x00" },
		"J07 invalid UTF-8":   swap(`"mediaType":"`, "\"\xff\":\"\",\"mediaType\":\""),
		"J07 lone surrogate":  swap(`{"`, `{"\ud800":1,"`),
		"J08 second document": func(s string) string { return s + "\n" + s },
		"J08 trailing comma":  func(s string) string { return strings.TrimSuffix(s, "}") + ",}" },
		"cut":                 func(s string) string { return s[:len(s)/2] },
	}, stemma.ReasonMalformed)
	statements(t, map[string]func(string) string{
		"J07 byte-order mark": func(s string) string { return "\ufeff" + s },
		"J08 second document": func(s string) string { return s + "{}" },
		"J06 number":          swap(`"predicate":`, `"x":01,"predicate":`),
	}, stemma.ReasonMalformed)
}

// J09 [dsse b64Decode]: one spelling of base64, so that what is hashed and what is decoded is one thing.
func TestReg_J09_base64(t *testing.T) {
	payload := func(edit func(string) string) func(string) string {
		return func(s string) string {
			i := strings.Index(s, `"payload":"`) + len(`"payload":"`)
			end := i + strings.Index(s[i:], `"`)
			return s[:i] + edit(s[i:end]) + s[end:]
		}
	}
	textual(t, map[string]func(string) string{
		"url-safe": payload(func(s string) string {
			b, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				t.Fatal(err)
			}
			return "_" + base64.URLEncoding.EncodeToString(b)[1:]
		}),
		"no padding":    payload(func(s string) string { return strings.TrimRight(s+"=", "=") + "A" }),
		"line break":    payload(func(s string) string { return s[:76] + `\n` + s[76:] }),
		"space":         payload(func(s string) string { return s + " " }),
		"trailing bits": swap(`"checkpoint"`, `"rootHash":"AB==","checkpoint"`),
		"more padding":  payload(func(s string) string { return s + "====" }),
	}, stemma.ReasonMalformed)
}

// J17 [conformance bundle-unknown-version]
func TestReg_J17_version(t *testing.T) {
	mediaType := func(s string) func(string) string { return swap(stemmatest.MediaTypeV03, s) }
	textual(t, map[string]func(string) string{
		"v0.4":        mediaType("application/vnd.dev.sigstore.bundle.v0.4+json"),
		"99.9":        mediaType("application/vnd.dev.sigstore.bundle+json;version=99.9"),
		"v0.3.1":      mediaType("application/vnd.dev.sigstore.bundle.v0.3.1+json"),
		"v0.2 dotted": mediaType("application/vnd.dev.sigstore.bundle.v0.2+json"),
		"empty":       mediaType(""),
		"missing":     swap(`"mediaType":"`+stemmatest.MediaTypeV03+`",`, ""),
		"space":       mediaType("application/vnd.dev.sigstore.bundle+json; version=0.3"),
		"other case":  mediaType("Application/vnd.dev.sigstore.bundle.v0.3+json"),
	}, stemma.ReasonUnsupported)
	// What each version prescribes is asked of that version, and not of another.
	regressions(t,
		spoiled{name: "v0.1 without promise", sign: stemmatest.Sign{MediaType: stemmatest.MediaTypeV01}, want: stemma.ReasonLogInvalid, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Entries[0].SET = nil }},
		spoiled{name: "v0.1 without proof", sign: stemmatest.Sign{MediaType: stemmatest.MediaTypeV01}, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Entries[0].Proof = nil }},
		spoiled{name: "v0.2 without proof", sign: stemmatest.Sign{MediaType: stemmatest.MediaTypeV02}, want: stemma.ReasonLogInvalid, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Entries[0].Proof = nil }},
		spoiled{name: "v0.2 without promise", sign: stemmatest.Sign{MediaType: stemmatest.MediaTypeV02}, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Entries[0].SET = nil }},
	)
}

// The bounds of one bundle.
func TestLimits(t *testing.T) {
	repeat := func(n int) func(*testing.T, *world, *stemmatest.Signed) {
		return func(_ *testing.T, _ *world, x *stemmatest.Signed) {
			for len(x.Timestamps) < n {
				x.Timestamps = append(x.Timestamps, x.Timestamps[0])
			}
		}
	}
	entries := func(n int) func(*testing.T, *world, *stemmatest.Signed) {
		return func(t *testing.T, w *world, x *stemmatest.Signed) {
			for len(x.Entries) < n {
				check(t, x.Log(w.Rekor, stemmatest.EntryDSSE001, w.Now))
			}
		}
	}
	regressions(t,
		spoiled{name: "16 timestamps", edit: repeat(16)},
		spoiled{name: "17 timestamps", edit: repeat(17), want: stemma.ReasonLimit},
		spoiled{name: "16 entries", edit: entries(16)},
		spoiled{name: "17 entries", edit: entries(17), want: stemma.ReasonLimit},
		spoiled{name: "large timestamp", want: stemma.ReasonLimit, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) {
			x.Timestamps[0] = append(x.Timestamps[0], make([]byte, maxToken)...)
		}},
		spoiled{name: "long proof", want: stemma.ReasonLimit, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) {
			x.Entries[0].Proof.Hashes = make([][]byte, maxProof+1)
		}},
		spoiled{name: "long checkpoint", want: stemma.ReasonLimit, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) {
			x.Entries[0].Proof.Checkpoint += strings.Repeat("x", maxCheckpoint)
		}},
	)
	w := newWorld(t)
	a := authenticator(t, w.domain(t))
	raw := attLayer(t, w.attest(t, stemmatest.Sign{MediaType: stemmatest.MediaTypeDSSE}, nil))
	raw.Annotations["note"] = strings.Repeat("x", maxAnnotations)
	wantRejected(t, a, raw, w.image, stemma.ReasonLimit)
	long := stemma.Raw{Format: stemma.FormatBundle, Data: []byte(`{"` + strings.Repeat(`x\u001b`, 1<<20) + `":{"a":1,"a":2}}`)}
	if _, rej := a.Authenticate(long, w.image); rej == nil || len(rej.Detail) > 4*maxDetail || strings.Contains(rej.Detail, "\x1b") {
		t.Errorf("a detail of %d bytes", len(rej.Detail))
	}
	wantRejected(t, a, stemma.Raw{Format: stemma.FormatBundle, Data: make([]byte, stemma.MaxJSONBytes+1)}, w.image, stemma.ReasonLimit)
}
