// Package stemma is the vocabulary of a verifier that decides whether a container image may be deployed, on
// evidence of how it was made.
//
// Collecting evidence and judging it are apart. Collecting is all the I/O and all the cryptography, and yields
// [Evidence], which is plain data. Judging is a pure function of a policy set, an Evidence and a [Situation], and
// yields a [Decision]. Everything that a user sees is a rendering of one Decision or one Evidence.
//
// The names are those of the field: statements, subjects and envelopes are in-toto's (in-toto Attestation Framework
// v1), provenance is SLSA's (v0.2 and v1), certificates, logs and bundles are Sigstore's, digests, indexes and
// manifests are OCI's.
//
// # Compatibility
//
// The JSON forms of [Evidence] and [Decision] are read by other programs: a field is never renamed or given another
// meaning, and a new one is always optional. Values of [Reason] and rule ids are stable. Nothing else is promised
// before version 1.
//
// # Trust
//
// An [Attestation] exists only after its signature, its certificate chain or key, its log entries, its timestamps
// and its binding to the image were verified under one named trust domain; what did not verify is a [Rejection],
// what could not be looked at is an [Unavailable], and what nobody signed is an [Unsigned]. The four never share a
// field. That an Attestation exists does not mean that its signer is approved, nor that what it says is true: the
// first is for policy to say, and of the second every [Claim] says by whom it is said.
package stemma
