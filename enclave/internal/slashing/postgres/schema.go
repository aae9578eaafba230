package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Names in the table meta.
const (
	metaVersion = "schema_version" // of the last migration that was made
	metaSince   = "schema_since"   // the least version that a release must know to use this schema
	metaID      = "store_id"
	metaNetwork = "genesis_validators_root"
)

// migration is one step of the schema.
type migration struct {
	// since is the least version that a release must know to work with the schema after this step: a step that only adds leaves it
	// as it was, so that signers of the release before go on while a fleet is updated.
	since      int
	statements string
}

// migrations lead from nothing to this release's schema, whose version is their number. Roots are those of the vote on record;
// NULL is a root that is not known, which equals none. Their rows are rewritten at every epoch: the free space lets that happen
// within a page, without touching the index. The empty key in high_watermarks stands for all keys.
func migrations() []migration {
	return []migration{{since: 1, statements: `
CREATE TABLE meta (
	name  text PRIMARY KEY,
	value text NOT NULL
);

CREATE TABLE attestations (
	key    bytea  PRIMARY KEY CHECK (length(key) = 48),
	source bigint NOT NULL CHECK (source >= 0),
	target bigint NOT NULL CHECK (target >= source),
	root   bytea  CHECK (length(root) = 32)
) WITH (fillfactor = 50);

CREATE TABLE blocks (
	key  bytea  PRIMARY KEY CHECK (length(key) = 48),
	slot bigint NOT NULL CHECK (slot >= 0),
	root bytea  CHECK (length(root) = 32)
) WITH (fillfactor = 50);

CREATE TABLE high_watermarks (
	key   bytea  PRIMARY KEY CHECK (length(key) IN (0, 48)),
	slot  bigint NOT NULL CHECK (slot >= 0),
	epoch bigint NOT NULL CHECK (epoch >= 0)
);
`}}
}

// migrationLock is held while the schema is changed; any number that no other program on the database uses.
const migrationLock = 0x636f6e7461696e

// errMissing is a schema that lacks migrations.
var errMissing = errors.New("migrations are missing")

// agree checks the schema, and first makes what is missing unless it may not.
func agree(ctx context.Context, conn *pgx.Conn, checkOnly bool) error {
	err := checkSchema(ctx, conn)
	switch {
	case !errors.Is(err, errMissing):
		return err
	case checkOnly:
		return fmt.Errorf("%w; run containment-chamber slashing migrate with a role that may create tables", err)
	}
	return migrate(ctx, conn)
}

// migrate makes what is missing, in one transaction that only one signer at a time is in.
func migrate(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := lockSchema(ctx, tx); err != nil {
			return err
		}
		version, err := madeVersion(ctx, tx)
		if err != nil {
			return err
		}
		steps := migrations()
		for ; version < len(steps); version++ {
			if _, err := tx.Exec(ctx, steps[version].statements); err != nil {
				return fmt.Errorf("migration to schema version %d: %w", version+1, err)
			}
			if err := setMeta(ctx, tx, metaVersion, strconv.Itoa(version+1)); err != nil {
				return err
			}
			if err := setMeta(ctx, tx, metaSince, strconv.Itoa(steps[version].since)); err != nil {
				return err
			}
		}
		var id [16]byte
		_, _ = rand.Read(id[:]) // never fails
		_, err = tx.Exec(ctx, "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", metaID, hex.EncodeToString(id[:]))
		return err
	})
}

// lockSchema waits for the signer that changes the schema, as long as ctx allows and not the shorter time of a vote.
func lockSchema(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, untimed); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock))
	return err
}

func setMeta(ctx context.Context, tx pgx.Tx, name, value string) error {
	_, err := tx.Exec(ctx, "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
	return err
}

// checkSchema returns nil if this release can use the schema, an errMissing if migrations are missing, and else why not.
func checkSchema(ctx context.Context, q queryer) error {
	version, err := madeVersion(ctx, q)
	switch wanted := len(migrations()); {
	case err != nil:
		return err
	case version == 0:
		return fmt.Errorf("%w: it is not made yet (%w)", ErrSchema, errMissing)
	case version < wanted:
		return fmt.Errorf("%w: it is of version %d, this release wants version %d (%w)", ErrSchema, version, wanted, errMissing)
	}
	return nil
}

// queryer is a connection or a transaction on it.
type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// hasTables reads the catalogue itself: to_regclass answers from a cache, which a session that has just waited for the one that
// makes the tables has not renewed.
const hasTables = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relname = 'meta' AND pg_catalog.pg_table_is_visible(oid))"

// madeVersion is the schema's version, 0 if there is none. One that this release cannot use is an ErrSchema.
func madeVersion(ctx context.Context, q queryer) (int, error) {
	var tables bool
	if err := q.QueryRow(ctx, hasTables, pgx.QueryExecModeExec).Scan(&tables); err != nil || !tables {
		return 0, err
	}
	text, err := meta(ctx, q, metaVersion)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42703" { // undefined_column
		return 0, fmt.Errorf("%w: it is not a slashing database (%w)", ErrSchema, err)
	}
	if err != nil {
		return 0, err
	}
	version, err := strconv.Atoi(text)
	if err != nil || version < 1 {
		return 0, fmt.Errorf("%w: it is not a slashing database (its table meta has no %s)", ErrSchema, metaVersion)
	}
	text, err = meta(ctx, q, metaSince)
	if err != nil {
		return 0, err
	}
	since, err := strconv.Atoi(text)
	if knows := len(migrations()); err != nil || since > knows {
		return 0, fmt.Errorf("%w: it is of version %d for releases that know version %s, this release knows version %d", ErrSchema, version, text, knows)
	}
	return version, nil
}

// meta reads one value, "" if there is none.
func meta(ctx context.Context, q queryer, name string) (string, error) {
	var value string
	err := q.QueryRow(ctx, "SELECT value FROM meta WHERE name = $1", pgx.QueryExecModeExec, name).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// identity is the store's.
func identity(ctx context.Context, q queryer) (string, error) {
	id, err := meta(ctx, q, metaID)
	if err == nil && id == "" {
		err = fmt.Errorf("%w: its table meta has no %s", ErrSchema, metaID)
	}
	return id, err
}
