package stemma

// Class is the kind of a Reason. An infrastructure fault is never in the class of a trust failure.
type Class string

// The four classes of reasons.
const (
	Absent        Class = "absent"          // nobody states it, or there is no such evidence
	Untrusted     Class = "untrusted"       // evidence that does not verify
	Mismatch      Class = "mismatch"        // evidence that verifies and says something else than required
	CouldNotCheck Class = "could-not-check" // nothing is known to be wrong; it could not be looked at
)

// Reason is a stable code for why a requirement is not met or a piece of evidence was refused.
type Reason string

// Reasons of class Absent.
const (
	ReasonNoPolicy      Reason = "no-policy"      // no policy matches the image
	ReasonNoEvidence    Reason = "no-evidence"    // nothing signed is about this image
	ReasonNoProvenance  Reason = "no-provenance"  // signed evidence, but no provenance among it
	ReasonNoSignature   Reason = "no-signature"   // signed evidence, but no signature of the image among it
	ReasonNotStated     Reason = "not-stated"     // the evidence does not state the value at all
	ReasonNoSBOM        Reason = "no-sbom"        // signed evidence, but no software bill of materials among it
	ReasonNoAttestation Reason = "no-attestation" // signed evidence, but no attestation of the required type
	ReasonNoInputs      Reason = "no-inputs"      // the provenance names no inputs at all
	ReasonUnreported    Reason = "unreported"     // a kind of inputs that this builder does not name

	ReasonOmitted          Reason = "omitted"               // the release names it, and the request does not
	ReasonNotMirrored      Reason = "evidence-not-mirrored" // read from a mirror, which has the image and nothing signed about it
	ReasonFoundInAlternate Reason = "found-in-alternate"    // not beside the image, but in a declared alternate; stands beside a Pass
)

// Reasons of class Untrusted: they are given to evidence, in a Rejection.
const (
	ReasonMalformed          Reason = "malformed"           // not what its format prescribes
	ReasonUnsupported        Reason = "unsupported"         // a format, version or entry type that is not known
	ReasonLimit              Reason = "limit"               // larger or deeper than the bounds allow
	ReasonPayloadType        Reason = "payload-type"        // a DSSE payload type that does not fit the payload
	ReasonSignatureInvalid   Reason = "signature-invalid"   // the signature does not verify
	ReasonSignatureCount     Reason = "signature-count"     // no signature, or more than the format allows
	ReasonAlgorithm          Reason = "algorithm"           // a key or hash that is too weak or not allowed
	ReasonSignerUnknown      Reason = "signer-unknown"      // certificate or key belongs to no trust domain
	ReasonCertificateInvalid Reason = "certificate-invalid" // the chain does not hold, or the certificate may not sign
	ReasonCertificateTime    Reason = "certificate-time"    // not valid at the proven signing time
	ReasonKeyTime            Reason = "key-time"            // the key's validity window does not cover the signing time
	ReasonSCT                Reason = "sct"                 // no certificate timestamp of enough distinct trusted logs
	ReasonLogMissing         Reason = "log-missing"         // no entry of a trusted transparency log
	ReasonLogInvalid         Reason = "log-invalid"         // inclusion promise, proof or checkpoint does not hold
	ReasonLogMismatch        Reason = "log-mismatch"        // the entry is about another signature, key or payload
	ReasonTimeMissing        Reason = "time-missing"        // nothing proves when it was signed
	ReasonTimestampInvalid   Reason = "timestamp-invalid"   // an RFC 3161 timestamp does not verify
)

// Reasons of class Mismatch.
const (
	ReasonSubjectMismatch Reason = "subject-mismatch" // about another artifact
	ReasonSubjectConflict Reason = "subject-conflict" // one subject, digests of two artifacts
	ReasonIssuer          Reason = "issuer"           // another OIDC issuer
	ReasonBuilder         Reason = "builder"          // another workflow, key or identity
	ReasonBuilderRef      Reason = "builder-ref"      // the right workflow at a ref or commit that is not accepted
	ReasonCaller          Reason = "caller"           // called by another organisation or repository
	ReasonTrustDomain     Reason = "trust-domain"     // verified under another trust domain
	ReasonTrigger         Reason = "trigger"          // an event that is not accepted
	ReasonRunner          Reason = "runner"           // another kind of runner
	ReasonFormat          Reason = "format"           // a predicate type that is not accepted
	ReasonLevel           Reason = "level"            // a lower SLSA level
	ReasonAge             Reason = "age"              // older than allowed
	ReasonRepository      Reason = "repository"       // another source repository
	ReasonRef             Reason = "ref"              // another source ref
	ReasonSaidBy          Reason = "said-by"          // said, but not by somebody whose word is enough
	ReasonContradiction   Reason = "contradiction"    // certificate and predicate say different things
	ReasonDisagreement    Reason = "disagreement"     // two valid provenances say different things
	ReasonThreshold       Reason = "threshold"        // fewer distinct signers than required
	ReasonSigner          Reason = "signer"           // signed by an identity that is not accepted
	ReasonPlatform        Reason = "platform"         // the index lists a platform never, twice, or as unknown
	ReasonExpected        Reason = "expected"         // another value than this deployment expects
	ReasonDistrusted      Reason = "distrusted"       // a Distrust document names it
	ReasonTask            Reason = "untrusted-task"   // a task of the build that is not accepted
	ReasonInput           Reason = "unexpected-input" // an input that is not accepted
	ReasonUnpinned        Reason = "unpinned"         // an input without a digest
	ReasonUndeclared      Reason = "undeclared"       // a step used an input that the dependencies do not name
	ReasonParameter       Reason = "parameter"        // an external parameter that is not accepted
	ReasonNetwork         Reason = "network"          // the build was not hermetic
	ReasonInconsistent    Reason = "inconsistent"     // SBOM, provenance and image say different things
	ReasonElements        Reason = "elements"         // the SBOM lacks elements that are required
	ReasonVulnerable      Reason = "vulnerable"       // a vulnerability that is not accepted
	ReasonValue           Reason = "value"            // an attestation says another value than required
	ReasonExpired         Reason = "expired"          // an approval that has ended
	ReasonAlternatives    Reason = "alternatives"     // none of the alternatives is met
	ReasonRule            Reason = "rule"             // a rule of the policy's own does not hold
	ReasonTag             Reason = "tag"              // asked for by a tag, which can be moved
	ReasonBaseMismatch    Reason = "base-mismatch"    // the base that is named is not underneath, or two are named
	ReasonBaseProof       Reason = "base-proof"       // known less well than required
	ReasonBaseEnd         Reason = "base-end"         // the chain of bases ends where it may not
	ReasonBasePolicy      Reason = "base-policy"      // an image underneath does not meet its policy
	ReasonOverwritten     Reason = "overwritten"      // files of a base are replaced or deleted
	ReasonSetting         Reason = "setting"          // a setting of a base is changed
	ReasonOutdated        Reason = "outdated"         // there is a newer build
	ReasonBinding         Reason = "binding"          // about a member of the image's family that the policy does not accept
)

// Reasons of class CouldNotCheck.
const (
	ReasonUnreachable  Reason = "unreachable"  // no answer, or a server error
	ReasonUnauthorized Reason = "unauthorized" // 401 or 403
	ReasonRateLimited  Reason = "rate-limited" // 429
	ReasonTimeout      Reason = "timeout"      // the deadline passed
	ReasonTruncated    Reason = "truncated"    // the look was cut short by a limit
	ReasonBadAnswer    Reason = "bad-answer"   // an answer that breaks its protocol or does not match its digest
	ReasonTrustRoot    Reason = "trust-root"   // a trust domain has no usable trusted root
	ReasonNoTime       Reason = "no-time"      // the trust domain proves no signing time
	ReasonExpression   Reason = "expression"   // a rule of the policy's own cannot be evaluated
	ReasonForbidden    Reason = "forbidden"    // an address that is not connected to: private, loopback, metadata, or another scheme or host than it began with
)

// Class of the reason. An unknown code is CouldNotCheck: it can then never read as a pass nor as an accusation.
func (r Reason) Class() Class {
	switch r {
	case ReasonNoPolicy, ReasonNoEvidence, ReasonNoProvenance, ReasonNoSignature, ReasonNotStated, ReasonNoSBOM, ReasonNoAttestation, ReasonNoInputs, ReasonUnreported, ReasonOmitted, ReasonNotMirrored, ReasonFoundInAlternate:
		return Absent
	case ReasonMalformed, ReasonUnsupported, ReasonLimit, ReasonPayloadType, ReasonSignatureInvalid, ReasonSignatureCount,
		ReasonAlgorithm, ReasonSignerUnknown, ReasonCertificateInvalid, ReasonCertificateTime, ReasonKeyTime, ReasonSCT,
		ReasonLogMissing, ReasonLogInvalid, ReasonLogMismatch, ReasonTimeMissing, ReasonTimestampInvalid:
		return Untrusted
	case ReasonSubjectMismatch, ReasonSubjectConflict, ReasonIssuer, ReasonBuilder, ReasonBuilderRef, ReasonCaller,
		ReasonTrustDomain, ReasonTrigger, ReasonRunner, ReasonFormat, ReasonLevel, ReasonAge, ReasonRepository,
		ReasonRef, ReasonSaidBy, ReasonContradiction, ReasonDisagreement, ReasonThreshold, ReasonSigner, ReasonPlatform, ReasonBinding,
		ReasonExpected, ReasonDistrusted, ReasonTask, ReasonInput, ReasonUnpinned, ReasonUndeclared, ReasonParameter, ReasonNetwork,
		ReasonInconsistent, ReasonElements, ReasonVulnerable, ReasonValue, ReasonExpired, ReasonAlternatives, ReasonTag, ReasonRule,
		ReasonBaseMismatch, ReasonBaseProof, ReasonBaseEnd, ReasonBasePolicy, ReasonOverwritten, ReasonSetting, ReasonOutdated:
		return Mismatch
	}
	return CouldNotCheck
}
