package chamber

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// document fails the test unless a replica has this policy document.
func (w *world) document(c *Chamber, want []byte) (version string) {
	w.t.Helper()
	text, version, err := c.PolicyDocument()
	if err != nil || !bytes.Equal(text, want) {
		w.t.Fatalf("a document of %d bytes, %v; want %d", len(text), err, len(want))
	}
	return version
}

func put(text []byte) func([]byte) ([]byte, error) {
	return func([]byte) ([]byte, error) { return text, nil }
}

func TestPolicies(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	other := w.restarted(Unsealed)
	before := w.document(c, nil)
	if format := c.view.Load().m.Format; format != 1 {
		t.Errorf("format %d without policies, want that of the release before", format)
	}
	large := bytes.Repeat([]byte("policies "), MaxPolicies/9) // all items that there may be
	for _, text := range [][]byte{[]byte("one"), large, []byte("two")} {
		var seen []byte
		if err := c.ChangePolicies(t.Context(), "put-policy", func(now []byte) ([]byte, error) {
			seen = now
			return text, nil
		}); err != nil {
			t.Fatal(err)
		}
		if last, _, _ := other.PolicyDocument(); !bytes.Equal(seen, last) {
			t.Errorf("the change saw %d bytes, want those before", len(seen))
		}
		after := w.document(c, text)
		if after == before {
			t.Error("another document has the same version")
		}
		if err := other.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.document(other, text) != after {
			t.Error("two replicas have the same document in two versions")
		}
		if format := c.view.Load().m.Format; format != 2 {
			t.Errorf("format %d with policies, want 2", format)
		}
		before = after
	}
	items, err := w.state.List(t.Context())
	if err != nil || len(items) != 2 {
		t.Errorf("%v, %v: want the manifest and one item", items, err)
	}
	if body, err := w.state.Get(t.Context(), items[1].Name); err != nil || bytes.Contains(body.Body, []byte("two")) {
		t.Errorf("%q, %v: stands in the clear", body.Body, err)
	}
	wantErr(t, "too large", c.ChangePolicies(t.Context(), "x", put(make([]byte, MaxPolicies+1))), ErrInvalid, "more than")
	refusal := errors.New("no such policy")
	wantErr(t, "refused by the edit", c.ChangePolicies(t.Context(), "x", func([]byte) ([]byte, error) { return nil, refusal }), refusal)
	w.document(c, []byte("two"))
	w.document(w.restarted(Unsealed), []byte("two"))

	if err := c.SealChamber(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _, err = c.PolicyDocument()
	wantErr(t, "sealed", err, ErrSealed)
	_, err = c.TokenMAC("cc-client-x")
	wantErr(t, "sealed", err, ErrSealed)
}

// TestPoliciesSurvive what happens to a master key, a freeze and a backup.
func TestPoliciesSurvive(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized(func(o *Options) { o.RefreshInterval = 0 })
	text := []byte("who may do what")
	if err := c.ChangePolicies(t.Context(), "put-policy", put(text)); err != nil {
		t.Fatal(err)
	}
	mac, err := c.TokenMAC("cc-client-x")
	if err != nil {
		t.Fatal(err)
	}
	for what, do := range map[string]func() error{
		"freeze":   func() error { return c.Freeze(t.Context(), [][48]byte{key(1)}) },
		"rotation": func() error { return c.RotateMasterKey(t.Context(), nil) },
		"unfreeze": func() error { return c.Unfreeze(t.Context(), [][48]byte{key(1)}) },
	} {
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		w.document(c, text)
		w.document(w.restarted(Unsealed), text)
		if now, err := c.TokenMAC("cc-client-x"); err != nil || !bytes.Equal(now, mac) {
			t.Errorf("%s: tokens have another MAC, %v", what, err)
		}
	}
	var file bytes.Buffer
	if err := c.Backup(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	elsewhere := newWorld(t)
	elsewhere.kms = w.kms
	restored := elsewhere.replica()
	if err := restored.Restore(t.Context(), bytes.NewReader(file.Bytes()), func(BackupInfo) error { return nil }); err != nil {
		t.Fatal(err)
	}
	elsewhere.document(restored, text)
}

// TestLostPolicies: nobody has rights by a document that is not there, a process goes on with what it had, and an operator can begin anew.
func TestLostPolicies(t *testing.T) {
	for what, damage := range map[string]func(w *world, item store.Item){
		"missing": func(*world, store.Item) {},
		"damaged": func(w *world, item store.Item) {
			item.Body = append(bytes.Clone(item.Body), 0)
			if err := w.state.Put(context.Background(), item); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			c, _ := w.initialized()
			if err := c.ChangePolicies(t.Context(), "put-policy", put([]byte("text"))); err != nil {
				t.Fatal(err)
			}
			item, err := w.state.Get(t.Context(), c.view.Load().m.Items[0].Name)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.state.Delete(t.Context(), item.Name, 1); err != nil {
				t.Fatal(err)
			}
			damage(w, item)
			cold := w.restarted(Unsealed)
			_, _, err = cold.PolicyDocument()
			wantErr(t, "a new process", err, ErrCorrupt, item.Name)
			if err := cold.Ready(); err == nil || !strings.Contains(err.Error(), "no client token is known: ["+item.Name) {
				t.Errorf("a new process is ready: %v", err)
			}
			if cold.Frozen(key(1)) {
				t.Error("keys are frozen without a freeze")
			}
			c.tryItems(t.Context(), c.view.Load())
			for range 2 { // and it stays so
				if err := c.Ready(); err == nil || !strings.Contains(err.Error(), item.Name) {
					t.Errorf("the running one is ready: %v", err)
				}
				w.document(c, []byte("text"))
				if err := c.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if what == "missing" { // it may come back
				if err := w.state.Put(t.Context(), item); err != nil {
					t.Fatal(err)
				}
				if err := cold.Refresh(t.Context()); err != nil || cold.Ready() != nil {
					t.Errorf("after it is back: %v, %v", err, cold.Ready())
				}
				w.document(cold, []byte("text"))
				looking := w.restarted(Unsealed)
				if err := w.state.Delete(t.Context(), item.Name, 1); err != nil {
					t.Fatal(err)
				}
				cold = w.restarted(Unsealed)
				if err := w.state.Put(t.Context(), item); err != nil {
					t.Fatal(err)
				}
				cold.tryItems(t.Context(), cold.view.Load())
				w.document(cold, []byte("text"))
				looking.stop()
				if err := w.state.Delete(t.Context(), item.Name, 1); err != nil {
					t.Fatal(err)
				}
				cold = w.restarted(Unsealed)
			}
			wantErr(t, "a change", cold.ChangePolicies(t.Context(), "x", put([]byte("next"))), ErrCorrupt, "operator policy reset")
			if err := cold.ResetPolicies(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.document(cold, nil)
			if err := cold.Ready(); err != nil {
				t.Errorf("after the reset: %v", err)
			}
			if err := c.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.document(c, nil)
		})
	}
}
