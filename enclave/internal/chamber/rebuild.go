package chamber

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/shamir"
)

// storeLimit is the longest that one look at a store takes.
const storeLimit = 10 * time.Second

var (
	errWrongShare = errors.New("the share is intact, but not a part of this master key")
	errNoFit      = errors.New("the shares are intact, but do not give this master key together: one of them or more are of another")
)

// rebuild makes the master key that a manifest is of, from the first shares that give it. The identity of the slashing store comes first: a
// key that could not be used yet is not asked for.
func (c *Chamber) rebuild(ctx context.Context, m *manifest) (*generation, string, error) {
	if m.Wrap == WrapEncrypt && c.o.Wrap != WrapEncrypt && c.o.PinnedID == "" {
		return nil, "", fmt.Errorf("the shares were sealed by Encrypt, which the configuration neither says nor names the chamber: %w", ErrPinned)
	}
	if m.Threshold < c.o.Threshold && c.o.PinnedID == "" {
		return nil, "", fmt.Errorf("%d shares give the master key, fewer than the configured threshold of %d, and the configuration does not name the chamber: %w",
			m.Threshold, c.o.Threshold, ErrPinned)
	}
	identity, err := c.slashingStore(ctx)
	if err != nil {
		return nil, "", err
	}
	g, err := c.combine(ctx, m)
	return g, identity, err
}

func (c *Chamber) slashingStore(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	identity, err := c.o.SlashingStore(ctx)
	if err != nil {
		return "", fmt.Errorf("identity of the slashing store: %w", err)
	}
	return identity, nil
}

// combine takes shares as they come until they give the key with the manifest's id. A wrong one among them costs one share more, and is
// named.
func (c *Chamber) combine(ctx context.Context, m *manifest) (*generation, error) {
	c.health.forget(m) // whoever writes the signer state can name new shares as often as they like
	var good []shamir.Share
	defer func() { wipeShares(good) }()
	var faults []string
	for a := range c.opened(ctx, m) {
		c.report(a.share, a.err)
		if a.err != nil {
			faults = append(faults, fmt.Sprintf("share %d (%s): %v", a.share.Number, a.share.KeyARN, a.err))
			continue
		}
		good = append(good, a.part)
		if g := c.locate(m, good); g != nil {
			return g, nil
		}
	}
	slices.Sort(faults)
	if len(good) >= m.Threshold {
		faults = append(faults, errNoFit.Error())
	}
	return nil, fmt.Errorf("%d of %d shares could be opened, %d are needed: %s", len(good), len(m.Shares), m.Threshold, strings.Join(faults, "; "))
}

// locate returns the key that shares give, nil if none of them do, and reports the shares that are not part of it.
func (c *Chamber) locate(m *manifest, good []shamir.Share) *generation {
	if len(good) < m.Threshold {
		return nil
	}
	var found *generation
	wrong, err := shamir.Locate(good, m.Threshold, func(key secret.Bytes) bool {
		g, err := copyOf(key)
		switch {
		case err != nil:
			return false
		case g.id != m.Chamber:
			g.wipe()
			return false
		case found != nil:
			g.wipe()
		default:
			found = g
		}
		return true
	})
	if found != nil && err != nil {
		c.o.Log.Warn("the master key was rebuilt, but which shares are wrong is not clear", zap.Error(err))
	}
	if found == nil {
		return nil
	}
	for _, number := range wrong {
		c.report(m.Shares[number-1], errWrongShare)
	}
	return found
}

func copyOf(key secret.Bytes) (*generation, error) {
	var b []byte
	if err := key.Use(func(k []byte) error { b = slices.Clone(k); return nil }); err != nil {
		return nil, err
	}
	return generationOf(secret.New(b))
}

// checkShares tries each share while the chamber is unsealed: right after it was, and then from time to time.
func (c *Chamber) checkShares(ctx context.Context) {
	if c.o.CheckInterval == 0 {
		return
	}
	timer := time.NewTimer(jittered(c.o.CheckInterval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
		case <-timer.C:
		}
		timer.Reset(jittered(c.o.CheckInterval))
		if v := c.outside(); v.keys != nil {
			c.tryShares(ctx, v.m)
			c.tryItems(ctx, v)
		}
	}
}

// tryShares opens all shares of a manifest, looks whether they fit each other and the master key, and wipes them.
func (c *Chamber) tryShares(ctx context.Context, m *manifest) {
	var good []shamir.Share
	defer func() { wipeShares(good) }()
	faults := make([]error, len(m.Shares))
	for a := range c.opened(ctx, m) {
		faults[a.share.Number-1] = a.err
		if a.err == nil {
			good = append(good, a.part)
		}
	}
	if ctx.Err() != nil || !sameShares(m, c.view.Load().m) {
		return // they are others by now
	}
	wrong, err := shamir.Locate(good, m.Threshold, func(key secret.Bytes) bool {
		g, err := copyOf(key)
		defer g.wipe()
		return err == nil && g.id == m.Chamber
	})
	for _, number := range wrong {
		faults[number-1] = errWrongShare
	}
	if errors.Is(err, shamir.ErrNoKey) {
		for _, s := range good {
			faults[s.Number-1] = errNoFit
		}
	}
	for i, s := range m.Shares {
		c.report(s, faults[i])
	}
}
