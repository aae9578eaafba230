package dynamodb_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
)

type attributes = map[string]types.AttributeValue

func text(s string) types.AttributeValue   { return &types.AttributeValueMemberS{Value: s} }
func number(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }
func binary(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

// put writes an item as anybody could who has the rights.
func put(t *testing.T, table string, item attributes) {
	t.Helper()
	if _, err := shared.Client().PutItem(t.Context(), &sdk.PutItemInput{TableName: &table, Item: item}); err != nil {
		t.Fatal(err)
	}
}

// item reads one.
func item(t *testing.T, table string, key []byte) attributes {
	t.Helper()
	out, err := shared.Client().GetItem(t.Context(), &sdk.GetItemInput{TableName: &table, Key: attributes{"key": binary(key)}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

// refuseOpen wants Open to fail with words.
func refuseOpen(t *testing.T, o dynamodb.Options, kind error, words ...string) {
	t.Helper()
	s, err := dynamodb.Open(t.Context(), o)
	if err == nil {
		t.Fatal(errors.Join(errors.New("opened"), s.Close()))
	}
	if !errors.Is(err, kind) || strings.Contains(err.Error(), dynamodbtest.SecretKey) {
		t.Errorf("%v, want %v", err, kind)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v: no word of %q", err, word)
		}
	}
}

func TestTableIsOfTheWrongForm(t *testing.T) {
	for _, tc := range []struct {
		name string
		of   types.ScalarAttributeType
		keys []string
		word string
	}{
		{"another name", types.ScalarAttributeTypeB, []string{"id"}, "HASH id (B)"},
		{"another type", types.ScalarAttributeTypeS, []string{"key"}, "HASH key (S)"},
		{"sort key", types.ScalarAttributeTypeB, []string{"key", "kind"}, "HASH key (B), RANGE kind (B)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := shared.TableName()
			if err := shared.MakeTable(t.Context(), name, tc.of, tc.keys...); err != nil {
				t.Fatal(err)
			}
			refuseOpen(t, options(name), dynamodb.ErrTable, name, tc.word, "partition key")
			if err := dynamodb.Make(t.Context(), options(name)); !errors.Is(err, dynamodb.ErrTable) {
				t.Errorf("Make: %v", err)
			}
		})
	}
}

func TestMissingTable(t *testing.T) {
	refuseOpen(t, options("nowhere"), dynamodb.ErrTable, "nowhere", "slashing migrate")
}

func TestUnreachableAtOpen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	o := options("any")
	o.Endpoint = "http://" + l.Addr().String()
	refuseOpen(t, o, slashing.ErrUnavailable, l.Addr().String(), "refused")
}

func TestIncompleteOptions(t *testing.T) {
	o := options("any")
	o.Dial = nil
	if s, err := dynamodb.Open(t.Context(), o); s != nil || err == nil || !strings.Contains(err.Error(), "slashing table any: a table, a region") {
		t.Errorf("opened: %v", err)
	}
	if err := dynamodb.Make(t.Context(), o); err == nil || !strings.Contains(err.Error(), "slashing table any: a table, a region") {
		t.Errorf("made: %v", err)
	}
}

// described has the proxy describe the table in its own way.
func described(name, status, more string) func(string, int) deed {
	return func(operation string, _ int) deed {
		if operation != "DescribeTable" {
			return pass()
		}
		return deed{then: answer, status: http.StatusOK, body: fmt.Sprintf(`{"Table":{"TableName":%q,"TableStatus":%q,
"KeySchema":[{"AttributeName":"key","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"key","AttributeType":"B"}]%s}}`, name, status, more)}
	}
}

func TestTableState(t *testing.T) {
	const replicas = `,"Replicas":[{"RegionName":"eu-west-1","ReplicaStatus":"ACTIVE"}]`
	for _, tc := range []struct {
		name, status, more string
		word               string // of the refusal; empty if it is opened
	}{
		{"active", "ACTIVE", "", ""},
		{"settings change", "UPDATING", "", ""},
		{"being made", "CREATING", "", "CREATING"},
		{"being deleted", "DELETING", "", "DELETING"},
		{"key lost", "INACCESSIBLE_ENCRYPTION_CREDENTIALS", "", "INACCESSIBLE"},
		{"archived", "ARCHIVED", "", "ARCHIVED"},
		{"global", "ACTIVE", replicas, "global table"},
		{"global, eventually consistent", "ACTIVE", replicas + `,"MultiRegionConsistency":"EVENTUAL"`, "global table"},
		{"global, of the first kind", "ACTIVE", `,"GlobalTableVersion":"2017.11.29"`, "global table"},
		{"global, strongly consistent", "ACTIVE", replicas + `,"GlobalTableVersion":"2019.11.21","MultiRegionConsistency":"STRONG"`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProxy(t)
			o := options(table(t))
			o.Endpoint = p.server.URL
			p.spoil(described(o.Table, tc.status, tc.more))
			if tc.word == "" {
				open(t, o)
			} else {
				refuseOpen(t, o, dynamodb.ErrTable, tc.word)
			}
		})
	}
	p := newProxy(t)
	o := options("arn:aws:dynamodb:eu-central-1:111122223333:table/slashing")
	o.Endpoint = p.server.URL
	p.spoil(described("slashing", "ACTIVE", `,"TableArn":"arn:aws:dynamodb:eu-central-1:444455556666:table/slashing"`))
	refuseOpen(t, o, dynamodb.ErrTable, "444455556666")
}

// TestRights: what credentials may not do is told at Open.
func TestRights(t *testing.T) {
	for operation, words := range map[string][]string{
		"DescribeTable": {"DescribeTable", "UpdateItem"},
		"GetItem":       {"GetItem"},
		"Scan":          {"Scan"},
		"UpdateItem":    {"UpdateItem"},
	} {
		p := newProxy(t)
		o := options(table(t))
		o.Endpoint = p.server.URL
		refuse := func(asked string, _ int) deed {
			if asked != operation {
				return pass()
			}
			return fail(http.StatusBadRequest, "AccessDeniedException", "not authorized to perform: dynamodb:"+operation)
		}
		p.spoil(refuse)
		refuseOpen(t, o, slashing.ErrUnavailable, words...)
		if operation == "UpdateItem" { // also of a table that needs nothing written
			open(t, options(o.Table))
			refuseOpen(t, o, slashing.ErrUnavailable, words...)
		}
	}
}

func TestMeta(t *testing.T) {
	for _, tc := range []struct {
		name  string
		items []attributes
		words []string
	}{
		{"a later release's", []attributes{{"key": binary([]byte("meta")), "store_id": text("x"), "schema_version": number("2")}}, []string{"version is 2"}},
		{"no version", []attributes{{"key": binary([]byte("meta")), "store_id": text("x")}}, []string{"schema_version"}},
		{"no identity", []attributes{{"key": binary([]byte("meta")), "schema_version": number("1")}}, []string{"store_id"}},
		{"identity of another type", []attributes{{"key": binary([]byte("meta")), "store_id": number("1"), "schema_version": number("1")}}, []string{"store_id"}},
		{"half a root", []attributes{{"key": binary([]byte("meta")), "store_id": text("x"), "schema_version": number("1"), "genesis_validators_root": binary([]byte{1})}}, []string{"genesis_validators_root"}},
		{"lost", []attributes{{"key": binary(make([]byte, 48)), "slot": number("1")}}, []string{"damaged"}},
		{"another's table", []attributes{{"key": binary([]byte("user")), "name": text("x")}}, []string{"no slashing store"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := table(t)
			for _, item := range tc.items {
				put(t, name, item)
			}
			refuseOpen(t, options(name), dynamodb.ErrTable, tc.words...)
		})
	}
}
