package wellknown

import (
	"net/netip"
	"sync"
	"time"
)

// Bounds of proofs in all and of one source. The total is as high as it is so that few handshakes a second do not keep others from
// theirs; it takes five sources that flood to empty it. What one may take at once leaves room among the places for requests.
const (
	perSecond     = 200
	burst         = 400
	sourceSeconds = 40 // per second
	sourceBurst   = 40
)

// sourceRefill is how long it takes to fill a source's bucket, after which it is like that of a source never heard of.
const sourceRefill = sourceBurst * time.Second / sourceSeconds

// sources bounds proofs in all and of each source. The times it is given are of the monotonic clock, as those of [time.Now] are.
type sources struct {
	mu    sync.Mutex // held while the fields below are used
	total *bucket
	of    map[netip.Prefix]*bucket // of those who took one lately
	swept time.Time                // when those who had not were last forgotten
}

func newSources(now time.Time) *sources {
	return &sources{total: newBucket(perSecond, burst, now), of: map[netip.Prefix]*bucket{}, swept: now}
}

// take takes one for a source, if both that and the total have one. Without a source there is only the total. Whoever finds the total
// empty is not remembered, and who took one is for two refills: that makes some 800 sources, however many ask.
func (s *sources) take(source netip.Prefix, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	if !s.total.fill(now) {
		return false
	}
	if source.IsValid() {
		b := s.of[source]
		if b == nil {
			b = newBucket(sourceSeconds, sourceBurst, now)
			s.of[source] = b
		}
		if !b.take(now) {
			return false // and the total keeps its own
		}
	}
	return s.total.take(now)
}

// sweep forgets those whose buckets are full again. The mutex is held.
func (s *sources) sweep(now time.Time) {
	if now.Sub(s.swept) < sourceRefill {
		return
	}
	s.swept = now
	for source, b := range s.of {
		if now.Sub(b.at) >= sourceRefill {
			delete(s.of, source)
		}
	}
}

// sourceOf is whom a request's remote address counts for: an IPv4 address, or the /64 that one host has of IPv6. It is not valid for
// an address of another kind: of an enclave whose parent introduces nobody, all clients come from the parent. The parent may say
// what it likes, and whoever it names only takes from a rate: a host that wants to deny the service need not lie for it.
func sourceOf(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := at.Addr().Unmap(), 32
	if addr.Is6() {
		bits = 64
	}
	source, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return source
}
