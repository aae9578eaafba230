// Package logging makes the parent's logger.
package logging

import (
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// New returns a logger that writes JSON lines to w with the keys timestamp (RFC 3339, nanoseconds, UTC), level, logger and
// message, as the enclave's do, and process "parent", which the enclave's do not have. The level is debug, info, warn or error.
func New(w zapcore.WriteSyncer, level string) (*zap.Logger, error) {
	lowest, err := ParseLevel(level)
	if err != nil {
		return nil, err
	}
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey:        "timestamp",
		LevelKey:       "level",
		NameKey:        "logger",
		MessageKey:     "message",
		EncodeTime:     encodeTime,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeName:     zapcore.FullNameEncoder,
	})
	// zap would print each failure of w on standard error; w counts them.
	silent := zap.ErrorOutput(zapcore.AddSync(io.Discard))
	return zap.New(zapcore.NewCore(encoder, w, lowest), silent, zap.Fields(zap.String("process", "parent"))), nil
}

// ParseLevel reads the name of a level.
func ParseLevel(level string) (zapcore.Level, error) {
	switch level {
	case "debug":
		return zapcore.DebugLevel, nil
	case "info":
		return zapcore.InfoLevel, nil
	case "warn":
		return zapcore.WarnLevel, nil
	case "error":
		return zapcore.ErrorLevel, nil
	}
	return 0, fmt.Errorf("unknown level %q, want debug, info, warn or error", level)
}

// encodeTime keeps trailing zeros, so that lines sort as text.
func encodeTime(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
	enc.AppendString(t.UTC().Format("2006-01-02T15:04:05.000000000Z07:00"))
}
