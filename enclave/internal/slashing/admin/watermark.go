package admin

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Limit is a high watermark: the greatest slot of a block and the greatest target epoch of an attestation that are signed. What is nil
// is not limited.
type Limit struct {
	Slot  *uint64 `json:"slot,omitempty,string"`
	Epoch *uint64 `json:"epoch,omitempty,string"`
	// OnlyLower leaves what is set lower already.
	OnlyLower bool `json:"-"`
}

// KeyLimit is that of one key, beside that of all keys: the lower ones count.
type KeyLimit struct {
	Pubkey string `json:"pubkey"`
	Limit
}

// HighWatermarks are those of all keys, also of keys to come, and those of single keys, in the order of the keys.
type HighWatermarks struct {
	All  Limit      `json:"all"`
	Keys []KeyLimit `json:"keys"`
}

// limitOf leaves out what limits nothing.
func limitOf(h slashing.HighWatermark) (l Limit) {
	if h.Slot < slashing.MaxHeight {
		l.Slot = &h.Slot
	}
	if h.Epoch < slashing.MaxHeight {
		l.Epoch = &h.Epoch
	}
	return l
}

// String is the limit in words.
func (l Limit) String() string {
	if l == (Limit{}) {
		return "none"
	}
	return fmt.Sprintf("slot %s, epoch %s", heightText(l.Slot), heightText(l.Epoch))
}

// String is one line for all keys, and one for each key that has its own.
func (h HighWatermarks) String() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "all keys  %s\n", h.All)
	for _, k := range h.Keys {
		fmt.Fprintf(&b, "%s  %s\n", k.Pubkey, k.Limit)
	}
	return b.String()
}

// HighWatermarks reads all of them.
func (a *Admin) HighWatermarks(ctx context.Context) (HighWatermarks, error) {
	if _, err := a.identify(ctx); err != nil {
		return HighWatermarks{}, err
	}
	all, single, err := a.watermarks(ctx)
	if err != nil {
		return HighWatermarks{}, err
	}
	h := HighWatermarks{All: limitOf(all), Keys: make([]KeyLimit, 0, len(single))}
	keys := slices.SortedFunc(maps.Keys(single), func(a, b bls.PublicKey) int { return bytes.Compare(a[:], b[:]) })
	for _, key := range keys {
		h.Keys = append(h.Keys, KeyLimit{Pubkey: key.String(), Limit: limitOf(single[key])})
	}
	return h, nil
}

func (a *Admin) watermarks(ctx context.Context) (all slashing.HighWatermark, single map[bls.PublicKey]slashing.HighWatermark, err error) {
	all, err = a.ledger.HighWatermark(ctx)
	if err == nil {
		single, err = a.ledger.KeyHighWatermarks(ctx)
	}
	if err != nil {
		return all, nil, unread(fmt.Errorf("read the high watermarks: %w", err))
	}
	return all, single, nil
}

// SetHighWatermark sets that of each of the keys, which must differ, or that of all keys if there are none. A height that is nil stays as it
// is. No signature above is made by a signer whose check of the record begins after the return; two who set different
// heights at once may undo each other's. It returns what is set now.
func (a *Admin) SetHighWatermark(ctx context.Context, l Limit, keys []bls.PublicKey) (HighWatermarks, error) {
	if l == (Limit{}) {
		return HighWatermarks{}, malformed("want slot, or epoch, or both")
	}
	if err := recordable(l.Slot, l.Epoch); err != nil {
		return HighWatermarks{}, err
	}
	return a.change(ctx, keys, l.over)
}

// RemoveHighWatermark takes it away again.
func (a *Admin) RemoveHighWatermark(ctx context.Context, keys []bls.PublicKey) (HighWatermarks, error) {
	return a.change(ctx, keys, func(slashing.HighWatermark) slashing.HighWatermark { return slashing.NoHighWatermark() })
}

// over is h with the heights that the limit has.
func (l Limit) over(h slashing.HighWatermark) slashing.HighWatermark {
	if l.Slot != nil && (!l.OnlyLower || *l.Slot < h.Slot) {
		h.Slot = *l.Slot
	}
	if l.Epoch != nil && (!l.OnlyLower || *l.Epoch < h.Epoch) {
		h.Epoch = *l.Epoch
	}
	return h
}

// change sets what next makes of each high watermark: keys that get the same one in one step.
func (a *Admin) change(ctx context.Context, keys []bls.PublicKey, next func(slashing.HighWatermark) slashing.HighWatermark) (HighWatermarks, error) {
	if err := a.pin(ctx); err != nil {
		return HighWatermarks{}, err
	}
	all, single, err := a.watermarks(ctx)
	if err != nil {
		return HighWatermarks{}, err
	}
	together := make(map[slashing.HighWatermark][]bls.PublicKey)
	if keys == nil {
		together[next(all)] = nil
	}
	for _, key := range keys {
		have, ok := single[key]
		if !ok {
			have = slashing.NoHighWatermark()
		}
		h := next(have)
		together[h] = append(together[h], key)
	}
	some := false
	for h, keys := range together {
		if err := a.ledger.SetHighWatermark(ctx, keys, h); err != nil {
			err = fmt.Errorf("set the high watermark: %w", err)
			if some {
				return HighWatermarks{}, problem.Wrap(problem.StoreUnavailable, err,
					"the high watermark of some of the keys is set, that of the others perhaps not; the same can be asked again")
			}
			return HighWatermarks{}, undone(err)
		}
		some = true
	}
	h, err := a.HighWatermarks(ctx)
	if err != nil {
		return HighWatermarks{}, problem.Wrap(problem.StoreUnavailable, err, "the high watermark is set as asked, but could not be read back")
	}
	return h, nil
}
