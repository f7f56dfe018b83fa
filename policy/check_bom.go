package policy

func (c *checker) bom(p *loaded) {}
