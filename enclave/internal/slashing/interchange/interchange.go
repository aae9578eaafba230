// Package interchange reads and writes the slashing protection of validators as EIP-3076 lays it down.
package interchange

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Version is the one format version that is read and written
// (https://eips.ethereum.org/EIPS/eip-3076, "JSON Schema").
const Version = "5"

// ErrFormat is the cause of every error about what a file says, other than that it is for another network.
var ErrFormat = errors.New("not a usable EIP-3076 interchange file")

// Error says where in a file the fault is. Its cause wraps ErrFormat or slashing.ErrNetwork, or is the error of the reader.
type Error struct {
	// Field is the path of the entry, such as data[3].signed_attestations[17].target_epoch; "" is the whole file.
	Field string
	Err   error
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Err.Error()
	}
	return e.Field + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// within puts an element of the path before what err says of it already.
func within(element string, err error) error {
	inner, ok := errors.AsType[*Error](err)
	if !ok {
		return &Error{Field: element, Err: err}
	}
	if inner.Field != "" && inner.Field[0] != '[' {
		element += "."
	}
	return &Error{Field: element + inner.Field, Err: inner.Err}
}

func malformed(format string, args ...any) error {
	return &Error{Err: fmt.Errorf("%w: %w", ErrFormat, fmt.Errorf(format, args...))}
}

// otherNetwork is a slashing.ErrNetwork that speaks of a file and not of a store.
type otherNetwork struct{ file, want eth2.Root }

func (e otherNetwork) Error() string {
	return fmt.Sprintf("the file is for another network: its genesis validators root is 0x%s, this one's is 0x%s", hex.EncodeToString(e.file[:]), hex.EncodeToString(e.want[:]))
}

func (e otherNetwork) Is(target error) bool { return target == slashing.ErrNetwork }

// Contents is a whole file.
type Contents struct {
	// Records has one record per key, in the order of the keys: slashing.Merged of all messages of that key. It does not depend
	// on the order in which the file has them. A key that the file names without any message has a record without votes.
	Records []slashing.Record
	// Attestations and Blocks count the messages that were read.
	Attestations, Blocks int
}
