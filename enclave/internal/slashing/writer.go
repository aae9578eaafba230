package slashing

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// writer writes claims in groups: those that come while one write is under way share the next, so that a burst costs a few
// commits, and nobody waits for a timer.
type writer struct {
	store Store
	limit time.Duration // of one write
	wrote func(votes int, took time.Duration, err error)

	memory memory // of the write under way, one after the other

	mu      sync.Mutex
	waiting []*ticket // in the order in which they came
	writing bool      // somebody is in write, and will see to waiting
	lost    error     // memory's, for those who ask meanwhile
}

// ticket is one claim on its way through the store.
type ticket struct {
	ctx     context.Context //nolint:containedctx // the caller's, to learn whether anybody still waits; the write has its own
	claim   Claim
	done    chan struct{} // closed when the fields below are set
	outcome Outcome
	err     error // the claim was not part of a write; nothing was recorded
}

// submit hands in claims that may share one write. If nothing is being written it writes them itself, with what comes meanwhile, and
// returns then; else at once. So a vote that comes alone waits for no other goroutine.
func (w *writer) submit(ctx context.Context, claims ...Claim) []*ticket {
	tickets := make([]*ticket, len(claims))
	for i, c := range claims {
		tickets[i] = &ticket{ctx: ctx, claim: c, done: make(chan struct{})}
	}
	if w.join(tickets) {
		w.lead()
	}
	return tickets
}

// join has tickets wait, and tells whether the caller is to write.
func (w *writer) join(tickets []*ticket) (leads bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, tickets...)
	leads = !w.writing && len(w.waiting) > 0
	w.writing = w.writing || leads
	return leads
}

// lead writes the first group, and leaves those that came meanwhile to a goroutine: its caller has its answer.
func (w *writer) lead() {
	runtime.Gosched()
	group := w.take()
	if group == nil {
		return
	}
	w.write(group)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writing = len(w.waiting) > 0; w.writing {
		go w.writeAll()
	}
}

// writeAll writes group after group until nobody waits. Before each it lets run what is ready to run: when the CPUs are busy,
// requests that have been read join this group instead of the next, and when they are not it costs nothing.
func (w *writer) writeAll() {
	for {
		runtime.Gosched()
		group := w.take()
		if group == nil {
			return
		}
		w.write(group)
	}
}

// take returns the next group: everything that waits, but one claim for each key and kind, whose second waits for the next
// group. It is nil, and the writing over, when nothing waits.
func (w *writer) take() []*ticket {
	w.mu.Lock()
	defer w.mu.Unlock()
	group, later := make([]*ticket, 0, len(w.waiting)), w.waiting[:0]
	taken := make(map[record]bool, len(w.waiting))
	for _, t := range w.waiting {
		if err := w.late(t.ctx); err != nil {
			t.err = err
			close(t.done)
			continue
		}
		r := recordOf(t.claim)
		if taken[r] {
			later = append(later, t)
			continue
		}
		taken[r] = true
		group = append(group, t)
	}
	clear(w.waiting[len(later):])
	w.waiting = later
	if len(group) == 0 {
		w.writing = false
		return nil
	}
	return group
}

// record is what a claim would advance.
type record struct {
	key   bls.PublicKey
	block bool
}

func recordOf(c Claim) record {
	_, block := c.Vote.(Block)
	return record{c.Key, block}
}

// late says that nobody would wait for the outcome of a write that begins now.
func (w *writer) late(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ctx.Err() != nil || ok && time.Until(deadline) < w.limit {
		return problem.New(problem.Overloaded, "too little time is left to record the vote; nothing was recorded")
	}
	return nil
}

// write is one write of the store. It has its own limit and belongs to no caller: one who hangs up must not undo what the
// others share.
func (w *writer) write(group []*ticket) {
	if group = w.worthAsking(group); len(group) == 0 {
		return
	}
	claims := make([]Claim, len(group))
	for i, t := range group {
		claims[i] = t.claim
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.limit)
	defer cancel()
	began := time.Now()
	outcomes, err := w.store.Advance(ctx, claims) // from here the votes may be on record
	if err == nil && len(outcomes) != len(group) {
		err = fmt.Errorf("%w: %d outcomes for %d claims", ErrOutcomeUnknown, len(outcomes), len(group))
	}
	took := time.Since(began)
	for i, t := range group {
		switch {
		case err != nil:
			t.outcome = Outcome{Err: err}
		case outcomes[i].Err != nil:
			t.outcome = outcomes[i]
		default:
			t.outcome = outcomes[i]
			w.memory.compare(t.claim, t.outcome.Standing)
		}
	}
	if err == nil && w.memory.lost != nil {
		err = w.memory.lost
		for _, t := range group { // also those whose own answer was right: their earlier votes may be lost too
			t.outcome = Outcome{Err: err}
		}
		w.mu.Lock()
		w.lost = err
		w.mu.Unlock()
	}
	w.wrote(len(group), took, err)
	for _, t := range group {
		close(t.done)
	}
}

// worthAsking answers the tickets that the store need not be asked about, and returns the others: this process knows already that
// the rule refuses their votes, or that the store cannot be believed.
func (w *writer) worthAsking(group []*ticket) []*ticket {
	asked := group[:0]
	for _, t := range group {
		if w.memory.lost != nil {
			t.outcome = Outcome{Err: w.memory.lost}
		} else if v := w.memory.refuse(t.claim); !v.Allowed() {
			t.err = problem.Wrap(problem.Slashable, ErrRefused, v.Reason())
		} else {
			asked = append(asked, t)
			continue
		}
		close(t.done)
	}
	return asked
}

// contradicted is memory's ErrContradicted, or nil.
func (w *writer) contradicted() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}
