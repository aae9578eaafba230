package main

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
)

// dynamoKeys have a record.
const dynamoKeys = 640

// dynamo measures what votes ask of DynamoDB: requests are paid for one by one. It measures no time, because DynamoDB Local is not
// the service.
type dynamo struct {
	voters
	local  *dynamodbtest.Server
	store  *dynamodb.Store
	wire   wire         // HTTP/1.1 without TLS: a round trip is a request
	groups atomic.Int64 // writes of the guard so far

	perCaller     int // votes of each caller in a run: the last one's speed times the time a run should take
	alone, shared requests
}

// requests is what votes cost.
type requests struct {
	votes          int
	groups, number int64
}

func (r requests) perVote() float64 { return float64(r.number) / float64(r.votes) }

// allowed is one update for each vote, and one read of the high watermark for each group of votes.
func (r requests) allowed() float64 { return 1 + float64(r.groups)/float64(r.votes) }

func (d *dynamo) prepare(ctx context.Context) (err error) {
	if d.local, err = dynamodbtest.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			err = missingError{err}
		}
		return err
	}
	table, err := d.local.NewTable(ctx)
	if err != nil {
		return err
	}
	d.store, err = dynamodb.Open(ctx, dynamodb.Options{
		Table: table, Region: dynamodbtest.Region, Endpoint: d.local.Endpoint(), Credentials: d.local.Credentials(),
		Dial: d.wire.dial, Timeout: writeLimit,
	})
	if err != nil {
		return err
	}
	d.guard, d.perCaller = slashing.NewGuard(d.store, writeLimit), perCaller(0, 0)
	d.guard.OnWrite(func(int, time.Duration, error) { d.groups.Add(1) })
	return d.enrol(ctx, dynamoKeys)
}

func (d *dynamo) repeat(ctx context.Context, window time.Duration) error {
	err := d.count(&d.shared, func() (int, error) {
		votes := callers * d.perCaller
		took, err := d.crowd(ctx, callers, d.perCaller)
		d.perCaller = perCaller(float64(votes)/took.Seconds(), window/4)
		return votes, err
	})
	if err != nil {
		return err
	}
	return d.count(&d.alone, func() (votes int, err error) {
		for end := time.Now().Add(window / 4); err == nil && time.Now().Before(end); votes++ {
			_, err = d.voters.alone(ctx)
		}
		return votes, err
	})
}

// count adds to r what the votes cost that f records.
func (d *dynamo) count(r *requests, f func() (votes int, err error)) error {
	number, groups := d.wire.trips.Load(), d.groups.Load()
	votes, err := f()
	r.votes += votes
	r.number += d.wire.trips.Load() - number
	r.groups += d.groups.Load() - groups
	return err
}

func (d *dynamo) report(t table) {
	t.note("recording votes in DynamoDB Local without signing:")
	d.alone.report(t, "requests for each vote, one at a time")
	d.shared.report(t, "requests for each vote, 64 callers at once")
	opened, asked := d.wire.opened.Load(), d.wire.trips.Load()
	t.line("connections opened for each request", number(float64(opened)/float64(asked)))
	t.note("    %d for %d requests from the store's start; %d requests are under way at once at most", opened, asked, dynamodb.DefaultConcurrency)
}

func (r requests) report(t table, what string) {
	t.held(what, "", r.perVote(), r.allowed())
	t.note("    %d requests for %d votes in %d groups: an update for each vote, and beside them a read of the high watermark for each group",
		r.number, r.votes, r.groups)
}

func (d *dynamo) stop() error {
	err := d.store.Close()
	if d.local != nil {
		d.local.Stop()
	}
	return err
}
