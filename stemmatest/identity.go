package stemmatest

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"
)

// Identity is somebody to whom the certificate authority issues a certificate.
type Identity interface {
	// Certificate is what the certificate of the identity says. The result belongs to the caller.
	Certificate() Certificate
}

// Certificate is what a signing certificate says, field by field, whether or not it makes sense. It is the Identity
// to use where the ones of the providers are too honest: take theirs and edit it.
type Certificate struct {
	URIs       []string       // subject alternative names: URIs,
	Emails     []string       // e-mail addresses,
	OtherName  string         // and Fulcio's username (extension .7 as a type of name)
	Extensions map[int]string // N → value of extension 1.3.6.1.4.1.57264.1.N; below 7 raw text, from 8 DER UTF8String
	Raw        []pkix.Extension

	Key   crypto.Signer      // nil: a new P-256 key
	Usage []x509.ExtKeyUsage // nil: code signing; empty: none
	CT    []*CTLog           // nil: the log of the instance; empty: no certificate timestamp

	From, Until time.Time // zero: ten minutes from the time of signing
}

// Certificate makes c an Identity.
func (c Certificate) Certificate() Certificate {
	c.Extensions = maps.Clone(c.Extensions)
	c.URIs, c.Emails = slices.Clone(c.URIs), slices.Clone(c.Emails)
	return c
}

// claims makes the extensions of a provider: the issuer in its old and its new place, and every claim with a value.
func claims(issuer string, c map[int]string) map[int]string {
	out := map[int]string{1: issuer, 8: issuer}
	for n, v := range c {
		if v != "" {
			out[n] = v
		}
	}
	return out
}

func (c Certificate) extensions() []pkix.Extension {
	out := []pkix.Extension{c.names()}
	for _, n := range slices.Sorted(maps.Keys(c.Extensions)) {
		value := []byte(c.Extensions[n])
		// "1.3.6.1.4.1.57264.1.8 … DER-encoded string" and so from there on; the older ones hold the text itself.
		if n >= 8 {
			value = tlv(tagUTF8String, value)
		}
		out = append(out, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, n}, Value: value})
	}
	return append(out, c.Raw...)
}

// names is the subject alternative name extension (RFC 5280 section 4.2.1.6), critical because the subject is empty.
func (c Certificate) names() pkix.Extension {
	var names [][]byte
	for _, u := range c.URIs {
		names = append(names, tlv(0x86, []byte(u)))
	}
	for _, e := range c.Emails {
		names = append(names, tlv(0x81, []byte(e)))
	}
	if c.OtherName != "" {
		names = append(names, tlv(tagContext0, derOID(1, 3, 6, 1, 4, 1, 57264, 1, 7), tlv(tagContext0, tlv(tagUTF8String, []byte(c.OtherName)))))
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: tlv(tagSequence, names...)}
}

// GitHubIssuer is the issuer of GitHub Actions.
const GitHubIssuer = "https://token.actions.githubusercontent.com"

// GitHub is a job of GitHub Actions. Only Repository is needed; every other zero field gets an ordinary value. An
// enterprise has an issuer of its own, GitHubIssuer + "/acme", or a host of its own with the issuer
// "https://token.actions.acme.ghe.com"; then all URLs are on that host.
type GitHub struct {
	Repository   string // the repository that runs the job, "acme/app"
	RepositoryID string
	OwnerID      string
	Ref          string // ref that was built, "refs/tags/v2.0.0"
	SHA          string // its commit
	Event        string // "push"
	Workflow     string // file that was started, ".github/workflows/release.yml"
	Name         string // its name, "Release"
	Builder      string // workflow that signs, "owner/repo/path@ref"; the started one unless it is a reusable one
	BuilderSHA   string // commit of Builder
	Runner       string // "github-hosted"
	Run          string // "1234567890/attempts/1"
	Visibility   string // "public"
	Environment  string // deployment environment; none unless set
	Issuer       string // GitHubIssuer
}

// defaults fills in what the job would be given by GitHub.
func (g GitHub) defaults() GitHub {
	def := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	def(&g.RepositoryID, "700100200")
	def(&g.OwnerID, "9001000")
	def(&g.Ref, "refs/heads/main")
	def(&g.SHA, Commit(g.Repository+"@"+g.Ref))
	def(&g.Event, "push")
	def(&g.Workflow, ".github/workflows/release.yml")
	def(&g.Name, "Release")
	def(&g.Builder, g.Repository+"/"+g.Workflow+"@"+g.Ref)
	if strings.HasPrefix(g.Builder, g.Repository+"/") && strings.HasSuffix(g.Builder, "@"+g.Ref) {
		def(&g.BuilderSHA, g.SHA) // a workflow of the repository itself, as it is at the commit that is built
	}
	def(&g.BuilderSHA, Commit(g.Builder))
	def(&g.Runner, "github-hosted")
	def(&g.Run, "15920000001/attempts/1")
	def(&g.Visibility, "public")
	def(&g.Issuer, GitHubIssuer)
	return g
}

func (g GitHub) owner() string { o, _, _ := strings.Cut(g.Repository, "/"); return o }

// server is where the repositories of the issuer are.
func (g GitHub) server() string {
	if host, ok := strings.CutPrefix(g.Issuer, "https://token.actions."); ok && strings.HasSuffix(host, ".ghe.com") {
		return "https://" + host + "/"
	}
	return "https://github.com/"
}

func (g GitHub) runURL() string {
	return g.server() + g.Repository + "/actions/runs/" + g.Run
}

// Certificate has all of the extensions .1 to .24 that Fulcio's template for GitHub fills.
func (g GitHub) Certificate() Certificate {
	g = g.defaults()
	host := g.server()
	sub := "repo:" + g.Repository + ":ref:" + g.Ref
	if g.Environment != "" {
		sub = "repo:" + g.Repository + ":environment:" + g.Environment
	}
	return Certificate{
		URIs: []string{host + g.Builder},
		Extensions: claims(g.Issuer, map[int]string{
			2: g.Event, 3: g.SHA, 4: g.Name, 5: g.Repository, 6: g.Ref,
			9: host + g.Builder, 10: g.BuilderSHA, 11: g.Runner,
			12: host + g.Repository, 13: g.SHA, 14: g.Ref, 15: g.RepositoryID, 16: host + g.owner(), 17: g.OwnerID,
			18: host + g.Repository + "/" + g.Workflow + "@" + g.Ref, 19: g.SHA,
			20: g.Event, 21: g.runURL(), 22: g.Visibility, 23: g.Environment, 24: sub,
		}),
	}
}

// Commit is a commit id of 40 hex digits that is always the same for the same name.
func Commit(name string) string {
	sum := sha256.Sum256([]byte("commit " + name))
	return hex.EncodeToString(sum[:20])
}

// GitLab is a job of GitLab CI. Only Project is needed.
type GitLab struct {
	Project     string // "acme/app"
	ProjectID   string
	NamespaceID string
	Ref         string // full, "refs/heads/main"
	SHA         string
	Config      string // file that defines the pipeline, "host/project//path@ref"; the project's own .gitlab-ci.yml
	ConfigSHA   string
	Source      string // what started the pipeline, "push"
	Runner      string // "gitlab-hosted"
	Job         string // id
	Visibility  string
	Environment string
	Server      string // "https://gitlab.com", also the issuer
}

func (g GitLab) defaults() GitLab {
	def := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	def(&g.ProjectID, "55235664")
	def(&g.NamespaceID, "12885801")
	def(&g.Ref, "refs/heads/main")
	def(&g.SHA, Commit(g.Project+"@"+g.Ref))
	def(&g.Server, "https://gitlab.com")
	// Two slashes stand between project and file: "ci_config_ref_uri": "gitlab.com/group/project//.gitlab-ci.yml@ref".
	def(&g.Config, strings.TrimPrefix(g.Server, "https://")+"/"+g.Project+"//.gitlab-ci.yml@"+g.Ref)
	def(&g.ConfigSHA, g.SHA)
	def(&g.Source, "push")
	def(&g.Runner, "gitlab-hosted")
	def(&g.Job, "8415754949")
	def(&g.Visibility, "public")
	return g
}

// Certificate has the extensions of Fulcio's template for GitLab: all from .8 on. Who started the pipeline, whether the
// ref is protected and which runner it was are in the token only.
func (g GitLab) Certificate() Certificate {
	g = g.defaults()
	project := g.Server + "/" + g.Project
	kind, name := "branch", strings.TrimPrefix(g.Ref, "refs/heads/")
	if tag, ok := strings.CutPrefix(g.Ref, "refs/tags/"); ok {
		kind, name = "tag", tag
	}
	namespace := g.Project[:max(strings.LastIndex(g.Project, "/"), 0)]
	return Certificate{
		URIs: []string{"https://" + g.Config},
		Extensions: claims(g.Server, map[int]string{
			9: "https://" + g.Config, 10: g.ConfigSHA, 11: g.Runner,
			12: project, 13: g.SHA, 14: g.Ref, 15: g.ProjectID, 16: g.Server + "/" + namespace, 17: g.NamespaceID,
			18: "https://" + g.Config, 19: g.ConfigSHA, 20: g.Source, 21: project + "/-/jobs/" + g.Job,
			22: g.Visibility, 23: g.Environment,
			24: "project_path:" + g.Project + ":ref_type:" + kind + ":ref:" + name,
		}),
	}
}
