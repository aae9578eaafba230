package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// State keeps signer state in the table containment_state.
type State struct{ *file }

var _ store.State = (*State)(nil)

// OpenState opens the file for signer state.
func OpenState(ctx context.Context, path string) (*State, error) {
	f, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("state %w", err)
	}
	return &State{f}, nil
}

// queryer is the file or a transaction.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Get implements store.State.
func (s *State) Get(ctx context.Context, name string) (store.Item, error) {
	if err := store.CheckName(name); err != nil {
		return store.Item{}, err
	}
	i, err := storedState(ctx, s.db, name)
	switch {
	case err != nil:
		return store.Item{}, unavailable(err)
	case i.Version == 0:
		return store.Item{}, fmt.Errorf("%w: item %s", store.ErrNotFound, name)
	}
	return i, nil
}

// storedState is an item, with version 0 if there is none.
func storedState(ctx context.Context, q queryer, name string) (store.Item, error) {
	i := store.Item{Name: name}
	err := q.QueryRowContext(ctx, "SELECT version, body FROM containment_state WHERE name = ?", name).Scan(&i.Version, &i.Body)
	if errors.Is(err, sql.ErrNoRows) {
		return i, nil
	}
	return i, err
}

// Put implements store.State.
func (s *State) Put(ctx context.Context, i store.Item) error {
	if err := i.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		stored, err := storedState(ctx, tx, i.Name)
		if err != nil {
			return err
		}
		if done, err := i.Follow(stored); done || err != nil {
			return errors.Join(err, doneIf(done))
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO containment_state (name, version, body) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET version = excluded.version, body = excluded.body`, i.Name, int64(i.Version), blob(i.Body))
		return err
	})
}

func doneIf(done bool) error {
	if done {
		return errDone
	}
	return nil
}

// blob is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Delete implements store.State.
func (s *State) Delete(ctx context.Context, name string, version uint64) error {
	if err := (store.Item{Name: name, Version: version}).Check(); err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		stored, err := storedState(ctx, tx, name)
		switch {
		case err != nil:
			return err
		case stored.Version == 0:
			return errDone
		case stored.Version != version:
			return fmt.Errorf("%w: item %s has version %d, not %d", store.ErrConflict, name, stored.Version, version)
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM containment_state WHERE name = ?", name)
		return err
	})
}

// List implements store.State.
func (s *State) List(ctx context.Context) (all []store.Listed, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT name, version FROM containment_state ORDER BY name")
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close() //nolint:errcheck // Err has told
	for rows.Next() {
		var l store.Listed
		if err := rows.Scan(&l.Name, &l.Version); err != nil {
			return nil, unavailable(err)
		}
		all = append(all, l)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err)
	}
	return all, nil
}
