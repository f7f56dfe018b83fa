package stemma

import "time"

// Situation is everything that a verdict depends on besides policy and evidence. Rules take the time from here and
// from nowhere else.
type Situation struct {
	At        time.Time `json:"at"`
	Namespace string    `json:"namespace,omitempty"`
	Requester string    `json:"requester,omitempty"`
	Platforms []string  `json:"platforms,omitempty"` // platforms that it is to run on, "linux/amd64"; none: not known
	// Expect is what this deployment expects of the provenance, by field: {"commit": "3f1c…"}.
	Expect map[Field]string `json:"expect,omitempty"`
	// ByTag is true of an image that was asked for by tag alone, and Pinned where the edge deploys the digest instead.
	ByTag  bool `json:"byTag,omitempty"`
	Pinned bool `json:"pinned,omitempty"`
	// WhatIf is true where At is not the present: such a decision has no effect.
	WhatIf bool `json:"whatIf,omitempty"`
	// Admitted is when this digest was first admitted to this namespace under enforcement, where it runs already; LastGood is
	// when the same set last allowed it. Only an edge that keeps decisions knows them.
	Admitted time.Time `json:"admitted,omitzero"`
	LastGood time.Time `json:"lastGood,omitzero"`
	// Endorsed are the verified signatures over documents that need one, such as waivers.
	Endorsed []Endorsement `json:"endorsed,omitempty"`
}

// Endorsement is a verified signature over a document: over its file or over its canonical form.
type Endorsement struct {
	Of       Digest       `json:"of"` // of the file, or the id of the document
	Bundle   Digest       `json:"bundle"`
	Signer   Identity     `json:"signer"`
	SignedAt []SignedTime `json:"signedAt,omitempty"`
}

// Outcome is what a rule says of one requirement. Pass is always the safe direction.
type Outcome string

// The outcomes of a requirement. The zero Outcome is not one of them and counts as Unknown.
const (
	Pass          Outcome = "pass"
	Fail          Outcome = "fail"
	Unknown       Outcome = "unknown"
	NotApplicable Outcome = "not-applicable"
	Waived        Outcome = "waived" // not met, and a waiver in force says that it need not be
)

// Verdict is what the policies say of an image, as if all of them were enforced. The zero Verdict is invalid.
type Verdict string

// The three verdicts.
const (
	Allow        Verdict = "allow"
	Deny         Verdict = "deny"
	Undetermined Verdict = "undetermined"
)

// Effect is what an edge does with a verdict, after mode and dates were taken into account.
type Effect string

// The effects.
const (
	Admit  Effect = "admit"
	Warn   Effect = "warn" // admitted, with a warning
	Refuse Effect = "refuse"
	None   Effect = "none" // of a decision about another time: nothing may be admitted by it
)

// Level is a SLSA Build track level, 0 to 3.
type Level int

// Finding is the outcome of one requirement for one image: what was found, what was wanted, by which line of which
// policy, and the evidence it rests on.
type Finding struct {
	Rule    string   `json:"rule"`
	Outcome Outcome  `json:"outcome"`
	Reason  Reason   `json:"reason,omitempty"`
	Title   string   `json:"title"`
	Got     string   `json:"got,omitempty"`
	Want    string   `json:"want,omitempty"`
	Detail  string   `json:"detail,omitempty"` // what differs, or what was tried
	Items   []string `json:"items,omitempty"`  // where several things are wrong, each on a line of its own
	Proof   string   `json:"proof,omitempty"`
	Fix     string   `json:"fix,omitempty"`
	Policy  string   `json:"policy,omitempty"` // name of the policy
	Where   string   `json:"where,omitempty"`  // file:line of the requirement
	// Platform is set where platforms are judged each: "linux/arm64". Of is then the digest of its manifest, if there is one.
	Platform string `json:"platform,omitempty"`
	Of       Digest `json:"of,omitempty"`
	// Advisory findings are reported and do not count for the verdict, unless they fail.
	Advisory bool     `json:"advisory,omitempty"`
	Cites    []Digest `json:"cites,omitempty"`  // evidence the finding rests on
	Needs    string   `json:"needs,omitempty"`  // the rule without which this one has nothing to judge; its outcome is that rule's
	Waiver   string   `json:"waiver,omitempty"` // name of the waiver in force for what is not met
}

// WaiverRef names a waiver about an image, and what became of it.
type WaiverRef struct {
	Name     string    `json:"name"`
	Digest   Digest    `json:"digest"` // sha256 of the canonical JSON of kind, name and spec
	Policy   string    `json:"policy"`
	Rules    []string  `json:"rules"`
	Reason   string    `json:"reason"`
	Ticket   string    `json:"ticket,omitempty"`
	Owner    string    `json:"owner"`
	Approved string    `json:"approved,omitempty"` // whose verified signature approves it
	Until    time.Time `json:"until"`              // last day
	Ignored  string    `json:"ignored,omitempty"`  // why it does not count; empty: it is in force
	Used     []string  `json:"used,omitempty"`     // rules that are unmet and waived by it
}

// PolicyRef names a policy that matched and what it adds to the effect.
type PolicyRef struct {
	Name   string `json:"name"`   // of a policy of a namespace: namespace/name
	Digest Digest `json:"digest"` // PolicyID: sha256 of the canonical JSON of kind, name and spec
	Mode   string `json:"mode"`   // audit, warn or enforce
	Why    string `json:"why"`    // the pattern that matched
}

// Decision is the complete answer for one image. From the same policy set, trust, evidence and situation it is the
// same, byte for byte.
type Decision struct {
	ID          string      `json:"id"` // derived from all the rest
	Verdict     Verdict     `json:"verdict"`
	Effect      Effect      `json:"effect"`
	Image       Image       `json:"image"`
	From        string      `json:"from,omitempty"` // the mirror that was read
	Situation   Situation   `json:"situation"`
	Policies    []PolicyRef `json:"policies"`
	Set         Digest      `json:"set"` // digest of the policy set
	SetVersion  int         `json:"setVersion,omitempty"`
	Trust       []TrustRef  `json:"trust"`    // trust domains in force
	Decided     Digest      `json:"decided"`  // policy set, situation, findings and what they cite: stable under junk and order
	Evidence    Digest      `json:"evidence"` // all that was seen
	Findings    []Finding   `json:"findings"`
	NotRequired []string    `json:"notRequired,omitempty"` // blocks of the language that no matching policy has
	Skipped     []string    `json:"skipped,omitempty"`     // checks weakened or left out, by whom
	NotFetched  []string    `json:"notFetched,omitempty"`  // evidence that exists and was left alone, because no policy in force can need it
	Upcoming    []string    `json:"upcoming,omitempty"`    // requirements that come into force later
	Waivers     []WaiverRef `json:"waivers,omitempty"`     // about this image, in force or not
	Because     []string    `json:"because,omitempty"`     // why the effect is milder than the verdict
	Level       Level       `json:"level"`
	Help        string      `json:"help,omitempty"`
	Version     string      `json:"version"`
}
