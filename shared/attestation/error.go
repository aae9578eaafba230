package attestation

import (
	"fmt"
)

// Step is one of the steps in which [Verify] looks at a document. A later step is never reached before an earlier one passed.
type Step int

// The steps, in their order.
const (
	StepSize      Step = iota + 1 // the number of bytes
	StepDecoding                  // the COSE envelope and the payload's CBOR
	StepSyntax                    // the payload's fields, their types and sizes
	StepChain                     // the certificates, up to a root
	StepSignature                 // the signature over the payload
	StepFreshness                 // age and nonce
)

func (s Step) String() string {
	switch s {
	case StepSize:
		return "size"
	case StepDecoding:
		return "decoding"
	case StepSyntax:
		return "syntax"
	case StepChain:
		return "chain"
	case StepSignature:
		return "signature"
	case StepFreshness:
		return "freshness"
	}
	return fmt.Sprintf("step %d", int(s))
}

// Error tells why [Verify] refused a document. Find it with [errors.As].
type Error struct {
	Step  Step
	Field string // what was looked at, such as "cabundle[2]" or "payload"
	Err   error  // what was found there
}

func (e *Error) Error() string {
	return fmt.Sprintf("attestation document refused, %s: %s: %v", e.Step, e.Field, e.Err)
}

// Unwrap gives the cause, such as an error of package x509.
func (e *Error) Unwrap() error { return e.Err }

func refuse(step Step, field string, err error) *Error {
	return &Error{Step: step, Field: field, Err: err}
}
