package oci

import (
	"bytes"
	"cmp"
	"container/list"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"stemma"
)

const (
	cacheBytes     = 16 << 20    // in memory, unless it is said otherwise
	cacheDiskBytes = 256 << 20   // on disk
	cacheDiskFiles = 8192        // on disk, so that looking through them stays cheap
	cacheBlobs     = "blobs"     // what lies in the directory besides is not the cache's
	cacheTemp      = ".incoming" // prefix of what is being written
	cacheClock     = ".clock"    // its modification time tells the time of the file system
)

// cache keeps content by digest, in memory and, with a directory, on disk. What it returns was hashed again, and is the
// caller's own. Nothing that goes wrong in it is an error: what cannot be kept or read is fetched anew (INV-28), and
// what is not the content of its digest is never returned, whoever else writes to the directory.
type cache struct {
	most int64 // bytes in memory; negative: none

	mu    sync.Mutex
	bytes int64
	used  *list.List // of *cached, the last used first
	at    map[stemma.Digest]*list.Element

	disk *diskCache // nil without a directory
}

type cached struct {
	digest stemma.Digest
	data   []byte
}

// newCache makes a cache of so many bytes in memory (0: 16 MiB; negative: none) and of a directory, which is made when
// something is first written to it ("": none).
func newCache(bytes int64, dir string) (*cache, error) {
	c := &cache{most: cmp.Or(bytes, cacheBytes), used: list.New(), at: map[stemma.Digest]*list.Element{}}
	if strings.Contains(dir, "\x00") {
		return nil, errors.New("keeping content on disk: the name of the directory has a zero byte")
	}
	if dir != "" {
		c.disk = &diskCache{dir: dir, most: cacheDiskBytes, files: cacheDiskFiles, write: writeAll}
	}
	return c, nil
}

// get returns the content of a digest if it has exactly that size, or nil. An empty content is never kept.
func (c *cache) get(d stemma.Digest, size int64) []byte {
	if _, err := stemma.ParseDigest(string(d)); err != nil || size <= 0 {
		return nil
	}
	if data := c.recall(d); int64(len(data)) == size && d.Matches(data) {
		return data
	}
	if c.disk == nil {
		return nil
	}
	data := c.disk.get(d, size)
	if data != nil {
		c.remember(d, data)
	}
	return data
}

// put keeps content that was compared with its digest.
func (c *cache) put(d stemma.Digest, data []byte) {
	// A digest that was not parsed could be a path that leads elsewhere.
	if _, err := stemma.ParseDigest(string(d)); err != nil || len(data) == 0 {
		return
	}
	c.remember(d, data)
	if c.disk != nil {
		c.disk.put(d, data)
	}
}

func (c *cache) recall(d stemma.Digest) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.at[d]
	if e == nil {
		return nil
	}
	c.used.MoveToFront(e)
	// Whoever gets it may write to it, and must not write to what the next one gets.
	return bytes.Clone(e.Value.(*cached).data)
}

// remember keeps a copy, unless it is so large that it would drive out everything else.
func (c *cache) remember(d stemma.Digest, data []byte) {
	size := int64(len(data))
	if size > c.most/4 {
		return
	}
	data = bytes.Clone(data)
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.at[d]; e != nil {
		c.drop(e)
	}
	for c.bytes+size > c.most {
		c.drop(c.used.Back())
	}
	c.bytes += size
	c.at[d] = c.used.PushFront(&cached{d, data})
}

// drop must be called with the lock held.
func (c *cache) drop(e *list.Element) {
	old := c.used.Remove(e).(*cached)
	delete(c.at, old.digest)
	c.bytes -= int64(len(old.data))
}

// diskCache is a directory with blobs/<algorithm>/<hex>. Other processes may use it at the same time, and whoever may
// write to it may put anything there: links, pipes, other content.
type diskCache struct {
	dir   string
	most  int64 // bytes in all
	files int   // and files
	write func(io.Writer, []byte) error

	mu      sync.Mutex
	counted bool  // whether the directory was looked through
	bytes   int64 // what was there then, and was written since
	number  int
	written int64 // bytes since then
}

func writeAll(w io.Writer, data []byte) error {
	_, err := w.Write(data)
	return err
}

// get returns nil for all that is not the content of the digest. Bytes that are not are removed: they would be in the
// way for ever.
func (c *diskCache) get(d stemma.Digest, size int64) []byte {
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return nil
	}
	defer func() { _ = root.Close() }() // nothing was written through it
	folder := path.Join(cacheBlobs, d.Algorithm())
	if !isFolder(root, cacheBlobs) || !isFolder(root, folder) {
		return nil
	}
	name := path.Join(folder, d.Hex())
	data, ok := readCached(root, name, size)
	switch {
	case !ok:
		return nil
	case !d.Matches(data):
		_ = root.Remove(name) // if it cannot be removed, the next look does not take it either
		return nil
	}
	if now, ok := touched(root); ok {
		_ = root.Chtimes(name, now, now) // otherwise it is forgotten sooner
	}
	return data
}

// readCached reads a regular file of exactly that size that no link leads to.
func readCached(root *os.Root, name string, size int64) ([]byte, bool) {
	before, err := root.Lstat(name)
	if err != nil || !before.Mode().IsRegular() || before.Size() != size || size > maxEvidence {
		return nil, false
	}
	// A pipe that takes its place now must not be waited for.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, false
	}
	defer func() { _ = f.Close() }() // it was only read
	if after, err := f.Stat(); err != nil || !os.SameFile(before, after) {
		return nil, false
	}
	data := make([]byte, size)
	_, err = io.ReadFull(f, data)
	return data, err == nil
}

// put writes beside the place and renames, so that nobody ever reads half of it. What is there already is replaced: it
// was not what was asked for, or it would not have been fetched.
func (c *diskCache) put(d stemma.Digest, data []byte) {
	size := int64(len(data))
	if size > c.most/4 || size > maxEvidence || os.MkdirAll(c.dir, 0o700) != nil {
		return
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return
	}
	defer func() { _ = root.Close() }() // files were closed before it
	folder := path.Join(cacheBlobs, d.Algorithm())
	for _, name := range []string{cacheBlobs, folder} {
		if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) || !isFolder(root, name) {
			return
		}
	}
	if !c.reserve(root, size) {
		return
	}
	temp := path.Join(folder, cacheTemp+rand.Text())
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	err = errors.Join(c.write(f, data), f.Close())
	if err == nil {
		err = root.Rename(temp, path.Join(folder, d.Hex()))
	}
	if err != nil {
		_ = root.Remove(temp) // what stays is removed when the directory is next looked through
	}
}

func isFolder(root *os.Root, name string) bool {
	info, err := root.Lstat(name)
	return err == nil && info.IsDir()
}

// touched is the time by the clock of the file system, which all processes share.
func touched(root *os.Root) (time.Time, bool) {
	name := path.Join(cacheBlobs, cacheClock)
	if info, err := root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return time.Time{}, false
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return time.Time{}, false
	}
	defer func() { _ = f.Close() }() // its content means nothing
	if _, err := f.Write([]byte{'\n'}); err != nil {
		return time.Time{}, false
	}
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime(), true
}

// reserve makes room for one more file. The directory is looked through at first, when it may be full, and when a
// sixteenth of it was written: others may have written, too.
func (c *diskCache) reserve(root *os.Root, size int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.counted || c.bytes+size > c.most || c.number+1 > c.files || c.written > c.most/16 {
		bytes, number, err := c.sweep(root, size)
		if err != nil {
			return false
		}
		c.counted, c.bytes, c.number, c.written = true, bytes, number, 0
	}
	if c.bytes+size > c.most || c.number+1 > c.files {
		return false // what is there cannot be removed
	}
	c.bytes, c.number, c.written = c.bytes+size, c.number+1, c.written+size
	return true
}

// sweep counts what is kept, and removes what was not used for longest until size more bytes fit with an eighth to
// spare. What was left half written an hour ago goes, too.
func (c *diskCache) sweep(root *os.Root, size int64) (bytes int64, number int, err error) {
	type file struct {
		name string
		size int64
		used time.Time
	}
	const abandoned = time.Hour
	now, told := touched(root)
	var files []file
	for _, algorithm := range []string{"sha256", "sha384", "sha512"} {
		folder := path.Join(cacheBlobs, algorithm)
		if !isFolder(root, folder) {
			continue
		}
		dir, err := root.Open(folder)
		if err != nil {
			return 0, 0, err
		}
		names, err := dir.Readdirnames(-1)
		_ = dir.Close() // it was only read
		if err != nil {
			return 0, 0, err
		}
		for _, name := range names {
			name = path.Join(folder, name)
			info, err := root.Lstat(name)
			if err != nil || info.IsDir() {
				continue // removed by another process, or not the cache's
			}
			if strings.HasPrefix(path.Base(name), cacheTemp) && told && now.Sub(info.ModTime()) > abandoned && root.Remove(name) == nil {
				continue
			}
			bytes += info.Size()
			files = append(files, file{name, info.Size(), info.ModTime()})
		}
	}
	number = len(files)
	if bytes+size <= c.most && number+1 <= c.files {
		return bytes, number, nil
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.name, b.name)) })
	for _, f := range files {
		if bytes+size <= c.most-c.most/8 && number+1 <= c.files-c.files/8 {
			break
		}
		if err := root.Remove(f.name); err == nil || errors.Is(err, fs.ErrNotExist) {
			bytes, number = bytes-f.size, number-1
		}
	}
	return bytes, number, nil
}
