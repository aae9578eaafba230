package dynamodb_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
)

// TestMadeProtected: what is made cannot be deleted by mistake and is backed up, and what was there stays as it is.
func TestMadeProtected(t *testing.T) {
	for name, made := range map[string]func(dynamodb.Options) error{
		"state": func(o dynamodb.Options) error { return dynamodb.MakeState(t.Context(), o) },
		"keys":  func(o dynamodb.Options) error { return dynamodb.MakeKeys(t.Context(), o) },
	} {
		t.Run(name, func(t *testing.T) {
			p, o := behind(t, options())
			for round, want := range []int{1, 0} {
				backups, lost := 0, false
				p.set(func(operation, _ string) fate {
					switch {
					case operation == "UpdateContinuousBackups":
						backups++
					case operation == "CreateTable" && round == 0 && !lost: // the table that is there then is ours
						lost = true
						return loseAnswer
					}
					return pass
				})
				if err := made(o); err != nil || backups != want {
					t.Errorf("round %d: %v, point-in-time recovery switched on %d times", round, err, backups)
				}
			}
			throttled := false
			p.set(func(operation, _ string) fate {
				switch {
				case operation == "UpdateContinuousBackups":
					t.Error("a table that was there is changed after a request that was put off")
				case operation == "CreateTable" && !throttled:
					throttled = true
					return throttle
				}
				return pass
			})
			if err := made(o); err != nil || !throttled {
				t.Errorf("%v, %v", err, throttled)
			}
			out, err := shared.Client().DescribeTable(t.Context(), &sdk.DescribeTableInput{TableName: &o.Table})
			if err != nil || !aws.ToBool(out.Table.DeletionProtectionEnabled) || out.Table.BillingModeSummary.BillingMode != types.BillingModePayPerRequest {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
}
