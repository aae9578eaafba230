package atls

import "fmt"

// Check is one of the checks that a server must pass, in their order.
type Check int

// The checks.
const (
	CheckConnection  Check = iota + 1 // TLS 1.3, not resumed
	CheckCertificate                  // one certificate, signed by its own key, valid now
	CheckExtension                    // one attestation extension
	CheckDocument                     // the document holds; Err is an *attestation.Error
	CheckPolicy                       // the policy allows it; Err is an *attestation.PolicyError
	CheckTrust                        // it is what was remembered; Err is a *TrustError, or wraps ErrNotRemembered
	CheckBinding                      // the document speaks of this key, for this purpose
	CheckProof                        // the server proves itself on this connection; Err may hold the error of a check above
)

func (c Check) String() string {
	switch c {
	case CheckConnection:
		return "connection"
	case CheckCertificate:
		return "certificate"
	case CheckExtension:
		return "attestation extension"
	case CheckDocument:
		return "attestation document"
	case CheckPolicy:
		return "policy"
	case CheckTrust:
		return "trust"
	case CheckBinding:
		return "binding"
	case CheckProof:
		return "proof"
	}
	return fmt.Sprintf("check %d", int(c))
}

// Error tells why a server was refused. Find it with [errors.As] in what a handshake, or a request, returns.
type Error struct {
	Check Check
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("attested TLS: %s: %v", e.Check, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
