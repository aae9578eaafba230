package dynamoclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// activePoll is how often a table is looked at that was just made. It takes some seconds until it can be used.
const activePoll = 250 * time.Millisecond

// Await returns the description of a table when it is there and made. Describe says with an error that wraps missing that it is not there.
func Await(
	ctx context.Context, describe func(context.Context) (*types.TableDescription, error), missing error,
) (*types.TableDescription, error) {
	again := time.NewTicker(activePoll)
	defer again.Stop()
	for {
		d, err := describe(ctx)
		switch {
		case err == nil && d.TableStatus != types.TableStatusCreating:
			return d, nil
		case err != nil && !errors.Is(err, missing):
			return nil, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the table: %w", ctx.Err())
		}
	}
}

// BackUp switches on the point-in-time recovery of a table that was made, if the service knows it. Of one that was just made it may not know backups yet: it is
// asked until ctx ends. Send sends a request that may be repeated.
func (t *Table) BackUp(ctx context.Context, table string, send func(context.Context, func(context.Context) error) error) error {
	again := time.NewTicker(activePoll)
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
		if err == nil {
			return nil
		}
		if early {
			select {
			case <-again.C:
				continue
			case <-ctx.Done():
			}
		}
		return fmt.Errorf("the table was made, but point-in-time recovery could not be switched on, which must be done by hand: %w", err)
	}
}
