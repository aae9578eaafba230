package dynamodb

import (
	"context"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// SetHighWatermark implements slashing.Ledger. That of single keys is set key by key and many at a time: after an error some may be set
// and others not, and it is to be repeated. An ErrUnavailable says that none is.
func (s *Store) SetHighWatermark(ctx context.Context, keys []bls.PublicKey, h slashing.HighWatermark) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if keys == nil {
		err := s.limit(ctx, []byte(metaKey), h)
		if err == nil {
			s.seen.Store(&h)
		}
		return err
	}
	return s.eachOf(ctx, len(keys), func(ctx context.Context, i int) error {
		return s.limit(ctx, keys[i][:], h)
	})
}

// limit sets the high watermark of an item. Unlike votes, it can be lowered as well as raised: a request that comes late, after another
// one, would undo that. So each raises the item's revision, and is void if somebody else did since it was read.
func (s *Store) limit(ctx context.Context, key []byte, h slashing.HighWatermark) error {
	w := writing{store: s}
	for {
		have, there, err := s.limits(ctx, key)
		if err != nil {
			return w.failed(err)
		}
		if !there && h == slashing.NoHighWatermark() {
			return nil
		}
		e := newExpression()
		e.require(attrRevision, revision(have.revision))
		e.put(attrRevision, number(have.revision+1))
		e.put(attrMaxSlot, height(h.Slot))
		e.put(attrMaxEpoch, height(h.Epoch))
		if string(key) == metaKey {
			e.require(attrStoreID, text(s.id))
		}
		request := e.update(s.table, key)
		err = w.send(ctx, func(ctx context.Context) error {
			_, err := s.client.UpdateItem(ctx, request)
			return err
		})
		if _, changed := dynamoclient.Standing(err); !changed {
			return err
		}
	}
}

// limits reads the high watermark of an item, and whether it has, or had, one.
func (s *Store) limits(ctx context.Context, key []byte) (l limits, there bool, err error) {
	if string(key) == metaKey {
		got, err := s.meta(ctx)
		return got.limits, true, err
	}
	found, err := s.get(ctx, key)
	if err != nil {
		return limits{}, false, err
	}
	r := reader{item: found}
	l = r.limits()
	if r.err != nil {
		return limits{}, false, unavailable(r.err)
	}
	return l, l.revision > 0 || l.high != slashing.NoHighWatermark(), nil
}

// revision is absent before the first.
func revision(n uint64) value {
	if n == 0 {
		return nil
	}
	return number(n)
}

// height is absent if it limits nothing.
func height(n uint64) value {
	if n == slashing.MaxHeight {
		return nil
	}
	return number(n)
}

// HighWatermark implements slashing.Ledger.
func (s *Store) HighWatermark(ctx context.Context) (slashing.HighWatermark, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return slashing.HighWatermark{}, err
	}
	defer leave()
	got, err := s.meta(ctx)
	return got.high, err
}

// KeyHighWatermarks implements slashing.Ledger. It reads the whole table.
func (s *Store) KeyHighWatermarks(ctx context.Context) (map[bls.PublicKey]slashing.HighWatermark, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if _, err := s.meta(ctx); err != nil { // another store than at Open
		return nil, err
	}
	single := map[bls.PublicKey]slashing.HighWatermark{}
	err = s.scan(ctx, attrMaxSlot, attrMaxEpoch, func(r row) error {
		single[r.record.Key] = r.high
		return nil
	})
	if err != nil {
		return nil, err
	}
	return single, nil
}
