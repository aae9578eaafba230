package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// RunState checks that a store keeps the contract of store.State. fresh makes an empty one and returns what opens it, as a replica
// each time; it fails the test if it cannot.
func RunState(t *testing.T, fresh func(t *testing.T) func() store.State) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, open func() store.State){
		"steps": stateSteps, "limits": stateLimits, "one winner per version": stateRace, "a long list": stateList, "ended context": stateEnded,
	} {
		t.Run(name, func(t *testing.T) {
			open := fresh(t)
			test(t, func() store.State {
				s := open()
				t.Cleanup(func() {
					if err := s.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				})
				if err := s.Check(t.Context()); err != nil {
					t.Fatalf("Check of an open store: %v", err)
				}
				return s
			})
		})
	}
}

func stateSteps(t *testing.T, open func() store.State) {
	a, b := open(), open()
	put := func(s store.State, version uint64, body string) func() error {
		return func() error {
			return s.Put(t.Context(), store.Item{Name: "manifest", Version: version, Body: []byte(body)})
		}
	}
	remove := func(s store.State, version uint64) func() error {
		return func() error { return s.Delete(t.Context(), "manifest", version) }
	}
	for i, step := range []struct {
		do     func() error
		want   error
		stored string // version:body afterwards, "" for none
	}{
		{put(a, 2, "two"), store.ErrConflict, ""},
		{put(a, 1, "one"), nil, "1:one"},
		{put(b, 1, "one"), nil, "1:one"}, // the identical one
		{put(b, 1, "uno"), store.ErrConflict, "1:one"},
		{put(b, 3, "three"), store.ErrConflict, "1:one"},
		{put(b, 2, ""), nil, "2:"},
		{put(a, 2, ""), nil, "2:"},
		{put(a, 1, "one"), store.ErrConflict, "2:"},
		{remove(a, 1), store.ErrConflict, "2:"},
		{remove(a, 3), store.ErrConflict, "2:"},
		{remove(a, 2), nil, ""},
		{remove(b, 2), nil, ""}, // the identical one
		{put(b, 3, "three"), store.ErrConflict, ""},
		{put(b, 1, "again"), nil, "1:again"},
	} {
		if err := step.do(); !errors.Is(err, step.want) {
			t.Errorf("step %d: %v, want %v", i, err, step.want)
		}
		for _, s := range []store.State{a, b} {
			item, err := s.Get(t.Context(), "manifest")
			got := fmt.Sprintf("%d:%s", item.Version, item.Body)
			if errors.Is(err, store.ErrNotFound) {
				got, err = "", nil
			}
			if err != nil || got != step.stored {
				t.Errorf("step %d: stored %q, %v, want %q", i, got, err, step.stored)
			}
		}
	}
}

func stateLimits(t *testing.T, open func() store.State) {
	s := open()
	largest := store.Item{Name: strings.Repeat("n", store.MaxName), Version: 1, Body: bytes.Repeat([]byte{0xff}, store.MaxItem)}
	if err := s.Put(t.Context(), largest); err != nil {
		t.Errorf("the largest item: %v", err)
	}
	if got, err := s.Get(t.Context(), largest.Name); err != nil || got.Version != 1 || !bytes.Equal(got.Body, largest.Body) {
		t.Errorf("the largest item is read as one of %d bytes, %v", len(got.Body), err)
	}
	for _, tc := range []struct {
		item  store.Item
		words string
	}{
		{store.Item{Name: "big", Version: 1, Body: make([]byte, store.MaxItem+1)}, "item big has 307201 bytes, the limit is 307200"},
		{store.Item{Name: "", Version: 1}, "the name of an item has 0 bytes"},
		{store.Item{Name: strings.Repeat("n", store.MaxName+1), Version: 1}, "the name of an item has 256 bytes"},
		{store.Item{Name: "a b", Version: 1}, `the name "a b" of an item has a character`},
		{store.Item{Name: "zero"}, "item zero: not storable: version 0"},
		{store.Item{Name: "much", Version: math.MaxUint64}, "item much: not storable: version 18446744073709551615"},
	} {
		if err := s.Put(t.Context(), tc.item); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%v, want %q", err, tc.words)
		}
	}
	if _, err := s.Get(t.Context(), ""); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("Get without a name: %v", err)
	}
	if err := s.Delete(t.Context(), "", 1); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("Delete without a name: %v", err)
	}
}

// racers is how many writers want the same version at once, half of them at each of two replicas.
const racers = 64

func stateRace(t *testing.T, open func() store.State) {
	replicas := []store.State{open(), open()}
	for version := uint64(1); version <= 3; version++ {
		race(t, version, func(i int) error {
			return replicas[i%2].Put(t.Context(), store.Item{Name: "manifest", Version: version, Body: []byte{byte(i)}})
		}, func() (uint64, []byte, error) {
			item, err := replicas[1].Get(t.Context(), "manifest")
			return item.Version, item.Body, err
		})
	}
}

// race has racers write at once, of which exactly one may succeed, whose body is then stored.
func race(t *testing.T, version uint64, put func(i int) error, get func() (version uint64, body []byte, err error)) {
	t.Helper()
	var wg sync.WaitGroup
	var winners, winner atomic.Int64
	for i := range racers {
		wg.Go(func() {
			switch err := put(i); {
			case err == nil:
				winners.Add(1)
				winner.Store(int64(i))
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	got, body, err := get()
	if winners.Load() != 1 || err != nil || got != version || !bytes.Equal(body, []byte{byte(winner.Load())}) {
		t.Errorf("version %d: %d winners, the last %d; stored are version %d, body %x, %v", version, winners.Load(), winner.Load(), got, body, err)
	}
}

// stateList: 5 items of 250 KiB are more than a page of DynamoDB's, which is 1 MiB.
func stateList(t *testing.T, open func() store.State) {
	s := open()
	if got, err := s.List(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("an empty store lists %v, %v", got, err)
	}
	var want []store.Listed
	for i := range 40 {
		item := store.Item{Name: fmt.Sprintf("item/%02d", i), Version: 1}
		if i%8 == 0 {
			item.Body = make([]byte, 250<<10)
		}
		want = append(want, store.Listed{Name: item.Name, Version: 1})
		if err := s.Put(t.Context(), item); err != nil {
			t.Fatal(err)
		}
	}
	got, err := open().List(t.Context())
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

func stateEnded(t *testing.T, open func() store.State) {
	s := open()
	if _, model := s.(*State); model {
		return // memory does not wait for anything
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ended, store.Item{Name: "late", Version: 1}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Put with an ended context: %v", err)
	}
	if _, err := s.Get(ended, "late"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get with an ended context: %v", err)
	}
	if _, err := s.List(ended); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("List with an ended context: %v", err)
	}
}
