package policy

func bomRuleCases() []ruleCase { return nil }
