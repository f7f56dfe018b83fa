package policy

func (c *checker) inputs(p *loaded) {}
