package main

import (
	"crypto/x509"
	"encoding/pem"
	"strconv"
	"strings"
	"testing"

	"stemma/stemmatest"
)

// signers are the keys of the scripts about signed sets, new in every run: release signs the set, leads approve waivers,
// and nobody knows mallory.
func signers() []string { return []string{"release", "leads", "mallory"} }

// distribution are the keys, a set that release signs in three versions, and one that says nothing of signatures. The
// authority timestamp.sigstore.test is in the world.
func distribution(t *testing.T, world *stemmatest.World) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	set := `apiVersion: policy.stemma.dev/v1alpha1
kind: PolicySet
metadata: {name: acme}
spec:
  version: VERSION
  signedBy: [policy-release]
  waivers: {longest: 60d, approvedBy: [security-leads], never: ["signature.*", source.repository]}
  trust:
    - name: acme-keys
      requires: {log: none, timestamp: none, sct: none}
      time: none
      keys:
        - {name: release-2026, pem: "RELEASE"}
        - {name: leads-2026, pem: "LEADS"}
  signers:
    policy-release: {trust: acme-keys, keys: [release-2026]}
    security-leads: {trust: acme-keys, keys: [leads-2026]}
---
` + strings.Replace(demoPolicy, `refs: ["refs/tags/v*"]`, `refs: [refs/heads/main]`, 1)
	for _, name := range signers() {
		key, err := stemmatest.NewKey(stemmatest.ECDSAP256, name)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key.Key)
		if err != nil {
			t.Fatal(err)
		}
		files[name+".key"] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		set = strings.Replace(set, strings.ToUpper(name), strings.ReplaceAll(string(key.PublicKeyPEM()), "\n", `\n`), 1)
	}
	for version := 1; version <= 3; version++ {
		files["v"+strconv.Itoa(version)+"/set.yaml"] = []byte(strings.Replace(set, "VERSION", strconv.Itoa(version), 1))
	}
	files["unsigned/set.yaml"] = []byte(strings.Replace(strings.Replace(set, "VERSION", "1", 1), "  signedBy: [policy-release]\n", "", 1))
	world.Network["timestamp.sigstore.test"] = world.Sigstore.TSA.Server(world.Now)
	hub := stemmatest.NewRegistry("hub.example")
	hub.Writable = true
	world.Network[hub.Host] = hub
	return files
}
