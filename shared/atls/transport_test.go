package atls_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// both runs a test over each version of HTTP.
func both(t *testing.T, test func(t *testing.T, h1 bool)) {
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, true) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, false) })
}

func TestTransport(t *testing.T) {
	both(t, func(t *testing.T, h1 bool) {
		a := newAuthority(t)
		s := (&signer{authority: a, h1: h1, handler: func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(w, r.Method, " ", r.Proto, " ", r.Host, " ", string(body)) //nolint:gosec // no browser reads it
		}}).start(t)
		var peers []atls.Peer
		o := a.perConnection()
		o.OnVerified = func(p atls.Peer) { peers = append(peers, p) }
		client := &http.Client{Transport: transport(t, map[string]atls.Options{s.address: o})}
		want := "POST HTTP/2.0 " + s.address + " hello"
		if h1 {
			want = strings.Replace(want, "2.0", "1.1", 1)
		}
		for range 3 {
			res, err := client.Post("https://"+s.address+"/x", "text/plain", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if string(body) != want || err != nil || res.TLS == nil {
				t.Errorf("got %q, %v, want %q", body, err, want)
			}
		}
		if len(peers) != 1 || s.proofs.Load() != 1 {
			t.Fatalf("%d peers, %d proofs over three requests, want one connection", len(peers), s.proofs.Load())
		}
		if p := peers[0]; p.Proof == nil || len(p.Proof.Nonce) != atls.NonceSize || p.Label != "image" || p.Document == nil || !p.NotAfter.Equal(now.Add(time.Hour)) {
			t.Errorf("got %+v", p)
		}
	})
}

// TestServersHaveTheirOwnOptions: each name has its policy, by host and port, or by host alone.
func TestServersHaveTheirOwnOptions(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	one, two := (&signer{authority: a}).start(t), (&signer{authority: b}).start(t)
	rt := transport(t, map[string]atls.Options{one.address: a.options(), "127.0.0.1": b.options()})
	for _, s := range []*signer{one, two} {
		if body, err := get(t, rt, "https://"+s.address+"/"); err != nil || body != "1" {
			t.Errorf("%s: %q, %v", s.address, body, err)
		}
	}
	// The other one's options.
	rt = transport(t, map[string]atls.Options{one.address: b.options(), two.address: a.options()})
	for _, s := range []*signer{one, two} {
		_, err := get(t, rt, "https://"+s.address+"/")
		if e, ok := errors.AsType[*atls.Error](err); !ok || e.Check != atls.CheckDocument || !strings.Contains(err.Error(), "connect to "+s.address) {
			t.Errorf("%s under another root: %v", s.address, err)
		}
	}
	for url, words := range map[string]string{
		"https://elsewhere/":          "no policy is named for elsewhere:443",
		"http://" + one.address + "/": "is no https URL",
		"https://localhost:" + one.address[strings.Index(one.address, ":")+1:] + "/": "no policy is named for localhost",
	} {
		if _, err := get(t, rt, url); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", url, err, words)
		}
	}
}

func TestNewTransportRefuses(t *testing.T) {
	a := newAuthority(t)
	empty := a.options()
	empty.Policy = attestation.Policy{}
	for words, o := range map[string]atls.TransportOptions{
		"no server is named":                                    {},
		"server signer: attested TLS: ":                         {Servers: map[string]atls.Options{"good": a.options(), "signer": empty}},
		"trust: no store is named":                              {Servers: map[string]atls.Options{"signer": {Trust: &atls.Trust{Name: "x"}}}},
		"server signer: attested TLS: trust: no store is named": {Servers: map[string]atls.Options{"signer": {Trust: &atls.Trust{Store: &atls.TrustStore{}, Name: "x"}}}},
		`trust: name ""`:                                        {Servers: map[string]atls.Options{"signer": {Trust: &atls.Trust{Store: &atls.TrustStore{Path: "x"}}}}},
		"policy allows no measurements":                         {Servers: map[string]atls.Options{"signer": empty}},
	} {
		if tr, err := atls.NewTransport(o); tr != nil || err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, %v, want %q", tr != nil, err, words)
		}
	}
}

// TestServerName: a name is sent for whoever routes by it, although nothing is verified by it; an address is no name.
func TestServerName(t *testing.T) {
	a := newAuthority(t)
	named := make(chan string, 1)
	address := server{config: func(c *tls.Config) {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			named <- hello.ServerName
			return nil, nil //nolint:nilnil // the configuration stays
		}
	}}.start(t, a)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	for asked, want := range map[string]string{"signer.example:9443": "signer.example", "192.0.2.1:9443": "", "[2001:db8::1]:9443": ""} {
		if _, err := atls.Observe(t.Context(), asked, a.options(), dial); err != nil {
			t.Fatal(err)
		}
		if got := <-named; got != want {
			t.Errorf("%s: the name %q was sent, want %q", asked, got, want)
		}
	}
}
