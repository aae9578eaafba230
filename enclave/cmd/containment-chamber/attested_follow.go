package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// followEvery is how often a proxy looks at the files that say whom to accept. What they say counts when two looks have found the same: a
// file that is being written is not believed half, neither to refuse nor to accept.
const followEvery = 5 * time.Second

// errFollowerClosed is the answer of a follower that was closed.
var errFollowerClosed = errors.New("the connections to the signer were closed")

// follower carries requests to an enclave, for as long as the files that name it say that it is accepted. When they say something
// else, requests under way finish, and no later one goes over a connection that was verified before. It is safe for concurrent use.
type follower struct {
	trust *signerTrust
	log   *zap.Logger
	last  accepted // what the last look found; owned by look

	mu     sync.Mutex // held while the fields below are used
	now    *era
	past   map[*era]struct{} // with requests under way
	closed bool
}

// era is the time during which one and the same is accepted.
type era struct {
	accepted
	transport *atls.Transport // nil if the files cannot be used: then nothing is accepted
	calls     int             // requests whose answers have not been read; the follower's mutex guards it
}

// following makes the connections to an enclave as transport does, and keeps looking at the files that say whether it is accepted.
func (t *signerTrust) following(log *zap.Logger) (*signerTransport, error) {
	first := t.accepted()
	if first.err != nil {
		return nil, first.err
	}
	f := &follower{trust: t, log: log, last: first, past: map[*era]struct{}{}}
	var err error
	if f.now, err = f.begin(first); err != nil {
		return nil, err
	}
	return &signerTransport{RoundTripper: f, follower: f, trust: t, end: f.close, met: !t.firstUse}, nil
}

// Run looks until ctx ends. The error is always nil.
func (f *follower) Run(ctx context.Context) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f.look()
		}
	}
}

// look reads the files once. What holds is changed only by what this look and the one before have found alike; one error is as
// good as another for that.
func (f *follower) look() {
	found := f.trust.accepted()
	before := f.last
	f.last = found
	f.mu.Lock()
	now := f.now.accepted
	f.mu.Unlock()
	switch {
	case found.same(now):
	case found.same(before), found.err != nil && before.err != nil:
		f.turn(found)
	case found.err != nil && now.err == nil:
		f.log.Warn("what says which enclaves to accept cannot be used; what it said before holds until the next look", zap.Error(found.err))
	}
}

// turn lets another era begin.
func (f *follower) turn(to accepted) {
	next, err := f.begin(to)
	if err != nil { // nothing that was read without an error
		next = &era{accepted: accepted{mark: to.mark, err: refusing(atls.CheckPolicy, err)}}
	}
	if next.err == nil {
		f.log.Info("what the files say of which enclaves to accept is new: connections are made and verified anew")
	} else {
		f.log.Error("what says which enclaves to accept cannot be used: none is accepted until it can", zap.Error(next.err))
	}
	f.mu.Lock()
	was := f.now
	f.now = next
	if was.calls > 0 {
		f.past[was] = struct{}{}
		was = nil
	}
	closed := f.closed
	f.mu.Unlock()
	was.end()
	if closed { // while the new era was made: nobody else ends it
		next.end()
	}
}

func (f *follower) begin(a accepted) (*era, error) {
	e := &era{accepted: a}
	if a.options == nil {
		return e, nil
	}
	var err error
	e.transport, err = atls.NewTransport(atls.TransportOptions{
		Servers: map[string]atls.Options{f.trust.base.Hostname(): *a.options}, Dial: atls.DialFunc(egress.Direct()),
	})
	return e, err
}

// end closes the connections of an era.
func (e *era) end() {
	if e != nil && e.transport != nil {
		e.transport.Close()
	}
}

// RoundTrip implements http.RoundTripper.
func (f *follower) RoundTrip(req *http.Request) (*http.Response, error) {
	e, err := f.enter()
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // it will not be read
		}
		return nil, err
	}
	res, err := e.transport.RoundTrip(req)
	if err != nil {
		f.leave(e)
		return nil, err
	}
	res.Body = &answer{ReadCloser: res.Body, follower: f, era: e}
	return res, nil
}

func (f *follower) enter() (*era, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, errFollowerClosed
	case f.now.err != nil:
		return nil, f.now.err
	}
	f.now.calls++
	return f.now, nil
}

// leave ends an era with its last request.
func (f *follower) leave(e *era) {
	f.mu.Lock()
	e.calls--
	_, past := f.past[e]
	over := past && e.calls == 0
	if over {
		delete(f.past, e)
	}
	f.mu.Unlock()
	if over {
		e.end()
	}
}

// close ends everything, with the requests that are under way.
func (f *follower) close() {
	f.mu.Lock()
	f.closed = true
	all := []*era{f.now}
	for e := range f.past {
		all = append(all, e)
	}
	f.mu.Unlock()
	for _, e := range all {
		e.end()
	}
}

// answer is a body that tells when nobody reads it any more.
type answer struct {
	io.ReadCloser
	follower *follower
	era      *era
	closed   atomic.Bool
}

func (a *answer) Close() error {
	err := a.ReadCloser.Close()
	if a.closed.CompareAndSwap(false, true) {
		a.follower.leave(a.era)
	}
	return err
}

// accepted is which enclaves the files say are accepted, or why they cannot be used.
type accepted struct {
	options *atls.Options // nil with an error
	mark    string        // equal for files that say the same
	err     error
}

func (a accepted) same(b accepted) bool {
	if a.err != nil && b.err != nil {
		return a.err.Error() == b.err.Error()
	}
	return a.err == nil && b.err == nil && a.mark == b.mark
}

// refusing makes of a file that cannot be used what a signer that is refused gives.
func refusing(check atls.Check, err error) error { return &atls.Error{Check: check, Err: err} }

// accepted reads the files. What is remembered of other signers makes no difference.
func (t *signerTrust) accepted() accepted {
	o, err := t.flags.options(t.attested.Trust)
	if err != nil {
		return accepted{err: refusing(atls.CheckPolicy, err)}
	}
	o.OnVerified = t.attested.OnVerified
	mark := ""
	if t.flags.policy != "" {
		text, err := o.Policy.Marshal()
		if err != nil {
			return accepted{err: refusing(atls.CheckPolicy, err)}
		}
		mark = string(text)
	}
	for _, root := range o.Roots {
		mark += fmt.Sprintf("root %x\n", root.Raw)
	}
	if o.Trust != nil {
		record, err := o.Trust.Store.Lookup(o.Trust.Name)
		if err != nil && !errors.Is(err, atls.ErrNotRemembered) {
			return accepted{err: refusing(atls.CheckTrust, err)}
		}
		mark += fmt.Sprintf("remembered %v %v\n", err == nil, record.PCRs) // a map is printed in the order of its keys
	}
	return accepted{options: o, mark: mark}
}
