package lineage

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"stemma"
)

// Bounds of a comparison of files.
const (
	maxEntries    = 2_000_000 // files of all layers that are read
	maxPaths      = 500_000   // files of the layers above a base, which are remembered
	maxPath       = 4096      // bytes of a path
	maxOverwrites = 200       // that are kept
	maxLinks      = 100_000   // links of the base
	maxHops       = 16        // from one link to another
)

const (
	whiteout = ".wh."         // before the name of what a layer deletes
	opaque   = ".wh..wh..opq" // in a directory of which a layer deletes all that was there
)

// above are the files of the layers above a base, by path.
type above struct {
	replaced map[string]int  // layer, of what is no directory, or is one where another kind of file may have been
	deleted  map[string]int  // layer
	opaque   map[string]int  // layer, of directories whose content is deleted
	dirs     map[string]bool // of replaced: a directory, which replaces nothing but another kind of file
}

// Files finds the files of a base that layers above replace or delete: owning layers is not keeping them. It reads every
// layer of the image once, and remembers the paths of those above the base.
func (f Finder) Files(ctx context.Context, own *stemma.Stack, l *stemma.Lineage) {
	a := above{map[string]int{}, map[string]int{}, map[string]int{}, map[string]bool{}}
	left := maxEntries
	for i := l.Layers; i < len(own.Layers); i++ {
		if err := f.entries(ctx, own, i, &left, func(h *tar.Header, name string) error { return a.add(h, name, i+1) }); err != nil {
			l.FilesWhy, l.FilesReason = stemma.Printable(fmt.Sprintf("layer %d: %v", i+1, err), 300), reason(err)
			return
		}
	}
	found, links := map[string]stemma.Overwrite{}, map[string]string{}
	for again := false; len(a.replaced)+len(a.deleted)+len(a.opaque) > 0; again = true {
		for i := range l.Layers {
			if err := f.entries(ctx, own, i, &left, func(h *tar.Header, name string) error { return a.meets(h, name, found, links) }); err != nil {
				l.FilesWhy, l.FilesReason = stemma.Printable(fmt.Sprintf("layer %d: %v", i+1, err), 300), reason(err)
				return
			}
		}
		if again {
			break
		}
		// A file that is written below a link to a directory of the base lands where the link leads: lib/ld.so in usr/lib.
		a = a.through(links)
	}
	l.Files, l.FilesRead, l.FilesBy = len(found), true, map[string]int{}
	for _, o := range found {
		l.FilesBy[cmp.Or(o.Class, "other")]++
		l.Overwrites = append(l.Overwrites, o)
	}
	slices.SortFunc(l.Overwrites, func(x, y stemma.Overwrite) int {
		return cmp.Or(cmp.Compare(slices.Index(classes(), x.Class), slices.Index(classes(), y.Class)), cmp.Compare(x.Path, y.Path))
	})
	l.Overwrites = l.Overwrites[:min(len(l.Overwrites), maxOverwrites)]
}

// add remembers what an entry of a layer above does to what was there.
func (a *above) add(h *tar.Header, name string, layer int) error {
	if len(a.replaced)+len(a.deleted)+len(a.opaque) >= maxPaths {
		return fmt.Errorf("the layers above hold more than %d files", maxPaths)
	}
	switch dir, base := path.Dir(name), path.Base(name); {
	case base == opaque:
		a.opaque[dir] = layer
	case strings.HasPrefix(base, whiteout+whiteout): // metadata of a storage driver
	case strings.HasPrefix(base, whiteout):
		a.deleted[path.Join(dir, strings.TrimPrefix(base, whiteout))] = layer
	default:
		a.replaced[name] = layer
		if h.Typeflag == tar.TypeDir {
			a.dirs[name] = true
		} else {
			delete(a.dirs, name)
		}
	}
	return nil
}

// meets holds an entry of the base against the layers above.
func (a *above) meets(h *tar.Header, name string, found map[string]stemma.Overwrite, links map[string]string) error {
	if h.Typeflag == tar.TypeSymlink {
		if len(links) >= maxLinks {
			return fmt.Errorf("the base holds more than %d links", maxLinks)
		}
		links[name] = h.Linkname
	}
	dir, base := path.Dir(name), path.Base(name)
	switch gone, white := strings.CutPrefix(base, whiteout); {
	case base == opaque:
		forget(found, dir)
	case white:
		forget(found, path.Join(dir, gone)) // the base itself does without it
		delete(found, path.Join(dir, gone))
	default:
		if o, ok := a.hits(h, name); ok {
			found[name] = o
		}
	}
	return nil
}

// forget takes away what lies in a directory.
func forget(found map[string]stemma.Overwrite, dir string) {
	for name := range found {
		if strings.HasPrefix(name, dir+"/") || dir == "." {
			delete(found, name)
		}
	}
}

// through is what the layers above do below links of the base, by where the links lead.
func (a *above) through(links map[string]string) above {
	out := above{map[string]int{}, map[string]int{}, map[string]int{}, map[string]bool{}}
	resolve := func(name string) (string, bool) {
		moved := false
		for range maxHops {
			at := path.Dir(name)
			for at != "." && links[at] == "" {
				at = path.Dir(at)
			}
			if at == "." {
				return name, moved
			}
			target := links[at]
			if !strings.HasPrefix(target, "/") {
				target = path.Join(path.Dir(at), target)
			}
			name, moved = strings.TrimPrefix(path.Join("/", target, strings.TrimPrefix(name, at+"/")), "/"), true
		}
		return name, false
	}
	for _, m := range []struct{ from, to map[string]int }{{a.replaced, out.replaced}, {a.deleted, out.deleted}, {a.opaque, out.opaque}} {
		for name, layer := range m.from {
			if to, moved := resolve(name); moved {
				m.to[to] = layer
				if a.dirs[name] {
					out.dirs[to] = true
				}
			}
		}
	}
	return out
}

// hits says what becomes of a file of the base. A directory above it that is deleted, made opaque or replaced by another kind
// of file takes all with it that lies in it.
func (a *above) hits(h *tar.Header, name string) (stemma.Overwrite, bool) {
	dir := h.Typeflag == tar.TypeDir
	o := stemma.Overwrite{Path: stemma.Printable(name, maxSetting), Class: class(h, name)}
	if layer, ok := a.replaced[name]; ok && !(dir && a.dirs[name]) {
		o.Layer = layer
		return o, !dir
	}
	for at := name; at != "." && at != "/"; at = path.Dir(at) {
		if layer, ok := a.deleted[at]; ok {
			o.Layer, o.Deleted = layer, true
			return o, !dir
		}
		if at == name {
			continue
		}
		layer, ok := a.opaque[at]
		if !ok {
			if layer, ok = a.replaced[at]; ok && a.dirs[at] {
				ok = false
			}
		}
		if ok {
			o.Layer, o.Deleted = layer, true
			return o, !dir
		}
	}
	if layer, ok := a.opaque["."]; ok {
		o.Layer, o.Deleted = layer, true
		return o, !dir
	}
	return o, false
}

// entries goes through the files of a layer. The bytes behind are those of the digest: an error comes at the end, too.
func (f Finder) entries(ctx context.Context, own *stemma.Stack, i int, left *int, each func(*tar.Header, string) error) error {
	layer := own.Layers[i]
	if layer.Foreign {
		return errors.New("it is to be fetched from elsewhere")
	}
	blob, err := f.Source.Blob(ctx, own.Image, layer)
	if err != nil {
		return err
	}
	defer func() { _ = blob.Close() }() // it was only read
	content, stop, err := unpacked(bufio.NewReaderSize(blob, 64<<10))
	if err != nil {
		return err
	}
	defer stop()
	bounded := &io.LimitedReader{R: content, N: maxBlob}
	for t := tar.NewReader(bounded); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading files: %w", err)
		}
		if *left--; *left < 0 {
			return fmt.Errorf("the layers hold more than %d files", maxEntries)
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if len(h.Name) > maxPath || name == "" {
			continue
		}
		if err := each(h, name); err != nil {
			return err
		}
	}
	switch _, err := io.Copy(io.Discard, bounded); {
	case err != nil:
		return fmt.Errorf("reading files: %w", err)
	case bounded.N <= 0:
		return errors.New("it unpacks to more than is read")
	}
	return nil
}

// classes of files, the gravest first.
func classes() []string { return append(stemma.FileClasses(), "") }

// class says what a file is to whoever relies on the base.
func class(h *tar.Header, name string) string {
	dir, base := path.Dir(name), path.Base(name)
	under := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	}
	switch {
	case strings.HasPrefix(base, "ld-") && strings.Contains(base, ".so") || strings.HasPrefix(base, "ld.so") || under("etc/ld.so"),
		strings.HasPrefix(base, "libc.so") || strings.HasPrefix(base, "libc.musl"):
		return "loader"
	case under("etc/ssl/", "etc/pki/", "etc/ca-certificates", "usr/share/ca-certificates/", "usr/local/share/ca-certificates/"):
		return "certificates"
	case under("var/lib/dpkg/", "lib/apk/db/", "usr/lib/apk/db/", "var/lib/rpm/", "usr/lib/sysimage/rpm/", "etc/apt/", "etc/apk/", "etc/yum.repos.d/"):
		return "packages"
	case dir == "etc" && slices.Contains([]string{"passwd", "shadow", "group", "gshadow", "sudoers", "nsswitch.conf"}, base), under("etc/pam.d/", "etc/sudoers.d/"):
		return "accounts"
	case h.Typeflag == tar.TypeReg && h.Mode&0o111 != 0, strings.Contains(base, ".so") && (h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeSymlink),
		(h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeLink) && slices.Contains([]string{"bin", "sbin", "."}, path.Base(dir)):
		return "executable"
	}
	return ""
}
