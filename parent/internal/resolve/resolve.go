// Package resolve keeps the addresses of a host name fresh, and the last good ones while nobody answers.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/streak"
)

const (
	// shortest and longest bound the time after which a name is asked for again, whatever its records say: some say 0, and
	// a host that moved under a TTL of a day must be found all the same.
	shortest = 5 * time.Second
	longest  = 5 * time.Minute
	// untold is that time for [NoTTL].
	untold = 30 * time.Second
	// lookupTimeout bounds one lookup.
	lookupTimeout = 10 * time.Second
	// retryFirst and retryLast are the pauses after a failed lookup, which double.
	retryFirst = time.Second
	retryLast  = 30 * time.Second
)

// Name is a host name with its addresses. It is safe for concurrent use.
type Name struct {
	host     string
	lookup   LookupFunc
	log      *zap.Logger
	record   Record
	hurry    chan struct{} // holds one
	troubles streak.Streak

	mu        sync.Mutex // held while any of these is read or changed
	addresses []netip.Addr
	err       error         // of the last lookup, nil if it succeeded
	asked     chan struct{} // closed once there was a first outcome
	first     bool          // there was one
}

// New makes a name, or an IP address, which stands for itself for ever. What is found is looked at by Run.
func New(host string, lookup LookupFunc, log *zap.Logger, record Record) *Name {
	n := &Name{
		host: host, lookup: lookup, log: log.With(zap.String("host", host)), record: record,
		hurry: make(chan struct{}, 1), asked: make(chan struct{}),
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		n.lookup = func(context.Context, string) (Answer, error) {
			return Answer{Addresses: []netip.Addr{ip.Unmap()}, TTL: longest}, nil
		}
		n.took(n.lookup(context.Background(), host))
	}
	return n
}

// ErrNoAddress is a name that leads nowhere.
var ErrNoAddress = errors.New("the answer has no address")

// Inherit takes over the last good answer of a name for the same host, so that nothing has to be looked up before it is used: no name server
// may answer now. It is called before Run.
func (n *Name) Inherit(before *Name) {
	before.mu.Lock()
	addresses := slices.Clone(before.addresses)
	before.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(addresses) > 0 && !n.first {
		n.addresses, n.first = addresses, true
		close(n.asked)
	}
}

// Addresses returns the last good answer, the best address first. It waits for the first lookup alone: as long as there was no good
// answer it fails with the reason of the last one that failed, and has it tried again soon.
func (n *Name) Addresses(ctx context.Context) ([]netip.Addr, error) {
	select {
	case <-n.asked:
	case <-ctx.Done():
		return nil, fmt.Errorf("look up %s: %w", n.host, context.Cause(ctx))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.addresses) == 0 {
		n.Hurry()
		return nil, fmt.Errorf("look up %s: %w", n.host, n.err)
	}
	return slices.Clone(n.addresses), nil
}

// Hurry has the name looked up before its time, though at most once a second: its addresses do not answer.
func (n *Name) Hurry() {
	select {
	case n.hurry <- struct{}{}:
	default: // Run will look anyway
	}
}

// Run looks the name up, again and again, until ctx ends.
func (n *Name) Run(ctx context.Context) {
	retry := retryFirst
	for {
		asking, cancel := context.WithTimeout(ctx, lookupTimeout)
		answer, err := n.lookup(asking, n.host)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err == nil && len(answer.Addresses) == 0 {
			err = ErrNoAddress // the last ones stay
		}
		n.took(answer, err)
		wait := retry
		if err == nil {
			retry = retryFirst
			wait = age(answer.TTL)
		} else {
			retry = min(2*retry, retryLast)
		}
		if !n.pause(ctx, wait) {
			return
		}
	}
}

// age is the time after which an answer is asked for again.
func age(ttl time.Duration) time.Duration {
	if ttl == NoTTL {
		return untold
	}
	return min(max(ttl, shortest), longest)
}

// pause waits, a second at least, unless somebody is in a hurry. It is false if ctx ended.
func (n *Name) pause(ctx context.Context, wait time.Duration) bool {
	const least = time.Second
	timer := time.NewTimer(least)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	timer.Reset(wait - least)
	select {
	case <-timer.C:
	case <-n.hurry:
	case <-ctx.Done():
		return false
	}
	return true
}

// took notes the outcome of a lookup.
func (n *Name) took(answer Answer, err error) {
	n.record.lookedUp(err)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err = err; err == nil {
		n.change(answer.Addresses)
		n.troubles.Heal(n.log, "name resolves again")
	} else {
		n.troubles.Fail(n.log, "name does not resolve; its last addresses are kept", reason(err), err)
	}
	if !n.first {
		n.first = true
		close(n.asked)
	}
}

// change is called with mu held.
func (n *Name) change(addresses []netip.Addr) {
	before, after := slices.Clone(n.addresses), slices.Clone(addresses)
	slices.SortFunc(before, netip.Addr.Compare)
	slices.SortFunc(after, netip.Addr.Compare)
	if len(before) > 0 && !slices.Equal(before, after) {
		n.log.Info("addresses changed; new connections take the new ones", zap.Stringers("before", before), zap.Stringers("after", after))
	}
	n.addresses = addresses
}
