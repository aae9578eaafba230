package app

import (
	"context"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb"
)

// DynamoDB makes the OpenStore of anti_slashing.backend dynamodb.
func DynamoDB(find Credentials) OpenStore {
	return func(ctx context.Context, c config.AntiSlashing, dial egress.DialFunc) (slashing.Store, error) {
		o, err := tableOptions(ctx, find, c, dial)
		if err != nil {
			return nil, err
		}
		s, err := dynamodb.Open(ctx, o)
		if err != nil {
			return nil, err // and not a Store that holds a nil
		}
		return s, nil
	}
}

// MakeTable makes the table of anti_slashing.backend dynamodb, which no signer does.
func MakeTable(ctx context.Context, find Credentials, c config.AntiSlashing, dial egress.DialFunc) error {
	o, err := tableOptions(ctx, find, c, dial)
	if err != nil {
		return err
	}
	return dynamodb.Make(ctx, o)
}

func tableOptions(ctx context.Context, find Credentials, c config.AntiSlashing, dial egress.DialFunc) (dynamodb.Options, error) {
	cas, err := c.CAs()
	if err != nil {
		return dynamodb.Options{}, err
	}
	credentials, err := find(ctx, c.AWSRegion(), dial)
	if err != nil {
		return dynamodb.Options{}, fmt.Errorf("anti_slashing.backend dynamodb: %w", err)
	}
	return dynamodb.Options{
		Table: c.DynamoDB.Table, Region: c.AWSRegion(), Endpoint: c.DynamoDB.Endpoint,
		Credentials: credentials, Dial: dial, RootCAs: cas, Timeout: c.WriteTimeout,
	}, nil
}
