// Package sigstore authenticates evidence: it turns one [stemma.Raw] into a [stemma.Attestation] or a
// [stemma.Rejection] with a reason, and it is the only package that makes an Attestation.
//
// What is trusted is a list of named trust domains ([Domain]): certificate authorities, logs, timestamp authorities
// or keys, each with its own explicit requirements. A piece of evidence goes to exactly one domain, chosen before
// anything is verified by what its certificate or key names; no domain stands in for another. Nothing that a piece
// of evidence brings along (issuers, log keys, timestamp certificates) adds to what is trusted.
//
// # Order of checks
//
// Every check has a reason of its own, and the first that does not hold decides:
//
//  1. form: strict reading of the bundle, envelope or annotations, within bounds
//  2. signer: the domain that holds the issuer of the certificate, or the key
//  3. certificate: issued by that authority, for code signing
//  4. signature
//  5. RFC 3161 timestamps
//  6. transparency log entries: promise, inclusion, checkpoint, and that they are about this very signature
//  7. time: what the above prove, and that certificate chain, keys and logs were valid then
//  8. signed certificate timestamps
//  9. identity: the only subject alternative name, the issuer, the certificate's claims
//  10. payload: read only now, once, and bound to the artifact
//
// Formats: Sigstore bundles v0.1 to v0.3 (protobuf-specs), DSSE v1 envelopes bare or in cosign's layout, cosign's
// simple signing payloads. Log entries: Rekor v1 hashedrekord 0.0.1, dsse 0.0.1, intoto 0.0.1 and 0.0.2, and Rekor
// v2 hashedrekord 0.0.2.
package sigstore
