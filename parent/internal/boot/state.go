package boot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/logging"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// visit numbers the connections in the order in which they came. An enclave has one at a time, so that a newer one's word is that of an
// enclave which has left the older ones behind.
type visit uint64

// nobody is the visit of no connection.
const nobody visit = 0

// state is what is known of the enclave. It is there from its first sign on a connection until that connection ends, which it does by
// itself after [wire.HeartbeatLost] of silence. To wait after the end whether it comes back, as one that lives does after 100 ms, would
// keep a dead one ready; so each end is a loss, and the next heartbeat heals it. What is left of an enclave that restarted, or was cut
// off, ends unnoticed.
type state struct {
	mu      sync.Mutex // held while a field is read or written, and while a change is told, so that changes are told in their order
	speaker visit      // whose signs say that the enclave is there; nobody: it is not
	newest  visit      // that had a say; what came before it has none any more
	seen    time.Time  // when the last sign of a configured enclave came; zero: never
	digest  [wire.DigestSize]byte
	gone    time.Time // when the speaker was lost; zero: never
	cause   error     // of that
}

var (
	errAnew       = errors.New("the enclave started anew, and has no configuration yet")
	errSuperseded = errors.New("a newer connection took the place of this one")
	// errAwaited is in the error of a heartbeat that was not read.
	errAwaited = errors.New("wait for a heartbeat")
)

func (s *state) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.seen.IsZero():
		return errors.New("no enclave has acknowledged its configuration yet")
	case s.speaker != nobody:
		return nil
	case s.silent():
		return s.loss()
	default:
		return fmt.Errorf("%w (%v ago)", s.loss(), time.Since(s.gone).Round(time.Second))
	}
}

// silent says whether it was silence by which the enclave was lost. An answer that it does not read has a deadline, too.
func (s *state) silent() bool {
	return errors.Is(s.cause, errAwaited) && errors.Is(s.cause, os.ErrDeadlineExceeded)
}

// loss says why the enclave is not there any more.
func (s *state) loss() error {
	switch {
	case s.silent():
		return fmt.Errorf("no heartbeat of the enclave for %v", time.Since(s.seen).Round(time.Second))
	case errors.Is(s.cause, io.EOF):
		return errors.New("the enclave closed its boot connection")
	case errors.Is(s.cause, errAnew):
		return s.cause
	default:
		return fmt.Errorf("the enclave's boot connection ended: %w", s.cause)
	}
}

// last is the digest that the enclave last told, zeros before that.
func (s *state) last() [wire.DigestSize]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.digest
}

// beat notes a sign of life on v. One that a newer connection has superseded is to end: what it says may be from before, and an enclave
// that lives comes back as the newest.
func (s *Service) beat(v visit, digest [wire.DigestSize]byte) error {
	st := &s.state
	st.mu.Lock()
	defer st.mu.Unlock()
	if v < st.newest {
		return errSuperseded
	}
	silent, known, here := time.Since(st.seen), !st.seen.IsZero(), st.speaker != nobody
	changed := known && digest != st.digest
	st.speaker, st.newest, st.seen, st.digest = v, v, time.Now(), digest

	if changed {
		s.log.Warn("the enclave runs on another configuration than before", digestField(digest))
	}
	switch {
	case !known:
		s.log.Info("the enclave is there", logging.EnclaveCame.Field())
	case !here:
		s.log.Info("heartbeat of the enclave is back", logging.EnclaveCame.Field(), zap.Duration("silent", silent))
	}
	return nil
}

// anew notes that on v an enclave asks for its first configuration. There is one enclave, so that the one which had its configuration is
// gone, though its connection may linger for as long as an enclave may be silent.
func (s *Service) anew(v visit) {
	st := &s.state
	st.mu.Lock()
	defer st.mu.Unlock()
	if v < st.newest {
		return
	}
	st.newest = v
	if st.speaker != nobody {
		s.lose(errAnew)
	}
}

// ended notes that the conversation on v is over, which is a loss if it was there that the enclave gave its last sign.
func (s *Service) ended(v visit, cause error) {
	st := &s.state
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.speaker == v {
		s.lose(cause)
	}
}

// lose notes and tells a loss, for who holds the state.
func (s *Service) lose(cause error) {
	st := &s.state
	st.speaker, st.gone, st.cause = nobody, time.Now(), cause
	s.metrics.lost.Inc()
	s.log.Error("heartbeat of the enclave is lost", logging.EnclaveLost.Field(), zap.Duration("silent", time.Since(st.seen)), digestField(st.digest), zap.Error(st.loss()))
}
