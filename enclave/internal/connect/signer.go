package connect

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// Signer is what is known of the one signer that a proxy talks to. It is safe for concurrent use.
type Signer struct {
	url     *url.URL
	log     *zap.Logger
	metrics *metrics

	mu      sync.Mutex // held while the fields below are used
	asked   time.Time  // when a request to it ended last
	trouble *trouble   // why that failed; nil if it did not
	since   time.Time  // when the first of the requests failed that have failed without a break
	peer    *atls.Peer // who proved itself last; nil if nobody has
}

// NewSigner registers containment_connect_… with r. The URL is https and nothing but host and port.
func NewSigner(at *url.URL, log *zap.Logger, r prometheus.Registerer) (*Signer, error) {
	if at.Scheme != "https" || at.Host == "" || at.User != nil || strings.Trim(at.Path, "/") != "" || at.RawQuery != "" || at.Fragment != "" {
		return nil, fmt.Errorf("signer %.200s: want https://HOST:PORT and nothing after it", at.Redacted())
	}
	s := &Signer{url: &url.URL{Scheme: at.Scheme, Host: at.Host}, log: log}
	var err error
	s.metrics, err = newMetrics(r)
	return s, err
}

// Verified takes note of a signer that proved itself on a new connection. It is what an [atls.Options] calls.
func (s *Signer) Verified(p atls.Peer) {
	s.metrics.verified.Inc()
	s.metrics.evidenceEnds.Set(float64(p.NotAfter.Unix()))
	s.mu.Lock()
	before := s.peer
	s.peer = &p
	s.mu.Unlock()
	level := zap.DebugLevel
	if before == nil || !before.Document.Timestamp.Equal(p.Document.Timestamp) || before.Binding != p.Binding {
		level = zap.InfoLevel // its certificate is another than before, and not only the connection
	}
	s.log.Log(level, "signer verified", peerFields(p)...)
}

// peerFields say in the log what was accepted.
func peerFields(p atls.Peer) []zap.Field {
	fields := []zap.Field{
		zap.String("set", p.Label),
		zap.String("build", p.Binding.Build),
		zap.String("module_id", p.Document.ModuleID),
		zap.Time("timestamp_of_document", p.Document.Timestamp),
		zap.Time("not_after", p.NotAfter),
		zap.Bool("proved_connection", p.Proof != nil),
		zap.String("config_digest", fmt.Sprintf("%x", p.Binding.Config)),
	}
	for _, index := range attestation.Registers() {
		if pcr, ok := p.Document.PCRs[index]; ok {
			fields = append(fields, zap.Stringer(fmt.Sprintf("pcr%d", index), pcr))
		}
	}
	return fields
}

// answered takes note of a request that the signer answered, whatever it said.
func (s *Signer) answered(now time.Time) {
	s.mu.Lock()
	before, since := s.trouble, s.since
	s.asked, s.trouble, s.since = now, nil, time.Time{}
	s.mu.Unlock()
	s.metrics.up.Set(1)
	if before != nil {
		s.log.Info("the signer answers again", zap.Duration("after", now.Sub(since)))
	}
}

// failed takes note of a request that had no answer. The first failure and each of another kind is told in the log, the others are
// counted: clients ask again and again.
func (s *Signer) failed(t *trouble, now time.Time) {
	s.mu.Lock()
	before := s.trouble
	s.asked, s.trouble = now, t
	if before == nil {
		s.since = now
	}
	s.mu.Unlock()
	s.metrics.up.Set(0)
	if before == nil || !before.same(t) {
		s.log.Warn(t.public(), zap.Stringer("signer", s.url))
	}
}

// status is what is known now.
func (s *Signer) status() (asked time.Time, t *trouble, since time.Time, peer *atls.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.trouble, s.since, s.peer
}
