package policy

import (
	"testing"

	"stemma"
)

// judgedCase is the decision about the evidence of a case. What a deployment expects stands in the situation: here the
// source of F0, written as people write it.
func judgedCase(t *testing.T, c ruleCase) *stemma.Decision {
	t.Helper()
	at := now()
	if c.rule == "provenance.expected" {
		at.Expect = map[stemma.Field]string{stemma.FieldCommit: commitOfSource, stemma.FieldRepository: "https://github.com/ACME/app.git"}
	}
	e := f0()
	for _, change := range c.changes {
		change(e)
	}
	return Evaluate(load(t, c.policy), e, at)
}

func expectRuleCases() []ruleCase { return nil }
