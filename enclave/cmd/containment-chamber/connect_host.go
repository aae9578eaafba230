package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
)

// notifyLimit bounds a word to the service manager, which reads at once or not at all.
const notifyLimit = time.Second

// newLineLog writes one JSON object a line, as the signer does.
func newLineLog(w io.Writer, level string) (*zap.Logger, error) {
	var least zapcore.Level
	switch level {
	case "debug", "info", "warn", "error":
		least, _ = zapcore.ParseLevel(level) // one of those that it knows
	default:
		return nil, fmt.Errorf("%.20q, want debug, info, warn or error", level)
	}
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey: "timestamp", LevelKey: "level", NameKey: "logger", MessageKey: "message",
		EncodeTime: zapcore.RFC3339NanoTimeEncoder, EncodeLevel: zapcore.LowercaseLevelEncoder, EncodeDuration: zapcore.StringDurationEncoder,
	})
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), least)), nil
}

// listen opens what a flag names.
func listen(flag, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address) //nolint:forbidigo // a proxy of its own process, which is no signer and has no app
	if err != nil {
		if malformed, ok := errors.AsType[*net.AddrError](err); ok {
			return nil, usageError{fmt.Errorf("%s: %w", flag, malformed)}
		}
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return l, nil
}

// notifySystemd says how the service is to the manager that started it, if it wants to know: a datagram to the socket that it names,
// as sd_notify(3) describes.
func notifySystemd(ctx context.Context, log *zap.Logger, state string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, notifyLimit)
	defer cancel()
	conn, err := egress.Direct()(ctx, "unixgram", socket) // a name that begins with @ is an abstract one, for package net too
	if err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(notifyLimit))
		_, err = conn.Write([]byte(state))
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		log.Warn("the service manager was not told", zap.String("state", state), zap.Error(err))
	}
}
