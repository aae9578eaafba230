package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestLeaveFor(t *testing.T) {
	for name, test := range map[string]struct {
		stops, releases bool
		asked           int
		lasts           time.Duration // after the end of the first context
	}{
		"stopped":  {stops: true, asked: 1, lasts: 15 * time.Second},
		"released": {stops: true, releases: true, asked: 1},
		"failed":   {releases: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				asked := 0
				late, release := leaveFor(ctx, 15*time.Second, func() { asked++ })
				<-time.After(time.Hour)
				if late.Err() != nil {
					t.Fatal("it ended by itself")
				}
				began := time.Now()
				if test.stops {
					stop()
					synctest.Wait()
					if late.Err() != nil || asked != 1 {
						t.Fatalf("at once: %v, asked %d times", late.Err(), asked)
					}
				}
				if test.releases {
					release()
				}
				<-late.Done()
				if took := time.Since(began); took != test.lasts || asked != test.asked {
					t.Errorf("it ended after %v, and asked %d times; want %v, %d", took, asked, test.lasts, test.asked)
				}
				if !test.releases {
					release()
				}
			})
		})
	}
}

// TestClientsAreAskedToLeave: the enclave hears at once that the parent is about to stop, which it says of itself, and clients are let in
// all the same for a while.
func TestClientsAreAskedToLeave(t *testing.T) {
	w := newWorld(t, "")
	p := w.start(t, "--set", "server.drain_delay_seconds=2")
	health, api := p.address(t, "health"), p.address(t, "ingress/api")
	w.serve(t, wire.PortAPI)
	session, _ := w.boot(t)
	defer func() { _ = session.Close() }()
	p.stop()
	if m, err := wire.ReadMessage(session); m != (wire.Draining{}) || err != nil {
		t.Errorf("the enclave is told %v, %v", m, err)
	}
	if got := ask(t, dialTCP(t, api), "claim"); got != "CLAIM" {
		t.Errorf("a new client got %q", got)
	}
	if status, body := get(t, health, "/readyz"); status != 503 || !strings.HasPrefix(body, "stopping") {
		t.Errorf("/readyz: %d %q", status, body)
	}
	p.out.await(t, `"message":"asked to stop; clients are asked to leave"`, `"for":"2s"`)
	p.out.await(t, `"message":"stopping"`)
	p.end(t, 0)
}
