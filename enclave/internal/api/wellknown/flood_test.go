package wellknown

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// serve answers over TLS until the test ends, as the product does, and returns where.
func serve(t *testing.T, a *API) (address string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		hello.Conn.(interface{ Present(leaf *x509.Certificate) }).Present(leaf)
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limits, err := api.NewLimits(api.DefaultRequests, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	a.Register(mux)
	server, err := api.NewServer("tls", l, mux, config, time.Minute, limits, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// prove makes a connection from an address, asks for a proof on it, and returns the status.
func prove(t *testing.T, from, to string) int {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		DialContext: dialer.DialContext, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	res, err := client.Get("https://" + to + atls.WellKnownPath + "?nonce=" + strings.Repeat("0a", atls.NonceSize))
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// TestFloodFromAnotherSource: whoever makes connections and asks for a proof on each, as fast as can be, leaves proofs to others. The
// clock of the bounds stands still, so that what is empty stays empty.
func TestFloodFromAnotherSource(t *testing.T) {
	a := newAPI(t, func(context.Context, []byte, []byte) ([]byte, error) { return []byte{1}, nil })
	now := time.Now()
	a.now = func() time.Time { return now }
	at := serve(t, a)

	refused, ended := make(chan struct{}), make(chan struct{})
	refuse := sync.OnceFunc(func() { close(refused) })
	var flood sync.WaitGroup
	for range 4 {
		flood.Go(func() {
			defer refuse() // a flood that fails does not hang the test
			for {
				select {
				case <-ended:
					return
				default:
				}
				switch status := prove(t, "127.0.0.2", at); status {
				case http.StatusOK:
				case http.StatusServiceUnavailable:
					refuse()
				default:
					t.Errorf("the flood got status %d", status)
					return
				}
			}
		})
	}
	<-refused
	for n := range 20 {
		if status := prove(t, "127.0.0.1", at); status != http.StatusOK {
			t.Errorf("connection %d from another source: status %d", n, status)
		}
	}
	close(ended)
	flood.Wait()
}
