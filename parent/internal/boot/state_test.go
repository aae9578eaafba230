package boot

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
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

// events gives those logged so far.
func (r *rig) events() (out []string) {
	for _, e := range r.logged.All() {
		if event, ok := e.ContextMap()["event"].(string); ok {
			out = append(out, event)
		}
	}
	return out
}

// TestEndOfTheConnectionIsALoss wherever it ends, at once, and the return is none the less.
func TestEndOfTheConnectionIsALoss(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(vsock.Conn) error
		want string
	}{
		{"closed", func(c vsock.Conn) error { return c.Close() }, "the enclave closed its boot connection (0s ago)"},
		{"half-closed", func(c vsock.Conn) error { return c.CloseWrite() }, "the enclave closed its boot connection (0s ago)"},
		{"in the midst of a heartbeat", func(c vsock.Conn) error {
			_, err := c.Write([]byte{4})
			_ = c.Close()
			return err
		}, "the enclave's boot connection ended: wait for a heartbeat: unexpected EOF (0s ago)"},
		{"nonsense", func(c vsock.Conn) error {
			return wire.WriteMessage(c, wire.Refusal{Reason: "no"})
		}, "the enclave's boot connection ended: the enclave refused: no (0s ago)"},
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
				if diff := cmp.Diff([]string{"enclave_came", "enclave_lost", "enclave_came"}, r.events()); diff != "" {
					t.Error(diff)
				}
				r.stop()
				_, _ = c.Close(), again.Close()
			})
		})
	}
}

// TestOldConnectionsEndUnnoticed: what ends is lost only if it was there that the enclave spoke last, as the newest that did.
func TestOldConnectionsEndUnnoticed(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t)
			old := r.configured(t)
			<-time.After(time.Second)
			c := r.back(t)
			if late {
				r.superseded(t, old)
			}
			_ = old.Close()
			r.expect(t, "", 0)
			silent := r.connect(t) // and says nothing, as one that asks for an identity before its time
			_ = silent.Close()
			r.expect(t, "", 0)
			_ = c.Close()
			r.expect(t, "the enclave closed its boot connection (0s ago)", 1)
			<-time.After(7 * time.Second)
			r.expect(t, "the enclave closed its boot connection (7s ago)", 1)
			r.stop()
		})
	}
}

// superseded beats on a connection that has no say any more, and sees it closed.
func (r *rig) superseded(t *testing.T, old vsock.Conn) {
	t.Helper()
	if err := wire.WriteMessage(old, wire.Heartbeat{Digest: [wire.DigestSize]byte{4}}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // an answer is not awaited: it would be a mistake, and take the parent's time
	_ = old.SetReadDeadline(time.Now().Add(time.Second))
	if m, err := wire.ReadMessage(old); !errors.Is(err, io.EOF) {
		t.Errorf("the old connection gives %v, %v", m, err)
	}
	if got := r.state.last(); got != digest {
		t.Errorf("its digest was taken: %x", got)
	}
}

// TestNewEnclaveEndsTheOldOnesWord although the old one's connection lingers, whatever becomes of the new one.
func TestNewEnclaveEndsTheOldOnesWord(t *testing.T) {
	const anew = "the enclave started anew, and has no configuration yet (0s ago)"
	for _, test := range []struct {
		name  string
		hello wire.Hello
		then  wire.Message // nil: it closes the connection
		want  string       // at its hello, and after what it says then
		last  string
	}{
		{"refuses", wire.Hello{Version: wire.Version}, wire.Refusal{Reason: "no"}, anew, anew},
		{"dies", wire.Hello{Version: wire.Version}, nil, anew, anew},
		{"speaks another version", wire.Hello{Version: wire.Version + 1}, nil, anew, anew},
		{"acknowledges", wire.Hello{Version: wire.Version}, wire.Acknowledgement{Digest: digest}, anew, ""},
		{"has its configuration, but does not beat", wire.Hello{Version: wire.Version, Configured: true}, nil, "", ""},
		{"has one of another version", wire.Hello{Version: wire.Version + 1, Configured: true}, nil, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t)
				old := r.configured(t)
				r.expect(t, "", 0)
				c := r.connect(t)
				exchange(t, c, test.hello)
				losses := 0.0
				if test.want != "" {
					losses = 1
				}
				r.expect(t, test.want, losses)
				if test.then == nil {
					_ = c.Close()
				} else if err := wire.WriteMessage(c, test.then); err != nil {
					t.Fatal(err)
				}
				r.expect(t, test.last, losses)
				if losses > 0 {
					r.superseded(t, old)
					r.expect(t, test.last, losses)
				}
				_ = old.Close() // by itself, or it has seen the parent do so: one that lives after all comes back
				synctest.Wait()
				again := r.back(t)
				r.expect(t, "", 1)
				r.stop()
				_, _ = c.Close(), again.Close()
			})
		})
	}
}

// TestOldHelloEndsNothing: what is left of an enclave may be read late.
func TestOldHelloEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		old := r.connect(t)
		synctest.Wait()
		c := r.configured(t)
		r.expect(t, "", 0)
		exchange(t, old, wire.Hello{Version: wire.Version})
		r.expect(t, "", 0)
		r.stop()
		_, _ = old.Close(), c.Close()
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
