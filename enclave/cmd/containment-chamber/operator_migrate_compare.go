package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// awayLimit is how many keys in a row a signer may leave without an answer before it is asked no more.
const awayLimit = 10

// comparison asks two signers for the same.
type comparison struct {
	old    *keySigner // nil if the new one is asked alone
	signer *keySigner
	duty   *comparedDuty
	atOnce int
}

// What became of a key.
const (
	keyPassed    = "passed"    // identical where two were asked, and verified
	keyDifferent = "different" // both signed, and not alike
	keyNotValid  = "not_valid" // a signature does not verify under the key
	keyRefused   = "refused"   // somebody gave no signature
)

// comparedKey is what both signers answered for a key.
type comparedKey struct {
	Pubkey string        `json:"pubkey"`
	Result string        `json:"result"`
	Old    *signerAnswer `json:"old,omitempty"` // nil if it was not asked
	New    *signerAnswer `json:"new"`

	key bls.PublicKey
}

// title says what is compared, for the file that keeps what has passed.
func (c *comparison) title() string {
	old := "none"
	if c.old != nil {
		old = c.old.base.Redacted()
	}
	return fmt.Sprintf("# passed: old signer %s, signer %s, genesis validators root %s", old, c.signer.base.Redacted(), hexRoot(c.duty.root))
}

// plan lists the keys of both signers, and returns those to be asked for: the named ones, or else all of the old signer, as far as both have them.
func (c *comparison) plan(ctx context.Context, named []bls.PublicKey) (*compared, []bls.PublicKey, error) {
	r := &compared{
		Signer: c.signer.base.Redacted(), Network: c.duty.network, Slot: c.duty.slot,
		OnlyNew: []string{}, OnlyOld: []string{}, NotOnOld: []string{}, Failed: []comparedKey{},
	}
	fresh, err := c.signer.list(ctx)
	if err != nil {
		return nil, nil, err
	}
	r.KeysNew = len(fresh)
	wanted, onNew, onOld := named, keysIn(fresh), map[bls.PublicKey]bool(nil)
	if c.old != nil {
		old, err := c.old.list(ctx)
		if err != nil {
			return nil, nil, err
		}
		r.Old, r.KeysOld = c.old.base.Redacted(), len(old)
		onOld = keysIn(old)
		if named == nil {
			wanted = old
			for _, key := range fresh {
				if !onOld[key] {
					r.OnlyNew = append(r.OnlyNew, key.String())
				}
			}
		}
	}
	var left []bls.PublicKey
	for _, key := range wanted {
		switch {
		case !onNew[key]:
			r.OnlyOld = append(r.OnlyOld, key.String())
		case onOld != nil && !onOld[key]:
			r.NotOnOld = append(r.NotOnOld, key.String())
		default:
			left = append(left, key)
		}
	}
	r.Compared = len(left)
	return r, left, nil
}

func keysIn(list []bls.PublicKey) map[bls.PublicKey]bool {
	set := make(map[bls.PublicKey]bool, len(list))
	for _, key := range list {
		set[key] = true
	}
	return set
}

// run asks for every key, and calls tell with what became of each, one after the other. It ends early if tell fails, if a signer is away, or
// with ctx; keys that were under way then are not told.
func (c *comparison) run(ctx context.Context, keys []bls.PublicKey, tell func(comparedKey) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		mu      sync.Mutex // held while a result is taken in
		done    int
		away    = map[*keySigner]int{}
		workers sync.WaitGroup
		next    = make(chan bls.PublicKey)
	)
	for range min(c.atOnce, len(keys)) {
		workers.Go(func() {
			for key := range next {
				r := c.ask(ctx, key)
				mu.Lock()
				if ctx.Err() == nil {
					done++
					if err := errors.Join(tell(r), c.missed(away, r)); err != nil {
						cancel(err)
					}
				}
				mu.Unlock()
			}
		})
	}
	feed(ctx, next, keys)
	workers.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("ended after %d of %d keys: %w", done, len(keys), context.Cause(ctx))
	}
	return nil
}

// feed hands out keys until ctx ends.
func feed(ctx context.Context, next chan<- bls.PublicKey, keys []bls.PublicKey) {
	defer close(next)
	for _, key := range keys {
		select {
		case next <- key:
		case <-ctx.Done():
			return
		}
	}
}

// missed counts for how many keys in a row each signer was away, and says when that is enough.
func (c *comparison) missed(away map[*keySigner]int, r comparedKey) error {
	for _, of := range []struct {
		signer *keySigner
		answer *signerAnswer
	}{{c.signer, r.New}, {c.old, r.Old}} {
		switch {
		case of.answer == nil || !of.answer.absent():
			away[of.signer] = 0
		case away[of.signer] == awayLimit-1:
			return fmt.Errorf("the %s is away: %s", of.signer.name, of.answer.Message)
		default:
			away[of.signer]++
		}
	}
	return nil
}

// ask asks both signers for one key.
func (c *comparison) ask(ctx context.Context, key bls.PublicKey) comparedKey {
	r := comparedKey{Pubkey: key.String(), key: key, New: c.signer.sign(ctx, key, c.duty.body)}
	if c.old != nil {
		r.Old = c.old.sign(ctx, key, c.duty.body)
	}
	r.Result = r.judge(c.duty.signing)
	return r
}

func (r *comparedKey) judge(root [32]byte) string {
	for _, a := range []*signerAnswer{r.New, r.Old} {
		if a != nil && !a.signed() {
			return keyRefused
		}
	}
	result := keyPassed
	for _, a := range []*signerAnswer{r.New, r.Old} {
		if a != nil && !bls.Verify(r.key, root, a.signature) {
			a.Message, result = "the signature does not verify under the key", keyNotValid
		}
	}
	if r.Old != nil && r.Old.signature != r.New.signature {
		return keyDifferent
	}
	return result
}
