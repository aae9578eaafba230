package telemetry

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Level is what is logged now.
type Level struct {
	Now        zapcore.Level // the least severe level
	Configured zapcore.Level // what it is without an exception
	Until      time.Time     // when Now ends; zero if it does not
}

// exception is a level that holds for a while instead of the configured one.
type exception struct {
	mu         sync.Mutex // held while the level in force or a field below is read or changed, and its line is written
	configured zapcore.Level
	until      time.Time   // zero if there is none
	timer      *time.Timer // ends it
	turn       uint64      // how many there were
}

// SetLevel changes the least severe level that is logged. An exception goes on.
func (l *Logs) SetLevel(level zapcore.Level) {
	e := &l.exception
	e.mu.Lock()
	defer e.mu.Unlock()
	e.configured = level
	if e.until.IsZero() {
		l.level.SetLevel(level)
	}
}

// SetLevelFor has another level than the configured one hold for some time, instead of the exception before it. Nothing but the process
// remembers it. Its beginning and its end are lines of the log at every level; by says who asked for it.
func (l *Logs) SetLevelFor(level zapcore.Level, d time.Duration, by string) Level {
	e := &l.exception
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer != nil {
		e.timer.Stop()
	}
	e.turn++
	turn := e.turn
	e.until, e.timer = time.Now().Add(d), time.AfterFunc(d, func() { l.endException(turn) })
	before := l.level.Level()
	l.level.SetLevel(level)
	l.always("log level changed for a while", zap.Stringer("from", before), zap.Stringer("to", level), zap.Stringer("configured", e.configured),
		zap.Time("until", e.until.UTC()), zap.String("caller", by))
	return Level{Now: level, Configured: e.configured, Until: e.until}
}

// endException brings the configured level back, unless another exception has begun when this one's time was over.
func (l *Logs) endException(turn uint64) {
	e := &l.exception
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.turn != turn {
		return
	}
	before := l.level.Level()
	e.until = time.Time{}
	l.level.SetLevel(e.configured)
	l.always("log level is the configured one again", zap.Stringer("from", before), zap.Stringer("to", e.configured))
}

// Level tells what is logged.
func (l *Logs) Level() Level {
	e := &l.exception
	e.mu.Lock()
	defer e.mu.Unlock()
	return Level{Now: l.level.Level(), Configured: e.configured, Until: e.until}
}

// always writes a line whatever the level: one that makes the log silent must not be silent itself.
func (l *Logs) always(message string, fields ...zap.Field) {
	entry := zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), LoggerName: "telemetry", Message: message}
	if err := newCore(l).Write(entry, append(fields, zap.String("audit", "log-level"))); err != nil {
		l.internal.Add(1)
	}
}
