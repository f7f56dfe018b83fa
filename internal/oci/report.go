package oci

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"stemma"
)

// found assembles the answer, once for each node: an attestation manifest stands in two places.
func (d *discovery) found(n *node, repository string) *Found {
	if n.result != nil {
		again := *n.result
		again.Raw = slices.Clone(again.Raw)
		return &again
	}
	f := &Found{
		Image: stemma.Image{Repository: repository, Digest: n.doc.digest}, MediaType: n.doc.mediaType, ArtifactType: n.doc.body.ArtifactType,
		Manifest: n.doc.data, Platform: n.platform, AttestationManifest: n.idle(), Raw: n.raw, Statements: n.statements,
		Annotations: n.doc.body.Annotations, Labels: n.labels,
	}
	n.result = f
	if config := n.config(); config != nil && config.check(maxManifest) == nil && !n.idle() {
		f.Config = config.Digest
	}
	slices.SortStableFunc(n.places, func(a, b *place) int { return cmp.Compare(a.rank, b.rank) })
	for _, p := range n.places {
		if p.err != nil {
			n.lost(p, p.err)
		}
		f.Places = append(f.Places, stemma.Place{Name: p.name, In: p.in, Of: p.of, Answer: p.text(), Found: p.found})
	}
	for _, x := range n.files {
		f.Files = append(f.Files, d.takeFile(n, x))
	}
	for _, x := range n.attached {
		// What turned out to be a bundle by another name is no manifest to be signed.
		if len(x.statements)+len(x.files)+len(x.raw)+len(x.attached) > 0 || x.holds {
			f.Attached = append(f.Attached, d.found(x, repository))
		}
	}
	d.left(n, f)
	f.Unavailable = summarize(n.unavailable)
	f.Rejected = n.rejected
	sortRejected(f.Rejected)
	for _, x := range n.indexes {
		f.Indexes = append(f.Indexes, d.found(x, repository))
	}
	for _, x := range n.children {
		f.Children = append(f.Children, d.found(x, repository))
	}
	return f
}

func (d *discovery) takeFile(n *node, x *file) File {
	f := File{MediaType: stemma.Printable(x.layer.MediaType, 100), Digest: x.layer.Digest}
	got := d.pieces[pieceKey{x.layer.Digest, x.layer.Size}]
	switch {
	case !x.chosen && (d.want == nil || d.want.Unsigned):
		n.unavailable = append(n.unavailable, stemma.Unavailable{
			Place: "attached file", Reason: stemma.ReasonTruncated, Detail: fmt.Sprintf("layer %s says it has %d bytes, more than the bounds allow", x.layer.Digest.Short(), x.layer.Size),
		})
	case !x.chosen:
	case got.err != nil:
		n.unavailable = append(n.unavailable, unavailable("attached file", fmt.Errorf("layer %s: %w", x.layer.Digest.Short(), got.err)))
	default:
		f.Data = got.data
	}
	return f
}

// left names what was not wanted.
func (d *discovery) left(n *node, f *Found) {
	if d.want == nil {
		return
	}
	idle := 0
	for _, c := range n.candidates {
		if c.idle {
			idle++
		}
	}
	n.leave(idle, "statement that nobody signed", "statements that nobody signed")
	files := map[string]int{}
	for _, x := range n.attached {
		for _, file := range x.files {
			if !file.chosen {
				files[stemma.Printable(file.layer.MediaType, 60)]++
			}
		}
	}
	for _, t := range slices.Sorted(maps.Keys(files)) {
		n.leave(files[t], "file of type "+t, "files of type "+t)
	}
	slices.Sort(n.left)
	f.NotFetched = n.left
}

// text is what a place answered, with what lies there and was not read: a few types, since whoever can push may make up
// any number of them.
func (p *place) text() string {
	const most = 8
	s, others := p.answer, 0
	for i, t := range slices.Sorted(maps.Keys(p.skipped)) {
		if i < most {
			s += fmt.Sprintf("; %d of type %s not read", p.skipped[t], cmp.Or(t, `""`))
		} else {
			others += p.skipped[t]
		}
	}
	if others > 0 {
		s += fmt.Sprintf("; %d of other types not read", others)
	}
	return s
}

// summarize keeps a few of many failures of the same kind: one dead registry is one thing to report.
func summarize(list []stemma.Unavailable) []stemma.Unavailable {
	const most = 4
	type group struct {
		place  string
		reason stemma.Reason
	}
	slices.SortFunc(list, func(a, b stemma.Unavailable) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail))
	})
	list = slices.Compact(list)
	count := map[group]int{}
	var out []stemma.Unavailable
	for _, u := range list {
		g := group{u.Place, u.Reason}
		if count[g]++; count[g] <= most {
			out = append(out, u)
		}
	}
	for i := range out {
		g := group{out[i].Place, out[i].Reason}
		last := i+1 == len(out) || out[i+1].Place != g.place || out[i+1].Reason != g.reason
		if over := count[g] - most; last && over > 0 {
			out[i].Detail += fmt.Sprintf(" (and %d more)", over)
		}
	}
	return out
}

func sortRejected(list []stemma.Rejection) {
	slices.SortFunc(list, func(a, b stemma.Rejection) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Bundle, b.Bundle), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail))
	})
}
