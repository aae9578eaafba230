package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	tables "github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
	rows "github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/postgres"
)

// Backends are the stores of a binary, by the values of the configuration that name them. What they reach over a network they reach by the
// dial function that they are given.
type Backends struct {
	Credentials Credentials          // of AWS, that they and KMS are asked with
	Slashing    map[string]OpenStore // by anti_slashing.backend
	State       map[string]OpenState // by signer_state.backend
	Keys        map[string]OpenKeys  // of stored keys: dynamodb, or the signer_state.backend that they are beside
}

type (
	// OpenStore opens a slashing store.
	OpenStore func(ctx context.Context, c config.AntiSlashing, dial egress.DialFunc) (slashing.Store, error)
	// OpenState opens a store of the signer state.
	OpenState func(ctx context.Context, c config.SignerState, dial egress.DialFunc) (store.State, error)
	// OpenKeys opens a store of validator keys.
	OpenKeys func(ctx context.Context, c *config.Config, dial egress.DialFunc) (store.Keys, error)
)

// Remote are the backends that an enclave can have: those that are servers.
func Remote(find Credentials) Backends {
	return Backends{
		Credentials: find,
		Slashing:    map[string]OpenStore{"postgres": Postgres(find), "dynamodb": DynamoDB(find)},
		State:       map[string]OpenState{"postgres": statePostgres(find), "dynamodb": stateDynamoDB(find)},
		Keys:        map[string]OpenKeys{"postgres": keysPostgres(find), "dynamodb": keysDynamoDB(find)},
	}
}

// pick is the function of the backend that a configuration key names, or an error that says which ones this binary has.
func pick[F any](key, backend, what string, all map[string]F) (F, error) {
	open, ok := all[backend]
	if ok {
		return open, nil
	}
	has := "none"
	if len(all) > 0 {
		has = strings.Join(slices.Sorted(maps.Keys(all)), ", ")
	}
	return open, fmt.Errorf("%s: this binary has no %s %s (it has: %s)", key, backend, what, has)
}

// stateTimeout bounds a request to the store of the signer state or of the stored keys. Nobody waits for one with a duty.
const stateTimeout = 10 * time.Second

func stateDynamoDB(find Credentials) OpenState {
	return func(ctx context.Context, c config.SignerState, dial egress.DialFunc) (store.State, error) {
		o, err := stateTable(ctx, find, c, dial)
		if err != nil {
			return nil, err
		}
		s, err := tables.OpenState(ctx, o)
		if err != nil {
			return nil, err // and not a store that holds a nil
		}
		return s, nil
	}
}

func keysDynamoDB(find Credentials) OpenKeys {
	return func(ctx context.Context, c *config.Config, dial egress.DialFunc) (store.Keys, error) {
		o, err := keysTable(ctx, find, c.KeySources.DynamoDB, dial)
		if err != nil {
			return nil, err
		}
		s, err := tables.OpenKeys(ctx, o)
		if err != nil {
			return nil, err // and not a store that holds a nil
		}
		return s, nil
	}
}

func statePostgres(find Credentials) OpenState {
	return func(ctx context.Context, c config.SignerState, dial egress.DialFunc) (store.State, error) {
		o, err := rowOptions(ctx, find, c, dial)
		if err != nil {
			return nil, err
		}
		s, err := rows.OpenState(ctx, o)
		if err != nil {
			return nil, err // and not a store that holds a nil
		}
		return s, nil
	}
}

func keysPostgres(find Credentials) OpenKeys {
	return func(ctx context.Context, c *config.Config, dial egress.DialFunc) (store.Keys, error) {
		o, err := rowOptions(ctx, find, c.SignerState, dial)
		if err != nil {
			return nil, err
		}
		s, err := rows.OpenKeys(ctx, o)
		if err != nil {
			return nil, err // and not a store that holds a nil
		}
		return s, nil
	}
}

// rowConnections are those of one store of the signer state or of the stored keys: refreshes, and what operators do.
const rowConnections = 4

func rowOptions(ctx context.Context, find Credentials, c config.SignerState, dial egress.DialFunc) (rows.Options, error) {
	cas, err := c.CAs()
	if err != nil {
		return rows.Options{}, err
	}
	o := rows.Options{URL: c.URL, CAs: cas, Dial: dial, PoolSize: rowConnections, Timeout: stateTimeout}
	if c.PasswordSource == "rds_iam" {
		o.Password, err = rdsTokens(ctx, find, "signer_state.password_source", c.AWSRegion(), dial)
	}
	return o, err
}
