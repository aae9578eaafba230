package stored_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// TestLoadThatFailedIsTriedAgain: with a new master key too, while the keys of the one before sign.
func TestLoadThatFailedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, ahead, behind := &hostile{Keys: new(storetest.Keys)}, newSealer(t), newSealer(t)
		behind.master[1] = slices.Clone(ahead.master[1])
		a, b := newReplica(t, table, ahead), newReplica(t, table, behind, func(o *stored.Options) { o.RefreshInterval = time.Second })
		mustImport(t, a, activeKeys(t, 0, 3))
		ahead.rotate(2)
		mustImport(t, a, activeKeys(t, 3, 5))
		b.load(t)
		behind.mu.Lock()
		behind.master[2], behind.now = slices.Clone(ahead.master[2]), 2
		behind.mu.Unlock()
		table.set(func(h *hostile) { h.fault = fmt.Errorf("%w: for now", store.ErrUnavailable) })
		if err := b.Load(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("the table is away: %v", err)
		}
		table.set(func(h *hostile) { h.fault = nil })
		b.run(t)
		<-time.After(3 * time.Second)
		synctest.Wait()
		if got := loadedOf(t, b, 5); !slices.Equal(got, []int{0, 1, 2, 3, 4}) || b.Status().Unusable != 0 {
			t.Errorf("%v sign, %+v", got, b.Status())
		}
	})
}

// vague does the first write without an answer, and is away then.
type vague struct {
	store.Keys
	writes int
}

func (v *vague) Put(ctx context.Context, key store.Key) error {
	if v.writes++; v.writes > 1 {
		return store.ErrUnavailable
	}
	if err := v.Keys.Put(ctx, key); err != nil {
		return err
	}
	return store.ErrOutcomeUnknown
}

// TestDoubtOutlivesAnAbsence: an import whose key may be stored is not told as one that wrote nothing.
func TestDoubtOutlivesAnAbsence(t *testing.T) {
	table := &vague{Keys: new(storetest.Keys)}
	r := newReplica(t, table, newSealer(t))
	result := r.Import(t.Context(), activeKeys(t, 0, 1))[0]
	if result.Outcome != stored.Failed || !errors.Is(result.Err, store.ErrOutcomeUnknown) || errors.Is(result.Err, store.ErrUnavailable) {
		t.Errorf("%+v, want an unknown outcome", result)
	}
}

// TestDeactivatedUnderAnotherMasterKey: a replica that cannot open the item yet does not sign on.
func TestDeactivatedUnderAnotherMasterKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, ahead, behind := new(storetest.Keys), newSealer(t), newSealer(t)
		behind.master[1] = slices.Clone(ahead.master[1])
		a, b := newReplica(t, table, ahead), newReplica(t, table, behind, func(o *stored.Options) { o.RefreshInterval = time.Second })
		mustImport(t, a, activeKeys(t, 0, 2))
		a.load(t)
		b.load(t)
		ahead.rotate(2)
		if err := a.SetStatus(t.Context(), public(t, 0), store.Inactive); err != nil {
			t.Fatal(err)
		}
		b.run(t)
		<-time.After(2 * time.Second)
		synctest.Wait()
		if got := loadedOf(t, b, 2); !slices.Equal(got, []int{1}) || b.Status().Unusable != 1 {
			t.Errorf("%v sign, %+v", got, b.Status())
		}
	})
}
