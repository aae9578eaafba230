package stored_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// exported are all items of a replica.
func exported(t *testing.T, r *replica) []store.Key {
	t.Helper()
	items, leftOut, err := r.Export(t.Context())
	if err != nil || leftOut != 0 {
		t.Fatalf("%d are left out, %v", leftOut, err)
	}
	return items
}

// TestRestore: what a table had comes into another of each kind, with its versions, while the chamber is sealed, also in two tries.
func TestRestore(t *testing.T) {
	chamber := newSealer(t)
	source := newReplica(t, new(storetest.Keys), chamber)
	mustImport(t, source, activeKeys(t, 0, 6))
	for _, status := range []store.Status{store.Inactive, store.Active, store.Inactive, store.Active, store.Inactive} {
		if err := source.SetStatus(t.Context(), public(t, 0), status); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(source.SetStatus(t.Context(), public(t, 1), store.Inactive), source.SetStatus(t.Context(), public(t, 1), store.Active),
		source.Delete(t.Context(), public(t, 2))); err != nil {
		t.Fatal(err)
	}
	items := exported(t, source)
	if len(items) != 5 || !slices.IsSortedFunc(items, func(a, b store.Key) int { return slices.Compare(a.PublicKey[:], b.PublicKey[:]) }) {
		t.Fatalf("%d items are exported, or not sorted", len(items))
	}
	for name, fresh := range stores() {
		t.Run(name, func(t *testing.T) {
			table := &hostile{Keys: fresh(t)()}
			chamber.close(true)
			r := newReplica(t, table, chamber)
			restore := func() (err error) {
				for _, item := range items {
					err = errors.Join(err, r.Restore(t.Context(), item))
				}
				return err
			}
			table.set(func(h *hostile) { h.writes, h.full = 4, store.ErrUnavailable })
			if err := restore(); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("the table goes away: %v", err)
			}
			table.set(func(h *hostile) { h.full = nil })
			if err := errors.Join(restore(), restore()); err != nil { // goes on, and may be done again
				t.Fatal(err)
			}
			if diff := cmp.Diff(items, exported(t, r), cmpopts.IgnoreFields(store.Key{}, "Changed", "Created", "Updated")); diff != "" {
				t.Error(diff)
			}
			chamber.close(false)
			r.load(t)
			if got := loadedOf(t, r, 6); !slices.Equal(got, []int{1, 3, 4, 5}) || r.Status().Unusable != 0 {
				t.Errorf("%v sign", got)
			}
			if err := r.SetStatus(t.Context(), public(t, 0), store.Active); err != nil { // goes on from its version
				t.Error(err)
			}
			if err := r.Restore(t.Context(), get(t, source.table, public(t, 0))); !errors.Is(err, store.ErrConflict) {
				t.Errorf("over a newer one: %v", err)
			}
			if err := r.Delete(t.Context(), public(t, 1)); err != nil {
				t.Error(err)
			}
			if err := r.Restore(t.Context(), get(t, source.table, public(t, 1))); !errors.Is(err, store.ErrConflict) {
				t.Errorf("over a deleted one: %v", err)
			}
		})
	}
}

func TestRestoreRefuses(t *testing.T) {
	r := newReplica(t, new(storetest.Keys), newSealer(t))
	good := store.Key{PublicKey: public(t, 0), Version: 1, Status: store.Active, Body: []byte("sealed")}
	for name, change := range map[string]func(k *store.Key){
		"version 0":          func(k *store.Key) { k.Version = 0 },
		"a version too high": func(k *store.Key) { k.Version = 1001 },
		"a deleted one":      func(k *store.Key) { k.Status = store.Deleted },
		"without a body":     func(k *store.Key) { k.Body = nil },
		"a body too long":    func(k *store.Key) { k.Body = make([]byte, store.MaxKeyBody+1) },
	} {
		bad := good
		change(&bad)
		if err := r.Restore(t.Context(), bad); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if items := exported(t, r); len(items) != 0 {
		t.Errorf("%d items were stored", len(items))
	}
	mustImport(t, r, activeKeys(t, 1, 3))
	if err := r.Delete(t.Context(), public(t, 2)); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 3; n++ {
		there, newer := get(t, r.table, public(t, n)), good
		newer.PublicKey, newer.Version = there.PublicKey, 4
		if err := r.Restore(t.Context(), newer); !errors.Is(err, store.ErrConflict) {
			t.Errorf("over one that is no part of a restore: %v", err)
		}
		if diff := cmp.Diff(there, get(t, r.table, public(t, n))); diff != "" {
			t.Error(diff)
		}
	}
	good.Version = 1000
	if err := r.Restore(t.Context(), good); err != nil {
		t.Errorf("the highest version: %v", err)
	}
}

func TestExportFails(t *testing.T) {
	table := &hostile{Keys: new(storetest.Keys)}
	r := newReplica(t, table, newSealer(t))
	mustImport(t, r, activeKeys(t, 0, 3))
	table.set(func(h *hostile) { h.fault = fmt.Errorf("%w: nobody answers", store.ErrUnavailable) })
	if items, leftOut, err := r.Export(t.Context()); !errors.Is(err, store.ErrUnavailable) || items != nil || leftOut != 0 {
		t.Errorf("%+v, %d, %v", items, leftOut, err)
	}
}

// TestExportLeavesOut: one item that cannot be restored keeps no other from it, and is told.
func TestExportLeavesOut(t *testing.T) {
	table, chamber := &hostile{Keys: new(storetest.Keys)}, newSealer(t)
	r := newReplica(t, table, chamber)
	mustImport(t, r, activeKeys(t, 0, 3))
	high := get(t, table, public(t, 0))
	high.Version = 1001
	table.forge(high)
	for n := 10; n < 21; n++ {
		if err := table.Put(t.Context(), store.Key{PublicKey: public(t, n), Version: 1, Status: store.Inactive}); err != nil {
			t.Fatal(err)
		}
	}
	r.load(t)
	r.logs.TakeAll()
	items, leftOut, err := r.Export(t.Context())
	if err != nil || leftOut != 12 || len(items) != 2 {
		t.Fatalf("%d items, %d are left out, %v", len(items), leftOut, err)
	}
	lines := r.logs.FilterMessageSnippet("left out of a backup").All()
	if len(lines) != 1 || lines[0].ContextMap()["left_out"] != int64(12) {
		t.Fatalf("logged %+v", lines)
	}
	named, ok := lines[0].ContextMap()["keys"].([]any)
	if text := fmt.Sprint(named...); !ok || len(named) != 10 || !strings.Contains(text, "0 bytes") {
		t.Errorf("%d are named: %s", len(named), text)
	}
	if n := r.Status().Unusable; n != 12 { // eleven without a body, and the one that was forged
		t.Errorf("%d are unusable", n)
	}
	to := newReplica(t, new(storetest.Keys), chamber)
	for _, item := range items {
		if err := to.Restore(t.Context(), item); err != nil {
			t.Error(err)
		}
	}
	to.load(t)
	if got := loadedOf(t, to, 3); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("%v sign", got)
	}
}
