package terraform_test

import (
	"bytes"
	"encoding/json"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	slashing "github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
	stores "github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
)

// options reach a table that need not be there.
func options(table string) dynamoclient.Options {
	return dynamoclient.Options{
		Table: table, Region: dynamodbtest.Region, Endpoint: shared.Endpoint(), Credentials: shared.Credentials(),
		Dial: new(net.Dialer).DialContext, Timeout: 20 * time.Second,
	}
}

// newTable makes an empty table as the Terraform module dynamodb-keystore makes it for a purpose: keys, state or slashing.
func newTable(t *testing.T, purpose string) dynamoclient.Options {
	t.Helper()
	var forms map[string]string
	rendered(t, "schema-tables", "create_table_json", &forms)
	var in sdk.CreateTableInput
	decoder := json.NewDecoder(bytes.NewReader([]byte(forms[purpose])))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		t.Fatalf("%s: %v", purpose, err)
	}
	in.TableName = aws.String(shared.TableName())
	if _, err := shared.Client().CreateTable(t.Context(), &in); err != nil {
		t.Fatalf("%s: %v", purpose, err)
	}
	return options(*in.TableName)
}

// TestTablesAreThoseOfTheCode: what Terraform makes is described as what the code makes.
func TestTablesAreThoseOfTheCode(t *testing.T) {
	for purpose, made := range map[string]func(dynamoclient.Options) error{
		"keys":     func(o dynamoclient.Options) error { return stores.MakeKeys(t.Context(), o) },
		"state":    func(o dynamoclient.Options) error { return stores.MakeState(t.Context(), o) },
		"slashing": func(o dynamoclient.Options) error { return slashing.Make(t.Context(), o) },
	} {
		t.Run(purpose, func(t *testing.T) {
			ours := options(shared.TableName())
			if err := made(ours); err != nil {
				t.Fatal(err)
			}
			theirs := newTable(t, purpose)
			describe := func(o dynamoclient.Options) *sdk.DescribeTableOutput {
				out, err := shared.Client().DescribeTable(t.Context(), &sdk.DescribeTableInput{TableName: &o.Table})
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			its := cmp.FilterPath(func(p cmp.Path) bool { // what every table has for itself
				switch p.Last().String() {
				case ".TableName", ".TableArn", ".TableId", ".IndexArn", ".CreationDateTime", ".LastUpdateToPayPerRequestDateTime":
					return true
				}
				return false
			}, cmp.Ignore())
			if diff := cmp.Diff(describe(ours).Table, describe(theirs).Table, its, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
				t.Errorf("made by the code (-) and by Terraform (+):\n%s", diff)
			}
			if err := made(theirs); err != nil { // it checks one that is there
				t.Error(err)
			}
		})
	}
}
