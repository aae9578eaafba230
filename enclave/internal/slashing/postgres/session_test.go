package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
)

// pooler rewrites a setting in the first message of a connection, as a pooler does that has settings of its own.
type pooler struct {
	net.Conn
	setting, other []byte // name, value
	begun          bool
}

func (p *pooler) Write(data []byte) (int, error) {
	if p.begun {
		return p.Conn.Write(data)
	}
	p.begun = true
	changed := bytes.Replace(data, p.setting, p.other, 1)
	binary.BigEndian.PutUint32(changed, uint32(len(changed))) // a startup message begins with its length
	if _, err := p.Conn.Write(changed); err != nil {
		return 0, err
	}
	return len(data), nil
}

// TestSettingsThatAreNotOurs: a store whose settings do not reach the server is not opened.
func TestSettingsThatAreNotOurs(t *testing.T) {
	for _, tc := range []struct{ setting, other, words string }{
		{"synchronous_commit\x00on\x00", "synchronous_commit\x00local\x00", "synchronous_commit is local although we set it on"},
		{
			"default_transaction_isolation\x00read committed\x00", "default_transaction_isolation\x00repeatable read\x00",
			"its transactions are repeatable read although we set read committed",
		},
	} {
		o := plain(shared.Address(), newDatabase(t))
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return &pooler{Conn: conn, setting: []byte(tc.setting), other: []byte(tc.other)}, err
		}
		refused(t, o, postgres.ErrServer, tc.words)
	}
}
