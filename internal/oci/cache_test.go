package oci

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stemma"
)

func testCache(t *testing.T, bytes int64, dir string) *cache {
	t.Helper()
	c, err := newCache(bytes, dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// filler is content of its own of so many bytes.
func filler(i, size int) []byte {
	return append(fmt.Appendf(nil, "%08d", i), bytes.Repeat([]byte{'x'}, size-8)...)
}

func blobFile(dir string, d stemma.Digest) string {
	return filepath.Join(dir, "blobs", d.Algorithm(), d.Hex())
}

func TestCacheMemory(t *testing.T) {
	c := testCache(t, 400, "")
	kept := func(i, size int) bool {
		data := filler(i, size)
		got := c.get(stemma.SHA256(data), int64(size))
		if got != nil && !bytes.Equal(got, data) {
			t.Fatalf("other content of %d", i)
		}
		return got != nil
	}
	put := func(i, size int) { c.put(stemma.SHA256(filler(i, size)), filler(i, size)) }
	if kept(0, 100) {
		t.Error("what was never put is there")
	}
	for i := range 4 {
		put(i, 100)
	}
	put(0, 100) // twice is once
	if !kept(1, 100) || c.bytes != 400 {
		t.Errorf("four entries of a quarter each: %d bytes", c.bytes)
	}
	put(4, 50)
	// Last used: 4, 1, 0, 3, 2.
	for i, want := range []bool{true, true, false, true} {
		if got := c.at[stemma.SHA256(filler(i, 100))] != nil; got != want {
			t.Errorf("entry %d after one more: kept %v, want %v", i, got, want)
		}
	}
	if put(5, 101); kept(5, 101) {
		t.Error("an entry of more than a quarter is kept")
	}
	if put(5, 100); !kept(5, 100) {
		t.Error("an entry of a quarter is not kept")
	}
	data := filler(6, 20)
	d := stemma.SHA256(data)
	c.put(d, data)
	data[0] = '?'
	first := c.get(d, 20)
	if first == nil {
		t.Fatal("writing to what was put changed what is kept")
	}
	first[0] = '?'
	if c.get(d, 20) == nil {
		t.Error("writing to what was returned changed what is kept")
	}
	if c.get(d, 19) != nil || c.get(d, 21) != nil || c.get(d, -1) != nil {
		t.Error("content of another size than asked for")
	}
	if c.bytes > 400 || len(c.at) != c.used.Len() {
		t.Errorf("%d bytes, %d entries, %d in order", c.bytes, len(c.at), c.used.Len())
	}
}

func TestCacheBounds(t *testing.T) {
	data := filler(1, 1<<20)
	d := stemma.SHA256(data)
	for _, c := range []struct {
		bytes int64
		size  int64 // of what is kept at most
	}{{0, 4 << 20}, {-1, 0}, {1 << 20, 1 << 18}, {8 << 20, 2 << 20}} {
		cache := testCache(t, c.bytes, "")
		cache.put(d, data)
		if got := cache.get(d, 1<<20) != nil; got != (c.size >= 1<<20) {
			t.Errorf("bound %d: 1 MiB is kept: %v", c.bytes, got)
		}
		large := filler(2, 4<<20+1)
		cache.put(stemma.SHA256(large), large)
		if cache.get(stemma.SHA256(large), 4<<20+1) != nil {
			t.Errorf("bound %d: more than 4 MiB are kept", c.bytes)
		}
	}
	if _, err := newCache(0, "a\x00b"); err == nil || err.Error() != "keeping content on disk: the name of the directory has a zero byte" {
		t.Errorf("a directory with a zero byte: %v", err)
	}
}

// TestCacheKeys: a digest comes from a manifest, that is, from anybody.
func TestCacheKeys(t *testing.T) {
	outside := t.TempDir()
	dir := filepath.Join(outside, "cache")
	c := testCache(t, 0, dir)
	for _, d := range []stemma.Digest{"", "sha256:", "sha256:../../../etc/passwd", "../x:" + stemma.Digest(strings.Repeat("a", 64)), "sha256:" + stemma.Digest(strings.Repeat("A", 64)), "md5:" + stemma.Digest(strings.Repeat("a", 32))} {
		c.put(d, []byte("content"))
		if c.get(d, 7) != nil {
			t.Errorf("%q is kept", d)
		}
	}
	wrong := stemma.SHA256([]byte("right"))
	c.put(wrong, []byte("wrong"))
	if c.get(wrong, 5) != nil {
		t.Error("content under the digest of another is returned")
	}
	if c.put(stemma.SHA256(nil), nil); c.get(stemma.SHA256(nil), 0) != nil {
		t.Error("nothing is kept as something")
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 1 {
		t.Errorf("beside the directory: %v", entries)
	}
}

func TestCacheDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	data := filler(1, 100)
	d := stemma.SHA256(data)
	c := testCache(t, -1, dir)
	if c.get(d, 100) != nil {
		t.Error("an empty cache has content")
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is made before anything is kept: %v", err)
	}
	c.put(d, data)
	for name, mode := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, "blobs"): 0o700, filepath.Join(dir, "blobs", "sha256"): 0o700, blobFile(dir, d): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v, want %v", name, info, err, mode)
		}
	}
	later := testCache(t, 0, dir)
	if !bytes.Equal(later.get(d, 100), data) {
		t.Error("the next run does not find it")
	}
	if later.get(d, 99) != nil || later.get(d, 101) != nil {
		t.Error("content of another size than asked for")
	}
	if !bytes.Equal(testCache(t, 0, dir).get(d, 100), data) {
		t.Error("asking for another size removed it")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(later.get(d, 100), data) {
		t.Error("what was read from disk is not in memory")
	}
	if later.put(d, data); !bytes.Equal(testCache(t, -1, dir).get(d, 100), data) {
		t.Error("a directory that was removed is not made again")
	}
}

// TestCacheHostileDirectory: whatever is done to the directory, what comes out is the content or nothing.
func TestCacheHostileDirectory(t *testing.T) {
	data := filler(1, 100)
	d := stemma.SHA256(data)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	flipped := bytes.Clone(data)
	flipped[50] ^= 1
	for _, c := range []struct {
		name    string
		harm    func(dir, file string)
		hit     bool
		removed bool
		healed  bool // after it was put again
	}{
		{name: "nothing", harm: func(string, string) {}, hit: true, healed: true},
		{name: "a flipped bit", harm: func(_, file string) { must(os.WriteFile(file, flipped, 0o600)) }, removed: true, healed: true},
		{name: "cut short", harm: func(_, file string) { must(os.Truncate(file, 99)) }, healed: true},
		{name: "longer", harm: func(_, file string) { must(os.WriteFile(file, append(bytes.Clone(data), 'x'), 0o600)) }, healed: true},
		{name: "empty", harm: func(_, file string) { must(os.Truncate(file, 0)) }, healed: true},
		{name: "a link to the same content", harm: func(dir, file string) {
			must(os.Rename(file, filepath.Join(dir, "blobs", "elsewhere")))
			must(os.Symlink("../elsewhere", file))
		}, healed: true},
		{name: "a link out of the directory", harm: func(dir, file string) {
			outside := filepath.Join(filepath.Dir(dir), "outside")
			must(os.WriteFile(outside, data, 0o600))
			must(os.Remove(file))
			must(os.Symlink(outside, file))
		}, healed: true},
		{name: "a link in the place of a folder", harm: func(dir, _ string) {
			must(os.Rename(filepath.Join(dir, "blobs"), filepath.Join(dir, "moved")))
			must(os.Symlink("moved", filepath.Join(dir, "blobs")))
		}},
		{name: "a pipe", harm: func(_, file string) { must(os.Remove(file)); must(syscall.Mkfifo(file, 0o600)) }, healed: true},
		{name: "a directory", harm: func(_, file string) { must(os.Remove(file)); must(os.Mkdir(file, 0o700)) }},
		{name: "a file in the place of a folder", harm: func(dir, _ string) {
			must(os.RemoveAll(filepath.Join(dir, "blobs")))
			must(os.WriteFile(filepath.Join(dir, "blobs"), nil, 0o600))
		}},
		{name: "a link in the place of the clock", harm: func(dir, _ string) {
			clock := filepath.Join(dir, "blobs", ".clock")
			must(os.RemoveAll(clock))
			must(os.Symlink(blobFile("..", d)[3:], clock))
		}, hit: true, healed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			testCache(t, -1, dir).put(d, data)
			file := blobFile(dir, d)
			c.harm(dir, file)
			cache := testCache(t, -1, dir)
			if got := cache.get(d, 100); (got != nil) != c.hit || got != nil && !bytes.Equal(got, data) {
				t.Errorf("got %q, want content: %v", got, c.hit)
			}
			if _, err := os.Lstat(file); c.removed != errors.Is(err, fs.ErrNotExist) && c.name != "a file in the place of a folder" {
				t.Errorf("the file after it was read: %v, want it removed: %v", err, c.removed)
			}
			cache.put(d, data)
			if got := cache.get(d, 100) != nil; got != c.healed {
				t.Errorf("after it was put again: found %v, want %v", got, c.healed)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	must(os.WriteFile(file, nil, 0o600))
	c := testCache(t, 0, file)
	if c.put(d, data); !bytes.Equal(c.get(d, 100), data) {
		t.Error("a file in the place of the directory keeps content from being kept in memory")
	}
}

// TestCacheDiskFull: INV-28. A full disk costs the time to fetch again, and leaves nothing behind.
func TestCacheDiskFull(t *testing.T) {
	dir := t.TempDir()
	data := filler(1, 100)
	d := stemma.SHA256(data)
	c := testCache(t, 0, dir)
	c.disk.write = func(w io.Writer, data []byte) error {
		_, _ = w.Write(data[:10])
		return syscall.ENOSPC
	}
	c.put(d, data)
	if !bytes.Equal(c.get(d, 100), data) {
		t.Error("a full disk keeps content from being kept in memory")
	}
	if testCache(t, 0, dir).get(d, 100) != nil {
		t.Error("content that could not be written was found")
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256")); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestCacheDiskBound(t *testing.T) {
	dir := t.TempDir()
	small := func() *cache {
		c := testCache(t, -1, dir)
		c.disk.most, c.disk.files = 800, 16
		return c
	}
	c := small()
	total := func() (bytes int64, files int) {
		entries, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			bytes += info.Size()
		}
		return bytes, len(entries)
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 8 {
		data := filler(i, 100)
		c.put(stemma.SHA256(data), data)
		if err := os.Chtimes(blobFile(dir, stemma.SHA256(data)), start, start.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if c.get(stemma.SHA256(filler(0, 100)), 100) == nil {
		t.Error("the oldest is gone before the directory is full")
	}
	c.put(stemma.SHA256(filler(8, 100)), filler(8, 100))
	if bytes, _ := total(); bytes > 800 {
		t.Errorf("%d bytes, at most 800", bytes)
	}
	for i, want := range []bool{true, false, false, true, true, true, true, true, true} {
		if got := small().get(stemma.SHA256(filler(i, 100)), 100) != nil; got != want {
			t.Errorf("entry %d: kept %v, want %v", i, got, want)
		}
	}
	large := filler(9, 201)
	if c.put(stemma.SHA256(large), large); c.get(stemma.SHA256(large), 201) != nil {
		t.Error("content of more than a quarter of the directory is kept")
	}
	for i := range 100 {
		data := filler(100+i, 8)
		c.put(stemma.SHA256(data), data)
	}
	if _, files := total(); files > 16 {
		t.Errorf("%d files, at most 16", files)
	}
	// Another process fills the directory: it is found out at the next sweep.
	other := small()
	for i := range 8 {
		data := filler(200+i, 100)
		other.put(stemma.SHA256(data), data)
		data = filler(300+i, 100)
		c.put(stemma.SHA256(data), data)
	}
	if bytes, files := total(); bytes > 1000 || files > 18 {
		t.Errorf("two at a time: %d bytes in %d files", bytes, files)
	}
	if err := os.RemoveAll(filepath.Join(dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	c, other = small(), small()
	c.put(stemma.SHA256(filler(500, 100)), filler(500, 100))
	for i := range 7 {
		other.put(stemma.SHA256(filler(501+i, 100)), filler(501+i, 100))
	}
	c.put(stemma.SHA256(filler(510, 100)), filler(510, 100))
	if bytes, _ := total(); bytes > 800 {
		t.Errorf("one after the other: %d bytes", bytes)
	}
	// What was left half written goes after an hour, and not before.
	for name, age := range map[string]time.Duration{".incomingOLD": 2 * time.Hour, ".incomingNEW": time.Minute} {
		file := filepath.Join(dir, "blobs", "sha256", name)
		info, err := os.Stat(filepath.Join(dir, "blobs", ".clock"))
		if err == nil {
			err = os.WriteFile(file, []byte("half"), 0o600)
		}
		if err == nil {
			err = os.Chtimes(file, info.ModTime(), info.ModTime().Add(-age))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	fresh := small()
	fresh.disk.most = 1 << 20
	fresh.disk.files = 1000
	fresh.put(stemma.SHA256(filler(400, 10)), filler(400, 10))
	_, oldErr := os.Stat(filepath.Join(dir, "blobs", "sha256", ".incomingOLD"))
	_, newErr := os.Stat(filepath.Join(dir, "blobs", "sha256", ".incomingNEW"))
	if !errors.Is(oldErr, fs.ErrNotExist) || newErr != nil {
		t.Errorf("half written: two hours ago %v, a minute ago %v", oldErr, newErr)
	}
}

// TestCacheConcurrent: several processes, each with goroutines, over one directory that is too small for all.
func TestCacheConcurrent(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 3 {
		c := testCache(t, 2000, dir)
		c.disk.most = 4000
		for worker := range 4 {
			wg.Go(func() {
				for i := range 60 {
					data := filler((i+worker)%30, 100+(i+worker)%30)
					d := stemma.SHA256(data)
					if got := c.get(d, int64(len(data))); got != nil && !bytes.Equal(got, data) {
						t.Errorf("other content of %d", i)
					}
					c.put(d, data)
				}
			})
		}
	}
	wg.Wait()
}
