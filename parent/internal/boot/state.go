package boot

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// state is what is known of the enclave. It outlives connections: one that comes back within the heartbeat's time was never gone.
type state struct {
	mu     sync.Mutex // held while a field is read or written
	seen   time.Time  // of the last sign of a configured enclave; zero: never
	digest [wire.DigestSize]byte
	lost   bool // the loss was told
}

func (s *state) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen.IsZero() {
		return errors.New("no enclave has acknowledged its configuration yet")
	}
	if silent := time.Since(s.seen); silent >= wire.HeartbeatLost {
		return fmt.Errorf("no heartbeat of the enclave for %v", silent.Round(time.Second))
	}
	return nil
}

// last is the digest that the enclave last told, zeros before that.
func (s *state) last() [wire.DigestSize]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.digest
}

// beat notes a sign of life.
func (s *Service) beat(digest [wire.DigestSize]byte) {
	st := &s.state
	st.mu.Lock()
	silent, known := time.Since(st.seen), !st.seen.IsZero()
	changed := known && digest != st.digest
	recovered := st.lost
	st.seen, st.digest, st.lost = time.Now(), digest, false
	st.mu.Unlock()

	if changed {
		s.log.Warn("the enclave runs on another configuration than before", digestField(digest))
	}
	if recovered {
		s.log.Info("heartbeat of the enclave is back", zap.Duration("silent", silent))
	}
	select {
	case s.beats <- struct{}{}:
	default: // watch has not yet seen the one before; one is enough
	}
}

// watch tells when the heartbeat is lost, also when no connection is there to time out.
func (s *Service) watch(ended <-chan struct{}) {
	timer := time.NewTimer(wire.HeartbeatLost)
	defer timer.Stop()
	for {
		select {
		case <-s.beats:
			timer.Reset(wire.HeartbeatLost)
		case <-timer.C:
			s.lose()
		case <-ended:
			return
		}
	}
}

func (s *Service) lose() {
	st := &s.state
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.seen.IsZero() || st.lost || time.Since(st.seen) < wire.HeartbeatLost {
		return
	}
	st.lost = true
	s.metrics.lost.Inc()
	s.log.Error("heartbeat of the enclave is lost", zap.Duration("silent", time.Since(st.seen)), digestField(st.digest))
}
