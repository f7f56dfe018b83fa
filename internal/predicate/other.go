package predicate

func otherFamilies() []family { return nil }
