package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// silent takes connections and says nothing on them. They stay open until the test ends, or closes what arrives.
func silent(t *testing.T) (address string, arrived <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	all, ended := make(chan net.Conn, 9), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			all <- conn
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return "https://" + l.Addr().String(), all
}

// ask makes a request that ends with ctx.
func ask(ctx context.Context, t *testing.T, rt http.RoundTripper, address string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := rt.RoundTrip(req)
	if err == nil {
		err = res.Body.Close()
	}
	return err
}

// TestFirstUseIsNotAwaitedForEver: while a signer says nothing, each caller waits as long as it wants to, and a transport that is closed
// keeps nobody.
func TestFirstUseIsNotAwaitedForEver(t *testing.T) {
	e := newEnclave(t)
	address, arrived := silent(t)
	transport, _, err := reach(t, address, "--trust-on-first-use", "--trust-file", e.trustFile)
	e.check(err)
	patient := make(chan error, 1)
	go func() { patient <- ask(t.Context(), t, transport, address) }()
	<-arrived
	ctx, giveUp := context.WithCancel(t.Context())
	giveUp()
	if err := ask(ctx, t, transport, address); !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up got %v", err)
	}
	select {
	case err := <-patient:
		t.Errorf("who waits got %v because another one gave up", err)
	default:
	}
	transport.Close()
	if err := <-patient; !errors.Is(err, context.Canceled) { // and not because its time was over
		t.Errorf("who waited got %v", err)
	}
	if err := ask(t.Context(), t, transport, address); !errors.Is(err, errTransportClosed) {
		t.Errorf("after the end: %v", err)
	}
	if len(arrived) != 0 {
		t.Errorf("%d more connections", len(arrived))
	}
}

// TestFirstUseFailsOnce: all who wait share one failure, whoever of them has given up by then, and who comes later tries again.
func TestFirstUseFailsOnce(t *testing.T) {
	e := newEnclave(t)
	address, arrived := silent(t)
	transport, _, err := reach(t, address, "--trust-on-first-use", "--trust-file", e.trustFile)
	e.check(err)
	ctx, giveUp := context.WithCancel(t.Context())
	first, err := transport.join(ctx)
	e.check(err)
	conn := <-arrived
	giveUp()
	for range 8 {
		if m, err := transport.join(t.Context()); m != first || err != nil {
			t.Fatalf("a meeting of its own: %v", err)
		}
	}
	conn.Close()
	<-first.done
	if first.err == nil || errors.Is(first.err, context.Canceled) || len(arrived) != 0 {
		t.Errorf("%v, and %d more connections", first.err, len(arrived))
	}
	again := make(chan error, 1)
	go func() { again <- ask(t.Context(), t, transport, address) }()
	(<-arrived).Close()
	if err := <-again; err == nil || errors.As(err, new(*atls.Error)) {
		t.Errorf("a second try: %v", err)
	}
}
