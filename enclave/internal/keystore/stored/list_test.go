package stored_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// overhead is what the sealer of the tests adds: the generation, a nonce and a tag.
const overhead = 1 + 12 + 16

// listing is what a list says of each key: status, whether there is a backup, and the fault.
func listing(t *testing.T, r *replica) map[bls.PublicKey]string {
	t.Helper()
	all := map[bls.PublicKey]string{}
	if err := r.List(t.Context(), func(item store.Key, backup bool, fault error) error {
		if item.Body != nil || item.Created.IsZero() || item.Updated.IsZero() {
			t.Errorf("%+v", item)
		}
		said := item.Status.String()
		if backup {
			said += " backup"
		}
		if fault != nil {
			said += ": " + fault.Error()
		}
		if all[item.PublicKey] != "" {
			t.Errorf("%x twice", item.PublicKey[:4])
		}
		all[item.PublicKey] = said
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestList: what is stored, with what is known of it, and without opening any key.
func TestList(t *testing.T) {
	for name, fresh := range stores() {
		t.Run(name, func(t *testing.T) {
			chamber, open := newSealer(t), fresh(t)
			r := newReplica(t, open(), chamber)
			if got := listing(t, r); len(got) != 0 {
				t.Errorf("of nothing: %v", got)
			}
			r.load(t)
			keys := activeKeys(t, 0, 4)
			keys[1].Status, keys[1].Backup = store.Inactive, []byte("b")
			mustImport(t, r, keys)
			damage(t, r.table, public(t, 2))
			r.load(t)
			if err := r.Delete(t.Context(), public(t, 3)); err != nil {
				t.Fatal(err)
			}
			opened := chamber.opened.Load()
			got := listing(t, r)
			if now := chamber.opened.Load(); now != opened {
				t.Errorf("%d keys were opened", now-opened)
			}
			damaged := got[public(t, 2)]
			delete(got, public(t, 2))
			if diff := cmp.Diff(map[bls.PublicKey]string{public(t, 0): "active", public(t, 1): "inactive backup"}, got); diff != "" {
				t.Error(diff)
			}
			if !strings.HasPrefix(damaged, "active: ") {
				t.Errorf("the damaged one: %s", damaged)
			}
			none := newReplica(t, open(), chamber, func(o *stored.Options) { o.Statuses = []store.Status{store.Inactive} })
			none.load(t)
			if said := listing(t, none)[public(t, 0)]; said != "active: it does not sign here: status_filter does not have active" {
				t.Error(said)
			}
			late := newReplica(t, open(), chamber)
			if said := listing(t, late)[public(t, 0)]; !strings.Contains(said, "it does not sign here yet") {
				t.Error(said)
			}
			enough := errors.New("enough")
			if err := r.List(t.Context(), func(store.Key, bool, error) error { return enough }); !errors.Is(err, enough) {
				t.Error(err)
			}
		})
	}
}
