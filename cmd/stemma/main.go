// Command stemma decides whether a container image may be deployed, on evidence of how it was made.
//
// Exit codes, on every path: 0 admit, 1 refuse, 2 usage, invalid policy or image not found, 3 undetermined (a registry
// that does not answer, refuses or asks to wait), 4 internal error. Of several images the worst, in the order 4, 2, 1,
// 3, 0.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"stemma"
	"stemma/policy"
	"stemma/verify"
)

// Exit codes.
const (
	exitAdmit        = 0
	exitRefuse       = 1
	exitUsage        = 2
	exitUndetermined = 3
	exitInternal     = 4
)

func main() {
	if os.Getenv("GOGC") == "" {
		// A verification lives for some twenty milliseconds and keeps some ten megabytes: the first collection of
		// garbage would cost a tenth of its time and free next to nothing.
		debug.SetGCPercent(300)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemoryLimit) // large evidence is collected as eagerly as ever
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	release := context.AfterFunc(ctx, func() {
		stop() // a second signal ends the process at once
		// A pipe that nobody writes to is waited for without looking at ctx.
		time.Sleep(interruptGrace)
		fmt.Fprintln(os.Stderr, "stemma: interrupted; nothing was decided")
		os.Exit(exitUndetermined)
	})
	a := &app{stdout: os.Stdout, stderr: os.Stderr}
	code := a.run(ctx, os.Args[1:])
	release()
	stop()
	os.Exit(code)
}

const (
	softMemoryLimit = 256 << 20              // bytes
	interruptGrace  = 500 * time.Millisecond // from a signal to the end of the process
)

// app is what all verbs share.
type app struct {
	stdout, stderr io.Writer
	code           int

	clock     func() time.Time                           // nil: time.Now
	transport http.RoundTripper                          // nil: the network
	sleep     func(context.Context, time.Duration) error // between attempts; nil: a timer
}

// run is the whole program. Whatever happens in it, nothing is allowed by accident.
func (a *app) run(ctx context.Context, args []string) (code int) {
	defer func() {
		if r := recover(); r != nil {
			a.complain(fmt.Sprintf("internal error: %v", r), "nothing was allowed; please report this with the command line")
			code = exitInternal
		}
	}()
	out := &sink{Writer: a.stdout}
	a.stdout = out
	root := a.command()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		return a.report(err)
	}
	if out.err != nil {
		return a.report(fmt.Errorf("writing the answer: %w", out.err)) // who admits by it has not read it
	}
	return a.code
}

// sink remembers that something could not be written.
type sink struct {
	io.Writer
	err error
}

func (s *sink) Write(b []byte) (int, error) {
	n, err := s.Writer.Write(b)
	s.err = cmp.Or(s.err, err)
	return n, err
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "stemma",
		Short: "Decide whether a container image may be deployed, on evidence of how it was made",
		Long: `Stemma decides whether a container image may be deployed, on evidence of how it was made: who built it, from which
source, under which controls, and whether all of that is said about this very digest.

  stemma demo                                   a story in a world of its own: no network, no files
  stemma inspect ghcr.io/acme/api:1.8.2         everything that is known about an image, and by whom it is said
  stemma verify ghcr.io/acme/api:1.8.2 --policy policy.yaml
  stemma learn ghcr.io/acme/api:1.8.2           the tightest policy that the image meets
  stemma policy --help                          check, test, explain, import, sign and publish policies
  stemma mirror ghcr.io/acme/api:1.8.2 registry.corp.example/hub/acme/api

IMAGE is registry/repo[:tag][@sha256:…] or oci:DIR[@sha256:…], a directory in OCI layout.

Exit codes: 0 admit, 1 refuse, 2 usage, invalid policy or image not found, 3 undetermined, 4 internal error.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       policy.Version,
		RunE: func(c *cobra.Command, _ []string) error {
			// Exit code 0 means admit, and a script whose verb got lost has not asked for anything.
			c.SetOut(a.stderr)
			_ = c.Help() // it writes, and writes only
			a.code = exitUsage
			return nil
		},
	}
	root.Flags().Bool("version", false, "version of stemma") // without the shorthand -v, which is --verbose
	root.SetHelpCommand(a.helpCommand())
	root.AddCommand(a.inspectCommand(), a.treeCommand(), a.baseCommand(), a.learnCommand(), a.verifyCommand(), a.mirrorCommand(), a.credentialsCommand(), a.policyCommand(), a.waiveCommand(), a.demoCommand())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{err, "see " + c.CommandPath() + " --help"}
	})
	return root
}

// helpCommand is cobra's, except that help about something that does not exist is a mistake.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "Say how a verb is used",
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return &usageError{fmt.Errorf("no help about %q", strings.Join(args, " ")), "stemma --help lists the verbs"}
			}
			return about.Help()
		},
	}
}

// usageError is a mistake on the command line, with what to type instead.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }

// report prints an error and returns the exit code that it stands for.
func (a *app) report(err error) int {
	var usage *usageError
	var failure *verify.Error
	var policyErrors policy.Errors
	switch {
	case errors.As(err, &policyErrors):
		fmt.Fprintln(a.stderr, policyErrors)
		return exitUsage
	case errors.As(err, &failure):
		a.complain(failure.Error(), failure.Hint)
		switch failure.Kind {
		case verify.Unreachable:
			return exitUndetermined
		case verify.Internal:
			return exitInternal
		}
		return exitUsage
	case errors.As(err, &usage):
		a.complain(usage.Error(), usage.hint)
		return exitUsage
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		a.complain(err.Error(), "nothing is known to be wrong with the image; try again, or allow more time with --timeout")
		return exitUndetermined
	case strings.HasPrefix(err.Error(), "unknown command"):
		// cobra has no type for it, and puts its suggestions below.
		problem, rest, _ := strings.Cut(err.Error(), "\n")
		hint := "see stemma --help"
		if strings.Contains(problem, `for "stemma policy"`) {
			hint = "see stemma policy --help"
		}
		if near := strings.Fields(strings.TrimPrefix(strings.TrimSpace(rest), "Did you mean this?")); len(near) > 0 {
			hint = "did you mean " + strings.Join(near, " or ") + "?"
		}
		a.complain(problem, hint)
		return exitUsage
	}
	a.complain(err.Error(), "")
	return exitInternal
}

func (a *app) complain(problem, hint string) {
	for i, line := range strings.Split(problem, "\n") {
		prefix := "stemma: "
		if i > 0 {
			prefix = "        "
		}
		fmt.Fprintln(a.stderr, prefix+stemma.Printable(line, 2000))
	}
	if hint != "" {
		fmt.Fprintln(a.stderr, "        "+stemma.Printable(hint, 1000))
	}
}

// worse returns the worse of two exit codes, in the order 4, 2, 1, 3, 0.
func worse(a, b int) int {
	order := []int{exitAdmit, exitUndetermined, exitRefuse, exitUsage, exitInternal}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}
