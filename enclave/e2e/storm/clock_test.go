package storm

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestClockJumps moves the clock of the chain far ahead and back behind what was signed, from one life of a signer to the next. A
// clock that is behind refuses more; no clock makes anything signable that conflicts with the record.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	s := newSigner(t, 4, newFile(t).section())
	b := newBook(t)
	c := newCrowd(b, s.keys)
	for life := range *kills {
		low, high := c.targets()
		if life%2 == 0 {
			s.setEpoch(high + 1000 + rand.Uint64N(1_000_000))
			l := s.start()
			resign(t, b, l)
			rushAndKill(t, c, l)
			continue
		}
		s.setEpoch(low - 20)
		l := s.start()
		for at, last := range b.highest() {
			if at.block {
				continue // slots are so low here that no clock is behind them
			}
			source, target := last.heights()
			b.want(t, l, at.key, last, ahead, "the last vote, with the clock behind it")
			b.want(t, l, at.key, attestation(source, target, 9), ahead, "its rival, with the clock behind it")
			b.want(t, l, at.key, attestation(low-31, low-30, 9), refused, "an old vote, which the clock allows")
		}
		rushAndKill(t, c, l)
	}
	_, high := c.targets()
	s.setEpoch(high + 1000)
	l := s.start()
	again := resign(t, b, l)
	l.finish()
	count := b.tally()
	t.Logf("%d jumps: %v, %d ahead of the clock, %d signed again at the end", *kills, count, count.ahead, again)
	if count.ahead == 0 || again == 0 {
		t.Error("the clock was never behind, or nothing was signed again: the test tries too little")
	}
}

// setEpoch moves the genesis so that the current epoch is this one from the next start on.
func (s *signer) setEpoch(epoch uint64) {
	s.genesis = time.Now().Unix() - int64(epoch*slotsPerEpoch*secondsPerSlot)
}

// targets are the lowest and the highest of the targets that keys have come to.
func (c *crowd) targets() (low, high uint64) {
	for at, height := range c.heights {
		if at.block {
			continue
		}
		now := height.Load()
		if low = min(low, now); high == 0 {
			low = now
		}
		high = max(high, now)
	}
	return low, high
}
