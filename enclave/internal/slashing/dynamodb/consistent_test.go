package dynamodb_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// TestReadsAreConsistent: DynamoDB Local answers consistently whether it is asked to or not, the service only if it is asked to.
func TestReadsAreConsistent(t *testing.T) {
	var seen atomic.Int32
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if target := r.Header.Get("X-Amz-Target"); strings.HasSuffix(target, ".GetItem") || strings.HasSuffix(target, ".Scan") {
			if seen.Add(1); !bytes.Contains(body, []byte(`"ConsistentRead":true`)) {
				t.Errorf("%s: %s", target, body)
			}
		}
		onward, _ := http.NewRequestWithContext(r.Context(), r.Method, shared.Endpoint()+r.URL.Path, bytes.NewReader(body))
		onward.Header = r.Header.Clone()
		answer, err := transport.RoundTrip(onward)
		if err != nil {
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}))
	defer server.Close()
	o := options(table(t))
	o.Endpoint = server.URL
	s := open(t, o)
	_, _ = s.Advance(t.Context(), []slashing.Claim{{Vote: attestation(1, 1)}})
	_ = s.Each(t.Context(), func(slashing.Record) error { return nil })
	if n := seen.Load(); n < 3 {
		t.Errorf("%d reads", n)
	}
}

// TestSameVoteWithLimitUnreadable: what was signed before a high watermark was set below it is not signed again while that of all keys cannot be read.
func TestSameVoteWithLimitUnreadable(t *testing.T) {
	p, store, truth := through(t)
	key, vote := bls.PublicKey{1}, attestation(5, 1)
	claims := []slashing.Claim{{Key: key, Vote: vote}}
	if _, err := truth.Advance(t.Context(), claims); err != nil {
		t.Fatal(err)
	}
	if err := truth.SetHighWatermark(t.Context(), []bls.PublicKey{key}, slashing.HighWatermark{Slot: 1, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	p.spoil(func(operation string, _ int) deed {
		if operation == "GetItem" {
			return fail(400, "AccessDeniedException", "no")
		}
		return pass()
	})
	if outcomes, err := store.Advance(t.Context(), claims); err == nil && outcomes[0].Permits(vote) {
		t.Errorf("permitted above the key's high watermark: %+v", outcomes)
	}
}
