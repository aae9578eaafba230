package slashing

import (
	"errors"
	"fmt"
)

// ErrContradicted is returned once the store has lost a vote that this process knows to be recorded: it was rolled back, restored
// from a copy, or replaced. Nothing slashable is permitted by this process any more.
var ErrContradicted = errors.New("the slashing protection store has lost votes that this process recorded")

// memory is the last vote of each key and kind that the store recorded for this process. The store is asked all the same, since
// others may share it, but a store that forgets cannot make this process sign twice. Only the one write under way uses it.
type memory struct {
	last map[record]Vote
	lost error // an ErrContradicted that names the first lost vote, nil so far
}

// refuse says why a claim must not even be written: the rule, applied to what this process remembers.
func (m *memory) refuse(c Claim) Verdict {
	last, ok := m.last[recordOf(c)]
	if !ok {
		return Verdict{allowed: true}
	}
	return Judge(last, c.Vote)
}

// compare holds the store's answer to a claim against what is remembered, and remembers the claim if it was recorded. It sets lost
// if the answer shows that the store lost a vote.
func (m *memory) compare(c Claim, standing Vote) {
	at := recordOf(c)
	if last, ok := m.last[at]; ok && !reaches(standing, last) && m.lost == nil {
		m.lost = fmt.Errorf("%w: of key %s it holds %+v, and %+v was recorded", ErrContradicted, c.Key.Short(), standing, last)
	}
	if m.lost == nil && standing == c.Vote {
		m.last[at] = c.Vote
	}
}

// reaches says that a record can have come after an earlier one: it is nowhere below it, and no other vote of the same heights.
func reaches(standing, last Vote) bool {
	switch l := last.(type) {
	case Attestation:
		s, ok := standing.(Attestation)
		return ok && s.Source >= l.Source && s.Target >= l.Target &&
			(s.Target > l.Target || s.RootUnknown || s == l)
	case Block:
		s, ok := standing.(Block)
		return ok && s.Slot >= l.Slot && (s.Slot > l.Slot || s.RootUnknown || s == l)
	}
	return false
}
