package attestation

import (
	"bytes"
	"cmp"
	"container/list"
	"crypto/sha256"
	"crypto/x509"
	"maps"
	"slices"
	"sync"
	"time"
)

// DefaultCacheSize is how many documents a [Cache] remembers if it is not told otherwise, about 10 KiB each.
const DefaultCacheSize = 64

// Cache remembers documents whose chain and signature are good, so that the same bytes under the same roots cost no signature
// check again. Time, age and nonce are checked each time. A refusal is not remembered. The document that was not used for the longest
// time makes room for the next one. The zero Cache is ready, a nil one remembers nothing. It is safe for concurrent use.
type Cache struct {
	size int // 0 is DefaultCacheSize

	mu     sync.Mutex
	byKey  map[cacheKey]*list.Element
	recent list.List // of *remembered, the last used first
}

// cacheKey is SHA-256 over the document's bytes, and over all roots that it was verified against.
type cacheKey struct{ document, roots [sha256.Size]byte }

type remembered struct {
	key cacheKey
	doc *Document // never handed out, only copies of it
}

// NewCache makes a cache of so many documents; 0 is [DefaultCacheSize].
func NewCache(size int) *Cache {
	return &Cache{size: max(size, 0)}
}

// Verify is [Verify], without its signature checks for a document that passed them before.
func (c *Cache) Verify(raw []byte, opts Options) (*Document, error) {
	if c == nil || len(raw) > MaxDocument {
		return Verify(raw, opts)
	}
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	key := cacheKey{sha256.Sum256(raw), digestOf(opts.Roots)}
	// Outside of the time in which all its certificates are valid, the one who words the refusal is Verify.
	if doc := c.find(key); doc != nil && !opts.Now.Before(doc.NotBefore) && !opts.Now.After(doc.NotAfter) {
		if err := checkFreshness(doc, opts); err != nil {
			return nil, err
		}
		return doc, nil
	}
	doc, err := Verify(raw, opts)
	if err != nil {
		return nil, err
	}
	c.remember(key, doc.clone())
	return doc, nil
}

func digestOf(roots []*x509.Certificate) (out [sha256.Size]byte) {
	h := sha256.New()
	for _, r := range roots {
		one := sha256.Sum256(r.Raw)
		h.Write(one[:])
	}
	h.Sum(out[:0])
	return out
}

func (c *Cache) find(key cacheKey) *Document {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*remembered).doc.clone() // the list holds nothing else
}

func (c *Cache) remember(key cacheKey, doc *Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[key]; ok {
		return
	}
	if c.byKey == nil {
		c.byKey = map[cacheKey]*list.Element{}
	}
	c.byKey[key] = c.recent.PushFront(&remembered{key, doc})
	if c.recent.Len() > cmp.Or(c.size, DefaultCacheSize) {
		oldest := c.recent.Remove(c.recent.Back()).(*remembered)
		delete(c.byKey, oldest.key)
	}
}

// clone shares nothing with d.
func (d *Document) clone() *Document {
	out := *d
	out.PCRs = maps.Clone(d.PCRs)
	out.Certificate = bytes.Clone(d.Certificate)
	out.CABundle = make([][]byte, len(d.CABundle))
	for i, der := range d.CABundle {
		out.CABundle[i] = bytes.Clone(der)
	}
	out.PublicKey = bytes.Clone(d.PublicKey)
	out.UserData = bytes.Clone(d.UserData)
	out.Nonce = bytes.Clone(d.Nonce)
	out.Unknown = slices.Clone(d.Unknown)
	return &out
}
