package postgres_test

import (
	"bytes"
	"net"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// verdict is what a proxy does with data and its connection.
type verdict = postgrestest.Verdict

const (
	pass        = postgrestest.Pass
	cut         = postgrestest.Cut
	cutAfter    = postgrestest.CutAfter
	swallow     = postgrestest.Swallow
	swallowBack = postgrestest.SwallowBack
)

// newProxy stands between a store and its server until the test ends.
func newProxy(t *testing.T, upstream string) *postgrestest.Proxy {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := postgrestest.NewProxy(l, new(net.Dialer).DialContext, upstream)
	t.Cleanup(p.Close)
	return p
}

// writes says that data, from a client, binds a statement that records votes.
func writes(fromClient bool, data []byte) bool {
	return fromClient && data[0] == 'B' && bytes.Contains(data, []byte("\x00advance_"))
}
