package storm

import (
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// book holds every signature that left a signer against all others, whatever happened to the signer between. It is safe for
// concurrent use.
type book struct {
	t *testing.T

	mu      sync.Mutex // held while the fields below are used
	history *storetest.History
	known   map[signature]bool // what history has
	last    map[line]vote      // the highest vote signed
	doubt   map[line][]vote    // asked for since settle, with no answer or none that says what became of it
	count   tally
}

// shown is how many conflicts are told one by one.
const shown = 10

// line is what one record of a store is about.
type line struct {
	key   bls.PublicKey
	block bool
}

type signature struct {
	key  bls.PublicKey
	vote slashing.Vote
}

// tally counts answers.
type tally struct {
	checked   int // signatures that verified
	refused   int // 412
	doubted   int // 503, or no answer
	ahead     int // 403
	conflicts int
}

func (c tally) String() string {
	return fmt.Sprintf("%d signatures checked, %d conflicts, %d requests refused, %d in doubt", c.checked, c.conflicts, c.refused, c.doubted)
}

func newBook(t *testing.T) *book {
	return &book{
		t: t, history: storetest.NewHistory(), known: make(map[signature]bool),
		last: make(map[line]vote), doubt: make(map[line][]vote),
	}
}

func lineOf(key bls.PublicKey, v vote) line {
	_, block := v.record.(slashing.Block)
	return line{key, block}
}

// signed takes a signature that a signer gave. One that does not verify, or conflicts with any before it, fails the test.
func (b *book) signed(key bls.PublicKey, v vote, sig bls.Signature) {
	if !bls.Verify(key, v.request.SigningRoot(), sig) {
		b.t.Errorf("the signature of %s over %s does not verify", key.Short(), v)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count.checked++
	if v.record == nil || b.known[signature{key, v.record}] {
		return
	}
	b.known[signature{key, v.record}] = true
	if err := b.history.Add(key, v.record); err != nil {
		if b.count.conflicts++; b.count.conflicts <= shown {
			b.t.Error(err)
		}
	}
	at := lineOf(key, v)
	if last, ok := b.last[at]; !ok || slashing.Judge(last.record, v.record).Allowed() {
		b.last[at] = v
	}
}

// unsigned takes an answer without a signature, and returns it.
func (b *book) unsigned(key bls.PublicKey, v vote, a answer) answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch a {
	case refused:
		b.count.refused++
	case ahead:
		b.count.ahead++
	case unavailable, lost:
		b.count.doubted++
		if v.record != nil {
			b.doubt[lineOf(key, v)] = append(b.doubt[lineOf(key, v)], v)
		}
	case given:
	}
	return a
}

// settle returns what was signed last and what is in doubt since the last call, record by record.
func (b *book) settle() map[line][]vote {
	b.mu.Lock()
	defer b.mu.Unlock()
	open := make(map[line][]vote, len(b.last))
	for at, last := range b.last {
		open[at] = append([]vote{last}, b.doubt[at]...)
	}
	clear(b.doubt)
	return open
}

// highest returns what was signed last of each record.
func (b *book) highest() map[line]vote {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.last)
}

// tally is the count so far.
func (b *book) tally() tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}
