//go:build linux

package faults

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

const (
	// deadline is what each client gives a request.
	deadline = 5 * time.Second
	// grace is what a busy machine may add to it.
	grace = time.Second
)

// answer is what became of a request.
type answer int

const (
	signed      answer = iota + 1
	denied             // by slashing protection
	unavailable        // 503: what could be recorded may be on record
	cut                // no answer, though there was time: nobody there, or the connection was lost
	expired            // no answer until the deadline
)

// tally counts the requests that were answered within some time.
type tally struct {
	answers map[answer]int
	longest time.Duration
}

func (c tally) String() string {
	sent := 0
	for _, n := range c.answers {
		sent += n
	}
	return fmt.Sprintf("%d requests: %d signed, %d double votes denied, %d answered 503, %d cut off, %d expired; longest %v",
		sent, c.answers[signed], c.answers[denied], c.answers[unavailable], c.answers[cut], c.answers[expired], c.longest.Round(time.Millisecond))
}

// add adds what was counted at another time.
func (c *tally) add(other tally) {
	for a, n := range other.answers {
		c.answers[a] += n
	}
	c.longest = max(c.longest, other.longest)
}

// book holds every signature against all others, whatever happened between. It is safe for concurrent use.
type book struct {
	t *testing.T

	mu      sync.Mutex // held while the fields below are used
	history *storetest.History
	known   map[bls.PublicKey]map[slashing.Vote]bool // what history has
	now     tally
}

func newBook(t *testing.T) *book {
	return &book{t: t, history: storetest.NewHistory(), known: map[bls.PublicKey]map[slashing.Vote]bool{}, now: tally{answers: map[answer]int{}}}
}

// turn begins a new page and returns what stands on the one before.
func (b *book) turn() tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.now
	b.now = tally{answers: map[answer]int{}}
	return before
}

// took books an answer that came after some time. One that is late fails the test.
func (b *book) took(a answer, after time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now.answers[a]++
	b.now.longest = max(b.now.longest, after)
	if after > deadline+grace {
		b.t.Errorf("a request took %v, its deadline was %v", after, deadline)
	}
}

// verify takes a signature. One that does not verify, or conflicts with any before it, fails the test.
func (b *book) verify(key bls.PublicKey, v vote, signature bls.Signature) {
	if !bls.Verify(key, v.request.SigningRoot(), signature) {
		b.t.Errorf("a signature of %s does not verify", key.Short())
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if v.record == nil || b.known[key][v.record] {
		return
	}
	if b.known[key] == nil {
		b.known[key] = map[slashing.Vote]bool{}
	}
	b.known[key][v.record] = true
	if err := b.history.Add(key, v.record); err != nil {
		b.t.Error(err)
	}
}

// votes is how many different votes were signed in all.
func (b *book) votes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.history.Signed()
}
