package boot

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestIdentity(t *testing.T) {
	given := wire.Identity{Source: wire.WebIdentity, Name: "arn:aws:iam::111122223333:role/signer", Token: "canary-hush"}
	const prefix = "parent's boot service (vsock port 7001)"
	for _, tc := range []struct {
		name   string
		answer func(net.Conn)
		want   wire.Identity
		err    string
		within time.Duration
	}{
		{"given", func(c net.Conn) {
			if m, err := wire.ReadMessage(c); err != nil || m != (wire.IdentityRequest{Version: wire.Version}) {
				t.Errorf("asked with %v, %v", m, err)
			}
			_ = wire.WriteMessage(c, given)
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("behind the answer: %v, want the end", err)
			}
		}, given, "", 0},
		{"refused", after(encoded(t, wire.Refusal{Reason: "AWS_ROLE_ARN is not set"})), wire.Identity{}, prefix + ` refused: "AWS_ROLE_ARN is not set"`, 0},
		{"configuration instead", after(encoded(t, wire.Configuration{YAML: []byte("evil: true")})), wire.Identity{}, prefix + " answered with a configuration", 0},
		{"malformed", after([]byte("\x07\x00\x00\x00\x01\x09")), wire.Identity{}, prefix + ", answering an identity request: identity of unknown source 9", 0},
		{"huge", after([]byte("\x07\xff\xff\xff\xff")), wire.Identity{}, "message too large: identity of 4294967295 bytes", 0},
		{"closes", closeAfterHello, wire.Identity{}, prefix + ", answering an identity request: closed by it: EOF", time.Millisecond},
		{"hangs", hang, wire.Identity{}, prefix + ", answering an identity request: it hangs, nothing whole within 10s", answerLimit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, 0, func(ctx context.Context, t *testing.T) {
				var network memvsock.Network
				stop := service(t, &network, tc.answer)
				defer stop()
				began := time.Now()
				got, err := Identity(ctx, &network)
				if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
					t.Errorf("error %v, want %q", err, tc.err)
				}
				if got != tc.want {
					t.Errorf("got %#v, want %#v", got, tc.want)
				}
				if took := time.Since(began); took != tc.within {
					t.Errorf("took %v, want %v", took, tc.within)
				}
			})
		})
	}
}

func TestIdentityWithoutParent(t *testing.T) {
	var network memvsock.Network
	if _, err := Identity(t.Context(), &network); err == nil || !strings.HasPrefix(err.Error(), "connect to the parent's boot service: ") {
		t.Errorf("got %v", err)
	}
}
