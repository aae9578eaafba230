package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// translator gives errors another severity.
type translator struct {
	net.Conn
	severity string // five letters
}

func (c *translator) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	copy(b, bytes.ReplaceAll(b[:n], []byte("SERROR\x00VERROR\x00"), []byte("S"+c.severity+"\x00V"+c.severity+"\x00")))
	return n, err
}

// TestErrorsThatTellOfARollback: an error of the server's is one only if it is an ERROR, and not of the classes in which poolers and
// proxies tell of a server that they have lost. After all others the vote is sent again, once.
func TestErrorsThatTellOfARollback(t *testing.T) {
	database := newDatabase(t)
	closed(t, options(database))
	administrate(t, database, "CREATE SEQUENCE tries", "GRANT ALL ON SEQUENCE tries TO signer",
		`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`,
		`CREATE TRIGGER no BEFORE INSERT ON blocks FOR EACH ROW EXECUTE FUNCTION no()`)
	for _, tc := range []struct {
		code, severity string
		want, not      error
		tries          int
	}{
		{"P0001", "ERROR", slashing.ErrUnavailable, slashing.ErrOutcomeUnknown, 1},
		{"53100", "ERROR", slashing.ErrUnavailable, slashing.ErrOutcomeUnknown, 1}, // disk full
		{"57014", "ERROR", slashing.ErrUnavailable, slashing.ErrOutcomeUnknown, 1}, // query canceled
		{"P0001", "FATAL", slashing.ErrOutcomeUnknown, slashing.ErrUnavailable, 2},
		{"P0001", "PANIC", slashing.ErrOutcomeUnknown, slashing.ErrUnavailable, 2},
		{"08000", "ERROR", slashing.ErrOutcomeUnknown, slashing.ErrUnavailable, 2},
		{"08006", "ERROR", slashing.ErrOutcomeUnknown, slashing.ErrUnavailable, 2},
		{"57P01", "ERROR", slashing.ErrOutcomeUnknown, slashing.ErrUnavailable, 2},
		{"57P02", "ERROR", slashing.ErrOutcomeUnknown, slashing.ErrUnavailable, 2},
		{"40003", "ERROR", slashing.ErrOutcomeUnknown, slashing.ErrUnavailable, 2},
	} {
		t.Run(tc.severity+" "+tc.code, func(t *testing.T) {
			o := plain(shared.Address(), database)
			o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				return &translator{conn, tc.severity}, err
			}
			s := open(t, o)
			administrate(t, database, "ALTER SEQUENCE tries RESTART", `CREATE OR REPLACE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				PERFORM nextval('tries'); RAISE EXCEPTION 'no' USING ERRCODE = '`+tc.code+`'; END $$`)
			outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Vote: slashing.Block{Slot: 1}}})
			if !errors.Is(err, tc.want) || errors.Is(err, tc.not) {
				t.Errorf("%v, %v; want %v", outcomes, err, tc.want)
			}
			conn, err := shared.Connect(t.Context(), database)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			var tries int
			if err := conn.QueryRow(t.Context(), "SELECT last_value FROM tries").Scan(&tries); err != nil || tries != tc.tries {
				t.Errorf("%d tries (%v), want %d", tries, err, tc.tries)
			}
		})
	}
}

// TestNotSentAgain: a caller that has left is not told of a second try.
func TestNotSentAgain(t *testing.T) {
	p := newProxy(t, shared.Address())
	s := open(t, plain(p.Address(), newDatabase(t)))
	ctx, cancel := context.WithCancel(t.Context())
	p.Spoil(false, func(fromClient bool, data []byte) verdict {
		if writes(fromClient, data) {
			cancel()
			return swallow
		}
		return pass
	})
	outcomes, err := s.Advance(ctx, []slashing.Claim{{Vote: slashing.Block{Slot: 1}}})
	if !errors.Is(err, slashing.ErrOutcomeUnknown) || strings.Contains(err.Error(), "sent again") {
		t.Errorf("%v, %v", outcomes, err)
	}
}

// TestDoubtOutlivesAPart: what is known of a part of a group does not say that an earlier try of the whole was not recorded.
func TestDoubtOutlivesAPart(t *testing.T) {
	for name, hinder := range map[string]func(t *testing.T, database string, key bls.PublicKey){
		"a row at fault": func(t *testing.T, database string, _ bls.PublicKey) {
			administrate(t, database, `CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$`,
				`CREATE TRIGGER no BEFORE UPDATE ON blocks FOR EACH ROW WHEN (NEW.key = decode(rpad('03', 96, '0'), 'hex')) EXECUTE FUNCTION no()`)
		},
		"a locked row": func(t *testing.T, database string, key bls.PublicKey) {
			keep(t, database, "SELECT FROM blocks WHERE key = $1 FOR UPDATE", key[:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			database := newDatabase(t)
			p := newProxy(t, shared.Address())
			s := open(t, plain(p.Address(), database))
			if _, err := s.Advance(t.Context(), both(4, 1)); err != nil {
				t.Fatal(err)
			}
			const hindered = 6 // a block
			claims := both(4, 2)
			var tries atomic.Int32
			p.Spoil(false, func(fromClient bool, data []byte) verdict {
				if writes(fromClient, data) {
					switch tries.Add(1) {
					case 1:
						return cut // or the vote could be on record by now, and identical
					case 2:
						hinder(t, database, claims[hindered].Key)
					}
				}
				return pass
			})
			outcomes, err := s.Advance(t.Context(), claims)
			p.Spoil(false, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range outcomes {
				if i == hindered && (!errors.Is(o.Err, slashing.ErrOutcomeUnknown) || errors.Is(o.Err, slashing.ErrUnavailable)) {
					t.Errorf("the claim that was hindered: %+v, want an unknown outcome", o)
				}
				if i != hindered && !o.Permits(claims[i].Vote) {
					t.Errorf("claim %d: %+v", i, o)
				}
			}
		})
	}
}
