package vsock

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddr(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Addr
	}{
		{"vsock://3:7000", Addr{CID: 3, Port: 7000}},
		{"vsock://0:1", Addr{Port: 1}},
		{"vsock://4294967295:4294967295", Addr{CID: CIDAny, Port: 4294967295}},
		{"unix:///run/chamber/7000.sock", Addr{Path: "/run/chamber", Port: 7000}},
		{"unix:///1.sock", Addr{Path: "/", Port: 1}},
		{"unix:///a:b/7000.sock", Addr{Path: "/a:b", Port: 7000}},
		{"unix:///run/v.sock:9443", Addr{Path: "/run/v.sock", Port: 9443, Hybrid: true}},
		{"unix:///v:1", Addr{Path: "/v", Port: 1, Hybrid: true}},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseAddr(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got.String() != tt.in {
				t.Errorf("String() = %q", got.String())
			}
		})
	}
}

func TestParseAddrRefuses(t *testing.T) {
	for _, tt := range []struct{ in, because string }{
		{"", "want vsock://CID:PORT or unix:///DIR/PORT.sock"},
		{"3:7000", "want vsock://CID:PORT or unix:///DIR/PORT.sock"},
		{"tcp://127.0.0.1:7000", `unknown scheme "tcp", want vsock or unix`},
		{"vsock://3", "no port"},
		{"vsock://:7000", `context identifier "" is not a number below 2^32`},
		{"vsock://4294967296:1", `context identifier "4294967296" is not a number below 2^32`},
		{"vsock://03:1", `context identifier "03" is not a number`},
		{"vsock://-1:1", `context identifier "-1" is not a number`},
		{"vsock://host:1", `context identifier "host" is not a number`},
		{"vsock://3:0", `port "0" is not a number from 1`},
		{"vsock://3:4294967296", `port "4294967296" is not a number from 1`},
		{"vsock://3:07", `port "07" is not a number from 1`},
		{"vsock://3:+7", `port "+7" is not a number from 1`},
		{"vsock://3:7:8", `port "7:8" is not a number from 1`},
		{"unix://run/7000.sock", `path "run/7000.sock" is not absolute and clean`},
		{"unix://", `path "" is not absolute and clean`},
		{"unix:///run/../7000.sock", "is not absolute and clean"},
		{"unix:///run//7000.sock", "is not absolute and clean"},
		{"unix:///run/7000.sock/", "is not absolute and clean"},
		{"unix:///", `file "" is neither PORT.sock nor NAME:PORT`},
		{"unix:///run/7000", `file "7000" is neither PORT.sock nor NAME:PORT`},
		{"unix:///run/log.sock", `port "log" is not a number from 1`},
		{"unix:///run/007.sock", `port "007" is not a number from 1`},
		{"unix:///run/:9443", "no socket file before the port"},
		{"unix:///run/..:9443", "no socket file before the port"},
		{"unix:///run/v.sock:", `port "" is not a number from 1`},
		{"unix:///run/v:1:2", `port "1:2" is not a number from 1`},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseAddr(tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.because) {
				t.Errorf("error %v, want one that says %q", err, tt.because)
			}
			if got != (Addr{}) {
				t.Errorf("an address beside the error: %v", got)
			}
		})
	}
}

func TestAddrNetwork(t *testing.T) {
	if got := (Addr{CID: 3, Port: 1}).Network(); got != "vsock" {
		t.Errorf("Network() = %q, want vsock", got)
	}
	if got := (Addr{Path: "/run", Port: 1}).Network(); got != "unix" {
		t.Errorf("Network() = %q, want unix", got)
	}
}

// FuzzParseAddr holds the law: what is accepted is given back letter for letter.
func FuzzParseAddr(f *testing.F) {
	for _, seed := range []string{
		"vsock://3:7000", "vsock://03:7000", "unix:///run/7000.sock", "unix:///1.sock", "unix:///v.sock:9443",
		"unix:///a:b/1.sock", "unix:///..:1", "vsock://4294967296:0", "unix://:1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddr(s)
		if err != nil {
			if a != (Addr{}) {
				t.Fatalf("ParseAddr(%q) = %v beside error %v", s, a, err)
			}
			return
		}
		if got := a.String(); got != s {
			t.Fatalf("ParseAddr(%q).String() = %q", s, got)
		}
	})
}
