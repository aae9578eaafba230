package connect_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/connect"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// cutter is a network whose connections to the signer can be cut.
type cutter struct {
	tcp
	mu    sync.Mutex // held while conns is used
	conns []net.Conn
}

func (c *cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.tcp.dial(ctx, network, address)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

// cut ends the connection from an address, and no other: the next request may be on its way over it.
func (c *cutter) cut(from string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		if conn.LocalAddr().String() == from {
			conn.Close()
		}
	}
}

// TestLostRequests: what was lost with its connection when the signer had it already is sent again if it is safe to do it twice, and
// only then.
func TestLostRequests(t *testing.T) {
	h := newHypervisor(t, nil, image())
	for name, test := range map[string]struct {
		method, path string
		cuts, asked  int // connections cut while the signer works, and how often it was asked in the end
		code         int
	}{
		"signature":                  {http.MethodPost, signPath, 1, 2, 200},
		"signature, twice":           {http.MethodPost, signPath, 2, 3, 200},
		"signature, again and again": {http.MethodPost, signPath, 3, 3, 503},
		"batch":                      {http.MethodPost, "/api/v1/eth2/sign", 1, 2, 200},
		"list":                       {http.MethodGet, "/api/v1/eth2/publicKeys", 1, 2, 200},
		"import of keys":             {http.MethodPost, "/eth/v1/keystores", 1, 1, 503},
		"removal of keys":            {http.MethodDelete, "/eth/v1/keystores", 1, 1, 503},
		"reload":                     {http.MethodPost, "/reload", 1, 1, 503},
		"path like signing":          {http.MethodPost, "/api/v1/eth2/signal", 1, 1, 503},
		"slashing import":            {http.MethodPost, "/api/v1/slashing/import", 1, 1, 503},
	} {
		for _, h1 := range []bool{false, true} {
			t.Run(map[bool]string{false: "h2/", true: "h1/"}[h1]+name, func(t *testing.T) {
				at := &cutter{}
				var mu sync.Mutex
				asked := 0
				s := enclave(t, h, func(w http.ResponseWriter, r *http.Request) {
					sent, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					asked++
					lost := asked <= test.cuts
					mu.Unlock()
					if !lost {
						_, _ = w.Write(sent)
						return
					}
					at.cut(r.RemoteAddr)
					<-r.Context().Done()
				})
				s.h1 = h1
				s.start(t)
				p := join(t, s, func(_ *connect.Options, o *atls.TransportOptions) { o.Dial = at.dial })
				body := ""
				if test.method != http.MethodGet {
					body = `{"type":"ATTESTATION"}`
				}
				res, got := p.ask(test.method, test.path, body)
				mu.Lock()
				defer mu.Unlock()
				if res.StatusCode != test.code || asked != test.asked || test.code == 200 && got != body {
					t.Errorf("%d %s, the signer was asked %d times, want %d and %d", res.StatusCode, got, asked, test.code, test.asked)
				}
				if test.code == 503 && !strings.Contains(got, "no answer from the signer") {
					t.Errorf("got %s", got)
				}
			})
		}
	}
}
