package predicate

func cloudBuildFamilies() []family { return nil }
