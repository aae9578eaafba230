package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// promotionLimit is how long a standby may take to become a primary.
const promotionLimit = 60 * time.Second

// StartStandby starts an asynchronous standby: a copy of the server, made with pg_basebackup, that follows it by streaming
// replication and answers queries. It has the server's certificate, so that clients take one for the other.
func (s *Server) StartStandby(settings ...string) (*Server, error) {
	standby, err := newServer(settings)
	if err != nil {
		return nil, err
	}
	standby.caPEM, standby.cas, standby.dbs = s.caPEM, s.cas, s.dbs
	for _, name := range []string{"cert", "key"} {
		if err == nil {
			err = standby.copy(filepath.Join(s.dir, name), name)
		}
	}
	if err == nil {
		err = Run("pg_basebackup", "--pgdata="+standby.DataDir(), "--host="+s.dir, fmt.Sprintf("--port=%d", s.port),
			"--username=admin", "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	}
	if err == nil {
		err = standby.listen()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a standby: %w", err), standby.Stop())
	}
	return standby, nil
}

func (s *Server) copy(path, name string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return s.write(name, string(text))
}

// StopReceiving cuts a standby off from its primary: it stays as old as it is now.
func (s *Server) StopReceiving(ctx context.Context) error {
	return s.Exec(ctx, "postgres", "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()",
		// The reload is asynchronous; the server's own wait is used, not ours.
		`DO $$ BEGIN
			WHILE EXISTS (SELECT FROM pg_stat_wal_receiver) LOOP PERFORM pg_sleep(0.01), pg_stat_clear_snapshot(); END LOOP;
		END $$`)
}

// Promote makes a primary of a standby, and returns when it is one.
func (s *Server) Promote(ctx context.Context) error {
	conn, err := s.Connect(ctx, "postgres")
	if err != nil {
		return fmt.Errorf("promote the standby: %w", err)
	}
	var promoted bool
	err = conn.QueryRow(ctx, "SELECT pg_promote(true, $1)", int(promotionLimit.Seconds())).Scan(&promoted)
	if err == nil && !promoted {
		err = fmt.Errorf("not done within %v", promotionLimit)
	}
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("promote the standby: %w", err)
	}
	return nil
}

// AwaitStandby returns when the standby of s shows all that is on record at s now.
func (s *Server) AwaitStandby(ctx context.Context) error {
	err := s.Exec(ctx, "postgres", `DO $$ DECLARE now pg_lsn := pg_current_wal_flush_lsn(); BEGIN
		WHILE NOT EXISTS (SELECT FROM pg_stat_replication WHERE replay_lsn >= now) LOOP PERFORM pg_sleep(0.01), pg_stat_clear_snapshot(); END LOOP;
	END $$`)
	if err != nil {
		return fmt.Errorf("await the standby: %w", err)
	}
	return nil
}
