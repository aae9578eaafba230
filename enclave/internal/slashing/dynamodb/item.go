package dynamodb

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// The attributes of an item. A root that is not known is absent; numbers are exact to 38 digits.
const (
	attrKey = "key" // binary: a validator's 48 bytes, or metaKey

	// Of a validator key's item.
	attrSource          = "source"
	attrTarget          = "target"
	attrAttestationRoot = "attestation_root"
	attrSlot            = "slot"
	attrBlockRoot       = "block_root"

	// Of both: a high watermark, and how often it was changed.
	attrMaxSlot  = "max_slot"
	attrMaxEpoch = "max_epoch"
	attrRevision = "revision"

	// Of the item that says which store it is.
	attrStoreID        = "store_id"
	attrValidatorsRoot = "genesis_validators_root"
	attrSchemaVersion  = "schema_version"
)

// metaKey is the key of the item that says which store it is; no validator's key is so short.
const metaKey = "meta"

type (
	item  = map[string]value
	value = types.AttributeValue
)

func binary(b []byte) value { return &types.AttributeValueMemberB{Value: b} }

func number(n uint64) value {
	return &types.AttributeValueMemberN{Value: strconv.FormatUint(n, 10)}
}

func text(s string) value { return &types.AttributeValueMemberS{Value: s} }

// limits are the high watermark of an item, and how often it was changed.
type limits struct {
	high     slashing.HighWatermark
	revision uint64
}

// row is the item of a validator key.
type row struct {
	record slashing.Record
	limits
}

// standing is what is on record of a vote's kind.
func (r row) standing(of slashing.Vote) slashing.Vote {
	switch of.(type) {
	case slashing.Attestation:
		if a := r.record.Attestation; a != nil {
			return *a
		}
	case slashing.Block:
		if b := r.record.Block; b != nil {
			return *b
		}
	}
	return nil
}

// parseRow reads a key's item, which may be empty.
func parseRow(key bls.PublicKey, of item) (row, error) {
	r := reader{item: of}
	if of, ok := r.item[attrKey].(*types.AttributeValueMemberB); len(r.item) > 0 && (!ok || string(of.Value) != string(key[:])) {
		r.fail(attrKey, "is another key's")
	}
	got := row{record: slashing.Record{Key: key}, limits: r.limits()}
	source, hasSource := r.number(attrSource)
	target, hasTarget := r.number(attrTarget)
	if hasSource != hasTarget {
		r.fail(attrSource, "is there without "+attrTarget+", or the other way round")
	}
	if hasTarget {
		a := &slashing.Attestation{Source: source, Target: target}
		a.Root, a.RootUnknown = r.root(attrAttestationRoot)
		got.record.Attestation = a
	}
	if slot, ok := r.number(attrSlot); ok {
		b := &slashing.Block{Slot: slot}
		b.Root, b.RootUnknown = r.root(attrBlockRoot)
		got.record.Block = b
	}
	if r.err != nil {
		return row{}, fmt.Errorf("item of key %s: %w", key.Short(), r.err)
	}
	return got, nil
}

// reader reads the attributes of an item, and keeps the first error.
type reader struct {
	item item
	err  error
}

func (r *reader) fail(name, why string) {
	if r.err == nil {
		r.err = errors.New("attribute " + name + " " + why)
	}
}

// limits are there even if nothing limits.
func (r *reader) limits() limits {
	l := limits{high: slashing.NoHighWatermark()}
	if slot, ok := r.number(attrMaxSlot); ok {
		l.high.Slot = slot
	}
	if epoch, ok := r.number(attrMaxEpoch); ok {
		l.high.Epoch = epoch
	}
	l.revision, _ = r.number(attrRevision)
	return l
}

func (r *reader) number(name string) (n uint64, ok bool) {
	value, ok := r.item[name]
	if !ok {
		return 0, false
	}
	digits, ok := value.(*types.AttributeValueMemberN)
	if !ok {
		r.fail(name, "is no number")
		return 0, false
	}
	n, err := strconv.ParseUint(digits.Value, 10, 64)
	if err != nil {
		r.fail(name, "is "+strconv.Quote(digits.Value)+", want a whole number below 2^64")
		return 0, false
	}
	return n, true
}

func (r *reader) root(name string) (root eth2.Root, unknown bool) {
	value, ok := r.item[name]
	if !ok {
		return root, true
	}
	bytes, ok := value.(*types.AttributeValueMemberB)
	if !ok || len(bytes.Value) != len(root) {
		r.fail(name, "is not 32 bytes")
		return root, true
	}
	return eth2.Root(bytes.Value), false
}

func (r *reader) text(name string) string {
	value, ok := r.item[name].(*types.AttributeValueMemberS)
	if !ok {
		r.fail(name, "is no string")
		return ""
	}
	return value.Value
}
