package predicate

import (
	"fmt"
	"strings"

	"stemma"
)

const formatWitness = "witness"

// maxFiles is the most local files of a collection that are listed. A part of a list would read like the whole of it, so
// of more none is listed: the kind then counts as not reported.
const maxFiles = 1024

// collection reads what witness, and what came of it, records of one step: a list of attestations, each by an attestor
// of its own. It runs in the job that it is about. What it finds in the working copy and in the environment is therefore
// the word of the tenant; of a token it says what the identity provider signed.
//
// The attestor "environment" keeps variables, and "command-run" arguments and output: passwords among them are not told
// from the rest, and nothing of both is taken but the name of the program and how it ended.
func (r *reader) collection(_ stemma.Statement, root *stemma.JSON) {
	r.out.Format, r.out.Known = formatWitness, "witness"
	r.object(root, true)
	r.within(root, root.At("name"), "name", r.text)
	all := root.At("attestations")
	r.array(all, false)
	if r.err != nil {
		return
	}
	var held []string
	var copies []*stemma.JSON // of repositories, which mean most where a token has spoken before
	for _, e := range all.Elems() {
		r.object(e, true)
		r.within(e, e.At("type"), "type", r.text)
		name := attestorName(e.At("type").Text())
		if name != "" && len(held) < 32 {
			held = append(held, name)
		}
		read := r.attestor(name)
		if name == "git/v0.1" {
			read = func(j *stemma.JSON) { copies = append(copies, j) }
		}
		if read == nil {
			continue
		}
		r.within(e, e.At("attestation"), "attestation", r.object)
		if r.err != nil {
			return
		}
		read(e.At("attestation"))
	}
	for _, j := range copies {
		r.witnessGit(j)
	}
	r.note("step %s: %s", stemma.Printable(root.At("name").Text(), 128), strings.Join(held, ", "))
}

// isProduct holds a collection to be about what its step made. Witness names everything that it knows a digest of among
// the subjects: the images that went into the built one, too, of which the collection says nothing. An image that others
// build on must not pass for one that they built.
func isProduct(s stemma.Statement, b stemma.Binding) error {
	if read := otherProvenance(s.PredicateType); read == nil || b.Kind == "" {
		return nil
	}
	for _, subject := range s.Subject {
		same := false
		for alg, v := range b.Subject.Digest {
			same = same || v != "" && subject.Digest[alg] == v
		}
		if same && namesProduct(subject.Name) {
			return nil
		}
	}
	return fmt.Errorf("reading predicate: subject %s is nothing that the step made", stemma.Printable(b.Subject.Name, 128))
}

// namesProduct reports whether the name of a subject is that of something made. A name that no attestor gave is the
// author's own for what the statement is about.
func namesProduct(name string) bool {
	of := attestorName(name)
	if of == "" {
		return !strings.HasPrefix(name, "materialdigest:")
	}
	parts := strings.SplitN(of, "/", 3) // "docker/v0.1/imagedigest:HEX"
	if len(parts) < 3 {
		return false
	}
	kind, _, _ := strings.Cut(parts[2], ":")
	switch parts[0] + " " + kind {
	case "docker imagedigest", "oci manifestdigest", "oci registrydigest", "oci imageid", "product file":
		return true
	}
	return false
}

// attestorName is what stands behind the place of an attestor's types: "git/v0.1".
func attestorName(kind string) string {
	for _, place := range []string{"https://witness.dev/attestations/", "https://witness.testifysec.com/attestations/", "https://aflock.ai/attestations/"} {
		if name, ok := strings.CutPrefix(kind, place); ok {
			return stemma.Printable(name, 64)
		}
	}
	return ""
}

func (r *reader) attestor(name string) func(*stemma.JSON) {
	switch name {
	case "github/v0.1":
		return r.witnessGitHub
	case "gitlab/v0.1":
		return r.witnessGitLab
	case "jenkins/v0.1":
		return r.witnessJenkins
	case "aws-codebuild/v0.1":
		return r.witnessCodeBuild
	case "command-run/v0.1":
		return r.witnessCommand
	case "material/v0.1", "material/v0.2", "material/v0.3":
		return r.witnessMaterials
	case "maven/v0.1":
		return r.witnessMaven
	case "docker/v0.1":
		return r.witnessDocker
	}
	return nil
}

// witnessGit reads the working copy: the commit that it stood at, and where it fetches from.
func (r *reader) witnessGit(j *stemma.JSON) {
	by := r.tenant()
	hash := j.At("commithash")
	r.text(hash, false)
	r.commit(hash.Text(), by, hash.Pointer())
	r.digests(j.At("commitdigest"))
	r.digest(j.At("commitdigest"), by)
	remotes := r.texts(j.At("remotes"))
	r.checkout(remotes, by)

	// All refs that point at the commit stand there, those of the remotes besides.
	var refs []*stemma.JSON
	for _, k := range r.texts(j.At("refs")) {
		if s := k.Text(); strings.HasPrefix(s, "refs/heads/") || strings.HasPrefix(s, "refs/tags/") {
			refs = append(refs, k)
		}
	}
	switch {
	case len(refs) == 1:
		r.ref(refs[0].Text(), by, refs[0].Pointer())
	case len(refs) > 1:
		r.note("%d refs point at the commit; none is taken", len(refs))
	}
	status := j.At("status")
	if r.object(status, false); status.IsObject() && len(status.Elems()) > 0 {
		r.note("the working copy was not the commit: %d files differ", len(status.Elems()))
	}
}

// witnessCommand reads what was run.
func (r *reader) witnessCommand(j *stemma.JSON) {
	words := r.texts(j.At("cmd"))
	if len(words) > 0 {
		r.otherwise(stemma.FieldEntryPoint, words[0].Text(), r.tenant(), words[0].Pointer())
	}
	code := j.At("exitcode")
	if r.identifier(code); code.Scalar() != "" && code.Scalar() != "0" {
		r.note("the command ended with exit code %s", code.Scalar())
	}
}

// witnessMaterials reads the files that were there before the step: by name, or since v0.3 as the leaves of a tree.
func (r *reader) witnessMaterials(j *stemma.JSON) {
	leaves, algorithm := j.At("leaves"), j.At("hashAlgorithm")
	tree := isText(j.At("merkleRoot")) // a file of that name has digests
	files := j.Elems()
	if tree {
		r.array(leaves, false)
		r.text(algorithm, true)
		files = leaves.Elems()
	}
	if len(files) > maxFiles {
		r.note("%d local files went in; so many are not listed", len(files))
		return
	}
	for _, k := range files {
		d := stemma.ResourceDescriptor{Name: k.Name(), Digest: map[string]string{}}
		if tree {
			r.object(k, true)
			r.within(k, k.At("path"), "path", r.text)
			r.within(k, k.At("fileDigest"), "fileDigest", r.text)
			d.Name, d.Digest[algorithm.Text()] = k.At("path").Text(), k.At("fileDigest").Text()
		} else {
			r.object(k, true)
			r.digests(k)
			for _, v := range k.Elems() {
				d.Digest[v.Name()] = v.Text()
			}
		}
		r.addInput(stemma.Input{ResourceDescriptor: d, Kind: stemma.InputOther, By: r.tenant(), Where: k.Pointer()})
	}
}

func (r *reader) addInput(in stemma.Input) {
	if len(r.out.Inputs) < 4*maxFiles {
		r.out.Inputs = append(r.out.Inputs, in)
	} else if len(r.out.Inputs) == 4*maxFiles {
		r.note("more inputs than are listed")
	}
}

// witnessMaven reads the dependencies that the project's file names: versions, and no digests.
func (r *reader) witnessMaven(j *stemma.JSON) {
	all := j.At("dependencies")
	r.array(all, false)
	if !all.IsArray() {
		return
	}
	for _, k := range all.Elems() {
		r.object(k, true)
		for _, name := range []string{"groupid", "artifactid", "version"} {
			r.text(k.At(name), false)
		}
		group, artifact := k.At("groupid").Text(), k.At("artifactid").Text()
		in := stemma.Input{ResourceDescriptor: stemma.ResourceDescriptor{Name: group + ":" + artifact}, Kind: stemma.InputPackage, By: r.tenant(), Where: k.Pointer()}
		// A name with the syntax of package URLs in it would become another.
		if group != "" && artifact != "" && strings.Trim(strings.ToLower(group+artifact), "abcdefghijklmnopqrstuvwxyz0123456789._-") == "" {
			n := nameInput("pkg:maven/"+group+"/"+artifact, nil)
			in.Canonical, in.Host = n.canonical, n.host
		}
		if v := k.At("version").Text(); stemma.Printable(v, 256) == v {
			in.Version = v
		}
		r.addInput(in)
	}
	r.report(stemma.InputPackage)
}

// witnessDocker reads the images that went into those which a build with BuildKit made.
func (r *reader) witnessDocker(j *stemma.JSON) {
	products := j.At("products")
	r.object(products, false)
	if !products.IsObject() {
		return
	}
	for _, product := range products.Elems() {
		r.object(product, true)
		platforms := product.At("materials")
		r.object(platforms, false)
		for _, of := range platforms.Elems() {
			r.array(of, false)
			for _, k := range of.Elems() {
				r.object(k, true)
				r.text(k.At("uri"), false)
				r.digests(k.At("digest"))
				d := stemma.ResourceDescriptor{URI: k.At("uri").Text(), Digest: map[string]string{}}
				for _, v := range k.At("digest").Elems() {
					d.Digest[v.Name()] = v.Text()
				}
				in := r.input(d, k.Pointer())
				in.By = r.tenant()
				r.addInput(in)
			}
		}
	}
	r.report(stemma.InputImage)
}

// witnessPredicate reads the SLSA provenance that witness makes of a collection. Its predicate type is not SLSA's, and
// neither are its names: witness writes build_definition for buildDefinition, and its successors one or the other. A
// predicate with both has two readings, and none.
func (r *reader) witnessPredicate(_ stemma.Statement, root *stemma.JSON) {
	r.object(root, true)
	either := func(j *stemma.JSON, name, other string) *stemma.JSON {
		a, b := j.At(name), j.At(other)
		if a != nil && b != nil {
			r.malformed(b, "either "+name+" or "+other)
		}
		if a == nil {
			return b
		}
		return a
	}
	definition, run := either(root, "buildDefinition", "build_definition"), either(root, "runDetails", "run_details")
	r.within(root, definition, "buildDefinition", r.object)
	r.within(root, run, "runDetails", r.object)
	kind := either(definition, "buildType", "build_type")
	r.within(definition, kind, "buildType", r.text)
	builder := run.At("builder")
	r.within(run, builder, "builder", r.object)
	r.within(builder, builder.At("id"), "id", r.text)
	metadata := run.At("metadata")
	b := build{
		format: formatWitness, buildType: kind.Text(), builderID: builder.At("id"), metadata: metadata,
		external: either(definition, "externalParameters", "external_parameters"), internal: either(definition, "internalParameters", "internal_parameters"),
		dependencies: either(definition, "resolvedDependencies", "resolved_dependencies"), invocationID: either(metadata, "invocationId", "invocation_id"),
	}
	for _, j := range []*stemma.JSON{b.external, b.internal, metadata} {
		r.object(j, false)
	}
	r.identifier(b.invocationID)
	r.dispatch(b)
}

// witnessSLSA reads the build type of it. The builder is a constant for a kind of service; the repositories that the
// working copy fetches from stand by name among the files of the step.
func (r *reader) witnessSLSA(b build) {
	r.tool(b.builderID, func(id string) bool {
		return strings.HasPrefix(id, "https://witness.dev/witness-") || strings.HasPrefix(id, "https://aflock.ai/attestation-")
	}, r.grade)
	r.run(b.invocationID.Scalar(), r.tenant(), b.invocationID.Pointer())
	var remotes []*stemma.JSON
	for i, e := range b.dependencies.Elems() {
		digest := e.At("digest")
		address := e.At("name")
		isRepository := false
		for _, k := range digest.Elems() {
			isRepository = isRepository || k.Name() == "sha1" && strings.ContainsAny(address.Text(), ":@")
		}
		if !isRepository {
			continue
		}
		remotes = append(remotes, address)
		r.digest(digest, r.tenant())
		if uri, ok := withoutUser(address.Text()); ok && i < len(r.out.Inputs) {
			n := gitName(uri, true)
			in := &r.out.Inputs[i]
			in.Kind, in.Canonical, in.Host, in.Version = stemma.InputGit, n.canonical, n.host, n.version
		}
	}
	r.checkout(remotes, r.tenant())
	if command := b.external.At("command"); !absent(command) {
		r.parameter("param", "command", command)
	}
	r.unknownParameters(b.external, "command")
}

func witnessFamilies() []family {
	is := exactly("https://witness.dev/slsa-build@v0.1", "https://aflock.ai/slsa-build@v0.1")
	return []family{
		{"witness", formatWitness, is, (*reader).witnessSLSA},
		{"witness", formatV1, is, (*reader).witnessSLSA},
	}
}
