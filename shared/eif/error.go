package eif

import "fmt"

// Error tells why a file was refused. Find it with [errors.As].
type Error struct {
	Field  string // what was looked at, such as "section 2 size" or "signature"
	Offset int64  // where that begins in the file, in bytes
	Err    error  // what was found there
}

func (e *Error) Error() string {
	return fmt.Sprintf("enclave image refused, %s at byte %d: %v", e.Field, e.Offset, e.Err)
}

// Unwrap gives the cause, such as the error of a reader.
func (e *Error) Unwrap() error { return e.Err }

func refuse(field string, offset int64, err error) *Error {
	return &Error{Field: field, Offset: offset, Err: err}
}
