package boot

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

const agent = "http://169.254.170.23/v1/credentials"

// ask is one whole conversation.
func (r *rig) ask(t *testing.T, m wire.IdentityRequest) wire.Message {
	t.Helper()
	c := r.connect(t)
	defer c.Close()
	answer := exchange(t, c, m)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("behind the answer: %v, want EOF", err)
	}
	return answer
}

// answers are the counters by result, without those that are 0.
func (r *rig) answers(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if v := m.GetCounter().GetValue(); family.GetName() == "containment_parent_identity_requests_total" && v != 0 {
				got[m.GetLabel()[0].GetValue()] = v
			}
		}
	}
	return got
}

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token, longest := file("token", "canary-hush\n"), file("longest", strings.Repeat("x", wire.MaxToken)+"\n")
	empty, long, binary := file("empty", "\n"), file("long", strings.Repeat("x", wire.MaxToken+1)), file("binary", "canary\x00hush")
	pipe, missing := filepath.Join(dir, "pipe"), filepath.Join(dir, "missing")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	const role = "arn:aws:iam::111122223333:role/signer"
	type environment map[string]string
	refusal := func(reason string) wire.Message { return wire.Refusal{Reason: reason} }
	for _, test := range []struct {
		name string
		environment
		want wire.Message
	}{
		{"nothing", nil, wire.Identity{Source: wire.NoSource}},
		{"a role without a token", environment{roleVariable: role}, wire.Identity{Source: wire.NoSource}},
		{"web identity", environment{roleVariable: role, webTokenVariable: token}, wire.Identity{Source: wire.WebIdentity, Name: role, Token: "canary-hush"}},
		{"pod identity", environment{agentVariable: agent, agentTokenVariable: token}, wire.Identity{Source: wire.PodIdentity, Name: agent, Token: "canary-hush"}},
		{
			"both, of which the SDKs take the web identity",
			environment{roleVariable: role, webTokenVariable: token, agentVariable: agent, agentTokenVariable: longest},
			wire.Identity{Source: wire.WebIdentity, Name: role, Token: "canary-hush"},
		},
		{"longest token", environment{agentVariable: agent, agentTokenVariable: longest}, wire.Identity{Source: wire.PodIdentity, Name: agent, Token: strings.Repeat("x", wire.MaxToken)}},
		{"no role", environment{webTokenVariable: token}, refusal("AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not")},
		{"no file", environment{agentVariable: agent}, refusal("AWS_CONTAINER_CREDENTIALS_FULL_URI is set, but AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE is not")},
		{"missing file", environment{roleVariable: role, webTokenVariable: missing}, refusal("AWS_WEB_IDENTITY_TOKEN_FILE: stat " + missing + ": no such file or directory")},
		{"pipe", environment{roleVariable: role, webTokenVariable: pipe}, refusal("AWS_WEB_IDENTITY_TOKEN_FILE: read " + pipe + ": not a regular file")},
		{"empty file", environment{agentVariable: agent, agentTokenVariable: empty}, refusal("AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (" + empty + "): identity's token has 0 bytes, want 1 to 20000")},
		{"long file", environment{agentVariable: agent, agentTokenVariable: long}, refusal("AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (" + long + "): identity's token has 20001 bytes, want 1 to 20000")},
		{"no text", environment{agentVariable: agent, agentTokenVariable: binary}, refusal("AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (" + binary + "): identity's token has, at 6, a byte that is no visible ASCII character")},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t)
				r.getenv = func(name string) string { return test.environment[name] }
				if diff := cmp.Diff(test.want, r.ask(t, wire.IdentityRequest{Version: wire.Version})); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				synctest.Wait()
				result := identityFailed
				if identity, ok := test.want.(wire.Identity); ok {
					result = identity.Source.String()
				}
				if diff := cmp.Diff(map[string]float64{result: 1}, r.answers(t)); diff != "" {
					t.Errorf("counted, -want +got:\n%s", diff)
				}
				logged := r.logged.FilterMessage("the enclave was given no AWS identity").All()
				if refused, ok := test.want.(wire.Refusal); ok != (len(logged) == 1) || ok && logged[0].ContextMap()["error"] != refused.Reason {
					t.Errorf("logged %v", logged)
				}
				for _, entry := range r.logged.All() {
					if fields := entry.ContextMap(); strings.Contains(entry.Message, "hush") || strings.Contains(cmp.Diff(nil, fields), "hush") {
						t.Errorf("the token is in the log: %v", entry)
					}
				}
				r.stop()
			})
		})
	}
}

// TestIdentityIsReadAnew: a token that was rotated is the next answer, and a failure that is over is told as such.
func TestIdentityIsReadAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.getenv = func(name string) string {
			return map[string]string{agentVariable: agent, agentTokenVariable: path}[name]
		}
		for range 2 {
			if _, refused := r.ask(t, wire.IdentityRequest{Version: wire.Version}).(wire.Refusal); !refused {
				t.Error("a token without a file")
			}
		}
		for _, token := range []string{"one", "two"} {
			if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
				t.Fatal(err)
			}
			want := wire.Identity{Source: wire.PodIdentity, Name: agent, Token: token}
			if got := r.ask(t, wire.IdentityRequest{Version: wire.Version}); got != want {
				t.Errorf("%#v, want %#v", got, want)
			}
		}
		synctest.Wait()
		if diff := cmp.Diff(map[string]float64{"failed": 2, "pod_identity": 2}, r.answers(t)); diff != "" {
			t.Errorf("counted, -want +got:\n%s", diff)
		}
		want := []string{"the enclave was given no AWS identity", "the enclave is given an AWS identity again"}
		if diff := cmp.Diff(want, r.messages()); diff != "" {
			t.Errorf("logged, -want +got:\n%s", diff)
		}
		r.stop()
	})
}

func TestIdentityForAnotherRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		want := wire.Refusal{Reason: "the enclave speaks version 9 of the boot protocol, the parent version 1: run both from one release"}
		if got := r.ask(t, wire.IdentityRequest{Version: 9}); got != want {
			t.Errorf("answer %v, want %v", got, want)
		}
		r.stop()
	})
}

// TestIdentityBesideAHeartbeat: the request has a connection of its own, and is no part of a session.
func TestIdentityBesideAHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		c := r.configured(t)
		if got := r.ask(t, wire.IdentityRequest{Version: wire.Version}); got != (wire.Identity{Source: wire.NoSource}) {
			t.Errorf("answer %v", got)
		}
		if got := exchange(t, c, wire.Heartbeat{Digest: digest}); got != (wire.Heartbeat{Digest: digest}) {
			t.Errorf("answer to a heartbeat: %v", got)
		}
		if err := wire.WriteMessage(c, wire.IdentityRequest{Version: wire.Version}); err != nil {
			t.Fatal(err)
		}
		if m, err := wire.ReadMessage(c); !errors.Is(err, io.EOF) {
			t.Errorf("within a session: %v, %v, want EOF", m, err)
		}
		_ = c.Close()
		r.stop()
	})
}

// neighbour is a network on which everybody has another context identifier than the enclave.
type neighbour struct{ *memvsock.Network }

func (n neighbour) Listen(port uint32) (net.Listener, error) {
	l, err := n.Network.Listen(port)
	return neighbourListener{l}, err
}

type neighbourListener struct{ net.Listener }

func (l neighbourListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return neighbourConn{c}, err
}

type neighbourConn struct{ net.Conn }

func (neighbourConn) RemoteAddr() net.Addr { return vsock.Addr{CID: 17, Port: 4711} }

// TestIdentityIsForTheEnclaveAlone: another virtual machine of the host is told nothing.
func TestIdentityIsForTheEnclaveAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memvsock.Network
		registry := prometheus.NewRegistry()
		s := New(Config{
			Network: neighbour{&network}, Port: wire.PortBoot, CID: 16,
			Getenv: func(string) string { t.Error("the environment was looked at"); return "" },
		}, zap.NewNop(), accept.NewMetrics(registry), registry)
		if err := s.Bind(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx, t.Context()) }()
		c, err := network.Dial(t.Context(), vsock.CIDParent, wire.PortBoot)
		if err != nil {
			t.Fatal(err)
		}
		_ = wire.WriteMessage(c, wire.IdentityRequest{Version: wire.Version})
		if m, err := wire.ReadMessage(c); !errors.Is(err, io.EOF) {
			t.Errorf("a neighbour heard %v, %v", m, err)
		}
		_ = c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
