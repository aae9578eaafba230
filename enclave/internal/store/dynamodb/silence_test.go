package dynamodb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// TestSilentService: a service that takes requests and does not answer keeps nobody for ever who has set no end.
func TestSilentService(t *testing.T) {
	o := keysTable(t)
	p, silent := behind(t, o)
	silent.Timeout = time.Second
	k := openKeys(t, silent)
	put(t, k, 1, 1)
	for name, tc := range map[string]struct {
		of   func(operation, body string) bool
		call func(ctx context.Context) error
		want error
	}{
		"changes": {func(o, _ string) bool { return o == "GetItem" }, func(ctx context.Context) error {
			_, _, err := k.Changes(ctx, 0)
			return err
		}, store.ErrUnavailable},
		"load": {func(o, _ string) bool { return o == "Query" }, func(ctx context.Context) error {
			_, err := k.Load(ctx, []store.Status{store.Active}, 16, func(store.Key) error { return nil })
			return err
		}, store.ErrUnavailable},
		"put": {writesHead, func(ctx context.Context) error { return k.Put(ctx, key(1, 2)) }, store.ErrOutcomeUnknown},
	} {
		p.set(times(always, tc.of, silence))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := tc.call(ctx); !errors.Is(err, tc.want) || ctx.Err() != nil {
			t.Errorf("%s: %v, want %v before the caller's own time is over (%v)", name, err, tc.want, ctx.Err())
		}
		cancel()
	}
}
