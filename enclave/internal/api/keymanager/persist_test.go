package keymanager_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// safe is a chamber with its table, whose replicas are desks.
type safe struct {
	t     *testing.T
	world chambertest.World
}

func newSafe(t *testing.T) *safe {
	t.Helper()
	s := &safe{t: t}
	first, err := s.world.Signer(zap.NewNop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Chamber.Init(t.Context(), chamber.InitRequest{KeyARNs: chambertest.ARNs(1), Threshold: 1}); err != nil {
		t.Fatal(err)
	}
	return s
}

// replica is a desk with stored keys, which it has loaded.
func (s *safe) replica(with func(*settings)) (*desk, *stored.Source) {
	s.t.Helper()
	opened, err := s.world.Signer(zap.NewNop(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if opened.Chamber.Unsealed() == "" {
		s.t.Fatal(opened.Chamber.Sealed())
	}
	loaded := keystore.New()
	source, err := stored.New(stored.Options{
		Keys: &s.world.Table, Sealer: opened.Chamber, Keystore: loaded, Statuses: []store.Status{store.Active}, Readers: 4, Closed: chamber.Closed,
		Log: zap.NewNop(), Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := source.Load(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return newDesk(s.t, func(o *settings) {
		o.stored, o.loaded = source, loaded
		with(o)
	}), source
}

func persisting(s *settings) { s.persist = true }

func TestPersistedKeysOutliveTheProcess(t *testing.T) {
	s := newSafe(t)
	ledger := openLedger(t)
	sharing := func(o *settings) { o.persist, o.ledger = true, ledger }
	d, _ := s.replica(sharing)
	d.did("POST", importBody(nil, 1, 2, 1), "imported imported duplicate")
	if err := d.attest(1, 5); err != nil {
		t.Fatal(err)
	}
	again, _ := s.replica(sharing) // a restart
	want := []string{line(1, "", false), line(2, "", false)}
	slices.Sort(want)
	if diff := cmp.Diff(want, again.listed(again.caller)); diff != "" {
		t.Error(diff)
	}
	again.did("POST", importBody(nil, 2), "duplicate")
	a := again.did("DELETE", deleteBody(1, 3), "deleted not_found")
	if diff := cmp.Diff(map[string]uint64{publicKey(1).String(): 5}, exported(t, a)); diff != "" {
		t.Error(diff)
	}
	if p := problem.Of(again.attest(1, 6)); p.Kind != problem.UnknownKey {
		t.Errorf("a deleted key: %v", p)
	}
	third, _ := s.replica(sharing)
	if diff := cmp.Diff([]string{line(2, "", false)}, third.listed(third.caller)); diff != "" {
		t.Error(diff)
	}
	third.did("DELETE", deleteBody(1), "not_active")
	third.did("POST", importBody(nil, 1), "imported") // and may come back
}

// TestStoredKeysAreReadOnlyWithoutPersist, and a key in memory that would come back from the table is not told to be deleted.
func TestStoredKeysAreReadOnlyWithoutPersist(t *testing.T) {
	s := newSafe(t)
	d, source := s.replica(func(*settings) {})
	d.did("POST", importBody(nil, 2, 3), "imported imported")
	for _, r := range source.Import(t.Context(), []stored.Key{{Secret: secretKey(1), Status: store.Active}, {Secret: secretKey(2), Status: store.Active}}) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	want := []string{line(1, "", true), line(2, "", false), line(3, "", false)}
	slices.Sort(want)
	if diff := cmp.Diff(want, d.listed(d.caller)); diff != "" {
		t.Error(diff)
	}
	a := d.did("DELETE", deleteBody(1, 2, 3), "error error deleted")
	for n, words := range []string{"it comes from the table of stored keys", "from where it would come back", ""} {
		if !strings.Contains(a.Data[n].Message, words) {
			t.Errorf("%d: %q, want %q", n, a.Data[n].Message, words)
		}
	}
	d.did("POST", importBody(nil, 1), "duplicate")
	again, _ := s.replica(func(*settings) {}) // a restart: what was in memory alone is gone
	if diff := cmp.Diff(2, again.loaded.Len()); diff != "" {
		t.Error(diff)
	}
}

// TestInactiveKeys are not listed, and deleted all the same: somebody could activate one that signs elsewhere by then.
func TestInactiveKeys(t *testing.T) {
	d, source := newSafe(t).replica(persisting)
	d.did("POST", importBody(nil, 1, 2), "imported imported")
	if err := source.SetStatus(t.Context(), publicKey(1), store.Inactive); err != nil {
		t.Fatal(err)
	}
	a := d.did("POST", importBody(nil, 1), "duplicate")
	if !strings.Contains(a.Data[0].Message, "not active") {
		t.Errorf("%+v", a.Data[0])
	}
	if diff := cmp.Diff([]string{line(2, "", false)}, d.listed(d.caller)); diff != "" {
		t.Error(diff)
	}
	d.did("DELETE", deleteBody(1), "deleted")
	d.did("DELETE", deleteBody(1), "not_found")
}

// TestDeletionWaitsForOtherReplicas before it reads the record that they write too, also if it has deleted nothing: another one may be waiting.
func TestDeletionWaitsForOtherReplicas(t *testing.T) {
	const settle = time.Hour
	synctest.Test(t, func(t *testing.T) {
		ledger := &watched{Ledger: storetest.NewMemory()}
		d := newDesk(t, func(s *settings) { s.Settle, s.ledger = settle, ledger })
		d.did("POST", importBody(nil, 1), "imported")
		began, read := time.Now(), time.Duration(0)
		ledger.reading = func() { read = time.Since(began) }
		d.did("DELETE", deleteBody(1), "deleted")
		if read != settle {
			t.Errorf("the record was read after %s, want %s", read, settle)
		}
		began = time.Now()
		d.did("DELETE", deleteBody(1), "not_found")
		if read != settle {
			t.Errorf("where nothing was deleted it was read after %s, want %s", read, settle)
		}
	})
}
