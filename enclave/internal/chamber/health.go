package chamber

import (
	"crypto/sha256"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"
)

// health is what is known of the shares.
type health struct {
	mu     sync.Mutex                        // held while shares is used
	shares map[[sha256.Size]byte]ShareHealth // by their key
}

// key tells a share from those that had or will have its number.
func (s share) key() [sha256.Size]byte {
	return sha256.Sum256(append([]byte{byte(s.Number)}, s.Sealed...))
}

// of is the health of a manifest's shares.
func (h *health) of(m *manifest) []ShareHealth {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []ShareHealth
	for _, s := range m.Shares {
		known := h.shares[s.key()]
		known.Number, known.KeyARN = s.Number, s.KeyARN
		all = append(all, known)
	}
	return all
}

// forget drops what is known of shares that a manifest does not have.
func (h *health) forget(m *manifest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := map[[sha256.Size]byte]ShareHealth{}
	for _, s := range m.Shares {
		if known, ok := h.shares[s.key()]; ok {
			kept[s.key()] = known
		}
	}
	h.shares = kept
}

// note keeps the health of a share, and says whether that is news. Another text is none: KMS numbers its answers.
func (h *health) note(s share, now ShareHealth) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shares == nil {
		h.shares = map[[sha256.Size]byte]ShareHealth{}
	}
	before, known := h.shares[s.key()]
	h.shares[s.key()] = now
	return !known || before.OK != now.OK
}

// report tells how the use of a share went: in the status, as a metric, and in the log if that is news.
func (c *Chamber) report(s share, err error) {
	now := ShareHealth{Number: s.Number, KeyARN: s.KeyARN, OK: err == nil, Checked: c.o.Now()}
	ok := 1.0
	if err != nil {
		now.Error, ok = err.Error(), 0
	}
	c.metrics.shares.WithLabelValues(strconv.Itoa(s.Number)).Set(ok)
	if c.health.note(s, now) {
		if err != nil {
			c.o.Log.Error("a share of the master key cannot be used", zap.Int("share", s.Number), zap.String("kms_key_arn", s.KeyARN), zap.Error(err))
		} else {
			c.o.Log.Info("a share of the master key is well", zap.Int("share", s.Number), zap.String("kms_key_arn", s.KeyARN))
		}
	}
}

// jittered is d, give or take a tenth: replicas that started together do not ask together for ever.
func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // it spreads load and hides nothing
}

// newPause is how long to wait after attempts that failed.
func newPause() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(time.Second),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(30*time.Second),
		backoff.WithRandomizationFactor(0.3),
		backoff.WithMaxElapsedTime(0), // never give up
	)
}
