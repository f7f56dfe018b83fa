package predicate

import (
	"strings"

	"stemma"
)

// certificateOnly names the build service whose jobs sign with a certificate of their own and which writes no
// provenance: CircleCI, Codefresh, Buddy. What their certificates say is read by the reader of certificates; the
// predicate, if there is one, is what somebody in the job wrote. A fork of the name of an issuer is none of them.
func certificateOnly(signer *stemma.Identity) string {
	if signer == nil || signer.KeyID != "" {
		return ""
	}
	const circle = "https://oidc.circleci.com"
	host := strings.TrimPrefix(signer.Issuer, "https://")
	switch {
	case signer.Issuer == circle, strings.HasPrefix(signer.Issuer, circle+"/org/"):
		return "CircleCI"
	case signer.Issuer == "https://oidc.codefresh.io":
		return "Codefresh"
	case host != signer.Issuer && (host == "oidc.buddyusercontent.com" || host == "eu-oidc.buddyusercontent.com" || host == "asia-oidc.buddyusercontent.com"):
		return "Buddy"
	}
	return ""
}
