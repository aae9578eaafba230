package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// stateRights are what a signer's role needs.
const stateRights = "dynamodb:DescribeTable, GetItem, PutItem, DeleteItem and Scan on the table"

// State keeps signer state in a table: one item per name.
type State struct{ *table }

var _ store.State = (*State)(nil)

// OpenState checks the table. Errors name it, never credentials.
func OpenState(ctx context.Context, o Options) (*State, error) {
	t, err := newTable(o, stateRights)
	if err != nil {
		return nil, fmt.Errorf("state table %s: %w", o.Table, err)
	}
	if err := t.checkShape(ctx, stateShape()); err != nil {
		return nil, errors.Join(t.named("state", err), t.Close())
	}
	return &State{t}, nil
}

// Check implements store.State.
func (s *State) Check(ctx context.Context) error {
	_, err := s.Get(ctx, "check")
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Get implements store.State.
func (s *State) Get(ctx context.Context, name string) (store.Item, error) {
	if err := store.CheckName(name); err != nil {
		return store.Item{}, err
	}
	found, err := s.get(ctx, item{attrName: text(name)})
	if err != nil {
		return store.Item{}, s.named("state", err)
	}
	got, err := parseState(found)
	if err == nil && got.Version == 0 {
		err = fmt.Errorf("%w: item %s", store.ErrNotFound, name)
	}
	return got, err
}

// Put implements store.State.
func (s *State) Put(ctx context.Context, i store.Item) error {
	if err := i.Check(); err != nil {
		return err
	}
	in := &dynamodb.PutItemInput{
		TableName:                           &s.name,
		Item:                                item{attrName: text(i.Name), attrVersion: number(i.Version), attrBody: bin(i.Body)},
		ConditionExpression:                 aws.String("attribute_not_exists(#version)"),
		ExpressionAttributeNames:            map[string]string{"#version": attrVersion},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if i.Version > 1 {
		in.ConditionExpression = aws.String("#version = :before")
		in.ExpressionAttributeValues = item{":before": number(i.Version - 1)}
	}
	err := s.write(ctx, func(ctx context.Context) error {
		_, err := s.client.PutItem(ctx, in)
		return err
	})
	standing, failed := dynamoclient.Standing(err)
	if !failed {
		return s.named("state", err)
	}
	stored, parsed := parseState(standing)
	if parsed != nil {
		return s.named("state", parsed)
	}
	done, conflict := i.Follow(stored)
	switch {
	case done:
		return nil
	case errors.Is(err, store.ErrOutcomeUnknown) && stored.Version != i.Version: // it may have been there, and another have followed it
		return s.named("state", err)
	}
	return conflict
}

// Delete implements store.State.
func (s *State) Delete(ctx context.Context, name string, version uint64) error {
	if err := (store.Item{Name: name, Version: version}).Check(); err != nil {
		return err
	}
	err := s.write(ctx, func(ctx context.Context) error {
		_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &s.name, Key: item{attrName: text(name)},
			ConditionExpression:       aws.String("attribute_not_exists(#version) OR #version = :version"),
			ExpressionAttributeNames:  map[string]string{"#version": attrVersion},
			ExpressionAttributeValues: item{":version": number(version)},
		})
		return err
	})
	if _, failed := dynamoclient.Standing(err); failed && !errors.Is(err, store.ErrOutcomeUnknown) {
		return fmt.Errorf("%w: item %s has not version %d", store.ErrConflict, name, version)
	}
	return s.named("state", err)
}

// List implements store.State.
func (s *State) List(ctx context.Context) ([]store.Listed, error) {
	var all []store.Listed
	err := s.scan(ctx, []string{attrName, attrVersion}, func(found item) error {
		i, err := parseState(found)
		all = append(all, store.Listed{Name: i.Name, Version: i.Version})
		return err
	})
	slices.SortFunc(all, func(a, b store.Listed) int { return strings.Compare(a.Name, b.Name) })
	return all, s.named("state", err)
}

// get reads an item consistently; it is empty if there is none.
func (t *table) get(ctx context.Context, key item) (item, error) {
	var out *dynamodb.GetItemOutput
	err := t.read(ctx, func(ctx context.Context) (err error) {
		out, err = t.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.name, Key: key, ConsistentRead: aws.Bool(true)})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// scan calls f with these attributes of every item, page by page and in no order, each as it is or was since the call.
func (t *table) scan(ctx context.Context, attributes []string, f func(item) error) error {
	in := &dynamodb.ScanInput{TableName: &t.name, ConsistentRead: aws.Bool(true), ExpressionAttributeNames: map[string]string{}}
	for _, name := range attributes {
		in.ExpressionAttributeNames["#"+name] = name
	}
	in.ProjectionExpression = aws.String("#" + strings.Join(attributes, ", #"))
	for {
		var page *dynamodb.ScanOutput
		err := t.read(ctx, func(ctx context.Context) (err error) {
			page, err = t.client.Scan(ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		for _, found := range page.Items {
			if err := f(found); err != nil {
				return err
			}
		}
		if len(page.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
}
