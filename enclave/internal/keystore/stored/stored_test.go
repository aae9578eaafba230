package stored_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// What is asked for here is what the chamber has.
var _ stored.Sealer = (*chamber.Chamber)(nil)

// stores make an empty table of each kind, and return what opens it, as a replica each time.
func stores() map[string]func(t testing.TB) func() store.Keys {
	all := map[string]func(t testing.TB) func() store.Keys{
		"memory": func(testing.TB) func() store.Keys {
			k := new(storetest.Keys)
			return func() store.Keys { return k }
		},
		"sqlite": func(t testing.TB) func() store.Keys {
			path := filepath.Join(t.TempDir(), "keys.sqlite")
			return func() store.Keys { return opened(t)(sqlite.OpenKeys(t.Context(), path)) }
		},
	}
	if postgresServer == nil {
		return all
	}
	all["postgres"] = func(t testing.TB) func() store.Keys {
		_, url, err := postgresServer.NewDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return func() store.Keys {
			return opened(t)(postgres.OpenKeys(t.Context(), postgres.Options{
				URL: url, CAs: postgresServer.CAs(), Dial: new(net.Dialer).DialContext, PoolSize: 8, Timeout: time.Minute, ForceIPv4: true,
			}))
		}
	}
	all["dynamodb"] = func(t testing.TB) func() store.Keys {
		o := dynamodb.Options{
			Table: dynamodbServer.TableName(), Region: dynamodbtest.Region, Endpoint: dynamodbServer.Endpoint(),
			Credentials: dynamodbServer.Credentials(), Dial: new(net.Dialer).DialContext, Timeout: time.Minute,
		}
		if err := dynamodb.MakeKeys(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		return func() store.Keys { return opened(t)(dynamodb.OpenKeys(t.Context(), o)) }
	}
	return all
}

// opened closes what was opened when the test ends.
func opened(t testing.TB) func(k store.Keys, err error) store.Keys {
	return func(k store.Keys, err error) store.Keys {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = k.Close() })
		return k
	}
}

// TestStory: what one replica changes the other does, on every store.
func TestStory(t *testing.T) {
	for name, fresh := range stores() {
		t.Run(name, func(t *testing.T) {
			open, chamber := fresh(t), newSealer(t)
			fast := func(o *stored.Options) { o.RefreshInterval = 5 * time.Millisecond }
			a, b := newReplica(t, open(), chamber, fast), newReplica(t, open(), chamber, fast)
			b.load(t)
			b.run(t)
			a.load(t)
			keys := activeKeys(t, 0, 12)
			keys[11].Status = store.Inactive
			keys[0].Backup = []byte("age")
			mustImport(t, a, keys)
			expect := func(what string, want ...int) {
				t.Helper()
				if got := loadedOf(t, a, 12); !slices.Equal(got, want) {
					t.Errorf("%s: at once %v sign, want %v", what, got, want)
				}
				await(t, what, func() bool { return slices.Equal(loadedOf(t, b, 12), want) })
			}
			expect("imported", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
			for i, r := range b.Import(t.Context(), keys[:2]) {
				if r.Outcome != stored.Duplicate || r.Err != nil || r.PublicKey != public(t, i) {
					t.Errorf("again: %+v", r)
				}
			}
			steps := errors.Join(
				a.SetStatus(t.Context(), public(t, 11), store.Active), a.SetStatus(t.Context(), public(t, 10), store.Inactive),
				a.SetStatus(t.Context(), public(t, 9), store.Active), a.Delete(t.Context(), public(t, 8)), a.Delete(t.Context(), public(t, 7)),
			)
			if steps != nil {
				t.Error(steps)
			}
			mustImport(t, a, keys[7:8]) // comes back after its deletion
			expect("changed", 0, 1, 2, 3, 4, 5, 6, 7, 9, 11)
			for _, err := range []error{
				a.Delete(t.Context(), public(t, 8)), a.Delete(t.Context(), public(t, 99)), a.SetStatus(t.Context(), public(t, 8), store.Active),
			} {
				if !errors.Is(err, store.ErrNotFound) {
					t.Errorf("of a key that is not stored: %v", err)
				}
			}
			backup, err := b.Backup(t.Context(), public(t, 0))
			if none, err2 := b.Backup(t.Context(), public(t, 1)); string(backup) != "age" || len(none) != 0 || err != nil || err2 != nil {
				t.Errorf("backups %q and %q, %v, %v", backup, none, err, err2)
			}
			fresh := newReplica(t, open(), chamber)
			fresh.load(t)
			if got := loadedOf(t, fresh, 12); !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7, 9, 11}) {
				t.Errorf("a new replica loads %v", got)
			}
			if n := chamber.unwiped(); n != 0 {
				t.Errorf("%d opened payloads were not wiped", n)
			}
			for _, r := range []*replica{a, b, fresh} {
				if errs := r.errorsLogged(); len(errs) != 0 || r.Check(t.Context()) != nil || r.metric(t, "failures") != 0 {
					t.Errorf("errors: %q, %v", errs, r.Check(t.Context()))
				}
			}
		})
	}
}

// loadedOf are the numbers below n of the keys that a replica signs with.
func loadedOf(t testing.TB, r *replica, n int) (loaded []int) {
	t.Helper()
	for i := range n {
		if r.signs(t, public(t, i)) {
			loaded = append(loaded, i)
		}
	}
	return loaded
}

// await waits until a condition is met, for a minute at most.
func await(t testing.TB, what string, met func() bool) {
	t.Helper()
	ticks := time.NewTicker(2 * time.Millisecond)
	defer ticks.Stop()
	late := time.After(time.Minute)
	for !met() {
		select {
		case <-ticks.C:
		case <-late:
			t.Fatalf("%s: it does not come", what)
		}
	}
}

// TestTwoIntervals: a change is seen by the other replica within two intervals.
func TestTwoIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, chamber := new(storetest.Keys), newSealer(t)
		a, b := newReplica(t, table, chamber), newReplica(t, table, chamber)
		a.load(t)
		b.load(t)
		a.run(t)
		<-time.After(interval / 2) // not at the same time
		b.run(t)
		within := func(what string, writer, reader *replica, n int, want bool) {
			t.Helper()
			if writer.signs(t, public(t, n)) != want {
				t.Errorf("%s: not where it was done", what)
			}
			<-time.After(2 * interval)
			if reader.signs(t, public(t, n)) != want {
				t.Errorf("%s: not seen after two intervals", what)
			}
		}
		mustImport(t, a, activeKeys(t, 0, 2))
		within("import", a, b, 0, true)
		if err := b.SetStatus(t.Context(), public(t, 0), store.Inactive); err != nil {
			t.Error(err)
		}
		within("inactive", b, a, 0, false)
		if err := a.Delete(t.Context(), public(t, 1)); err != nil {
			t.Error(err)
		}
		within("delete", a, b, 1, false)
		full := chamber.opened.Load()
		<-time.After(100 * interval)
		if n := chamber.opened.Load() - full; n != 0 {
			t.Errorf("%d items were opened although nothing changed", n)
		}
	})
}

// TestDrop: keys are wiped, whoever holds them, and come back with Load; between the two nothing loads them.
func TestDrop(t *testing.T) {
	table, chamber := new(storetest.Keys), newSealer(t)
	r := newReplica(t, table, chamber, func(o *stored.Options) { o.RefreshInterval = time.Millisecond })
	r.run(t)
	r.load(t)
	mustImport(t, r, activeKeys(t, 0, 3))
	foreign, other := keystore.NewKey(secretKey(t, 7)), public(t, 7)
	r.keys.Replace(keystore.Memory, []*keystore.Key{foreign})
	key, err := r.keys.Find(public(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	var signers sync.WaitGroup
	signed := make(chan struct{}, 4)
	for range cap(signed) {
		signers.Go(func() {
			for first := true; ; first = false {
				if err := sign(t, key); err != nil { // what was under way is whole: sign checks it
					if !errors.Is(err, secret.ErrWiped) {
						t.Error(err)
					}
					return
				}
				if first {
					signed <- struct{}{}
				}
			}
		})
	}
	for range cap(signed) {
		<-signed
	}
	r.Drop()
	if n := r.keys.Count(keystore.Stored); n != 0 || !r.signs(t, other) {
		t.Errorf("%d keys are left, and another source's signs: %v", n, r.signs(t, other))
	}
	signers.Wait()
	r.Drop() // again
	if st := r.Status(); st.Open || st.Loaded || st.Keys != 0 || st.Refreshed != -1 || r.Check(t.Context()) != nil {
		t.Errorf("dropped: %+v, %v", st, r.Check(t.Context()))
	}
	r.load(t)
	if got := loadedOf(t, r, 8); !slices.Equal(got, []int{0, 1, 2, 7}) {
		t.Errorf("after Load %v sign", got)
	}
	if st := r.Status(); !st.Open || !st.Loaded || st.Keys != 3 || st.Refreshed < 0 {
		t.Errorf("loaded: %+v", st)
	}
}

// TestDropDuringLoad: a Load under way ends without any key.
func TestDropDuringLoad(t *testing.T) {
	table, chamber := new(storetest.Keys), newSealer(t)
	mustImport(t, newReplica(t, table, chamber), activeKeys(t, 0, 50))
	r := newReplica(t, table, chamber)
	opening, drop := make(chan struct{}), make(chan struct{})
	var once sync.Once
	chamber.onOpen = func() {
		once.Do(func() { close(opening) })
		<-drop
	}
	loaded := make(chan error)
	go func() { loaded <- r.Load(context.Background()) }()
	<-opening
	dropped := make(chan struct{})
	go func() { defer close(dropped); r.Drop() }()
	await(t, "the drop", func() bool { return !r.Status().Open })
	close(drop)
	if err := <-loaded; !errors.Is(err, stored.ErrSealed) {
		t.Errorf("Load: %v", err)
	}
	<-dropped
	if r.keys.Len() != 0 || chamber.opened.Load() >= 50 {
		t.Errorf("%d keys, %d items opened", r.keys.Len(), chamber.opened.Load())
	}
	if lines := r.errorsLogged(); len(lines) != 0 {
		t.Errorf("logged %q", lines)
	}
}

// TestSealedMeanwhile: a chamber that is sealed before Drop is called makes no item a damaged one.
func TestSealedMeanwhile(t *testing.T) {
	table, chamber := new(storetest.Keys), newSealer(t)
	r := newReplica(t, table, chamber)
	mustImport(t, r, activeKeys(t, 0, 5))
	chamber.close(true)
	if err := r.Load(t.Context()); !errors.Is(err, errClosed) || !errors.Is(r.Check(t.Context()), errClosed) {
		t.Errorf("%v, %v", err, r.Check(t.Context()))
	}
	if n := r.metric(t, "failures"); n != 0 || r.Status().Unusable != 0 {
		t.Errorf("%v failures, %d unusable", n, r.Status().Unusable)
	}
	for _, result := range r.Import(t.Context(), activeKeys(t, 7, 8)) {
		if result.Outcome != stored.Failed || !errors.Is(result.Err, errClosed) {
			t.Errorf("%+v", result)
		}
	}
	chamber.close(false)
	r.load(t)
	if r.keys.Len() != 5 || r.Check(t.Context()) != nil {
		t.Errorf("%d keys, %v", r.keys.Len(), r.Check(t.Context()))
	}
}

func TestStatuses(t *testing.T) {
	table, chamber := new(storetest.Keys), newSealer(t)
	keys := activeKeys(t, 0, 3)
	keys[1].Status = store.Inactive
	mustImport(t, newReplica(t, table, chamber), keys)
	for _, tc := range []struct{ statuses, want string }{{"active", "[0 2]"}, {"inactive", "[1]"}, {"active inactive", "[0 1 2]"}, {"", "[]"}} {
		r := newReplica(t, table, chamber, func(o *stored.Options) {
			o.Statuses = nil
			for _, text := range strings.Fields(tc.statuses) {
				s, err := store.ParseStatus(text)
				if err != nil {
					t.Fatal(err)
				}
				o.Statuses = append(o.Statuses, s)
			}
		})
		r.load(t)
		if got := fmt.Sprint(loadedOf(t, r, 3)); got != tc.want {
			t.Errorf("%q loads %s, want %s", tc.statuses, got, tc.want)
		}
	}
}

// TestCovered: a key that another source has is told, and taken as soon as that source has it no more.
func TestCovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica(t, new(storetest.Keys), newSealer(t))
		r.keys.Replace(keystore.Filesystem, []*keystore.Key{keystore.NewKey(secretKey(t, 0)), keystore.NewKey(secretKey(t, 1))})
		r.load(t)
		r.run(t)
		mustImport(t, r, activeKeys(t, 0, 3))
		lines := r.errorsLogged()
		slices.Sort(lines)
		if len(lines) != 2 || !strings.Contains(lines[0]+lines[1], public(t, 0).String()+" of stored: the key is loaded already, from filesystem") {
			t.Errorf("logged %q", lines)
		}
		<-time.After(10 * interval)
		if signs, ok := errors.AsType[*stored.SignsError](r.Delete(t.Context(), public(t, 1))); !ok || signs.Source != keystore.Filesystem {
			t.Errorf("deleted: %v", signs)
		}
		if got := loadedOf(t, r, 3); !slices.Equal(got, []int{0, 1, 2}) { // the file's is another matter
			t.Errorf("%v sign", got)
		}
		r.keys.Replace(keystore.Filesystem, nil)
		<-time.After(interval)
		synctest.Wait()
		if diff := cmp.Diff([]int{0, 2}, loadedOf(t, r, 3)); diff != "" || r.keys.Count(keystore.Stored) != 2 {
			t.Error(diff)
		}
		if n := r.metric(t, "failures"); n != 2 || len(r.errorsLogged()) != 0 {
			t.Errorf("%v failures", n)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	good := stored.Options{
		Keys: new(storetest.Keys), Sealer: newSealer(t), Keystore: keystore.New(), Closed: func(error) bool { return false },
		Readers: 1, Log: zap.NewNop(), Registry: prometheus.NewRegistry(),
	}
	if _, err := stored.New(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(o *stored.Options){
		"Keys":             func(o *stored.Options) { o.Keys = nil },
		"Readers":          func(o *stored.Options) { o.Readers = 0 },
		"RefreshInterval":  func(o *stored.Options) { o.RefreshInterval = -1 },
		"status 7":         func(o *stored.Options) { o.Statuses = []store.Status{7} },
		"register the met": func(*stored.Options) {}, // twice at one registry
	} {
		o := good
		change(&o)
		if _, err := stored.New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
