package dynamodb_test

import (
	"context"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// head is how a request shows that it writes the end of the log, which is the moment of a change.
var head = `"` + base64.StdEncoding.EncodeToString([]byte("head")) + `"`

func writesHead(operation, body string) bool {
	return operation == "PutItem" && strings.Contains(body, head)
}

// settles says that a request puts a change in place after it was made.
func settles(operation, body string) bool {
	return operation == "PutItem" && !strings.Contains(body, head)
}

// times has the first requests of a kind meet a fate.
func times(n int, of func(operation, body string) bool, f fate) func(operation, body string) fate {
	return func(operation, body string) fate { // called under the proxy's lock
		if n == 0 || !of(operation, body) {
			return pass
		}
		n--
		return f
	}
}

const always = 1 << 30

// TestDeath: a writer that dies after a change is made and before it is in place has made it, for everybody, and the next writer
// puts it in place.
func TestDeath(t *testing.T) {
	o := keysTable(t)
	p, dying := behind(t, o)
	other := openKeys(t, o)
	f := follow(t, other)
	writer := openKeys(t, dying)
	p.set(times(always, settles, lose))
	put(t, writer, 1, 1)
	if f.Poll(t); f.Seen[storetest.Public(1)].Version != 1 {
		t.Error("a follower has not heard of it")
	}
	if got, err := other.Get(t.Context(), storetest.Public(1)); err != nil || got.Version != 1 {
		t.Errorf("Get: %d, %v", got.Version, err)
	}
	put(t, other, 2, 1)
	put(t, other, 1, 2)
	if f.Poll(t); f.Seen[storetest.Public(1)].Version != 2 || f.Seen[storetest.Public(2)].Version != 1 || f.Cursor != 3 {
		t.Errorf("followed: %v, cursor %d", f.Seen, f.Cursor)
	}
	late := follow(t, openKeys(t, o)) // from the beginning, by the log
	if len(late.Seen) != 2 || late.Cursor != 3 {
		t.Errorf("followed late: %v", late.Seen)
	}
}

// TestPausedWriter: what a writer sends hours late changes nothing any more: neither a change that was never made, nor its being put in place.
func TestPausedWriter(t *testing.T) {
	for name, of := range map[string]func(string, string) bool{"before the change": writesHead, "after the change": settles} {
		t.Run(name, func(t *testing.T) {
			o := keysTable(t)
			p, paused := behind(t, o)
			writer, other := openKeys(t, paused), openKeys(t, o)
			put(t, writer, 1, 1)
			p.set(times(always, of, keep))
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if err := writer.Put(ctx, key(1, 2)); err != nil && !errors.Is(err, store.ErrOutcomeUnknown) {
				t.Fatal(err)
			}
			got, err := other.Get(t.Context(), storetest.Public(1))
			if err != nil {
				t.Fatal(err)
			}
			if err := other.Delete(t.Context(), storetest.Public(1), got.Version); err != nil {
				t.Fatal(err)
			}
			put(t, other, 2, 1)
			f := follow(t, other)
			p.set(nil)
			p.release(t)
			deleted, err := other.Get(t.Context(), storetest.Public(1))
			if err != nil || deleted.Status != store.Deleted || deleted.Version != got.Version+1 {
				t.Errorf("the key that was deleted: version %d, %v, %v", deleted.Version, deleted.Status, err)
			}
			before := f.Cursor
			if f.Poll(t); f.Cursor != before {
				t.Errorf("%d changes", f.Cursor-before)
			}
			if late := follow(t, other); len(late.Seen) != 2 || late.Seen[storetest.Public(1)].Status != store.Deleted {
				t.Errorf("followed late: %v", late.Seen)
			}
		})
	}
}

// TestLostAnswers: the writer finds out what became of its change, and says so if it cannot.
func TestLostAnswers(t *testing.T) {
	o := keysTable(t)
	p, spoilt := behind(t, o)
	writer, other := openKeys(t, spoilt), openKeys(t, o)
	version := uint64(0)
	for name, f := range map[string]fate{"request": lose, "answer": loseAnswer, "throttled": throttle} {
		for _, of := range []func(string, string) bool{writesHead, settles, func(o, _ string) bool { return o == "GetItem" }} {
			version++
			p.set(times(2, of, f))
			if err := writer.Put(t.Context(), key(1, version)); err != nil {
				t.Errorf("%s lost, version %d: %v", name, version, err)
			}
			if got, err := other.Get(t.Context(), storetest.Public(1)); err != nil || got.Version != version {
				t.Fatalf("%s lost: version %d, %v, want %d", name, got.Version, err, version)
			}
		}
	}
	for f, there := range map[fate]bool{lose: false, loseAnswer: true} {
		p.set(times(always, writesHead, f))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err := writer.Put(ctx, key(1, version+1))
		cancel()
		if !errors.Is(err, store.ErrOutcomeUnknown) && (!there || err != nil) {
			t.Errorf("all lost: %v", err)
		}
		if got, err := other.Get(t.Context(), storetest.Public(1)); err != nil || (got.Version == version+1) != there {
			t.Errorf("all lost: version %d, %v", got.Version, err)
		}
		if there {
			version++
		}
	}
	p.set(times(always, writesHead, throttle))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := writer.Put(ctx, key(2, 1))
	cut := errors.Is(err, store.ErrOutcomeUnknown) && ctx.Err() != nil // the end of ctx met a try under way
	if !cut && (!errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "slower")) {
		t.Errorf("throttled: %v", err)
	}
}

// TestLostStateAnswers is the same for signer state.
func TestLostStateAnswers(t *testing.T) {
	o := stateTable(t)
	p, spoilt := behind(t, o)
	s := openState(t, spoilt)
	writes := func(operation, _ string) bool { return operation == "PutItem" || operation == "DeleteItem" }
	for i, f := range []fate{lose, loseAnswer, throttle} {
		p.set(times(2, writes, f))
		if err := s.Put(t.Context(), store.Item{Name: "i", Version: uint64(i + 1)}); err != nil {
			t.Errorf("fate %d: %v", f, err)
		}
		p.set(times(2, writes, f))
		if err := s.Put(t.Context(), store.Item{Name: "i", Version: 9}); !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrOutcomeUnknown) {
			t.Errorf("fate %d, conflict: %v", f, err)
		}
	}
	p.set(times(2, writes, loseAnswer))
	if err := s.Delete(t.Context(), "i", 3); err != nil {
		t.Error(err)
	}
	p.set(times(always, writes, loseAnswer))
	if err := s.Put(t.Context(), store.Item{Name: "i", Version: 1}); !errors.Is(err, store.ErrOutcomeUnknown) {
		t.Errorf("all lost: %v", err)
	}
}

// TestFollowThroughFaults: requests and answers are lost and put off at random, writers die between the steps of a change, and
// nothing is missed.
func TestFollowThroughFaults(t *testing.T) {
	o := keysTable(t)
	var writers []store.Keys
	for range 3 {
		p, spoilt := behind(t, o)
		writers = append(writers, openKeys(t, spoilt))
		p.set(func(operation, body string) fate {
			switch {
			case settles(operation, body) && rand.IntN(2) == 0:
				return keep // as one who dies, and comes back after the end
			case rand.IntN(10) == 0:
				return []fate{lose, loseAnswer, throttle}[rand.IntN(3)]
			}
			return pass
		})
		t.Cleanup(func() { p.set(nil) })
	}
	storetest.Follow(t, writers, []store.Keys{openKeys(t, o), openKeys(t, o)})
}

// TestLag: an index that shows what was is not taken for what is.
func TestLag(t *testing.T) {
	o := keysTable(t)
	p, spoilt := behind(t, o)
	writer, k := openKeys(t, o), openKeys(t, spoilt)
	loaded := func(ctx context.Context) (map[[48]byte]store.Key, error) {
		all := map[[48]byte]store.Key{}
		_, err := k.Load(ctx, []store.Status{store.Active}, 16, func(key store.Key) error {
			all[key.PublicKey] = key
			return nil
		})
		return all, err
	}
	for n := range 20 {
		put(t, writer, n, 1)
	}
	if all, err := loaded(t.Context()); err != nil || len(all) != 20 { // the proxy remembers these answers
		t.Fatalf("%d keys, %v", len(all), err)
	}
	put(t, writer, 0, 2)
	if err := writer.Delete(t.Context(), storetest.Public(1), 1); err != nil {
		t.Fatal(err)
	}
	put(t, writer, 30, 1)
	put(t, writer, 31, 1) // the last change is known from the head
	queries := func(operation, _ string) bool { return operation == "Query" }
	p.set(times(16*3, queries, replay))
	all, err := loaded(t.Context())
	if _, deleted := all[storetest.Public(1)]; err != nil || len(all) != 21 || deleted || all[storetest.Public(0)].Version != 2 {
		t.Errorf("%d keys, %v", len(all), err)
	}
	if n := p.count(); n < 16*4 {
		t.Errorf("%d requests: the index was believed", n)
	}
	p.set(times(always, queries, replay))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if all, err := loaded(ctx); !errors.Is(err, store.ErrUnavailable) || len(all) > 0 {
		t.Errorf("an index that stays behind: %d keys, %v", len(all), err)
	}
}

// TestCheapWhenNothingChanged: one request.
func TestCheapWhenNothingChanged(t *testing.T) {
	o := keysTable(t)
	p, counted := behind(t, o)
	k := openKeys(t, counted)
	put(t, k, 1, 1)
	f := follow(t, k)
	p.set(nil)
	if f.Poll(t); p.count() != 1 {
		t.Errorf("%d requests", p.count())
	}
}

// TestFarBehind: a follower that slept through more than the log holds is told so, at once, and finds everything by Load.
func TestFarBehind(t *testing.T) {
	k := openKeys(t, keysTable(t))
	k.ShrinkLog(40, 25)
	const keys, versions = 7, 10
	for version := range uint64(versions) {
		for n := range keys {
			put(t, k, n, version+1)
		}
	}
	for _, cursor := range []store.Cursor{0, 29} {
		if _, _, err := k.Changes(t.Context(), cursor); !errors.Is(err, store.ErrCursor) {
			t.Errorf("from %d: %v", cursor, err)
		}
	}
	cursor, err := k.Load(t.Context(), []store.Status{store.Active}, 16, func(key store.Key) error {
		if key.Version != versions {
			t.Errorf("version %d", key.Version)
		}
		return nil
	})
	if err != nil || cursor != keys*versions {
		t.Errorf("cursor %d, %v", cursor, err)
	}
	for from, want := range map[store.Cursor]store.Cursor{30: 55, 60: 70} {
		if changed, cursor, err := k.Changes(t.Context(), from); err != nil || cursor != want || len(changed) != keys {
			t.Errorf("from %d: %d keys, cursor %d, %v", from, len(changed), cursor, err)
		}
	}
}
