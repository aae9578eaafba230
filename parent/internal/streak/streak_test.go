package streak

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestStreakLogsFirstAndChangedReasons(t *testing.T) {
	core, logged := observer.New(zap.DebugLevel)
	log := zap.New(core)
	var s Streak
	s.Heal(log, "never failed")
	for _, reason := range []string{"refused", "refused", "timeout", "timeout", "refused"} {
		s.Fail(log, "dial failed", reason, errors.New(reason))
	}
	s.Heal(log, "dial works again")
	s.Heal(log, "dial works again")
	s.Fail(log, "dial failed", "refused", errors.New("refused"))

	type line struct {
		Message string
		Reason  any
		Count   any
	}
	var got []line
	for _, e := range logged.All() {
		got = append(got, line{e.Message, e.ContextMap()["reason"], e.ContextMap()["failures"]})
	}
	want := []line{
		{"dial failed", "refused", int64(1)},
		{"dial failed", "timeout", int64(3)},
		{"dial failed", "refused", int64(5)},
		{"dial works again", nil, int64(5)},
		{"dial failed", "refused", int64(1)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
