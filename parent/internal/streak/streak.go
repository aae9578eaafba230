// Package streak logs a repeated failure once per reason.
package streak

import (
	"sync"

	"go.uber.org/zap"
)

// Streak is a run of failures of one thing. The first failure is logged, then only one whose reason differs from the one
// before; the end is logged with the number of failures. The zero value is ready; it is safe for concurrent use.
type Streak struct {
	mu       sync.Mutex // held while the fields below change
	reason   string     // of the last failure; "" when the last try went well
	failures int
}

// Fail records a failure. The reason is compared, and so should be free of what differs each time, as port numbers.
func (s *Streak) Fail(log *zap.Logger, message, reason string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
	if s.reason == reason {
		return
	}
	s.reason = reason
	log.Warn(message, zap.String("reason", reason), zap.Error(err), zap.Int("failures", s.failures))
}

// Heal records that the thing went well.
func (s *Streak) Heal(log *zap.Logger, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == "" {
		return
	}
	log.Info(message, zap.Int("failures", s.failures))
	s.reason, s.failures = "", 0
}
