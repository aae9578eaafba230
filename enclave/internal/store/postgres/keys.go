package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// Keys keeps validator keys in the table containment_keys.
type Keys struct {
	*database
	incarnations incarnations
}

var _ store.Keys = (*Keys)(nil)

// OpenKeys opens the database for validator keys.
func OpenKeys(ctx context.Context, o Options) (*Keys, error) {
	d, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("keys %w", err)
	}
	return &Keys{database: d}, nil
}

// columns of a key, as scan reads them.
const columns = "public_key, version, status, changed, body, created, updated"

func scan(row pgx.CollectableRow) (store.Key, error) {
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

// stored is a key, with version 0 if there is none.
func stored(ctx context.Context, tx pgx.Tx, public [48]byte) (store.Key, error) {
	rows, err := tx.Query(ctx, "SELECT "+columns+" FROM containment_keys WHERE public_key = $1", public[:])
	if err != nil {
		return store.Key{}, err
	}
	k, err := pgx.CollectOneRow(rows, scan)
	k.PublicKey = public
	return k, none(err)
}

// Get implements store.Keys.
func (k *Keys) Get(ctx context.Context, public [48]byte) (store.Key, error) {
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	var got store.Key
	err := k.read(ctx, func(tx pgx.Tx) (err error) {
		got, err = stored(ctx, tx, public)
		return err
	})
	switch {
	case err != nil:
		return store.Key{}, err
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

// change makes one change: what next makes of the stored key, unless that is done already. The number of the change comes from one
// row, and whoever has it keeps the row until the commit: so changes are committed in the order of their numbers, and a reader that
// sees one sees all before it. A sequence would give numbers that are committed in any order, and a reader would pass over some.
func (k *Keys) change(ctx context.Context, public [48]byte, next func(stored store.Key) (store.Key, error)) error {
	return k.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var n int64
		if err := tx.QueryRow(ctx, "UPDATE containment_keys_changes SET last = last + 1 RETURNING last").Scan(&n); err != nil {
			return err
		}
		before, err := stored(ctx, tx, public) // by the lock, nobody changes it until the commit
		if err != nil {
			return err
		}
		to, err := next(before)
		if err != nil {
			return err
		}
		switch done, err := to.Follow(before); {
		case done:
			return errDone
		case err != nil:
			return err
		}
		if to.Body == nil {
			to.Body = []byte{} // nil is NULL
		}
		_, err = tx.Exec(ctx, `INSERT INTO containment_keys (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (public_key) DO UPDATE SET version = excluded.version, status = excluded.status, changed = excluded.changed,
	body = excluded.body, created = excluded.created, updated = excluded.updated`,
			public[:], int64(to.Version), to.Status.String(), n, to.Body, to.Created.UnixMilli(), to.Updated.UnixMilli())
		return err
	})
}

// Load implements store.Keys. It reads page by page, so that each has its time, all of one moment, and yields none before all were read.
// More readers would not be faster.
func (k *Keys) Load(ctx context.Context, statuses []store.Status, _ int, yield func(store.Key) error) (store.Cursor, error) {
	if err := store.CheckStatuses(statuses); err != nil {
		return 0, err
	}
	names := make([]string, len(statuses))
	for i, s := range statuses {
		names[i] = s.String()
	}
	var now position
	var keys []store.Key
	err := k.read(ctx, func(tx pgx.Tx) (err error) {
		if now, err = k.position(ctx, tx); err != nil {
			return err
		}
		for after, more := []byte{}, true; more; {
			page, err := k.list(ctx, tx, fmt.Sprintf("WHERE status = ANY ($1) AND public_key > $2 ORDER BY public_key LIMIT %d", pageSize), names, after)
			if err != nil {
				return err
			}
			if more = len(page) == pageSize; more {
				after = page[len(page)-1].PublicKey[:]
			}
			keys = append(keys, page...)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		if err := yield(key); err != nil {
			return 0, err
		}
	}
	return now.cursor(), nil
}

// pageSize is the most keys that one call of Changes tells, and that one statement of Load reads.
const pageSize = 1000

// Changes implements store.Keys.
func (k *Keys) Changes(ctx context.Context, after store.Cursor) ([]store.Key, store.Cursor, error) {
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	var now position
	var keys []store.Key
	err := k.read(ctx, func(tx pgx.Tx) (err error) {
		if now, err = k.position(ctx, tx); err != nil {
			return err
		}
		if err := now.reaches(after); err != nil {
			return err
		}
		from := positionOf(after).change
		if from == now.change {
			return nil
		}
		keys, err = k.list(ctx, tx, fmt.Sprintf("WHERE changed > $1 ORDER BY changed LIMIT %d", pageSize), int64(from))
		if n := len(keys); n == pageSize {
			now.change = min(now.change, keys[n-1].Changed)
		}
		return err
	})
	if errors.Is(err, errIncarnation) {
		k.pool.Reset() // connections to the one before may be open yet
	}
	if err != nil {
		return nil, after, err
	}
	return keys, now.cursor(), nil
}

func (k *Keys) list(ctx context.Context, tx pgx.Tx, where string, arguments ...any) ([]store.Key, error) {
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	rows, err := tx.Query(ctx, "SELECT "+columns+" FROM containment_keys "+where, arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}
