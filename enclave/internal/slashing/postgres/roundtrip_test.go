package postgres_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// counter counts the round trips of votes, and not those of the checks on connections that the pool makes meanwhile.
type counter struct {
	net.Conn
	trips *atomic.Int32
}

func (c *counter) Write(data []byte) (int, error) {
	if data[0] == 'B' { // a checked connection first parses, and then only binds
		c.trips.Add(int32(bytes.Count(data, []byte("S\x00\x00\x00\x04")))) // Sync: the server answers only now
	}
	return c.Conn.Write(data)
}

// TestRoundTrips counts what crosses the network: once for what is recorded, however much and under whatever conditions, and a second
// time for what is refused.
func TestRoundTrips(t *testing.T) {
	o := plain(shared.Address(), newDatabase(t))
	trips := new(atomic.Int32)
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &counter{conn, trips}, err
	}
	s := open(t, o)
	group := make([]slashing.Claim, 0, 500)
	for i := range 250 {
		key := bls.PublicKey{byte(i), byte(i >> 8), 3}
		group = append(group, slashing.Claim{Key: key, Vote: slashing.Block{Slot: 1}}, slashing.Claim{Key: key, Vote: slashing.Attestation{Target: 1}})
	}
	one := func(key byte, v slashing.Vote, knownOnly bool) []slashing.Claim {
		return []slashing.Claim{{Key: bls.PublicKey{key}, Vote: v, KnownOnly: knownOnly}}
	}
	high := slashing.HighWatermark{Slot: 10, Epoch: 10}
	if err := s.SetHighWatermark(t.Context(), nil, high); err != nil {
		t.Fatal(err)
	}
	if err := s.SetHighWatermark(t.Context(), []bls.PublicKey{{1}}, high); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		claims  []slashing.Claim
		permits bool
		trips   int32
	}{
		{"a group of 500", group, true, 1},
		{"a group on record", group, true, 1},
		{"a new key", one(1, slashing.Block{Slot: 1}, false), true, 1},
		{"a known key", one(1, slashing.Block{Slot: 2}, true), true, 1},
		{"a key known by its blocks", one(1, slashing.Attestation{Target: 3}, true), true, 1},
		{"an unknown key", one(2, slashing.Block{Slot: 2}, true), false, 2},
		{"refused by the rule", one(1, slashing.Block{Slot: 1}, false), false, 2},
		{"above the high watermark", one(1, slashing.Block{Slot: 11}, false), false, 2},
	} {
		trips.Store(0)
		outcomes, err := s.Advance(t.Context(), tc.claims)
		if n := trips.Load(); err != nil || n != tc.trips {
			t.Errorf("%s: %v; %d round trips, want %d", tc.name, err, n, tc.trips)
		}
		for i, o := range outcomes {
			if o.Err != nil || o.Permits(tc.claims[i].Vote) != tc.permits {
				t.Errorf("%s: claim %d: %+v", tc.name, i, o)
			}
		}
	}
}
