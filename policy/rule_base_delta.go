package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stemma"
)

func baseNewer() Rule {
	return Rule{
		ID:       "base.newer",
		Title:    "the tag by which a base was named leads to a newer build",
		Why:      "Whoever builds on a tag takes its updates with each build. Until the next one, the fixes are in the registry and not in the image.",
		Fix:      "rebuild the image",
		Since:    "0.1",
		Controls: []string{"SI-2"},
		inForce:  func(p *loaded) bool { return p.spec.Base != nil && p.spec.Base.Newer != "" },
		image: func(j *judgement) result {
			r := j.eachStep("base.newer", func(s step, _ AtDepth) *result {
				t := s.lineage.Tagged
				want := "the image to which its tag leads"
				switch {
				case t == nil:
					return &result{outcome: stemma.Unknown, reason: stemma.ReasonNotStated, want: want, got: brief(s.lineage.Base) + ", which is named without a tag"}
				case t.Reason != "":
					return &result{outcome: stemma.Unknown, reason: t.Reason, want: want, got: brief(s.lineage.Base) + ":" + t.Tag, detail: t.Why}
				case t.Digest != s.lineage.Base.Digest && t.Digest != s.lineage.Index:
					return &result{outcome: stemma.Fail, reason: stemma.ReasonOutdated, want: want, got: fmt.Sprintf("%s, and %s is %s by now", brief(s.lineage.Base), t.Tag, t.Digest.Short())}
				}
				r := pass(fmt.Sprintf("%s is %s", t.Tag, s.lineage.Base.Digest.Short()))
				return &r
			})
			if badness(r.outcome) > 0 && j.spec.Base.Newer == NewerWarn {
				r.outcome, r.advisory = stemma.Unknown, true
			}
			return r
		},
	}
}

func baseFiles() Rule {
	return Rule{
		ID:       "base.files",
		Title:    "files of a base are replaced or deleted above it",
		Why:      "Layers of a trusted base can be all there and count for nothing: a loader, a list of authorities or a program that lies over that of the base is what runs.",
		Fix:      "install what is meant to differ in the base itself, or leave the files of the base alone; stemma tree IMAGE --files lists them",
		Since:    "0.1",
		Controls: []string{"SI-7", "SI-7(15)"},
		inForce:  func(p *loaded) bool { return p.spec.Base != nil && len(p.spec.Base.DenyOverwrite) > 0 },
		image: func(j *judgement) result {
			return j.eachStep("base.denyOverwrite", func(s step, _ AtDepth) *result {
				r := j.overwritten(s.lineage)
				return &r
			})
		},
	}
}

// overwritten compares what became of the files of a base with what may.
func (j *judgement) overwritten(l *stemma.Lineage) result {
	deny := j.spec.Base.DenyOverwrite
	words := make([]string, len(deny))
	for i, c := range deny {
		words[i] = string(c)
	}
	r := result{outcome: stemma.Unknown, reason: stemma.ReasonUnreachable, want: "the files of the base as they were: " + enumerate(words, ", "), got: brief(l.Base), detail: "the files were not compared"}
	switch {
	case l.FilesWhy != "":
		r = unlooked(l.Base, cmp.Or(l.FilesReason, stemma.ReasonBaseProof), l.FilesWhy)
		r.want = "the files of the base as they were: " + enumerate(words, ", ")
		return r
	case !l.Grade.Based():
		r = unlooked(l.Base, cmp.Or(l.Reason, stemma.ReasonBaseProof), r.detail)
		r.want = "the files of the base as they were: " + enumerate(words, ", ")
		return r
	case !l.FilesRead:
		return r
	}
	total := 0
	for class, n := range l.FilesBy {
		if slices.Contains(deny, FileClass(class)) || slices.Contains(deny, AnyFile) {
			total += n
		}
	}
	if total == 0 {
		return pass(brief(l.Base))
	}
	r.outcome, r.reason, r.detail = stemma.Fail, stemma.ReasonOverwritten, ""
	r.got = fmt.Sprintf("%s of %s replaced or deleted", count(total, "file"), brief(l.Base))
	for _, o := range l.Overwrites {
		if !slices.Contains(deny, FileClass(o.Class)) && !slices.Contains(deny, AnyFile) {
			continue
		}
		if len(r.items) == 10 {
			r.items = append(r.items, fmt.Sprintf("%d more", total-10))
			break
		}
		what := "replaced"
		if o.Deleted {
			what = "deleted"
		}
		r.items = append(r.items, strings.TrimSpace(fmt.Sprintf("/%s  %s in layer %d  %s", o.Path, what, o.Layer, o.Class)))
	}
	return r
}

func baseSettings() Rule {
	return Rule{
		ID:       "base.settings",
		Title:    "a setting of a base is changed that may not be",
		Why:      "A variable that preloads a library, another search path or the root user undo what a base was accepted for, and change none of its files.",
		Fix:      "leave the setting as the base has it",
		Since:    "0.1",
		Controls: []string{"CM-6", "SI-7"},
		inForce: func(p *loaded) bool {
			return p.spec.Base != nil && len(p.spec.Base.DenyEnv)+len(p.spec.Base.DenySettings) > 0
		},
		image: func(j *judgement) result {
			path := "base.denyEnv"
			if len(j.spec.Base.DenyEnv) == 0 {
				path = "base.denySettings"
			}
			return j.eachStep(path, func(s step, _ AtDepth) *result {
				if !s.lineage.Grade.Based() {
					r := unlooked(s.lineage.Base, cmp.Or(s.lineage.Reason, stemma.ReasonBaseProof), "the config of the base was not compared")
					r.want = "the settings of the base"
					return &r
				}
				r := j.changed(s.lineage)
				return &r
			})
		},
	}
}

// changed compares the settings that an image changes with those that it may not.
func (j *judgement) changed(l *stemma.Lineage) result {
	b := j.spec.Base
	var items []string
	for _, c := range l.Changes {
		name, env := strings.CutPrefix(c.Setting, "env ")
		denied := !env && slices.Contains(b.DenySettings, Setting(c.Setting))
		if env {
			denied = slices.ContainsFunc(b.DenyEnv, func(p Pattern) bool { _, ok := p.match(name, nil); return ok })
		}
		if denied {
			items = append(items, fmt.Sprintf("%s: %s, was %s", c.Setting, quoteEmpty(c.Is), quoteEmpty(c.Was)))
		}
	}
	if len(items) == 0 {
		return pass(brief(l.Base))
	}
	return result{outcome: stemma.Fail, reason: stemma.ReasonSetting, got: "changed over " + brief(l.Base), want: "the settings of the base", items: items}
}

func baseStages() Rule {
	return Rule{
		ID:       "base.stages",
		Title:    "an image that the build used does not meet what is asked of it",
		Why:      "What compiles a program decides what the program does, and leaves none of its own layers in the image.",
		Fix:      "use an accepted image in the stages of the build; stemma tree IMAGE -v lists them",
		Since:    "0.1",
		Controls: []string{"SR-3", "SR-4", "SA-10"},
		inForce:  func(p *loaded) bool { return p.spec.Base != nil && p.spec.Base.Stages != nil },
		image: func(j *judgement) result {
			var parts []result
			var names []string
			for _, c := range j.chains() {
				for _, r := range j.stagesOf(c) {
					if badness(r.outcome) == 0 && r.got != "" {
						names = append(names, r.got)
					}
					parts = append(parts, r)
				}
			}
			slices.Sort(names)
			return j.sum(parts, "base.stages", cmp.Or(strings.Join(slices.Compact(names), ", "), "no image of a stage"))
		},
	}
}

// stagesOf judges the images of the stages of one build. They are told by the steps of the build alone: where nobody whose
// word counts tells them, it is not known which there were.
func (j *judgement) stagesOf(c chain) []result {
	l := c.of.Base
	want := "images of stages, told by the steps of the build"
	if l == nil {
		r := c.open
		r.want = want
		return []result{r}
	}
	if !l.Steps {
		r := result{outcome: stemma.Fail, reason: stemma.ReasonUnreported, got: "the steps of the build are not told" + c.where(), want: want}
		if u := c.of.Unavailable; len(u) > 0 {
			u := slices.SortedFunc(slices.Values(u), compareUnavailable)
			r.outcome, r.reason, r.detail = stemma.Unknown, u[0].Reason, u[0].Place+": "+u[0].Detail
		}
		return []result{r}
	}
	asked := j.spec.Base.Stages
	out := []result{}
	for i := range l.Stages {
		s := &l.Stages[i]
		if s.Binding == stemma.BindingLoose {
			continue // a stranger's word
		}
		if len(asked.Images) > 0 {
			r := j.among(s.Image, asked.Images)
			r.path = "base.stages.images"
			out = append(out, r)
		}
		if asked.Policy != "" {
			r := unlooked(s.Image, s.Reason, s.Why)
			r.want = "all that policy " + asked.Policy + " asks for"
			if s.Evidence != nil {
				r = j.role(asked.Policy, s.Image, s.Evidence)
			}
			r.path = "base.stages.policy"
			out = append(out, r)
		}
	}
	if l.MoreStages {
		out = append(out, result{outcome: stemma.Unknown, reason: stemma.ReasonTruncated, want: want, detail: "more images are named than were looked at"})
	}
	return out
}
