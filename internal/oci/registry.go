package oci

import (
	"context"
	"errors"
	"net/http"

	"stemma"
)

type registry struct{}

func newRegistry(*Client, Reference) *registry { return &registry{} }

func (*registry) resolve(context.Context, Reference) (*document, error) {
	return nil, errors.New("registries are not read by this build")
}
func (*registry) manifest(context.Context, descriptor) (*document, error) {
	return nil, errors.New("registries are not read by this build")
}

func (*registry) tagged(context.Context, string) ([]*document, string, error) {
	return nil, "", errors.New("registries are not read by this build")
}

func (*registry) referrers(context.Context, stemma.Digest) ([]descriptor, string, error) {
	return nil, "", errors.New("registries are not read by this build")
}

func (*registry) blob(context.Context, descriptor, int64) ([]byte, error) {
	return nil, errors.New("registries are not read by this build")
}
func defaultTransport() http.RoundTripper { return nil }
