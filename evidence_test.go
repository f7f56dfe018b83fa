package stemma_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"stemma"
)

// TestRawID: two pieces have one ID only if they are the same. Source: threats I09, delimiters that collide.
func TestRawID(t *testing.T) {
	raw := func(data string, annotations ...string) stemma.Raw {
		r := stemma.Raw{Data: []byte(data)}
		for i := 0; i < len(annotations); i += 2 {
			if r.Annotations == nil {
				r.Annotations = map[string]string{}
			}
			r.Annotations[annotations[i]] = annotations[i+1]
		}
		return r
	}
	framed := func(parts ...string) string {
		var b []byte
		for _, p := range parts {
			b = append(binary.BigEndian.AppendUint64(b, uint64(len(p))), p...)
		}
		return string(b)
	}
	different := []stemma.Raw{
		raw(""), raw("x"), raw("x", "", ""), raw("", "x", ""), raw("", "", "x"), raw("x", "a", "b"), raw("xa", "", "b"), raw("x", "ab", ""), raw("x", "", "ab"),
		raw("x", "a", "b", "c", "d"), raw("x", "a", "bcd"), raw("x", "a", "", "b", ""), raw("x", "a=b", "c"), raw("x", "a", "b=c"), raw("x\x00", "a", "b"),
		// Data that is made to be hashed like data with annotations.
		raw(framed("x", "a", "b")), raw(framed("x")), raw(framed(framed("x", "a", "b"))), raw("\x00"), raw(framed("")), raw(framed("", "x", "")),
	}
	seen := map[stemma.Digest]int{}
	for i, r := range different {
		if j, ok := seen[r.ID()]; ok {
			t.Errorf("%q %q and %q %q have one ID", r.Data, r.Annotations, different[j].Data, different[j].Annotations)
		}
		seen[r.ID()] = i
	}
	// Where and as what it was found is no part of it; of plain data the ID is the digest.
	x := stemma.Raw{Data: []byte("x"), Format: stemma.FormatDSSE, Place: "referrers", Of: stemma.SHA256(nil), Sealed: true}
	if x.ID() != raw("x").ID() || x.ID() != stemma.SHA256([]byte("x")) {
		t.Error("the ID depends on the place")
	}
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.Custom(func(t *rapid.T) stemma.Raw {
			return stemma.Raw{
				Data:        rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a'}), 0, 20).Draw(t, "data"),
				Annotations: rapid.MapOfN(rapid.StringOfN(rapid.SampledFrom([]rune{0, 'a'}), 0, 2, -1), rapid.StringOfN(rapid.SampledFrom([]rune{0, 'a'}), 0, 2, -1), 0, 2).Draw(t, "annotations"),
			}
		})
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		same := slices.Equal(a.Data, b.Data) && len(a.Annotations) == len(b.Annotations)
		for k, v := range a.Annotations {
			w, ok := b.Annotations[k]
			same = same && ok && v == w
		}
		if same != (a.ID() == b.ID()) {
			t.Fatalf("%q %q and %q %q: same ID %v", a.Data, a.Annotations, b.Data, b.Annotations, !same)
		}
	})
}

func TestClaimContradicted(t *testing.T) {
	said := func(v string, by stemma.Grade) stemma.Said { return stemma.Said{Value: v, By: by} }
	c := stemma.Claim{Said: said("a", stemma.SaidByCertificate), Others: []stemma.Said{said("a", stemma.SaidByBuilder), said("b", stemma.SaidByTenant), said("c", stemma.SaidByTenant)}}
	if got := c.Contradicted(); got == nil || got.Value != "b" {
		t.Errorf("%v", got)
	}
	c.Others = c.Others[:1]
	if got := c.Contradicted(); got != nil {
		t.Errorf("%v", got)
	}
	grades := []stemma.Grade{stemma.SaidByCertificate, stemma.SaidByBuilder, stemma.SaidByTenant, stemma.SaidByNobody, ""}
	for i, g := range grades {
		if g.Rank() != 4-i {
			t.Errorf("%q has rank %d", g, g.Rank())
		}
	}
	if stemma.Grade("root").Rank() != 0 {
		t.Error("an unknown grade has a rank")
	}
}
