package policy

func approvalRuleCases() []ruleCase { return nil }
