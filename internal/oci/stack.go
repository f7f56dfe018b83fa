package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"stemma"
)

// Most comments of a config's history that name an image, and most variables of it that are kept.
const (
	maxHistory   = 16
	maxVariables = 1024
)

// config is what of an image's config says what its layers hold, and what runs.
type config struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	OSVersion    string `json:"os.version"`
	Variant      string `json:"variant"`
	RootFS       struct {
		Type    string          `json:"type"`
		DiffIDs []stemma.Digest `json:"diff_ids"`
	} `json:"rootfs"`
	Config struct {
		User       string            `json:"User"`
		Env        []string          `json:"Env"`
		Entrypoint []string          `json:"Entrypoint"`
		Cmd        []string          `json:"Cmd"`
		WorkingDir string            `json:"WorkingDir"`
		Labels     map[string]string `json:"Labels"`
	} `json:"config"`
	History []struct {
		Comment string `json:"comment"`
	} `json:"history"`
}

// Stack reads the layers of an image that is given by digest. Of an index it reads the one manifest that is listed for the
// platform; that there is none, or that there are two, is an error, as is a config that does not fit the manifest. The
// repository may be a layout. An error is an *Error.
func (c *Client) Stack(ctx context.Context, ref Reference, want stemma.Platform) (*stemma.Stack, error) {
	if ref.Digest == "" {
		return nil, &Error{Kind: Invalid, Ref: ref.String(), Err: errors.New("an image without a digest"), Hint: "Name it by digest: its tag may mean another one today."}
	}
	var out *stemma.Stack
	err := c.with(ctx, ref, func(s source, doc *document) (err error) {
		index := stemma.Digest("")
		for depth := 0; doc.isIndex(); depth++ {
			if depth == maxDepth {
				return badAnswer("indexes in indexes, more than %d deep", maxDepth)
			}
			if index == "" {
				index = doc.digest
			}
			only, err := doc.only(want)
			if err != nil {
				return err
			}
			if doc, err = s.manifest(ctx, only); err != nil {
				return err
			}
		}
		out, err = doc.stack(ctx, s, want)
		if err == nil {
			out.Image, out.Index = stemma.Image{Repository: ref.Repository, Digest: doc.digest}, index
		}
		return err
	})
	return out, err
}

// Blob opens a layer. What is read was compared with its digest when the end is reached, and not before.
func (c *Client) Blob(ctx context.Context, ref Reference, digest stemma.Digest, size int64) (io.ReadCloser, error) {
	want := descriptor{Digest: digest, Size: size}
	if err := want.check(1 << 50); err != nil {
		return nil, &Error{Kind: Invalid, Ref: ref.String(), Err: err}
	}
	if ref.Layout != "" {
		dir, err := os.OpenRoot(ref.Layout)
		if err != nil {
			return nil, noDirectory(ref, err)
		}
		defer func() { _ = dir.Close() }() // the file stays open
		l, err := openLayout(dir)
		if err != nil {
			return nil, opening(ref, err)
		}
		body, err := l.stream(ctx, want)
		if err != nil {
			return nil, opening(ref, err)
		}
		return newVerified(body, want), nil
	}
	body, err := c.at(ref).stream(ctx, want)
	if err != nil {
		return nil, c.opening(ctx, ref, err)
	}
	return newVerified(body, want), nil
}

// Images are the images that a reference may mean: itself or, of a layout without a digest, all that index.json lists.
func (c *Client) Images(ref Reference) ([]Reference, error) {
	if ref.Layout == "" || ref.Digest != "" {
		return []Reference{ref}, nil
	}
	dir, err := os.OpenRoot(ref.Layout)
	if err != nil {
		return nil, noDirectory(ref, err)
	}
	defer func() { _ = dir.Close() }() // it was only read
	l, err := openLayout(dir)
	if err != nil {
		return nil, opening(ref, err)
	}
	var out []Reference
	for _, d := range l.images() {
		one := ref
		one.Digest = d.Digest
		out = append(out, one)
	}
	return out, nil
}

// with has something read from the repository or the layout of a reference, and the manifest that it names by digest.
func (c *Client) with(ctx context.Context, ref Reference, read func(source, *document) error) error {
	if ref.Layout == "" {
		if ref.Repository == "" || ref.Host == "" {
			return &Error{Kind: Invalid, Ref: ref.String(), Err: errors.New("not an image of a registry"), Hint: "Give registry/repository@digest."}
		}
		s := c.at(ref)
		doc, err := s.named(ctx, "", ref.Digest)
		if err == nil {
			err = read(s, doc)
		}
		if err != nil {
			return c.opening(ctx, ref, err)
		}
		return nil
	}
	dir, err := os.OpenRoot(ref.Layout)
	if err != nil {
		return noDirectory(ref, err)
	}
	defer func() { _ = dir.Close() }() // it was only read
	l, err := openLayout(dir)
	if err != nil {
		return opening(ref, err)
	}
	doc, err := l.find(ref, l.choices(ref.Layout, l.images()))
	if err == nil {
		err = read(l, doc)
	}
	if err != nil {
		return opening(ref, err)
	}
	return nil
}

// only finds the one manifest of an index for a platform. There is no first that wins, and no platform that is near enough.
func (d *document) only(want stemma.Platform) (descriptor, error) {
	var found []descriptor
	for _, m := range d.body.Manifests {
		if !m.isAttestation() && m.Platform != nil && m.Platform.value().Normal() == want.Normal() {
			found = append(found, m)
		}
	}
	switch {
	case want == (stemma.Platform{}):
		return descriptor{}, badAnswer("index %s: for which platform is not known", d.digest.Short())
	case len(found) == 0:
		return descriptor{}, missing("index %s lists nothing for %s", d.digest.Short(), want)
	case len(found) > 1:
		return descriptor{}, otherwise("index %s lists %d manifests for %s: which of them a runtime takes is open", d.digest.Short(), len(found), want)
	}
	return found[0], found[0].check(maxManifest)
}

// stack reads the config of a manifest and holds it against the manifest.
func (d *document) stack(ctx context.Context, s source, want stemma.Platform) (*stemma.Stack, error) {
	if d.body.Config == nil || isArtifact(d.body.Config.MediaType) || !d.isRunnable() {
		return nil, badAnswer("manifest %s is not that of an image", d.digest.Short())
	}
	if err := d.body.Config.check(maxManifest); err != nil {
		return nil, err
	}
	data, err := s.blob(ctx, *d.body.Config, maxManifest)
	if err != nil {
		return nil, err
	}
	var c config
	if err := stemma.DecodeJSON(data, &c); err != nil {
		return nil, badAnswer("reading config %s: %w", d.body.Config.Digest.Short(), err)
	}
	if len(c.RootFS.DiffIDs) != len(d.body.Layers) {
		return nil, badAnswer("manifest %s has %d layers, and its config %d", d.digest.Short(), len(d.body.Layers), len(c.RootFS.DiffIDs))
	}
	out := &stemma.Stack{
		Config:   d.body.Config.Digest,
		Platform: stemma.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, OSVersion: c.OSVersion},
		Settings: stemma.Settings{User: c.Config.User, Entrypoint: c.Config.Entrypoint, Cmd: c.Config.Cmd, WorkingDir: c.Config.WorkingDir, Labels: c.Config.Labels},
	}
	if out.Settings.Env = c.Config.Env; len(out.Settings.Env) > maxVariables {
		return nil, badAnswer("config %s sets %d variables, limit %d", out.Config.Short(), len(out.Settings.Env), maxVariables)
	}
	// A config leaves out what the index says: a variant, above all. Another platform it must not say.
	if want != (stemma.Platform{}) {
		if !want.Takes(out.Platform) && !out.Platform.Takes(want) {
			return nil, otherwise("config %s is for %s: want %s", out.Config.Short(), out.Platform, want)
		}
		out.Platform = want
	}
	for i, l := range d.body.Layers {
		if err := l.check(1 << 50); err != nil {
			return nil, err
		}
		id, err := stemma.ParseDigest(string(c.RootFS.DiffIDs[i]))
		if err != nil {
			return nil, badAnswer("config %s, layer %d: %w", out.Config.Short(), i+1, err)
		}
		out.Layers = append(out.Layers, stemma.Layer{Digest: l.Digest, DiffID: id, Size: l.Size, MediaType: stemma.Printable(l.MediaType, 100), Foreign: foreign(l)})
	}
	for _, h := range c.History {
		// "FROM docker.io/library/debian:12" is what buildah leaves.
		if name, ok := strings.CutPrefix(h.Comment, "FROM "); ok && len(out.From) < maxHistory {
			out.From = append(out.From, stemma.Printable(strings.TrimSpace(name), 200))
		}
	}
	return out, nil
}

// foreign reports whether a layer is not to be in the registry.
func foreign(d descriptor) bool {
	return len(d.URLs) > 0 || strings.Contains(d.MediaType, "nondistributable") || strings.Contains(d.MediaType, ".foreign.")
}

// otherwise is an answer that is well understood, and not for the platform that is wanted.
func otherwise(format string, args ...any) error {
	return &fault{reason: stemma.ReasonPlatform, err: fmt.Errorf(format, args...)}
}
