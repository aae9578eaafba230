package kmstest

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
)

// Running is a Server that listens on loopback.
type Running struct {
	*Server

	URL string // https://127.0.0.1:PORT, for every region

	web    *httptest.Server
	client *http.Client
}

// Start starts a server at a port of its own.
func Start(o Options) (*Running, error) {
	s, err := New(o)
	if err != nil {
		return nil, err
	}
	config, err := s.TLSConfig()
	if err != nil {
		return nil, err
	}
	web := httptest.NewUnstartedServer(s)
	web.TLS = config
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that does not trust the server is often what is tested
	web.StartTLS()
	trusting := config.Clone()
	trusting.Certificates, trusting.RootCAs = nil, s.Pool()
	return &Running{Server: s, URL: web.URL, web: web, client: &http.Client{Transport: &http.Transport{TLSClientConfig: trusting}}}, nil
}

// Client trusts the server.
func (r *Running) Client() *http.Client { return r.client }

// Stop ends the server when it has answered what it was asked.
func (r *Running) Stop() {
	r.client.CloseIdleConnections()
	r.web.Close()
}
