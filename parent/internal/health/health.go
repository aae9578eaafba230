// Package health serves the parent's own health and metrics over HTTP.
package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
)

const (
	// requestTimeout bounds the reading of a request and the writing of its answer.
	requestTimeout = 10 * time.Second
	// stopTimeout is how long requests under way may take to end at shutdown.
	stopTimeout = time.Second
)

// Server answers
//
//	/healthz  200 while the process lives
//	/readyz   200 while ready returns nil, else 503 with the reason
//	/metrics  the registry, in the Prometheus text format
type Server struct {
	address string
	handler http.Handler
	log     *zap.Logger
	bound   net.Listener // from Bind, until Run or Release takes it
}

// New prepares a server on a TCP address, HOST:PORT.
func New(address string, ready func() error, metrics prometheus.Gatherer, log *zap.Logger) *Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, ready()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return &Server{address: address, handler: mux, log: log}
}

func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, err.Error()+"\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// Name is the listener's name in logs.
func (*Server) Name() string { return "health" }

// Bind opens the listener for the Run to come.
func (s *Server) Bind() error {
	l, err := accept.ListenTCP(s.address)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name(), err)
	}
	s.bound = l
	s.log.Info("listening", zap.String("listener", s.Name()), zap.Stringer("address", l.Addr()))
	return nil
}

// Release closes what Bind opened and no Run has taken.
func (s *Server) Release() {
	if l := s.bound; l != nil {
		s.bound = nil
		_ = l.Close()
	}
}

// Run serves until ctx ends; requests under way get a second more.
func (s *Server) Run(ctx, _ context.Context) error {
	if s.bound == nil {
		if err := s.Bind(); err != nil {
			return err
		}
	}
	l := s.bound
	s.bound = nil
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          zap.NewStdLog(s.log),
	}
	stopped := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(stopped)
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if server.Shutdown(ending) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(l)
	if !unhook() {
		<-stopped
	}
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("%s: %w", s.Name(), err)
}
