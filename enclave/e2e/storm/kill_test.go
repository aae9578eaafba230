package storm

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// TestKilled kills a signer at any moment while many clients ask it for conflicting votes, or while it starts, starts it again, and so
// on: what it signed in all its lives holds no conflict, and what it signed last it signs again.
func TestKilled(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, p place) {
		s := newSigner(t, 4, p.section())
		b := newBook(t)
		c := newCrowd(b, s.keys)
		again := 0
		for i := range *kills {
			if i%4 == 0 {
				s.stillborn()
			}
			l := s.start()
			again += resign(t, b, l)
			rushAndKill(t, c, l)
		}
		l := s.start()
		again += resign(t, b, l)
		l.finish()
		t.Logf("%d kills: %v, %d signed again after a kill", *kills, b.tally(), again)
		if again == 0 {
			t.Error("nothing was signed again: the test tries too little")
		}
	})
}

// stillborn starts a signer that is killed while it starts.
func (s *signer) stillborn() {
	s.t.Helper()
	l := s.launch()
	select { // at any moment of the start
	case <-time.After(rand.N(60 * time.Millisecond)):
	case <-l.process.Done():
		s.t.Errorf("the signer ended by itself:\n%s", l.log())
	}
	l.kill()
}

// rushAndKill has clients ask, and kills the signer some milliseconds after its first signature.
func rushAndKill(t *testing.T, c *crowd, l *life) {
	t.Helper()
	const clients = 12
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	signed := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.rush(ctx, l, clients, func(a answer) {
			if a == given {
				select {
				case signed <- struct{}{}:
				default:
				}
			}
		})
	}()
	select {
	case <-signed:
	case <-ctx.Done():
		t.Errorf("nothing was signed within %v:\n%s", limit, l.log())
	}
	select { // at any moment of the work
	case <-time.After(rand.N(60 * time.Millisecond)):
	case <-l.process.Done():
		t.Errorf("the signer ended by itself:\n%s", l.log())
	}
	l.kill()
	cancel()
	<-ended
}

// resign asks a signer that was started anew, for each record, for what conflicts with the vote signed last, which is refused, and
// then for that vote itself. It is signed, unless a later vote whose answer was lost went on record; then that one is. It returns how
// many were signed again.
func resign(t *testing.T, b *book, l *life) (again int) {
	t.Helper()
	for at, open := range b.settle() {
		last, doubt := open[0], open[1:]
		for _, rival := range last.rivals() {
			b.want(t, l, at.key, rival, refused, "a rival of what was signed last")
		}
		if b.ask(t.Context(), l, at.key, last) == given {
			again++
			continue
		}
		if !resignDoubt(t, b, l, at, last, doubt) {
			t.Errorf("%s: %s was signed last, and is not signed again, nor is anything that was in doubt:\n%s", at.key.Short(), last, l.log())
		}
	}
	return again
}

func resignDoubt(t *testing.T, b *book, l *life, at line, last vote, doubt []vote) bool {
	t.Helper()
	slices.SortFunc(doubt, func(a, b vote) int { return cmp.Compare(a.height(), b.height()) }) // so that none rises above the one on record
	for _, v := range doubt {
		if slashing.Judge(last.record, v.record).Allowed() && b.ask(t.Context(), l, at.key, v) == given {
			return true
		}
	}
	return false
}
