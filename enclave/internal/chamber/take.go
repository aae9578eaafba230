package chamber

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// previousKind is the kind under which the master key before is sealed.
const previousKind = "previous-master-key"

// take makes a stored manifest the chamber's, with mu held; g is the master key that its id is of, in use already or rebuilt for it. If it
// is not taken nothing changes, but for an operator's seal and a configuration that lost its approval: these wipe the key.
func (c *Chamber) take(ctx context.Context, s stored, g *generation, identity string) error {
	v := c.view.Load()
	held := v.keys.find(g.id) == g
	if held && s.sum == v.sum && len(v.missing) == 0 && v.policies.missing == "" {
		same := *v
		same.stored, same.fault, same.unreachable, same.foreign, same.refreshed = s, nil, nil, time.Time{}, time.Now()
		c.show(&same)
		return nil
	}
	if c.sealedHere {
		c.show(&view{stored: s, sealed: hereAlone, refreshed: time.Now()})
		return nil
	}
	keys, err := c.authenticate(s.m, g, v.keys)
	if err != nil {
		if held {
			return c.refuse(err)
		}
		return err
	}
	next := &view{stored: s, refreshed: time.Now()}
	c.seen = s
	if s.m.Sealed {
		next.sealed = byOperator
		c.show(next)
		keys.wipeExcept(nil)
		return nil
	}
	if err := c.approved(s.m); err != nil {
		next.sealed = err.Error()
		c.tried = attempt{sum: s.sum, err: err, final: true, pause: newPause()}
		c.show(next)
		keys.wipeExcept(nil)
		return err
	}
	if identity != s.m.SlashingStore {
		err := fmt.Errorf("%w: this replica's slashing store is %q, the chamber's is %q (`operator rotate slashing-store` pins another)",
			ErrNotApproved, identity, s.m.SlashingStore)
		if !held {
			keys.wipeExcept(v.keys)
			return err
		}
		next.displaced = err.Error()
	}
	if next.frozen, next.missing, err = c.loadFrozen(ctx, v, keys, s.m); err != nil {
		keys.wipeExcept(v.keys)
		return err
	}
	if next.policies, err = c.loadPolicies(ctx, v, keys, s.m); err != nil {
		keys.wipeExcept(v.keys)
		return err
	}
	why := next.policies.missing
	if why == "" && len(v.missing) > 0 {
		why = c.lostPolicies(ctx, s.m)
	}
	if why != "" {
		next.missing = append(next.missing, why)
	}
	next.keys, c.storeID = keys, identity
	if !held {
		c.tried = attempt{pause: newPause()} // whoever rebuilt the key, KMS has answered
	}
	if !s.m.rotating() {
		c.rotating = rotating{}
	} else if c.rotating.id != s.m.Chamber {
		c.rotating = rotating{s.m.Chamber, time.Now()}
	}
	c.show(next)
	return nil
}

// authenticate checks a manifest under its master key, and opens the one before. in are the keys in use: they are used on, and anything else
// that is returned is the caller's to wipe.
func (c *Chamber) authenticate(m *manifest, g *generation, in *keyring) (*keyring, error) {
	if err := m.authenticate(g); err != nil {
		return nil, err
	}
	keys := &keyring{now: g}
	if m.rotating() {
		if keys.before = in.find(m.Previous.Chamber); keys.before == nil {
			before, err := m.openPrevious(g)
			if err != nil {
				return nil, err
			}
			keys.before = before
		}
	}
	if in.find(g.id) == g || c.o.PinnedID == "" || keys.find(c.o.PinnedID) != nil {
		return keys, nil
	}
	keys.wipeExcept(&keyring{g, in.find(keys.beforeID())})
	return nil, fmt.Errorf("%w: the signer state is of chamber %s, and `chamber.id` is %s", ErrPinned, g.id, c.o.PinnedID)
}

// openPrevious returns the master key before, if that one has endorsed this.
func (m *manifest) openPrevious(g *generation) (*generation, error) {
	key, err := (&keyring{now: g}).open(previousKind, m.Chamber, m.Generation, m.Previous.Key)
	if err != nil {
		return nil, fmt.Errorf("open the previous master key: %w", err)
	}
	before, err := generationOf(key)
	if err != nil {
		return nil, err
	}
	if err := m.endorsed(before); err != nil {
		before.wipe()
		return nil, err
	}
	return before, nil
}

// endorsed returns ErrForeign for a manifest whose master key does not come after this one. It tells also after the rotation, for those who
// have not seen any of it.
func (m *manifest) endorsed(before *generation) error {
	if m.Previous != nil && m.Previous.Chamber == before.id {
		want, err := before.mac(forEndorse, []byte(m.Chamber))
		if err != nil {
			return err
		}
		if hmac.Equal(want, m.Previous.Endorsement) {
			return nil
		}
	}
	return fmt.Errorf("the manifest is of chamber %s, which does not come right after %s: %w", m.Chamber, before.id, ErrForeign)
}

// approved returns ErrNotApproved if this process's configuration may not run the chamber.
func (c *Chamber) approved(m *manifest) error {
	if slices.ContainsFunc(m.Approved, func(a Approval) bool { return a.Digest == c.o.ConfigDigest }) {
		return nil
	}
	var names []string
	for _, a := range m.Approved {
		names = append(names, fmt.Sprintf("%s (%s)", digestName(a.Digest), a.Label))
	}
	return fmt.Errorf("%w: this replica's configuration %s is not one that chamber %s may run with; those are %s"+
		" (`operator approve-config` on a replica that is unsealed adds one)", ErrNotApproved, digestName(c.o.ConfigDigest), m.Chamber, strings.Join(names, ", "))
}

func digestName(digest string) string {
	if digest == "" {
		return "none, which is not measured"
	}
	return digest
}

// doubt notes since when what stands in the store is not of this chamber's key, although it is newer than what is known.
func (v *view) doubt(err error) {
	if errors.Is(err, ErrForeign) && v.foreign.IsZero() {
		v.foreign = time.Now()
	}
}
