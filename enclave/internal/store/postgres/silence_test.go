package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// line leads to a server that can fall silent, without any connection being closed.
type line struct {
	mu     sync.Mutex // held while the fields below are used
	from   []byte     // what holds these bytes is not sent any more, nor anything after it; nil for all that is sent
	silent bool
}

// silence has the server fall silent when something with these bytes would be sent.
func (l *line) silence(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from = []byte(from)
}

// restore has new connections work again; those that fell silent stay so for whoever waits for an answer.
func (l *line) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from, l.silent = nil, false
}

// lost says whether b is.
func (l *line) lost(b []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = l.silent || l.from != nil && bytes.Contains(b, l.from)
	return l.silent
}

func (l *line) isSilent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.silent
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if l.isSilent() { // as the one that would cancel a statement
		return nil, errors.New("silent")
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	return end{conn, l}, err
}

// end is a connection over a line.
type end struct {
	net.Conn
	line *line
}

func (e end) Write(b []byte) (int, error) {
	if e.line.lost(b) {
		if bytes.HasSuffix(b, []byte("X\x00\x00\x00\x04")) { // pgx hangs up, and would wait 15 seconds for the server to do so
			e.Close()
		}
		return len(b), nil
	}
	return e.Conn.Write(b)
}

// lined are options of an empty database that is reached over a line.
func lined(t *testing.T) (*line, postgres.Options) {
	o, l := fresh(t), &line{}
	o.URL = strings.Replace(o.URL, "@localhost", "@127.0.0.1", 1) + "?sslmode=disable" // the line reads what is sent
	o.Dial, o.Timeout = l.dial, 2*time.Second
	return l, o
}

// patient is a context that ends long after every call should have.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestSilentServer: no call waits longer than it has time for an answer that does not come, and each says what may have been done.
func TestSilentServer(t *testing.T) {
	old := store.Key{PublicKey: storetest.Public(1), Version: 1, Status: store.Active, Body: []byte("x")}
	item := store.Item{Name: "i", Version: 1}
	next := store.Key{PublicKey: old.PublicKey, Version: 2, Status: store.Active, Body: []byte("the next body")}
	load := func(ctx context.Context, k *postgres.Keys) error {
		_, err := k.Load(ctx, []store.Status{store.Active}, 1, func(store.Key) error { return errors.New("yielded") })
		return err
	}
	changes := func(ctx context.Context, k *postgres.Keys) error {
		_, _, err := k.Changes(ctx, 0)
		return err
	}
	for _, tc := range []struct {
		name, from string
		want       error
		keys       func(ctx context.Context, k *postgres.Keys) error
		state      func(ctx context.Context, s *postgres.State) error
	}{
		{name: "check", want: store.ErrUnavailable, keys: func(ctx context.Context, k *postgres.Keys) error { return k.Check(ctx) }},
		{name: "get", want: store.ErrUnavailable, keys: func(ctx context.Context, k *postgres.Keys) error {
			_, err := k.Get(ctx, old.PublicKey)
			return err
		}},
		{name: "changes", want: store.ErrUnavailable, keys: changes},
		{name: "changes, the list", from: "ORDER BY changed", want: store.ErrUnavailable, keys: changes},
		{name: "load", want: store.ErrUnavailable, keys: load},
		{name: "load, a page", from: "ORDER BY public_key", want: store.ErrUnavailable, keys: load},
		{name: "put", want: store.ErrUnavailable, keys: func(ctx context.Context, k *postgres.Keys) error { return k.Put(ctx, next) }},
		{name: "put, the statement", from: "the next body", want: store.ErrUnavailable, keys: func(ctx context.Context, k *postgres.Keys) error { return k.Put(ctx, next) }},
		{name: "put, the commit", from: "commit", want: store.ErrOutcomeUnknown, keys: func(ctx context.Context, k *postgres.Keys) error { return k.Put(ctx, next) }},
		{name: "conflict, the rollback", from: "rollback", want: store.ErrConflict, keys: func(ctx context.Context, k *postgres.Keys) error {
			return k.Put(ctx, store.Key{PublicKey: old.PublicKey, Version: 7, Status: store.Active})
		}},
		{name: "delete, the commit", from: "commit", want: store.ErrOutcomeUnknown, keys: func(ctx context.Context, k *postgres.Keys) error {
			return k.Delete(ctx, old.PublicKey, 1)
		}},
		{name: "get state", want: store.ErrUnavailable, state: func(ctx context.Context, s *postgres.State) error {
			_, err := s.Get(ctx, item.Name)
			return err
		}},
		{name: "list state", want: store.ErrUnavailable, state: func(ctx context.Context, s *postgres.State) error {
			_, err := s.List(ctx)
			return err
		}},
		{name: "put state, the commit", from: "commit", want: store.ErrOutcomeUnknown, state: func(ctx context.Context, s *postgres.State) error {
			return s.Put(ctx, store.Item{Name: "j", Version: 1})
		}},
		{name: "delete state", want: store.ErrUnavailable, state: func(ctx context.Context, s *postgres.State) error { return s.Delete(ctx, item.Name, 1) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l, o := lined(t)
			k := openKeys(t, o)
			defer k.Close()
			s, err := postgres.OpenState(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := errors.Join(k.Put(t.Context(), old), s.Put(t.Context(), item)); err != nil {
				t.Fatal(err)
			}
			ctx := patient(t)
			l.silence(tc.from)
			if tc.keys != nil {
				err = tc.keys(ctx, k)
			} else {
				err = tc.state(ctx, s)
			}
			if !l.isSilent() {
				t.Fatal("the server never fell silent")
			}
			if !errors.Is(err, tc.want) || ctx.Err() != nil {
				t.Errorf("%v, want %v before the caller's own time is over (%v)", err, tc.want, ctx.Err())
			}
			l.restore()
			if err := errors.Join(k.Check(t.Context()), s.Check(t.Context())); err != nil {
				t.Errorf("after the silence: %v", err)
			}
		})
	}
}

// TestSilentOpen: a server that falls silent between connecting and the tables ends an Open too.
func TestSilentOpen(t *testing.T) {
	l, o := lined(t)
	o.Timeout /= 4
	l.silence("containment_state_migrations")
	ctx := patient(t)
	if _, err := postgres.OpenKeys(ctx, o); !errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
		t.Errorf("%v (%v)", err, ctx.Err())
	}
}
