package dynamoclient_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
)

// TestFates: what is said about a request, which is sent once whatever becomes of it.
func TestFates(t *testing.T) {
	long := strings.Repeat("x", 8<<20)
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   dynamoclient.Fate
		code   string
	}{
		{"done", say(200, "{}"), dynamoclient.Answered, ""},
		{"condition failed", fail(400, "ConditionalCheckFailedException", ""), dynamoclient.Answered, "ConditionalCheckFailedException"},
		{"above what was bought", fail(400, "ProvisionedThroughputExceededException", ""), dynamoclient.PutOff, "ProvisionedThroughputExceededException"},
		{"throttled", fail(400, "ThrottlingException", ""), dynamoclient.PutOff, "ThrottlingException"},
		{"throttled by account", fail(400, "RequestLimitExceeded", ""), dynamoclient.PutOff, "RequestLimitExceeded"},
		{"in another transaction", fail(400, "TransactionConflictException", ""), dynamoclient.PutOff, "TransactionConflictException"},
		{"written to in another region", fail(400, "ReplicatedWriteConflictException", ""), dynamoclient.PutOff, "ReplicatedWriteConflictException"},
		{"no right", fail(400, "AccessDeniedException", ""), dynamoclient.Rejected, "AccessDeniedException"},
		{"no table", fail(400, "ResourceNotFoundException", ""), dynamoclient.Rejected, "ResourceNotFoundException"},
		{"too large", fail(413, "RequestEntityTooLarge", ""), dynamoclient.Rejected, "RequestEntityTooLarge"},
		{"the last status that says so", fail(499, "Whatever", ""), dynamoclient.Rejected, "Whatever"},
		{"the first that does not", fail(500, "Whatever", ""), dynamoclient.Unanswered, "Whatever"},
		{"throttled, with a status that says less", fail(503, "ThrottlingException", ""), dynamoclient.Unanswered, "ThrottlingException"},
		{"another's page", say(403, "<html>no</html>"), dynamoclient.Unanswered, ""},
		{"another's JSON", say(403, `{"message":"no"}`), dynamoclient.Unanswered, "UnknownError"},
		{"a redirect", say(302, ""), dynamoclient.Unanswered, ""},
		{"a redirect that keeps the method", say(307, ""), dynamoclient.Unanswered, ""},
		{"cut off", cut, dynamoclient.Unanswered, ""},
		{"half an answer", say(200, `{"Attributes":{`), dynamoclient.Unanswered, ""},
		{"a long answer", say(200, `{"more":"`+long[:len(long)-11]+`"}`), dynamoclient.Answered, ""},
		{"a longer one", say(200, `{"more":"`+long[:len(long)-10]+`"}`), dynamoclient.Unanswered, ""},
		{"long headers", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("More", long[:64<<10])
		}, dynamoclient.Unanswered, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, (*httptest.Server).Start, tc.answer)
			table := open(t, options(s.URL))
			got, err := try(t.Context(), table, put(table))
			if got != tc.want || tc.code != "" && dynamoclient.Code(err) != tc.code {
				t.Errorf("fate %d, code %q, %v; want fate %d, code %q", got, dynamoclient.Code(err), err, tc.want, tc.code)
			}
			if n := s.asked.Load(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestGone: a caller that leaves when its request has arrived does not know what becomes of it.
func TestGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, (*httptest.Server).Start, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	table := open(t, options(s.URL))
	if got, err := try(ctx, table, put(table)); got != dynamoclient.Unanswered || !errors.Is(err, context.Canceled) {
		t.Errorf("fate %d, %v", got, err)
	}
}

// TestUnsent: without a connection nothing arrived.
func TestUnsent(t *testing.T) {
	o := options("http://127.0.0.1:1")
	broken := errors.New("no route")
	dials := 0
	o.Dial = func(context.Context, string, string) (net.Conn, error) {
		dials++
		return nil, broken
	}
	table := open(t, o)
	if got, err := try(t.Context(), table, put(table)); got != dynamoclient.Unsent || !errors.Is(err, broken) || dials != 1 {
		t.Errorf("fate %d, %v, %d connection attempts", got, err, dials)
	}
}

// TestStanding: the item that a condition failed for.
func TestStanding(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		failed bool
		item   string
	}{
		"with its item":  {fail(400, "ConditionalCheckFailedException", `,"Item":{"key":{"S":"k"}}`), true, "k"},
		"without":        {fail(400, "ConditionalCheckFailedException", ""), true, ""},
		"another answer": {fail(400, "ValidationException", `,"Item":{"key":{"S":"k"}}`), false, ""},
		"none":           {cut, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, (*httptest.Server).Start, tc.answer)
			table := open(t, options(s.URL))
			_, err := try(t.Context(), table, put(table))
			item, failed := dynamoclient.Standing(err)
			got := ""
			if key, ok := item["key"].(*types.AttributeValueMemberS); ok {
				got = key.Value
			}
			if failed != tc.failed || got != tc.item {
				t.Errorf("%v, item %v; want %v, %q", failed, item, tc.failed, tc.item)
			}
		})
	}
}
