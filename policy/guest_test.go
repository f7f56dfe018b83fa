package policy

import (
	"strings"
	"testing"

	"stemma"
)

// Whoever calls a shared workflow gets signatures by its identity. A waiver that one approves counts of the workflow's own
// runs, or where the set says who may call it.
func TestReg_guest(t *testing.T) {
	const shared = `{github: {workflow: acme/govern/.github/workflows/sign.yml, workflowRefs: [refs/heads/main]}}`
	limited := strings.Replace(shared, "[refs/heads/main]}", `[refs/heads/main], caller: {ownerID: "1"}}`, 1)
	run := func(repository, owner string) stemma.Identity {
		id := stemma.Identity{Trust: PublicGood, Issuer: GitHubIssuer, Subject: "https://github.com/acme/govern/.github/workflows/sign.yml@refs/heads/main"}
		id.Claims = map[string]string{stemma.ClaimSourceOwnerID: owner}
		if repository != "" {
			id.Claims[stemma.ClaimSourceRepositoryURI] = "https://github.com/" + repository
		}
		return id
	}
	old := run("", "1")
	old.Claims[stemma.ClaimGitHubRepository] = "Acme/govern"
	for _, c := range []struct {
		name, signer string
		by           stemma.Identity
		want         stemma.Verdict
		ignored      string
	}{
		{"its own run", shared, run("acme/govern", "1"), stemma.Allow, ""},
		{"its own run, by an old certificate", shared, old, stemma.Allow, ""},
		{"called by a stranger", shared, run("evil/app", "666"), stemma.Deny, "run for github.com/evil/app, which is not leads"},
		{"called by the image's own source", shared, run("acme/app", "1"), stemma.Deny, "run for github.com/acme/app, which is not leads"},
		{"for whom is not stated", shared, run("", "1"), stemma.Deny, "run for (none), which is not leads"},
		{"named alike at a host of its own", shared, run("../github.com/acme/govern", "1"), stemma.Deny, "run for (none), which is not leads"},
		{"called by an accepted caller", limited, run("acme/app", "1"), stemma.Allow, ""},
		{"called by another", limited, run("evil/app", "666"), stemma.Deny, "which is not leads"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(strings.Replace(waiverSet, "PEM", `"`+pem1+`"`, 1), "leads: {trust: acme-kms, keys: [leads-2026]}", "leads: "+c.signer, 1)
			set := load(t, f0Policy+text, waiverOf("w"))
			e := f0()
			byCertificate(stemma.FieldRef, "refs/heads/wip")(e)
			d := Evaluate(set, e, endorsed(set, c.by))
			if d.Verdict != c.want || len(d.Waivers) != 1 || !strings.HasSuffix(d.Waivers[0].Ignored, c.ignored) || (c.ignored == "") != (d.Waivers[0].Ignored == "") {
				t.Errorf("%s, %+v\n%s", d.Verdict, d.Waivers, render(d))
			}
		})
	}
}
