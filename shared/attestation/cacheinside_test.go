package attestation

import (
	"crypto/sha256"
	"slices"
	"strconv"
	"testing"
	"time"
)

// plant puts a document into a cache under the digest of bytes that no verification would accept.
func plant(c *Cache, raw string) {
	begin := time.Unix(1e9, 0)
	c.remember(cacheKey{sha256.Sum256([]byte(raw)), digestOf(nil)}, &Document{ModuleID: raw, NotBefore: begin, NotAfter: begin.Add(time.Hour)})
}

// known are those of the documents that the cache knows, told by what it returns without looking at a signature.
func known(c *Cache, raws ...string) []string {
	var out []string
	for _, raw := range raws {
		if doc, err := c.Verify([]byte(raw), Options{Now: time.Unix(1e9, 0)}); err == nil && doc.ModuleID == raw {
			out = append(out, raw)
		}
	}
	return out
}

func TestCacheSkipsSignatures(t *testing.T) {
	c := NewCache(3)
	plant(c, "a")
	if got := known(c, "a", "b"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("knows %q, want a", got)
	}
	if doc, err := c.Verify([]byte("a"), Options{Now: time.Unix(1e9+3601, 0)}); err == nil || doc != nil {
		t.Error("accepted after its end")
	}
	var none *Cache
	if doc, err := none.Verify([]byte("a"), Options{}); err == nil || doc != nil {
		t.Error("a nil cache accepted what nobody verified")
	}
}

func TestCacheForgetsTheOldest(t *testing.T) {
	c := NewCache(3)
	for _, raw := range []string{"a", "b", "c", "c"} {
		plant(c, raw)
	}
	known(c, "a") // now b is the one that was not used for the longest time
	plant(c, "d")
	if got := known(c, "a", "b", "c", "d"); !slices.Equal(got, []string{"a", "c", "d"}) {
		t.Errorf("knows %q, want a, c and d", got)
	}
	if c.recent.Len() != 3 || len(c.byKey) != 3 {
		t.Errorf("holds %d and %d, want 3", c.recent.Len(), len(c.byKey))
	}
	c = new(Cache)
	for i := range DefaultCacheSize + 1 {
		plant(c, strconv.Itoa(i))
	}
	if got := known(c, "0", "1", strconv.Itoa(DefaultCacheSize)); !slices.Equal(got, []string{"1", strconv.Itoa(DefaultCacheSize)}) {
		t.Errorf("by default it knows %q", got)
	}
}
