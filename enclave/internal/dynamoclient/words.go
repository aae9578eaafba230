package dynamoclient

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Words are what an operator is told beside the service's own.
type Words struct {
	// Rights are what the credentials need, and on what.
	Rights string
	// Missing says that there is no such table, why that may be, and what to do.
	Missing string
	// Refused is the cause then.
	Refused error
}

// Explain puts an error into words for an operator. What the service says about a signature may go on with the request's headers, a
// session token among them: of its messages only the first line is kept, and the error itself is not.
func (w Words) Explain(err error) error {
	said, ok := errors.AsType[answer](err)
	if !ok || status(err) == 0 {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("the service did not answer in time: %w", context.DeadlineExceeded)
		}
		if e, ok := errors.AsType[*url.Error](err); ok {
			return e
		}
		return err
	}
	message, _, _ := strings.Cut(said.ErrorMessage(), "\n")
	text := fmt.Sprintf("%s: %s", said.ErrorCode(), message)
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok && e.ServiceRequestID() != "" {
		text += " (request " + e.ServiceRequestID() + ")"
	}
	switch said.ErrorCode() {
	case "AccessDeniedException":
		text += "; the credentials need " + w.Rights
	case "ResourceNotFoundException":
		return fmt.Errorf("%w: %s (%s)", w.Refused, w.Missing, text)
	case "UnrecognizedClientException", "MissingAuthenticationTokenException", "MissingAuthenticationToken", "InvalidClientTokenId":
		text += "; the service does not know the credentials"
	case "ExpiredTokenException", "ExpiredToken":
		text += "; the credentials have expired and were not renewed"
	case "InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed", "IncompleteSignature":
		text += "; the secret key is wrong, or this machine's clock"
	}
	return errors.New(text)
}
