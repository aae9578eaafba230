package storetest

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

func keysChanges(t *testing.T, open func() store.Keys) {
	writer, reader := open(), open()
	if changed, cursor, err := reader.Changes(t.Context(), 0); err != nil || len(changed) != 0 || cursor != 0 {
		t.Errorf("of an empty store: %v, %d, %v", changed, cursor, err)
	}
	if _, _, err := reader.Changes(t.Context(), 1); !errors.Is(err, store.ErrCursor) {
		t.Errorf("a cursor that is not of this store: %v", err)
	}
	put := func(n int, version uint64, s store.Status) {
		t.Helper()
		// The writer's clock is an hour slow at each second change.
		at := time.Now().Add(-time.Hour * time.Duration(n%2))
		if err := writer.Put(t.Context(), store.Key{PublicKey: Public(n), Version: version, Status: s, Updated: at}); err != nil {
			t.Fatal(err)
		}
	}
	put(1, 1, store.Active)
	put(2, 1, store.Active)
	put(3, 1, store.Active)
	f := Follower{Keys: reader}
	f.Poll(t)
	want := map[[48]byte]uint64{Public(1): 1, Public(2): 1, Public(3): 1}
	f.check(t, want)
	put(2, 2, store.Inactive)
	put(2, 3, store.Active)
	if err := writer.Delete(t.Context(), Public(3), 1); err != nil {
		t.Fatal(err)
	}
	before := f.Cursor
	f.Poll(t)
	want[Public(2)] = 3
	delete(want, Public(3))
	f.check(t, want)
	if f.Seen[Public(3)].Status != store.Deleted {
		t.Errorf("the deleted key is %v", f.Seen[Public(3)].Status)
	}
	if changed, _, err := reader.Changes(t.Context(), before); err != nil || len(changed) != 2 || changed[0].Changed <= uint64(before) {
		t.Errorf("from an older cursor: %v, %v", changed, err)
	}
	if changed, cursor, err := reader.Changes(t.Context(), f.Cursor); err != nil || len(changed) != 0 || cursor != f.Cursor {
		t.Errorf("nothing changed: %v, %d, %v", changed, cursor, err)
	}
}

// Follower is a replica that follows the changes.
type Follower struct {
	Keys   store.Keys
	Cursor store.Cursor
	Seen   map[[48]byte]store.Key // each as it was told last
}

// Poll takes changes until there are no more. A version that goes back, or a cursor, fails the test.
func (f *Follower) Poll(t *testing.T) {
	t.Helper()
	if f.Seen == nil {
		f.Seen = map[[48]byte]store.Key{}
	}
	for {
		changed, next, err := f.Keys.Changes(t.Context(), f.Cursor)
		if err != nil {
			t.Errorf("Changes after %d: %v", f.Cursor, err)
			return
		}
		if next < f.Cursor || len(changed) > 0 && next == f.Cursor {
			t.Errorf("%d changes lead from cursor %d to %d", len(changed), f.Cursor, next)
			return
		}
		for _, key := range changed {
			if old := f.Seen[key.PublicKey]; key.Version < old.Version || key.Changed < old.Changed {
				t.Errorf("key %s goes back from version %d to %d", store.Short(key.PublicKey), old.Version, key.Version)
			}
			f.Seen[key.PublicKey] = key
		}
		f.Cursor = next
		if len(changed) == 0 {
			return
		}
	}
}

// check compares the keys that are not deleted.
func (f *Follower) check(t *testing.T, want map[[48]byte]uint64) {
	t.Helper()
	got := map[[48]byte]uint64{}
	for public, key := range f.Seen {
		if key.Status != store.Deleted {
			got[public] = key.Version
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("versions, -want +got:\n%s", diff)
	}
}

const (
	followWriters = 6
	followChanges = 30 // of each writer
	followKeys    = 12
)

// keysFollow: whatever writers at two replicas do at once, followers that started at any time know every write that has returned as
// soon as they ask, and in the end all know the same as the store.
func keysFollow(t *testing.T, open func() store.Keys) {
	Follow(t, []store.Keys{open(), open()}, []store.Keys{open(), open()})
}

// Follow has random writers change keys at once, while followers follow them, and checks that they miss nothing. A writer's error
// must be one that the contract has, after which it looks what is stored.
func Follow(t *testing.T, writers, followers []store.Keys) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	begun := make(chan struct{}, 1) // has a value when somebody is about to write: then followers look, and not always
	var writing, following sync.WaitGroup
	for i := range followWriters {
		random := rand.New(rand.NewPCG(seed, uint64(i))) //nolint:gosec // not for secrets
		k := writers[i%len(writers)]
		writing.Go(func() {
			own := Follower{Keys: followers[i%len(followers)]}
			for range followChanges {
				public := Public(random.IntN(followKeys))
				select {
				case begun <- struct{}{}:
				default:
				}
				version, ok := changeAtRandom(t, k, random, public)
				if !ok {
					continue
				}
				// The write has returned: whoever asks now must hear of it.
				if own.Poll(t); own.Seen[public].Version < version {
					t.Errorf("version %d of key %s was written, and a follower knows version %d", version, store.Short(public), own.Seen[public].Version)
				}
			}
		})
	}
	final := make([]Follower, 2*len(followers))
	for i := range final {
		f := &final[i]
		f.Keys = followers[i%len(followers)]
		following.Go(func() {
			if i >= len(followers) { // this one starts with what is there
				f.Seen, f.Cursor = loadAll(t, f.Keys)
			}
			for range begun {
				f.Poll(t)
			}
			f.Poll(t)
		})
	}
	writing.Wait()
	close(begun)
	following.Wait()
	want := map[[48]byte]uint64{} // a follower that began with Load has never heard of what was deleted before
	for n := range followKeys {
		key, err := followers[0].Get(t.Context(), Public(n))
		switch {
		case err == nil && key.Status != store.Deleted:
			want[key.PublicKey] = key.Version
		case err != nil && !errors.Is(err, store.ErrNotFound):
			t.Error(err)
		}
	}
	if len(want) == 0 {
		t.Error("nothing was written: the test tests nothing")
	}
	for i := range final {
		final[i].check(t, want)
	}
	last := Follower{Keys: followers[0]}
	last.Seen, _ = loadAll(t, followers[0])
	last.check(t, want)
}

func loadAll(t *testing.T, k store.Keys) (map[[48]byte]store.Key, store.Cursor) {
	t.Helper()
	all := map[[48]byte]store.Key{}
	cursor, err := k.Load(t.Context(), []store.Status{store.Active, store.Inactive}, 4, func(key store.Key) error {
		all[key.PublicKey] = key
		return nil
	})
	if err != nil {
		t.Errorf("Load: %v", err)
	}
	return all, cursor
}

// changeAtRandom makes one change of a key, from what is stored, and says which version it wrote if it did.
func changeAtRandom(t *testing.T, k store.Keys, random *rand.Rand, public [48]byte) (version uint64, ok bool) {
	t.Helper()
	stored, err := k.Get(t.Context(), public)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Error(err)
		}
		return 0, false
	}
	key := store.Key{PublicKey: public, Version: stored.Version + 1, Status: store.Active, Body: []byte{byte(random.IntN(256))}}
	if random.IntN(2) == 0 {
		key.Status = store.Inactive
	}
	if stored.Version > 0 && stored.Status != store.Deleted && random.IntN(4) == 0 {
		err = k.Delete(t.Context(), public, stored.Version)
	} else {
		err = k.Put(t.Context(), key)
	}
	for _, known := range []error{store.ErrConflict, store.ErrUnavailable, store.ErrOutcomeUnknown} {
		if errors.Is(err, known) {
			return 0, false
		}
	}
	if err != nil {
		t.Errorf("change of key %s: %v", store.Short(public), err)
	}
	return key.Version, err == nil
}
