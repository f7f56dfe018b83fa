package policy

func inputRuleCases() []ruleCase { return nil }
