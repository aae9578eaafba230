package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// Index is the name of the secondary index of a table of keys.
const Index = "by_status"

// shape is the form of a table.
type shape struct {
	key     string
	keyType types.ScalarAttributeType
	index   bool // there is Index, whose partition key is attrShard, a string, and which has all attributes
}

func stateShape() shape { return shape{key: attrName, keyType: types.ScalarAttributeTypeS} }

func keysShape() shape {
	return shape{key: attrPublicKey, keyType: types.ScalarAttributeTypeB, index: true}
}

// checkShape refuses a table that cannot hold what it is for, or could show something older.
func (t *table) checkShape(ctx context.Context, want shape) error {
	d, err := t.describe(ctx)
	if err != nil {
		return err
	}
	if err := dynamoclient.Check(d, t.name, store.ErrShape); err != nil {
		return err
	}
	if dynamoclient.Diverges(d) {
		return fmt.Errorf("%w: it is a global table whose regions agree only after a while; "+
			"want a table of one region, or multi-region strong consistency", store.ErrShape)
	}
	if have, want := dynamoclient.Key(d, d.KeySchema), fmt.Sprintf("HASH %s (%s)", want.key, want.keyType); have != want {
		return fmt.Errorf("%w: its key is %s, want %s and no sort key; is it the table of something else?", store.ErrShape, have, want)
	}
	if want.index {
		return checkIndex(d)
	}
	return nil
}

func checkIndex(d *types.TableDescription) error {
	i := slices.IndexFunc(d.GlobalSecondaryIndexes, func(g types.GlobalSecondaryIndexDescription) bool { return aws.ToString(g.IndexName) == Index })
	if i < 0 {
		return fmt.Errorf("%w: it has no global secondary index named %s", store.ErrShape, Index)
	}
	index := d.GlobalSecondaryIndexes[i]
	projection := types.ProjectionType("none")
	if index.Projection != nil {
		projection = index.Projection.ProjectionType
	}
	switch have, want := dynamoclient.Key(d, index.KeySchema), "HASH "+attrShard+" (S)"; {
	case have != want:
		return fmt.Errorf("%w: the key of its index %s is %s, want %s and no sort key", store.ErrShape, Index, have, want)
	case projection != types.ProjectionTypeAll:
		return fmt.Errorf("%w: its index %s projects %s, want %s", store.ErrShape, Index, projection, types.ProjectionTypeAll)
	case index.IndexStatus == types.IndexStatusCreating || index.IndexStatus == types.IndexStatusDeleting:
		return fmt.Errorf("%w: its index %s is %s, want %s", store.ErrShape, Index, index.IndexStatus, types.IndexStatusActive)
	}
	return nil
}

// describe asks what the table is like.
func (t *table) describe(ctx context.Context) (*types.TableDescription, error) {
	var out *dynamodb.DescribeTableOutput
	err := t.read(ctx, func(ctx context.Context) (err error) {
		out, err = t.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &t.name})
		return err
	})
	if err == nil && out.Table == nil {
		err = fmt.Errorf("%w: the service described no table", store.ErrUnavailable)
	}
	if err != nil {
		return nil, err
	}
	return out.Table, nil
}

// MakeState makes the table of signer state if there is none, with on-demand capacity, deletion protection and point-in-time recovery, and
// returns when it can be used. A table that is there is checked and stays as it is. It needs the right to create tables.
func MakeState(ctx context.Context, o Options) error { return makeTable(ctx, o, stateShape(), "state") }

// MakeKeys makes the table of keys and its index as MakeState does.
func MakeKeys(ctx context.Context, o Options) error { return makeTable(ctx, o, keysShape(), "keys") }

func makeTable(ctx context.Context, o Options, s shape, what string) error {
	t, err := newTable(o, "dynamodb:CreateTable, DescribeTable and UpdateContinuousBackups on the table")
	if err != nil {
		return fmt.Errorf("%s table %s: %w", what, o.Table, err)
	}
	made, err := t.create(ctx, s)
	if err == nil {
		if _, err = dynamoclient.Await(ctx, t.describe, store.ErrShape); ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
	}
	if err == nil {
		err = t.checkShape(ctx, s)
	}
	if err == nil && made {
		err = t.client.BackUp(ctx, t.name, t.read)
	}
	return errors.Join(t.named(what, err), t.Close())
}

// create makes the table unless it is there. After a try without an answer one that is there counts as made.
func (t *table) create(ctx context.Context, s shape) (made bool, err error) {
	in := &dynamodb.CreateTableInput{
		TableName:            &t.name,
		BillingMode:          types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: &s.key, KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &s.key, AttributeType: s.keyType}},

		DeletionProtectionEnabled: aws.Bool(true),
	}
	if s.index {
		in.AttributeDefinitions = append(in.AttributeDefinitions,
			types.AttributeDefinition{AttributeName: aws.String(attrShard), AttributeType: types.ScalarAttributeTypeS})
		in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{
			IndexName:  aws.String(Index),
			KeySchema:  []types.KeySchemaElement{{AttributeName: aws.String(attrShard), KeyType: types.KeyTypeHash}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
		}}
	}
	lost := false
	err = t.read(ctx, func(ctx context.Context) error {
		_, err := t.client.CreateTable(ctx, in)
		if _, there := errors.AsType[*types.ResourceInUseException](err); there {
			made = lost
			return nil
		}
		made, lost = err == nil, lost || dynamoclient.Code(err) == ""
		return err
	})
	return made, err
}
