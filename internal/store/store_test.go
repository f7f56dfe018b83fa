package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stemma"
)

func opened(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func fresh(t *testing.T) *Store {
	t.Helper()
	return opened(t, filepath.Join(t.TempDir(), "store.db"))
}

// TestKnown: what was added is found by its chain ID among others, each time it is asked, and nothing else is.
func TestKnown(t *testing.T) {
	s := fresh(t)
	var all []stemma.KnownBase
	for n := range 1000 {
		all = append(all, drawn(n))
	}
	twin := drawn(7)
	twin.Image.Digest, twin.Index, twin.Image.Repository = stemma.SHA256([]byte("twin")), "", "registry.example/other"
	all = append(all, twin)
	if n, err := s.AddBases(t.Context(), all); n != 1001 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := s.AddBases(t.Context(), all[:100]); n != 0 || err != nil {
		t.Errorf("added twice: %d, %v", n, err)
	}
	if n, err := s.Bases(t.Context()); n != 1001 || err != nil {
		t.Error(n, err)
	}
	ask := func(ids ...stemma.Digest) []stemma.KnownBase {
		t.Helper()
		found, err := s.Known(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if got := ask(stemma.SHA256([]byte("x")), all[3].ChainID); len(got) != 1 || got[0] != all[3] {
		t.Errorf("%+v", got)
	}
	if got := ask(all[7].ChainID); len(got) != 2 || !slices.Contains(got, all[7]) || !slices.Contains(got, twin) {
		t.Errorf("%+v", got)
	}
	var many []stemma.Digest
	for n := range 40 {
		many = append(many, all[n].ChainID)
	}
	if got := ask(many...); len(got) != 41 {
		t.Errorf("%d found of 41", len(got))
	}
	if got := ask(stemma.SHA256([]byte("x"))); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	if got := ask(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	if removed, err := s.RemoveBase(t.Context(), all[3].Image.Digest); !removed || err != nil || len(ask(all[3].ChainID)) != 0 {
		t.Error("not removed", err)
	}
	if removed, err := s.RemoveBase(t.Context(), all[3].Image.Digest); removed || err != nil {
		t.Error("removed twice", err)
	}
}

// TestAddBases_wrong: what is no image is refused, and none of those beside it is added.
func TestAddBases_wrong(t *testing.T) {
	s := fresh(t)
	for name, change := range map[string]func(*stemma.KnownBase){
		"no manifest":           func(b *stemma.KnownBase) { b.Image.Digest = "" },
		"no chain ID":           func(b *stemma.KnownBase) { b.ChainID = "" },
		"another algorithm":     func(b *stemma.KnownBase) { b.ChainID = stemma.Digest("sha512:" + strings.Repeat("0", 128)) },
		"no digest of an index": func(b *stemma.KnownBase) { b.Index = "sha256:12" },
		"no repository":         func(b *stemma.KnownBase) { b.Image.Repository = "" },
	} {
		bad := drawn(2)
		change(&bad)
		if n, err := s.AddBases(t.Context(), []stemma.KnownBase{drawn(1), bad}); err == nil || n != 0 {
			t.Errorf("%s: %d added, %v", name, n, err)
		}
	}
	if n, err := s.Bases(t.Context()); n != 0 || err != nil {
		t.Errorf("%d known, %v", n, err)
	}
}

// TestContent: what a blob unpacks to is kept over a restart.
func TestContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := opened(t, path)
	blob, content := stemma.SHA256([]byte("blob")), stemma.SHA256([]byte("content"))
	if d, ok := s.Content(blob); ok {
		t.Errorf("known: %s", d)
	}
	s.Keep(blob, content)
	s.Keep("sha256:1", content)
	again := opened(t, path)
	if d, ok := again.Content(blob); !ok || d != content {
		t.Error(d, ok)
	}
	if d, ok := again.Content("sha256:1"); ok {
		t.Errorf("known: %s", d)
	}
}

func standing(name string, on *stemma.Evidence, grade stemma.BaseGrade) *stemma.Evidence {
	e := &stemma.Evidence{Image: stemma.Image{Repository: "registry.example/" + name, Digest: stemma.SHA256([]byte(name))}, CollectedAt: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	e.Platform = stemma.Platform{OS: "linux", Architecture: "amd64"}
	e.Base = &stemma.Lineage{Grade: grade}
	if on != nil {
		e.Base.Base, e.Base.Evidence, e.Base.Index = on.Image, on, stemma.SHA256([]byte("index of "+on.Image.Repository))
	}
	return e
}

// TestOn: what stands on an image is found at any depth, by manifest and by index, of each platform of an index, and as it was
// seen last.
func TestOn(t *testing.T) {
	s := fresh(t)
	debian := standing("debian", nil, stemma.BaseUnknown)
	golden := standing("golden", debian, stemma.BaseLayers)
	app := standing("app", golden, stemma.BaseProven)
	index := &stemma.Evidence{Image: stemma.Image{Repository: "registry.example/app", Digest: stemma.SHA256([]byte("index"))}, CollectedAt: app.CollectedAt, Platforms: []*stemma.Evidence{app, {Attestation: true}}}
	if err := s.RecordLineage(t.Context(), index); err != nil {
		t.Fatal(err)
	}
	ask := func(d stemma.Digest) string {
		t.Helper()
		on, more, err := s.On(t.Context(), d, 10)
		if err != nil || more {
			t.Fatal(more, err)
		}
		var out []string
		for _, st := range on {
			out = append(out, fmt.Sprintf("%s %s %d %s", strings.TrimPrefix(st.Image.Repository, "registry.example/"), st.Platform, st.Depth, st.Grade))
		}
		return strings.Join(out, "; ")
	}
	for _, c := range []struct {
		of   stemma.Digest
		want string
	}{
		{debian.Image.Digest, "app linux/amd64 2 layers; golden linux/amd64 1 layers"},
		{golden.Base.Index, "app linux/amd64 2 layers; golden linux/amd64 1 layers"},
		{golden.Image.Digest, "app linux/amd64 1 proven"},
		{app.Image.Digest, ""},
	} {
		if got := ask(c.of); got != c.want {
			t.Errorf("on %s: %q, want %q", c.of.Short(), got, c.want)
		}
	}
	on, more, err := s.On(t.Context(), debian.Image.Digest, 1)
	if err != nil || !more || len(on) != 1 || on[0].Image != index.Image || on[0].Manifest != app.Image.Digest || !on[0].Seen.Equal(app.CollectedAt) {
		t.Errorf("%+v %t %v", on, more, err)
	}
	// It was built anew on nothing: what was seen before is no more.
	app.Base = &stemma.Lineage{Grade: stemma.BaseScratch}
	if err := s.RecordLineage(t.Context(), index); err != nil {
		t.Fatal(err)
	}
	if got := ask(debian.Image.Digest); got != "golden linux/amd64 1 layers" {
		t.Errorf("after: %q", got)
	}
}

// TestOpen: a file that is no store, or one of a newer program, is refused, and left as it was.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("not a database, and longer than the header of one would be: "+strings.Repeat("x", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	s := opened(t, newer)
	if _, err := s.db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		text:                                  "file is not a database",
		newer:                                 "it has schema 99, and this program knows 1: use a newer stemma",
		filepath.Join(dir, "absent", "store"): "there is no directory",
		dir:                                   "unable to open database file",
	} {
		if s, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "opening store "+path) {
			t.Errorf("%s: %v, want %q", path, err, want)
			if s != nil {
				_ = s.Close()
			}
		}
	}
	data, err := os.ReadFile(text)
	if err != nil || !strings.HasPrefix(string(data), "not a database") {
		t.Errorf("the file was changed: %v", err)
	}
}

// TestDamaged: pages that were overwritten are an error, and never an image.
func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := opened(t, path)
	var all []stemma.KnownBase
	for n := range 5000 {
		all = append(all, drawn(n))
	}
	if _, err := s.AddBases(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	junk := []byte(strings.Repeat("\xff", 4096))
	for at := int64(4 * 4096); at < info.Size(); at += 4096 {
		if _, err := f.WriteAt(junk, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	damaged, err := Open(t.Context(), path)
	if err != nil {
		return // that is an answer, too
	}
	defer func() { _ = damaged.Close() }()
	failed := 0
	for _, b := range all[:50] {
		found, err := damaged.Known(t.Context(), []stemma.Digest{b.ChainID})
		if err != nil {
			failed++
		}
		for _, f := range found {
			if f != b {
				t.Errorf("found %+v for %+v", f, b)
			}
		}
	}
	if failed == 0 {
		t.Error("nothing was found to be wrong")
	}
}

// TestTogether: two handles of one file, as of two processes, write and read at a time, and nothing is lost.
func TestTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	stores := []*Store{opened(t, path), opened(t, path)}
	var wg sync.WaitGroup
	const each, batches = 50, 20
	for i := range 4 {
		s := stores[i%2]
		wg.Go(func() {
			for b := range batches {
				var some []stemma.KnownBase
				for n := range each {
					some = append(some, drawn((i*batches+b)*each+n))
				}
				if n, err := s.AddBases(context.Background(), some); n != each || err != nil {
					t.Errorf("%d added: %v", n, err)
				}
				if found, err := s.Known(context.Background(), []stemma.Digest{some[0].ChainID}); len(found) != 1 || err != nil {
					t.Errorf("%d found: %v", len(found), err)
				}
			}
		})
	}
	wg.Wait()
	if n, err := stores[0].Bases(t.Context()); n != 4*each*batches || err != nil {
		t.Errorf("%d known: %v", n, err)
	}
}
