package dynamodb

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// RecountKeys makes the counts of a table of keys true after a restore: DynamoDB restores items of up to a second apart
// (DynamoDB Developer Guide, "Backups"), so that the head may tell of another moment than the keys. It changes
// no key, may be repeated, and is for an operator while nobody changes any; it needs the right to scan the table. Replicas that run load
// again.
func RecountKeys(ctx context.Context, o Options) error {
	k, err := OpenKeys(ctx, o)
	if err != nil {
		return err
	}
	k.rights = "dynamodb:DescribeTable, GetItem, PutItem, UpdateItem and Scan on the table"
	return errors.Join(k.named("keys", k.recount(ctx)), k.Close())
}

func (k *Keys) recount(ctx context.Context) error {
	h, err := k.head(ctx)
	if err != nil {
		return err
	}
	if h.n > 0 {
		if err := k.settle(ctx, h); err != nil {
			return err
		}
	}
	next := head{n: h.n, last: h.last}
	attributes := []string{attrPublicKey, attrVersion, attrStatus, attrChanged, attrBody, attrCreated, attrUpdated}
	err = k.scan(ctx, attributes, func(found item) error {
		if public, ok := found[attrPublicKey].(*types.AttributeValueMemberB); ok && len(public.Value) != len(h.last.PublicKey) {
			return nil // the head or an entry of the log
		}
		key, err := parseKey(found)
		if err != nil {
			return err
		}
		if key.Changed >= next.n {
			next.n, next.last = key.Changed, key
		}
		if t := next.of(key.Status); t != nil {
			t.add(key)
		}
		return nil
	})
	if err != nil || next.n == 0 {
		return err
	}
	// A number that was given before the restore is not given again, and no cursor from then can be gone on from: the log holds
	// nothing between. The newest key, as it is, stands for the change.
	newest := next.last
	next.n += k.logSize
	next = next.follow(newest, newest)
	err = k.renumber(ctx, newest, next.n)
	if err == nil {
		err = k.commit(ctx, h.n, next)
	}
	if _, moved := dynamoclient.Standing(err); moved {
		return fmt.Errorf("%w: a key was changed meanwhile; count again", store.ErrConflict)
	}
	return err
}

// renumber gives a key's item the number of another change. Should nothing follow, it is ahead of the head until it is counted again.
func (k *Keys) renumber(ctx context.Context, key store.Key, n uint64) error {
	return k.write(ctx, func(ctx context.Context) error {
		_, err := k.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &k.name, Key: item{attrPublicKey: bin(key.PublicKey[:])},
			UpdateExpression:          aws.String("SET #changed = :n"),
			ConditionExpression:       aws.String("#version = :version"),
			ExpressionAttributeNames:  map[string]string{"#changed": attrChanged, "#version": attrVersion},
			ExpressionAttributeValues: item{":n": number(n), ":version": number(key.Version)},
		})
		return err
	})
}
