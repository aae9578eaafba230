//go:build linux

package faults

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
)

// moved has the store answer at another address, to which its name leads from now on.
func (w *world) moved(s *strike) *gate {
	s.Helper()
	_, port, err := net.SplitHostPort(w.gate.address)
	if err != nil {
		s.Fatal(err)
	}
	to := loopback()
	g := newGate(w.t, net.JoinHostPort(to.String(), port), w.gate.to)
	g.open()
	w.names.lead(to, 1)
	return g
}

// lookups is how often the parent has looked the store's name up with a result.
func (w *world) lookups(result string) float64 {
	return w.metric(w.parentURL, fmt.Sprintf(`containment_parent_name_lookups_total{listener="egress/store",result=%q}`, result))
}

// nameServerDies is while the parent lives, and while it starts.
func (w *world) nameServerDies() {
	w.fault("the name server is silent, and connections are reset", func(s *strike) {
		defer w.names.die()()
		before := w.lookups("failed")
		w.await("failed lookup", func() bool { return w.lookups("failed") > before })
		w.gate.reset() // so that new ones are needed
		w.wellAgain()
		s.note("served by the last good address meanwhile")
	})
	w.fault("the name server is silent when the parent starts", func(s *strike) {
		s.cuts = true
		defer w.names.die()()
		kill(w.parent)
		w.startParent()
		w.await("way to the signer", func() bool { return w.get(w.health+"/upcheck") == http.StatusOK })
		s.bites()
	})
}

// nameServerLies leads to where no route may lead, for an hour.
func (w *world) nameServerLies() {
	for _, lie := range []string{"169.254.169.254", "0.0.0.0"} {
		w.fault("the name server lies: "+lie, func(s *strike) {
			truth := netip.MustParseAddrPort(w.gate.address).Addr()
			before := w.lookups("failed")
			w.names.lead(netip.MustParseAddr(lie), 3600)
			defer w.names.lead(truth, 1)
			w.await("lookup", func() bool { return w.lookups("failed") > before })
			w.gate.reset()
			w.wellAgain()
			s.note("served by the last good address meanwhile")
		})
	}
}
