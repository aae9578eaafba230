package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// position is a change of one incarnation of the server. Another incarnation may have made another change of the same number: a standby
// that had not heard of all becomes the primary and counts on from what it has, as does an older copy that is put in the place of the
// database. Neither is possible without a start of a server.
type position struct {
	incarnation uint64 // its number, at most maxIncarnation
	change      uint64 // at most maxChange
}

// A store.Cursor is a position: the lower 48 bits are the change, the upper 16 the incarnation, which is 0 for the first one that this
// process has seen.
const (
	changeBits     = 48
	maxChange      = 1<<changeBits - 1
	maxIncarnation = 1<<(64-changeBits) - 1
)

func (p position) cursor() store.Cursor { return store.Cursor(p.incarnation<<changeBits | p.change) }

func positionOf(c store.Cursor) position {
	return position{uint64(c) >> changeBits, uint64(c) & maxChange}
}

// errIncarnation is the cause of an ErrCursor for a server that was started since, or is another one.
var errIncarnation = errors.New("the server was started again, or is another one")

// reaches returns an ErrCursor if what changed after a cursor cannot be told from p on. The zero cursor has seen nothing of any
// incarnation.
func (p position) reaches(after store.Cursor) error {
	switch from := positionOf(after); {
	case after == 0:
	case from.incarnation != p.incarnation:
		return fmt.Errorf("%w: %w", store.ErrCursor, errIncarnation)
	case from.change > p.change: // the database was restored
		return fmt.Errorf("%w: change %d is not made yet, the last one is %d", store.ErrCursor, from.change, p.change)
	}
	return nil
}

// incarnations numbers servers from 0, in the order in which they are seen.
type incarnations struct {
	mu   sync.Mutex // held while seen is used
	seen []int64    // by their number, when each was started, in microseconds since 1970
}

// number is that of the server that was started then. An error is an ErrUnavailable, after maxIncarnation.
func (i *incarnations) number(started time.Time) (uint64, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := slices.Index(i.seen, started.UnixMicro())
	if n < 0 {
		if n = len(i.seen); n > maxIncarnation {
			return 0, fmt.Errorf("%w: the server was started more than %d times since this process was", store.ErrUnavailable, maxIncarnation)
		}
		i.seen = append(i.seen, started.UnixMicro())
	}
	return uint64(n), nil
}

// position is where the server is, in a transaction that sees one moment.
func (k *Keys) position(ctx context.Context, tx pgx.Tx) (position, error) {
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	var (
		p       position
		started time.Time
	)
	err := tx.QueryRow(ctx, "SELECT last, pg_postmaster_start_time() FROM containment_keys_changes").Scan(&p.change, &started)
	switch {
	case err != nil:
		return position{}, err
	case p.change > maxChange:
		return position{}, fmt.Errorf("%w: its last change has the number %d, more than 2^48-1", store.ErrShape, p.change)
	}
	p.incarnation, err = k.incarnations.number(started)
	return p, err
}
