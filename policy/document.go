package policy

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"stemma"
)

// APIVersion of every document of the language.
const APIVersion = "policy.stemma.dev/v1alpha1"

// Kinds of documents.
const (
	KindSet    = "PolicySet"
	KindPolicy = "ImageTrustPolicy"
)

// document is the frame that all kinds share.
type document struct {
	APIVersion string   `yaml:"apiVersion,required"`
	Kind       string   `yaml:"kind,required"`
	Metadata   Metadata `yaml:"metadata,required"`
}

// Metadata names a document.
type Metadata struct {
	Name string `yaml:"name,required"` // an RFC 1123 label, unique in the set
}

// NamespaceMetadata names a document that belongs to a namespace.
type NamespaceMetadata struct {
	Name      string `yaml:"name,required"`      // an RFC 1123 label, unique in its namespace
	Namespace string `yaml:"namespace,required"` // the only one in which it counts
}

type setDocument struct {
	document `yaml:",inline"`
	Spec     SetSpec `yaml:"spec,required"`
}

// namespacePolicyDocument is a policy that a namespace adds to those of the set. It can only tighten: all that match must
// allow, and an image that only it matches stays one that no policy of the set is about.
type namespacePolicyDocument struct {
	APIVersion string            `yaml:"apiVersion,required"`
	Kind       string            `yaml:"kind,required"`
	Metadata   NamespaceMetadata `yaml:"metadata,required"`
	Spec       Spec              `yaml:"spec,required"`
}

type policyDocument struct {
	document `yaml:",inline"`
	Spec     Spec `yaml:"spec,required"`
}

// SetSpec is the content of a PolicySet: what is in force and what all policies share.
type SetSpec struct {
	Version   int                `yaml:"version"`                    // only goes up
	Policies  []string           `yaml:"policies"`                   // names of the policies in force; all that were given when absent
	Unmatched Unmatched          `yaml:"unmatched" default:"refuse"` // refuse (default), warn or allow an image that no policy matches
	Trust     []Trust            `yaml:"trust"`                      // trust domains besides the built-in public-good and github
	Builders  map[string]Builder `yaml:"builders"`                   // shared by all policies
	Signers   map[string]Signer  `yaml:"signers"`                    // shared by all policies
	Help      Help               `yaml:"help"`                       // printed under every refusal

	Platforms      Platforms      `yaml:"platforms" default:"index"`       // what of an index is judged: index (the digest asked for), all (each platform on evidence about itself), nodes (those of the nodes; all when they are not known), or a list: [linux/amd64, windows/amd64]
	ConfigSubjects ConfigSubjects `yaml:"configSubjects" default:"refuse"` // refuse (default) or accept evidence whose subject is the digest of the image's config
	Derived        []Derived      `yaml:"derived"`                         // how an image may be made of another whose evidence then counts as its own: recompressed (the same config, and the same content of every layer) or, in policies with a base block, rebased (the same layers on another base); none when absent
	Mirrors        []Mirror       `yaml:"mirrors"`                         // repositories that are copies of others; the first that fits says which
	Evidence       []Alternate    `yaml:"evidence"`                        // further places where evidence may lie, at most 16 in all

	Undetermined *OnUndetermined `yaml:"undetermined"` // what becomes of an image of which too little could be looked at; refused when absent
	Running      Running         `yaml:"running"`      // what becomes of restarts: rejudge (default), keep or keep:30d
	Tags         Tags            `yaml:"tags"`         // what becomes of an image asked for by tag: refuse, pin or observe; nothing is said of it when absent
	Exempt       []Exemption     `yaml:"exempt"`       // namespaces in which nothing is enforced
	Waivers      *Waivers        `yaml:"waivers"`      // what Waiver documents may grant; without it they grant nothing
	SignedBy     []string        `yaml:"signedBy"`     // names of signers, one of whom must have signed this set and its successors
}

// Platforms says what of an index is judged: nil is index, one of the words all and nodes stands alone, and all else
// are patterns OS/architecture[/variant][:os.version]. Without a variant or version a pattern stands for all of them.
type Platforms []string

// ConfigSubjects says whether evidence about the config of an image counts.
type ConfigSubjects string

// Choices for evidence about a config. The zero value refuses: a config names the unpacked layers, and runtimes that
// pull lazily do not compare them.
const (
	ConfigsRefused  ConfigSubjects = "refuse"
	ConfigsAccepted ConfigSubjects = "accept"
)

// Derived is a way to make an image of another without building it.
type Derived string

// Ways that can be recomputed.
const (
	Recompressed Derived = "recompressed"
	Rebased      Derived = "rebased"
)

func (Derived) choices() []string { return []string{string(Recompressed), string(Rebased)} }

// Mirror maps the name of a copy back to the name that policies match. Both names have the same {x}, and ** at the end of
// both or of neither stands for the rest.
type Mirror struct {
	From Pattern `yaml:"from,required"` // the copy: registry.corp.example/hub/**
	Is   Pattern `yaml:"is,required"`   // what it is a copy of: docker.io/**
}

// Alternate is where evidence about some images may lie besides their own repository. Captures of for may be used in
// all the others, which are places of the same digests.
type Alternate struct {
	For              Pattern  `yaml:"for,required"`     // repositories of images, as in match
	Also             []string `yaml:"also"`             // repositories: registry.corp.example/evidence/{app}
	GitHub           string   `yaml:"github"`           // attestations of a repository or an owner: acme/{app}; of an Enterprise, ghe.example.com/acme/{app}
	GitLab           string   `yaml:"gitlab"`           // attestations of a project: gitlab.com/acme/{app}
	ArtifactAnalysis string   `yaml:"artifactAnalysis"` // occurrences of a project of Google Cloud
	Archivista       string   `yaml:"archivista"`       // a server of in-toto: https://archivista.example
}

// Unmatched is the effect on an image that no policy matches.
type Unmatched string

// Effects on unmatched images. The zero value refuses.
const (
	UnmatchedRefuse Unmatched = "refuse"
	UnmatchedWarn   Unmatched = "warn"
	UnmatchedAllow  Unmatched = "allow"
)

// Help is where a refused user turns to.
type Help struct {
	Contact string `yaml:"contact"` // a channel or an address
	URL     string `yaml:"url"`     // a page about image policy
}

// String joins what is there.
func (h Help) String() string { return strings.TrimSpace(h.Contact + "   " + h.URL) }

// Trust is a trust domain: the material that signatures are verified with, and what each signature must prove. A
// domain stands for itself: nothing that fails in one is tried in another.
type Trust struct {
	Name        string   `yaml:"name,required"`           // by which builders, signers and --trusted-root name it
	Keys        []Key    `yaml:"keys"`                    // managed keys
	TrustedRoot Root     `yaml:"trustedRoot"`             // Sigstore trusted_root.json, as a block or as text
	Root        string   `yaml:"root"`                    // or: the built-in domain whose logs, authorities and timestamping are used
	Requires    Requires `yaml:"requires"`                // each is required unless it says none
	Time        Choice   `yaml:"time" default:"required"` // "none": proves no signing time; a key is judged by today's date, ages are Unknown
}

// Requires says what a signature of the domain must come with. Each is required unless it says none.
type Requires struct {
	Log       Choice `yaml:"log" default:"required"`       // an entry in a transparency log of the domain
	Timestamp Choice `yaml:"timestamp" default:"required"` // an RFC 3161 timestamp by an authority of the domain
	SCT       Choice `yaml:"sct" default:"required"`       // a signed certificate timestamp of a CT log of the domain
}

// Choice is required (the zero value) or none.
type Choice string

// The two choices.
const (
	Required Choice = "required"
	None     Choice = "none"
)

// Key is a managed public key and the days on which it signs.
type Key struct {
	Name  string `yaml:"name,required"`       // by which builders, signers and bundles name it
	PEM   string `yaml:"pem,required"`        // PKIX public key
	From  Date   `yaml:"from"`                // first day
	Until Date   `yaml:"until"`               // last day
	Signs Signs  `yaml:"signs" default:"pae"` // what its DSSE signatures are over: pae, the encoding that DSSE prescribes, or payload, as regional keys of Google Cloud Build sign
}

// Signs says what signatures of a key are over.
type Signs string

// What is signed. The zero value is the pre-authentication encoding of DSSE.
const (
	SignsPAE     Signs = "pae"
	SignsPayload Signs = "payload"
)

// Root is a Sigstore trusted root as JSON.
type Root []byte

// Spec is the content of an ImageTrustPolicy.
type Spec struct {
	Match Match `yaml:"match,required"`         // which images it is about
	Mode  Mode  `yaml:"mode" default:"enforce"` // enforce (default), warn or audit

	EnforceFrom Date               `yaml:"enforceFrom"` // first day on which it refuses; before it, it warns
	Builders    map[string]Builder `yaml:"builders"`    // whose provenance counts, and under which controls
	Signers     map[string]Signer  `yaml:"signers"`     // who else signs images
	Signature   *Signature         `yaml:"signature"`   // the image itself must be signed
	Provenance  *Provenance        `yaml:"provenance"`  // provenance about this very image is required
	Source      *Source            `yaml:"source"`      // where it must have been built from; read from the provenance
	Inputs      *Inputs            `yaml:"inputs"`      // what may have gone into it; read from the provenance
	SBOM        *BOM               `yaml:"sbom"`        // a software bill of materials is required

	Base              *Base            `yaml:"base"`              // what it stands on, and what that stands on
	Vulnerabilities   *Vulnerabilities `yaml:"vulnerabilities"`   // a scan is required, and what it may not find
	Attestations      []Attested       `yaml:"attestations"`      // further attestations are required
	AllowDisagreement []Disagreement   `yaml:"allowDisagreement"` // conflicts between valid provenance that are put up with; none by default
	AnyOf             []Alternative    `yaml:"anyOf"`             // one of these must be met, besides the blocks of the policy itself
	Approved          []Approval       `yaml:"approved"`          // digests that are taken on trust
	Rules             []Custom         `yaml:"rules"`             // rules of one's own
}

// Match says which images the policy is about. Patterns run over the canonical repository name.
type Match struct {
	Images []Pattern `yaml:"images,required"` // repositories, such as ghcr.io/acme/{service}
	Except []Pattern `yaml:"except"`          // but not these
}

// Mode is what a policy does with its verdict.
type Mode string

// The modes. The zero value enforces.
const (
	Enforce Mode = "enforce"
	WarnAll Mode = "warn"
	Audit   Mode = "audit"
)

// Signer is an identity: exactly one of GitHub, GitLab, Buildkite, CircleCI, OIDC and Keys, under one trust domain.
type Signer struct {
	Trust     string     `yaml:"trust" default:"public-good"` // domain of the identity; keys need another
	GitHub    *GitHub    `yaml:"github"`                      // a workflow of GitHub Actions
	GitLab    *GitLab    `yaml:"gitlab"`                      // a job of GitLab CI
	Buildkite *Buildkite `yaml:"buildkite"`                   // a pipeline of Buildkite
	CircleCI  *CircleCI  `yaml:"circleci"`                    // a pipeline definition of CircleCI
	OIDC      *OIDC      `yaml:"oidc"`                        // or any other identity that a certificate names
	Keys      []string   `yaml:"keys"`                        // names of keys of the trust domain
}

// Builder is an identity whose provenance counts, and the most that it is credited with.
type Builder struct {
	Signer `yaml:",inline"`
	ID     string `yaml:"id"`                // the exact builder.id that a key may speak for; of a GitHub workflow that signs for others (a delegator), the one it may sign for
	Level  int    `yaml:"level" default:"2"` // the most it is credited with, SLSA Build 1 to 3

	Tekton     *Tekton     `yaml:"tekton"`   // its provenance is by Tekton Chains, and says this
	CloudBuild *CloudBuild `yaml:"gcb"`      // its provenance is by Google Cloud Build, and says this
	BuildKit   *BuildKit   `yaml:"buildkit"` // its provenance is by BuildKit, and says this
	Internal   *Internal   `yaml:"internal"` // its provenance is of one's own making; where to find what in it
}

// GitHub is an identity of GitHub Actions, read from the certificate.
type GitHub struct {
	Issuer          string    `yaml:"issuer" default:"https://token.actions.githubusercontent.com"` // of the identity tokens
	Workflow        Pattern   `yaml:"workflow,required"`                                            // owner/repository/.github/workflows/file: the workflow that builds and signs
	WorkflowRefs    []Pattern `yaml:"workflowRefs"`                                                 // refs at which callers may use it
	WorkflowCommits []string  `yaml:"workflowCommits"`                                              // or these commits
	Caller          *Caller   `yaml:"caller"`                                                       // who may call it. Without it, what the workflow signs besides provenance counts of runs for the source of the policy alone, and over policies and waivers of its own runs
	Events          []string  `yaml:"events"`                                                       // events that may start it; absent in the certificate fails
	Runner          string    `yaml:"runner"`                                                       // github-hosted or self-hosted
}

// Caller is the organisation or repository that called the workflow, by the ids that GitHub never gives twice.
type Caller struct {
	OwnerID      string `yaml:"ownerID"`      // certificate extension .17
	RepositoryID string `yaml:"repositoryID"` // certificate extension .15
}

// OIDC is an identity by its exact issuer and exact subject alternative name.
type OIDC struct {
	Issuer  string `yaml:"issuer,required"`  // of the identity tokens
	Subject string `yaml:"subject,required"` // the one subject alternative name
}

// Signature requires that the image itself is signed.
type Signature struct {
	By     By       `yaml:"by,required"` // names of signers or builders
	MaxAge Duration `yaml:"maxAge"`      // of the proven signing time
}

// Provenance requires authenticated provenance about this very image.
type Provenance struct {
	By      By       `yaml:"by,required"` // names of builders
	Formats []string `yaml:"formats"`     // slsa/v1, slsa/v0.2
	Level   int      `yaml:"level"`       // SLSA Build level
	MaxAge  Duration `yaml:"maxAge"`      // of the proven signing time

	Agreement Agreement `yaml:"agreement" default:"reported"` // where the look was cut short, that all provenance agrees is not known: reported, or, with complete, not enough
}

// Agreement says what becomes of it that not all provenance could be seen.
type Agreement string

// The two kinds of agreement. The zero value reports: whoever can make a place fail could otherwise stop deploys.
const (
	AgreementReported Agreement = "reported"
	AgreementComplete Agreement = "complete"
)

// Source requires where the image was built from.
type Source struct {
	Repository    Pattern     `yaml:"repository,required"`          // captures of match.images may be used
	RepositoryIDs []string    `yaml:"repositoryIDs"`                // the number of the repository is one of these, said by the certificate; a name can be given to somebody else
	OwnerIDs      []string    `yaml:"ownerIDs"`                     // and the number of its owner one of these
	Exceptions    []Exception `yaml:"exceptions"`                   // images that belong to another repository
	Refs          []Pattern   `yaml:"refs"`                         // full refs: refs/heads/main, refs/tags/v*
	SaidBy        SaidBy      `yaml:"saidBy" default:"certificate"` // at least this
}

// Exception ties one image to another repository.
type Exception struct {
	Image      Pattern `yaml:"image,required"`      // a repository of images, as in match
	Repository Pattern `yaml:"repository,required"` // and the one it is built from
}

// SaidBy is the weakest grade whose word is enough.
type SaidBy stemma.Grade

// By names whose evidence counts: any of a list, or at least so many distinct identities of it.
type By struct {
	AtLeast int      `yaml:"atLeast,required"` // how many distinct ones
	Of      []string `yaml:"of,required"`      // names
}

func (b *By) decodeYAML(d *decoder, n *yaml.Node, path string) {
	type plain By // without this method
	if n.Kind == yaml.MappingNode {
		var p plain
		before := len(d.errs)
		d.decode(n, &p, path)
		*b = By(p)
		// A threshold that is zero (the decoder refuses it) or cannot be reached is a mistake, never a way to pass.
		if len(d.errs) == before && b.AtLeast > len(b.Of) {
			d.failAt(join(path, "atLeast"), n, "", "atLeast must be between 1 and the %d names in of, got %d", len(b.Of), b.AtLeast)
		}
		return
	}
	b.AtLeast = 1
	d.value(n, reflect.ValueOf(&b.Of).Elem(), path)
}

func (Mode) choices() []string {
	return []string{string(Enforce), string(WarnAll), string(Audit)}
}

func (Unmatched) choices() []string {
	return []string{string(UnmatchedRefuse), string(UnmatchedWarn), string(UnmatchedAllow)}
}

func (ConfigSubjects) choices() []string {
	return []string{string(ConfigsRefused), string(ConfigsAccepted)}
}

func (Agreement) choices() []string {
	return []string{string(AgreementReported), string(AgreementComplete)}
}

func (Choice) choices() []string {
	return []string{string(Required), string(None)}
}

func (Signs) choices() []string {
	return []string{string(SignsPAE), string(SignsPayload)}
}

func (SaidBy) choices() []string {
	return []string{string(stemma.SaidByCertificate), string(stemma.SaidByBuilder), string(stemma.SaidByTenant), string(stemma.SaidByNobody)}
}

func (r *Root) decodeYAML(d *decoder, n *yaml.Node, path string) {
	var text []byte
	switch {
	case n.Kind == yaml.ScalarNode:
		text = []byte(d.text(n, path))
		if len(text) == 0 {
			return
		}
	case n.Kind == yaml.MappingNode && len(n.Content) > 0:
		var b bytes.Buffer
		d.nodeJSON(&b, n, path)
		text = b.Bytes()
	default:
		d.fail(n, "paste the trusted_root.json below it", "%s must be a trusted root, as a block or as text", last(path))
		return
	}
	root, err := stemma.ParseJSON(text)
	if err != nil {
		d.fail(n, "paste the trusted_root.json as it is", "%s is not JSON: %v", last(path), err)
		return
	}
	// One form, whether it was written as a block or as text, so that one meaning has one digest.
	var b bytes.Buffer
	sortedJSON(&b, root)
	*r = Root(b.Bytes())
}

func sortedJSON(b *bytes.Buffer, j *stemma.JSON) {
	separator := func(i int) {
		if i > 0 {
			b.WriteByte(',')
		}
	}
	switch {
	case j.IsObject():
		members := slices.SortedFunc(slices.Values(j.Elems()), func(x, y *stemma.JSON) int { return strings.Compare(x.Name(), y.Name()) })
		b.WriteByte('{')
		for i, m := range members {
			separator(i)
			b.Write(encode(m.Name()))
			b.WriteByte(':')
			sortedJSON(b, m)
		}
		b.WriteByte('}')
	case j.IsArray():
		b.WriteByte('[')
		for i, e := range j.Elems() {
			separator(i)
			sortedJSON(b, e)
		}
		b.WriteByte(']')
	case bytes.HasPrefix(j.Raw(), []byte{'"'}):
		b.Write(encode(j.Text()))
	default:
		b.Write(j.Raw())
	}
}

// nodeJSON writes a node as JSON. Plain scalars that are numbers or booleans of JSON stay what they are; all others,
// timestamps included, are text.
func (d *decoder) nodeJSON(b *bytes.Buffer, n *yaml.Node, path string) {
	switch {
	case n.Kind == yaml.MappingNode:
		b.WriteByte('{')
		first := true
		if len(n.Content) > 0 {
			d.members(n, path, func(k, value *yaml.Node) {
				if !first {
					b.WriteByte(',')
				}
				first = false
				b.Write(encode(k.Value))
				b.WriteByte(':')
				d.nodeJSON(b, value, join(path, k.Value))
			})
		}
		b.WriteByte('}')
	case n.Kind == yaml.SequenceNode:
		b.WriteByte('[')
		for i, c := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			d.nodeJSON(b, c, path)
		}
		b.WriteByte(']')
	case n.Style == 0 && (n.Tag == "!!int" || n.Tag == "!!bool" || n.Tag == "!!null") && stemma.CheckJSON([]byte(n.Value)) == nil:
		b.WriteString(n.Value)
	default:
		b.Write(encode(n.Value))
	}
}

// canonical is the JSON form of a document's content: names as in YAML, sorted, empty values and defaults left out. What has the
// same meaning has the same bytes, whether it came from a file, an artifact or a cluster.
func canonical(v reflect.Value) any {
	if v.IsValid() && v.CanInterface() {
		if m, ok := v.Interface().(interface{ MarshalText() ([]byte, error) }); ok {
			if v.IsZero() {
				return nil
			}
			text, _ := m.MarshalText() // dates and durations cannot fail
			return string(text)
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return canonical(v.Elem())
	case reflect.Struct:
		out := map[string]any{}
		names, fields, _ := keysOf(v.Type())
		for _, name := range names {
			e := canonical(v.FieldByIndex(fields[name]))
			standard, ok := v.Type().FieldByIndex(fields[name]).Tag.Lookup("default")
			if e != nil && (!ok || fmt.Sprint(e) != standard) {
				out[name] = e
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = canonical(v.MapIndex(k))
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case reflect.Slice:
		if v.Len() == 0 {
			return nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return string(v.Bytes())
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = canonical(v.Index(i))
		}
		return out
	}
	if v.IsZero() {
		return nil
	}
	return v.Interface()
}
