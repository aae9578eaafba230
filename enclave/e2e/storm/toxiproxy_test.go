package storm

import (
	"path/filepath"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// proxy is the one of a Toxiproxy of its own.
type proxy struct {
	*rig.Proxy
	t         *testing.T
	toxiproxy *rig.Toxiproxy
}

// newProxy stands before a server until the test ends.
func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	x, err := rig.StartToxiproxy(t.Context(), filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Terminate(); err != nil {
			t.Error(err)
		}
	})
	p, err := x.Proxy(t.Context(), "store", upstream)
	if err != nil {
		t.Fatal(err)
	}
	return &proxy{p, t, x}
}

func (p *proxy) poison(x rig.Toxic) {
	p.t.Helper()
	if err := p.Poison(p.t.Context(), x); err != nil {
		p.t.Fatal(err)
	}
}

func (p *proxy) down() {
	p.t.Helper()
	if err := p.Down(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

func (p *proxy) heal() {
	p.t.Helper()
	if err := p.toxiproxy.Heal(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}
