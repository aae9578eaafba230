package atls_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// signer is an HTTP server with an attested certificate that proves itself on each connection. The hooks make it lie.
type signer struct {
	authority *authority
	server    server                         // makes the certificate
	h1        bool                           // speaks HTTP/1.1 alone
	proof     func(*atls.Binding)            // changes what it says of a connection
	issued    func(*issuer.Payload)          // changes what the security module signs
	answer    http.HandlerFunc               // instead of a proof
	handler   http.HandlerFunc               // of all other requests; nil tells the number of the connection
	state     func(net.Conn, http.ConnState) // watches connections
	now       func() time.Time               // of proofs; nil is the time of all documents

	certificate tls.Certificate // made by start if there is none
	proofs      *atomic.Int64
	address     string
}

// start serves on a loopback address until the test ends.
func (s *signer) start(t testing.TB) *signer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return s.serve(t, listener)
}

// serve serves on a listener until the test ends.
func (s *signer) serve(t testing.TB, listener net.Listener) *signer {
	t.Helper()
	if len(s.certificate.Certificate) == 0 {
		s.certificate = s.server.certificate(t, s.authority)
	}
	s.address, s.proofs = listener.Addr().String(), new(atomic.Int64)
	var connections atomic.Int64
	handler := s.handler
	if handler == nil {
		handler = func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, connectionOf(r).number)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", handler)
	mux.HandleFunc("GET "+atls.WellKnownPath, s.wellKnown)
	protocols := []string{"h2", "http/1.1"}
	if s.h1 {
		protocols = protocols[1:]
	}
	hs := &http.Server{
		Handler: mux, ConnState: s.state, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{s.certificate}, NextProtos: protocols, Time: func() time.Time { return now }},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connectionKey{}, connection{c, connections.Add(1)})
		},
	}
	if s.h1 {
		hs.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	var served sync.WaitGroup
	served.Go(func() {
		if err := hs.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		hs.Close()
		served.Wait()
	})
	return s
}

// connection is a connection as its server sees it; the first is number 1.
type connection struct {
	net.Conn
	number int64
}

type connectionKey struct{}

func connectionOf(r *http.Request) connection {
	return r.Context().Value(connectionKey{}).(connection) // every server of these tests sets it
}

// wellKnown is the honest endpoint, and the least that a server has to do.
func (s *signer) wellKnown(w http.ResponseWriter, r *http.Request) {
	if s.answer != nil {
		s.answer(w, r)
		return
	}
	w.Header().Set("Content-Type", atls.MediaType)
	if !r.URL.Query().Has("nonce") {
		w.Write(documentOf(s.certificate)) //nolint:errcheck // the client's affair
		return
	}
	document, status := s.prove(r)
	if status != http.StatusOK {
		http.Error(w, http.StatusText(status), status)
		return
	}
	s.proofs.Add(1)
	w.Write(document) //nolint:errcheck // the client's affair
}

// prove makes the proof of the connection that a request came on.
func (s *signer) prove(r *http.Request) ([]byte, int) {
	nonce, err := hex.DecodeString(r.URL.Query().Get("nonce"))
	if err != nil || len(nonce) != atls.NonceSize {
		return nil, http.StatusBadRequest
	}
	exporter, err := atls.Exporter(r.TLS)
	if err != nil {
		return nil, http.StatusForbidden
	}
	leaf, err := x509.ParseCertificate(s.certificate.Certificate[0])
	if err != nil {
		return nil, http.StatusInternalServerError
	}
	b := atls.Binding{
		Purpose: atls.PurposeProof, SPKI: sha256.Sum256(leaf.RawSubjectPublicKeyInfo), Config: [48]byte{7}, Build: "v1", Exporter: exporter,
	}
	if s.proof != nil {
		s.proof(&b)
	}
	userData, err := b.Marshal()
	if err != nil {
		return nil, http.StatusInternalServerError
	}
	payload := issuer.Payload{PCRs: image, UserData: userData, Nonce: nonce}
	if s.issued != nil {
		s.issued(&payload)
	}
	at := now
	if s.now != nil {
		at = s.now()
	}
	document, err := s.authority.issue(payload, at)
	if err != nil {
		return nil, http.StatusInternalServerError
	}
	return document, http.StatusOK
}

// documentOf is the document in a certificate.
func documentOf(c tls.Certificate) []byte {
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	document, err := atls.Document(leaf)
	if err != nil {
		return nil
	}
	return document
}

// transport talks to signers, each under the options given for it.
func transport(t testing.TB, servers map[string]atls.Options, change ...func(*atls.TransportOptions)) *atls.Transport {
	t.Helper()
	o := atls.TransportOptions{Servers: servers}
	for _, c := range change {
		c(&o)
	}
	tr, err := atls.NewTransport(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

// perConnection are the authority's options with a proof for each connection.
func (a *authority) perConnection() atls.Options {
	o := a.options()
	o.Policy.Proof = attestation.ProofPerConnection
	return o
}

// get returns the body of an answer.
func get(t testing.TB, rt http.RoundTripper, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}
