package sqlite

import (
	"database/sql/driver"
	"fmt"
	"testing"

	driversqlite "modernc.org/sqlite"
)

// CloseLimit is closeLimit.
const CloseLimit = closeLimit

// OnCommit has SQLite call f in the middle of each commit, which fails unless f returns 0.
func (s *Store) OnCommit(t *testing.T, f func() int32) {
	t.Helper()
	s.hook(t, func(c driversqlite.HookRegisterer) { c.RegisterCommitHook(f) })
}

// OnChange has SQLite call f before it changes a row.
func (s *Store) OnChange(t *testing.T, f func()) {
	t.Helper()
	s.hook(t, func(c driversqlite.HookRegisterer) {
		c.RegisterPreUpdateHook(func(driversqlite.SQLitePreUpdateData) { f() })
	})
}

func (s *Store) hook(t *testing.T, register func(driversqlite.HookRegisterer)) {
	t.Helper()
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		hooks, ok := c.(driversqlite.HookRegisterer)
		if !ok {
			return fmt.Errorf("%w: a %T has no hooks", driver.ErrBadConn, c)
		}
		register(hooks)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
