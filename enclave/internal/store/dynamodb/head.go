package dynamodb

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// How replicas learn of changes.
//
// An item named headKey, beside the keys, is the end of the table's log: it holds the number n of the last change and, whole, the key
// that this change made. Change n+1 is one conditional write of that item, which wants n there: it is done or not, no transaction and
// no clock is needed, and what is done has one order. What then must follow can be done by anybody, any number of times, late:
//
//   - the key's own item gets what the head holds, if its version is lower;
//   - the log's item for number n gets the public key. It is one of logSize items, used in turn.
//
// Whoever is about to make change n+1 does both first, whether or not the writer of n has (see settle). Hence:
//
//	When the head says n, changes 1 to n-1 are in place, and change n stands in the head itself.
//
// So a reader that compares n with its cursor, once a second, in one consistent read, knows whether there is anything, and then finds
// every change between by its number, in consistent reads of single items: none can be missing, be invisible for a while, or overtake
// another, as they could in an index. The faults:
//
//   - A writer dies before the head is written: nothing happened. After: the change is made; readers take it from the head, and
//     the next writer puts it in place.
//   - The answer to the head's write is lost: the writer reads again. The key is as it wanted, or the head has moved on, so that its
//     write can no longer be done, or it sends the same again, of which one will be done.
//   - A request comes late, even by hours: for the head n is another by then, for the key's item the version. An entry of the log may be
//     overwritten by one that is a round older: its readers see another number than they look for, and load again.
//   - A reader is further behind than the log is long: it loads again.
//
// Writers wait for each other, 10 to 20 ms each. Keys are changed by people.
const (
	headKey = "head" // shorter than any validator's key
	logSize = 4096   // changes

	attrChangedKey = "of" // of an entry of the log: the key that was changed

	// Of the head.
	attrLast          = "last" // what the last change made, as an item
	attrActiveCount   = "active"
	attrActiveMark    = "active_sum"
	attrInactiveCount = "inactive"
	attrInactiveMark  = "inactive_sum"
)

// head is the end of the log, and what an index that is up to date shows. The zero head is that of an empty table.
type head struct {
	n                uint64
	last             store.Key // Changed is n, unless there is none
	active, inactive tally
}

// tally tells a set of keys from any other, older ones of the same keys too: their number, and a sum over hashes of what each is.
type tally struct{ count, sum uint64 }

func mark(k store.Key) uint64 {
	h := sha256.Sum256(binary.BigEndian.AppendUint64(k.PublicKey[:], k.Changed))
	return binary.BigEndian.Uint64(h[:])
}

// add counts a key in; sums wrap around.
func (t *tally) add(k store.Key) { t.count, t.sum = t.count+1, t.sum+mark(k) }

func (t *tally) remove(k store.Key) { t.count, t.sum = t.count-1, t.sum-mark(k) }

// of is the tally that keys of a status are counted in, nil if none is.
func (h *head) of(s store.Status) *tally {
	switch s {
	case store.Active:
		return &h.active
	case store.Inactive:
		return &h.inactive
	case store.Deleted:
	}
	return nil
}

// follow is the head after one more change, of a key that was stored before, with version 0 if it was not.
func (h head) follow(stored, k store.Key) head {
	h.n++
	k.Changed = h.n
	h.last = k
	if t := h.of(stored.Status); t != nil {
		t.remove(stored)
	}
	if t := h.of(k.Status); t != nil {
		t.add(k)
	}
	return h
}

func (h head) item() item {
	return item{
		attrPublicKey:   bin(headKey),
		attrChanged:     number(h.n),
		attrLast:        &types.AttributeValueMemberM{Value: keyItem(h.last)},
		attrActiveCount: number(h.active.count), attrActiveMark: number(h.active.sum),
		attrInactiveCount: number(h.inactive.count), attrInactiveMark: number(h.inactive.sum),
	}
}

func parseHead(of item) (head, error) {
	if len(of) == 0 {
		return head{}, nil
	}
	r := reader{item: of}
	h := head{
		n:        r.number(attrChanged),
		active:   tally{r.number(attrActiveCount), r.number(attrActiveMark)},
		inactive: tally{r.number(attrInactiveCount), r.number(attrInactiveMark)},
	}
	last, ok := of[attrLast].(*types.AttributeValueMemberM)
	if !ok {
		r.fail(attrLast, "is no map")
	}
	if r.err != nil {
		return head{}, fmt.Errorf("%w: item %s: %w", store.ErrUnavailable, headKey, r.err)
	}
	var err error
	if h.last, err = parseKey(last.Value); err != nil {
		return head{}, fmt.Errorf("item %s: %w", headKey, err)
	}
	return h, nil
}

// same says that two heads are of one change. The number does not tell: a table that is made anew or restored counts again.
func (h head) same(as head) bool {
	return h.n == as.n && h.active == as.active && h.inactive == as.inactive &&
		h.last.PublicKey == as.last.PublicKey && h.last.Version == as.last.Version && h.last.Updated.Equal(as.last.Updated)
}

// head reads the end of the log.
func (k *Keys) head(ctx context.Context) (head, error) {
	found, err := k.get(ctx, item{attrPublicKey: bin(headKey)})
	if err != nil {
		return head{}, err
	}
	return parseHead(found)
}

// commit makes next the head if it still says before: the change is made then. The error may be that of the condition.
func (k *Keys) commit(ctx context.Context, before uint64, next head) error {
	in := &dynamodb.PutItemInput{
		TableName: &k.name, Item: next.item(),
		ConditionExpression:      aws.String("attribute_not_exists(#n)"),
		ExpressionAttributeNames: map[string]string{"#n": attrChanged},
	}
	if before > 0 {
		in.ConditionExpression = aws.String("#n = :before")
		in.ExpressionAttributeValues = item{":before": number(before)}
	}
	return k.write(ctx, func(ctx context.Context) error {
		_, err := k.client.PutItem(ctx, in)
		return err
	})
}

// settle puts the last change in place: the key's item, and the log's. It may be repeated, and may come late. It is not for concurrent
// use.
func (k *Keys) settle(ctx context.Context, h head) error {
	if h.n == 0 || h.same(k.settled) {
		return nil
	}
	puts := []*dynamodb.PutItemInput{
		{
			TableName: &k.name, Item: keyItem(h.last),
			ConditionExpression:       aws.String("attribute_not_exists(#version) OR #version < :version"),
			ExpressionAttributeNames:  map[string]string{"#version": attrVersion},
			ExpressionAttributeValues: item{":version": number(h.last.Version)},
		},
		{TableName: &k.name, Item: item{attrPublicKey: k.logKey(h.n), attrChanged: number(h.n), attrChangedKey: bin(h.last.PublicKey[:])}},
	}
	err := each(len(puts), len(puts), func(i int) error {
		err := k.read(ctx, func(ctx context.Context) error {
			_, err := k.client.PutItem(ctx, puts[i])
			return err
		})
		if _, there := dynamoclient.Standing(err); there {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("put change %d in place: %w", h.n, err)
	}
	k.settled = h
	return nil
}

// logKey is the key of the item that holds a change's number.
func (k *Keys) logKey(n uint64) value { return bin(fmt.Sprintf("change/%04d", n%k.logSize)) }
