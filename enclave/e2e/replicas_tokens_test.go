package e2e

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
)

// testReplicasTokens: a token that one replica made is known to the other, and is not any more once the other has revoked it. The figures are
// logged in refresh intervals, of which the product promises two.
func testReplicasTokens(t *testing.T, s *chamberSite, a, b *chamberSigner) {
	t.Helper()
	var made chamber.ClientToken
	s.operator(t, a, "policy", "create", "watch", "--scopes", "chamber_status").does(t, nil)
	s.operator(t, a, "token", "create", "watcher", "--policies", "watch").does(t, &made)
	b.answers(t, s, "the new token", made.Secret, http.StatusOK)
	a.answers(t, s, "its own new token", made.Secret, http.StatusOK)
	s.operator(t, b, "token", "revoke", made.ID, "--yes").does(t, nil)
	a.answers(t, s, "the revocation", made.Secret, http.StatusUnauthorized)
	b.answers(t, s, "its own revocation", made.Secret, http.StatusUnauthorized)
}

// answers waits until a request with a token has a status.
func (r *chamberSigner) answers(t *testing.T, s *chamberSite, what, token string, want int) {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); ; {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+operator.RouteStatus, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := r.client.Do(req)
		got := 0
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			got = res.StatusCode
		}
		if got == want {
			t.Logf("%s follows %s: %.2f refresh intervals after the answer", r.name, what, time.Since(began).Seconds()/float64(s.refresh))
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: %s: status %d, %v; want %d", r.name, what, got, err, want)
		}
	}
}
