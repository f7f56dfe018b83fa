package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"stemma"
	"stemma/internal/oci"
)

// MirrorItem is one manifest, blob or tag of a copy, and what became of it.
type MirrorItem = oci.CopiedItem

// Results of a MirrorItem.
const (
	ItemCopied   = oci.CopyDone
	ItemMounted  = oci.Mounted
	ItemThere    = oci.AlreadyThere
	ItemRefused  = oci.NotTaken
	ItemNotRead  = oci.NotRead
	ItemLeftOut  = oci.LeftOut
	notOfTheCopy = "it is about the index %s, which lists the image and is no part of the copy: copy the index"
)

// MirrorReport is what a copy came to. What it says of the copy was found by looking at the copy, with nothing that was
// remembered of the source.
type MirrorReport struct {
	Source stemma.Image `json:"source"` // from a layout: without a name
	Copy   stemma.Image `json:"copy"`
	Items  []MirrorItem `json:"items"` // in the order in which they were copied
	Bytes  int64        `json:"bytes"` // that were sent
	// FallbackTags says that the destination lists no referrers, so that tags made of digests list them.
	FallbackTags bool `json:"fallbackTags,omitempty"`

	Evidence    int                  `json:"evidence"`              // pieces of possible evidence that the source has
	Missing     []MissingEvidence    `json:"missing,omitempty"`     // those that the copy has not
	Unavailable []stemma.Unavailable `json:"unavailable,omitempty"` // what could not be looked at, at either end
	Before      *stemma.Decision     `json:"before,omitempty"`      // about the source; without policies there is none
	After       *stemma.Decision     `json:"after,omitempty"`       // about the copy
	Differences []string             `json:"differences,omitempty"` // why the copy is not as good as the source; none: it is
}

// MissingEvidence is a piece that the source has and the copy has not.
type MissingEvidence struct {
	Bundle stemma.Digest `json:"bundle"`
	Format stemma.Format `json:"format"`
	Of     stemma.Digest `json:"of"`    // the manifest that it is about
	Place  string        `json:"place"` // where the source has it
	Why    string        `json:"why"`
}

// Equal reports that the copy has all that the source has, and is judged alike.
func (r *MirrorReport) Equal() bool { return len(r.Differences) == 0 }

// Mirror copies an image with everything that is about it to another repository, then looks at the copy as anybody would
// and compares. With policies, both are verified, each under its own name. dst without a tag takes that of src.
// progress may be nil.
//
// An error means that there is no copy, or that it could not be looked at; the report then says how far it came, or is
// nil.
func (v *Verifier) Mirror(ctx context.Context, src, dst string, progress func(done, total int)) (report *MirrorReport, err error) {
	defer caught(&err)
	from, to, err := mirrorRefs(src, dst)
	if err != nil {
		return nil, err
	}
	before, err := v.client.Open(ctx, oci.Look{Ref: from})
	if err != nil {
		return nil, translate(err)
	}
	// From here on a tag of the source may mean something else.
	if from.Digest == "" {
		from.Tag, from.Digest = "", before.Image.Digest
	}
	report = &MirrorReport{Source: before.Image, Copy: stemma.Image{Repository: to.Repository, Digest: before.Image.Digest, Tag: to.Tag}}
	if v.config.Policies != nil {
		request := Request{Image: from.String()}
		if from.Layout != "" {
			request.Name = to.Repository
		}
		result, err := v.Verify(ctx, request)
		if err != nil {
			return report, err
		}
		report.Before = result.Decision
	}
	copied, err := v.client.Copy(ctx, from, to, progress)
	if copied != nil {
		report.Items, report.Bytes, report.FallbackTags = copied.Items, copied.Bytes, copied.Fallback
	}
	if err != nil {
		return report, translate(err)
	}
	return report, v.compare(ctx, report, before, to)
}

// mirrorRefs reads both ends of a copy.
func mirrorRefs(src, dst string) (from, to oci.Reference, err error) {
	if from, err = oci.ParseReference(src); err != nil {
		return from, to, translate(err)
	}
	if to, err = oci.ParseReference(dst); err != nil {
		return from, to, translate(err)
	}
	switch {
	case to.Layout != "":
		return from, to, &Error{Kind: Invalid, Err: errors.New("a copy to a layout: " + dst), Hint: "name a repository; skopeo copy --all and oras copy -r write layouts"}
	case to.Digest != "":
		return from, to, &Error{Kind: Invalid, Err: errors.New("a copy to a digest: " + dst), Hint: "leave the digest out: a copy has that of its source"}
	}
	if !strings.HasSuffix(dst, ":"+to.Tag) { // it was not written
		to.Tag = from.Tag
	}
	return from, to, nil
}

// compare looks at the copy with a client that has seen nothing yet: what a cache still holds of the source would stand
// in for what is missing.
func (v *Verifier) compare(ctx context.Context, report *MirrorReport, before *oci.Found, to oci.Reference) error {
	config := v.config
	config.CacheDir = ""
	way, client, err := connect(config, nil)
	if err != nil {
		return err
	}
	fresh := &Verifier{config: config, way: way, client: client, auth: v.auth, missing: v.missing}
	look := oci.Look{Ref: to}
	if to.Tag == "" {
		look.Ref.Digest = before.Image.Digest
	}
	after, err := client.Open(ctx, look)
	if err != nil {
		return translate(err)
	}
	differ := func(format string, args ...any) {
		report.Differences = append(report.Differences, fmt.Sprintf(format, args...))
	}
	if after.Image.Digest != before.Image.Digest {
		differ("the tag %s of the copy names %s, and not %s", to.Tag, after.Image.Digest, before.Image.Digest)
	}
	for end, f := range map[string]*oci.Found{"source": before, "copy": after} {
		report.Unavailable = append(report.Unavailable, unavailableIn(end, f)...)
	}
	slices.SortFunc(report.Unavailable, func(a, b stemma.Unavailable) int {
		return cmp.Or(-strings.Compare(a.Place, b.Place), strings.Compare(a.Detail, b.Detail))
	})
	has := pieces(after, "")
	wanted := pieces(before, "")
	report.Evidence = len(wanted)
	for key, m := range wanted {
		if _, ok := has[key]; !ok {
			m.Why = cmp.Or(m.Why, report.why(m, after))
			report.Missing = append(report.Missing, m)
		}
	}
	slices.SortFunc(report.Missing, func(a, b MissingEvidence) int {
		return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Bundle, b.Bundle), cmp.Compare(a.Format, b.Format))
	})
	lost := 0
	for _, i := range report.Items {
		if i.Result == ItemRefused || i.Result == ItemNotRead {
			lost++
		}
	}
	if lost > 0 {
		differ("%d of %d items could not be copied", lost, len(report.Items))
	}
	if n := len(report.Missing); n > 0 {
		differ("%d of %d pieces of evidence are missing from the copy", n, report.Evidence)
	}
	if n := len(report.Unavailable); n > 0 {
		differ("not every place could be looked at (%d failed), so that evidence may be missing unseen", n)
	}
	if report.Before == nil {
		return nil
	}
	result, err := fresh.Verify(ctx, Request{Image: to.Repository + "@" + string(before.Image.Digest), Situation: report.Before.Situation})
	if err != nil {
		return err
	}
	report.After = result.Decision
	report.Differences = append(report.Differences, unlike(report.Before, report.After)...)
	return nil
}

type pieceKey struct {
	of, id stemma.Digest
	format stemma.Format
}

// pieces are all pieces of possible evidence about an image, its children and what is attached to them. why is given to
// each.
func pieces(f *oci.Found, why string) map[pieceKey]MissingEvidence {
	all := map[pieceKey]MissingEvidence{}
	for _, r := range f.Raw {
		id := r.ID()
		all[pieceKey{f.Image.Digest, id, r.Format}] = MissingEvidence{Bundle: id, Format: r.Format, Of: f.Image.Digest, Place: r.Place, Why: why}
	}
	for _, file := range f.Files {
		format := stemma.Format(stemma.Printable(file.MediaType, 100))
		all[pieceKey{f.Image.Digest, file.Digest, format}] = MissingEvidence{Bundle: file.Digest, Format: format, Of: f.Image.Digest, Place: "attached", Why: why}
	}
	add := func(more map[pieceKey]MissingEvidence) {
		for k, m := range more {
			if _, ok := all[k]; !ok {
				all[k] = m
			}
		}
	}
	for _, part := range slices.Concat(f.Children, f.Attached) {
		add(pieces(part, why))
	}
	for _, index := range f.Indexes {
		add(pieces(index, fmt.Sprintf(notOfTheCopy, index.Image.Digest.Short())))
	}
	return all
}

// unavailableIn is what could not be looked at anywhere about an image.
func unavailableIn(end string, f *oci.Found) []stemma.Unavailable {
	var list []stemma.Unavailable
	for _, u := range f.Unavailable {
		u.Place = end + ": " + u.Place
		list = append(list, u)
	}
	for _, part := range slices.Concat(f.Children, f.Attached, f.Indexes) {
		for _, u := range unavailableIn(end, part) {
			if !slices.Contains(list, u) {
				list = append(list, u)
			}
		}
	}
	return list
}

// why says what became of a piece that is missing: of its blob, of the manifest that holds it, or of what could be that.
func (r *MirrorReport) why(m MissingEvidence, after *oci.Found) string {
	lost := func(i MirrorItem) bool { return i.Result == ItemRefused || i.Result == ItemNotRead }
	said := ""
	for _, i := range r.Items {
		switch {
		case i.Digest == m.Bundle && lost(i):
			return fmt.Sprintf("it was %s: %s", i.Result, i.Why)
		case i.Digest == m.Bundle: // a blob, which is there
			for _, holds := range r.Items {
				if holds.Digest == i.Of && lost(holds) {
					return fmt.Sprintf("the %s %s that holds it was %s", holds.Kind, holds.Digest.Short(), holds.Result)
				}
			}
		case i.Of == m.Of && lost(i) && said == "":
			said = strings.TrimSpace(fmt.Sprintf("a %s about it was %s: %s", i.Kind, i.Result, i.Why))
		}
	}
	if said != "" {
		return said
	}
	if u := unavailableAbout(m.Of, after); u != nil {
		return fmt.Sprintf("it was copied, and cannot be seen there: %s: %s", u.Place, u.Detail)
	}
	return "it was copied, and the destination does not list it"
}

// unavailableAbout is what could not be looked at about one manifest.
func unavailableAbout(d stemma.Digest, f *oci.Found) *stemma.Unavailable {
	if f.Image.Digest == d && len(f.Unavailable) > 0 {
		return &f.Unavailable[0]
	}
	for _, part := range slices.Concat(f.Children, f.Attached) {
		if u := unavailableAbout(d, part); u != nil {
			return u
		}
	}
	return nil
}

// unlike says how two decisions about the same image differ.
func unlike(before, after *stemma.Decision) []string {
	var list []string
	if before.Verdict != after.Verdict || before.Effect != after.Effect {
		list = append(list, fmt.Sprintf("the source is judged %s (%s), the copy %s (%s)", before.Verdict, before.Effect, after.Verdict, after.Effect))
	}
	if before.Image.Repository != after.Image.Repository && !slices.EqualFunc(before.Policies, after.Policies, func(a, b stemma.PolicyRef) bool { return a.Digest == b.Digest }) {
		list = append(list, fmt.Sprintf("other policies are about %s than about %s: a PolicySet says under spec.mirrors which repositories stand for others", after.Image.Repository, before.Image.Repository))
		return list
	}
	type requirement struct{ policy, rule, platform string }
	outcomes := map[requirement]stemma.Outcome{}
	for _, f := range before.Findings {
		outcomes[requirement{f.Policy, f.Rule, f.Platform}] = f.Outcome
	}
	for _, f := range after.Findings {
		// What only has nothing to judge any more is no difference of its own.
		if was, ok := outcomes[requirement{f.Policy, f.Rule, f.Platform}]; ok && was != f.Outcome && f.Needs == "" {
			list = append(list, fmt.Sprintf("%s is %s for the source and %s for the copy", strings.TrimSpace(f.Rule+" "+f.Platform), was, f.Outcome))
		}
	}
	return list
}

// NewMirror makes a Verifier that can only copy and compare: it judges nothing, and fetches no trusted roots.
func NewMirror(c Config) (*Verifier, error) {
	c.Policies = nil
	if c.Clock == nil {
		c.Clock = time.Now
	}
	way, client, err := connect(c, nil)
	if err != nil {
		return nil, err
	}
	return &Verifier{config: c, way: way, client: client}, nil
}
