// Package dynamodb keeps signer state and validator keys in two Amazon DynamoDB tables, for any number of replicas.
package dynamodb

import (
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// DefaultConcurrency is how many requests are under way at once if Options do not say.
const DefaultConcurrency = dynamoclient.DefaultConcurrency

// Options say which table is opened, and how. A request gets at most half of the time that its context leaves, and never more than the
// Timeout.
type Options = dynamoclient.Options

// table is a table and the client that asks it.
type table struct {
	client *dynamoclient.Table
	name   string
	rights string // that the role needs on it
}

// newTable makes a table that has not yet been asked anything.
func newTable(o Options, rights string) (*table, error) {
	client, err := dynamoclient.New(o)
	if err != nil {
		return nil, err
	}
	return &table{client: client, name: o.Table, rights: rights}, nil
}

// Close implements store.State and store.Keys.
func (t *table) Close() error {
	t.client.Close()
	return nil
}

// named has an error say which table it is about.
func (t *table) named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s table %s: %w", what, t.name, err)
}

// explain puts an error into words for an operator.
func (t *table) explain(err error) error {
	return dynamoclient.Words{
		Rights:  t.rights,
		Missing: "there is no table of this name in the region; \"containment-chamber tables make\" makes it",
		Refused: store.ErrShape,
	}.Explain(err)
}
