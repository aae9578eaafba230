package dynamoclient

import (
	"errors"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Fate is what became of one request.
type Fate int

// The fates of a request.
const (
	Answered   Fate = iota + 1 // it was done, or its condition failed
	PutOff                     // nothing was done now; the service is to be asked again later
	Rejected                   // nothing was done, and asking again will not help
	Unsent                     // it never reached the service
	TooLate                    // it was not even tried: no time is left
	Unanswered                 // it may have been done or not, or may be yet
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
func judge(err error, connected bool) Fate {
	if err == nil {
		return Answered
	}
	if _, failed := Standing(err); failed {
		return Answered
	}
	said, ok := errors.AsType[answer](err)
	if code := status(err); ok && code >= 400 && code < 500 {
		switch said.ErrorCode() {
		case "UnknownError": // something between us and the service spoke
			return Unanswered
		case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "TransactionConflictException",
			"ReplicatedWriteConflictException": // the item is being written to in another region
			return PutOff
		}
		return Rejected
	}
	if !connected {
		return Unsent
	}
	return Unanswered
}

// Standing says that a write's condition failed, and returns the item as it was at that moment, empty if there was none or the service
// does not tell.
func Standing(err error) (map[string]types.AttributeValue, bool) {
	failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		return nil, false
	}
	return failed.Item, true
}

// Code is what the service calls an error, "" if it is none of the service's.
func Code(err error) string {
	if said, ok := errors.AsType[answer](err); ok {
		return said.ErrorCode()
	}
	return ""
}

// status is the HTTP status of the answer that an error tells of, 0 if there was none.
func status(err error) int {
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return e.HTTPStatusCode()
	}
	return 0
}
