package storm

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// crowd are clients that ask for votes of the same keys with no regard for each other: most of what they ask for conflicts with
// something that another has got.
type crowd struct {
	book    *book
	keys    []bls.PublicKey
	heights map[line]*atomic.Uint64 // of the highest vote signed, around which the next ones are
}

// firstHeight leaves room below.
const firstHeight = 1000

func newCrowd(b *book, keys []bls.PublicKey) *crowd {
	c := &crowd{book: b, keys: keys, heights: make(map[line]*atomic.Uint64)}
	for _, key := range keys {
		for _, block := range []bool{false, true} {
			c.heights[line{key, block}] = new(atomic.Uint64)
			c.heights[line{key, block}].Store(firstHeight)
		}
	}
	return c
}

// rush has n clients ask until ctx ends or no answer comes any more, and calls answered after each answer.
func (c *crowd) rush(ctx context.Context, l *life, n int, answered func(answer)) {
	var clients sync.WaitGroup
	for range n {
		clients.Go(func() {
			for ctx.Err() == nil {
				key, v := c.pick()
				a := c.book.ask(context.WithoutCancel(ctx), l, key, v)
				if a == lost {
					return
				}
				if a == given {
					c.raise(lineOf(key, v), v)
				}
				answered(a)
			}
		})
	}
	clients.Wait()
}

// pick makes a vote near the highest: above it, of the same height with another root, older, surrounding, surrounded, or identical.
func (c *crowd) pick() (bls.PublicKey, vote) {
	key, side := c.keys[rand.IntN(len(c.keys))], byte(rand.IntN(3))
	if rand.IntN(3) == 0 {
		return key, block(c.heights[line{key, true}].Load()-1+rand.Uint64N(3), side)
	}
	target := c.heights[line{key, false}].Load() - 1 + rand.Uint64N(4)
	return key, attestation(target-1-rand.Uint64N(3), target, side)
}

// raise notes that a vote was signed.
func (c *crowd) raise(at line, v vote) {
	for height := c.heights[at]; ; {
		now := height.Load()
		if v.height() <= now || height.CompareAndSwap(now, v.height()) {
			return
		}
	}
}
