package dynamoclient_test

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
)

func TestCheck(t *testing.T) {
	const arn, other = "arn:aws:dynamodb:eu-central-1:111122223333:table/t", "arn:aws:dynamodb:eu-central-1:444455556666:table/t"
	for _, tc := range []struct {
		name   string
		table  types.TableDescription
		of     string
		reason string // none: it is taken
	}{
		{"active", types.TableDescription{TableStatus: types.TableStatusActive}, "t", ""},
		{"settings change", types.TableDescription{TableStatus: types.TableStatusUpdating}, "t", ""},
		{"being made", types.TableDescription{TableStatus: types.TableStatusCreating}, "t", "it is CREATING, want ACTIVE"},
		{"archived", types.TableDescription{TableStatus: types.TableStatusArchived}, "t", "it is ARCHIVED, want ACTIVE"},
		{"no status", types.TableDescription{}, "t", "it is , want ACTIVE"},
		{"by its ARN", types.TableDescription{TableStatus: types.TableStatusActive, TableArn: aws.String(arn)}, arn, ""},
		{"another account's", types.TableDescription{TableStatus: types.TableStatusActive, TableArn: aws.String(other)}, arn, "the service calls it " + other},
		{"without an ARN", types.TableDescription{TableStatus: types.TableStatusActive}, arn, "the service calls it "},
	} {
		err := dynamoclient.Check(&tc.table, tc.of, errRefused)
		switch {
		case tc.reason == "" && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.reason != "" && (!errors.Is(err, errRefused) || err.Error() != errRefused.Error()+": "+tc.reason):
			t.Errorf("%s: %v, want %s", tc.name, err, tc.reason)
		}
	}
}

func TestDiverges(t *testing.T) {
	replicas := []types.ReplicaDescription{{RegionName: aws.String("eu-west-1")}}
	for name, tc := range map[string]struct {
		table types.TableDescription
		want  bool
	}{
		"one region":                      {types.TableDescription{}, false},
		"global":                          {types.TableDescription{Replicas: replicas}, true},
		"global, eventually consistent":   {types.TableDescription{Replicas: replicas, MultiRegionConsistency: types.MultiRegionConsistencyEventual}, true},
		"global, strongly consistent":     {types.TableDescription{Replicas: replicas, MultiRegionConsistency: types.MultiRegionConsistencyStrong}, false},
		"global, which tells no replicas": {types.TableDescription{GlobalTableVersion: aws.String("2017.11.29")}, true},
	} {
		if got := dynamoclient.Diverges(&tc.table); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestKey(t *testing.T) {
	d := &types.TableDescription{AttributeDefinitions: []types.AttributeDefinition{
		{AttributeName: aws.String("other"), AttributeType: types.ScalarAttributeTypeN},
		{AttributeName: aws.String("name"), AttributeType: types.ScalarAttributeTypeS},
	}}
	name := types.KeySchemaElement{AttributeName: aws.String("name"), KeyType: types.KeyTypeHash}
	other := types.KeySchemaElement{AttributeName: aws.String("other"), KeyType: types.KeyTypeRange}
	unknown := types.KeySchemaElement{AttributeName: aws.String("unknown"), KeyType: types.KeyTypeHash}
	for want, schema := range map[string][]types.KeySchemaElement{
		"":                                {},
		"HASH name (S)":                   {name},
		"HASH name (S), RANGE other (N)":  {name, other},
		"HASH unknown (?), HASH name (S)": {unknown, name},
	} {
		if got := dynamoclient.Key(d, schema); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
