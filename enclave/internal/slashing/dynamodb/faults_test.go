package dynamodb_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
)

// through opens a store behind a proxy, and another one beside it that tells the truth.
func through(t *testing.T, change ...func(*dynamodb.Options)) (p *proxy, store, truth *dynamodb.Store) {
	t.Helper()
	p = newProxy(t)
	o := options(table(t))
	truth = open(t, o)
	o.Endpoint = p.server.URL
	for _, f := range change {
		f(&o)
	}
	return p, open(t, o), truth
}

// onlyUpdates has the proxy spoil what records votes, and pass on the rest.
func onlyUpdates(fault func(n int) deed) func(string, int) deed {
	return func(operation string, n int) deed {
		if operation != "UpdateItem" {
			return pass()
		}
		return fault(n)
	}
}

func always(d deed) func(int) deed { return func(int) deed { return d } }

// first spoils the first n requests.
func first(n int, d deed) func(int) deed {
	return func(i int) deed {
		if i <= n {
			return d
		}
		return pass()
	}
}

func attestation(target uint64, root byte) slashing.Attestation {
	return slashing.Attestation{Source: target - 1, Target: target, Root: eth2.Root{root}}
}

// itemOf is an answer to an update.
func itemOf(key bls.PublicKey, v slashing.Attestation) string {
	of := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`{"Attributes":{"key":{"B":%q},"source":{"N":"%d"},"target":{"N":"%d"},"attestation_root":{"B":%q}}}`,
		of(key[:]), v.Source, v.Target, of(v.Root[:]))
}

// onRecord is what the server holds of a key: nil if it holds no attestation.
func onRecord(t *testing.T, truth *dynamodb.Store, key bls.PublicKey) slashing.Vote {
	t.Helper()
	var found slashing.Vote
	err := truth.Each(t.Context(), func(r slashing.Record) error {
		if r.Key == key && r.Attestation != nil {
			found = *r.Attestation
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestFaults: what becomes of one claim when its requests are spoiled, how many there are, and that the error says no more than what
// is known.
func TestFaults(t *testing.T) {
	const endless = -1 // as many requests as the time allows, more than one
	vote := attestation(5, 1)
	for _, tc := range []struct {
		name     string
		fault    func(n int) deed
		limit    time.Duration // of Advance
		want     error         // nil: it is permitted
		recorded bool
		requests int
	}{
		{"throttled, then not", first(3, throttle()), time.Minute, nil, true, 4},
		{"throttled until the end", always(throttle()), 2 * time.Second, slashing.ErrUnavailable, false, endless},
		{"throttled by account", always(fail(400, "RequestLimitExceeded", "")), 2 * time.Second, slashing.ErrUnavailable, false, endless},
		{"in another transaction", first(1, fail(400, "TransactionConflictException", "")), time.Minute, nil, true, 2},
		{"written to in another region", first(1, fail(400, "ReplicatedWriteConflictException", "")), time.Minute, nil, true, 2},
		{"internal error, not applied", first(1, fail(500, "InternalServerError", "")), time.Minute, nil, true, 2},
		{"internal error, applied", first(1, deed{forward: true, then: answer, status: 500, body: "{}"}), time.Minute, nil, true, 2},
		{"internal errors", always(fail(500, "InternalServerError", "")), time.Minute, slashing.ErrOutcomeUnknown, false, 4},
		{"unavailable service", always(fail(503, "ServiceUnavailable", "")), time.Minute, slashing.ErrOutcomeUnknown, false, 4},
		{"answer lost once", first(1, loseAnswer()), time.Minute, nil, true, 2},
		{"answers lost", always(loseAnswer()), time.Minute, slashing.ErrOutcomeUnknown, true, 4},
		{"half an answer once", first(1, deed{forward: true, then: half}), time.Minute, nil, true, 2},
		{"half answers", always(deed{forward: true, then: half}), time.Minute, slashing.ErrOutcomeUnknown, true, 4},
		{"requests lost", always(lose()), time.Minute, slashing.ErrOutcomeUnknown, false, 4},
		{"no answer once", first(1, deed{then: hang}), 4 * time.Second, nil, true, 2},
		{"no answers", always(deed{then: hang}), time.Second, slashing.ErrOutcomeUnknown, false, endless},
		{"applied, no answers", always(deed{forward: true, then: hang}), 4 * time.Second, slashing.ErrOutcomeUnknown, true, endless},
		{"lost, then throttled", func(n int) deed {
			if n == 1 {
				return loseAnswer()
			}
			return throttle()
		}, 3 * time.Second, slashing.ErrOutcomeUnknown, true, endless},
		{"lost, then refused credentials", func(n int) deed {
			if n == 1 {
				return lose()
			}
			return fail(400, "ExpiredTokenException", "")
		}, time.Minute, slashing.ErrOutcomeUnknown, false, 2},
		{"an empty answer", first(1, deed{then: answer, status: 200, body: ""}), time.Minute, slashing.ErrOutcomeUnknown, false, 1},
		{"an answer without the item", first(1, deed{then: answer, status: 200, body: "{}"}), time.Minute, slashing.ErrOutcomeUnknown, false, 1},
		{"another key's item", first(1, deed{then: answer, status: 200, body: itemOf(bls.PublicKey{2}, vote)}), time.Minute, slashing.ErrOutcomeUnknown, false, 1},
		{"another's page", always(deed{then: answer, status: 403, body: "<html>no</html>"}), time.Minute, slashing.ErrOutcomeUnknown, false, 4},
		{"another's JSON", always(deed{then: answer, status: 403, body: `{"message":"no"}`}), time.Minute, slashing.ErrOutcomeUnknown, false, 4},
		{"a redirect", always(deed{then: answer, status: 302}), time.Minute, slashing.ErrOutcomeUnknown, false, 4},
		{"no right", always(fail(400, "AccessDeniedException", "not authorized")), time.Minute, slashing.ErrUnavailable, false, 1},
		{"bad request", always(fail(400, "ValidationException", "")), time.Minute, slashing.ErrUnavailable, false, 1},
		{"no table", always(fail(400, "ResourceNotFoundException", "")), time.Minute, slashing.ErrUnavailable, false, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, store, truth := through(t)
			p.spoil(onlyUpdates(tc.fault))
			ctx, cancel := context.WithTimeout(t.Context(), tc.limit)
			defer cancel()
			outcomes, err := store.Advance(ctx, []slashing.Claim{{Key: bls.PublicKey{1}, Vote: vote}})
			if err == nil && outcomes[0].Err == nil && !outcomes[0].Permits(vote) {
				t.Errorf("refused by %+v", outcomes[0].Standing)
			}
			checkError(t, err, tc.want)
			if n := p.requests("UpdateItem"); n != tc.requests && (tc.requests != endless || n < 2) {
				t.Errorf("%d requests, want %d", n, tc.requests)
			}
			want := slashing.Vote(nil)
			if tc.recorded {
				want = vote
			}
			if got := onRecord(t, truth, bls.PublicKey{1}); got != want {
				t.Errorf("on record %+v, want %+v", got, want)
			}
			// Whatever it was, the identical vote may be sent again.
			p.spoil(nil)
			outcomes, err = store.Advance(t.Context(), []slashing.Claim{{Key: bls.PublicKey{1}, Vote: vote}})
			if err != nil || !outcomes[0].Permits(vote) {
				t.Errorf("the same again: %+v, %v", outcomes, err)
			}
		})
	}
}

// checkError wants an error of one kind and not of the other.
func checkError(t *testing.T, err, want error) {
	t.Helper()
	for _, kind := range []error{slashing.ErrUnavailable, slashing.ErrOutcomeUnknown} {
		if errors.Is(err, kind) != (want == kind) { //nolint:errorlint // the sentinels themselves are compared
			t.Errorf("error %v, want %v", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), dynamodbtest.SecretKey) {
		t.Errorf("the secret key is in %v", err)
	}
}

// TestUnreachable: without a connection nothing was recorded.
func TestUnreachable(t *testing.T) {
	p := newProxy(t)
	p.server.Config.SetKeepAlivesEnabled(false) // what is sent on a connection that broke while it rested may have arrived
	o := options(table(t))
	o.Endpoint = p.server.URL
	store := open(t, o)
	p.server.Close()
	outcomes, err := store.Advance(t.Context(), []slashing.Claim{{Vote: attestation(1, 1)}})
	checkError(t, err, slashing.ErrUnavailable)
	if outcomes != nil || err == nil {
		t.Errorf("%+v, %v", outcomes, err)
	}
	if err := store.Check(t.Context()); !errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("Check: %v", err)
	}
}

// TestMixedGroup: a claim's fate is its own.
func TestMixedGroup(t *testing.T) {
	p, store, _ := through(t, func(o *dynamodb.Options) { o.Concurrency = 1 }) // so that they come one after the other
	p.spoil(onlyUpdates(func(n int) deed {
		if n == 2 {
			return fail(http.StatusBadRequest, "ValidationException", "this one")
		}
		return pass()
	}))
	var claims []slashing.Claim
	for i := range byte(5) {
		claims = append(claims, slashing.Claim{Key: bls.PublicKey{i}, Vote: attestation(3, i)})
	}
	outcomes, err := store.Advance(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for i, o := range outcomes {
		if o.Err != nil {
			failed++
			checkError(t, o.Err, slashing.ErrUnavailable)
		} else if !o.Permits(claims[i].Vote) {
			t.Errorf("claim %d: %+v", i, o)
		}
	}
	if failed != 1 {
		t.Errorf("%d claims failed, want 1", failed)
	}
}

// TestSecretsInErrors: the service quotes the request's headers when it does not like a signature.
func TestSecretsInErrors(t *testing.T) {
	p, store, _ := through(t)
	const token = "canary-session-token"
	p.spoil(func(string, int) deed {
		return fail(http.StatusBadRequest, "InvalidSignatureException",
			`Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z.\n\nThe Canonical String:\nx-amz-security-token:`+token)
	})
	_, err := store.Advance(t.Context(), []slashing.Claim{{Vote: attestation(1, 1)}})
	checkError(t, err, slashing.ErrUnavailable)
	if strings.Contains(err.Error(), token) || !strings.Contains(err.Error(), "clock") || !strings.Contains(err.Error(), "Signature expired") {
		t.Errorf("%v", err)
	}
}
