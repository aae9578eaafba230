package main

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// started is a simulated signer in a process of its own, until the test ends.
func started(t *testing.T) *stand {
	t.Helper()
	v, err := startStand(t.Context(), t.TempDir(), testChain(t), time.Hour, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.stop(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// shown is the certificate that a client sees.
func shown(t *testing.T, address string, config *tls.Config) (certificate []byte, err error) {
	t.Helper()
	raw, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates[0].Raw, nil
}

func TestStand(t *testing.T) {
	v := started(t)
	client, err := atls.ClientConfig(v.options)
	if err != nil {
		t.Fatal(err)
	}
	first, err := shown(t, v.api(), client)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := shown(t, v.first.Addresses[listenAttested], client); err != nil || string(same) != string(first) {
		t.Errorf("the listener of handshakes shows another certificate than the API, error %v", err)
	}
	if err := v.rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if next, err := shown(t, v.api(), client); err != nil || string(next) == string(first) {
		t.Errorf("the same certificate after a rotation, error %v", err)
	}
	state, err := v.state(t.Context())
	if err != nil || len(state.Issued) != 2 || state.Failures != 0 {
		t.Errorf("%d certificates issued, %d failures, error %v; want 2 and none", len(state.Issued), state.Failures, err)
	}
	stranger := v.options
	stranger.Roots = nil // AWS's alone
	if client, err = atls.ClientConfig(stranger); err != nil {
		t.Fatal(err)
	}
	if _, err := shown(t, v.api(), client); err == nil {
		t.Error("a client that does not know the development root accepts it")
	} else if _, ok := errors.AsType[*atls.Error](err); !ok {
		t.Errorf("error %v, want one of attested TLS", err)
	}
}

// TestOrdinary: a client that trusts the authority accepts both ordinary certificates' servers, and no other's.
func TestOrdinary(t *testing.T) {
	v := started(t)
	for _, test := range []struct {
		name, listener, failure string
		authority               []byte
	}{
		{"of the authority", listenPlain, "", v.first.Authority},
		{"pinned", listenPinned, "", v.first.Pinned},
		{"of another authority", listenPlain, "unknown authority", v.first.Pinned},
		{"attested", listenAttested, "certificate", v.first.Authority},
	} {
		client, err := ordinaryClient(test.authority)
		if err != nil {
			t.Fatal(err)
		}
		_, err = shown(t, v.first.Addresses[test.listener], client)
		expect(t, test.name, err, test.failure)
	}
}

func TestStandFails(t *testing.T) {
	v := started(t)
	if _, err := v.ask(t.Context(), "GET", "/unknown"); err == nil || !strings.Contains(err.Error(), "/unknown: 404") {
		t.Errorf("error %v", err)
	}
	var b strings.Builder
	if code := start([]string{simulatedRole, "-dir", t.TempDir(), "-validity", "1h", "-control", "nowhere"}, &b, &b); code != 1 || !strings.Contains(b.String(), "nowhere") {
		t.Errorf("code %d: %s", code, b.String())
	}
}
