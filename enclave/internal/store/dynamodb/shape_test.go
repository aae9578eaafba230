package dynamodb_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
)

// TestTableState: a table of the right form that cannot be used now, is another one, or could show something older.
func TestTableState(t *testing.T) {
	const arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/state"
	for _, tc := range []struct {
		name, status, more string
		words              string // of the refusal; empty if it is opened
	}{
		{"active", "ACTIVE", "", ""},
		{"settings change", "UPDATING", "", ""},
		{"being deleted", "DELETING", "", "it is DELETING, want ACTIVE"},
		{"another account's", "ACTIVE", `,"TableArn":"arn:aws:dynamodb:eu-central-1:444455556666:table/state"`, "the service calls it arn:aws:dynamodb:eu-central-1:444455556666:table/state"},
		{"global", "ACTIVE", `,"Replicas":[{"RegionName":"eu-west-1"}]`, "it is a global table whose regions agree only after a while; want a table of one region"},
		{"global, strongly consistent", "ACTIVE", `,"Replicas":[{"RegionName":"eu-west-1"}],"MultiRegionConsistency":"STRONG"`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			more := tc.more
			if !strings.Contains(more, "TableArn") {
				more += fmt.Sprintf(`,"TableArn":%q`, arn)
			}
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprintf(w, `{"Table":{"TableStatus":%q,"KeySchema":[{"AttributeName":"name","KeyType":"HASH"}],
"AttributeDefinitions":[{"AttributeName":"name","AttributeType":"S"}]%s}}`, tc.status, more)
			}))
			defer service.Close()
			o := options()
			o.Table, o.Endpoint = arn, service.URL
			if tc.words == "" {
				openState(t, o)
				return
			}
			_, err := dynamodb.OpenState(t.Context(), o)
			if !errors.Is(err, store.ErrShape) || !strings.Contains(err.Error(), "state table "+arn) || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("%v, want %q", err, tc.words)
			}
		})
	}
}
