package signing

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

func TestSignAll(t *testing.T) {
	h := open(t, storetest.NewMemory(), 0, 0)
	if _, err := h.Sign(t.Context(), grant(h.all[2], eth2.Attestation), vote(1, 2, 9)); err != nil {
		t.Fatal(err)
	}
	unknown := bls.PublicKey{0xee}
	wanted := append(grants(eth2.Attestation, h.all[0], unknown, h.all[1], h.all[2], h.all[0]),
		auth.Grant{}, grant(h.all[3], eth2.RandaoReveal))
	req := vote(1, 2, 0)
	signatures, refusals, err := h.SignAll(t.Context(), wanted, req)
	if err != nil || len(signatures) != len(wanted) || len(refusals) != len(wanted) {
		t.Fatalf("%d signatures, %d refusals, %v", len(signatures), len(refusals), err)
	}
	for i, want := range []problem.Kind{0, problem.UnknownKey, 0, problem.Slashable, 0, problem.Forbidden, problem.Forbidden} {
		switch {
		case want != 0:
			checkProblem(t, signatures[i], refusals[i], want, "")
		case refusals[i] != nil:
			t.Errorf("result %d: %v", i, refusals[i])
		case !bls.Verify(wanted[i].Key(), req.SigningRoot(), signatures[i]):
			t.Errorf("result %d: the signature does not verify", i)
		}
	}
	if results, _, err := h.SignAll(t.Context(), nil, req); err != nil || len(results) != 0 {
		t.Errorf("no keys: %v, %v", results, err)
	}
}

// TestSignAllIsRefusedWhole: what holds for every key is said once, and nothing is recorded.
func TestSignAllIsRefusedWhole(t *testing.T) {
	h := open(t, untouched(t), 0, 0)
	foreign := eth2.NewAttestation(eth2.ForkInfo{ValidatorsRoot: eth2.Root{0x99}}, eth2.AttestationData{Target: eth2.Checkpoint{Epoch: 1}})
	if results, _, err := h.SignAll(t.Context(), grants(eth2.Attestation, h.all...), foreign); problem.Of(err).Kind != problem.Forbidden || results != nil {
		t.Errorf("another network: %v, %v", results, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if results, _, err := h.SignAll(ended, grants(eth2.Attestation, h.all...), vote(1, 2, 0)); problem.Of(err).Kind != problem.Overloaded || results != nil {
		t.Errorf("a caller that is gone: %v, %v", results, err)
	}
	h.Stop()
	if results, _, err := h.SignAll(t.Context(), grants(eth2.Attestation, h.all...), vote(1, 2, 0)); problem.Of(err).Kind != problem.Sealed || results != nil {
		t.Errorf("stopped: %v, %v", results, err)
	}
}

// TestBatchTakesOneSlot, gives it back, and Stop waits for it.
func TestBatchTakesOneSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, storetest.NewMemory(), 1, 0)
		release := make(chan struct{})
		h.testHookPermitted = func() { <-release }
		done := make(chan string)
		go func() {
			results, _, err := h.SignAll(t.Context(), grants(eth2.Attestation, h.all...), vote(1, 2, 0))
			done <- fmt.Sprint(len(results), err)
		}()
		synctest.Wait()
		if len(h.slots) != 1 {
			t.Errorf("%d slots taken, want 1", len(h.slots))
		}
		_, err := h.Sign(t.Context(), grant(h.key, eth2.Attestation), vote(2, 3, 0))
		checkProblem(t, bls.Signature{}, err, problem.Overloaded, "all 1 signing slots were taken")
		stopped := make(chan struct{})
		go func() { h.Stop(); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("Stop did not wait for the batch")
		default:
		}
		close(release)
		if got := <-done; got != "8 <nil>" {
			t.Errorf("the batch: %s", got)
		}
		<-stopped
		if len(h.slots) != 0 {
			t.Error("the slot was not given back")
		}
	})
}

// TestBatchesLeaveRoom: however many batches there are, they sign with no more goroutines than there are CPUs, so that a single
// request is not one of hundreds.
func TestBatchesLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, storetest.NewMemory(), 0, 0)
		var signing atomic.Int32
		release := make(chan struct{})
		h.testHookPermitted = func() { signing.Add(1); <-release }
		var batches sync.WaitGroup
		for range runtime.GOMAXPROCS(0) + 1 {
			batches.Go(func() {
				_, refusals, err := h.SignAll(t.Context(), grants(eth2.Attestation, h.all...), vote(1, 2, 0))
				if err = errors.Join(append(refusals, err)...); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if got, want := int(signing.Load()), runtime.GOMAXPROCS(0); got != want {
			t.Errorf("%d keys sign at once, want %d", got, want)
		}
		single := h.begin(t.Context(), eth2.NewRandaoReveal(fork(), 3))
		synctest.Wait()
		if got, want := int(signing.Load()), runtime.GOMAXPROCS(0)+1; got != want {
			t.Errorf("%d keys sign at once with a single request, want %d", got, want)
		}
		close(release)
		batches.Wait()
		if got := <-single; got.err != nil {
			t.Error(got.err)
		}
	})
}

// TestBatchOfACallerThatLeft is recorded but not signed any further; the same request again is signed.
func TestBatchOfACallerThatLeft(t *testing.T) {
	h := open(t, storetest.NewMemory(), 0, 0)
	ctx, hangUp := context.WithCancel(t.Context())
	h.testHookPermitted = hangUp
	wanted := grants(eth2.Attestation, h.all...)
	signatures, refusals, err := h.SignAll(ctx, wanted, vote(1, 2, 0))
	if err != nil {
		t.Fatal(err)
	}
	signed := 0
	for i, sig := range signatures {
		if refusals[i] == nil {
			signed++
			continue
		}
		checkProblem(t, sig, refusals[i], problem.Overloaded, "the request ended before this key had signed")
	}
	if signed == 0 || signed > runtime.GOMAXPROCS(0) {
		t.Errorf("%d keys have signed, want those alone that had begun", signed)
	}
	h.testHookPermitted = nil
	for i, g := range wanted {
		if _, err := h.Sign(t.Context(), g, vote(1, 2, 1)); problem.Of(err).Kind != problem.Slashable {
			t.Errorf("another vote with key %d: %v", i, err)
		}
	}
	if _, refusals, err := h.SignAll(t.Context(), wanted, vote(1, 2, 0)); errors.Join(append(refusals, err)...) != nil {
		t.Errorf("the same again: %v, %v", refusals, err)
	}
}
