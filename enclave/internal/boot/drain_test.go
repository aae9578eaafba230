package boot

import (
	"context"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// TestDrainingIsHeard: at once, though nobody asked, and until a parent answers that is not about to stop.
func TestDrainingIsHeard(t *testing.T) {
	bubble(t, 0, func(ctx context.Context, t *testing.T) {
		var network memvsock.Network
		told := make(chan bool, 9)
		beats := 0
		s, parentEnded := connected(t, &network, func(c net.Conn) {
			m, _ := wire.ReadMessage(c)
			_ = wire.WriteMessage(c, m)
			pass(time.Second)
			_ = wire.WriteMessage(c, wire.Draining{})
			for {
				if _, err := wire.ReadMessage(c); err != nil {
					return
				}
				if beats++; beats == 3 {
					return // it has stopped
				}
				_ = wire.WriteMessage(c, wire.Draining{})
			}
		})
		log, logs := observed()
		s.log, s.Draining = log, func(draining bool) { told <- draining }
		stop := run(ctx, s)
		settle := func(d time.Duration) { pass(d); synctest.Wait() }
		settle(500 * time.Millisecond)
		if len(told) != 0 {
			t.Errorf("told %v before", <-told)
		}
		settle(600 * time.Millisecond)
		if len(told) != 1 || !<-told {
			t.Error("not told at once that the parent drains")
		}
		settle(2 * wire.HeartbeatEvery)
		if logs.Len() != 1 {
			t.Errorf("one change was logged: %v", logs.All())
		}
		<-parentEnded

		draining := service(t, &network, func(c net.Conn) { // comes back only to go
			_, _ = wire.ReadMessage(c)
			_ = wire.WriteMessage(c, wire.Draining{})
		})
		settle(2 * maxPause)
		draining()
		if len(told) != 0 {
			t.Errorf("told %v again", <-told)
		}
		next := service(t, &network, func(c net.Conn) {
			for m, err := wire.ReadMessage(c); err == nil; m, err = wire.ReadMessage(c) {
				if _, ok := m.(wire.Hello); ok {
					m = wire.Heartbeat{}
				}
				_ = wire.WriteMessage(c, m)
			}
		})
		settle(2 * maxPause)
		if len(told) != 1 || <-told {
			t.Error("not told that the next parent does not drain")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		next()
	})
}

// TestOnlyDrainingComesUnasked, and once between two heartbeats: after anything else the parent is connected to again.
func TestOnlyDrainingComesUnasked(t *testing.T) {
	for _, tc := range []struct {
		name, because string
		unasked       []wire.Message
	}{
		{"another message", "a configuration", []wire.Message{wire.Configuration{YAML: []byte("evil: true")}}},
		{"again and again", "that it is about to stop", []wire.Message{wire.Draining{}, wire.Draining{}}},
	} {
		bubble(t, 0, func(ctx context.Context, t *testing.T) {
			var network memvsock.Network
			s, parentEnded := connected(t, &network, func(c net.Conn) {
				m, _ := wire.ReadMessage(c)
				_ = wire.WriteMessage(c, m)
				for _, m := range tc.unasked {
					_ = wire.WriteMessage(c, m)
				}
				hang(c)
			})
			log, logs := observed()
			s.log = log
			stop := run(ctx, s)
			pass(time.Second)
			want := "boot service does not answer: parent's boot service (vsock port 7001) answered with " + tc.because
			if got := messages(logs, "error"); !slices.Contains(got, want) {
				t.Errorf("%s: %q, want %q", tc.name, got, want)
			}
			<-parentEnded
			if err := stop(); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
		})
	}
}
