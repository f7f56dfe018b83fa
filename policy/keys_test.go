package policy

// pem1 and pem2 are public keys whose private halves nobody has, as they stand in double quotes of YAML.
const (
	pem1 = `-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEv2vGvhjlhMUot/J60ZpX5DQ61bSi\n6naPJ64L6GxrxVg13vYVh8vLEarXLGH8FtgYSAL5hJ9QC3nzSve8nP+s4A==\n-----END PUBLIC KEY-----\n`
	pem2 = `-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJRctMfRtEuC/pEjFDJH4mSNknU2h\n7FyGuIgboPdcR9KAXf2AmbjQSaoAD6x5kJ4t9gMhBHGsyc4RK40PH9N9Cw==\n-----END PUBLIC KEY-----\n`
)

// keySet declares two trust domains of keys.
const keySet = `apiVersion: policy.stemma.dev/v1alpha1
kind: PolicySet
metadata: {name: acme}
spec:
  trust:
    - name: acme-kms
      keys:
        - {name: review, pem: "` + pem1 + `"}
        - {name: release, pem: "` + pem2 + `", from: 2026-01-01, until: 2027-01-31}
        - {name: review-again, pem: "` + pem1 + `"}
      requires: {log: none, sct: none}
    - name: chains
      keys: [{name: chains-2026, pem: "` + pem2 + `"}]
      requires: {log: none, timestamp: none, sct: none}
      time: none
---
`

// signedPolicy asks for signatures by keys.
const signedPolicy = keySet + `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: signed}
spec:
  match: {images: ["ghcr.io/acme/*"]}
  signers:
    reviewer: {trust: acme-kms, keys: [review]}
    releaser: {trust: acme-kms, keys: [release]}
  signature: {by: [reviewer, releaser], maxAge: 30d}
`

// chainsPolicy asks for provenance by a key, which proves no signing time.
const chainsPolicy = keySet + `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: chains}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  builders:
    tekton: {trust: chains, keys: [chains-2026], id: "https://tekton.dev/chains/v2"}
  provenance: {by: [tekton], level: 2}
  source: {repository: "github.com/acme/{service}", saidBy: builder}
`
