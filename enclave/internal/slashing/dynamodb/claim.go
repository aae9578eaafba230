package dynamodb

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// The rule, as the condition of an update of one item: the whole of slashing.Judge, but for what needs no record, and the key's own high
// watermark. It knows no null: what is absent equals nothing.
const (
	setAttestation = "SET #source = :source, #target = :target, #root = :root"

	ifAttestation = "((attribute_not_exists(#source) AND attribute_not_exists(#target))" +
		" OR (#source <= :source AND #target < :target)" +
		" OR (#source = :source AND #target = :target AND #root = :root))" +
		" AND (attribute_not_exists(#max) OR #max >= :target)"

	setBlock = "SET #slot = :slot, #root = :root"

	ifBlock = "(attribute_not_exists(#slot) OR #slot < :slot OR (#slot = :slot AND #root = :root))" +
		" AND (attribute_not_exists(#max) OR #max >= :slot)"

	// ifKnown needs a record of either kind.
	ifKnown = " AND (attribute_exists(#target) OR attribute_exists(#slot))"
)

// update is the one request that records a claim if the rule allows it. It returns the item as it is then, or as it was when the
// condition failed.
func update(table string, c slashing.Claim) *dynamodb.UpdateItemInput {
	names := map[string]string{}
	values := item{}
	var set, condition string
	switch v := c.Vote.(type) { // exhaustive: distinct has seen them
	case slashing.Attestation:
		set, condition = setAttestation, ifAttestation
		names["#source"], names["#target"], names["#root"], names["#max"] = attrSource, attrTarget, attrAttestationRoot, attrMaxEpoch
		values[":source"], values[":target"], values[":root"] = number(v.Source), number(v.Target), binary(v.Root[:])
	case slashing.Block:
		set, condition = setBlock, ifBlock
		names["#slot"], names["#root"], names["#max"] = attrSlot, attrBlockRoot, attrMaxSlot
		values[":slot"], values[":root"] = number(v.Slot), binary(v.Root[:])
	}
	if c.KnownOnly {
		condition += ifKnown
		names["#target"], names["#slot"] = attrTarget, attrSlot
	}
	return &dynamodb.UpdateItemInput{
		TableName: &table, Key: item{attrKey: binary(c.Key[:])},
		UpdateExpression: &set, ConditionExpression: &condition,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
}
