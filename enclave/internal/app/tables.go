package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	tables "github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
)

// errNoTable is a configuration without a DynamoDB table that is asked for.
var errNoTable = errors.New("the configuration names no such table: want signer_state.backend dynamodb, or key_sources.dynamodb.table")

// MakeChamberTables makes the DynamoDB tables that the configuration names for the signer state and the stored keys, which no signer does, and
// returns their names. One that is there is checked and stays as it is.
func MakeChamberTables(ctx context.Context, find Credentials, c *config.Config, dial egress.DialFunc) (made []string, err error) {
	if s := c.SignerState; s.Backend == "dynamodb" {
		o, err := stateTable(ctx, find, s, dial)
		if err == nil {
			err = tables.MakeState(ctx, o)
		}
		if err != nil {
			return made, err
		}
		made = append(made, s.Table)
	}
	if t := c.KeySources.DynamoDB; t.Table != "" {
		o, err := keysTable(ctx, find, t, dial)
		if err == nil {
			err = tables.MakeKeys(ctx, o)
		}
		if err != nil {
			return made, err
		}
		made = append(made, t.Table)
	}
	if len(made) == 0 {
		return nil, errNoTable
	}
	return made, nil
}

// RecountKeys makes the counts in the table of stored keys true after the table was restored. See [tables.RecountKeys].
func RecountKeys(ctx context.Context, find Credentials, c *config.Config, dial egress.DialFunc) error {
	t := c.KeySources.DynamoDB
	if t.Table == "" {
		return errNoTable
	}
	o, err := keysTable(ctx, find, t, dial)
	if err != nil {
		return err
	}
	return tables.RecountKeys(ctx, o)
}

func stateTable(ctx context.Context, find Credentials, c config.SignerState, dial egress.DialFunc) (tables.Options, error) {
	cas, err := c.CAs()
	if err != nil {
		return tables.Options{}, err
	}
	credentials, err := find(ctx, c.AWSRegion(), dial)
	if err != nil {
		return tables.Options{}, fmt.Errorf("signer_state.backend dynamodb: %w", err)
	}
	return tables.Options{
		Table: c.Table, Region: c.AWSRegion(), Endpoint: c.Endpoint, Credentials: credentials, Dial: dial, RootCAs: cas, Timeout: stateTimeout,
	}, nil
}

func keysTable(ctx context.Context, find Credentials, t config.StoredTable, dial egress.DialFunc) (tables.Options, error) {
	cas, err := t.CAs()
	if err != nil {
		return tables.Options{}, err
	}
	credentials, err := find(ctx, t.AWSRegion(), dial)
	if err != nil {
		return tables.Options{}, fmt.Errorf("key_sources.dynamodb: %w", err)
	}
	return tables.Options{
		Table: t.Table, Region: t.AWSRegion(), Endpoint: t.Endpoint, Credentials: credentials, Dial: dial, RootCAs: cas, Timeout: stateTimeout,
		Concurrency: t.MaxConcurrentReads,
	}, nil
}
