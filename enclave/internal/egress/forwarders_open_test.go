package egress

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestNewForwarders(t *testing.T) {
	at := func(name, host string, port uint16, vsock uint32) wire.Route {
		return wire.Route{Name: name, Host: host, Port: port, VsockPort: vsock}
	}
	for _, tc := range []struct {
		name   string
		routes []wire.Route
		opened []string
		want   string // the error
	}{
		{"none", nil, nil, ""},
		{"nothing to resolve", []wire.Route{at("a", "10.0.0.1", 1, 8001), at("b", "localhost", 2, 8002), at("c", "::1", 3, 8003)}, nil, ""},
		{
			"port taken",
			[]wire.Route{at("a", "a.example", 1, 8001), at("b", "b.example", 1, 8002)},
			[]string{"tcp4 127.0.0.2:1", "tcp4 127.0.0.3:1"},
			"egress forwarder of route b to b.example:1: ",
		},
		{
			"two names in one",
			[]wire.Route{at("a", "a.example", 1, 8001), at("b", "b.example kms.amazonaws.com", 2, 8002)},
			[]string{"tcp4 127.0.0.2:1"},
			`egress forwarder of route b: "b.example kms.amazonaws.com" is no DNS name`,
		},
		{"a comment", []wire.Route{at("a", "#b.example", 1, 8001)}, nil, "is no DNS name"},
		{"a second line", []wire.Route{at("a", "b.example\n127.0.0.9", 1, 8001)}, nil, "is no DNS name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := New(tc.routes, &memvsock.Network{}, testLimits, prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			var l loopback
			f, err := NewForwarders(d, l.listen, zap.NewNop())
			if diff := cmp.Diff(tc.opened, l.opened); diff != "" {
				t.Error(diff)
			}
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %s", err, tc.want)
			}
			if err != nil {
				if _, err := l.Dial(t.Context(), 0, 1); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("a listener was left open: %v", err)
				}
				return
			}
			if got := string(f.Hosts()); got != "127.0.0.1 localhost\n" {
				t.Errorf("hosts %q", got)
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := f.Run(ended); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestManyNames: the 255th name's address is 127.0.1.0, on Linux an address like any other of 127.0.0.0/8.
func TestManyNames(t *testing.T) {
	var routes []wire.Route
	for i := range 300 {
		routes = append(routes, wire.Route{Name: fmt.Sprint(i), Host: fmt.Sprintf("h%d.example", i), Port: uint16(i + 1), VsockPort: 20000 + uint32(i)})
	}
	d, err := New(routes, &memvsock.Network{}, testLimits, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	var l loopback
	f, err := NewForwarders(d, l.listen, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	for _, want := range []string{"127.0.0.255 h253.example\n", "127.0.1.0 h254.example\n", "127.0.1.45 h299.example\n"} {
		if !strings.Contains(string(f.Hosts()), want) {
			t.Errorf("no line %q", want)
		}
	}
}
