package stemmatest_test

import (
	"fmt"

	"stemma/stemmatest"
)

// An image whose provenance says one thing and whose certificate says another.
func ExampleWorld_Attest() {
	world, err := stemmatest.NewWorld(stemmatest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	image, err := world.PutImage("v2.0.1")
	if err != nil {
		fmt.Println(err)
		return
	}
	signed, err := world.Attest(image, stemmatest.Vary{
		Statement: func(s *stemmatest.Statement) {
			s.Set("/buildDefinition/externalParameters/workflow/repository", "https://github.com/evil/app")
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	world.Attach(image, signed)
	fmt.Println(image.Name().Repository, image.Name().Tag)
	fmt.Println(signed.Signer.Certificate.URIs[0])
	// Output:
	// ghcr.io/acme/app v2.0.1
	// https://github.com/trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3
}
