package predicate

import "stemma"

// inputs reads resolvedDependencies or materials.
func (r *reader) inputs(j *stemma.JSON) []stemma.Input {
	if absent(j) {
		return nil
	}
	if !j.IsArray() {
		r.malformed(j, "an array")
		return nil
	}
	out := make([]stemma.Input, 0, len(j.Elems()))
	for _, e := range j.Elems() {
		r.object(e, true)
		for _, name := range []string{"name", "uri", "mediaType"} {
			r.text(e.At(name), false)
		}
		r.digests(e.At("digest"))
		d := stemma.ResourceDescriptor{
			Name: e.At("name").Text(), URI: e.At("uri").Text(), MediaType: e.At("mediaType").Text(),
			Annotations: e.At("annotations").Raw(),
		}
		for _, k := range e.At("digest").Elems() {
			if d.Digest == nil {
				d.Digest = map[string]string{}
			}
			d.Digest[k.Name()] = k.Text()
		}
		out = append(out, r.input(d, e.Pointer()))
	}
	return out
}

// input is the normal form of a dependency: its kind, its one name and where it came from.
func (r *reader) input(d stemma.ResourceDescriptor, where string) stemma.Input {
	return stemma.Input{ResourceDescriptor: d, Kind: stemma.InputOther, By: r.grade, Where: where}
}
