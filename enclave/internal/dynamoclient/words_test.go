package dynamoclient_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
)

var errRefused = errors.New("refused table")

func explain(err error) error {
	return dynamoclient.Words{Rights: "GetItem on it", Missing: "there is none; make it", Refused: errRefused}.Explain(err)
}

// TestExplain: what an operator is told. What the service says about a signature goes on with the request's headers, which nobody is told.
func TestExplain(t *testing.T) {
	const credentials, expired, clock = "; the service does not know the credentials", "; the credentials have expired and were not renewed",
		"; the secret key is wrong, or this machine's clock"
	for code, more := range map[string]string{
		"ValidationException":                 "",
		"AccessDeniedException":               "; the credentials need GetItem on it",
		"UnrecognizedClientException":         credentials,
		"MissingAuthenticationTokenException": credentials,
		"MissingAuthenticationToken":          credentials,
		"InvalidClientTokenId":                credentials,
		"ExpiredTokenException":               expired,
		"ExpiredToken":                        expired,
		"InvalidSignatureException":           clock,
		"SignatureDoesNotMatch":               clock,
		"RequestExpired":                      clock,
		"RequestTimeTooSkewed":                clock,
		"IncompleteSignature":                 clock,
		"ResourceNotFoundException":           "",
	} {
		s := serve(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amzn-Requestid", "R1")
			say(400, `{"__type":"x#`+code+`","message":"because\n\nx-amz-security-token:canary"}`)(w, r)
		})
		table := open(t, options(s.URL))
		_, err := try(t.Context(), table, put(table))
		got := explain(err)
		want := code + ": because (request R1)" + more
		missing := code == "ResourceNotFoundException"
		if missing {
			want = "refused table: there is none; make it (" + want + ")"
		}
		if got.Error() != want || errors.Is(got, errRefused) != missing {
			t.Errorf("%v, want %s", got, want)
		}
		if _, ok := errors.AsType[smithy.APIError](got); ok { // it would print the rest
			t.Errorf("%s: the error itself is kept", code)
		}
	}
}

// TestExplainNoAnswer: without an answer of the service's there is only what was met on the way.
func TestExplainNoAnswer(t *testing.T) {
	o := options("http://127.0.0.1:1")
	why := errors.New("no route")
	o.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, why }
	table := open(t, o)
	_, err := try(t.Context(), table, put(table))
	if got, want := explain(err), `Post "http://127.0.0.1:1/": no route`; got.Error() != want || !errors.Is(got, why) {
		t.Errorf("%v, want %s", got, want)
	}
	o.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, context.DeadlineExceeded }
	table = open(t, o)
	_, err = try(t.Context(), table, put(table))
	if got, want := explain(err), "the service did not answer in time: context deadline exceeded"; got.Error() != want || !errors.Is(got, context.DeadlineExceeded) {
		t.Errorf("%v, want %s", got, want)
	}
	for _, err := range []error{why, &smithy.GenericAPIError{Code: "ExpiredToken", Message: "somebody else's"}} {
		if got := explain(err); got != err { //nolint:errorlint // it is the same
			t.Errorf("%v, want %v", got, err)
		}
	}
}
