package telemetry

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
)

// said are the messages of lines, in their order.
func said(t *testing.T, text []byte) (messages []string) {
	t.Helper()
	for line := range bytes.Lines(text) {
		messages = append(messages, parse(t, line).Message)
	}
	return messages
}

const (
	changed = "log level changed for a while"
	back    = "log level is the configured one again"
)

// each logs one line at every level, with a name.
func each(l *Logs, name string) {
	for _, level := range []zapcore.Level{zapcore.DebugLevel, zapcore.InfoLevel, zapcore.WarnLevel, zapcore.ErrorLevel} {
		l.Logger().Log(level, name+" "+level.String())
	}
}

func TestALevelForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLogs(t, Direct(&out))
		l.SetLevel(zapcore.WarnLevel)
		each(l, "before")
		began := time.Now()
		got := l.SetLevelFor(zapcore.DebugLevel, time.Minute, "management token 1")
		if diff := cmp.Diff(Level{zapcore.DebugLevel, zapcore.WarnLevel, began.Add(time.Minute)}, got); diff != "" {
			t.Error(diff)
		}
		each(l, "during")
		pass(time.Minute - time.Nanosecond)
		synctest.Wait()
		if diff := cmp.Diff(got, l.Level()); diff != "" {
			t.Error(diff)
		}
		pass(time.Nanosecond)
		synctest.Wait()
		each(l, "after")
		if diff := cmp.Diff(Level{Now: zapcore.WarnLevel, Configured: zapcore.WarnLevel}, l.Level()); diff != "" {
			t.Error(diff)
		}
		want := []string{
			"before warn", "before error", changed, "during debug", "during info", "during warn", "during error", back,
			"after warn", "after error",
		}
		if diff := cmp.Diff(want, said(t, out.Bytes())); diff != "" {
			t.Error(diff)
		}
		for _, field := range []string{`"from":"warn","to":"debug","configured":"warn"`, `"caller":"management token 1"`, `"audit":"log-level"`, `"from":"debug","to":"warn"`} {
			if !strings.Contains(out.String(), field) {
				t.Errorf("no %s in\n%s", field, &out)
			}
		}
	})
}

// The second exception ends at its own time, whether that is before or after the end of the first.
func TestAnExceptionReplacesTheOneBefore(t *testing.T) {
	for name, first := range map[string]time.Duration{"ends earlier": time.Second, "ends later": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				l := newLogs(t, Direct(&out))
				l.SetLevelFor(zapcore.DebugLevel, first, "a")
				l.SetLevelFor(zapcore.ErrorLevel, time.Minute, "b")
				pass(time.Minute - time.Nanosecond)
				synctest.Wait()
				if now := l.Level(); now.Now != zapcore.ErrorLevel {
					t.Errorf("before its end: %+v", now)
				}
				pass(time.Nanosecond)
				synctest.Wait()
				if now := l.Level(); now.Now != zapcore.InfoLevel || !now.Until.IsZero() {
					t.Errorf("after its end: %+v", now)
				}
				pass(2 * time.Hour)
				synctest.Wait()
				if diff := cmp.Diff([]string{changed, changed, back}, said(t, out.Bytes())); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A level that comes from the configuration meanwhile holds from the end of the exception on.
func TestAConfiguredLevelWaitsForTheException(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogs(t, Direct(&bytes.Buffer{}))
		until := l.SetLevelFor(zapcore.DebugLevel, time.Minute, "a").Until
		l.SetLevel(zapcore.ErrorLevel)
		if diff := cmp.Diff(Level{zapcore.DebugLevel, zapcore.ErrorLevel, until}, l.Level()); diff != "" {
			t.Error(diff)
		}
		pass(time.Minute)
		synctest.Wait()
		if now := l.Level(); now.Now != zapcore.ErrorLevel {
			t.Errorf("%+v", now)
		}
	})
}
