package dynamoclient

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Check refuses a table that is not the one of this name, or cannot be used now. Errors wrap refused.
func Check(d *types.TableDescription, name string, refused error) error {
	switch {
	case strings.HasPrefix(name, "arn:") && aws.ToString(d.TableArn) != name:
		return fmt.Errorf("%w: the service calls it %s", refused, aws.ToString(d.TableArn))
	// A table whose settings are being changed can be used meanwhile.
	case d.TableStatus != types.TableStatusActive && d.TableStatus != types.TableStatusUpdating:
		return fmt.Errorf("%w: it is %s, want %s", refused, d.TableStatus, types.TableStatusActive)
	}
	return nil
}

// Diverges says that two regions of a table can each take a write before they hear of the other's.
func Diverges(d *types.TableDescription) bool {
	return (len(d.Replicas) > 0 || d.GlobalTableVersion != nil) && d.MultiRegionConsistency != types.MultiRegionConsistencyStrong
}

// Key is a key of a table or of its index in words: "HASH name (S), RANGE other (N)".
func Key(d *types.TableDescription, schema []types.KeySchemaElement) string {
	var parts []string
	for _, part := range schema {
		of := types.ScalarAttributeType("?")
		for _, attribute := range d.AttributeDefinitions {
			if aws.ToString(attribute.AttributeName) == aws.ToString(part.AttributeName) {
				of = attribute.AttributeType
			}
		}
		parts = append(parts, fmt.Sprintf("%s %s (%s)", part.KeyType, aws.ToString(part.AttributeName), of))
	}
	return strings.Join(parts, ", ")
}
