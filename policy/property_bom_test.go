package policy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"stemma"
)

// drawBOM makes evidence of parts that meet, half meet and miss what bomPolicy asks for.
func drawBOM(t *rapid.T) *stemma.Evidence {
	e := f0()
	dependencies(e)
	pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	signer := func() stemma.Identity {
		switch pick("signer", "builder", "builder", "vendor", "scanner", "intern") {
		case "builder":
			return githubSigner(trustedSAN)
		case "vendor":
			return vendor()
		case "scanner":
			return scanner()
		}
		return keySigner("acme-kms", "intern")
	}
	frame := func(a *stemma.Attestation) {
		switch pick("frame", "fine", "fine", "fine", "old", "undated", "elsewhere", "cosigned") {
		case "old":
			a.SignedAt[0].Time = now().At.AddDate(-1, 0, 0)
		case "undated":
			a.SignedAt = nil
		case "elsewhere":
			a.Binding.Member = digest("other")
		case "cosigned":
			a.Cosigners = []stemma.Identity{vendor()}
		}
	}
	if whole := pick("begin", "parts", "parts", "whole", "undated whole"); whole != "parts" {
		// Parts at random rarely meet everything.
		addSBOM(e, "good sbom", vendor())
		addScan(e, "good scan", scanner())
		addReview(e, "good review", vendor(), accepted)
		if whole == "undated whole" {
			untimed(e)
		}
		return e
	}
	if pick("second provenance", "no", "no", "yes") == "yes" {
		add(e, "second", githubSigner(trustedSAN), func(_ *stemma.Attestation, p *stemma.Provenance) {
			p.Claims[stemma.FieldRef] = said(pick("ref", "refs/tags/v2.0.0", "refs/heads/wip"), stemma.SaidByCertificate, "certificate .14")
			p.Inputs = slices.Clone(e.Provenance[0].Inputs)
			if pick("inputs", "same", "none") == "none" {
				p.Inputs = nil
			}
		})
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "sboms") {
		addSBOM(e, fmt.Sprint("sbom ", i), signer(), func(a *stemma.Attestation, s *stemma.SBOM) {
			frame(a)
			switch pick("sbom", "fine", "fine", "format", "tool", "subject", "base", "packages", "elements") {
			case "format":
				s.Format = "CycloneDX 1.6"
			case "tool":
				s.Tools = nil
			case "subject":
				s.Subjects[0].Digests = []stemma.Digest{digest("other")}
			case "base":
				s.Bases = nil
			case "packages":
				s.Packages = s.Packages[1:]
			case "elements":
				s.Elements.Unnamed = 1
			}
		})
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "scans") {
		addScan(e, fmt.Sprint("scan ", i), scanner(), func(a *stemma.Attestation, s *stemma.Scan) {
			frame(a)
			switch pick("scan", "fine", "fine", "dirty", "stale", "confused") {
			case "dirty":
				s.Found = append(s.Found, critical("CVE-2026-2"))
			case "stale":
				s.Database = now().At.AddDate(-1, 0, 0)
			case "confused":
				s.Notes = []string{"result not understood"}
			}
		})
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "words") {
		addVEX(e, fmt.Sprint("vex ", i), signer(), hours(i), stemma.Exploitability{
			IDs: []string{"CVE-2026-2"}, Digests: []stemma.Digest{imageDigest()}, Status: pick("status", "fixed", "affected"),
		})
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "reviews") {
		addReview(e, fmt.Sprint("review ", i), signer(), pick("review", accepted, accepted, `{"result":"rejected"}`, `{`))
		frame(&e.Attestations[len(e.Attestations)-1])
	}
	return e
}

// TestRemovingBOM: withholding an attestation never meets a requirement, but for vulnerabilities.none, which is about what
// scans found. What could not be looked at never allows; order, and finding the same thing twice, are nothing.
func TestRemovingBOM(t *testing.T) {
	two := change(t, bomPolicy, "sbom: {by: [release, vendor]", "sbom: {by: {atLeast: 2, of: [release, vendor]}", "by: [vendor, scanner]", "by: {atLeast: 2, of: [vendor, scanner, release]}")
	verdicts := map[stemma.Verdict]int{}
	for _, text := range []string{bomPolicy, change(t, bomPolicy, ", elements: ntia", ""), two} {
		set := load(t, text)
		rapid.Check(t, func(t *rapid.T) {
			e := drawBOM(t)
			before := Evaluate(set, e, now())
			verdicts[before.Verdict]++
			had := cells(before)
			for i := range e.Attestations {
				c := *e
				c.Attestations = without(e.Attestations, i)
				after := Evaluate(set, &c, now())
				has, excepted := cells(after), false
				for cell, outcome := range had {
					if negative(cell) || strings.Contains(cell, " vulnerabilities.none ") {
						excepted = excepted || outcome != stemma.Pass
					} else if outcome != stemma.Pass && has[cell] == stemma.Pass {
						t.Fatalf("without attestation %d, %s passes:\n%s\n%s", i, cell, render(before), render(after))
					}
				}
				if after.Verdict == stemma.Allow && before.Verdict != stemma.Allow && !excepted {
					t.Fatalf("without attestation %d it is allowed:\n%s\n%s", i, render(before), render(after))
				}
			}
			blind := *e
			blind.Unavailable = []stemma.Unavailable{away()}
			if after := Evaluate(set, &blind, now()); after.Verdict == stemma.Allow && before.Verdict != stemma.Allow {
				t.Fatalf("blindness allows:\n%s\n%s", render(before), render(after))
			}
			copies := *e
			copies.Attestations = slices.Concat(e.Attestations, e.Attestations)
			copies.SBOMs, copies.Scans, copies.VEX = slices.Concat(e.SBOMs, e.SBOMs), slices.Concat(e.Scans, e.Scans), slices.Concat(e.VEX, e.VEX)
			if after := Evaluate(set, &copies, now()); after.Verdict != before.Verdict {
				t.Fatalf("twice the same is something else:\n%s\n%s", render(before), render(after))
			}
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
			r.Shuffle(len(e.SBOMs), func(i, j int) { e.SBOMs[i], e.SBOMs[j] = e.SBOMs[j], e.SBOMs[i] })
			r.Shuffle(len(e.Scans), func(i, j int) { e.Scans[i], e.Scans[j] = e.Scans[j], e.Scans[i] })
			r.Shuffle(len(e.VEX), func(i, j int) { e.VEX[i], e.VEX[j] = e.VEX[j], e.VEX[i] })
			r.Shuffle(len(e.Attestations), func(i, j int) { e.Attestations[i], e.Attestations[j] = e.Attestations[j], e.Attestations[i] })
			if !bytes.Equal(encode(Evaluate(set, e, now())), encode(before)) {
				t.Fatalf("another order, another decision:\n%s\n%s", render(before), render(Evaluate(set, e, now())))
			}
		})
	}
	if testing.Short() {
		return // too few are drawn to reach all verdicts
	}
	if verdicts[stemma.Allow] == 0 || verdicts[stemma.Deny] == 0 || verdicts[stemma.Undetermined] == 0 {
		t.Errorf("the generator does not reach all verdicts: %v", verdicts)
	}
}
