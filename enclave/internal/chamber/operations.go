package chamber

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// SealChamber has this replica sign and open nothing from the moment it is called, and every replica when it reads the signer state, until an
// operator unseals. The master key is wiped as soon as the record is made, which takes it. If it cannot be recorded, the key is wiped here all
// the same, and the error says so. It returns ErrUninitialized if there is no chamber to seal.
func (c *Chamber) SealChamber(ctx context.Context) error {
	if v := c.view.Load(); v.m != nil && v.m.Sealed {
		return nil
	}
	defer c.hideKeys()()
	err := c.change(ctx, "seal", func(m *manifest, _ *generation) error {
		if m.Sealed {
			return errUnchanged
		}
		m.Sealed = true
		return nil
	})
	if err == nil || errors.Is(err, ErrUninitialized) {
		return err
	}
	c.sealHere()
	return fmt.Errorf("%w; it is not recorded: this replica is sealed until an operator unseals it, and the others may not be", err)
}

// Unseal has the master key rebuilt now, and ends an operator's seal on every replica. The root token is checked here, because only the key
// tells whether the list of tokens is authentic. A seal of this replica alone ends only here. It returns ErrToken, ErrBusy if another Unseal is under way, or why there is no key.
func (c *Chamber) Unseal(ctx context.Context, rootToken string) error {
	if !c.unsealing.TryLock() {
		return fmt.Errorf("unseal: %w", ErrBusy)
	}
	defer c.unsealing.Unlock()
	if err := checkRootToken(rootToken); err != nil {
		return fmt.Errorf("unseal: %w", ErrToken) // KMS is not asked for nothing
	}
	return c.done("unseal", c.unsealWith(ctx, func(m *manifest, g *generation) error {
		if _, err := c.findToken(m, &keyring{now: g}, rootToken); err != nil {
			return err
		}
		c.sealedHere = false
		if !m.Sealed {
			return errUnchanged
		}
		m.Sealed = false
		return nil
	}))
}

func (c *Chamber) unsealWith(ctx context.Context, fn edit) error {
	if c.view.Load().keys != nil {
		return c.retry(ctx, func() error { return c.write(ctx, nil, "", fn) })
	}
	c.mu.Lock()
	s, err := c.read(ctx)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if s.m == nil {
		return ErrUninitialized
	}
	g, identity, err := c.rebuild(ctx, s.m)
	if err != nil {
		return err
	}
	defer c.release(g)
	return c.retry(ctx, func() error { return c.write(ctx, g, identity, fn) })
}

// ApproveConfig lets processes with a configuration run the chamber: SHA-384 of its measured keys in hex, "" for those where nothing is
// measured.
func (c *Chamber) ApproveConfig(ctx context.Context, digest, label string) error {
	if err := checkDigest(digest); err != nil {
		return err
	}
	if err := checkLabel(label); err != nil {
		return err
	}
	return c.change(ctx, "approve-config", func(m *manifest, _ *generation) error {
		if slices.ContainsFunc(m.Approved, func(a Approval) bool { return a.Digest == digest }) {
			return errUnchanged
		}
		if len(m.Approved) >= maxListed {
			return fmt.Errorf("%w: %d configurations are approved already: revoke some", ErrInvalid, len(m.Approved))
		}
		m.Approved = append(m.Approved, Approval{digest, label, c.o.Now().Unix()})
		return nil
	})
}

// RevokeConfig takes an approval back: processes with that configuration wipe the key when they read of it. This process's own cannot be
// revoked, so that one is always left.
func (c *Chamber) RevokeConfig(ctx context.Context, digest string) error {
	if digest == c.o.ConfigDigest {
		return fmt.Errorf("revoke-config: %w: configuration %s is this replica's own: ask one with another", ErrInvalid, digestName(digest))
	}
	return c.change(ctx, "revoke-config", func(m *manifest, _ *generation) error {
		left := slices.DeleteFunc(m.Approved, func(a Approval) bool { return a.Digest == digest })
		if len(left) == len(m.Approved) {
			return errUnchanged
		}
		m.Approved = left
		return nil
	})
}

// PinSlashingStore makes another slashing store the only one. All keys must be frozen, so that nobody signs by the old one. Replicas that
// run with another store keep everything frozen for themselves and are not ready; at their next start they stay sealed.
func (c *Chamber) PinSlashingStore(ctx context.Context, identity string) error {
	if len(identity) > maxLabel || !printable.MatchString(identity) {
		return fmt.Errorf("rotate-slashing-store: %w: identity %.100q", ErrInvalid, identity)
	}
	return c.change(ctx, "rotate-slashing-store", func(m *manifest, _ *generation) error {
		switch {
		case m.SlashingStore == identity:
			return errUnchanged
		case m.Frozen != FreezeAll:
			return fmt.Errorf("%w: the slashing store can be changed only while all keys are frozen (`operator freeze`)", ErrInvalid)
		}
		m.SlashingStore = identity
		return nil
	})
}
