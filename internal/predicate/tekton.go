package predicate

func tektonFamilies() []family { return nil }
