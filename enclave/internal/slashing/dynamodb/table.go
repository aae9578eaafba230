package dynamodb

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
)

// describe asks what the table is like.
func (s *Store) describe(ctx context.Context) (*types.TableDescription, error) {
	var out *dynamodb.DescribeTableOutput
	err := s.read(ctx, func(ctx context.Context) (err error) {
		out, err = s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.table})
		return err
	})
	if err != nil {
		return nil, err
	}
	if out.Table == nil {
		return nil, unavailable(errors.New("the service described no table"))
	}
	return out.Table, nil
}

// checkTable refuses a table that cannot hold the record, or could show an older one.
func checkTable(t *types.TableDescription, name string) error {
	if err := dynamoclient.Check(t, name, ErrTable); err != nil {
		return err
	}
	const want = "HASH " + attrKey + " (B)"
	if have := dynamoclient.Key(t, t.KeySchema); have != want {
		return fmt.Errorf("%w: its key is %s, want %s: a partition key named %q of type binary, and no sort key", ErrTable, have, want, attrKey)
	}
	if dynamoclient.Diverges(t) {
		return fmt.Errorf("%w: it is a global table whose regions agree only after a while, so that two of them can record two votes; "+
			"want a table of one region, or multi-region strong consistency", ErrTable)
	}
	return nil
}

// Make makes the table if there is none, and returns when it can be used: with on-demand capacity, deletion protection and
// point-in-time recovery. A table that is there already is checked and stays as it is. It needs the right to create tables, besides a
// signer's, and to switch on continuous backups.
func Make(ctx context.Context, o Options) error {
	s, err := newStore(o)
	if err == nil {
		err = s.makeTable(ctx)
	}
	if err != nil {
		err = fmt.Errorf("slashing table %s: %w", o.Table, err)
	}
	return errors.Join(err, s.Close())
}

func (s *Store) makeTable(ctx context.Context) error {
	made, err := s.create(ctx)
	if err != nil {
		return err
	}
	if err := s.awaitTable(ctx); err != nil || !made {
		return err
	}
	return s.client.BackUp(ctx, s.table, s.read)
}

// create makes the table unless it is there.
func (s *Store) create(ctx context.Context) (made bool, err error) {
	w := writing{store: s}
	err = w.send(ctx, func(ctx context.Context) error {
		_, err := s.client.CreateTable(ctx, &dynamodb.CreateTableInput{
			TableName:                 &s.table,
			KeySchema:                 []types.KeySchemaElement{{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeHash}},
			AttributeDefinitions:      []types.AttributeDefinition{{AttributeName: aws.String(attrKey), AttributeType: types.ScalarAttributeTypeB}},
			BillingMode:               types.BillingModePayPerRequest,
			DeletionProtectionEnabled: aws.Bool(true),
		})
		if _, there := errors.AsType[*types.ResourceInUseException](err); there {
			made = w.doubt != nil // by a request of ours whose answer was lost
			return nil
		}
		made = err == nil
		return err
	})
	return made, err
}

// awaitTable returns when the table can be used.
func (s *Store) awaitTable(ctx context.Context) error {
	table, err := dynamoclient.Await(ctx, s.describe, ErrTable)
	switch {
	case err != nil && ctx.Err() != nil:
		return unavailable(err)
	case err != nil:
		return err
	}
	return checkTable(table, s.table)
}
