package stored

import (
	"encoding/hex"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
)

// commit does what verdicts say, once their items are opened. It is called with work held.
func (s *Source) commit(verdicts []verdict, level zapcore.Level) {
	s.mu.Lock()
	c := s.book.enter(verdicts, s.wanted)
	s.mu.Unlock()
	removed := make([]bls.PublicKey, len(c.removed))
	for i, public := range c.removed {
		removed[i] = public
	}
	done := s.o.Keystore.Apply(keystore.Stored, c.added, removed)
	s.mu.Lock()
	for _, key := range c.added {
		public := key.PublicKey()
		if s.held(public) {
			delete(s.book.covered, public)
		} else {
			s.book.covered[public] = true
		}
	}
	s.mu.Unlock()
	s.o.Failures.Add(float64(len(c.failed) + len(done.Duplicates)))
	s.tell(done, c.told, level)
}

// tell writes one line for each key that came, went or failed.
func (s *Source) tell(done keystore.Change, failed []verdict, level zapcore.Level) {
	for _, public := range done.Added {
		s.o.Log.Log(level, "key added", zap.String("key", public.Short()))
	}
	for _, public := range done.Removed {
		s.o.Log.Log(level, "key removed", zap.String("key", public.Short()))
	}
	for _, err := range done.Duplicates {
		s.o.Log.Error("stored key not loaded", zap.Error(err))
	}
	for _, v := range failed {
		message := "stored key not loaded"
		if s.held(v.item.PublicKey) {
			message = "stored key not reloaded: it stays as it was"
		}
		s.o.Log.Error(message, zap.String("key", "0x"+hex.EncodeToString(v.item.PublicKey[:])), zap.Uint64("version", v.item.Version),
			zap.Stringer("status", v.item.Status), zap.Error(v.err))
	}
}
