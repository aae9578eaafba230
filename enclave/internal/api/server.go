// Package api serves HTTP: it is where bytes come in and typed values go on.
package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
)

// Time and size limits of every listener. A validator client sends a few KiB within milliseconds; these bound
// what a slow or hostile one can hold.
const (
	readTimeout    = 10 * time.Second // of a TLS handshake, and of a request with its body; a large body has more
	requestTimeout = 30 * time.Second // of a request without its headers; its context ends then, and it is answered 503
	answerTimeout  = 10 * time.Second // of an answer, from its first byte until its peer has taken it
	writeTimeout   = requestTimeout + answerTimeout
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
)

// maxStreams is how many requests a connection of HTTP/2 may have at once.
const maxStreams = 128

// Server is one HTTP listener.
type Server struct {
	name  string
	l     net.Listener
	door  *door // below l
	http  *http.Server
	drain time.Duration
}

// NewServer makes a server of l, which it takes over. tlsConfig is nil for plain HTTP. drain bounds how long requests
// under way may take once Run's context has ended. limits are those of all servers of the process.
func NewServer(name string, l net.Listener, handler http.Handler, tlsConfig *tls.Config, drain time.Duration, limits *Limits, log *zap.Logger) (*Server, error) {
	errorLog, err := zap.NewStdLogAt(log, zap.DebugLevel)
	if err != nil {
		return nil, fmt.Errorf("make the error log of the %s listener: %w", name, err)
	}
	door := limits.door(name, l)
	l = door
	if tlsConfig != nil {
		l = tls.NewListener(l, tlsConfig)
	}
	return &Server{name: name, l: l, door: door, drain: drain, http: &http.Server{
		Handler:           guarded(limits.bidFarewell(limits.Identified(limits.bound(handler))), log),
		ConnContext:       remember,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          errorLog, // handshake failures and malformed requests: whoever can connect can cause them
	}}, nil
}

// guarded bounds each request, and logs a panic of its handler, which then costs one connection and not the process. The trace
// prints argument words: keys are passed by pointer, so that none is among them.
func guarded(h http.Handler, log *zap.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := requestTimeout
		if fromOperator(r) || r.URL.Path == keystoresPath { // which bounds itself, as it is configured
			limit = operatorTimeout
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p != http.ErrAbortHandler { //nolint:errorlint // a handler breaks its connection with this very one
				log.Error("a handler panicked", zap.String("panic", fmt.Sprint(p)), zap.ByteString("stack", debug.Stack()))
			}
			panic(http.ErrAbortHandler)
		}()
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Run serves until ctx ends, then stops accepting and lets requests under way finish for the drain time;
// those that did not are cut and reported in the error.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s on %v: %w", s.name, s.l.Addr(), err)
	case <-ctx.Done():
	}
	drainCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
	defer cancel()
	err := s.http.Shutdown(drainCtx)
	if err != nil {
		err = fmt.Errorf("drain %s: requests still under way after %v: %w", s.name, s.drain, errors.Join(err, s.http.Close()))
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve %s: %w", s.name, ended))
	}
	return err
}
