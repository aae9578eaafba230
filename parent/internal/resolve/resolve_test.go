package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	first  = netip.MustParseAddr("192.0.2.1")
	second = netip.MustParseAddr("192.0.2.2")
)

// stub answers as it is told, and notes when it was asked.
type stub struct {
	mu      sync.Mutex // held while any of these is read or changed
	answer  Answer
	err     error
	started time.Time
	asked   []time.Duration
}

func (s *stub) lookup(context.Context, string) (Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Since(s.started))
	return s.answer, s.err
}

// now has the stub answer otherwise.
func (s *stub) now(answer Answer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.err = answer, err
}

// bubble runs a name in virtual time.
func bubble(t *testing.T, s *stub, test func(*testing.T, *Name)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s.started = time.Now()
		ctx, stop := context.WithCancel(t.Context())
		n := New("db.example.org", s.lookup, zap.NewNop(), NewMetrics(prometheus.NewRegistry()).For("egress/db"))
		done := make(chan struct{})
		go func() { defer close(done); n.Run(ctx) }()
		synctest.Wait()
		test(t, n)
		stop()
		<-done
	})
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (n *Name) mustBe(t *testing.T, want ...netip.Addr) {
	t.Helper()
	got, err := n.Addresses(t.Context())
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Addresses = %v, %v; want %v", got, err, want)
	}
}

func TestRefreshAtTTL(t *testing.T) {
	for _, test := range []struct{ ttl, want time.Duration }{
		{time.Minute, time.Minute},
		{time.Second, shortest},
		{0, shortest},
		{NoTTL, untold},
		{24 * time.Hour, longest},
	} {
		s := &stub{answer: Answer{[]netip.Addr{first}, test.ttl}}
		bubble(t, s, func(t *testing.T, n *Name) {
			n.mustBe(t, first)
			s.now(Answer{[]netip.Addr{second}, test.ttl}, nil)
			pass(test.want - time.Nanosecond)
			n.mustBe(t, first)
			pass(time.Nanosecond)
			n.mustBe(t, second)
		})
		if want := []time.Duration{0, test.want}; !slices.Equal(s.asked, want) {
			t.Errorf("TTL %v: asked at %v, want %v", test.ttl, s.asked, want)
		}
	}
}

func TestLastGoodAnswerStays(t *testing.T) {
	s := &stub{answer: Answer{[]netip.Addr{first}, time.Minute}}
	bubble(t, s, func(t *testing.T, n *Name) {
		s.now(Answer{}, errors.New("server misbehaving"))
		pass(24 * time.Hour)
		n.mustBe(t, first)
		if ok, failed := testutil.ToFloat64(n.record.ok), testutil.ToFloat64(n.record.failed); ok != 1 || failed < 2000 {
			t.Errorf("%v lookups went well, %v failed", ok, failed)
		}
		s.now(Answer{[]netip.Addr{second}, time.Minute}, nil)
		pass(retryLast)
		n.mustBe(t, second)
	})
}

func TestAnswerWithoutAddresses(t *testing.T) {
	s := &stub{answer: Answer{[]netip.Addr{first}, time.Minute}}
	bubble(t, s, func(t *testing.T, n *Name) {
		s.now(Answer{TTL: time.Hour}, nil)
		pass(time.Minute + retryFirst)
		n.mustBe(t, first)
		if failed := testutil.ToFloat64(n.record.failed); failed != 2 {
			t.Errorf("%v lookups failed, want 2: it is tried again soon", failed)
		}
	})
}

// TestInherit: a name that takes another's place knows its addresses before any name server has answered, and asks for its own.
func TestInherit(t *testing.T) {
	s := &stub{answer: Answer{[]netip.Addr{first}, time.Minute}}
	bubble(t, s, func(t *testing.T, before *Name) {
		dead := &stub{err: errors.New("server misbehaving"), started: time.Now()}
		heir := New("db.example.org", dead.lookup, zap.NewNop(), NewMetrics(prometheus.NewRegistry()).For("egress/db"))
		heir.Inherit(before)
		heir.mustBe(t, first)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); heir.Run(ctx) }()
		pass(time.Hour)
		heir.mustBe(t, first)
		dead.now(Answer{[]netip.Addr{second}, time.Minute}, nil)
		pass(retryLast)
		heir.mustBe(t, second)
		before.mustBe(t, first)
		stop()
		<-done
	})
}

// TestNothingToInherit waits for the first lookup as ever.
func TestNothingToInherit(t *testing.T) {
	never := New("db.example.org", nil, zap.NewNop(), NewMetrics(prometheus.NewRegistry()).For("egress/db"))
	s := &stub{answer: Answer{[]netip.Addr{first}, time.Minute}}
	synctest.Test(t, func(t *testing.T) {
		n := New("db.example.org", s.lookup, zap.NewNop(), NewMetrics(prometheus.NewRegistry()).For("egress/db"))
		n.Inherit(never)
		ctx, stop := context.WithCancel(t.Context())
		go n.Run(ctx)
		n.mustBe(t, first)
		stop()
		synctest.Wait()
	})
}

func TestNoAnswerYet(t *testing.T) {
	s := &stub{err: &net.DNSError{Err: "no such host", Name: "db.example.org", IsNotFound: true}}
	bubble(t, s, func(t *testing.T, n *Name) {
		_, err := n.Addresses(t.Context())
		if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsNotFound {
			t.Errorf("Addresses = %v", err)
		}
		s.now(Answer{[]netip.Addr{first}, time.Minute}, nil)
		pass(time.Second) // whoever asked in vain was in a hurry
		n.mustBe(t, first)
	})
}

func TestHurry(t *testing.T) {
	s := &stub{answer: Answer{[]netip.Addr{first}, longest}}
	bubble(t, s, func(t *testing.T, n *Name) {
		pass(10 * time.Second)
		for range 1000 {
			n.Hurry()
			pass(time.Millisecond)
		}
		pass(time.Second)
	})
	if len(s.asked) < 2 || len(s.asked) > 4 {
		t.Errorf("asked at %v for a thousand calls within a second", s.asked)
	}
}

func TestAddressesGivesUp(t *testing.T) {
	n := New("db.example.org", nil, zap.NewNop(), NewMetrics(prometheus.NewRegistry()).For("egress/db")) // and nobody runs it
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Addresses(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Addresses = %v", err)
	}
}

func TestAddressStandsForItself(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::1", "::ffff:192.0.2.1": "192.0.2.1"} {
		n := New(in, nil, zap.NewNop(), NewMetrics(prometheus.NewRegistry()).For("egress/db"))
		n.mustBe(t, netip.MustParseAddr(want))
	}
}
