package lineage_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"stemma"
	"stemma/internal/lineage"
)

// tarred is a layer of entries: "usr/bin/sh" an executable, "etc/x=" a file, "lib@usr/lib" a link, "etc/" a directory.
func (s *shelf) tarred(t *testing.T, entries string) stemma.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range strings.Fields(entries) {
		h := &tar.Header{Name: e, Typeflag: tar.TypeReg, Mode: 0o755}
		if name, ok := strings.CutSuffix(e, "="); ok {
			h.Name, h.Mode = name, 0o644
		} else if name, target, ok := strings.Cut(e, "@"); ok {
			h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeSymlink
		} else if strings.HasSuffix(e, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return s.layer(b.String(), 6)
}

// Owning the layers of a base is not keeping them: what layers above replace and delete, and what only looks as if.
func TestFiles(t *testing.T) {
	for _, c := range []struct {
		name, base, more, above, want string
	}{
		{"nothing", "usr/ usr/bin/ usr/bin/sh", "", "app", ""},
		{"the same directories", "usr/ usr/bin/ usr/bin/sh", "", "usr/ usr/bin/ usr/bin/app", ""},
		{"an executable", "usr/bin/sh usr/bin/ls", "", "usr/bin/sh", "executable usr/bin/sh 2"},
		{"under another spelling", "usr/bin/sh", "", "./usr//bin/../bin/sh", "executable usr/bin/sh 2"},
		{"the loader", "lib64/ld-linux-x86-64.so.2", "", "lib64/ld-linux-x86-64.so.2", "loader lib64/ld-linux-x86-64.so.2 2"},
		{"the loader, through a link of the base", "lib64@usr/lib64 usr/lib64/ld-linux-x86-64.so.2", "", "lib64/ld-linux-x86-64.so.2", "loader usr/lib64/ld-linux-x86-64.so.2 2"},
		{"through two links", "lib@/usr/lib usr/lib@../opt/lib opt/lib/ld-musl-x86_64.so.1", "", "lib/ld-musl-x86_64.so.1", "loader opt/lib/ld-musl-x86_64.so.1 2"},
		{"links in a circle", "a@b b@a usr/bin/sh", "", "a/x", ""},
		{"what is told first", "etc/ssl/certs/ca.pem= var/lib/dpkg/status= etc/passwd= usr/bin/sh etc/motd= lib/libc.so.6", "", "etc/ssl/certs/ca.pem= var/lib/dpkg/status= etc/passwd= usr/bin/sh etc/motd= lib/libc.so.6", "loader lib/libc.so.6 2, certificates etc/ssl/certs/ca.pem 2, packages var/lib/dpkg/status 2, accounts etc/passwd 2, executable usr/bin/sh 2, etc/motd 2"},
		{"a deletion", "usr/bin/sh", "", "usr/bin/.wh.sh", "executable usr/bin/sh 2 deleted"},
		{"a directory is deleted", "usr/bin/ usr/bin/sh usr/bin/ls", "", "usr/.wh.bin", "executable usr/bin/ls 2 deleted, executable usr/bin/sh 2 deleted"},
		{"a directory begins anew", "usr/bin/sh usr/x=", "", "usr/bin/ usr/bin/.wh..wh..opq usr/bin/app", "executable usr/bin/sh 2 deleted"},
		{"all begins anew", "usr/bin/sh", "", ".wh..wh..opq", "executable usr/bin/sh 2 deleted"},
		{"a directory becomes a link", "usr/bin/ usr/bin/sh", "", "usr/bin@/evil", "executable usr/bin/sh 2 deleted"},
		{"a link becomes a directory", "bin@usr/bin usr/bin/sh", "", "bin/", "executable bin 2"},
		{"of a layer above another", "usr/bin/sh", "usr/bin/ls", "usr/bin/ls usr/bin/sh", "executable usr/bin/ls 3, executable usr/bin/sh 3"},
		{"what the base deleted itself", "usr/bin/sh", "usr/bin/.wh.sh", "usr/bin/sh", ""},
		{"a directory that the base deleted itself", "usr/bin/sh", "usr/.wh.bin", "usr/bin/sh", ""},
		{"a name that begins alike", "usr/bin/sh usr/bin-old/sh", "", "usr/.wh.bin-old", "executable usr/bin-old/sh 2 deleted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, e := newShelf(), &stemma.Evidence{}
			base := s.put("base", "", 6)
			for _, layer := range []string{c.base, c.more} {
				if layer != "" {
					base.Layers = append(base.Layers, s.tarred(t, layer))
				}
			}
			e.Hints = append(e.Hints, hint("annotation", base))
			app := s.put("app", "", 6)
			app.Layers = append(append(app.Layers, base.Layers...), s.tarred(t, c.above))
			finder := lineage.Finder{Source: s, Facts: s}
			l := finder.Find(t.Context(), lineage.Subject{Stack: app, Evidence: e})
			finder.Files(t.Context(), app, l)
			var got []string
			for _, o := range l.Overwrites {
				text := strings.TrimSpace(fmt.Sprintf("%s %s %d", o.Class, o.Path, o.Layer))
				if o.Deleted {
					text += " deleted"
				}
				got = append(got, text)
			}
			if strings.Join(got, ", ") != c.want || l.FilesWhy != "" || l.Files != len(got) {
				t.Errorf("got  %s (%d) %s\nwant %s", strings.Join(got, ", "), l.Files, l.FilesWhy, c.want)
			}
		})
	}
}

// What cannot be read is said, and is never "nothing was replaced".
func TestFilesUnread(t *testing.T) {
	for name, change := range map[string]func(*shelf, *stemma.Stack){
		"unavailable": func(s *shelf, _ *stemma.Stack) { s.broken = true },
		"foreign":     func(_ *shelf, app *stemma.Stack) { app.Layers[0].Foreign = true },
		"no archive": func(s *shelf, app *stemma.Stack) {
			s.blobs[app.Layers[1].Digest] = zipped(strings.Repeat("x", 2000), 6)
		},
		"cut short": func(s *shelf, app *stemma.Stack) {
			b := s.blobs[app.Layers[0].Digest]
			s.blobs[app.Layers[0].Digest] = b[:len(b)/2]
		},
	} {
		s, e := newShelf(), &stemma.Evidence{}
		base := s.put("base", "", 6)
		base.Layers = append(base.Layers, s.tarred(t, "usr/bin/sh"))
		e.Hints = append(e.Hints, hint("annotation", base))
		app := s.put("app", "", 6)
		app.Layers = append(append(app.Layers, base.Layers...), s.tarred(t, "usr/bin/sh"))
		finder := lineage.Finder{Source: s}
		l := finder.Find(t.Context(), lineage.Subject{Stack: app, Evidence: e})
		change(s, app)
		finder.Files(t.Context(), app, l)
		if l.FilesWhy == "" || l.Files != 0 {
			t.Errorf("%s: %d files, %q", name, l.Files, l.FilesWhy)
		}
	}
}
