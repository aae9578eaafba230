package connect

import (
	"net/http"
	"time"
)

// reporting tells a Signer how each round trip ended.
type reporting struct {
	http.RoundTripper
	signer *Signer
}

// RoundTrip implements http.RoundTripper. Its error is a [*trouble].
func (r *reporting) RoundTrip(req *http.Request) (*http.Response, error) {
	begun := time.Now()
	res, err := r.RoundTripper.RoundTrip(req)
	now := time.Now()
	if err == nil {
		r.signer.metrics.requests.WithLabelValues(string(answered)).Inc()
		r.signer.metrics.seconds.Observe(now.Sub(begun).Seconds())
		r.signer.answered(now)
		return res, nil
	}
	t := troubleOf(req.Context(), err)
	r.signer.metrics.requests.WithLabelValues(string(t.kind)).Inc()
	if t.ofSigner() {
		r.signer.failed(t, now)
	}
	return nil, t
}
