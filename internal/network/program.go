package network

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"stemma"
)

// Bounds of a program that knows credentials.
const (
	maxAnswer      = 64 << 10        // bytes on standard output
	maxComplaint   = 4 << 10         // bytes kept of standard error
	programTime    = time.Minute     // the longest it may run, as with the kubelet
	programGrace   = 2 * time.Second // for its pipes to close, after its end
	maxProgramName = 128             // bytes
	redacted       = "…"             // stands for what may be secret
	longWord       = 20              // characters from which a word of letters and digits may be one
)

// program is one run of a program. Nothing that a stranger chose is in its path or its arguments: the server or the
// image that is asked about is in stdin.
type program struct {
	path  string // absolute, or a word that is looked for in PATH
	args  []string
	env   []string // in addition to that of this process
	stdin []byte
}

// run returns the standard output of a program that ended well. said is its standard error, without what may be secret.
func run(ctx context.Context, p program) (out []byte, said string, err error) {
	limit, cancel := context.WithTimeout(ctx, programTime)
	defer cancel()
	cmd := exec.CommandContext(limit, p.path, p.args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdin = bytes.NewReader(p.stdin)
	answer := &bounded{limit: maxAnswer, full: cancel}
	complaint := &bounded{limit: maxComplaint}
	cmd.Stdout, cmd.Stderr = answer, complaint
	cmd.WaitDelay = programGrace // a child of the program may hold the pipes open
	err = cmd.Run()
	said = redact(complaint.kept.String(), p.env)
	switch {
	case answer.over:
		err = fmt.Errorf("its answer is longer than %d bytes", maxAnswer)
	case err != nil && ctx.Err() != nil:
		err = ctx.Err()
	case err != nil && limit.Err() != nil:
		err = fmt.Errorf("it did not end within %s", programTime)
	}
	return answer.kept.Bytes(), said, err
}

// bounded keeps the beginning of what is written. It holds its buffer in a field: what has a method ReadFrom is copied
// to past Write, without a bound.
type bounded struct {
	kept  bytes.Buffer
	limit int
	over  bool
	full  func() // called when more than limit was written
}

func (b *bounded) Write(data []byte) (int, error) {
	room := b.limit - b.kept.Len()
	if len(data) > room {
		b.over = true
		if b.full != nil {
			b.full()
		}
	}
	_, _ = b.kept.Write(data[:min(len(data), room)]) // always nil
	return len(data), nil
}

// because adds what a program said to why it failed.
func because(err error, said string) error {
	if said == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, said)
}

// isWord recognises the plain name of a program.
func isWord(name string) bool {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	return name != "" && len(name) <= maxProgramName && name[0] != '.' && name[0] != '-' && !strings.ContainsFunc(name, func(r rune) bool { return !plain(r) })
}

// redact takes out of somebody's words what may be secret: values of the environment that it was given, what stands
// after a word such as password or Bearer, passwords in addresses, and long words that look like tokens.
func redact(text string, env []string) string {
	for _, e := range env {
		if _, value, _ := strings.Cut(e, "="); len(value) >= 4 {
			text = strings.ReplaceAll(text, value, redacted)
		}
	}
	var out strings.Builder
	expect := nothingSecret
	for text = strings.Join(strings.Fields(text), " "); text != ""; {
		end := strings.IndexFunc(text, isBetween)
		if end < 0 {
			end = len(text)
		}
		word, rest := text[:end], text[end:]
		start := strings.IndexFunc(rest, func(r rune) bool { return !isBetween(r) })
		if start < 0 {
			start = len(rest)
		}
		between := rest[:start]
		text = rest[start:]
		scheme := strings.EqualFold(word, "bearer") || strings.EqualFold(word, "basic")
		switch {
		case word == "":
		case scheme:
			expect = aSecret
		case isSecretName(word) && strings.ContainsAny(between, ":="):
			expect = aSecret
		case expect == aSecret || looksSecret(word) || expect == perhapsASecret && (strings.ContainsAny(word, digits) || len(word) > 12):
			word, expect = redacted, nothingSecret
		case isSecretName(word):
			expect = perhapsASecret
		default:
			expect = nothingSecret
		}
		out.WriteString(word + between)
	}
	return stemma.Printable(strings.TrimSpace(out.String()), maxSaid)
}

// What the next word is, when reading somebody's words.
const (
	nothingSecret = iota
	perhapsASecret
	aSecret
)

const digits = "0123456789"

func isBetween(r rune) bool { return strings.ContainsRune(" :=\"'`{},;()[]<>&?", r) }

func isSecretName(word string) bool {
	word = strings.ToLower(word)
	for _, name := range []string{"password", "passwd", "secret", "token", "authorization", "auth", "key"} {
		if strings.HasSuffix(word, name) {
			return true
		}
	}
	return false
}

// looksSecret recognises base64, hex and tokens, and the password part of an address.
func looksSecret(word string) bool {
	return strings.Contains(word, "@") ||
		len(word) >= longWord && strings.ContainsAny(word, digits) && strings.ContainsAny(strings.ToLower(word), "abcdefghijklmnopqrstuvwxyz")
}
