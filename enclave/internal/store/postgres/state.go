package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// State keeps signer state in the table containment_state.
type State struct{ *database }

var _ store.State = (*State)(nil)

// OpenState opens the database for signer state.
func OpenState(ctx context.Context, o Options) (*State, error) {
	d, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("state %w", err)
	}
	return &State{d}, nil
}

// Get implements store.State.
func (s *State) Get(ctx context.Context, name string) (store.Item, error) {
	if err := store.CheckName(name); err != nil {
		return store.Item{}, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var i store.Item
	err := s.read(ctx, func(tx pgx.Tx) (err error) {
		i, err = storedState(ctx, tx, name)
		return err
	})
	switch {
	case err != nil:
		return store.Item{}, err
	case i.Version == 0:
		return store.Item{}, fmt.Errorf("%w: item %s", store.ErrNotFound, name)
	}
	return i, nil
}

// storedState is an item, with version 0 if there is none.
func storedState(ctx context.Context, q queryer, name string) (store.Item, error) {
	i := store.Item{Name: name}
	err := q.QueryRow(ctx, "SELECT version, body FROM containment_state WHERE name = $1", name).Scan(&i.Version, &i.Body)
	return i, none(err)
}

// Put implements store.State. The statement is the comparison: of two at once the second waits for the first.
func (s *State) Put(ctx context.Context, i store.Item) error {
	if err := i.Check(); err != nil {
		return err
	}
	if i.Body == nil {
		i.Body = []byte{} // nil is NULL
	}
	return s.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		statement := "UPDATE containment_state SET version = $2, body = $3 WHERE name = $1 AND version = $2 - 1"
		if i.Version == 1 {
			statement = "INSERT INTO containment_state (name, version, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
		}
		tag, err := tx.Exec(ctx, statement, i.Name, int64(i.Version), i.Body)
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		stored, err := storedState(ctx, tx, i.Name)
		if err != nil {
			return err
		}
		return verdict(i.Follow(stored))
	})
}

// verdict is what to say of a write that the statement did not make.
func verdict(done bool, err error) error {
	switch {
	case done:
		return errDone
	case err == nil: // it changed between the two statements
		return fmt.Errorf("%w: it is being changed", store.ErrConflict)
	}
	return err
}

// Delete implements store.State.
func (s *State) Delete(ctx context.Context, name string, version uint64) error {
	if err := (store.Item{Name: name, Version: version}).Check(); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "DELETE FROM containment_state WHERE name = $1 AND version = $2", name, int64(version))
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		if stored, err := storedState(ctx, tx, name); err != nil || stored.Version > 0 {
			return fmt.Errorf("%w: item %s has version %d, not %d", store.ErrConflict, name, stored.Version, version)
		}
		return errDone
	})
}

// List implements store.State.
func (s *State) List(ctx context.Context) (all []store.Listed, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = s.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT name, version FROM containment_state ORDER BY name")
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[store.Listed])
		return err
	})
	return all, err
}
