package boot

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// back is a connection of an enclave that has its configuration, behind its first heartbeat.
func (r *rig) back(t *testing.T) vsock.Conn {
	t.Helper()
	c := r.connect(t)
	exchange(t, c, wire.Hello{Version: wire.Version, Configured: true})
	exchange(t, c, wire.Heartbeat{Digest: digest})
	return c
}

// expect checks what is said of the enclave at this moment; want is "" if it is there.
func (r *rig) expect(t *testing.T, want string, losses float64) {
	t.Helper()
	synctest.Wait()
	got := ""
	if err := r.Ready(); err != nil {
		got = err.Error()
	}
	alive := 0.0
	if want == "" {
		alive = 1
	}
	if got != want || r.gauge(t) != alive {
		t.Errorf("Ready = %q, gauge %v; want %q", got, r.gauge(t), want)
	}
	told := r.logged.FilterMessage("heartbeat of the enclave is lost").Len()
	if counted := testutil.ToFloat64(r.metrics.lost); counted != losses || float64(told) != losses {
		t.Errorf("%v losses counted, %d told, want %v", counted, told, losses)
	}
}

// TestEndOfTheConnectionIsALoss wherever it ends, at once, and the return is none the less.
func TestEndOfTheConnectionIsALoss(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(vsock.Conn) error
		want string
	}{
		{"closed", func(c vsock.Conn) error { return c.Close() }, "the enclave closed its boot connection 0s ago"},
		{"half-closed", func(c vsock.Conn) error { return c.CloseWrite() }, "the enclave closed its boot connection 0s ago"},
		{"in the midst of a heartbeat", func(c vsock.Conn) error {
			_, err := c.Write([]byte{4})
			_ = c.Close()
			return err
		}, "the enclave's boot connection ended 0s ago: wait for a heartbeat: unexpected EOF"},
		{"nonsense", func(c vsock.Conn) error {
			return wire.WriteMessage(c, wire.Refusal{Reason: "no"})
		}, "the enclave's boot connection ended 0s ago: the enclave refused: no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t)
				c := r.configured(t)
				r.expect(t, "", 0)
				if err := test.end(c); err != nil {
					t.Fatal(err)
				}
				r.expect(t, test.want, 1)
				<-time.After(100 * time.Millisecond) // when an enclave that lives comes back
				again := r.back(t)
				r.expect(t, "", 1)
				if n := r.logged.FilterMessage("heartbeat of the enclave is back").Len(); n != 1 {
					t.Errorf("%d returns were told", n)
				}
				r.stop()
				_, _ = c.Close(), again.Close()
			})
		})
	}
}

// TestOldConnectionsEndUnnoticed: what ends is lost only if it was there that the enclave spoke last.
func TestOldConnectionsEndUnnoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		old := r.configured(t)
		<-time.After(time.Second)
		c := r.back(t)
		_ = old.Close()
		r.expect(t, "", 0)
		silent := r.connect(t) // and says nothing, as one that asks for an identity before its time
		_ = silent.Close()
		r.expect(t, "", 0)
		_ = c.Close()
		r.expect(t, "the enclave closed its boot connection 0s ago", 1)
		<-time.After(7 * time.Second)
		r.expect(t, "the enclave closed its boot connection 7s ago", 1)
		r.stop()
	})
}

// TestSilenceBesideTheDead: an enclave that is cut off while its connection stays takes nothing from the one that came after it.
func TestSilenceBesideTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		old := r.configured(t)
		<-time.After(wire.HeartbeatLost - time.Second)
		c := r.back(t)
		<-time.After(wire.HeartbeatLost - time.Second) // the old one is given up
		r.expect(t, "", 0)
		<-time.After(2 * time.Second)
		r.expect(t, "no heartbeat of the enclave for 16s", 1)
		r.stop()
		_, _ = old.Close(), c.Close()
	})
}

// TestSlowReaderIsSilentNoLonger: what an answer takes is no time that an enclave may be silent longer.
func TestSlowReaderIsSilentNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		c := r.configured(t)
		if err := wire.WriteMessage(c, wire.Heartbeat{Digest: digest}); err != nil {
			t.Fatal(err)
		}
		<-time.After(stepTimeout - time.Second)
		if _, err := wire.ReadMessage(c); err != nil {
			t.Fatal(err)
		}
		<-time.After(wire.HeartbeatLost - stepTimeout)
		r.expect(t, "", 0)
		<-time.After(time.Second + time.Millisecond)
		r.expect(t, "no heartbeat of the enclave for 15s", 1)
		r.stop()
		_ = c.Close()
	})
}

// TestStopIsNoLoss: it is the parent that ends the conversation.
func TestStopIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		c := r.configured(t)
		r.expect(t, "", 0)
		r.stop()
		r.expect(t, "", 0)
		_ = c.Close()
	})
}
