package signing

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// custody is one that a test changes.
type custody struct {
	sealed  atomic.Bool
	loading atomic.Bool
	frozen  atomic.Pointer[bls.PublicKey]
}

func (c *custody) Missing() error {
	if c.loading.Load() {
		return errors.New("the table does not answer")
	}
	return nil
}

func (c *custody) Sealed() error {
	if c.sealed.Load() {
		return errors.New("KMS did not answer")
	}
	return nil
}

func (c *custody) Frozen(public [48]byte) bool {
	key := c.frozen.Load()
	return key != nil && *key == public
}

func duty() eth2.Request { return eth2.NewRandaoReveal(fork(), 3) }

// TestSealed: whatever is asked for, and nothing is recorded.
func TestSealed(t *testing.T) {
	h, c := open(t, untouched(t), 0, 0), &custody{}
	h.custody = c
	c.sealed.Store(true)
	for _, req := range []eth2.Request{vote(1, 2, 0), proposal(3, 0), duty()} {
		sig, err := h.Sign(t.Context(), grant(h.key, req.Kind()), req)
		checkProblem(t, sig, err, problem.Sealed, "the signer is sealed")
		if results, _, err := h.SignAll(t.Context(), grants(req.Kind(), h.all...), req); problem.Of(err).Kind != problem.Sealed || results != nil {
			t.Errorf("%v in a batch: %v, %v", req.Kind(), results, err)
		}
	}
	c.sealed.Store(false)
	if _, err := h.Sign(t.Context(), grant(h.key, duty().Kind()), duty()); err != nil {
		t.Errorf("unsealed: %v", err)
	}
}

// TestMissing: while keys are being loaded one that is not there may still come, and those that are there sign.
func TestMissing(t *testing.T) {
	h, c := open(t, untouched(t), 0, 0), &custody{}
	h.custody = c
	other := bls.PublicKey{0xee}
	c.loading.Store(true)
	sig, err := h.Sign(t.Context(), grant(other, eth2.Attestation), vote(1, 2, 0))
	checkProblem(t, sig, err, problem.Sealed, "the keys are being loaded")
	if _, err := h.Sign(t.Context(), grant(h.key, duty().Kind()), duty()); err != nil {
		t.Errorf("a key that is there: %v", err)
	}
	c.loading.Store(false)
	sig, err = h.Sign(t.Context(), grant(other, eth2.Attestation), vote(1, 2, 0))
	checkProblem(t, sig, err, problem.UnknownKey, "")
}

// TestSealedMeanwhile: a key that a seal wiped while its vote was written is no unknown one, which clients would give up.
func TestSealedMeanwhile(t *testing.T) {
	h, c := open(t, storetest.NewMemory(), 0, 0), &custody{}
	h.custody = c
	h.testHookPermitted = func() { c.sealed.Store(true); h.keys.Wipe() }
	sig, err := h.Sign(t.Context(), grant(h.key, eth2.Attestation), vote(1, 2, 0))
	checkProblem(t, sig, err, problem.Sealed, "the signer is sealed")
}

// TestStoppedMeanwhile: whoever seals or freezes while a vote is being recorded gets no signature of it any more, alone or among others,
// however long the record takes.
func TestStoppedMeanwhile(t *testing.T) {
	for name, test := range map[string]struct {
		stop func(h *house, c *custody)
		kind problem.Kind
	}{
		"sealed": {func(_ *house, c *custody) { c.sealed.Store(true) }, problem.Sealed},
		"frozen": {func(h *house, c *custody) { c.frozen.Store(&h.key) }, problem.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			h, c := open(t, storetest.NewMemory(), 0, 0), &custody{}
			h.custody = c
			h.testHookPermitted = func() { test.stop(h, c) }
			sig, err := h.Sign(t.Context(), grant(h.key, eth2.Attestation), vote(1, 2, 0))
			checkProblem(t, sig, err, test.kind, "")

			h, c = open(t, storetest.NewMemory(), 0, 0), &custody{}
			h.custody = c
			h.testHookPermitted = func() { test.stop(h, c) }
			signatures, refusals, err := h.SignAll(t.Context(), grants(eth2.Attestation, h.key), vote(1, 2, 0))
			if err != nil {
				t.Fatal(err)
			}
			checkProblem(t, signatures[0], refusals[0], test.kind, "")
		})
	}
}

// TestSealWhileManySign: of many votes that are on record when an operator seals, none is signed.
func TestSealWhileManySign(t *testing.T) {
	h, c := open(t, storetest.NewMemory(), 0, time.Minute), &custody{}
	h.custody = c
	var recorded, signing sync.WaitGroup
	release := make(chan struct{})
	h.testHookPermitted = func() { recorded.Done(); <-release }
	recorded.Add(len(h.all))
	for _, key := range h.all {
		signing.Go(func() {
			sig, err := h.Sign(t.Context(), grant(key, eth2.Attestation), vote(1, 2, 0))
			checkProblem(t, sig, err, problem.Sealed, "the signer is sealed")
		})
	}
	recorded.Wait()
	c.sealed.Store(true)
	close(release)
	signing.Wait()
}

// TestFrozen: a frozen key makes no vote, and records none, alone or among others; what cannot be slashed it signs.
func TestFrozen(t *testing.T) {
	h, c := open(t, untouched(t), 0, time.Second), &custody{}
	h.custody = c
	c.frozen.Store(&h.key)
	for _, req := range []eth2.Request{vote(1, 2, 0), proposal(3, 0)} {
		sig, err := h.Sign(t.Context(), grant(h.key, req.Kind()), req)
		checkProblem(t, sig, err, problem.Forbidden, "is frozen by an operator")
	}
	if _, err := h.Sign(t.Context(), grant(h.key, duty().Kind()), duty()); err != nil {
		t.Errorf("a duty of a frozen key: %v", err)
	}

	h = open(t, storetest.NewMemory(), 0, 0)
	h.custody = c
	req := vote(1, 2, 0)
	signatures, refusals, err := h.SignAll(t.Context(), grants(eth2.Attestation, h.all...), req)
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range h.all {
		if frozen := key == h.key; frozen != (problem.Of(refusals[i]).Kind == problem.Forbidden && refusals[i] != nil) || !frozen && !bls.Verify(key, req.SigningRoot(), signatures[i]) {
			t.Errorf("key %d: %v", i, refusals[i])
		}
	}
}
