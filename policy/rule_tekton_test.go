package policy

func builderRuleCases() []ruleCase { return nil }
