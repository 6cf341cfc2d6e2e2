package grammar

import (
	"container/list"
	"sync"
)

// Cache keeps grammars that were compiled, and with them their states and masks. It is safe for concurrent use. A nil one keeps
// nothing.
type Cache struct {
	size  int
	mu    sync.Mutex
	at    map[string]*list.Element
	order list.List // of cached, the latest used first
}

type cached struct {
	key     string
	grammar *Grammar
}

// NewCache returns a cache of at most size grammars.
func NewCache(size int) *Cache { return &Cache{size: size, at: make(map[string]*list.Element)} }

// Get returns the grammar that was kept by key, or that which compile makes. Errors are not kept.
func (c *Cache) Get(key string, compile func() (*Grammar, error)) (*Grammar, error) {
	if c == nil {
		return compile()
	}
	c.mu.Lock()
	if e, ok := c.at[key]; ok {
		c.order.MoveToFront(e)
		c.mu.Unlock()
		return e.Value.(*cached).grammar, nil
	}
	c.mu.Unlock()
	g, err := compile()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.at[key]; ok { // another was faster
		return e.Value.(*cached).grammar, nil
	}
	c.at[key] = c.order.PushFront(&cached{key, g})
	if c.order.Len() > c.size {
		last := c.order.Back()
		delete(c.at, c.order.Remove(last).(*cached).key)
	}
	return g, nil
}
