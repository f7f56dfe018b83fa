package predicate

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stemma"
)

type sample struct{ kind, predicate string }

func samples() map[string]sample {
	return map[string]sample{
		"actions": {stemma.PredicateSLSAv1, actionsV1}, "generator": {stemma.PredicateSLSAv02, generatorV02},
		"container-based": {stemma.PredicateSLSAv1, containerBasedV1}, "delegator": {stemma.PredicateSLSAv1, delegatorV1},
		"buildkit v0.2": {stemma.PredicateSLSAv02, buildkitV02}, "buildkit v1": {stemma.PredicateSLSAv1, buildkitLocalV1},
		"buildkit max": {stemma.PredicateSLSAv1, buildkitMaxV1},
		"tekton v0.2":  {stemma.PredicateSLSAv02, konfluxV02}, "tekton v1": {stemma.PredicateSLSAv1, chainsV1},
		"gitlab": {stemma.PredicateSLSAv1, gitlabRunnerV1}, "gitlab.com": {stemma.PredicateSLSAv1, gitlabServiceV1}, "gitlab v0.2": {stemma.PredicateSLSAv02, gitlabRunnerV02},
		"v0.1": {stemma.PredicateSLSAv01, makeV01}, "cloud build v0.1": {stemma.PredicateSLSAv01, cloudV01}, "cloud build v1": {stemma.PredicateSLSAv1, cloudV1},
		"unknown":      {stemma.PredicateSLSAv1, genericV1},
		"unknown v0.2": {stemma.PredicateSLSAv02, strings.Replace(generatorV02, "container@v1", "other@v1", 1)},
	}
}

// mutate calls visit with every document that differs from doc in one value, and with the pointer of that value. A nil
// value takes the member away.
func mutate(t *testing.T, doc string, values []any, visit func(pointer string, value any, changed []byte)) {
	t.Helper()
	var root any
	dec := json.NewDecoder(strings.NewReader(doc))
	dec.UseNumber()
	if err := dec.Decode(&root); err != nil {
		t.Fatal(err)
	}
	emit := func(pointer string, value any) {
		b, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		visit(pointer, value, b)
	}
	var walk func(pointer string, set func(any), v any)
	walk = func(pointer string, set func(any), v any) {
		for _, value := range values {
			set(value)
			emit(pointer, value)
		}
		set(v)
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(pointer+"/"+strings.ReplaceAll(strings.ReplaceAll(k, "~", "~0"), "/", "~1"), func(x any) { v[k] = x }, v[k])
			}
		case []any:
			for i := range v {
				walk(pointer+"/"+strconv.Itoa(i), func(x any) { v[i] = x }, v[i])
			}
		}
	}
	walk("", func(x any) { root = x }, root)
}

// Every value set to null, and to each wrong type, one at a time: an error or fewer claims, never a panic, and never a
// claim from a value of the wrong type. Source: conforma IV-3, panics of rekor, go-tuf and kyverno.
func TestReg_J03_J04_null_and_type_flip(t *testing.T) {
	wrong := []any{nil, 7, true, []any{}, []any{"x"}, map[string]any{}, map[string]any{"x": "y"}, 4.5, "", "x"}
	for name, s := range samples() {
		t.Run(name, func(t *testing.T) {
			cases, read := 0, 0
			for _, signer := range []*stemma.Identity{nil, githubSigner(farSAN)} {
				mutate(t, s.predicate, wrong, func(pointer string, value any, changed []byte) {
					cases++
					p, err := readAs(signer, s.kind, string(changed))
					if err != nil {
						return
					}
					read++
					for f, c := range p.Claims {
						for _, said := range append([]stemma.Said{c.Said}, c.Others...) {
							if said.By == stemma.SaidByCertificate {
								if signer == nil {
									t.Errorf("%s set to %v: %s is said by a certificate, and there is none", pointer, value, f)
								}
								continue
							}
							_, text := value.(string)
							number := value == 7 && (f == stemma.FieldRun || f == stemma.FieldRepositoryID || f == stemma.FieldOwnerID)
							truth := value == true && f == stemma.FieldHermetic
							if !text && !number && !truth && (said.Where == pointer || strings.HasPrefix(said.Where, pointer+"/")) && !strings.HasSuffix(said.Where, "/x") && !isElement(pointer, said.Where, value) {
								t.Errorf("%s set to %v: %s is %q at %s", pointer, value, f, said.Value, said.Where)
							}
						}
					}
				})
			}
			if read == 0 || read == cases {
				t.Errorf("%d of %d were read", read, cases)
			}
			t.Logf("%d changed predicates, %d of them read", cases, read)
		})
	}
}

// isElement reports whether where is the element "x" of the array that replaced the value at pointer.
func isElement(pointer, where string, value any) bool {
	list, ok := value.([]any)
	return ok && len(list) == 1 && where == pointer+"/0"
}

// Control characters, overrides and unbounded text are no names.
func TestHostileText(t *testing.T) {
	for _, value := range []string{`\u001b[31mpush`, `pu\u202Esh`, `push\u0000`, `pu\nsh`, strings.Repeat("a", 5000), `push\uFFFD`} {
		p := mustRead(t, nil, stemma.PredicateSLSAv1, change(t, actionsV1, `"event_name": "push"`, `"event_name": "`+value+`"`))
		if got := p.Value(stemma.FieldTrigger); got != "" {
			t.Errorf("trigger %q", got)
		}
		if len(p.Notes) != 1 || !strings.HasPrefix(p.Notes[0], "trigger at /buildDefinition/internalParameters/github/event_name is left out: ") {
			t.Errorf("%q: notes %q", value, p.Notes)
		}
	}
	// Notes quote the predicate, and are bounded in number and length.
	many := strings.Repeat(`"gitCommit`+"`"+`": "`+strings.Repeat(`\u001b`, 1000)+`", `, 1)
	p := mustRead(t, nil, stemma.PredicateSLSAv1, change(t, actionsV1, `"gitCommit": "`+commitA+`"`, many+`"sha1": "\u001b[1m`+strings.Repeat("z", 9000)+`"`))
	for _, n := range p.Notes {
		if len(n) > 1700 || strings.Contains(n, "\x1b") {
			t.Errorf("note %q", n)
		}
	}
	materials := strings.Repeat(`{"uri":"git+https://github.com/acme/app@a..b","digest":{"sha1":"x"}},`, 5000)
	p = mustRead(t, nil, stemma.PredicateSLSAv02, change(t, generatorV02, `"materials": [`, `"materials": [`+materials))
	if len(p.Notes) > 64 || len(p.Inputs) != 5001 {
		t.Errorf("%d notes, %d dependencies", len(p.Notes), len(p.Inputs))
	}
}

// A claim of the certificate that is no repository, ref or commit is not taken for one.
func TestHostileCertificate(t *testing.T) {
	signer := githubSigner(farSAN)
	signer.Claims[stemma.ClaimSourceRepositoryURI] = "https://github.com/acme/../evil"
	signer.Claims[stemma.ClaimSourceRepositoryHash] = "HEAD"
	signer.Claims[stemma.ClaimSourceRepositoryRef] = "refs/heads/a b"
	signer.Claims[stemma.ClaimRunnerEnvironment] = `""`
	p := mustRead(t, signer, stemma.PredicateSLSAv1, actionsV1)
	for _, f := range []stemma.Field{stemma.FieldRepository, stemma.FieldCommit, stemma.FieldRef, stemma.FieldRunner} {
		if c := p.Claims[f]; c.By == stemma.SaidByCertificate {
			t.Errorf("%s: %v", f, c)
		}
	}
	if len(p.Notes) != 3 {
		t.Errorf("notes %q", p.Notes)
	}
}

func FuzzRead(f *testing.F) {
	kinds := []string{stemma.PredicateSLSAv01, stemma.PredicateSLSAv02, stemma.PredicateSLSAv1}
	for _, s := range samples() {
		f.Add(uint8(slices.Index(kinds, s.kind)), []byte(s.predicate))
	}
	f.Fuzz(func(t *testing.T, kind uint8, predicate []byte) {
		s := stemma.Statement{PredicateType: kinds[int(kind)%len(kinds)], Predicate: predicate}
		d, err := ReadUnsigned("sha256:00", s)
		p := d.Provenance
		if (p == nil) != (err != nil) {
			t.Fatalf("%v and %v", p, err)
		}
		if err != nil {
			return
		}
		checkClaims(t, p, predicate, func(g stemma.Grade) bool { return g == stemma.SaidByNobody })
		key := keySigner()
		sd, err := Read(stemma.Attestation{Statement: s, Signer: *key})
		if err != nil {
			t.Fatal(err)
		}
		signed := sd.Provenance
		checkClaims(t, signed, predicate, func(g stemma.Grade) bool { return g == stemma.SaidByBuilder || g == stemma.SaidByTenant })
	})
}

// checkClaims: every claim has an allowed grade, and a value whose parts all stand in the predicate.
func checkClaims(t *testing.T, p *stemma.Provenance, predicate []byte, allowed func(stemma.Grade) bool) {
	t.Helper()
	root, err := stemma.ParseJSON(predicate)
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	var collect func(*stemma.JSON)
	collect = func(j *stemma.JSON) {
		text = append(append(text, strings.ToLower(j.Scalar())...), '\n')
		for _, k := range j.Elems() {
			collect(k)
		}
	}
	collect(root)
	for f, c := range p.Claims {
		for _, s := range append([]stemma.Said{c.Said}, c.Others...) {
			if !allowed(s.By) || s.Value == "" {
				t.Errorf("%s %q is said by %q", f, s.Value, s.By)
			}
			value := s.Value
			if f == stemma.FieldRef { // of a branch or a tag by itself, the kind is in the name of the member
				value = strings.TrimPrefix(strings.TrimPrefix(value, "refs/heads/"), "refs/tags/")
			}
			for _, part := range strings.FieldsFunc(strings.ToLower(value), func(r rune) bool { return strings.ContainsRune("/-@", r) }) {
				if !bytes.Contains(text, []byte(part)) && part != "https:" && part != "github.com" {
					t.Errorf("%s %q: %q is not in the predicate", f, s.Value, part)
				}
			}
		}
	}
}
