package policy

func expectRuleCases() []ruleCase { return nil }
