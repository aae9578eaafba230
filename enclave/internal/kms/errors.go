package kms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/envelope"
)

// Every error names the operation and the key, and what KMS answered also its code and the number of the request. Those that mean something
// to a caller wrap one of these.
var (
	// ErrDenied: neither the key's policy nor the role's allows it, to this enclave, for this encryption context.
	ErrDenied = errors.New("access is denied")
	// ErrDisabled: the key is disabled, waits for its deletion, or cannot be used for the moment.
	ErrDisabled = errors.New("the key cannot be used now")
	// ErrNotFound: the key does not exist.
	ErrNotFound = errors.New("there is no such key")
	// ErrInvalidCiphertext: the ciphertext was damaged, or sealed with another key or encryption context.
	ErrInvalidCiphertext = errors.New("the ciphertext is not of this key and encryption context")
	// ErrThrottled: too much was asked for; later it can go well.
	ErrThrottled = errors.New("too many requests")
	// ErrClock: the request was signed with a time too far from that of KMS, and the correction by what KMS tells did not help.
	ErrClock = errors.New("the request was signed with a wrong time")
	// ErrUnavailable: KMS was not reached, or not well, or there were no credentials; later it can go well.
	ErrUnavailable = errors.New("KMS is unavailable")

	// ErrPlaintext: the answer holds a secret in the clear, although it was to be encrypted to the enclave.
	ErrPlaintext = errors.New("the answer to an attested request holds a plaintext: what asked for encryption was lost on the way")
	// ErrEnvelope: what was encrypted to the enclave is damaged, or not encrypted to this one.
	ErrEnvelope = envelope.ErrEnvelope
	// ErrAnswer: the answer is of another key or size than what was asked for.
	ErrAnswer = errors.New("the answer is not what was asked for")
)

// maxSkew is how far the clocks may be apart: KMS refuses what was signed 5 minutes off
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html), less what the measure may be wrong by.
const maxSkew = 4 * time.Minute

// code is an error that the service answered with.
type code interface {
	error
	ErrorCode() string
	ErrorMessage() string
}

// explain turns an error of the SDK into one of ours. The SDK's own is not kept: it can hold the answer. Of what KMS says only the first line
// is: about a signature it goes on with the request's headers, a session token among them.
func explain(ctx context.Context, err error) error {
	said, ok := errors.AsType[code](err)
	answer, answered := errors.AsType[*awshttp.ResponseError](err)
	if !ok || !answered {
		return unanswered(ctx, err)
	}
	message, _, _ := strings.Cut(said.ErrorMessage(), "\n")
	text := fmt.Sprintf("%.100s: %.400s (HTTP status %d, request %.100q)", said.ErrorCode(), message, answer.HTTPStatusCode(), answer.ServiceRequestID())
	meaning := kind(said.ErrorCode(), answer.HTTPStatusCode())
	if ahead := clockAhead(answer, time.Now()); ahead.Abs() > maxSkew {
		direction := "ahead of"
		if ahead < 0 {
			direction = "behind"
		}
		text += fmt.Sprintf("; this machine's clock is %s %s that of KMS", ahead.Abs().Round(time.Minute), direction)
	}
	if said.ErrorCode() == "InvalidSignatureException" && signedAhead(answer).Abs() > maxSkew { // it is said of a wrong secret, too
		meaning = ErrClock
	}
	if meaning != nil {
		return fmt.Errorf("%w: %s", meaning, text)
	}
	return errors.New(text)
}

// clockAhead is how far this machine's clock is ahead of the one that an answer has just come from, 0 if the answer does not tell.
func clockAhead(answer *awshttp.ResponseError, now time.Time) time.Duration {
	if answer.Response == nil {
		return 0
	}
	there, err := http.ParseTime(answer.Response.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return now.Sub(there)
}

// signedAhead is how far the time that a request was signed with, which is that of an earlier answer if there was one, is ahead of the clock
// that its answer came from, 0 if the answer does not tell.
func signedAhead(answer *awshttp.ResponseError) time.Duration {
	if answer.Response == nil || answer.Response.Request == nil {
		return 0
	}
	signed, err := time.Parse("20060102T150405Z", answer.Response.Request.Header.Get("X-Amz-Date"))
	if err != nil {
		return 0
	}
	return clockAhead(answer, signed)
}

// kind is the error that a code of KMS means, nil if none in particular.
func kind(said string, status int) error {
	switch said {
	case "AccessDeniedException":
		return ErrDenied
	case "DisabledException", "KMSInvalidStateException", "KeyUnavailableException":
		return ErrDisabled
	case "NotFoundException":
		return ErrNotFound
	case "InvalidCiphertextException", "IncorrectKeyException":
		return ErrInvalidCiphertext
	case "UnknownError": // something between us and KMS spoke
		return ErrUnavailable
	}
	if _, throttled := retry.DefaultThrottleErrorCodes[said]; throttled || status == http.StatusTooManyRequests {
		return ErrThrottled
	}
	if status >= http.StatusInternalServerError {
		return ErrUnavailable
	}
	return nil
}

// unanswered explains why there is no answer of KMS, or none that can be read.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: no answer in time: %w", ErrUnavailable, context.Cause(ctx))
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%w: %s", ErrUnavailable, e.Error())
	}
	if e, ok := errors.AsType[*credentialsError](err); ok {
		return fmt.Errorf("%w: %s", ErrUnavailable, e.text)
	}
	status := 0
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = e.HTTPStatusCode()
	}
	return fmt.Errorf("%w: its answer with HTTP status %d cannot be read", ErrUnavailable, status)
}
