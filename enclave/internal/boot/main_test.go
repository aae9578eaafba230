package boot

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) {
	if hardenChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// observed returns a logger and what it logged.
func observed() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zap.DebugLevel)
	return zap.New(core), logs
}

// pass lets virtual time go by.
func pass(d time.Duration) { <-time.After(d) }

// bubble runs f in virtual time; its context ends after limit, 0 for never.
func bubble(t *testing.T, limit time.Duration, f func(ctx context.Context, t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		if limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit)
			defer cancel()
		}
		f(ctx, t)
	})
}

// messages are the lines' messages with one of their fields.
func messages(logs *observer.ObservedLogs, field string) []string {
	var all []string
	for _, l := range logs.All() {
		all = append(all, fmt.Sprintf("%s: %v", l.Message, l.ContextMap()[field]))
	}
	return all
}
