package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// Keys keeps validator keys in the table containment_keys.
type Keys struct{ *file }

var _ store.Keys = (*Keys)(nil)

// OpenKeys opens the file for validator keys.
func OpenKeys(ctx context.Context, path string) (*Keys, error) {
	f, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("keys %w", err)
	}
	return &Keys{f}, nil
}

// columns of a key, as scan reads them.
const columns = "public_key, version, status, changed, body, created, updated"

func scan(row interface{ Scan(into ...any) error }) (store.Key, error) {
	var (
		k                store.Key
		public           []byte
		status           string
		created, updated int64
	)
	err := row.Scan(&public, &k.Version, &status, &k.Changed, &k.Body, &created, &updated)
	if err != nil {
		return store.Key{}, err
	}
	if len(public) != len(k.PublicKey) {
		return store.Key{}, fmt.Errorf("a public key of %d bytes", len(public))
	}
	k.PublicKey = [48]byte(public)
	k.Created, k.Updated = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	k.Status, err = store.ParseStatus(status)
	return k, err
}

// storedKey is a key, with version 0 if there is none.
func storedKey(ctx context.Context, q queryer, public [48]byte) (store.Key, error) {
	k, err := scan(q.QueryRowContext(ctx, "SELECT "+columns+" FROM containment_keys WHERE public_key = ?", public[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return store.Key{PublicKey: public}, nil
	}
	return k, err
}

// Get implements store.Keys.
func (k *Keys) Get(ctx context.Context, public [48]byte) (store.Key, error) {
	got, err := storedKey(ctx, k.db, public)
	switch {
	case err != nil:
		return store.Key{}, unavailable(err)
	case got.Version == 0:
		return store.Key{}, fmt.Errorf("%w: key %s", store.ErrNotFound, store.Short(public))
	}
	return got, nil
}

// Put implements store.Keys.
func (k *Keys) Put(ctx context.Context, key store.Key) error {
	if err := key.Check(); err != nil {
		return err
	}
	return k.change(ctx, key.PublicKey, func(store.Key) (store.Key, error) { return key, nil })
}

// Delete implements store.Keys.
func (k *Keys) Delete(ctx context.Context, public [48]byte, version uint64) error {
	now := time.Now()
	return k.change(ctx, public, func(stored store.Key) (store.Key, error) { return stored.Tombstone(version, now) })
}

// change makes one change: what next makes of the stored key, unless that is done already. There is one transaction at a time, so
// that changes are committed in the order of their numbers.
func (k *Keys) change(ctx context.Context, public [48]byte, next func(stored store.Key) (store.Key, error)) error {
	return k.write(ctx, func(tx *sql.Tx) error {
		stored, err := storedKey(ctx, tx, public)
		if err != nil {
			return err
		}
		to, err := next(stored)
		if err != nil {
			return err
		}
		if done, err := to.Follow(stored); done || err != nil {
			return errors.Join(err, doneIf(done))
		}
		var n int64
		if err := tx.QueryRowContext(ctx, "UPDATE containment_keys_changes SET last = last + 1 RETURNING last").Scan(&n); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO containment_keys (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (public_key) DO UPDATE SET version = excluded.version, status = excluded.status, changed = excluded.changed,
	body = excluded.body, created = excluded.created, updated = excluded.updated`,
			public[:], int64(to.Version), to.Status.String(), n, blob(to.Body), to.Created.UnixMilli(), to.Updated.UnixMilli())
		return err
	})
}

// Load implements store.Keys. There is one reader.
func (k *Keys) Load(ctx context.Context, statuses []store.Status, _ int, yield func(store.Key) error) (store.Cursor, error) {
	if err := store.CheckStatuses(statuses); err != nil {
		return 0, err
	}
	last, err := k.last(ctx)
	if err != nil {
		return 0, err
	}
	keys, err := k.list(ctx, "WHERE status <> 'deleted'")
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		if !slices.Contains(statuses, key.Status) {
			continue
		}
		if err := yield(key); err != nil {
			return 0, err
		}
	}
	return store.Cursor(last), nil
}

// pageSize is the most keys that one call of Changes tells.
const pageSize = 1000

// Changes implements store.Keys. What it lists is of a later moment than the last change's number, and so holds all up to that.
func (k *Keys) Changes(ctx context.Context, after store.Cursor) ([]store.Key, store.Cursor, error) {
	last, err := k.last(ctx)
	switch {
	case err != nil:
		return nil, after, err
	case uint64(after) > last: // an older copy of the file
		return nil, after, fmt.Errorf("%w: change %d is not made yet, the last one is %d", store.ErrCursor, after, last)
	case uint64(after) == last:
		return nil, after, nil
	}
	keys, err := k.list(ctx, "WHERE changed > ? ORDER BY changed LIMIT ?", int64(after), pageSize)
	if err != nil {
		return nil, after, err
	}
	if n := len(keys); n > 0 {
		last = max(last, keys[n-1].Changed)
		if n == pageSize {
			last = keys[n-1].Changed
		}
	}
	return keys, store.Cursor(last), nil
}

// last is the number of the last change.
func (k *Keys) last(ctx context.Context) (n uint64, err error) {
	if err := k.db.QueryRowContext(ctx, "SELECT last FROM containment_keys_changes").Scan(&n); err != nil {
		return 0, unavailable(err)
	}
	return n, nil
}

func (k *Keys) list(ctx context.Context, where string, arguments ...any) (keys []store.Key, err error) {
	rows, err := k.db.QueryContext(ctx, "SELECT "+columns+" FROM containment_keys "+where, arguments...) //nolint:gosec // all of it is in this file
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close() //nolint:errcheck // Err has told
	for rows.Next() {
		key, err := scan(rows)
		if err != nil {
			return nil, unavailable(err)
		}
		keys = append(keys, key)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err)
	}
	return keys, nil
}
