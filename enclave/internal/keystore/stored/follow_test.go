package stored_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

func both(o *stored.Options) { o.Statuses = []store.Status{store.Active, store.Inactive} }

// TestStillSigns: a key that is to sign no more, and signs on, is not told as done, and the change is stored.
func TestStillSigns(t *testing.T) {
	inactive := func(r *replica) error { return r.SetStatus(t.Context(), public(t, 0), store.Inactive) }
	deleted := func(r *replica) error { return r.Delete(t.Context(), public(t, 0)) }
	for name, tc := range map[string]struct {
		file    bool // has the key too
		options []func(*stored.Options)
		change  func(*replica) error
		status  store.Status // as is stored then
		want    string       // of the error; "" if the key does not sign
	}{
		"inactive":                      {false, nil, inactive, store.Inactive, ""},
		"deleted":                       {false, nil, deleted, store.Deleted, ""},
		"inactive, in a file":           {true, nil, inactive, store.Inactive, "stored as inactive, and still signs here: from filesystem"},
		"deleted, in a file":            {true, nil, deleted, store.Deleted, "stored as deleted, and still signs here: from filesystem"},
		"inactive, and inactive loaded": {false, []func(*stored.Options){both}, inactive, store.Inactive, "stored as inactive, and still signs here: status_filter has inactive"},
		"deleted, and inactive loaded":  {false, []func(*stored.Options){both}, deleted, store.Deleted, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(t, new(storetest.Keys), newSealer(t), tc.options...)
			if tc.file {
				r.keys.Replace(keystore.Filesystem, []*keystore.Key{keystore.NewKey(secretKey(t, 0))})
			}
			r.load(t)
			mustImport(t, r, activeKeys(t, 0, 2))
			for range 2 { // it is so already, the second time
				err := tc.change(r)
				if errors.Is(err, store.ErrNotFound) {
					continue
				}
				if signs, ok := errors.AsType[*stored.SignsError](err); ok != (tc.want != "") || ok && (signs.Error() != tc.want || signs.Status != tc.status) {
					t.Errorf("%v, want %q", err, tc.want)
				}
				if r.signs(t, public(t, 0)) != (tc.want != "") || !r.signs(t, public(t, 1)) {
					t.Errorf("%v sign", loadedOf(t, r, 2))
				}
				if item := get(t, r.table, public(t, 0)); item.Status != tc.status || item.Version != 2 {
					t.Errorf("stored is version %d, %v", item.Version, item.Status)
				}
			}
		})
	}
}

// TestActivated: a key that is active and does not sign is not told as done.
func TestActivated(t *testing.T) {
	for name, tc := range map[string]struct {
		status  store.Status // before
		damaged bool         // before it was loaded
		later   bool         // damaged after that
		file    bool         // has the key too
		filter  store.Status
		want    string // "" if it signs
	}{
		"inactive":               {store.Inactive, false, false, false, store.Active, ""},
		"active":                 {store.Active, false, false, false, store.Active, ""},
		"damaged":                {store.Active, true, false, false, store.Active, "stored as active, and does not sign here: " + errCorrupt.Error()},
		"damaged, in a file":     {store.Active, true, false, true, store.Active, ""},
		"damaged, loaded before": {store.Active, false, true, false, store.Active, ""},
		"not to be loaded":       {store.Inactive, false, false, false, store.Inactive, "stored as active, and does not sign here: status_filter does not have it"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(t, new(storetest.Keys), newSealer(t), func(o *stored.Options) { o.Statuses = []store.Status{tc.filter} })
			if tc.file {
				r.keys.Replace(keystore.Filesystem, []*keystore.Key{keystore.NewKey(secretKey(t, 0))})
			}
			keys := activeKeys(t, 0, 1)
			keys[0].Status = tc.status
			mustImport(t, r, keys)
			if tc.damaged {
				damage(t, r.table, public(t, 0))
			}
			r.load(t)
			if tc.later {
				damage(t, r.table, public(t, 0))
			}
			err := r.SetStatus(t.Context(), public(t, 0), store.Active)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if r.signs(t, public(t, 0)) != (tc.want == "") {
				t.Errorf("%v, and it signs: %v", err, r.signs(t, public(t, 0)))
			}
		})
	}
}

// hooked calls functions once after it has done something, before it tells so.
type hooked struct {
	store.Keys
	afterGet, afterPut, afterDelete func()
}

func once(f *func()) {
	if g := *f; g != nil {
		*f = nil
		g()
	}
}

func (h *hooked) Get(ctx context.Context, public [48]byte) (store.Key, error) {
	item, err := h.Keys.Get(ctx, public)
	once(&h.afterGet)
	return item, err
}

func (h *hooked) Put(ctx context.Context, item store.Key) error {
	err := h.Keys.Put(ctx, item)
	once(&h.afterPut)
	return err
}

func (h *hooked) Delete(ctx context.Context, public [48]byte, version uint64) error {
	err := h.Keys.Delete(ctx, public, version)
	once(&h.afterDelete)
	return err
}

// TestOvertaken: a change that another one of this process came after is no table that went back, and is not told as what is.
func TestOvertaken(t *testing.T) {
	ctx := t.Context()
	set := func(r *replica, status store.Status) error { return r.SetStatus(ctx, public(t, 0), status) }
	imported := func(r *replica) error { return r.Import(ctx, activeKeys(t, 0, 1))[0].Err }
	for name, tc := range map[string]struct {
		stored  bool
		hook    func(h *hooked) *func()
		inner   func(r *replica) error // is done meanwhile
		outer   func(r *replica) error
		signs   bool
		changed bool // since, so that outer fails
	}{
		"deactivated, then activated": {
			true, func(h *hooked) *func() { return &h.afterPut }, func(r *replica) error { return set(r, store.Active) },
			func(r *replica) error { return set(r, store.Inactive) }, true, true,
		},
		"deleted, then imported": {
			true, func(h *hooked) *func() { return &h.afterDelete }, imported, func(r *replica) error { return r.Delete(ctx, public(t, 0)) }, true, true,
		},
		"imported, then deleted": {
			false, func(h *hooked) *func() { return &h.afterPut }, func(r *replica) error { return r.Delete(ctx, public(t, 0)) }, imported, false, false,
		},
		"imported, then deactivated": {
			false, func(h *hooked) *func() { return &h.afterPut }, func(r *replica) error { return set(r, store.Inactive) }, imported, false, false,
		},
		"deactivated after it was read": {
			true, func(h *hooked) *func() { return &h.afterGet }, func(r *replica) error { return set(r, store.Inactive) },
			func(r *replica) error { return set(r, store.Active) }, true, false,
		},
		"deleted after it was read": {
			true, func(h *hooked) *func() { return &h.afterGet }, func(r *replica) error { return r.Delete(ctx, public(t, 0)) }, imported, true, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := &hooked{Keys: new(storetest.Keys)}
			r := newReplica(t, table, newSealer(t))
			r.load(t)
			if tc.stored {
				mustImport(t, r, activeKeys(t, 0, 1))
			}
			*tc.hook(table) = func() {
				if err := tc.inner(r); err != nil {
					t.Errorf("meanwhile: %v", err)
				}
			}
			if err := tc.outer(r); (err != nil) != tc.changed || tc.changed && (!errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "changed since: version 3, active")) {
				t.Errorf("%v, want one of a later change: %v", err, tc.changed)
			}
			if r.signs(t, public(t, 0)) != tc.signs {
				t.Errorf("it signs: %v", !tc.signs)
			}
			if lines := r.errorsLogged(); len(lines) != 0 || r.Status().Unusable != 0 || r.metric(t, "failures") != 0 {
				t.Errorf("%+v, logged %q", r.Status(), lines)
			}
		})
	}
}

// TestCallerGoesAway: what is stored is followed nevertheless.
func TestCallerGoesAway(t *testing.T) {
	table := &hooked{Keys: new(storetest.Keys)}
	r := newReplica(t, table, newSealer(t))
	r.load(t)
	mustImport(t, r, activeKeys(t, 0, 1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	table.afterPut = cancel
	if err := r.SetStatus(ctx, public(t, 0), store.Inactive); err != nil || r.signs(t, public(t, 0)) {
		t.Errorf("%v, and it signs: %v", err, r.signs(t, public(t, 0)))
	}
}

// TestDeletedElsewhere: who is told that a key is not stored any more may take it elsewhere: this process, which had not heard of it, signs no
// more then.
func TestDeletedElsewhere(t *testing.T) {
	table, chamber := new(storetest.Keys), newSealer(t)
	here, there := newReplica(t, table, chamber), newReplica(t, table, chamber)
	here.load(t)
	mustImport(t, here, activeKeys(t, 0, 2))
	there.load(t)
	if err := there.Delete(t.Context(), public(t, 0)); err != nil {
		t.Fatal(err)
	}
	if !here.signs(t, public(t, 0)) {
		t.Fatal("it was followed before it was asked")
	}
	if err := here.Delete(t.Context(), public(t, 0)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if here.signs(t, public(t, 0)) || !here.signs(t, public(t, 1)) {
		t.Errorf("%v sign", loadedOf(t, here, 2))
	}
	here.keys.Replace(keystore.Filesystem, []*keystore.Key{keystore.NewKey(secretKey(t, 0))})
	if _, signs := errors.AsType[*stored.SignsError](here.Delete(t.Context(), public(t, 0))); !signs {
		t.Error("a file has the key, and that is not told")
	}
	if err := here.Delete(t.Context(), public(t, 3)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("one that never was: %v", err)
	}
}
