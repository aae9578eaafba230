package dynamodb

import (
	"context"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// pageSize is the most changes that one call of Changes tells: two small reads for each.
const pageSize = 1000

// Changes implements store.Keys.
func (k *Keys) Changes(ctx context.Context, after store.Cursor) ([]store.Key, store.Cursor, error) {
	h, err := k.head(ctx)
	if err != nil {
		return nil, after, k.named("keys", err)
	}
	to := min(h.n, uint64(after)+k.pageSize)
	changed, err := k.between(ctx, h, uint64(after), to)
	if err != nil {
		return nil, after, k.named("keys", err)
	}
	return changed, store.Cursor(to), nil
}

// between returns the keys that changes after one number and up to another made, as they are now or at least as after the change.
// The head is one that was read before.
func (k *Keys) between(ctx context.Context, h head, after, to uint64) ([]store.Key, error) {
	switch {
	case after > h.n:
		return nil, fmt.Errorf("%w: change %d is not made yet, the last one is %d", store.ErrCursor, after, h.n)
	case h.n-after > k.logSize:
		return nil, fmt.Errorf("%w: the last change is %d, and the log holds %d", store.ErrCursor, h.n, k.logSize)
	}
	publics := make([][48]byte, to-after)
	err := each(len(publics), k.client.Concurrency(), func(i int) (err error) {
		publics[i], err = k.changedBy(ctx, h, after+1+uint64(i))
		return err
	})
	if err != nil {
		return nil, err
	}
	last := map[[48]byte]uint64{} // change of each
	var distinct [][48]byte
	for i, public := range publics {
		if last[public] == 0 {
			distinct = append(distinct, public)
		}
		last[public] = after + 1 + uint64(i)
	}
	keys := make([]store.Key, len(distinct))
	err = each(len(keys), k.client.Concurrency(), func(i int) (err error) {
		keys[i], err = k.after(ctx, h, distinct[i])
		if err == nil && keys[i].Changed < last[distinct[i]] { // as after a restore, which may take some items from before others
			err = fmt.Errorf("%w: change %d of key %s is in the log and not in its item",
				store.ErrCursor, last[distinct[i]], store.Short(distinct[i]))
		}
		return err
	})
	return keys, err
}

// changedBy is the key that a change made.
func (k *Keys) changedBy(ctx context.Context, h head, n uint64) ([48]byte, error) {
	if n == h.n {
		return h.last.PublicKey, nil
	}
	found, err := k.get(ctx, item{attrPublicKey: k.logKey(n)})
	if err != nil {
		return [48]byte{}, err
	}
	r := reader{item: found}
	at, of := r.number(attrChanged), r.binary(attrChangedKey)
	if r.err != nil || at != n || len(of) != len(h.last.PublicKey) {
		return [48]byte{}, fmt.Errorf("%w: the log holds no change %d any more", store.ErrCursor, n)
	}
	return [48]byte(of), nil
}
