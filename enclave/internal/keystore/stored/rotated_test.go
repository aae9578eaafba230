package stored_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// slow is a table whose first write takes so long that something else happens before it ends.
type slow struct {
	store.Keys
	puts      atomic.Int64
	meanwhile func() // before the first write
	then      func() // after it, before it is answered
}

func (s *slow) Put(ctx context.Context, key store.Key) error {
	first := s.puts.Add(1) == 1
	if first && s.meanwhile != nil {
		s.meanwhile()
	}
	err := s.Keys.Put(ctx, key)
	if first && s.then != nil {
		s.then()
	}
	return err
}

// TestImportDuringRotation: what was sealed before the master key was replaced, and written after, is sealed anew or counts as failed.
func TestImportDuringRotation(t *testing.T) {
	for name, tc := range map[string]struct {
		meanwhile func(table store.Keys, chamber *sealer)
		then      func(table store.Keys, chamber *sealer)
		want      stored.Outcome
		words     string
	}{
		"the old key is there": {meanwhile: func(_ store.Keys, chamber *sealer) { chamber.rotate(2) }, want: stored.Imported},
		"the old key is dropped": {
			meanwhile: func(_ store.Keys, chamber *sealer) {
				chamber.rotate(2)
				delete(chamber.master, 1)
			},
			want: stored.Failed, words: "could not be sealed anew",
		},
		"sealed anew by another": {
			then: func(table store.Keys, chamber *sealer) {
				chamber.rotate(2)
				if left, err := newReplica(t, table, chamber).Reencrypt(context.Background()); left != 0 || err != nil {
					t.Errorf("%d left, %v", left, err)
				}
			},
			want: stored.Duplicate,
		},
	} {
		t.Run(name, func(t *testing.T) {
			table, chamber := new(storetest.Keys), newSealer(t)
			late := &slow{Keys: table}
			if tc.meanwhile != nil {
				late.meanwhile = func() { tc.meanwhile(table, chamber) }
			}
			if tc.then != nil {
				late.then = func() { tc.then(table, chamber) }
			}
			r := newReplica(t, late, chamber)
			result := r.Import(t.Context(), activeKeys(t, 0, 1))[0]
			if result.Outcome != tc.want || (result.Err != nil) != (tc.words != "") ||
				result.Err != nil && !strings.Contains(result.Err.Error(), tc.words) {
				t.Errorf("%+v", result)
			}
			if tc.want == stored.Failed {
				return
			}
			delete(chamber.master, 1)
			later := newReplica(t, table, chamber)
			later.load(t)
			if !later.signs(t, public(t, 0)) {
				t.Error("the key is lost with the old master key")
			}
		})
	}
}

// TestStatusDuringRotation: a change of a key that is there already is kept the same way.
func TestStatusDuringRotation(t *testing.T) {
	table, chamber := new(storetest.Keys), newSealer(t)
	mustImport(t, newReplica(t, table, chamber), activeKeys(t, 0, 1))
	r := newReplica(t, &slow{Keys: table, meanwhile: func() { chamber.rotate(2) }}, chamber)
	if err := r.SetStatus(t.Context(), public(t, 0), store.Inactive); err != nil {
		t.Fatal(err)
	}
	if item := get(t, table, public(t, 0)); item.Status != store.Inactive || !chamber.Current(item.Body) {
		t.Errorf("version %d, %s", item.Version, item.Status)
	}
}

// TestImportWhileSealing: a key whose item cannot be looked at any more does not count as imported.
func TestImportWhileSealing(t *testing.T) {
	table, chamber := new(storetest.Keys), newSealer(t)
	r := newReplica(t, &slow{Keys: table, meanwhile: func() { chamber.rotate(2); chamber.close(true) }}, chamber)
	if result := r.Import(t.Context(), activeKeys(t, 0, 1))[0]; result.Outcome != stored.Failed || !errors.Is(result.Err, errClosed) {
		t.Errorf("%+v", result)
	}
}
