package predicate

import "stemma"

// apko reads what Chainguard's builder of images writes: the packages of the image with their versions, and nothing
// else. There are no parameters and no dependencies, the builder is the program, and the source stands in the
// certificate only. That they differ is how it is documented, and no contradiction.
func (r *reader) apko(b build) {
	r.tool(b.builderID, func(id string) bool { return id == "https://github.com/chainguard-dev/terraform-provider-apko" }, r.grade)
	// The name of the image that was made, which is no run.
	r.undefinedParameters(b)
	if !b.internal.IsObject() {
		return
	}
	for _, k := range b.internal.Elems() {
		r.text(k, true)
		in := stemma.Input{ResourceDescriptor: stemma.ResourceDescriptor{Name: k.Name()}, Kind: stemma.InputPackage, By: r.grade, Where: k.Pointer()}
		if v := k.Text(); stemma.Printable(v, 256) == v {
			in.Version = v
		}
		// The names do not say of which distribution they are. Chainguard's images are of its own, Wolfi; an image that
		// somebody else makes with apko may as well be of another, and its packages get no name.
		if r.byChainguard() {
			n := nameInput("pkg:apk/wolfi/"+k.Name(), nil)
			in.Canonical = n.canonical
		}
		r.out.Inputs = append(r.out.Inputs, in)
	}
	if len(b.internal.Elems()) > 0 {
		r.report(stemma.InputPackage)
	}
}

// byChainguard reports whether Chainguard signed it: the service, or the workflow that releases the public images.
func (r *reader) byChainguard() bool {
	if r.signer == nil || r.signer.KeyID != "" {
		return false
	}
	w, ok := stemma.ParseWorkflow(r.signer.Subject)
	return ok && isGitHub(r.signer.Issuer) && isChainguard(w) || r.signer.Issuer == "https://issuer.enforce.dev" && isService(r.signer)
}

func chainguardFamilies() []family {
	return []family{{"apko", formatV1, exactly("https://apko.dev/slsa-build-type@v1"), (*reader).apko}}
}
