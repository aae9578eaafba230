package chamber

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// attempts is how often a change is made anew when another replica was faster, and a write is repeated whose outcome is unknown.
const attempts = 5

var (
	// errUnchanged says that the manifest is as wanted.
	errUnchanged = errors.New("unchanged")
	// errMoved says that another replica has replaced the master key.
	errMoved = errors.New("the master key was replaced meanwhile")
)

// edit changes a manifest that is authentic under g. It is called again when another replica was faster, and returns errUnchanged if nothing
// is to be done. It may write new items first.
type edit func(m *manifest, g *generation) error

// change makes one transition of an unsealed chamber, and the audit line for it. When it returns an error nothing has changed, unless that is
// ErrOutcomeUnknown; the same again is always safe.
func (c *Chamber) change(ctx context.Context, what string, fn edit) error {
	err := c.retry(ctx, func() error { return c.write(ctx, nil, "", fn) })
	return c.done(what, err)
}

// retry does a write again while other replicas are faster.
func (c *Chamber) retry(ctx context.Context, write func() error) (err error) {
	for range attempts {
		if err = write(); errors.Is(err, errMoved) {
			if err := c.Refresh(ctx); err != nil {
				return err
			}
		} else if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return err
}

// done tells of a transition.
func (c *Chamber) done(what string, err error) error {
	if errors.Is(err, errUnchanged) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	c.metrics.changes.WithLabelValues(what).Inc()
	c.audit(what, c.view.Load())
	return nil
}

// write reads the manifest, has it changed, and puts it in the place of the one that was read: the Put is the transition. fresh is a master
// key that is not in use yet: of the manifest that is stored, or of the one that is to be; identity is of the slashing store.
func (c *Chamber) write(ctx context.Context, fresh *generation, identity string, fn edit) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.read(ctx)
	if err != nil {
		return err
	}
	v := c.view.Load()
	var g *generation
	switch {
	case s.m == nil:
		return ErrUninitialized
	case v.keys != nil && v.keys.now.id == s.m.Chamber:
		g, identity = v.keys.now, c.storeID
	case fresh != nil && fresh.id == s.m.Chamber:
		g = fresh
	case v.keys != nil || fresh != nil:
		return errMoved
	default:
		return v.errSealed()
	}
	if err := c.mayWrite(s.m, g, v.keys, identity); err != nil {
		return err
	}
	m := s.m.clone()
	if err := fn(m, g); errors.Is(err, errUnchanged) {
		if err := c.take(ctx, s, g, identity); err != nil {
			return err
		}
		return errUnchanged
	} else if err != nil {
		return err
	}
	m.Version++
	if m.Chamber != g.id {
		g = fresh
	}
	next, err := c.put(ctx, m, g, s.version+1)
	if err != nil {
		return err
	}
	if err := c.take(ctx, next, g, identity); err != nil {
		return fmt.Errorf("it is done, but this replica could not follow yet: %w", err)
	}
	return nil
}

// mayWrite returns why this replica must not change a manifest. One that is in use already may, even if its slashing store is not the
// pinned one any more: it may have to pin the right one.
func (c *Chamber) mayWrite(m *manifest, g *generation, in *keyring, identity string) error {
	if in.find(g.id) == g {
		if err := m.authenticate(g); err != nil {
			return err
		}
		return c.approved(m)
	}
	keys, err := c.authenticate(m, g, in)
	if err != nil {
		return err
	}
	keys.wipeExcept(&keyring{g, in.find(keys.beforeID())})
	if err := c.approved(m); err != nil {
		return err
	}
	if identity != m.SlashingStore {
		return fmt.Errorf("%w: this replica's slashing store is %q, the chamber's is %q", ErrNotApproved, identity, m.SlashingStore)
	}
	return nil
}

// put writes a manifest. A write whose outcome is unknown is repeated as it is.
func (c *Chamber) put(ctx context.Context, m *manifest, g *generation, version uint64) (stored, error) {
	text, err := m.sign(g)
	if err != nil {
		return stored{}, err
	}
	for range attempts {
		err = c.putItem(ctx, store.Item{Name: manifestName, Version: version, Body: text})
		if !errors.Is(err, store.ErrOutcomeUnknown) {
			break
		}
	}
	return stored{m: m, version: version, sum: sha256.Sum256(text)}, err
}

func (c *Chamber) putItem(ctx context.Context, item store.Item) error {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	if err := c.o.State.Put(ctx, item); err != nil {
		return fmt.Errorf("write the signer state: %w", err)
	}
	return nil
}
