package chamber

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

func yes(BackupInfo) error { return nil }

// keysSection is a section as another room has it.
func keysSection(of map[string]Record) Section {
	return Section{
		Name: "keys",
		Backup: func(_ context.Context, put func(Record) error) error {
			for _, r := range of {
				if err := put(r); err != nil {
					return err
				}
			}
			return nil
		},
		Restore: func(_ context.Context, r Record) error { of[r.Name] = r; return nil },
	}
}

func TestBackupAndRestore(t *testing.T) {
	w := newWorld(t)
	c, r := w.initialized()
	blob := sealed(t, c)
	if err := errors.Join(c.ApproveConfig(t.Context(), digest(digestB), "next"), c.Freeze(t.Context(), [][48]byte{key(4)}),
		w.state.Put(t.Context(), store.Item{Name: "other/a", Version: 1, Body: []byte("x")}),
		w.state.Put(t.Context(), store.Item{Name: "other/a", Version: 2, Body: []byte("y")})); err != nil {
		t.Fatal(err)
	}
	keys := map[string]Record{"0xaa": {Section: "keys", Name: "0xaa", Version: 3, Status: "active", Body: []byte("sealed")}}
	var file bytes.Buffer
	if err := c.Backup(t.Context(), &file, keysSection(keys)); err != nil {
		t.Fatal(err)
	}

	w.state = &storetest.State{}
	restored := map[string]Record{}
	n := w.replica(func(o *Options) { o.PinnedID = r.ChamberID })
	var seen BackupInfo
	err := n.Restore(t.Context(), bytes.NewReader(file.Bytes()), func(i BackupInfo) error { seen = i; return errors.New("no") }, keysSection(restored))
	if listed, _ := w.state.List(t.Context()); err == nil || len(listed) != 0 || len(restored) != 0 {
		t.Errorf("it was not confirmed: %v, %v, %v", err, listed, restored)
	}
	if seen.Chamber != r.ChamberID || seen.Version != 3 || seen.Records["keys"] != 1 || seen.Records["state"] != 2 {
		t.Errorf("shown %+v", seen)
	}
	if err := n.Restore(t.Context(), bytes.NewReader(file.Bytes()), yes, keysSection(restored)); err != nil {
		t.Fatal(err)
	}
	works(t, n, blob)
	if !n.Frozen(key(4)) || n.Frozen(key(5)) || n.Status().Version != 3 || n.Ready() != nil {
		t.Errorf("status %+v", n.Status())
	}
	if diff := cmp.Diff(keys, restored); diff != "" {
		t.Errorf("keys, -want +got:\n%s", diff)
	}
	if item, err := w.state.Get(t.Context(), "other/a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what no manifest names was restored: %+v, %v", item, err)
	}
	if err := n.Unfreeze(t.Context(), nil); err != nil {
		t.Errorf("it does not go on: %v", err)
	}
	wantErr(t, "restore over it", w.replica().Restore(t.Context(), bytes.NewReader(file.Bytes()), yes, keysSection(restored)), ErrInitialized)
}

func TestRestoreRefuses(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	if err := c.Freeze(t.Context(), [][48]byte{key(4)}); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := c.Backup(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	text := file.String()
	lines := strings.SplitAfter(text, "\n")
	changed := []byte(text)
	changed[strings.Index(text, `"body":"`)+40] ^= 1
	for name, tc := range map[string]struct {
		text string
		kind error
	}{
		"empty":           {"", ErrCorrupt},
		"another file":    {"{}\n", ErrCorrupt},
		"cut":             {strings.Join(lines[:len(lines)-2], ""), ErrCorrupt},
		"a line gone":     {lines[0] + strings.Join(lines[2:], ""), ErrCorrupt},
		"lines swapped":   {lines[0] + lines[2] + lines[1] + strings.Join(lines[3:], ""), ErrCorrupt},
		"a byte changed":  {string(changed), ErrCorrupt},
		"more":            {text + "{}\n", ErrCorrupt},
		"newer":           {strings.Replace(text, `{"format":1`, `{"format":2`, 1), ErrNewer},
		"header changed":  {strings.Replace(text, `"version":2`, `"version":9`, 1), ErrCorrupt},
		"without a state": {lines[0] + `{"end":0,"sha256":"x"}` + "\n", ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.text == text {
				t.Fatal("nothing was changed")
			}
			n := newWorld(t)
			asked := func(BackupInfo) error { t.Error("it was asked to confirm"); return nil }
			wantErr(t, "Restore", n.replica().Restore(t.Context(), strings.NewReader(tc.text), asked), tc.kind)
			if listed, err := n.state.List(t.Context()); err != nil || len(listed) != 0 {
				t.Errorf("%v, %v", listed, err)
			}
		})
	}
	pinned := newWorld(t).replica(func(o *Options) { o.PinnedID = strings.Repeat("0", 32) })
	wantErr(t, "another chamber", pinned.Restore(t.Context(), strings.NewReader(text), yes), ErrPinned)
	used := newWorld(t)
	if err := used.state.Put(t.Context(), store.Item{Name: "frozen/else", Version: 1}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "not empty", used.replica().Restore(t.Context(), strings.NewReader(text), yes), ErrInvalid, "frozen/else")
}

// A restore that ends at any write has not made a chamber, and is done again.
func TestRestoreCrashes(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	if err := c.Freeze(t.Context(), [][48]byte{key(4)}); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := c.Backup(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	points := 0
	for k, over := 1, false; !over; k++ {
		for _, done := range []bool{false, true} {
			w.state = &storetest.State{}
			x := &crashing{State: w.state, done: done, left: k}
			over = w.replica(func(o *Options) { o.State = x }).Restore(t.Context(), bytes.NewReader(file.Bytes()), yes) == nil
			if over {
				continue
			}
			points++
			if _, err := w.state.Get(t.Context(), manifestName); errors.Is(err, store.ErrNotFound) {
				w.restarted(Uninitialized)
				if err := w.replica().Restore(t.Context(), bytes.NewReader(file.Bytes()), yes); err != nil {
					t.Fatalf("call %d: %v", k, err)
				}
			}
			if n := w.restarted(Unsealed); !n.Frozen(key(4)) || n.Ready() != nil {
				t.Fatalf("call %d: %v", k, n.Ready())
			}
		}
	}
	if points < 6 {
		t.Errorf("only %d crash points", points)
	}
}

// The whole life on a real store, with two replicas and a restore into another.
func TestOnSQLite(t *testing.T) {
	open := func(path string) store.State {
		s, err := sqlite.OpenState(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "state.db")
	w.state = open(path)
	a, r := w.initialized(func(o *Options) { o.RefreshInterval = 0 })
	blob := sealed(t, a)
	w.state = open(path)
	b := w.restarted(Unsealed, func(o *Options) { o.RefreshInterval = 0 })
	if err := errors.Join(b.Freeze(t.Context(), [][48]byte{key(1)}), a.Refresh(t.Context()), a.RotateKMS(t.Context(), arns(2, 3), 1),
		b.SealChamber(t.Context()), a.Refresh(t.Context()), a.Unseal(t.Context(), r.RootToken), b.Refresh(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Chamber{a, b} {
		works(t, c, blob)
		if !c.Frozen(key(1)) || c.Frozen(key(2)) {
			t.Error("the freeze was lost")
		}
	}
	var file bytes.Buffer
	if err := a.Backup(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	w.state = open(filepath.Join(t.TempDir(), "other.db"))
	c := w.replica(func(o *Options) { o.RefreshInterval = 0 })
	if err := c.Restore(t.Context(), bytes.NewReader(file.Bytes()), yes); err != nil {
		t.Fatal(err)
	}
	works(t, c, blob)
	if err := c.RotateMasterKey(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(c.Frozen(key(1)), c.Frozen(key(2)), c.Ready()); got != "true false <nil>" {
		t.Error(got)
	}
}
