package stored_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// TestReencrypt: on every store, all items get the new master key, by two processes at once while keys are changed, and the old
// one is not needed any more.
func TestReencrypt(t *testing.T) {
	for name, fresh := range stores() {
		t.Run(name, func(t *testing.T) {
			open, chamber := fresh(t), newSealer(t)
			a, b := newReplica(t, open(), chamber), newReplica(t, open(), chamber)
			a.load(t)
			b.load(t)
			const n = 30
			keys := activeKeys(t, 0, n)
			keys[1].Status, keys[2].Backup = store.Inactive, []byte("age")
			mustImport(t, a, keys)
			chamber.rotate(2)
			var all sync.WaitGroup
			for _, r := range []*replica{a, b} {
				all.Go(func() {
					if left, err := r.Reencrypt(t.Context()); left != 0 || err != nil {
						t.Errorf("%d left, %v", left, err)
					}
				})
			}
			all.Go(func() {
				for i := 3; i < 9; i++ {
					if err := errors.Join(a.SetStatus(t.Context(), public(t, i), store.Inactive), b.Delete(t.Context(), public(t, i+10))); err != nil {
						t.Error(err)
					}
				}
				mustImport(t, b, activeKeys(t, n, n+3))
			})
			all.Wait()
			delete(chamber.master, 1)
			want := []int{0, 2, 9, 10, 11, 12}
			for i := 19; i < n+3; i++ {
				want = append(want, i)
			}
			later := newReplica(t, open(), chamber)
			later.load(t)
			if diff := cmp.Diff(want, loadedOf(t, later, n+3)); diff != "" || len(later.errorsLogged()) != 0 {
				t.Errorf("%+v, %s", later.Status(), diff)
			}
			if backup, err := later.Backup(t.Context(), public(t, 2)); string(backup) != "age" || err != nil {
				t.Errorf("backup %q, %v", backup, err)
			}
			for i := 19; i < n; i++ {
				if item := get(t, later.table, public(t, i)); item.Version != 2 {
					t.Errorf("key %d has version %d: it was written twice", i, item.Version)
				}
			}
			if err := later.SetStatus(t.Context(), public(t, 1), store.Active); err != nil {
				t.Errorf("the inactive key: %v", err)
			}
		})
	}
}

// TestReencryptGoesOn: what cannot be opened is named and left, an outage ends it, and it goes on where it was.
func TestReencryptGoesOn(t *testing.T) {
	table, chamber := &hostile{Keys: new(storetest.Keys)}, newSealer(t)
	r := newReplica(t, table, chamber)
	mustImport(t, r, activeKeys(t, 0, 20))
	damage(t, table, public(t, 0))
	chamber.rotate(2)

	// The store goes away after five writes.
	down := fmt.Errorf("%w: nobody answers", store.ErrUnavailable)
	table.set(func(h *hostile) { h.writes, h.full = 5, down })
	left, err := r.Reencrypt(t.Context())
	if left != 15 || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%d left, %v", left, err)
	}
	table.set(func(h *hostile) {
		if h.full = nil; h.tried > 21+5+8 { // before, what was written, and one for each reader
			t.Errorf("%d writes were tried after the store was gone", h.tried-21-5)
		}
	})

	chamber.close(true)
	if left, err := r.Reencrypt(t.Context()); left == 0 || !errors.Is(err, errClosed) {
		t.Errorf("sealed: %d left, %v", left, err)
	}
	chamber.close(false)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if left, err := r.Reencrypt(ended); left == 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %d left, %v", left, err)
	}

	left, err = r.Reencrypt(t.Context())
	if left != 1 || !errors.Is(err, errCorrupt) || !strings.Contains(err.Error(), "key "+store.Short(public(t, 0))+": ") {
		t.Errorf("%d left, %v", left, err)
	}
	if err := r.Delete(t.Context(), public(t, 0)); err != nil {
		t.Error(err)
	}
	if left, err := r.Reencrypt(t.Context()); left != 0 || err != nil {
		t.Errorf("in the end %d left, %v", left, err)
	}
	for n := 1; n < 20; n++ {
		if item := get(t, table, public(t, n)); item.Version != 2 || item.Body[0] != 2 {
			t.Errorf("key %d has version %d of master key %d: it was written more than once, or not", n, item.Version, item.Body[0])
		}
	}
}

// TestNewMasterKey: a Load after the chamber has got another master key opens what was not of use before, and nothing else.
func TestNewMasterKey(t *testing.T) {
	table, ahead := new(storetest.Keys), newSealer(t)
	behind := newSealer(t)
	behind.master[1] = slices.Clone(ahead.master[1])
	a, b := newReplica(t, table, ahead), newReplica(t, table, behind)
	mustImport(t, a, activeKeys(t, 0, 3))
	ahead.rotate(2)
	mustImport(t, a, activeKeys(t, 3, 5))
	b.load(t)
	if got := loadedOf(t, b, 5); !slices.Equal(got, []int{0, 1, 2}) || b.Status().Unusable != 2 || len(b.errorsLogged()) != 2 {
		t.Errorf("%v sign, %+v", got, b.Status())
	}
	behind.mu.Lock()
	behind.master[2], behind.now = slices.Clone(ahead.master[2]), 2
	behind.mu.Unlock()
	opened := behind.opened.Load()
	b.load(t)
	if got := loadedOf(t, b, 5); !slices.Equal(got, []int{0, 1, 2, 3, 4}) || b.Status().Unusable != 0 || behind.opened.Load() != opened+2 {
		t.Errorf("%v sign, %+v, %d opened", got, b.Status(), behind.opened.Load()-opened)
	}
}

// TestOutcomeUnknown: a write that was done although nobody said so is done once.
func TestOutcomeUnknown(t *testing.T) {
	table, chamber := &hostile{Keys: new(storetest.Keys)}, newSealer(t)
	r := newReplica(t, table, chamber)
	r.load(t)
	lose := func() { table.set(func(h *hostile) { h.after = fmt.Errorf("%w: no answer", store.ErrOutcomeUnknown) }) }
	lose()
	mustImport(t, r, activeKeys(t, 0, 1))
	lose()
	if err := r.SetStatus(t.Context(), public(t, 0), store.Inactive); err != nil {
		t.Error(err)
	}
	if item := get(t, table, public(t, 0)); item.Version != 2 || r.signs(t, public(t, 0)) {
		t.Errorf("version %d, signs: %v", item.Version, r.signs(t, public(t, 0)))
	}
}

// TestImportsAtOnce: of the same key at two replicas, and twice in a list, one is stored.
func TestImportsAtOnce(t *testing.T) {
	for name, fresh := range stores() {
		t.Run(name, func(t *testing.T) {
			open, chamber := fresh(t), newSealer(t)
			replicas := []*replica{newReplica(t, open(), chamber), newReplica(t, open(), chamber)}
			var mu sync.Mutex
			outcomes := map[stored.Outcome]int{}
			var all sync.WaitGroup
			for _, r := range replicas {
				r.load(t)
				all.Go(func() {
					for _, result := range r.Import(t.Context(), append(activeKeys(t, 0, 10), activeKeys(t, 0, 10)...)) {
						mu.Lock()
						outcomes[result.Outcome]++
						mu.Unlock()
						if result.Err != nil {
							t.Error(result.Err)
						}
					}
				})
			}
			all.Wait()
			if diff := cmp.Diff(map[stored.Outcome]int{stored.Imported: 10, stored.Duplicate: 30}, outcomes); diff != "" {
				t.Error(diff)
			}
			bad := []stored.Key{{Secret: secretKey(t, 50)}, {Secret: secretKey(t, 51), Status: store.Deleted}, {
				Secret: secretKey(t, 52), Status: store.Active, Backup: make([]byte, stored.MaxBackup+1),
			}}
			for i, result := range replicas[0].Import(t.Context(), bad) {
				if result.Outcome != stored.Failed || result.Err == nil {
					t.Errorf("bad key %d: %+v", i, result)
				}
			}
			if err := replicas[0].SetStatus(t.Context(), public(t, 0), store.Deleted); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("deleted as a status: %v", err)
			}
		})
	}
}

// TestChangesAtRandom: whatever two replicas do at once, while keys are used, loaded again and dropped, in the end both have what is stored.
func TestChangesAtRandom(t *testing.T) {
	const keys, changes = 10, 60
	table, chamber := new(storetest.Keys), newSealer(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var replicas []*replica
	for range 2 {
		r := newReplica(t, table, chamber, func(o *stored.Options) { o.RefreshInterval = time.Millisecond })
		r.load(t)
		r.run(t)
		replicas = append(replicas, r)
	}
	acceptable := func(err error) bool {
		return err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) || errors.Is(err, stored.ErrSealed)
	}
	var all sync.WaitGroup
	for i := range 6 {
		random, r := rand.New(rand.NewPCG(seed, uint64(i))), replicas[i%2]
		all.Go(func() {
			for range changes {
				n := random.IntN(keys)
				var err error
				switch random.IntN(8) {
				case 0, 1:
					err = r.Import(t.Context(), []stored.Key{{Secret: secretKey(t, n), Status: store.Active}})[0].Err
				case 2:
					err = r.SetStatus(t.Context(), public(t, n), store.Inactive)
				case 3:
					err = r.SetStatus(t.Context(), public(t, n), store.Active)
				case 4:
					err = r.Delete(t.Context(), public(t, n))
				case 5:
					r.Drop()
					err = r.Load(t.Context())
				case 6:
					_, err = r.Reencrypt(t.Context())
				case 7:
					r.signs(t, public(t, n))
				}
				if !acceptable(err) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	var want []bls.PublicKey
	for n := range keys {
		if item, err := table.Get(t.Context(), public(t, n)); err == nil && item.Status == store.Active {
			want = append(want, item.PublicKey)
		}
	}
	slices.SortFunc(want, func(a, b bls.PublicKey) int { return slices.Compare(a[:], b[:]) })
	for i, r := range replicas {
		r.load(t)
		if diff := cmp.Diff(want, r.keys.PublicKeys()); diff != "" || r.Status().Unusable != 0 {
			t.Errorf("replica %d: %+v, -want +got:\n%s", i, r.Status(), diff)
		}
	}
}
