package storetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// RunKeys checks that a store keeps the contract of store.Keys. fresh makes an empty one and returns what opens it, as a replica each
// time; it fails the test if it cannot.
func RunKeys(t *testing.T, fresh func(t *testing.T) func() store.Keys) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, open func() store.Keys){
		"steps": keysSteps, "limits": keysLimits, "one winner per version": keysRace, "all comes back": keysRoundTrip, "load": keysLoad,
		"changes": keysChanges, "nothing is missed": keysFollow,
	} {
		t.Run(name, func(t *testing.T) {
			open := fresh(t)
			test(t, func() store.Keys {
				k := open()
				t.Cleanup(func() {
					if err := k.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				})
				if err := k.Check(t.Context()); err != nil {
					t.Fatalf("Check of an open store: %v", err)
				}
				return k
			})
		})
	}
}

// Public is a public key that differs from those of other numbers.
func Public(n int) (public [48]byte) {
	binary.BigEndian.PutUint32(public[44:], uint32(n))
	return public
}

func keysSteps(t *testing.T, open func() store.Keys) {
	a, b := open(), open()
	public := Public(1)
	put := func(k store.Keys, version uint64, s store.Status, body string) func() error {
		return func() error {
			return k.Put(t.Context(), store.Key{PublicKey: public, Version: version, Status: s, Body: []byte(body), Updated: time.Now()})
		}
	}
	remove := func(k store.Keys, version uint64) func() error {
		return func() error { return k.Delete(t.Context(), public, version) }
	}
	for i, step := range []struct {
		do     func() error
		want   error
		stored string
	}{
		{remove(a, 1), store.ErrNotFound, "none"},
		{put(a, 2, store.Active, "x"), store.ErrConflict, "none"},
		{put(a, 1, store.Active, "x"), nil, "1 active x"},
		{put(b, 1, store.Active, "x"), nil, "1 active x"}, // the identical one
		{put(b, 1, store.Active, "y"), store.ErrConflict, "1 active x"},
		{put(b, 1, store.Inactive, "x"), store.ErrConflict, "1 active x"},
		{put(b, 3, store.Inactive, "x"), store.ErrConflict, "1 active x"},
		{put(b, 2, store.Inactive, "x"), nil, "2 inactive x"},
		{put(a, 2, store.Inactive, "x"), nil, "2 inactive x"},
		{remove(a, 1), store.ErrConflict, "2 inactive x"},
		{remove(b, 2), nil, "3 deleted "},
		{remove(a, 2), nil, "3 deleted "},                                 // the identical one
		{put(a, 2, store.Inactive, "x"), store.ErrConflict, "3 deleted "}, // one that was sent before the deletion
		{remove(a, 3), store.ErrConflict, "3 deleted "},
		{put(a, 1, store.Active, "x"), store.ErrConflict, "3 deleted "}, // it comes back only knowingly
		{put(a, 4, store.Active, ""), nil, "4 active "},
	} {
		if err := step.do(); !errors.Is(err, step.want) {
			t.Errorf("step %d: %v, want %v", i, err, step.want)
		}
		for _, k := range []store.Keys{a, b} {
			key, err := k.Get(t.Context(), public)
			got := fmt.Sprintf("%d %v %s", key.Version, key.Status, key.Body)
			if errors.Is(err, store.ErrNotFound) {
				got, err = "none", nil
			}
			if err != nil || got != step.stored {
				t.Errorf("step %d: stored %q, %v, want %q", i, got, err, step.stored)
			}
		}
	}
}

func keysLimits(t *testing.T, open func() store.Keys) {
	k := open()
	largest := store.Key{PublicKey: Public(1), Version: 1, Status: store.Active, Body: bytes.Repeat([]byte{0xff}, store.MaxKeyBody)}
	if err := k.Put(t.Context(), largest); err != nil {
		t.Errorf("the largest key: %v", err)
	}
	for _, tc := range []struct {
		key   store.Key
		words string
	}{
		{store.Key{Version: 1, Status: store.Active, Body: make([]byte, store.MaxKeyBody+1)}, "key 0x00000000 has 16385 bytes, the limit is 16384"},
		{store.Key{Version: 1}, "key 0x00000000: status 0, want active or inactive"},
		{store.Key{Version: 1, Status: store.Deleted}, "key 0x00000000: deleted, want active or inactive"},
		{store.Key{Status: store.Active}, "key 0x00000000: not storable: version 0"},
		{store.Key{Version: math.MaxUint64, Status: store.Active}, "version 18446744073709551615"},
	} {
		if err := k.Put(t.Context(), tc.key); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%v, want %q", err, tc.words)
		}
	}
	_, err := k.Load(t.Context(), []store.Status{store.Deleted}, 1, nil)
	if !errors.Is(err, store.ErrInvalid) {
		t.Errorf("Load of deleted keys: %v", err)
	}
}

func keysRace(t *testing.T, open func() store.Keys) {
	replicas := []store.Keys{open(), open()}
	for version := uint64(1); version <= 2; version++ {
		race(t, version, func(i int) error {
			return replicas[i%2].Put(t.Context(), store.Key{PublicKey: Public(1), Version: version, Status: store.Active, Body: []byte{byte(i)}})
		}, func() (uint64, []byte, error) {
			key, err := replicas[1].Get(t.Context(), Public(1))
			return key.Version, key.Body, err
		})
	}
}

func keysRoundTrip(t *testing.T, open func() store.Keys) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	key := store.Key{PublicKey: Public(1), Version: 1, Status: store.Inactive, Body: []byte{0, 1, 0xff}, Created: at, Updated: at.Add(time.Hour)}
	if err := open().Put(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	key.Changed, key.Created, key.Updated = 1, at.Truncate(time.Millisecond).UTC(), at.Add(time.Hour).Truncate(time.Millisecond).UTC()
	got, err := open().Get(t.Context(), key.PublicKey)
	if diff := cmp.Diff(key, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

// load is what Load calls yield with, by public key.
func load(t *testing.T, k store.Keys, statuses ...store.Status) (map[[48]byte]store.Key, store.Cursor) {
	t.Helper()
	all := map[[48]byte]store.Key{}
	cursor, err := k.Load(t.Context(), statuses, 16, func(key store.Key) error {
		if _, twice := all[key.PublicKey]; twice || !slices.Contains(statuses, key.Status) {
			t.Errorf("key %s comes twice, or is %v", store.Short(key.PublicKey), key.Status)
		}
		all[key.PublicKey] = key
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, cursor
}

// keysLoad: more than a page of 1 MiB, of each status what is asked for.
func keysLoad(t *testing.T, open func() store.Keys) {
	k := open()
	if all, cursor := load(t, k, store.Active, store.Inactive); len(all) != 0 || cursor != 0 {
		t.Errorf("an empty store has %d keys and cursor %d", len(all), cursor)
	}
	want := map[store.Status]map[[48]byte]store.Key{store.Active: {}, store.Inactive: {}}
	for i := range 150 {
		key := store.Key{PublicKey: Public(i), Version: 1, Status: store.Active, Body: bytes.Repeat([]byte{byte(i)}, store.MaxKeyBody)}
		if i%3 == 0 {
			key.Status = store.Inactive
		}
		if err := k.Put(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		want[key.Status][key.PublicKey] = key
	}
	for i := range 4 { // 0 and 3 are inactive
		if err := k.Delete(t.Context(), Public(i), 1); err != nil {
			t.Fatal(err)
		}
		delete(want[store.Active], Public(i))
		delete(want[store.Inactive], Public(i))
	}
	other := open()
	ignored := cmp.Options{cmpopts.IgnoreFields(store.Key{}, "Changed", "Created", "Updated"), cmp.Comparer(bytes.Equal)}
	for _, s := range []store.Status{store.Active, store.Inactive} {
		got, _ := load(t, other, s)
		if diff := cmp.Diff(want[s], got, ignored); diff != "" {
			t.Errorf("%v keys, -want +got:\n%s", s, diff)
		}
	}
	all, cursor := load(t, other, store.Active, store.Inactive)
	if len(all) != 146 {
		t.Errorf("%d keys, want 146", len(all))
	}
	if changed, next, err := k.Changes(t.Context(), cursor); err != nil || len(changed) > 0 && next == cursor {
		t.Errorf("after Load: %d keys, %d, %v", len(changed), next, err)
	}
	stop := errors.New("stop")
	if _, err := k.Load(t.Context(), []store.Status{store.Active}, 2, func(store.Key) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of yield: %v", err)
	}
}
