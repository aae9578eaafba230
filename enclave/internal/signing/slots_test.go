package signing

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// answer is what Sign returned.
type answer struct {
	sig bls.Signature
	err error
}

// begin signs in the background.
func (h *house) begin(ctx context.Context, req eth2.Request) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		sig, err := h.Sign(ctx, grant(h.key, req.Kind()), req)
		c <- answer{sig, err}
	}()
	return c
}

// occupied is a house whose one slot is held until release is called.
func occupied(t *testing.T, wait time.Duration) (h *house, held <-chan answer, release func()) {
	h = open(t, storetest.NewMemory(), 1, wait)
	gate, inside := make(chan struct{}), make(chan struct{}, 8)
	h.testHookPermitted = func() { inside <- struct{}{}; <-gate }
	held = h.begin(t.Context(), vote(1, 2, 0))
	<-inside
	return h, held, func() { close(gate) }
}

func TestSlots(t *testing.T) {
	const wait = time.Second
	for _, tc := range []struct {
		name  string
		wait  time.Duration
		ctx   func(context.Context) (context.Context, context.CancelFunc)
		takes time.Duration
		words string
	}{
		{"full for longer than the wait", wait, context.WithCancel, wait, "all 1 signing slots were taken for 1s"},
		{"no wait at all", 0, context.WithCancel, 0, "all 1 signing slots were taken for 0s"},
		{"caller has less time", wait, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, wait/2)
		}, wait / 2, "the request ended before a signing slot was free"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, held, release := occupied(t, tc.wait)
				ctx, cancel := tc.ctx(t.Context())
				defer cancel()
				began := time.Now()
				got := <-h.begin(ctx, vote(2, 3, 0))
				checkProblem(t, got.sig, got.err, problem.Overloaded, tc.words)
				if took := time.Since(began); took != tc.takes {
					t.Errorf("took %s, want %s", took, tc.takes)
				}
				release()
				if got := <-held; got.err != nil {
					t.Error(got.err)
				}
			})
		})
	}
}

func TestSlotIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, held, release := occupied(t, time.Minute)
		next := h.begin(t.Context(), vote(2, 3, 0))
		synctest.Wait() // the second waits for the slot
		release()
		for _, c := range []<-chan answer{held, next} {
			if got := <-c; got.err != nil {
				t.Error(got.err)
			}
		}
	})
}

func TestEndedRequestTakesNoSlot(t *testing.T) {
	h := open(t, untouched(t), 1, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sig, err := h.Sign(ctx, grant(h.key, eth2.Attestation), vote(1, 2, 0))
	checkProblem(t, sig, err, problem.Overloaded, "the request ended")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cause of %v", err)
	}
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, held, release := occupied(t, time.Minute)
		waiting := h.begin(t.Context(), vote(2, 3, 0))
		synctest.Wait()
		stopped := make(chan struct{})
		go func() { h.Stop(); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("Stop returned while a request was under way")
		default:
		}
		h.checkSign(t, vote(3, 4, 0), problem.Sealed, "the signer is stopping")
		release()
		for name, c := range map[string]<-chan answer{"under way": held, "waiting": waiting} {
			if got := <-c; got.err != nil {
				t.Errorf("%s: %v", name, got.err)
			}
		}
		<-stopped
		h.Stop()
		h.checkSign(t, vote(3, 4, 0), problem.Sealed, "the signer is stopping")
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, held, release := occupied(t, 0)
		check := func(when, want string) {
			t.Helper()
			families, err := h.registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, f := range families {
				for _, m := range f.GetMetric() {
					label := ""
					for _, l := range m.GetLabel() {
						label = l.GetValue() + " "
					}
					got += fmt.Sprintf("%s %s%v ", f.GetName(), label, m.GetGauge().GetValue()+float64(m.GetHistogram().GetSampleCount()))
				}
			}
			if got != want {
				t.Errorf("%s: %s, want %s", when, got, want)
			}
		}
		const seconds = "containment_slashing_write_duration_seconds "
		const writes = seconds + "contradicted 0 " + seconds + "failed 0 " + seconds + "unknown 0 " + seconds + "written 1 containment_slashing_write_votes 1 "
		check("held", "containment_signing_concurrency_limit 1 containment_signing_semaphore_available 0 "+writes)
		release()
		<-held
		synctest.Wait()
		check("free", "containment_signing_concurrency_limit 1 containment_signing_semaphore_available 1 "+writes)
	})
}
