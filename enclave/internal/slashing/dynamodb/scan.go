package dynamodb

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Each implements slashing.Ledger. DynamoDB keeps items in no order: all are read before f gets the first, about 300 bytes each.
func (s *Store) Each(ctx context.Context, f func(slashing.Record) error) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, err := s.meta(ctx); err != nil { // another store than at Open
		return err
	}
	var records []slashing.Record
	err = s.scan(ctx, attrTarget, attrSlot, func(r row) error {
		records = append(records, r.record)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(records, func(a, b slashing.Record) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	for _, r := range records {
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

// scan calls f with the item of each validator key that has one of two attributes, page by page and in no order.
func (s *Store) scan(ctx context.Context, either, or string, f func(row) error) error {
	in := &dynamodb.ScanInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true),
		FilterExpression:         aws.String("attribute_exists(#either) OR attribute_exists(#or)"),
		ExpressionAttributeNames: map[string]string{"#either": either, "#or": or},
	}
	for {
		var page *dynamodb.ScanOutput
		err := s.read(ctx, func(ctx context.Context) (err error) {
			page, err = s.client.Scan(ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		for _, found := range page.Items {
			if err := visit(found, f); err != nil {
				return err
			}
		}
		if len(page.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
}

// visit calls f with an item, unless it is the one that says which store it is.
func visit(found item, f func(row) error) error {
	key, ok := found[attrKey].(*types.AttributeValueMemberB)
	switch {
	case ok && string(key.Value) == metaKey:
		return nil
	case !ok || len(key.Value) != len(bls.PublicKey{}):
		return unavailable(fmt.Errorf("%w: it holds an item whose key is no validator's", ErrTable))
	}
	r, err := parseRow(bls.PublicKey(key.Value), found)
	if err != nil {
		return unavailable(err)
	}
	return f(r)
}
