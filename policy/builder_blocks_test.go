package policy

func blockRuleCases() []ruleCase { return nil }
