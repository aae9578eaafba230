package dynamoclient

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// ActivePoll is how often a table is looked at that was just made. It takes some seconds until it can be used.
const ActivePoll = 250 * time.Millisecond

// BackUp switches on a table's point-in-time recovery, if the service knows it. Of a table that was just made it may not know backups yet: it is
// asked until ctx ends. Send sends a request that may be repeated.
func (t *Table) BackUp(ctx context.Context, table string, send func(context.Context, func(context.Context) error) error) error {
	again := time.NewTicker(ActivePoll)
	defer again.Stop()
	for {
		early := false
		err := send(ctx, func(ctx context.Context) error {
			_, err := t.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
				TableName:                        &table,
				PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
			})
			_, early = errors.AsType[*types.ContinuousBackupsUnavailableException](err)
			if Code(err) == "UnknownOperationException" {
				return nil // a DynamoDB for tests
			}
			return err
		})
		if !early {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}
