package pgpool

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// errAbandoned is a commit that a synchronous standby may lack. After a failover to it what was committed would be gone.
var errAbandoned = errors.New("the server stopped waiting for its synchronous standby, which may lack what was committed")

// abandonedMark is the place of an abandoned wait among a connection's data.
const abandonedMark = "abandoned"

// observe marks a connection whose commit was answered before the synchronous standby had it: when the wait is cancelled
// (pg_cancel_backend), PostgreSQL warns and then reports success all the same. The routine's name, unlike the text, is in no
// language (PostgreSQL, src/backend/replication/syncrep.c).
func observe(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" || strings.Contains(n.Message, "synchronous replication") {
		conn.CustomData()[abandonedMark] = true
	}
}

// Abandoned is to be asked after each commit that the server reports done. It returns an error if a commit on the connection, which a
// pool of Configure made, was not waited for until the synchronous standby had it, since it was last asked; and nil else. Whether the
// transaction outlives a failover is then unknown.
func Abandoned(conn *pgx.Conn) error {
	data := conn.PgConn().CustomData()
	if data[abandonedMark] == nil {
		return nil
	}
	delete(data, abandonedMark)
	return errAbandoned
}
