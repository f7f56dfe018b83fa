package sigstore

import (
	"container/list"
	"sync"

	"stemma"
)

// cacheBytes bounds the evidence whose results are kept.
const cacheBytes = 64 << 20

type cacheKey struct {
	id     stemma.Digest
	format stemma.Format // the same bytes read as another form are other evidence
}

// cache keeps results that depend on the evidence and the trust domains alone, good and bad, the least recently used
// ones dropped first. It belongs to one Authenticator, whose trust never changes. A nil cache keeps nothing.
type cache struct {
	mu      sync.Mutex
	entries int
	bytes   int
	order   *list.List
	items   map[cacheKey]*list.Element
}

type cached struct {
	key  cacheKey
	res  result
	size int
}

func newCache(entries int) *cache {
	if entries <= 0 {
		return nil
	}
	return &cache{entries: entries, order: list.New(), items: map[cacheKey]*list.Element{}}
}

func (c *cache) get(k cacheKey) (result, bool) {
	if c == nil {
		return result{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[k]
	if !ok {
		return result{}, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).res, true
}

func (c *cache) put(k cacheKey, r result, size int) {
	if c == nil || size > cacheBytes/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[k]; ok {
		return
	}
	c.items[k] = c.order.PushFront(&cached{k, r, size})
	c.bytes += size
	for c.bytes > cacheBytes || c.order.Len() > c.entries {
		last := c.order.Back()
		old := last.Value.(*cached)
		c.order.Remove(last)
		delete(c.items, old.key)
		c.bytes -= old.size
	}
}
