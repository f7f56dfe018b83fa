package policy

// Checks lists all that Lint looks for, in the order of the page about it.
func Checks() []Check {
	return append(identityChecks(), append(patternChecks(), append(reachChecks(), changeChecks()...)...)...)
}

// identityChecks are about whose word counts.
func identityChecks() []Check {
	return []Check{
		{
			"lint.wide-identity", SeverityWarning, "an identity is a wildcard where each further one can sign",
			"Whoever may create a repository, a workflow or a pipeline that the pattern fits becomes an approved builder, without a change of the policy.", wideIdentity,
		},
		{
			"lint.any-ref", SeverityWarning, "a builder is accepted at any branch, or at those of pull requests",
			"A branch that nobody reviewed can hold a changed workflow, which signs with the same identity.", anyRef,
		},
		{
			"lint.shared-identity", SeverityWarning, "nothing says who may call a workflow or configuration that is shared",
			"Anybody can call it and gets an authentic signature by it, of what he likes.", sharedIdentity,
		},
		{
			"lint.open-events", SeverityAdvice, "a builder is accepted whatever event started the build",
			"Events that strangers cause run with the rights of the repository.", openEvents,
		},
		{
			"lint.dangerous-event", SeverityWarning, "an event is accepted that strangers can cause",
			"Builds of what strangers offer, or on their behalf, have released malware under the right workflow's name.", dangerousEvent,
		},
		{
			"lint.unknown-event", SeverityWarning, "an event is accepted that does not exist",
			"What is meant is refused, since no certificate states it so.", unknownEvent,
		},
		{
			"lint.open-runner", SeverityWarning, "a builder of level 3 may run on any machine",
			"A self-hosted runner keeps its state between builds: it isolates none from another, as level 3 asks.", openRunner,
		},
		{
			"lint.personal-identity", SeverityWarning, "a person builds, or somebody signs from a private mailbox",
			"Who gets into the mailbox has the identity, and it goes with the person.", personalIdentity,
		},
		{
			"lint.email-identity", SeverityAdvice, "somebody signs by an e-mail address",
			"Who gets into the mailbox has the identity.", emailIdentity,
		},
		{
			"lint.key-level", SeverityWarning, "a key, or a predicate of one's own, is credited with level 3",
			"Level 3 asks that no tenant of the builder can reach the key or write what is signed, which no evidence shows.", keyLevel,
		},
		{
			"lint.unproven-time", SeverityWarning, "a trust domain requires no log entry and no timestamp, and yet a time",
			"Only signatures that happen to bring a time count, and whether they do is up to whoever stores them.", provesNoTime(false),
		},
		{
			"lint.no-signing-time", SeverityAdvice, "a trust domain proves no signing time",
			"A stolen key signs for the past as well as for today: only taking it away ends what it signed, the good with the bad.", provesNoTime(true),
		},
		{
			"lint.key-ended", SeverityWarning, "a key ended, or will soon",
			"What is signed after its last day is refused.", keyEnded,
		},
		{
			"lint.key-without-end", SeverityAdvice, "a key has no last day",
			"A key that is never replaced is one whose theft nobody notices.", keyWithoutEnd,
		},
	}
}

// patternChecks are about what patterns accept.
func patternChecks() []Check {
	return []Check{
		{
			"lint.wide-images", SeverityWarning, "a policy is about images of everybody",
			"Images that others put there are allowed when the builder made them, for whatever purpose.", wideImages,
		},
		{
			"lint.wide-source", SeverityWarning, "a source is accepted from any owner",
			"A fork passes: it is built by the same workflow from a repository of the same name.", wideSource,
		},
		{
			"lint.several-components", SeverityAdvice, "a pattern stands for several components where there is one",
			"It accepts no more than one component does, and reads as if it did.", severalComponents,
		},
		{
			"lint.any-source-ref", SeverityWarning, "source.refs accepts any branch",
			"Branch protection and reviews guard some refs only; anybody who can push can build any other.", anySourceRef,
		},
		{
			"lint.distrusts-nothing", SeverityWarning, "an entry of a Distrust names nothing, or less than it seems to",
			"A revocation that is believed to work and does not is worse than none.", distrustsNothing,
		},
		{
			"lint.unused-capture", SeverityAdvice, "a capture is used once only",
			"A capture ties an image to its repository by being used again; used once it is a wildcard.", unusedCapture,
		},
	}
}

// reachChecks are about what can never be met, never be reached, or is missing.
func reachChecks() []Check {
	return []Check{
		{
			"lint.all-excepted", SeverityError, "a policy excepts all of its images",
			"It is in force and judges nothing.", allExcepted,
		},
		{
			"lint.contradiction", SeverityError, "two policies about the same images exclude each other",
			"All policies that match must allow, and no provenance meets both of them.", contradiction,
		},
		{
			"lint.level-unreachable", SeverityError, "a level is required that too few builders are credited with",
			"Evidence never exceeds what the policy credits its builder with, so that none meets it.", levelUnreachable,
		},
		{
			"lint.level-above-credit", SeverityWarning, "a builder is credited with less than the level that is required",
			"Its provenance never counts, though it is listed.", levelAboveCredit,
		},
		{
			"lint.format-never-written", SeverityWarning, "no format is accepted that the builder writes",
			"Its provenance never counts, though it is listed.", formatNeverWritten,
		},
		{
			"lint.unused-identity", SeverityWarning, "a builder or signer is used nowhere",
			"It is mistaken for a requirement, and its name may be misspelt where it was meant.", unusedIdentity,
		},
		{
			"lint.unused-trust", SeverityWarning, "a trust domain or key is used nowhere",
			"What nobody needs to trust, nobody notices when it is lost.", unusedTrust,
		},
		{
			"lint.unused-place", SeverityWarning, "a mirror, or a place of evidence, is for images that no policy matches",
			"It is of no effect, and its pattern may be misspelt.", unusedPlace,
		},
		{
			"lint.empty-except", SeverityWarning, "an exception from match excludes nothing",
			"What was meant to be left out is judged, or left to no policy by another name.", emptyExcept,
		},
		{
			"lint.unreached-exception", SeverityWarning, "an exception, an approval or a waiver is about no image of its policy",
			"It is of no effect, and may be misspelt.", unreachedException,
		},
		{
			"lint.shadowed-mirror", SeverityWarning, "an earlier mirror fits all that this one does",
			"The first that fits says what an image is a copy of, so that this one never does.", shadowedMirror,
		},
		{
			"lint.redundant-alternative", SeverityWarning, "an alternative asks for all that another asks for, and more",
			"Whoever meets it meets the other one, so that what it asks for besides is never required.", redundantAlternative,
		},
		{
			"lint.not-in-force", SeverityWarning, "a policy is not in force",
			"spec.policies of the PolicySet lists what is; all else judges nothing.", notInForce,
		},
		{
			"lint.no-source", SeverityWarning, "provenance is required, and no source",
			"A workflow that others can call builds for them as well: only its source ties an image to its project.", noSource,
		},
		{
			"lint.untied-source", SeverityWarning, "several images and several repositories are not tied to each other",
			"An image of one project passes under the name of another.", untiedSource,
		},
		{
			"lint.one-source", SeverityAdvice, "several images are built from one repository",
			"An image of that repository passes under the name of any other of it.", oneSource,
		},
		{
			"lint.sbom-signer", SeverityAdvice, "an SBOM by somebody else than the builder is accepted",
			"Only the builder saw what went in; anybody else describes what was found afterwards.", sbomSigner,
		},
		{
			"lint.unknown-severity", SeverityAdvice, "vulnerabilities whose severity is unknown are passed over",
			"What nobody has rated yet, or rates in a way that is not understood, may be critical: new vulnerabilities begin so.", unknownSeverity,
		},
		{
			"lint.no-ids", SeverityAdvice, "the source is known by its name alone",
			"A name is given away when an account is renamed or deleted, and whoever takes it builds under it.", noIDs,
		},
	}
}

// changeChecks are about what is not enforced, not any more, or not for everybody.
func changeChecks() []Check {
	return []Check{
		{
			"lint.waiver-ended", SeverityWarning, "a waiver ended",
			"It grants nothing, and images that need it are refused.", waiverEnded,
		},
		{
			"lint.waiver-ends", SeverityWarning, "a waiver ends within 14 days",
			"Images that need it are refused from then on.", waiverEnds,
		},
		{
			"lint.waiver-repository", SeverityWarning, "a waiver is for whole repositories",
			"It was granted for an image that somebody looked at, and holds for all that follow.", waiverRepository,
		},
		{
			"lint.waiver-broad", SeverityWarning, "a waiver takes back many rules everywhere",
			"With so many rules unmet in every namespace little is left of the policy.", waiverBroad,
		},
		{
			"lint.waiver-ticket", SeverityAdvice, "a waiver has no ticket",
			"Nobody is reminded to mend what it is for.", waiverTicket,
		},
		{
			"lint.never-names-nothing", SeverityWarning, "waivers.never names no rule",
			"What was meant can be waived.", neverNamesNothing,
		},
		{
			"lint.exemption-ended", SeverityWarning, "an exemption ended",
			"Its namespace is enforced again, which may surprise it.", exemptionEnded,
		},
		{
			"lint.exemption-long", SeverityWarning, "an exemption lasts longer than a year",
			"A namespace in which nothing is enforced is where an attacker deploys; nobody will remember why.", exemptionLong,
		},
		{
			"lint.approval-ended", SeverityWarning, "an approval ended",
			"The digest must meet the policy again, or is refused.", approvalEnded,
		},
		{
			"lint.distrust-ended", SeverityAdvice, "a lasting identity is distrusted up to a day that is over",
			"What it signed since then counts again.", distrustEnded,
		},
		{
			"lint.not-enforced", SeverityWarning, "a policy never refuses",
			"Audit and warn do not end by themselves, and an attacker is not stopped by a warning.", notEnforced,
		},
		{
			"lint.date-without-effect", SeverityWarning, "enforceFrom under a mode that never enforces",
			"The day comes, and nothing is enforced.", dateWithoutEffect,
		},
		{
			"lint.enforced-late", SeverityWarning, "a policy begins to refuse in more than half a year",
			"Until then it warns; a day that far away is put off.", enforcedLate,
		},
		{
			"lint.nothing-enforced", SeverityWarning, "no policy of the set refuses",
			"Whatever is found, everything is admitted.", nothingEnforced,
		},
		{
			"lint.unmatched-allowed", SeverityWarning, "images that no policy matches are admitted",
			"Another registry, or another name in the same one, is a way round every policy.", unmatchedAllowed,
		},
		{
			"lint.undetermined-warns", SeverityWarning, "images of which too little could be looked at are admitted",
			"Whoever makes a place of evidence fail gets in what it would have refused.", undeterminedWarns,
		},
		{
			"lint.kept-for-good", SeverityAdvice, "restarts are kept without limit",
			"An image that was admitted once is never rebuilt for its age.", keptForGood,
		},
		{
			"lint.weak-word", SeverityWarning, "the source may be said by the tenant, or by nobody",
			"Whoever writes the build says where it comes from.", weakWord,
		},
		{
			"lint.unreported-ignored", SeverityWarning, "inputs that the builder does not name are passed over",
			"A list of accepted inputs is met by naming none.", unreportedIgnored,
		},
		{
			"lint.disagreement", SeverityWarning, "valid provenance may disagree on repository or commit",
			"Of two that name different sources one is wrong, and nobody knows which.", mayDisagree,
		},
	}
}
