package policy

// distrusted is one Distrust document.
type distrusted struct {
	name   string
	spec   Distrust
	places map[string]position
	file   string
}

func (c *checker) distrust(d Distrust) {}

func (c *checker) approvals(p *loaded) {}
