package storm

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// owner is a client that nobody else shares a key with, as a validator client should be: it asks for one vote after the other,
// for each until it has it.
type owner struct {
	book *book
	life *life
	key  bls.PublicKey

	signed, doubted atomic.Int64
}

// work goes on until ctx ends. A vote that was asked for in vain is signed sooner or later, and nothing that conflicts with it is
// signed after it.
func (o *owner) work(ctx context.Context, t *testing.T) {
	for height := uint64(firstHeight); ctx.Err() == nil; height++ {
		v, rival := attestation(height-1, height, 1), attestation(height-1, height, 2)
		if height%4 == 0 {
			v, rival = block(height, 1), block(height, 2)
		}
		if !o.insist(ctx, t, v) {
			return
		}
		o.signed.Add(1)
		if height%8 > 1 {
			continue
		}
		if a := o.book.ask(context.WithoutCancel(ctx), o.life, o.key, rival); a != refused && a != unavailable {
			t.Errorf("%s of %s, whose rival was signed: %s", rival, o.key.Short(), a)
		}
	}
}

// insist asks until there is a signature, and returns false if ctx ends before.
func (o *owner) insist(ctx context.Context, t *testing.T, v vote) bool {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		switch a := o.book.ask(context.WithoutCancel(ctx), o.life, o.key, v); a {
		case given:
			return true
		case unavailable:
			o.doubted.Add(1)
		case refused, ahead, lost:
			t.Errorf("%s of %s, asked for by its owner alone: %s\n%s", v, o.key.Short(), a, o.life.log())
			return false
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return false
		}
	}
}

// exempt asks for messages that need no store, until ctx ends: whatever happens to the store, each is signed. It counts them.
func exempt(ctx context.Context, t *testing.T, b *book, l *life, key bls.PublicKey, signed *atomic.Int64) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for slot := uint64(firstHeight); ctx.Err() == nil; slot++ {
		if a := b.ask(context.WithoutCancel(ctx), l, key, selection(slot)); a != given {
			t.Errorf("a selection proof: %s\n%s", a, l.log())
			return
		}
		signed.Add(1)
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
}

// service is a signer at work: owners of some keys, a crowd that quarrels over others, and a client whose messages need no store.
type service struct {
	t      *testing.T
	book   *book
	life   *life
	owners []*owner
	exempt atomic.Int64
	crowd  atomic.Int64 // signatures
	close  func()
}

const (
	owned     = 4 // keys with an owner
	quarreled = 2 // keys without
)

// open starts a signer over a store section and the work, which ends with close or the test.
func open(t *testing.T, section string) *service {
	t.Helper()
	s := newSigner(t, owned+quarreled, section)
	o := &service{t: t, book: newBook(t), life: s.start()}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for _, key := range s.keys[:owned] {
		one := &owner{book: o.book, life: o.life, key: key}
		o.owners = append(o.owners, one)
		work.Go(func() { one.work(ctx, t) })
	}
	work.Go(func() { exempt(ctx, t, o.book, o.life, s.keys[0], &o.exempt) })
	work.Go(func() {
		newCrowd(o.book, s.keys[owned:]).rush(ctx, o.life, 4, func(a answer) {
			if a == given {
				o.crowd.Add(1)
			}
		})
	})
	o.close = sync.OnceFunc(func() {
		cancel()
		work.Wait()
	})
	t.Cleanup(o.close)
	return o
}

// each waits until a count of every owner has risen by n.
func (o *service) each(n int64, count func(*owner) int64) {
	o.t.Helper()
	before := make([]int64, len(o.owners))
	for i, one := range o.owners {
		before[i] = count(one)
	}
	for i, one := range o.owners {
		o.life.await(func() bool { return count(one) >= before[i]+n })
	}
}

// wellAgain waits until every owner has a signature that was not under way before.
func (o *service) wellAgain() {
	o.t.Helper()
	o.each(2, lucky)
}

func lucky(o *owner) int64     { return o.signed.Load() }
func unlucky(o *owner) int64   { return o.doubted.Load() }
func answering(o *owner) int64 { return o.signed.Load() + o.doubted.Load() }

// finish ends the work and the signer, which must have lived all the time.
func (o *service) finish() {
	o.t.Helper()
	o.close()
	if o.life.ended() {
		o.t.Fatalf("the signer ended by itself:\n%s", o.life.log())
	}
	if o.crowd.Load() == 0 {
		o.t.Error("the crowd got nothing signed: the test tries too little")
	}
	o.life.finish()
}
