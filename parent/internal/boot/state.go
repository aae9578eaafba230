package boot

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// state is what is known of the enclave. It is there from its first sign on a connection until that connection ends, which it does by
// itself after [wire.HeartbeatLost] of silence. To wait after the end whether it comes back, as one that lives does after 100 ms, would
// keep a dead one ready; so each end is a loss, and the next heartbeat heals it. A sign on another connection takes the place of the
// one before, so that what is left of an enclave that restarted, or was cut off, ends unnoticed.
type state struct {
	mu     sync.Mutex // held while a field is read or written
	conn   net.Conn   // of the last sign of a configured enclave; nil: there was none, or it ended
	seen   time.Time  // when that sign came; zero: never
	digest [wire.DigestSize]byte
	gone   time.Time // when conn ended; zero: never
	cause  error     // of that
}

func (s *state) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ago := time.Since(s.gone).Round(time.Second)
	switch {
	case s.seen.IsZero():
		return errors.New("no enclave has acknowledged its configuration yet")
	case s.conn != nil:
		return nil
	case errors.Is(s.cause, os.ErrDeadlineExceeded):
		return fmt.Errorf("no heartbeat of the enclave for %v", time.Since(s.seen).Round(time.Second))
	case errors.Is(s.cause, io.EOF):
		return fmt.Errorf("the enclave closed its boot connection %v ago", ago)
	default:
		return fmt.Errorf("the enclave's boot connection ended %v ago: %w", ago, s.cause)
	}
}

// last is the digest that the enclave last told, zeros before that.
func (s *state) last() [wire.DigestSize]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.digest
}

// beat notes a sign of life on c.
func (s *Service) beat(c net.Conn, digest [wire.DigestSize]byte) {
	st := &s.state
	st.mu.Lock()
	silent, known := time.Since(st.seen), !st.seen.IsZero()
	changed := known && digest != st.digest
	recovered := known && st.conn == nil
	st.conn, st.seen, st.digest = c, time.Now(), digest
	st.mu.Unlock()

	if changed {
		s.log.Warn("the enclave runs on another configuration than before", digestField(digest))
	}
	if recovered {
		s.log.Info("heartbeat of the enclave is back", zap.Duration("silent", silent))
	}
}

// ended notes that the conversation on c is over, and tells of the loss if it was there that the enclave gave its last sign.
func (s *Service) ended(c net.Conn, cause error) {
	st := &s.state
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.conn != c {
		return
	}
	st.conn, st.gone, st.cause = nil, time.Now(), cause
	s.metrics.lost.Inc()
	s.log.Error("heartbeat of the enclave is lost", zap.Duration("silent", time.Since(st.seen)), digestField(st.digest), zap.Error(cause))
}
