package secret

import (
	"errors"
	"fmt"
	"io"
)

// Mark is what is printed in a secret's place.
const Mark = "[redacted]"

// ErrNotEncodable is what every encoder gets instead of a secret.
var ErrNotEncodable = errors.New("a secret cannot be encoded")

// Redacted is embedded by types that hold a secret: they print as Mark and refuse every encoder. It does not hide
// exported fields from a program that reads them by reflection; such types have none.
type Redacted struct{}

// String returns Mark.
func (Redacted) String() string { return Mark }

// GoString returns Mark.
func (Redacted) GoString() string { return Mark }

// Format writes Mark, whatever the verb.
func (Redacted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Mark) }

// MarshalJSON returns ErrNotEncodable.
func (Redacted) MarshalJSON() ([]byte, error) { return nil, ErrNotEncodable }

// MarshalText returns ErrNotEncodable.
func (Redacted) MarshalText() ([]byte, error) { return nil, ErrNotEncodable }

// MarshalBinary returns ErrNotEncodable.
func (Redacted) MarshalBinary() ([]byte, error) { return nil, ErrNotEncodable }

// MarshalYAML returns ErrNotEncodable.
func (Redacted) MarshalYAML() (any, error) { return nil, ErrNotEncodable }

// GobEncode returns ErrNotEncodable.
func (Redacted) GobEncode() ([]byte, error) { return nil, ErrNotEncodable }
