package chamber

import (
	"context"
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/shamir"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// InitRequest says how the master key is shared.
type InitRequest struct {
	KeyARNs   []string // one for each share
	Threshold int      // how many shares rebuild the key
	// RootToken is the first root token, made by the caller with NewRootToken, so that it is not lost with an answer; "" has one made.
	RootToken string
}

// InitResult is what becomes of an Init.
type InitResult struct {
	ChamberID string // to be pinned in the configuration
	RootToken string // not to be had again
}

// Init makes the master key. It is done when the manifest is written, or not at all: every share has been opened before. Of two replicas
// that are asked at once one gets ErrInitialized, and what the other made.
func (c *Chamber) Init(ctx context.Context, r InitRequest) (InitResult, error) {
	result, err := c.init(ctx, r)
	if err != nil {
		return InitResult{}, fmt.Errorf("init: %w", err)
	}
	return result, nil
}

func (c *Chamber) init(ctx context.Context, r InitRequest) (InitResult, error) {
	keys, err := c.checkKeys(r.KeyARNs, r.Threshold)
	if err != nil {
		return InitResult{}, err
	}
	if r.RootToken == "" {
		r.RootToken = NewRootToken()
	} else if err := checkRootToken(r.RootToken); err != nil {
		return InitResult{}, err
	}
	if c.o.PinnedID != "" {
		return InitResult{}, fmt.Errorf("%w: `chamber.id` is %s, and a new chamber has another id: remove it, or restore a backup", ErrPinned, c.o.PinnedID)
	}
	if err := c.Refresh(ctx); err != nil && c.view.Load().m == nil {
		return InitResult{}, err
	}
	if c.view.Load().m != nil {
		return InitResult{}, ErrInitialized
	}
	identity, err := c.slashingStore(ctx)
	if err != nil {
		return InitResult{}, err
	}
	g, err := newGeneration()
	if err != nil {
		return InitResult{}, err
	}
	defer c.release(g)
	m := &manifest{
		Format: 1, Version: 1, Generation: 1, SlashingStore: identity, Frozen: FreezeNone,
		Approved: []Approval{{c.o.ConfigDigest, "init", c.o.Now().Unix()}},
	}
	if err := c.split(ctx, g, m, r.Threshold, keys); err != nil {
		return InitResult{}, err
	}
	if err := c.newTokens(m, g, r.RootToken); err != nil {
		return InitResult{}, err
	}
	if err := c.create(ctx, m, g, identity); err != nil {
		return InitResult{}, err
	}
	c.metrics.inits.Inc()
	c.audit("init", c.view.Load())
	return InitResult{m.Chamber, r.RootToken}, nil
}

// create writes the first manifest. If another replica was faster, that one's is taken over.
func (c *Chamber) create(ctx context.Context, m *manifest, g *generation, identity string) error {
	c.mu.Lock()
	s, err := c.put(ctx, m, g, 1)
	if err == nil {
		c.sealedHere = false // it was of no chamber
		err = c.take(ctx, s, g, identity)
	}
	c.mu.Unlock()
	if errors.Is(err, store.ErrConflict) {
		return errors.Join(fmt.Errorf("%w, by another replica just now", ErrInitialized), c.Refresh(ctx))
	}
	return err
}

// checkKeys holds the KMS keys of a request against the configuration, before anybody is asked for anything.
func (c *Chamber) checkKeys(texts []string, threshold int) ([]kms.ARN, error) {
	if threshold < 1 || threshold > len(texts) || len(texts) > shamir.MaxShares {
		return nil, fmt.Errorf("%w: threshold %d of %d KMS keys: %w", ErrInvalid, threshold, len(texts), shamir.ErrThreshold)
	}
	if c.o.Threshold != 0 && threshold != c.o.Threshold {
		return nil, fmt.Errorf("%w: threshold %d is not that of the configuration, %d", ErrInvalid, threshold, c.o.Threshold)
	}
	seen := map[kms.ARN]bool{}
	var keys []kms.ARN
	for _, text := range texts {
		arn, err := kms.ParseARN(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if _, ok := c.allowed[text]; !ok {
			return nil, fmt.Errorf("%w: KMS key %s is not among those that the configuration allows", ErrInvalid, text)
		}
		if seen[arn] {
			return nil, fmt.Errorf("%w: KMS key %s is named twice: who has it would have two shares", ErrInvalid, text)
		}
		seen[arn] = true
		keys = append(keys, arn)
	}
	return keys, nil
}
