package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

// What evidence says must not steer the terminal that JSON is shown on, and must still be readable from it.
func TestJSONHasNoControls(t *testing.T) {
	var b bytes.Buffer
	if err := writeJSON(&b, map[string]string{"a": "x\u009b2J\u202ey\x7f\x1b\U000e0001 é 漢 <&>"}); err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"a\": \"x\\u009b2J\\u202ey\\u007f\\u001b\\udb40\\udc01 é 漢 <&>\"\n}\n"
	if got := b.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// An answer that could not be written admits nothing.
func TestUnwrittenAnswer(t *testing.T) {
	for name, args := range map[string][]string{"text": {"policy", "explain"}, "help": {"--help"}} {
		var e bytes.Buffer
		a := &app{stdout: full{}, stderr: &e}
		if code := a.run(context.Background(), args); code != exitInternal {
			t.Errorf("%s: exit code %d, want %d; %s", name, code, exitInternal, e.String())
		}
	}
}
