package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// holdLimit is how long it may take until a server waits for a standby.
const holdLimit = time.Minute

// Lonely is a server of its own that can be told to wait for a synchronous standby, which does not exist. Its methods are not for
// concurrent use.
type Lonely struct {
	*Server
	admin *pgx.Conn
}

// StartLonely starts one, which waits for nobody yet.
func StartLonely(ctx context.Context) (*Lonely, error) {
	server, err := Start()
	if err != nil {
		return nil, err
	}
	admin, err := server.Connect(ctx, "postgres")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("a server without a standby: %w", err), server.Stop())
	}
	return &Lonely{server, admin}, nil
}

// Stop ends the server and removes all that was made for it.
func (l *Lonely) Stop() error {
	return errors.Join(l.admin.Close(context.Background()), l.Server.Stop())
}

// Wait has commits wait for standbys of these names, or no longer if there are none. The server does so a moment later.
func (l *Lonely) Wait(ctx context.Context, names string) error {
	for _, statement := range []string{"ALTER SYSTEM SET synchronous_standby_names = '" + names + "'", "SELECT pg_reload_conf()"} {
		if _, err := l.admin.Exec(ctx, statement); err != nil {
			return fmt.Errorf("wait for standbys %q: %w", names, err)
		}
	}
	return nil
}

// waiting is the process that waits for the standby, 0 if there is none.
func (l *Lonely) waiting(ctx context.Context) (pid int, err error) {
	err = l.admin.QueryRow(ctx, "SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&pid)
	return pid, err
}

// Cancel cancels the waits of other processes than one, until one was cancelled, which it returns, or said has what a call returned.
func (l *Lonely) Cancel(ctx context.Context, but int, said <-chan error) (pid int, err error) {
	for len(said) == 0 {
		pid, err := l.waiting(ctx)
		if err == nil && pid != 0 && pid != but {
			_, err = l.admin.Exec(ctx, "SELECT pg_cancel_backend($1)", pid)
			return pid, err
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// Hold begins to wait for a standby, and makes calls with a number that rises until one of them waits. What that call returns will be in
// said; an error of one that did not wait ends Hold, as does the end of its time.
func (l *Lonely) Hold(ctx context.Context, call func(n uint64) error) (said <-chan error, err error) {
	ctx, cancel := context.WithTimeout(ctx, holdLimit)
	defer cancel()
	if err := l.Wait(ctx, "nobody"); err != nil {
		return nil, err
	}
	for n := uint64(1); ctx.Err() == nil; n++ {
		said := l.Call(func() error { return call(n) })
		for len(said) == 0 {
			switch pid, err := l.waiting(ctx); {
			case err != nil:
				return said, err
			case pid != 0:
				return said, nil
			}
		}
		if err := <-said; err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no call waits for a standby: %w", ctx.Err())
}

// Call makes a call, and has what it returns in said.
func (l *Lonely) Call(call func() error) (said <-chan error) {
	returned := make(chan error, 1)
	go func() { returned <- call() }()
	return returned
}
