package stored_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// payload is what is sealed of a key without a backup.
func payload(t testing.TB, n int) []byte {
	t.Helper()
	p := []byte{1}
	if err := secretKey(t, n).Use(func(b []byte) error { p = append(p, b...); return nil }); err != nil {
		t.Fatal(err)
	}
	return append(p, 0, 0)
}

// nameOf is the name that an item is sealed with.
func nameOf(public bls.PublicKey, status string) string {
	return fmt.Sprintf("%x/%s", public[:], status)
}

// TestForeignItems: an item that is not what it stands for does not load, and holds no other back.
func TestForeignItems(t *testing.T) {
	chamber, other := newSealer(t), newSealer(t)
	seal := func(by *sealer, role, name string, version uint64, plaintext []byte) []byte {
		t.Helper()
		blob, err := by.Seal(role, name, version, plaintext)
		if err != nil {
			t.Fatal(err)
		}
		return blob
	}
	const role = "validator-key"
	mine := public(t, 0)
	newest := newSealer(t)
	newest.rotate(9) // a generation that the chamber does not know
	flipped := seal(chamber, role, nameOf(mine, "active"), 1, payload(t, 0))
	flipped[len(flipped)/2] ^= 1
	for name, tc := range map[string]struct {
		body []byte
		want string // "" if it loads
	}{
		"right":               {seal(chamber, role, nameOf(mine, "active"), 1, payload(t, 0)), ""},
		"of another key":      {seal(chamber, role, nameOf(public(t, 1), "active"), 1, payload(t, 1)), errCorrupt.Error()},
		"of another role":     {seal(chamber, "frozen-keys", nameOf(mine, "active"), 1, payload(t, 0)), errCorrupt.Error()},
		"of another status":   {seal(chamber, role, nameOf(mine, "inactive"), 1, payload(t, 0)), errCorrupt.Error()},
		"of another version":  {seal(chamber, role, nameOf(mine, "active"), 2, payload(t, 0)), errCorrupt.Error()},
		"of another chamber":  {seal(other, role, nameOf(mine, "active"), 1, payload(t, 0)), errCorrupt.Error()},
		"of an unknown key":   {seal(newest, role, nameOf(mine, "active"), 1, payload(t, 0)), errForeign.Error()},
		"a bit flipped":       {flipped, errCorrupt.Error()},
		"cut short":           {flipped[:9], errCorrupt.Error()},
		"empty":               {nil, errCorrupt.Error()},
		"another's secret":    {seal(chamber, role, nameOf(mine, "active"), 1, payload(t, 1)), "the secret key is that of another public key, " + public(t, 1).String()},
		"zero for a secret":   {seal(chamber, role, nameOf(mine, "active"), 1, append([]byte{1}, make([]byte, 34)...)), bls.ErrSecretKey.Error()},
		"no key at all":       {seal(chamber, role, nameOf(mine, "active"), 1, []byte{1, 2, 3}), "what was sealed is no key: 3 bytes"},
		"of a newer release":  {seal(chamber, role, nameOf(mine, "active"), 1, []byte{3}), "the key was sealed by a newer release, in format 3; this one reads 2"},
		"more than its parts": {seal(chamber, role, nameOf(mine, "active"), 1, append(payload(t, 0), 7)), "what was sealed is no key: a backup of 1 bytes that says 0"},
	} {
		t.Run(name, func(t *testing.T) {
			table := new(storetest.Keys)
			if err := table.Put(t.Context(), store.Key{PublicKey: mine, Version: 1, Status: store.Active, Body: tc.body}); err != nil {
				t.Fatal(err)
			}
			r := newReplica(t, table, chamber)
			mustImport(t, r, activeKeys(t, 5, 7))
			r.load(t)
			lines := r.errorsLogged()
			if tc.want == "" {
				if got := loadedOf(t, r, 7); !slices.Equal(got, []int{0, 5, 6}) || len(lines) != 0 {
					t.Errorf("%v sign, logged %q", got, lines)
				}
				return
			}
			if diff := cmp.Diff([]string{"stored key not loaded: " + mine.String() + " 1 active " + tc.want}, lines); diff != "" {
				t.Error(diff)
			}
			r.load(t)
			if got := loadedOf(t, r, 7); !slices.Equal(got, []int{5, 6}) || r.metric(t, "failures") != 2 || r.metric(t, "containment_stored_keys_unusable") != 1 {
				t.Errorf("%v sign, %v failures", got, r.metric(t, "failures"))
			}
			if lines := r.errorsLogged(); len(lines) != 0 {
				t.Errorf("told again: %q", lines)
			}
			if results := r.Import(t.Context(), activeKeys(t, 0, 1)); results[0].Outcome != stored.Failed || !strings.Contains(results[0].Err.Error(), "delete it first") {
				t.Errorf("imported over it: %+v", results)
			}
			if err := r.SetStatus(t.Context(), mine, store.Inactive); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("another status: %v", err)
			}
			if err := r.Delete(t.Context(), mine); err != nil {
				t.Error(err)
			}
			mustImport(t, r, activeKeys(t, 0, 1))
			if st := r.Status(); st.Unusable != 0 || !r.signs(t, mine) {
				t.Errorf("after it was put right: %+v, signs: %v", st, r.signs(t, mine))
			}
		})
	}
}

// TestDamagedLater: a key in use stays when its item is damaged, is told once, and is looked at again when that changes.
func TestDamagedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, chamber := new(storetest.Keys), newSealer(t)
		r := newReplica(t, table, chamber)
		r.load(t)
		r.run(t)
		mustImport(t, r, activeKeys(t, 0, 2))
		damage(t, table, public(t, 0))
		<-time.After(3 * interval)
		want := []string{"stored key not reloaded: it stays as it was: " + public(t, 0).String() + " 2 active " + errCorrupt.Error()}
		if diff := cmp.Diff(want, r.errorsLogged()); diff != "" || r.metric(t, "failures") != 1 || r.Status().Unusable != 1 {
			t.Errorf("%v failures, %s", r.metric(t, "failures"), diff)
		}
		if got := loadedOf(t, r, 2); !slices.Equal(got, []int{0, 1}) {
			t.Errorf("%v sign", got)
		}
		// Somebody puts it right: version 3, inactive.
		item := get(t, table, public(t, 0))
		item.Version, item.Status = 3, store.Inactive
		var err error
		if item.Body, err = chamber.Seal("validator-key", nameOf(public(t, 0), "inactive"), 3, payload(t, 0)); err != nil {
			t.Fatal(err)
		}
		if err := table.Put(t.Context(), item); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * interval)
		if got := loadedOf(t, r, 2); !slices.Equal(got, []int{1}) || r.Status().Unusable != 0 || r.metric(t, "failures") != 1 {
			t.Errorf("%v sign, %+v", got, r.Status())
		}
	})
}

// TestRolledBack: one item goes back while others go on. What this process has seen stands.
func TestRolledBack(t *testing.T) {
	for name, tc := range map[string]struct {
		version uint64 // told of key 0, which was seen as version 2, inactive
		status  store.Status
		refused bool
	}{
		"an older one":               {1, store.Active, true},
		"the same one":               {2, store.Inactive, false},
		"the same in another status": {2, store.Active, true},
		"nothing":                    {0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table, chamber := &hostile{Keys: new(storetest.Keys)}, newSealer(t)
				r := newReplica(t, table, chamber, func(o *stored.Options) { o.Statuses = []store.Status{store.Active, store.Inactive} })
				r.load(t)
				r.run(t)
				mustImport(t, r, activeKeys(t, 0, 2))
				old := get(t, table, public(t, 0))
				deactivate := func(n int) {
					t.Helper()
					if err := r.SetStatus(t.Context(), public(t, n), store.Inactive); !errors.As(err, new(*stored.SignsError)) {
						t.Fatalf("%v, want one of a key that signs: inactive ones are loaded", err)
					}
				}
				deactivate(0)
				<-time.After(2 * interval)
				// An authentic item of that version and status, as it may have been sealed once.
				old.Version, old.Status = tc.version, tc.status
				if tc.version == 2 {
					var err error
					if old.Body, err = chamber.Seal("validator-key", nameOf(public(t, 0), tc.status.String()), 2, payload(t, 0)); err != nil {
						t.Fatal(err)
					}
				}
				table.set(func(h *hostile) { h.lost = true })
				if tc.version == 0 {
					table.set(func(h *hostile) { h.gone = map[[48]byte]bool{old.PublicKey: true} })
				} else {
					table.forge(old)
				}
				deactivate(1)
				<-time.After(3 * interval)
				lines := r.errorsLogged()
				if !tc.refused {
					if len(lines) != 0 || r.Status().Unusable != 0 {
						t.Errorf("logged %q", lines)
					}
					return
				}
				if len(lines) != 1 || !strings.HasPrefix(lines[0], "stored key not reloaded: it stays as it was: "+public(t, 0).String()) ||
					!strings.Contains(lines[0], stored.ErrRolledBack.Error()) || !strings.Contains(lines[0], "version 2, inactive, was seen") {
					t.Errorf("logged %q", lines)
				}
				if strings.Contains(lines[0], "nothing is stored") != (tc.version == 0) {
					t.Errorf("logged %q", lines)
				}
				if r.metric(t, "failures") < 1 || r.Status().Unusable != 1 {
					t.Errorf("%v failures, %+v", r.metric(t, "failures"), r.Status())
				}
				// Nor is it made new again.
				for what, err := range map[string]error{
					"SetStatus": r.SetStatus(t.Context(), public(t, 0), store.Active),
					"Delete":    r.Delete(t.Context(), public(t, 0)),
					"Import":    r.Import(t.Context(), activeKeys(t, 0, 1))[0].Err,
				} {
					if !errors.Is(err, stored.ErrRolledBack) {
						t.Errorf("%s: %v", what, err)
					}
				}
				// Sealing and unsealing does not make the process forget.
				r.Drop()
				r.load(t)
				if _, held := r.keys.Held(keystore.Stored, public(t, 0)); held || r.Status().Unusable != 1 {
					t.Errorf("after Drop and Load it is in use: %v; %+v", held, r.Status())
				}
			})
		})
	}
}

// TestRolledBackIsNotMadeNew: a new master key does not bless an old item either.
func TestRolledBackIsNotMadeNew(t *testing.T) {
	table, chamber := &hostile{Keys: new(storetest.Keys)}, newSealer(t)
	r := newReplica(t, table, chamber)
	r.load(t)
	mustImport(t, r, activeKeys(t, 0, 3))
	old := get(t, table, public(t, 0))
	if err := r.SetStatus(t.Context(), public(t, 0), store.Inactive); err != nil {
		t.Fatal(err)
	}
	table.forge(old)
	chamber.rotate(2)
	left, err := r.Reencrypt(t.Context())
	if left != 1 || !errors.Is(err, stored.ErrRolledBack) || !strings.Contains(err.Error(), store.Short(public(t, 0))) {
		t.Errorf("%d left, %v", left, err)
	}
	if item := get(t, table.Keys, public(t, 0)); item.Version != 2 || item.Status != store.Inactive {
		t.Errorf("stored is version %d, %v", item.Version, item.Status)
	}
}

// TestDeletedComesBack: a deleted key that is stored again as it was stays deleted.
func TestDeletedComesBack(t *testing.T) {
	table, chamber := &hostile{Keys: new(storetest.Keys)}, newSealer(t)
	r := newReplica(t, table, chamber)
	r.load(t)
	mustImport(t, r, activeKeys(t, 0, 2))
	old := get(t, table, public(t, 0))
	if err := r.Delete(t.Context(), public(t, 0)); err != nil {
		t.Fatal(err)
	}
	table.forge(old)
	// It is told by the change that deleted it.
	r.run(t)
	await(t, "the forged item", func() bool { return r.Status().Unusable == 1 })
	if got := loadedOf(t, r, 2); !slices.Equal(got, []int{1}) {
		t.Errorf("%v sign", got)
	}
}

// TestCursorLost: all is loaded again, and what went meanwhile is gone.
func TestCursorLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, chamber := &hostile{Keys: new(storetest.Keys)}, newSealer(t)
		a, b := newReplica(t, table, chamber), newReplica(t, table, chamber)
		a.load(t)
		mustImport(t, a, activeKeys(t, 0, 6))
		b.load(t)
		b.run(t)
		table.set(func(h *hostile) { h.lost = true })
		opened := chamber.opened.Load()
		<-time.After(2 * interval)
		if n := chamber.opened.Load() - opened; n != 0 {
			t.Errorf("%d items were opened again", n)
		}
		if err := errors.Join(a.Delete(t.Context(), public(t, 0)), a.SetStatus(t.Context(), public(t, 1), store.Inactive)); err != nil {
			t.Error(err)
		}
		mustImport(t, a, activeKeys(t, 6, 7))
		<-time.After(2 * interval)
		if got := loadedOf(t, b, 7); !slices.Equal(got, []int{2, 3, 4, 5, 6}) || len(b.errorsLogged()) != 0 {
			t.Errorf("%v sign, %+v", got, b.Status())
		}
	})
}

// TestDamagedAndGone: an item that was never of use and is deleted while the changes are lost is no trouble any more.
func TestDamagedAndGone(t *testing.T) {
	table, chamber := &hostile{Keys: new(storetest.Keys)}, newSealer(t)
	r := newReplica(t, table, chamber)
	mustImport(t, r, activeKeys(t, 0, 2))
	damage(t, table, public(t, 0))
	r.load(t)
	if r.Status().Unusable != 1 {
		t.Errorf("%+v", r.Status())
	}
	table.set(func(h *hostile) { h.gone = map[[48]byte]bool{public(t, 0): true} })
	r.load(t)
	if r.Status().Unusable != 0 || r.metric(t, "failures") != 1 {
		t.Errorf("%+v, %v failures", r.Status(), r.metric(t, "failures"))
	}
}

// TestOutage: loaded keys sign on, and who asks is told since when they are not current.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, chamber := &hostile{Keys: new(storetest.Keys)}, newSealer(t)
		a, b := newReplica(t, table, chamber), newReplica(t, table, chamber)
		down := fmt.Errorf("%w: nobody answers", store.ErrUnavailable)
		mustImport(t, a, activeKeys(t, 0, 2))
		table.set(func(h *hostile) { h.fault = down })
		// It begins with an outage: Run tries again.
		if err := b.Load(t.Context()); !errors.Is(err, store.ErrUnavailable) || !errors.Is(b.Check(t.Context()), store.ErrUnavailable) {
			t.Errorf("%v, %v", err, b.Check(t.Context()))
		}
		b.run(t)
		table.set(func(h *hostile) { h.fault = nil })
		<-time.After(2 * interval)
		if got := loadedOf(t, b, 2); !slices.Equal(got, []int{0, 1}) || b.Check(t.Context()) != nil {
			t.Errorf("%v sign, %v", got, b.Check(t.Context()))
		}
		b.errorsLogged()
		table.set(func(h *hostile) { h.fault = down })
		<-time.After(150 * time.Second)
		st := b.Status()
		if err := b.Check(t.Context()); !errors.Is(err, down) || !strings.Contains(err.Error(), "stored keys are not current, for 2m") {
			t.Errorf("Check: %v", err)
		}
		if st.Since < 148*time.Second || st.Refreshed < 149*time.Second || b.metric(t, "containment_stored_keys_refresh_age_seconds") < 149 {
			t.Errorf("%+v", st)
		}
		if lines := b.errorsLogged(); len(lines) != 3 { // at once, and each minute
			t.Errorf("logged %q", lines)
		}
		if n := b.metric(t, "containment_stored_keys_refresh_failures_total"); n < 148 {
			t.Errorf("%v refresh failures", n)
		}
		if got := loadedOf(t, b, 2); !slices.Equal(got, []int{0, 1}) {
			t.Errorf("%v sign during the outage", got)
		}
		if result := b.Import(t.Context(), activeKeys(t, 2, 3))[0]; result.Outcome != stored.Failed || !errors.Is(result.Err, store.ErrUnavailable) {
			t.Errorf("%+v", result)
		}
		table.set(func(h *hostile) { h.fault = nil })
		<-time.After(2 * interval)
		if b.Check(t.Context()) != nil || b.Status().Refreshed > interval || b.metric(t, "failures") != 0 {
			t.Errorf("after it: %v, %+v", b.Check(t.Context()), b.Status())
		}
	})
}

// TestNoInterval: without an interval a Load that failed is tried again, and then nothing is asked.
func TestNoInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, chamber := &hostile{Keys: new(storetest.Keys), fault: store.ErrUnavailable}, newSealer(t)
		r := newReplica(t, table, chamber, func(o *stored.Options) { o.RefreshInterval = 0 })
		if err := r.Load(t.Context()); err == nil {
			t.Error("it loads during an outage")
		}
		r.run(t)
		table.set(func(h *hostile) { h.fault = nil })
		<-time.After(time.Minute)
		if !r.Status().Loaded {
			t.Errorf("%+v", r.Status())
		}
		mustImport(t, newReplica(t, table, chamber), activeKeys(t, 0, 1))
		<-time.After(time.Minute)
		if r.keys.Len() != 0 {
			t.Error("it follows changes")
		}
		mustImport(t, r, activeKeys(t, 1, 2)) // its own it knows
		if got := loadedOf(t, r, 2); !slices.Equal(got, []int{1}) {
			t.Errorf("%v sign", got)
		}
	})
}
