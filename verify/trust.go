package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stemma"
	"stemma/internal/sigstore"
	"stemma/policy"
)

// domains builds the trust domains in force: those that the set declares, and the built-in ones that it refers to.
func (v *Verifier) domains(ctx context.Context) ([]*sigstore.Domain, error) {
	c := v.config
	wanted := []string{policy.PublicGood, policy.GitHubTrust}
	var declared []policy.Trust
	if c.Policies != nil {
		wanted, declared = c.Policies.TrustNames(), c.Policies.Trust()
	}
	for name := range c.Roots {
		if name != policy.PublicGood && name != policy.GitHubTrust && !slices.ContainsFunc(declared, func(t policy.Trust) bool { return t.Name == name }) {
			declared = append(declared, policy.Trust{Name: name, Requires: policy.Requires{Timestamp: policy.None}})
			wanted = append(wanted, name)
		}
	}
	var out []*sigstore.Domain
	for _, t := range declared {
		if !slices.Contains(wanted, t.Name) {
			continue
		}
		d, err := v.declared(ctx, t)
		if err != nil {
			var gone *unavailable
			if errors.As(err, &gone) {
				v.gone(t.Name, gone.err)
				continue
			}
			return nil, &Error{
				Kind: Invalid, Err: fmt.Errorf("trust domain %s: %w", t.Name, err),
				Hint: "in spec.trust of the PolicySet, write requires: {log: none, timestamp: none, sct: none} for what its signatures need not prove, or give it a root: root: public-good, trustedRoot, or --trusted-root " + t.Name + "=FILE",
			}
		}
		out = append(out, d)
	}
	for _, name := range wanted {
		make := map[string]func([]byte) (*sigstore.Domain, error){policy.PublicGood: sigstore.PublicGood, policy.GitHubTrust: sigstore.GitHub}[name]
		if make == nil {
			continue
		}
		root, err := v.root(ctx, name)
		if err != nil {
			v.gone(name, err)
			continue
		}
		d, err := make(root)
		if err != nil {
			return nil, fmt.Errorf("trusted root of %s: %w", name, err)
		}
		out = append(out, d)
	}
	return out, nil
}

// unavailable marks material that could not be had, as against material that is wrong.
type unavailable struct{ err error }

func (u *unavailable) Error() string { return u.err.Error() }

func (v *Verifier) gone(name string, err error) {
	v.missing = append(v.missing, stemma.Unavailable{Place: "trust domain " + name, Reason: stemma.ReasonTrustRoot, Detail: err.Error()})
}

// declared builds a domain of the policy set.
func (v *Verifier) declared(ctx context.Context, t policy.Trust) (*sigstore.Domain, error) {
	need := func(c policy.Choice) sigstore.Need {
		if c == policy.None {
			return sigstore.None
		}
		return sigstore.Required
	}
	cfg := sigstore.DomainConfig{
		Name: t.Name, TrustedRoot: t.TrustedRoot,
		SCT: need(t.Requires.SCT), Log: need(t.Requires.Log), Timestamp: need(t.Requires.Timestamp), Time: need(t.Time),
	}
	if root, ok := v.config.Roots[t.Name]; ok {
		if len(t.TrustedRoot) > 0 || t.Root != "" {
			return nil, errors.New("the policy set gives its trusted root, and --trusted-root another one")
		}
		cfg.TrustedRoot = root
	}
	if t.Root != "" {
		root, err := v.root(ctx, t.Root)
		if err != nil {
			return nil, &unavailable{err}
		}
		cfg.TrustedRoot = root
	}
	if len(cfg.TrustedRoot) == 0 && len(t.Keys) == 0 {
		return nil, &unavailable{errors.New("the policy set gives it no keys and no root; give --trusted-root " + t.Name + "=FILE")}
	}
	for _, k := range t.Keys {
		key := sigstore.Key{Name: k.Name, PEM: []byte(k.PEM), From: k.From.Time, Until: k.Until.Time, Unframed: k.Signs == policy.SignsPayload}
		if !key.Until.IsZero() {
			key.Until = key.Until.Add(24*time.Hour - time.Nanosecond) // dates are inclusive
		}
		cfg.Keys = append(cfg.Keys, key)
	}
	return sigstore.NewDomain(cfg)
}

// root is the material of a built-in domain.
func (v *Verifier) root(ctx context.Context, name string) ([]byte, error) {
	if root, ok := v.config.Roots[name]; ok {
		return root, nil
	}
	if len(v.config.Roots) > 0 {
		return nil, fmt.Errorf("no trusted root was given for it, and with --trusted-root nothing is fetched; add --trusted-root %s=FILE", name)
	}
	fetch := map[string]func(context.Context, sigstore.TUFConfig) ([]byte, error){
		policy.PublicGood: sigstore.FetchPublicGoodRoot, policy.GitHubTrust: sigstore.FetchGitHubRoot,
	}[cmp.Or(name, policy.PublicGood)]
	return fetch(ctx, sigstore.TUFConfig{CacheDir: v.config.CacheDir, HTTP: v.way})
}
