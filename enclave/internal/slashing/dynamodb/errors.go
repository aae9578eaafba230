package dynamodb

import (
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// unavailable is an error that says that nothing was recorded.
func unavailable(err error) error {
	if errors.Is(err, slashing.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", slashing.ErrUnavailable, explain(err))
}

// explain puts an error into words for an operator.
func explain(err error) error {
	return dynamoclient.Words{
		Rights:  "dynamodb:DescribeTable, GetItem, UpdateItem and Scan on the table",
		Missing: "there is none of this name in the region; containment-chamber slashing migrate makes it",
		Refused: ErrTable,
	}.Explain(err)
}
