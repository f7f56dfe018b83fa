package predicate

func gitlabFamilies() []family { return nil }
