package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"stemma/verify"
)

func (a *app) credentialsCommand() *cobra.Command {
	var reach reaching
	var timeout time.Duration
	var output string
	c := &cobra.Command{
		Use:   "credentials IMAGE",
		Short: "Show whom a registry is spoken to as, and what it answers",
		Long: `Asks a registry for the manifest of an image, and for nothing else, and shows for each host which sources of credentials
were asked and which one served, what was sent, and what was answered. Passwords and tokens are never shown. No policy
and no trusted root is needed.

Sources are asked in this order, and the first that knows something serves: entries of --registries, pull secrets,
credential providers of the kubelet, the Docker configuration with its helpers, the authentication file of Podman and
Skopeo. A credential goes to the very host that it was configured for, and to no host that one redirects to.

Exit code 0: the registry answered with the manifest.`,
		Example: `  stemma credentials ghcr.io/acme/api:1.8.2
  stemma credentials registry.corp.example:5000/acme/api:1.8.2 --registries registries.yaml
  stemma credentials acme.azurecr.io/api:1 --pull-secret dockerconfig.json -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Errorf("credentials needs one image, got %d", len(args)), "stemma credentials ghcr.io/acme/api:1.8.2"}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return &usageError{fmt.Errorf("unknown output %q", output), "write --output text or --output json"}
			}
			if timeout <= 0 {
				return &usageError{fmt.Errorf("a timeout of %s", timeout), "write a duration such as --timeout 30s"}
			}
			network, err := reach.network()
			if err != nil {
				return err
			}
			network.Transport, network.Sleep = a.transport, a.sleep
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			done := a.progress("asking for the manifest of " + clean(args[0]))
			report, err := verify.Credentials(ctx, verify.Config{Network: network, Clock: a.clock}, args[0])
			done()
			if err != nil && c.Context().Err() != nil {
				err = &verify.Error{Kind: verify.Unreachable, Err: fmt.Errorf("asking for the manifest of %s: interrupted", clean(args[0])), Hint: "run it again"}
			}
			if report == nil {
				return err
			}
			// What was sent and answered says most when there is no manifest.
			if output == "json" {
				err = errors.Join(err, writeJSON(a.stdout, report))
			} else {
				a.printCredentials(report)
			}
			return err
		},
	}
	reach.add(c)
	c.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long it may take")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

func (a *app) printCredentials(r *verify.CredentialReport) {
	p := colours(a.stdout)
	answer := p.red("no manifest")
	if r.Digest != "" {
		answer = string(r.Digest)
	}
	fmt.Fprintf(a.stdout, "%s → %s\n", p.bold(clean(r.Image)), answer)
	for _, h := range r.Hosts {
		fmt.Fprintf(a.stdout, "\n  %s %s\n", p.bold(clean(h.Host)), spokenToAs(h))
		var rows [][]string
		for _, s := range h.Consulted {
			rows = append(rows, []string{"asked " + clean(s.Source), clean(s.Answer)})
		}
		table(a.stdout, "    ", rows, nil)
		rows = nil
		for _, q := range h.Requests {
			sent, answer := q.Sent, clean(q.Error)
			if sent == "" {
				sent = "–"
			}
			if q.Status != 0 {
				answer = strconv.Itoa(q.Status)
			}
			rows = append(rows, []string{q.Method + " " + clean(q.URL), "sent " + sent, answer})
		}
		table(a.stdout, "    ", rows, func(_, col int, s string) string {
			if col == 0 {
				return p.dim(s)
			}
			return s
		})
	}
}

// spokenToAs says who a host took us for.
func spokenToAs(h verify.CredentialHost) string {
	switch {
	case h.Source != "" && h.User != "":
		return "as " + clean(h.User) + ": " + h.Kind + " of " + clean(h.Source)
	case h.Source != "":
		return h.Kind + " of " + clean(h.Source)
	case len(h.Consulted) > 0:
		return "as nobody"
	}
	for _, q := range h.Requests {
		if q.Sent != "" {
			return "with what the registry is spoken to with" // a token service
		}
	}
	return "as nobody"
}
