package pgpool

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Session is how a server says that it works on one connection. The settings are in PostgreSQL's own words, such as on and off.
type Session struct {
	Recovering        bool // it is a standby, or comes back from a crash: it shows what was
	Fsync             string
	SynchronousCommit string
	ReadOnly          string // that of the transactions
	Isolation         string // that of the transactions
	MinMessages       string // the least severe of the server's warnings that are told
}

// Ask asks the server on the other end of a connection, in one round trip. Its error is pgx's, and says nothing about the server.
func Ask(ctx context.Context, conn *pgx.Conn) (Session, error) {
	var s Session
	err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('synchronous_commit'),
current_setting('transaction_read_only'), current_setting('transaction_isolation'), current_setting('client_min_messages')`, pgx.QueryExecModeExec).
		Scan(&s.Recovering, &s.Fsync, &s.SynchronousCommit, &s.ReadOnly, &s.Isolation, &s.MinMessages)
	return s, err
}

// Refusal says why what is committed in this session could be lost, or what is read in it be old; nil if neither. Lost names in its text
// what a crash would lose, such as votes; the text calls the server it.
func (s Session) Refusal(lost string) error {
	switch {
	case s.Recovering:
		return errors.New("it is a standby or still recovering; name the primary")
	case s.Fsync != "on":
		return fmt.Errorf("its fsync is %s, so that a crash loses %s; want on", s.Fsync, lost)
	case s.SynchronousCommit != "on":
		return fmt.Errorf("synchronous_commit is %s although we set it on; is a connection pooler between?", s.SynchronousCommit)
	case s.Isolation != "read committed":
		return fmt.Errorf("its transactions are %s although we set read committed; is a connection pooler between?", s.Isolation)
	case s.MinMessages != "warning":
		return fmt.Errorf("client_min_messages is %s although we set it to warning; is a connection pooler between?", s.MinMessages)
	}
	return nil
}

// Writable says why nothing can be written in this session, nil if it can; the text calls the server it. Servers in clouds become
// read-only when their disk is full.
func (s Session) Writable() error {
	if s.ReadOnly != "off" {
		return errors.New("its transactions are read-only (default_transaction_read_only)")
	}
	return nil
}
