package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// unavailable is an error that says that nothing was recorded.
func unavailable(err error) error {
	if errors.Is(err, slashing.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", slashing.ErrUnavailable, explain(err))
}

// judged is what an error says that came after a statement or a commit was handed to a connection.
func judged(err error) error {
	if pgpool.RolledBack(err) {
		return unavailable(err)
	}
	return fmt.Errorf("%w: %w", slashing.ErrOutcomeUnknown, err)
}

// conflicted says that another transaction was in the way: the server rolled this one back, and it may be sent again.
func conflicted(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || !pgpool.RolledBack(err) {
		return false
	}
	switch e.Code {
	case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
		return true
	}
	return false
}

// byRow says that a row may be at fault, so that its neighbours may do without it: a constraint, a value, or a trigger of the
// operator's.
func byRow(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgpool.RolledBack(err) && (strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23") || strings.HasPrefix(e.Code, "P0"))
}
