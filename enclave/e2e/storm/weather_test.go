package storm

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// fault is something that a network does.
type fault struct {
	name   string
	toxics func() []rig.Toxic // none: nobody answers at all
	bites  bool               // nothing can be recorded meanwhile
}

func faults() []fault {
	toxic := func(kind, stream string, attributes map[string]int) rig.Toxic {
		return rig.Toxic{Type: kind, Stream: stream, Attributes: attributes}
	}
	one := func(kind, stream string, attributes map[string]int) func() []rig.Toxic {
		return func() []rig.Toxic { return []rig.Toxic{toxic(kind, stream, attributes)} }
	}
	upTo := func(n int) map[string]int { return map[string]int{"bytes": 1 + rand.IntN(n)} }
	return []fault{
		{"cut", nil, true},
		{"reset", one("reset_peer", "downstream", map[string]int{"timeout": 0}), true},
		{"half-open: answers vanish", one("timeout", "downstream", map[string]int{"timeout": 0}), true},
		{"half-open: requests vanish", one("timeout", "upstream", map[string]int{"timeout": 0}), true},
		{"cut within an answer", func() []rig.Toxic { return []rig.Toxic{toxic("limit_data", "downstream", upTo(3000))} }, false},
		{"cut within a request", func() []rig.Toxic { return []rig.Toxic{toxic("limit_data", "upstream", upTo(3000))} }, false},
		{"late", one("latency", "downstream", map[string]int{"latency": 500, "jitter": 500}), false},
		{"narrow", func() []rig.Toxic {
			return []rig.Toxic{toxic("bandwidth", "upstream", map[string]int{"rate": 1}), toxic("bandwidth", "downstream", map[string]int{"rate": 1})}
		}, false},
	}
}

// TestWeather spoils the network between signer and store again and again. What could not be recorded is told as 503, everything is
// signed once the network is well, nothing else is signed ever, and nobody need restart the signer.
func TestWeather(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, p place) {
		proxy := newProxy(t, p.server)
		o := open(t, p.at(proxy.Address, 1))
		all := faults()
		rounds := max(len(all), *kills/10)
		var slowest time.Duration
		for i := range rounds {
			slowest = max(slowest, all[i%len(all)].pass(t, proxy, o))
		}
		o.finish()
		t.Logf("%d faults: %v, slowest recovery of all clients %v", rounds, o.book.tally(), slowest.Round(time.Millisecond))
	})
}

// pass strikes, heals, and returns how long it took then until all clients had what they wanted.
func (f fault) pass(t *testing.T, p *proxy, o *service) time.Duration {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("the fault was: %s", f.name)
		}
	}()
	o.wellAgain()
	select { // at any moment of the work
	case <-time.After(rand.N(50 * time.Millisecond)):
	case <-o.life.process.Done():
	}
	f.strike(p)
	if f.bites {
		o.each(1, unlucky)
	} else {
		o.each(2, answering)
	}
	began := time.Now()
	p.heal()
	o.wellAgain()
	return time.Since(began)
}

func (f fault) strike(p *proxy) {
	p.t.Helper()
	if f.toxics == nil {
		p.down()
		return
	}
	for _, x := range f.toxics() {
		p.poison(x)
	}
}
