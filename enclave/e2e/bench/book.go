package main

import (
	"context"
	"errors"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
)

// writeLimit of one write of a measured store.
const writeLimit = 10 * time.Second

// book is a slashing store in a database of its own, with voters who use it.
type book struct {
	voters
	name  string // of the database
	store *postgres.Store
	wire  wire
}

// newBook makes a store that has a record of n keys.
func newBook(ctx context.Context, d *database, c chain, n int) (b *book, err error) {
	b = new(book)
	if b.name, err = d.newCounted(ctx); err != nil {
		return nil, err
	}
	b.store, err = postgres.Open(ctx, postgres.Options{
		URL: d.PlainURL(d.Address(), b.name), Dial: b.wire.dial, PoolSize: 8, Timeout: writeLimit,
	})
	if err != nil {
		return nil, err
	}
	b.voters = voters{guard: slashing.NewGuard(b.store, writeLimit), chain: c}
	err = b.enrol(ctx, n)
	if err == nil {
		err = d.Exec(ctx, b.name, "VACUUM ANALYZE") // as autovacuum would have it soon
	}
	if err != nil {
		return nil, errors.Join(err, b.store.Close())
	}
	return b, nil
}

// toll is what votes cost in round trips.
type toll struct {
	votes      int
	statements int64 // by the server's count
	trips      int64 // on the wire
}

// watch adds to t what the votes cost that f records.
func (b *book) watch(ctx context.Context, d *database, t *toll, f func() (votes int, err error)) error {
	trips := b.wire.trips.Load()
	statements, err := d.statements(ctx, b.name)
	if err != nil {
		return err
	}
	votes, err := f()
	if err != nil {
		return err
	}
	after, err := d.statements(ctx, b.name)
	t.votes += votes
	t.statements += after - statements
	t.trips += b.wire.trips.Load() - trips
	return err
}

func (t toll) perVote() float64 { return float64(t.statements) / float64(t.votes) }
