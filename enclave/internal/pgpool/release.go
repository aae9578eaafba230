package pgpool

import "github.com/jackc/pgx/v5/pgxpool"

// Release gives a connection back. One that was lost leaves the pool: pgxpool would count it until it is closed, which takes 15 seconds
// if the other end is silent, and soon the pool would be full of them.
func Release(conn *pgxpool.Conn) {
	if conn.Conn().IsClosed() {
		conn.Hijack() // nothing is left to do: pgconn closes what it has lost by itself
		return
	}
	conn.Release()
}
