// Package stemmatest is a world to test against: a private Sigstore instance, builders that attest, and registries
// that hold images with their evidence. Nothing in it opens a socket, reads the clock or touches a disk unless asked.
//
// [NewWorld] makes one image with complete, genuine evidence, and is meant to be varied one field at a time. Below it
// every step is a function whose result may be edited before the next one is taken, so that a forged, mixed-up or
// half-true piece of evidence is made as an attacker would make it, and only its intended part is wrong:
//
//	world, err := stemmatest.NewWorld(stemmatest.Config{})
//	image, err := world.PutImage("v2.0.1")
//	signed, err := world.Attest(image, stemmatest.Vary{
//		Build: func(b *stemmatest.GitHub) { b.Repository = "evil/app" },
//	})
//	world.Attach(image, signed)
//
// A [Registry] is honest, and takes pushes if it is told to. In front of it, or of any other one, [Hostile] does what the
// worst registries do, [Slow] lets requests take a while and counts the round trips, and [Wire] remembers who was told
// which secrets:
//
//	world.Hostile().Do(stemmatest.LoopPages(), stemmatest.Cut(10).To(stemmatest.AskBlob).Times(1))
//
// The keys are made anew for each instance and are worth nothing outside of it: a second [NewSigstore] is the wrong
// trust root of the first.
//
// Names under which the services appear end in .test and resolve nowhere (RFC 2606).
package stemmatest
