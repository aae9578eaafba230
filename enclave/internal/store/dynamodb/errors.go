package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// fate is what became of one request.
type fate int

const (
	answered   fate = iota + 1 // it was done, or its condition failed
	putOff                     // nothing was done now; the service is to be asked again later
	rejected                   // nothing was done, and asking again will not help
	unsent                     // it never reached the service
	unanswered                 // it may have been done or not, or may be yet
)

// answer is an error that the service answered with.
type answer interface {
	error
	ErrorCode() string
	ErrorMessage() string
}

// judge says what became of a request that ended with err, and that had a connection or not. Only an error of the service's with a
// status of 400 to 499 says that nothing was done; with one from 500 the write may have been (DynamoDB Developer Guide, "Error
// handling").
func judge(err error, connected bool) fate {
	if err == nil {
		return answered
	}
	if _, failed := errors.AsType[*types.ConditionalCheckFailedException](err); failed {
		return answered
	}
	said, ok := errors.AsType[answer](err)
	if code := status(err); ok && code >= 400 && code < 500 {
		switch said.ErrorCode() {
		case "UnknownError": // something between us and the service spoke
			return unanswered
		case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "TransactionConflictException",
			"ReplicatedWriteConflictException": // the item is being written to in another region
			return putOff
		}
		return rejected
	}
	if !connected {
		return unsent
	}
	return unanswered
}

// status is the HTTP status of the answer that an error tells of, 0 if there was none.
func status(err error) int {
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return e.HTTPStatusCode()
	}
	return 0
}

// explain puts an error into words for an operator. What the service says about a signature may go on with the request's headers, a
// session token among them: of its messages only the first line is kept, and the error itself is not.
func (t *table) explain(err error) error {
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
		text += "; the credentials need " + t.rights
	case "ResourceNotFoundException":
		return fmt.Errorf("%w: there is no table of this name in the region, or it lacks its index (%s)", store.ErrShape, text)
	case "ExpiredTokenException", "ExpiredToken":
		text += "; the credentials have expired and were not renewed"
	case "InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed", "IncompleteSignature":
		text += "; the secret key is wrong, or this machine's clock"
	}
	return errors.New(text)
}
