package predicate

import (
	"strings"

	"stemma"
)

// boxes holds what is read of a CycloneDX document besides the bill, until all of it is known.
type boxes struct {
	subject *element
	above   []element  // ancestors in the pedigree of the subject
	built   []element  // base images in the formulation
	flaws   []analysis // vulnerabilities that somebody analysed
}

// cycloneDX reads a CycloneDX document in JSON, 1.2 to 1.7, and what it says of vulnerabilities.
func (b *bill) cycloneDX() (version string, vex *stemma.VEX, err error) {
	s, x := b.json, &boxes{}
	format := ""
	err = s.Object([]string{"bomFormat", "specVersion", "metadata", "components", "dependencies", "vulnerabilities", "formulation"}, func(name string) (err error) {
		switch name {
		case "bomFormat":
			format, err = s.Text()
		case "specVersion":
			version, err = s.Text()
		case "metadata":
			err = b.cycloneMetadata(x)
		case "components":
			err = each(s, b.cycloneListed)
		case "dependencies":
			err = each(s, b.cycloneDependency)
		case "vulnerabilities":
			err = each(s, func() error { return b.cycloneVulnerability(x) })
		case "formulation":
			err = each(s, func() error {
				return s.Object([]string{"components"}, func(string) error {
					return each(s, func() error { return b.cycloneAside(&x.built, func(e element) bool { return e.base }) })
				})
			})
		}
		return err
	})
	switch {
	case err != nil:
		return "", nil, err
	case format != cyclonedx:
		return "", nil, nil
	}
	if !strings.HasPrefix(version, "1.") {
		return version, nil, nil
	}
	b.cycloneSubject(x)
	return version, b.cycloneVEX(x), nil
}

func (b *bill) cycloneMetadata(x *boxes) error {
	s := b.json
	return s.Object([]string{"timestamp", "tools", "authors", "manufacturer", "component"}, func(name string) error {
		switch name {
		case "timestamp":
			t, err := s.Text()
			b.created(t)
			return err
		case "tools":
			if s.Kind() != '{' {
				return each(s, b.cycloneTool)
			}
			// Since 1.5, tools are components and services.
			return s.Object([]string{"components", "services"}, func(string) error { return each(s, b.cycloneTool) })
		case "authors":
			return each(s, b.cycloneAuthor)
		case "manufacturer":
			return b.cycloneAuthor()
		}
		if s.Kind() == 'n' {
			return nil
		}
		e, err := b.cycloneComponent(&x.above)
		x.subject = &e
		return err
	})
}

func (b *bill) cycloneTool() error {
	return b.pair("name", "version", func(name, version string) {
		if name != "" {
			b.list(&b.out.Tools, "tool", name+" "+version)
		}
	})
}

// cycloneAuthor reads a person or an organisation.
func (b *bill) cycloneAuthor() error {
	return b.pair("name", "email", func(name, email string) {
		if name == "" {
			name = email
		}
		b.list(&b.out.Authors, "author", name)
	})
}

// cycloneListed reads a component of the list, or of another component.
func (b *bill) cycloneListed() error {
	i := b.reserve()
	e, err := b.cycloneComponent(nil)
	if err == nil {
		b.add(i, e)
	}
	return err
}

// cycloneComponent reads a component and lists those in it. Into above go the ancestors of its pedigree, if asked for.
func (b *bill) cycloneComponent(above *[]element) (e element, err error) {
	s := b.json
	err = s.Object([]string{
		"bom-ref", "type", "name", "version", "purl", "cpe", "swid", "hashes", "supplier", "publisher", "author", "authors", "manufacturer",
		"properties", "pedigree", "components",
	}, func(name string) (err error) {
		switch name {
		case "hashes":
			return each(s, func() error { return b.pair("alg", "content", func(alg, content string) { b.hash(&e, alg, content) }) })
		case "supplier", "manufacturer":
			return b.pair("name", "bom-ref", func(name, _ string) { e.supplied = e.supplied || name != "" })
		case "authors":
			return each(s, func() error {
				return b.pair("name", "email", func(name, email string) { e.supplied = e.supplied || name != "" || email != "" })
			})
		case "swid":
			return b.pair("tagId", "name", func(id, _ string) { e.identified = e.identified || id != "" })
		case "properties":
			return each(s, func() error { return b.pair("name", "value", e.cycloneProperty) })
		case "components":
			return each(s, b.cycloneListed)
		case "pedigree":
			if above == nil {
				return nil
			}
			return s.Object([]string{"ancestors"}, func(string) error {
				return each(s, func() error { return b.cycloneAside(above, func(element) bool { return true }) })
			})
		}
		value, err := s.Text()
		switch name {
		case "bom-ref":
			e.id = value
		case "type":
			e.kind = value
		case "name":
			e.Name = value
		case "version":
			e.Version = value
		case "purl":
			e.PURL = value
		case "cpe":
			e.identified = e.identified || value != ""
		default:
			e.supplied = e.supplied || value != ""
		}
		return err
	})
	// An image without a package URL may have it as its reference.
	if e.PURL == "" && strings.HasPrefix(e.id, "pkg:oci/") {
		e.PURL = e.id
	}
	e.base = e.base && e.kind == "container"
	return e, err
}

// cycloneAside reads a component that is no part of the image. What is in it is none either.
func (b *bill) cycloneAside(to *[]element, wanted func(element) bool) error {
	aside := &bill{out: &stemma.SBOM{}, json: b.json}
	e, err := aside.cycloneComponent(nil)
	if err == nil && e.kind == "container" && wanted(e) && len(*to) < maxRoots {
		*to = append(*to, e)
	}
	return err
}

// cycloneProperty looks for what trivy and Konflux say of images in properties that their documentation names.
func (e *element) cycloneProperty(name, value string) {
	if rest, ok := strings.CutPrefix(name, "aquasecurity:trivy:"); ok {
		e.imageName(rest, value)
	}
	e.base = e.base || isBaseMark(name, value)
}

// cycloneSubject places what the document is about, and the images that it stands on.
func (b *bill) cycloneSubject(x *boxes) {
	for _, e := range append(x.above, x.built...) {
		b.clean(&e)
		b.out.Bases = append(b.out.Bases, e.Component)
	}
	if x.subject == nil {
		return
	}
	b.out.Name = x.subject.Name
	listed := false
	for i, id := range b.ids {
		// Some list what the document is about among its components, too.
		if id != (ref{}) && id == refOf(x.subject.id) && b.out.Packages[i].PURL == x.subject.PURL && b.out.Packages[i].Version == x.subject.Version {
			listed = true
			b.described = append(b.described, x.subject.id)
			break
		}
	}
	if listed {
		return
	}
	b.out.Elements.Components++
	b.count(x.subject)
	b.out.Subjects = append(b.out.Subjects, x.subject.Component)
}

func (b *bill) cycloneDependency() error {
	s := b.json
	edge := func() error {
		to, err := s.Text()
		if to != "" {
			b.out.Elements.Relationships++
		}
		return err
	}
	return s.Object([]string{"ref", "dependsOn", "provides"}, func(name string) error {
		if name == "ref" {
			_, err := s.Text()
			return err
		}
		return each(s, edge)
	})
}
