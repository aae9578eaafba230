package main

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Sizes of the measured stores, in keys, and how many vote at once.
const (
	smallBook = 100
	largeBook = 100_000
	callers   = 64
)

// Targets of the figures of PostgreSQL.
const (
	targetTrip    = 1.   // round trips for a vote alone
	targetShared  = 0.05 // for a vote among many
	targetSingles = 2.   // times as many votes as single-row updates, at least
	targetIdle    = 1.2  // times as long as a bare update
)

// recording measures a guard over PostgreSQL against the same server without one: single-row updates, each committed alone.
type recording struct {
	chain        chain
	d            *database
	small, large *book
	singles      string    // the database of single-row updates
	bare         *pgx.Conn // to it
	commits      int       // of bare
	inMemory     bool      // whether the server's files are on no disk

	perCaller     int // votes of each caller in a run: the last one's speed times the time a run should take
	perClient     int // updates of each client of pgbench in a run, likewise
	runs          []recorded
	alone, shared toll
}

// recorded is what one run gave.
type recorded struct {
	small, large                        pace    // of callers at once
	single                              float64 // pgbench's updates in a second
	smallAlone, largeAlone, singleAlone time.Duration
}

func (r *recording) prepare(ctx context.Context) (err error) {
	if r.d, err = startDatabase(ctx); err != nil {
		return err
	}
	if r.inMemory, err = inMemory(r.d.DataDir()); err != nil {
		return err
	}
	if r.small, err = newBook(ctx, r.d, r.chain, smallBook); err != nil {
		return err
	}
	if r.large, err = newBook(ctx, r.d, r.chain, largeBook); err != nil {
		return err
	}
	if r.singles, err = r.d.newSingles(ctx, largeBook); err != nil {
		return err
	}
	r.bare, err = pgx.Connect(ctx, r.d.PlainURL(r.d.Address(), r.singles))
	r.perCaller, r.perClient = perCaller(0, 0), perCaller(0, 0)
	return err
}

// perCaller is how much each of the callers does in a run, so that it takes about the time that it should: the last one's speed is
// known, or zero.
func perCaller(perSecond float64, window time.Duration) int {
	return max(20, int(perSecond*window.Seconds()/callers))
}

// repeat runs everything once, half as long as the phases of the running signer: nothing is compared across runs. What comes before
// pgbench comes after it too, in the opposite order, so that a load that grows or fades hits all alike.
func (r *recording) repeat(ctx context.Context, window time.Duration) (err error) {
	var s recorded
	for _, turn := range []func() error{
		func() error { return r.crowd(ctx, r.small, window/4, &s.small) },
		func() error { return r.crowd(ctx, r.large, window/4, &s.large) },
		func() error {
			s.single, err = r.d.singleUpdates(ctx, r.singles, callers, r.perClient, largeBook)
			r.perClient = perCaller(s.single, window/2)
			return err
		},
		func() error { return r.crowd(ctx, r.large, window/4, &s.large) },
		func() error { return r.crowd(ctx, r.small, window/4, &s.small) },
	} {
		if err := turn(); err != nil {
			return err
		}
	}
	err = r.small.watch(ctx, r.d, &r.alone, func() (votes int, err error) {
		err = r.large.watch(ctx, r.d, &r.alone, func() (int, error) {
			votes, err = r.inTurn(ctx, &s, window/2)
			return votes, err
		})
		return votes, err
	})
	r.runs = append(r.runs, s)
	return err
}

// crowd has all callers record votes, and adds to p how fast.
func (r *recording) crowd(ctx context.Context, b *book, window time.Duration, p *pace) error {
	runtime.GC() // what was done before is not these votes' fault
	return b.watch(ctx, r.d, &r.shared, func() (int, error) {
		now := pace{votes: callers * r.perCaller}
		var err error
		now.took, err = b.crowd(ctx, callers, r.perCaller)
		r.perCaller = perCaller(now.perSecond(), window)
		p.votes += now.votes
		p.took += now.took
		return now.votes, err
	})
}

// pace is how long votes took in all.
type pace struct {
	votes int
	took  time.Duration
}

func (p pace) perSecond() float64 { return float64(p.votes) / p.took.Seconds() }

// inTurn makes one vote in each store and one bare update, again and again, so that noise hits all alike. It returns how many votes
// each store recorded.
func (r *recording) inTurn(ctx context.Context, s *recorded, window time.Duration) (votes int, err error) {
	runtime.GC()
	var small, large, single []time.Duration
	turns := []struct {
		vote func(context.Context) (time.Duration, error)
		took *[]time.Duration
	}{{r.small.alone, &small}, {r.bareUpdate, &single}, {r.large.alone, &large}}
	for end := time.Now().Add(window); time.Now().Before(end); votes++ {
		for _, turn := range turns {
			took, err := turn.vote(ctx)
			if err != nil {
				return 0, err
			}
			*turn.took = append(*turn.took, took)
		}
	}
	s.smallAlone, s.largeAlone, s.singleAlone = median(small), median(large), median(single)
	return votes, nil
}

// bareUpdate commits one conditional update, by the driver that the store uses too, and returns how long it took.
func (r *recording) bareUpdate(ctx context.Context) (time.Duration, error) {
	id := r.commits % largeBook
	r.commits++
	root := blockRoot(uint64(r.commits))
	began := time.Now()
	tag, err := r.bare.Exec(ctx, bareUpdate, id, root[:], neverReached)
	took := time.Since(began)
	if err == nil && tag.RowsAffected() != 1 {
		err = errors.New("a bare update changed nothing")
	}
	return took, err
}

func (r *recording) stop() error {
	var failures []error
	if r.bare != nil {
		failures = append(failures, r.bare.Close(context.Background()))
	}
	for _, b := range []*book{r.small, r.large} {
		if b != nil {
			failures = append(failures, b.store.Close())
		}
	}
	if r.d != nil {
		failures = append(failures, r.d.Stop())
	}
	return errors.Join(failures...)
}

func (r *recording) report(t table) {
	t.note("recording votes in PostgreSQL %s without signing, 100,000 keys unless it says otherwise; runs half as long:", r.d.version)
	if r.inMemory {
		t.note("    the server's files are in memory (tmpfs), so that a commit is nearly free: set TMPDIR to a directory on a disk")
	}
	t.held("round trips for each vote, one at a time", "", r.alone.perVote(), targetTrip)
	t.note("    the server counted %d statements for %d votes, and on the wire were %d round trips", r.alone.statements, r.alone.votes, r.alone.trips)
	t.held("round trips for each vote, 64 callers at once", "", r.shared.perVote(), targetShared)
	t.note("    the server counted %d statements for %d votes, and on the wire were %d round trips", r.shared.statements, r.shared.votes, r.shared.trips)

	ratios := r.each(func(s recorded) float64 { return s.large.perSecond() / s.single })
	t.reached("votes in a second, 64 callers at once, against pgbench", "×", median(ratios), targetSingles)
	t.note("    %.2f to %.2f; %.0f votes, and pgbench with 64 clients committed %.0f single-row updates", slices.Min(ratios), slices.Max(ratios),
		median(r.each(func(s recorded) float64 { return s.large.perSecond() })), median(r.each(func(s recorded) float64 { return s.single })))

	ratios = r.each(func(s recorded) float64 { return float64(s.largeAlone) / float64(s.singleAlone) })
	t.held("time of one vote at a time, against a bare single-row update", "×", median(ratios), targetIdle)
	t.note("    %.2f to %.2f; %.0f µs, and the update in turn with it %.0f µs", slices.Min(ratios), slices.Max(ratios),
		median(r.each(func(s recorded) float64 { return micros(s.largeAlone) })), median(r.each(func(s recorded) float64 { return micros(s.singleAlone) })))

	t.line("votes in a second, 100,000 keys against 100 keys", number(median(r.each(func(s recorded) float64 { return s.large.perSecond() / s.small.perSecond() })))+"×")
	t.line("time of one vote at a time, 100,000 keys against 100 keys",
		number(median(r.each(func(s recorded) float64 { return float64(s.largeAlone) / float64(s.smallAlone) })))+"×")
}

func (r *recording) each(of func(recorded) float64) (all []float64) {
	for _, s := range r.runs {
		all = append(all, of(s))
	}
	return all
}
