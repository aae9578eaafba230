package chamber

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// RotateKMS shares the same master key anew, among these KMS keys and with this threshold. The chamber stays unsealed, here and elsewhere.
// The write that names the new shares drops the old ones; all new ones have been opened before.
func (c *Chamber) RotateKMS(ctx context.Context, keyARNs []string, threshold int) error {
	const what = "rotate-kms"
	keys, err := c.checkKeys(keyARNs, threshold)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := c.Refresh(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	v := c.view.Load()
	if v.keys == nil {
		return fmt.Errorf("%s: %w", what, v.errSealed())
	}
	g, split := v.keys.now, &manifest{}
	if err := c.split(ctx, g, split, threshold, keys); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err = c.change(ctx, what, func(m *manifest, now *generation) error {
		switch {
		case now.id != g.id:
			return errors.New("another replica has replaced the master key meanwhile: try again")
		case sameShares(m, split):
			return errUnchanged // the write before was done, although its outcome was unknown
		}
		m.Wrap, m.Threshold, m.Shares = split.Wrap, split.Threshold, split.Shares
		return nil
	})
	if err == nil {
		c.metrics.rotations.WithLabelValues("kms").Inc()
	}
	return err
}

// RotateMasterKey replaces the master key, in three steps: the new one is written, with the old one sealed under it; reencrypt seals anew what
// is sealed with the old one ([Chamber.Current] tells which) and returns how many items are left; the old one is dropped. The chamber is
// unsealed throughout, and any replica goes on with the same call where another was stopped.
//
// The second step waits so that no replica can add anything under the old key any more: twice the lease of [Chamber.Seal], which is five refresh
// intervals, or 10 s if that is more, and 30 s for writes under way. The third is refused, with ErrPinned, as long as this replica's configuration names the old chamber.id:
// with the old key goes what tells that the new one follows it.
func (c *Chamber) RotateMasterKey(ctx context.Context, reencrypt func(ctx context.Context) (left int, err error)) error {
	const what = "rotate-master-key"
	if err := c.Refresh(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	v := c.view.Load()
	if v.keys == nil {
		return fmt.Errorf("%s: %w", what, v.errSealed())
	}
	if !v.m.rotating() {
		if err := c.beginRotation(ctx, v.m, v.keys.now); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if err := c.finishRotation(ctx, reencrypt); err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrUnfinished, err)
	}
	c.metrics.rotations.WithLabelValues("master_key").Inc()
	return nil
}

// beginRotation makes the new master key and writes it beside the old one.
func (c *Chamber) beginRotation(ctx context.Context, now *manifest, old *generation) error {
	if c.o.PinnedID != "" && c.o.PinnedID != old.id {
		return fmt.Errorf("%w: the chamber is %s by now, and `chamber.id` is %s", ErrPinned, old.id, c.o.PinnedID)
	}
	var arns []string
	for _, s := range now.Shares {
		arns = append(arns, s.KeyARN)
	}
	keys, err := c.checkKeys(arns, now.Threshold)
	if err != nil {
		return err
	}
	g, err := newGeneration()
	if err != nil {
		return err
	}
	defer c.release(g)
	split := &manifest{}
	if err := c.split(ctx, g, split, now.Threshold, keys); err != nil {
		return err
	}
	err = c.retry(ctx, func() error {
		return c.write(ctx, g, "", func(m *manifest, now *generation) error {
			if m.rotating() {
				return errUnchanged // another replica was faster, or the write before was done
			}
			if now.id != old.id {
				return errors.New("another replica has replaced the master key meanwhile: try again")
			}
			m.Chamber, m.Wrap, m.Threshold, m.Shares = g.id, split.Wrap, split.Threshold, split.Shares
			m.Generation++
			return m.succeed(g, now) // which is old, or the same unsealed anew
		})
	})
	return c.done("rotate-master-key-begin", err)
}

// succeed puts into a manifest of a new master key what comes from the old one.
func (m *manifest) succeed(g, old *generation) error {
	p := &previous{Chamber: old.id}
	if err := old.master.Use(func(key []byte) (err error) {
		p.Key, err = g.seal(previousKind, m.Chamber, m.Generation, key)
		return err
	}); err != nil {
		return err
	}
	var err error
	if p.Endorsement, err = old.mac(forEndorse, []byte(m.Chamber)); err != nil {
		return err
	}
	m.Previous = p
	tokens, err := (&keyring{now: old}).open(tokenKeyKind, old.id, 1, m.TokenKey)
	if err != nil {
		return fmt.Errorf("open the key of the tokens: %w", err)
	}
	defer tokens.Wipe()
	return tokens.Use(func(key []byte) (err error) {
		m.TokenKey, err = g.seal(tokenKeyKind, m.Chamber, 1, key)
		return err
	})
}

// finishRotation drops the old master key when nothing is sealed with it any more.
func (c *Chamber) finishRotation(ctx context.Context, reencrypt func(ctx context.Context) (left int, err error)) error {
	v := c.view.Load()
	if v.keys == nil {
		return v.errSealed()
	}
	g := v.keys.now
	if c.o.PinnedID != "" && c.o.PinnedID != g.id {
		return fmt.Errorf("%w: set `chamber.id` to %s, approve that configuration, roll it out, and call again", ErrPinned, g.id)
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	if err := c.Refresh(ctx); err != nil {
		return err
	}
	for before := -1; reencrypt != nil; {
		left, err := reencrypt(ctx)
		switch {
		case err != nil:
			return err
		case left > 0 && before >= 0 && left >= before:
			return fmt.Errorf("%d items are still sealed with the old master key", left)
		}
		if before = left; left == 0 {
			break
		}
	}
	return c.changeItems(ctx, "rotate-master-key", func(m *manifest, now *generation) error {
		switch {
		case now.id != g.id:
			return errors.New("another replica has replaced the master key meanwhile")
		case !m.rotating():
			return errUnchanged
		}
		if m.Frozen == FreezeKeys {
			keys, err := c.frozenKeys(ctx, m, now)
			if err != nil {
				return err
			}
			if err := c.putFrozen(ctx, m, now, FreezeKeys, keys); err != nil {
				return err
			}
		}
		if len(m.itemsOf(policyKind)) > 0 {
			text, err := c.policiesOf(ctx, m, now)
			if err != nil {
				return err
			}
			if err := c.putPolicies(ctx, m, now, text); err != nil {
				return err
			}
		}
		m.Previous = &previous{Chamber: m.Previous.Chamber, Endorsement: m.Previous.Endorsement}
		return nil
	})
}

// writesUnderWay is the longest that what was sealed takes to be stored: three attempts, each of which ends after storeLimit.
const writesUnderWay = 3 * storeLimit

// settle waits until nothing new is stored under the old master key: replicas see the new one, or do not see the signer state, and what they
// had sealed before is written. A replica without refreshes is the only one.
func (c *Chamber) settle(ctx context.Context) error {
	c.mu.Lock()
	since := c.rotating.since
	c.mu.Unlock()
	var wait time.Duration
	if lease := c.lease(); lease != 0 {
		wait = 2*lease + writesUnderWay
	}
	timer := time.NewTimer(wait - time.Since(since))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
