package rig

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// ServeTLS answers with handler on l until stop, which closes l. What clients do wrong is not logged: some of them are meant to.
func ServeTLS(l net.Listener, handler http.Handler, secured *tls.Config) (stop func() error) {
	server := &http.Server{Handler: handler, TLSConfig: secured.Clone(), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(l, "", "") }()
	return func() error {
		err := server.Close()
		if reason := <-ended; !errors.Is(reason, http.ErrServerClosed) {
			err = errors.Join(err, reason)
		}
		return err
	}
}
