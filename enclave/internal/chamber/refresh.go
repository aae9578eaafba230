package chamber

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

const (
	byOperator = "sealed by an operator, until an operator unseals"
	rebuilding = "the master key is being rebuilt"
)

// Run unseals as soon as it can, follows what other replicas do, and tries the shares from time to time, until ctx ends. Then the master key
// is wiped, and the chamber stays sealed.
func (c *Chamber) Run(ctx context.Context) error {
	var checks sync.WaitGroup
	checks.Go(func() { c.checkShares(ctx) })
	defer c.stop()
	defer checks.Wait()
	told := ""
	for {
		wait, now := c.o.RefreshInterval, ""
		if err := c.Refresh(ctx); err != nil {
			now = err.Error()
			if retry := c.retryIn(); wait == 0 || retry < wait {
				wait = retry
			}
		}
		if now != told && ctx.Err() == nil {
			told = now
			if now != "" {
				c.o.Log.Error("the chamber is not as it should be", zap.String("error", now), zap.Stringer("state", c.outside().state()))
			} else {
				c.o.Log.Info("the chamber is well again", zap.Stringer("state", c.outside().state()))
			}
		}
		var tick <-chan time.Time // none without an interval
		if wait > 0 {
			tick = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
}

// stop wipes the master key, and lets nobody rebuild it.
func (c *Chamber) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	v := c.view.Load()
	c.show(&view{stored: v.stored, sealed: "stopped", refreshed: v.refreshed})
}

// retryIn is how long to wait after a refresh that failed.
func (c *Chamber) retryIn() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wait := time.Until(c.tried.next); c.tried.err != nil && !c.tried.final && wait > 0 {
		return wait
	}
	return jittered(5 * time.Second)
}

// lease is how long this replica may use its master key for new items without a look at the signer state; zero is for ever, without
// refreshes.
func (c *Chamber) lease() time.Duration {
	if c.o.RefreshInterval == 0 {
		return 0
	}
	return max(5*c.o.RefreshInterval, 10*time.Second)
}

// Refresh reads the signer state and does what it says; if that takes another master key it asks KMS, unless it has lately, without success.
// The last good state stays if what is stored is older, foreign or damaged, or cannot be read.
func (c *Chamber) Refresh(ctx context.Context) error {
	s, err := c.sync(ctx)
	if err != nil || s.m == nil {
		return err
	}
	return c.follow(ctx, s)
}

// sync takes over what is stored, or returns it if another master key is needed for that.
func (c *Chamber) sync(ctx context.Context) (need stored, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.read(ctx)
	if err != nil {
		return stored{}, err
	}
	v := c.view.Load()
	switch {
	case s.m == nil:
		c.show(&view{refreshed: time.Now()})
		return stored{}, nil
	case c.sealedHere:
		c.show(&view{stored: s, sealed: hereAlone, refreshed: time.Now()})
		return stored{}, nil
	case v.keys != nil && v.keys.now.id == s.m.Chamber:
		return stored{}, c.take(ctx, s, v.keys.now, c.storeID)
	case v.keys != nil:
		if err := s.m.endorsed(v.keys.now); err != nil {
			return stored{}, c.refuse(err)
		}
	case s.m.Sealed:
		c.show(&view{stored: s, sealed: byOperator, refreshed: time.Now()})
		return stored{}, nil
	}
	if err := c.tried.refuses(s); err != nil {
		c.failed(s, err)
		return stored{}, err
	}
	if v.keys == nil {
		c.show(&view{stored: s, sealed: rebuilding, refreshed: time.Now()})
	}
	return s, nil
}

// read gets the manifest, with mu held. There is none in what it returns if none was ever seen.
func (c *Chamber) read(ctx context.Context) (stored, error) {
	if c.stopped {
		return stored{}, fmt.Errorf("%w: stopped", ErrSealed)
	}
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	item, err := c.o.State.Get(ctx, manifestName)
	switch {
	case errors.Is(err, store.ErrNotFound) && c.view.Load().m == nil:
		return stored{}, nil
	case errors.Is(err, store.ErrNotFound):
		return stored{}, c.refuse(fmt.Errorf("%w: there is no manifest any more", ErrRolledBack))
	case err != nil:
		err = fmt.Errorf("read the signer state: %w", err)
		v := *c.view.Load()
		v.unreachable = err
		c.show(&v)
		c.metrics.faults.WithLabelValues("unreachable").Inc()
		return stored{}, err
	}
	s := stored{version: item.Version, sum: sha256.Sum256(item.Body)}
	if v := c.view.Load(); v.m != nil && v.sum == s.sum {
		s.m = v.m
	} else if s.m, err = parseManifest(item.Body); err != nil {
		return stored{}, c.refuse(fmt.Errorf("the manifest in the signer state, stored version %d: %w", item.Version, err))
	}
	if newest := c.seen; newest.m != nil && (s.m.Version < newest.m.Version || s.m.Version == newest.m.Version && s.sum != newest.sum) {
		return stored{}, c.refuse(fmt.Errorf("%w: it has a manifest of version %d, and another of version %d was seen", ErrRolledBack, s.m.Version, newest.m.Version))
	}
	return s, nil
}

// refuse keeps the last good state and says why, with mu held.
func (c *Chamber) refuse(err error) error {
	v := *c.view.Load()
	v.fault = err
	v.doubt(err)
	c.show(&v)
	reason := "corrupt"
	for kind, name := range map[error]string{ErrRolledBack: "rolled_back", ErrForeign: "foreign", ErrNewer: "newer"} {
		if errors.Is(err, kind) {
			reason = name
		}
	}
	c.metrics.faults.WithLabelValues(reason).Inc()
	return err
}

// follow asks KMS for the master key of a manifest, without holding up anybody, and takes over what is stored by then.
func (c *Chamber) follow(ctx context.Context, s stored) error {
	g, identity, err := c.rebuild(ctx, s.m)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.wipeUnused(g)
	if err == nil {
		err = c.adopt(ctx, g, identity)
	}
	if err == nil {
		c.tried = attempt{pause: newPause()}
		return nil
	}
	c.tried.fail(s, err)
	c.failed(s, err)
	return err
}

// adopt takes over what is stored now, if the rebuilt key fits it, with mu held. What came in between is the next refresh's.
func (c *Chamber) adopt(ctx context.Context, g *generation, identity string) error {
	s, err := c.read(ctx)
	if err != nil || s.m == nil || s.m.Chamber != g.id {
		return err
	}
	if held := c.view.Load().keys.find(g.id); held != nil {
		return c.take(ctx, s, held, c.storeID)
	}
	return c.take(ctx, s, g, identity)
}

// failed shows why there is no key for a manifest, with mu held. A chamber whose key endorses one that the configuration does not let it
// follow is sealed: it would sign on, and see no freeze and no seal.
func (c *Chamber) failed(s stored, err error) {
	v := *c.view.Load()
	switch {
	case v.keys != nil && errors.Is(err, ErrPinned) && s.m.endorsed(v.keys.now) == nil:
		v = view{stored: s, sealed: err.Error(), refreshed: time.Now()}
	case v.keys != nil:
		v.fault = err
		v.doubt(err)
	default:
		v = view{stored: s, sealed: err.Error(), refreshed: time.Now()}
	}
	c.show(&v)
}

// release wipes a master key that did not come into use.
func (c *Chamber) release(g *generation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wipeUnused(g)
}

// wipeUnused is release, with mu held.
func (c *Chamber) wipeUnused(g *generation) {
	if g != nil && c.view.Load().keys.find(g.id) != g {
		g.wipe()
	}
}
