package dynamodb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// schemaVersion is the form of items that this release reads and writes.
const schemaVersion = 1

// about is the item that says which store it is.
type about struct {
	slashing.Identity
	limits
}

// parseMeta reads that item. It refuses one of a later release.
func parseMeta(of item) (about, error) {
	r := reader{item: of}
	got := about{limits: r.limits()}
	got.ID = r.text(attrStoreID)
	version, ok := r.number(attrSchemaVersion)
	if _, pinned := of[attrValidatorsRoot]; pinned {
		got.Pinned = true
		got.ValidatorsRoot, _ = r.root(attrValidatorsRoot)
	}
	switch {
	case r.err != nil:
		return about{}, fmt.Errorf("%w: item %s: %w", ErrTable, metaKey, r.err)
	case !ok || version == 0:
		return about{}, fmt.Errorf("%w: item %s: attribute %s is missing", ErrTable, metaKey, attrSchemaVersion)
	case version > schemaVersion:
		return about{}, fmt.Errorf("%w: its schema version is %d, and this release knows %d: a later release has changed it",
			ErrTable, version, schemaVersion)
	}
	return got, nil
}

// identify learns the store's identity, and gives one to an empty table.
func (s *Store) identify(ctx context.Context) error {
	found, err := s.get(ctx, []byte(metaKey))
	if err == nil && len(found) == 0 {
		found, err = s.mark(ctx)
	}
	if err != nil {
		return err
	}
	got, err := parseMeta(found)
	if err != nil {
		return err
	}
	s.id = got.ID
	s.seen.Store(&got.high)
	return nil
}

// mark makes the item that says which store it is, unless another one just did, and returns it.
func (s *Store) mark(ctx context.Context) (item, error) {
	var first *dynamodb.ScanOutput
	err := s.read(ctx, func(ctx context.Context) (err error) {
		first, err = s.client.Scan(ctx, &dynamodb.ScanInput{TableName: &s.table, Limit: aws.Int32(1), ConsistentRead: aws.Bool(true)})
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(first.Items) > 0 { // others may have made the item meanwhile, and recorded votes
		found, err := s.get(ctx, []byte(metaKey))
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("%w: it holds items, and none with the key %q: it is no slashing store, or one that was damaged", ErrTable, metaKey)
		}
		return found, err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	var made *dynamodb.UpdateItemOutput
	w := writing{store: s}
	err = w.send(ctx, func(ctx context.Context) (err error) {
		made, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &s.table, Key: item{attrKey: binary([]byte(metaKey))}, ReturnValues: types.ReturnValueAllNew,
			UpdateExpression:          aws.String("SET #id = if_not_exists(#id, :id), #version = if_not_exists(#version, :version)"),
			ExpressionAttributeNames:  map[string]string{"#id": attrStoreID, "#version": attrSchemaVersion},
			ExpressionAttributeValues: item{":id": text(hex.EncodeToString(id[:])), ":version": number(schemaVersion)},
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the item %s: %w", metaKey, err)
	}
	return made.Attributes, nil
}

// checkRights refuses credentials that cannot record votes, with an update whose condition never holds, whatever the table holds:
// DynamoDB would tell at the first vote.
func (s *Store) checkRights(ctx context.Context) error {
	err := s.read(ctx, func(ctx context.Context) error {
		_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &s.table, Key: item{attrKey: binary([]byte(metaKey))},
			UpdateExpression:          aws.String("REMOVE #id"),
			ConditionExpression:       aws.String("#id = :none"),
			ExpressionAttributeNames:  map[string]string{"#id": attrStoreID},
			ExpressionAttributeValues: item{":none": text("no store has this identity")},
		})
		return err
	})
	if _, failed := dynamoclient.Standing(err); failed {
		return nil
	}
	return err
}

// meta reads the item that says which store it is, consistently. Another store than at Open is refused: the name of a table can come to
// mean a copy of it, or an empty one.
func (s *Store) meta(ctx context.Context) (about, error) {
	found, err := s.get(ctx, []byte(metaKey))
	if err != nil {
		return about{}, err
	}
	if len(found) == 0 {
		return about{}, unavailable(fmt.Errorf("%w: it holds no item %s any more", ErrTable, metaKey))
	}
	got, err := parseMeta(found)
	switch {
	case err != nil:
		return about{}, unavailable(err)
	case got.ID != s.id:
		return about{}, unavailable(fmt.Errorf("%w: it holds the store %s, at the start it was %s", ErrTable, got.ID, s.id))
	}
	s.seen.Store(&got.high)
	return got, nil
}

// get reads an item consistently; it is empty if there is none.
func (s *Store) get(ctx context.Context, key []byte) (item, error) {
	var out *dynamodb.GetItemOutput
	err := s.read(ctx, func(ctx context.Context) (err error) {
		out, err = s.client.GetItem(ctx, &dynamodb.GetItemInput{
			TableName: &s.table, Key: item{attrKey: binary(key)}, ConsistentRead: aws.Bool(true),
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// Identify implements slashing.Ledger.
func (s *Store) Identify(ctx context.Context) (slashing.Identity, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return slashing.Identity{}, err
	}
	defer leave()
	got, err := s.meta(ctx)
	return got.Identity, err
}

// Pin implements slashing.Ledger.
func (s *Store) Pin(ctx context.Context, validatorsRoot eth2.Root) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	var out *dynamodb.UpdateItemOutput
	w := writing{store: s}
	err = w.send(ctx, func(ctx context.Context) (err error) {
		out, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &s.table, Key: item{attrKey: binary([]byte(metaKey))}, ReturnValues: types.ReturnValueAllNew,
			UpdateExpression:          aws.String("SET #root = if_not_exists(#root, :root)"),
			ConditionExpression:       aws.String("#id = :id"),
			ExpressionAttributeNames:  map[string]string{"#root": attrValidatorsRoot, "#id": attrStoreID},
			ExpressionAttributeValues: item{":root": binary(validatorsRoot[:]), ":id": text(s.id)},
		})
		return err
	})
	if _, failed := dynamoclient.Standing(err); failed {
		return w.failed(fmt.Errorf("%w: it is no longer the store %s", ErrTable, s.id))
	}
	if err != nil {
		return err
	}
	got, err := parseMeta(out.Attributes)
	if err == nil && got.ValidatorsRoot != validatorsRoot {
		err = fmt.Errorf("%w: its genesis validators root is 0x%x, not 0x%x", slashing.ErrNetwork, got.ValidatorsRoot, validatorsRoot)
	}
	return err
}
