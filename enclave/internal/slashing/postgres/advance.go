package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Advance implements slashing.Store: one round trip, and a second one if the rule refused something. What the server rolled back
// for another transaction's sake is sent again until too little time is left, and so, once, is what was sent before a connection was
// lost: a claim that is on record already is allowed as the identical one. Claims whose rows somebody else keeps are given up earlier,
// as an ErrUnavailable of their own, if others wait with them.
func (s *Store) Advance(ctx context.Context, claims []slashing.Claim) ([]slashing.Outcome, error) {
	if err := distinct(claims); err != nil {
		return nil, fmt.Errorf("%w: %w", slashing.ErrUnavailable, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.insist(ctx, claims, s.timeout/4, nil)
}

// distinct refuses what one statement cannot hold, which is a fault of the caller's: PostgreSQL would fail all of it.
func distinct(claims []slashing.Claim) error {
	type record struct {
		key   bls.PublicKey
		block bool
	}
	seen := make(map[record]bool, len(claims))
	for _, c := range claims {
		r := record{key: c.Key}
		switch c.Vote.(type) { // exhaustive: the set of votes is closed
		case slashing.Attestation:
		case slashing.Block:
			r.block = true
		default:
			return fmt.Errorf("no table for a %T of key %s", c.Vote, c.Key.Short())
		}
		if seen[r] {
			return fmt.Errorf("two claims for one record of key %s in one batch", c.Key.Short())
		}
		seen[r] = true
	}
	return nil
}

// resends is how often a batch is sent again whose outcome is unknown.
const resends = 1

// insist sends the claims until it is known what became of them, or hope is gone: when another transaction was in the way, and
// less than need is left for the next try. doubt is an earlier try whose outcome is unknown: after it no error may say that nothing was recorded.
func (s *Store) insist(ctx context.Context, claims []slashing.Claim, need time.Duration, doubt error) ([]slashing.Outcome, error) {
	for tries, lost := 1, 0; ; tries++ {
		outcomes, err := s.send(ctx, claims)
		switch {
		case err == nil:
			for i, o := range outcomes {
				if o.Err != nil {
					outcomes[i].Err = doubted(o.Err, doubt)
				}
			}
			return outcomes, nil
		case byRow(err) && len(claims) > 1:
			return s.halve(ctx, claims, need, doubt), nil
		case conflicted(err) && pause(ctx, tries, need):
			if parts := s.byLock(ctx, claims); len(parts) > 1 {
				return s.passBy(ctx, claims, parts, need, doubt), nil
			}
			continue
		}
		s.renew(err)
		if !errors.Is(err, slashing.ErrOutcomeUnknown) {
			return nil, doubted(err, doubt)
		}
		doubt = err
		if lost++; lost > resends || ctx.Err() != nil {
			return nil, doubt
		}
	}
}

// renew has the next statements use new connections, which are checked again, after an error that may come from the server that
// this one leads to.
func (s *Store) renew(err error) {
	if !byRow(err) && !conflicted(err) {
		s.pool.Reset()
	}
}

// doubted is err, which says that nothing was recorded, after a try of which nobody knows that.
func doubted(err, doubt error) error {
	if doubt == nil {
		return err
	}
	return fmt.Errorf("%w; and sent again: %v", doubt, err) //nolint:errorlint // it must not be an ErrUnavailable
}

// each is insist, whose error is the outcome of each claim.
func (s *Store) each(ctx context.Context, claims []slashing.Claim, need time.Duration, doubt error) []slashing.Outcome {
	outcomes, err := s.insist(ctx, claims, need, doubt)
	if err != nil {
		return slices.Repeat([]slashing.Outcome{{Err: err}}, len(claims))
	}
	return outcomes
}

// halve finds the claims whose rows are at fault, so that the others are recorded.
func (s *Store) halve(ctx context.Context, claims []slashing.Claim, need time.Duration, doubt error) []slashing.Outcome {
	half := len(claims) / 2
	return append(s.each(ctx, claims[:half], need, doubt), s.each(ctx, claims[half:], need, doubt)...)
}

// pause waits for the transaction that was in the way, a little longer at each try. It is false if ctx ends before, or leaves less
// time than the next try may need.
func pause(ctx context.Context, tries int, need time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < need {
		return false
	}
	most := min(time.Millisecond<<min(tries, 7), 100*time.Millisecond)
	timer := time.NewTimer(rand.N(most)) //nolint:gosec // jitter is no secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// send is one try. An error is an ErrUnavailable or an ErrOutcomeUnknown, for all claims. It takes at most half of the time that a write
// has: the answer may never come, and then the other half is for a try on another connection.
func (s *Store) send(ctx context.Context, claims []slashing.Claim) ([]slashing.Outcome, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	defer pgpool.Release(conn)
	ctx, cancel := context.WithTimeout(ctx, s.timeout/2)
	defer cancel()
	g := gather(claims)
	if err := g.advance(ctx, conn.Conn()); err != nil {
		return nil, judged(err)
	}
	s.complete(ctx, conn.Conn(), g)
	return g.outcomes, nil
}

// complete sets the outcomes of the claims that were not recorded.
func (s *Store) complete(ctx context.Context, conn *pgx.Conn, g *group) {
	refused := g.refused()
	err := g.read(ctx, conn, refused)
	if err != nil {
		s.renew(err)
		err = unavailable(fmt.Errorf("refused, and what is on record could not be read: %w", err))
	}
	for _, i := range refused {
		switch {
		case err != nil:
			g.outcomes[i] = slashing.Outcome{Err: err}
		case g.outcomes[i].Permits(g.claims[i].Vote):
			// Another signer recorded the same vote after this one was refused. Reading, unlike writing, does not wait until a
			// synchronous standby has it.
			g.outcomes[i] = slashing.Outcome{Err: fmt.Errorf("%w: another signer recorded the vote while this one was refused", slashing.ErrOutcomeUnknown)}
		}
	}
}
