package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stemma"
	"stemma/internal/oci"
	"stemma/policy"
)

// A published policy set is an OCI artifact with a layer for each file and for each signature.
const (
	policySetType    = "application/vnd.stemma.policy.set.v1"
	policyFileType   = "application/vnd.stemma.policy.v1+yaml"
	policyBundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

	policyScheme    = "oci://"
	policySignature = ".sigstore.json" // what the name of the file with the signatures over another ends in
	maxPolicyName   = 128
)

// Published is a policy set as it was found in a registry.
type Published struct {
	Reference  string        // oci://registry/repository@digest
	Files      []policy.File // named as when it was pushed
	Signatures []policy.File // FILE.sigstore.json, each of one of Files

	ref oci.Reference
}

// Load reads the documents. Messages name the files below the reference.
func (p *Published) Load() (*policy.Set, error) { return policy.Load(p.Named()...) }

// Named are the files, each by a name that says where it is from.
func (p *Published) Named() []policy.File {
	var out []policy.File
	for _, f := range p.Files {
		out = append(out, policy.File{Name: policyScheme + p.ref.Repository + "@" + p.ref.Digest.Short() + "/" + f.Name, Data: f.Data})
	}
	return out
}

// IsPolicyReference reports whether an argument names a published policy set, and no file. What is near to that and
// neither is an *Error: a misspelt scheme is not to become the name of a file that somebody else may write, or a request
// without TLS (conforma EC-2014: Http:// was taken for a file).
func IsPolicyReference(arg string) (bool, error) {
	if strings.HasPrefix(arg, policyScheme) {
		return true, nil
	}
	scheme, rest, found := strings.Cut(arg, ":")
	if !found || strings.HasPrefix(arg, ".") || strings.HasPrefix(arg, "/") || !strings.HasPrefix(rest, "//") && !strings.EqualFold(scheme, "oci") {
		return false, nil
	}
	return false, &Error{
		Kind: Invalid, Err: fmt.Errorf("%q is neither a file nor a published policy set", stemma.Printable(arg, 200)),
		Hint: "write " + policyScheme + stemma.Printable(strings.TrimLeft(rest, "/"), 200) + ", or ./ before the name of a file",
	}
}

// policyReference reads oci://registry/repository[:tag][@digest].
func policyReference(arg string) (oci.Reference, error) {
	wrong := func(what string) (oci.Reference, error) {
		return oci.Reference{}, &Error{Kind: Invalid, Err: fmt.Errorf("%q: %s", stemma.Printable(arg, 200), what), Hint: "write oci://registry/repository@sha256:…, as stemma policy push prints it"}
	}
	name, ok := strings.CutPrefix(arg, policyScheme)
	if !ok {
		return wrong("not the reference of a published policy set")
	}
	ref, err := oci.ParseReference(name)
	if err != nil {
		return ref, translate(err)
	}
	host, _, named := strings.Cut(name, "/")
	switch {
	case ref.Layout != "":
		return wrong("one scheme is enough")
	case !named || !strings.ContainsAny(host, ".:") && host != "localhost":
		return wrong("it does not say at which registry") // a short name means docker.io to some
	}
	if ref.Tag == "latest" && !strings.HasSuffix(name, ":latest") {
		ref.Tag = ""
	}
	return ref, nil
}

// FetchPolicies gets a published policy set by its digest. A tag can mean another set with every look, and each is as
// well formed as the other (conforma SC-2): it is refused.
func FetchPolicies(ctx context.Context, c Config, reference string) (p *Published, err error) {
	defer caught(&err)
	ref, err := policyReference(reference)
	if err != nil {
		return nil, err
	}
	if ref.Digest == "" {
		return nil, &Error{Kind: Invalid, Err: fmt.Errorf("%q names no digest, so that it can be another set tomorrow", stemma.Printable(reference, 200)), Hint: "write @sha256:…, as stemma policy push printed it; stemma policy pull follows a tag, and checks who signed what it means now"}
	}
	return fetchPolicies(ctx, c, ref)
}

func fetchPolicies(ctx context.Context, c Config, ref oci.Reference) (*Published, error) {
	_, client, err := connect(c, nil)
	if err != nil {
		return nil, err
	}
	if ref.Tag == "" && ref.Digest == "" {
		ref.Tag = "latest"
	}
	a, digest, err := client.PullArtifact(ctx, ref, policySetType, policyFileType, policyBundleType)
	if err != nil {
		return nil, translate(err)
	}
	ref.Tag, ref.Digest = "", digest
	p := &Published{Reference: policyScheme + ref.String(), ref: ref}
	for _, f := range a.Files {
		signature, err := policyName(f.Name)
		if err == nil && signature != (f.MediaType == policyBundleType) {
			err = fmt.Errorf("%q is of type %s, and by its name of another", f.Name, f.MediaType)
		}
		if err != nil {
			return nil, &Error{Kind: Invalid, Err: fmt.Errorf("reading %s: %w", p.Reference, err), Hint: "nothing of it was used"}
		}
		// What is called alike but for case is one file on some machines, and two on others.
		if slices.ContainsFunc(append(p.Files, p.Signatures...), func(o policy.File) bool { return strings.EqualFold(o.Name, f.Name) }) {
			return nil, &Error{Kind: Invalid, Err: fmt.Errorf("reading %s: two files are called %q", p.Reference, f.Name), Hint: "nothing of it was used"}
		}
		if file := (policy.File{Name: f.Name, Data: f.Data}); signature {
			p.Signatures = append(p.Signatures, file)
		} else {
			p.Files = append(p.Files, file)
		}
	}
	for _, s := range p.Signatures {
		if !slices.ContainsFunc(p.Files, func(f policy.File) bool { return f.Name+policySignature == s.Name }) {
			return nil, &Error{Kind: Invalid, Err: fmt.Errorf("reading %s: %s is the signature of a file that is not in it", p.Reference, s.Name), Hint: "nothing of it was used"}
		}
	}
	return p, nil
}

// policyName checks the name of a file in a published set, and says whether it is that of a signature. It becomes a name
// on somebody's disk: it leads nowhere else, hides nothing, and means nothing to a shell.
func policyName(name string) (signature bool, err error) {
	base, signature := strings.CutSuffix(name, policySignature)
	stem, yaml := strings.CutSuffix(base, ".yaml")
	if !yaml {
		stem, yaml = strings.CutSuffix(base, ".yml")
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if !yaml || stem == "" || len(name) > maxPolicyName || !strings.Contains(letters, stem[:1]) || strings.Trim(stem, letters+"._-") != "" {
		return false, fmt.Errorf("%q is no name of a file of policies: want letters, digits, '.', '_' and '-', and .yaml or .yml at the end", stemma.Printable(name, 100))
	}
	return signature, nil
}

// PushPolicies publishes a policy set, the one of the configuration with its signatures, and returns its reference by
// digest. files are those that it was loaded from, and signatures those that lie beside them, by plain names. A set that
// says by whom it is signed, and is not, is not pushed.
func PushPolicies(ctx context.Context, c Config, reference string, files, signatures []policy.File) (pushed string, tagged bool, err error) {
	defer caught(&err)
	ref, err := policyReference(reference)
	if err != nil {
		return "", false, err
	}
	if c.Policies == nil {
		return "", false, &Error{Kind: Invalid, Err: errors.New("pushing no policy")}
	}
	a := oci.Artifact{Type: policySetType}
	for i, f := range slices.Concat(files, signatures) {
		mediaType := policyFileType
		signature, err := policyName(f.Name)
		if i >= len(files) {
			mediaType = policyBundleType
		}
		if err == nil && signature != (i >= len(files)) {
			err = fmt.Errorf("%q is the name of a signature", f.Name)
		}
		if err != nil {
			return "", false, &Error{Kind: Invalid, Err: fmt.Errorf("pushing policies: %w", err), Hint: "rename the file"}
		}
		a.Files = append(a.Files, oci.ArtifactFile{Name: f.Name, MediaType: mediaType, Data: f.Data})
	}
	if len(c.Policies.SignedBy()) > 0 {
		if _, err := New(ctx, c); err != nil {
			return "", false, err
		}
	}
	_, client, err := connect(c, nil)
	if err != nil {
		return "", false, err
	}
	digest, err := client.PushArtifact(ctx, ref, a)
	if err != nil {
		return "", false, translate(err)
	}
	return policyScheme + ref.Repository + "@" + string(digest), ref.Tag != "", nil
}

// PullPolicies gets a published set that is to take the place of that of the configuration, which may be nil: then the
// reference must name a digest, by which alone the set is trusted. Otherwise one of those who may sign the current set
// must have signed every file of the new one, and its version must be higher. Whoever can push, and signs nothing, can
// then put neither a set of their own nor an older one in its place.
func PullPolicies(ctx context.Context, c Config, reference string) (p *Published, next *policy.Set, err error) {
	defer caught(&err)
	ref, err := policyReference(reference)
	if err != nil {
		return nil, nil, err
	}
	current := c.Policies
	if ref.Digest == "" && (current == nil || len(current.SignedBy()) == 0) {
		e := &Error{Kind: Invalid, Err: fmt.Errorf("%q names no digest, and there is no current set whose signers could be asked for", stemma.Printable(reference, 200)), Hint: "the first set is trusted by its digest: write @sha256:…, as stemma policy push printed it; later ones with --current"}
		if current != nil {
			e.Err = fmt.Errorf("%q names no digest, and the current set %s says nothing of who may sign its successors", stemma.Printable(reference, 200), current.Name)
			e.Hint = "write @sha256:…, or add signedBy to the set"
		}
		return nil, nil, e
	}
	var v *Verifier
	if current != nil {
		if v, err = New(ctx, c); err != nil {
			return nil, nil, err
		}
	}
	if p, err = fetchPolicies(ctx, c, ref); err != nil {
		return nil, nil, err
	}
	if next, err = p.Load(); err != nil {
		return nil, nil, err
	}
	if v != nil {
		if err := v.succeeds(p, next); err != nil {
			return nil, nil, err
		}
	}
	c.Policies, c.Signatures = next, p.Signatures
	if len(next.SignedBy()) > 0 {
		if _, err := New(ctx, c); err != nil {
			return nil, nil, err
		}
	}
	return p, next, nil
}

// succeeds says why a published set must not take the place of the current one.
func (v *Verifier) succeeds(p *Published, next *policy.Set) error {
	current := v.config.Policies
	refuse := func(hint, format string, args ...any) error {
		return &Error{Kind: Invalid, Err: fmt.Errorf("refusing %s: "+format, append([]any{p.Reference}, args...)...), Hint: hint}
	}
	if next.Name != current.Name {
		// One key signs for test and production, and a set of the one is no set of the other.
		return refuse("give the set of that name to --current", "it is the set %s, and the current one is %s", next.Name, current.Name)
	}
	if by := current.SignedBy(); len(by) > 0 {
		signed, refused := v.endorsements(next.Signables(), p.Signatures)
		for _, f := range next.Signables() {
			if f.Name == "" || slices.ContainsFunc(signed, func(e stemma.Endorsement) bool { return e.Of == f.Digest && current.MaySign(e.Signer) }) {
				continue
			}
			name := f.Name[strings.LastIndex(f.Name, "/")+1:]
			hint := "the current set says in signedBy who may sign its successors"
			for _, r := range refused {
				if strings.Contains(r.Place+" ", " "+name+policySignature+" ") {
					hint = "its signature does not count: " + r.Detail
				}
			}
			return refuse(hint, "%s is not signed by %s", name, strings.Join(by, " or "))
		}
	}
	switch was, is := current.Version(), next.Version(); {
	case is < was:
		return refuse("versions only go up: to go back, release what was in it under a higher version", "it has version %d, and the current set has %d", is, was)
	case is == was && next.Digest != current.Digest:
		return refuse("raise spec.version of the PolicySet with every change", "it has version %d as the current set has, and says something else", is)
	}
	return nil
}

// Resolve is the image that a request is about, by the name that policies match and by its digest. What is asked for by
// digest is not looked up.
func (v *Verifier) Resolve(ctx context.Context, r Request) (image stemma.Image, err error) {
	defer caught(&err)
	ref, err := oci.ParseReference(r.Image)
	if err != nil {
		return image, translate(err)
	}
	if ref.Layout != "" {
		e, err := v.Collect(ctx, r)
		if err != nil {
			return image, err
		}
		return e.Image, nil
	}
	image = stemma.Image{Repository: ref.Repository, Digest: ref.Digest, Tag: ref.Tag}
	if v.config.Policies != nil {
		image.Repository, _ = v.config.Policies.Canonical(ref.Repository)
	}
	if image.Digest == "" {
		if image.Digest, err = v.client.Resolve(ctx, ref); err != nil {
			return image, translate(err)
		}
	}
	return image, nil
}
