package boot

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// TestDrainIsToldAtOnce: an enclave hears of it between two heartbeats, with each from then on, and when it comes back.
func TestDrainIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		c := r.configured(t)
		exchange(t, c, wire.Heartbeat{Digest: digest})
		<-time.After(time.Second)
		began := time.Now()
		r.Drain()
		if m, err := wire.ReadMessage(c); m != (wire.Draining{}) || err != nil {
			t.Fatalf("unasked: %v, %v", m, err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it was told after %v", took)
		}
		for range 4 { // longer than it may be silent
			<-time.After(wire.HeartbeatEvery)
			if got := exchange(t, c, wire.Heartbeat{Digest: digest}); got != (wire.Draining{}) {
				t.Fatalf("answer to a heartbeat: %v", got)
			}
		}
		if err := r.Ready(); err != nil {
			t.Errorf("Ready = %v", err)
		}
		_ = c.Close()

		c = r.connect(t)
		if got := exchange(t, c, wire.Hello{Version: wire.Version, Configured: true}); got != (wire.Draining{}) {
			t.Errorf("answer to an enclave that is back: %v", got)
		}
		<-time.After(wire.HeartbeatLost + time.Second) // it is told once more, and then missed as ever
		synctest.Wait()
		if r.Ready() == nil {
			t.Error("ready after a silence in the drain")
		}
		_ = c.Close()
		r.stop()
	})
}
