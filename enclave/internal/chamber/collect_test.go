package chamber

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// Whoever can write the signer state does not make a backup that no restore takes.
func TestBackupLeavesOutWhatIsPlanted(t *testing.T) {
	for name, tc := range map[string]struct {
		plant     func(w *world, named string) error
		allFrozen bool // of the restored chamber: its list is missing
	}{
		"a version above what is restored": {func(w *world, _ string) error {
			for version := range uint64(maxSteps + 1) {
				if err := w.state.Put(w.t.Context(), store.Item{Name: "frozen/planted", Version: version + 1}); err != nil {
					return err
				}
			}
			return nil
		}, false},
		"garbage": {func(w *world, _ string) error {
			return w.state.Put(w.t.Context(), store.Item{Name: "a", Version: 1, Body: make([]byte, store.MaxItem)})
		}, false},
		"versions of a list that is named": {func(w *world, named string) error {
			for version := range uint64(maxSteps + 1) {
				if err := w.state.Put(w.t.Context(), store.Item{Name: named, Version: version + 2}); err != nil {
					return err
				}
			}
			return nil
		}, true},
		"another list": {func(w *world, named string) error {
			return errors.Join(w.state.Delete(w.t.Context(), named, 1), w.state.Put(w.t.Context(), store.Item{Name: named, Version: 1, Body: []byte("x")}))
		}, true},
		"no list": {func(w *world, named string) error { return w.state.Delete(w.t.Context(), named, 1) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c, _ := w.initialized()
			if err := c.Freeze(t.Context(), [][48]byte{key(4)}); err != nil {
				t.Fatal(err)
			}
			if err := tc.plant(w, c.view.Load().m.Items[0].Name); err != nil {
				t.Fatal(err)
			}
			var file bytes.Buffer
			if err := c.Backup(t.Context(), &file); err != nil {
				t.Fatal(err)
			}
			told := w.logs.FilterMessageSnippet("not in the backup").Len() == 1
			w.state = &storetest.State{}
			n := w.replica()
			if err := n.Restore(t.Context(), bytes.NewReader(file.Bytes()), yes); err != nil {
				t.Fatal(err)
			}
			w.in(n, Unsealed)
			if !n.Frozen(key(4)) || n.Frozen(key(5)) != tc.allFrozen || (n.Ready() != nil) != tc.allFrozen || told != tc.allFrozen {
				t.Errorf("frozen %t, %t; Ready: %v; told %t", n.Frozen(key(4)), n.Frozen(key(5)), n.Ready(), told)
			}
		})
	}
}

// Files of before have all that stood in the signer state.
func TestRestoreOfMoreItems(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	m, records, err := c.collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[uint64]error{1: nil, 2: nil, maxSteps: nil, maxSteps + 1: ErrInvalid} {
		var file bytes.Buffer
		out := &lines{to: bufio.NewWriter(&file), sum: sha256.New()}
		if err := out.put(BackupInfo{Format: backupFormat, Type: backupType, Chamber: m.Chamber, Version: m.Version}); err != nil {
			t.Fatal(err)
		}
		more := Record{Section: stateSection, Name: "other/a", Version: version, Body: []byte("y")}
		for _, r := range slices.Insert(slices.Clone(records), 0, more) {
			if err := out.put(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := out.end(); err != nil {
			t.Fatal(err)
		}
		w.state = &storetest.State{}
		err := w.replica().Restore(t.Context(), bytes.NewReader(file.Bytes()), yes)
		if want != nil {
			wantErr(t, "Restore", err, want)
			w.restarted(Uninitialized)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		w.restarted(Unsealed)
		if item, err := w.state.Get(t.Context(), "other/a"); err != nil || item.Version != version || string(item.Body) != "y" {
			t.Errorf("%+v, %v", item, err)
		}
	}
}
