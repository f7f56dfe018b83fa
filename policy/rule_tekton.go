package policy

func builderRules() []Rule { return nil }
