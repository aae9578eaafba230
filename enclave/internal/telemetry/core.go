package telemetry

import (
	"bytes"
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// timestamp is RFC 3339 with all nine digits, so that lines sort as text.
const timestamp = "2006-01-02T15:04:05.000000000Z07:00"

// What is kept of a line that is too long, in bytes. In JSON a byte of text takes at most six, a byte of JSON two.
const (
	cutName    = 256
	cutMessage = 4 << 10
	cutLine    = 16 << 10
)

// core encodes entries and hands them to [Logs].
type core struct {
	logs *Logs
	enc  zapcore.Encoder // holds the fields of With; never changed once the core is made
}

func newCore(l *Logs) *core { return &core{logs: l, enc: newEncoder()} }

func newEncoder() zapcore.Encoder {
	return zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey:    "timestamp",
		LevelKey:   "level",
		NameKey:    "logger",
		MessageKey: "message",
		EncodeTime: func(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
			enc.AppendString(t.UTC().Format(timestamp))
		},
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
	})
}

// Enabled implements [zapcore.Core].
func (c *core) Enabled(level zapcore.Level) bool { return c.logs.level.Enabled(level) }

// With implements [zapcore.Core].
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	enc := c.enc.Clone()
	for _, f := range fields {
		f.AddTo(enc)
	}
	return &core{logs: c.logs, enc: enc}
}

// Check implements [zapcore.Core].
func (c *core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write implements [zapcore.Core].
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	buf, err := c.enc.EncodeEntry(e, fields)
	if err != nil {
		return fmt.Errorf("encode log line: %w", err)
	}
	defer buf.Free()
	body := bytes.TrimSuffix(buf.Bytes(), []byte("}\n"))
	if len(body) <= maxBody {
		c.logs.emit(body)
		return nil
	}
	return c.writeCut(e, buf.Bytes())
}

// Sync implements [zapcore.Core]. Only Run flushes.
func (c *core) Sync() error { return nil }

// writeCut writes the beginning of a line that is too long, as a field of a line that is JSON still.
func (c *core) writeCut(e zapcore.Entry, line []byte) error {
	e.LoggerName = e.LoggerName[:min(len(e.LoggerName), cutName)]
	e.Message = e.Message[:min(len(e.Message), cutMessage)]
	buf, err := newEncoder().EncodeEntry(e, []zapcore.Field{
		zap.Int("cut_from_bytes", len(line)),
		zap.ByteString("cut_line", line[:cutLine]),
	})
	if err != nil {
		return fmt.Errorf("encode log line: %w", err)
	}
	defer buf.Free()
	c.logs.emit(bytes.TrimSuffix(buf.Bytes(), []byte("}\n")))
	return nil
}
