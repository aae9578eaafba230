package wellknown

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

type attest func(ctx context.Context, userData, nonce []byte) ([]byte, error)

func newAPI(t *testing.T, device attest) *API {
	t.Helper()
	a, err := New(Options{
		Attest: device, Registry: prometheus.NewRegistry(),
		Current: func() ([]byte, time.Time) { return nil, time.Time{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestProofsAreCounted by what came of them: one that its caller did not wait for is no fault of the device.
func TestProofsAreCounted(t *testing.T) {
	broken := errors.New("the device is broken")
	for name, test := range map[string]struct {
		device  func(hangUp func()) attest
		hangsUp bool // before its turn
		want    string
	}{
		"made": {func(func()) attest {
			return func(context.Context, []byte, []byte) ([]byte, error) { return []byte{1}, nil }
		}, false, "made"},
		"a fault": {func(func()) attest {
			return func(context.Context, []byte, []byte) ([]byte, error) { return nil, broken }
		}, false, "failed"},
		"too slow": {func(func()) attest { return late }, false, "failed"},
		"hung up": {func(hangUp func()) attest {
			return func(ctx context.Context, _, _ []byte) ([]byte, error) {
				hangUp()
				<-ctx.Done()
				return nil, ctx.Err()
			}
		}, false, "limited"},
		"hung up while others were served": {func(func()) attest { return late }, true, "limited"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			a := newAPI(t, test.device(hangUp))
			if test.hangsUp {
				a.busy <- struct{}{}
				hangUp()
			}
			document, err := a.attest(ctx, netip.Prefix{}, nil, nil)
			if (err == nil) != (test.want == "made") || (err == nil) != (len(document) == 1) || err != nil && problem.Of(err).Kind != problem.Overloaded {
				t.Errorf("%x, %v", document, err)
			}
			got := map[string]float64{}
			for _, result := range []string{"made", "limited", "failed"} {
				if n := testutil.ToFloat64(a.proofs.WithLabelValues(result)); n > 0 {
					got[result] = n
				}
			}
			if diff := cmp.Diff(map[string]float64{test.want: 1}, got); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

// late is a device whose call ends with the time for it.
func late(context.Context, []byte, []byte) ([]byte, error) { return nil, context.DeadlineExceeded }

// TestProofsOfManyConnections: what few handshakes a second can ask for does not empty what there is for all.
func TestProofsOfManyConnections(t *testing.T) {
	a := newAPI(t, func(context.Context, []byte, []byte) ([]byte, error) { return []byte{1}, nil })
	now := time.Now()
	a.now = func() time.Time { return now }
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 400}, {time.Second, 200}} {
		now = now.Add(step.after)
		made := 0
		for ; made <= step.want; made++ {
			if _, err := a.attest(t.Context(), netip.Prefix{}, nil, nil); err != nil {
				break
			}
		}
		if made != step.want {
			t.Errorf("%v later: %d proofs, want %d", step.after, made, step.want)
		}
	}
}
