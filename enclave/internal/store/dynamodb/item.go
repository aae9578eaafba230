package dynamodb

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// The attributes of items. The table of signer state has the partition key attrName, a string; that of keys attrPublicKey, binary: so
// neither is taken for the other, nor for the table of slashing protection.
const (
	attrName    = "name"
	attrVersion = "version"
	attrBody    = "body"

	attrPublicKey = "public_key" // 48 bytes, or something shorter in items that are no key's
	attrStatus    = "status"
	attrShard     = "status_shard" // the index's partition key, in active and inactive keys
	attrChanged   = "changed"
	attrCreated   = "created" // milliseconds since 1970, as updated
	attrUpdated   = "updated"
)

// shards is how many parts the index has per status, each read by its own queries. It is part of the table's form.
const shards = 16

type (
	item  = map[string]value
	value = types.AttributeValue
)

// bin is never nil, which would be no value at all.
func bin[B string | []byte](b B) value {
	return &types.AttributeValueMemberB{Value: append([]byte{}, b...)}
}

func number[N int64 | uint64](n N) value {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

func text(s string) value { return &types.AttributeValueMemberS{Value: s} }

// shardName is a partition of the index.
func shardName(s store.Status, shard uint32) string { return fmt.Sprintf("%v#%02d", s, shard) }

// keyItem is the item of a key.
func keyItem(k store.Key) item {
	i := item{
		attrPublicKey: bin(k.PublicKey[:]),
		attrVersion:   number(k.Version),
		attrStatus:    text(k.Status.String()),
		attrChanged:   number(k.Changed),
		attrBody:      bin(k.Body),
		attrCreated:   number(k.Created.UnixMilli()),
		attrUpdated:   number(k.Updated.UnixMilli()),
	}
	if k.Status != store.Deleted {
		i[attrShard] = text(shardName(k.Status, crc32.ChecksumIEEE(k.PublicKey[:])%shards))
	}
	return i
}

// parseKey reads the item of a key; the zero Key is that of an empty item.
func parseKey(of item) (store.Key, error) {
	if len(of) == 0 {
		return store.Key{}, nil
	}
	r := reader{item: of}
	var k store.Key
	public := r.binary(attrPublicKey)
	if len(public) == len(k.PublicKey) {
		k.PublicKey = [48]byte(public)
	} else {
		r.fail(attrPublicKey, fmt.Sprintf("has %d bytes, want %d", len(public), len(k.PublicKey)))
	}
	k.Version, k.Changed, k.Body = r.number(attrVersion), r.number(attrChanged), r.binary(attrBody)
	k.Created, k.Updated = time.UnixMilli(int64(r.number(attrCreated))).UTC(), time.UnixMilli(int64(r.number(attrUpdated))).UTC()
	status := r.text(attrStatus)
	s, err := store.ParseStatus(status)
	if err != nil {
		r.fail(attrStatus, fmt.Sprintf("is %q, want active, inactive or deleted", status))
	}
	k.Status = s
	if r.err != nil { // whole, for the operator who has to find the item: it keeps all keys from being loaded
		return store.Key{}, fmt.Errorf("%w: the item of key 0x%x is malformed: %w", store.ErrUnavailable, public, r.err)
	}
	return k, nil
}

// parseState reads an item of signer state; the zero Item is that of an empty one.
func parseState(of item) (store.Item, error) {
	if len(of) == 0 {
		return store.Item{}, nil
	}
	r := reader{item: of}
	i := store.Item{Name: r.text(attrName), Version: r.number(attrVersion)}
	if _, there := of[attrBody]; there { // not in a list
		i.Body = r.binary(attrBody)
	}
	if r.err != nil {
		return store.Item{}, fmt.Errorf("%w: item %q: %w", store.ErrUnavailable, i.Name, r.err)
	}
	return i, nil
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

func (r *reader) number(name string) uint64 {
	digits, ok := r.item[name].(*types.AttributeValueMemberN)
	if !ok {
		r.fail(name, "is no number")
		return 0
	}
	n, err := strconv.ParseUint(digits.Value, 10, 64)
	if signed, e := strconv.ParseInt(digits.Value, 10, 64); err != nil && e == nil {
		return uint64(signed) // a time before 1970
	}
	if err != nil {
		r.fail(name, "is "+strconv.Quote(digits.Value)+", want a whole number below 2^64")
	}
	return n
}

func (r *reader) binary(name string) []byte {
	value, ok := r.item[name].(*types.AttributeValueMemberB)
	if !ok {
		r.fail(name, "is not binary")
		return nil
	}
	return value.Value
}

func (r *reader) text(name string) string {
	value, ok := r.item[name].(*types.AttributeValueMemberS)
	if !ok {
		r.fail(name, "is no string")
		return ""
	}
	return value.Value
}
