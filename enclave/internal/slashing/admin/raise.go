package admin

import (
	"context"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Lift says to what heights records are raised: the slot, or both epochs, or all three, each at most slashing.MaxHeight.
type Lift struct {
	Slot        *uint64 `json:"slot,omitempty,string"`
	SourceEpoch *uint64 `json:"source_epoch,omitempty,string"`
	TargetEpoch *uint64 `json:"target_epoch,omitempty,string"`
}

// record is the lift as a record without a key.
func (l Lift) record() (slashing.Record, error) {
	var r slashing.Record
	if (l.SourceEpoch == nil) != (l.TargetEpoch == nil) || l.Slot == nil && l.SourceEpoch == nil {
		return r, malformed("want slot, or source_epoch and target_epoch, or all three")
	}
	if l.Slot != nil {
		r.Block = &slashing.Block{Slot: *l.Slot, RootUnknown: true}
	}
	if l.SourceEpoch != nil {
		r.Attestation = &slashing.Attestation{Source: *l.SourceEpoch, Target: *l.TargetEpoch, RootUnknown: true}
		if r.Attestation.Source > r.Attestation.Target {
			return r, malformed("source_epoch %d is above target_epoch %d", r.Attestation.Source, r.Attestation.Target)
		}
	}
	return r, recordable(l.Slot, l.TargetEpoch)
}

func recordable(heights ...*uint64) error {
	for _, h := range heights {
		if h != nil && *h > slashing.MaxHeight {
			return malformed("%d is above %d, the highest that can be recorded", *h, uint64(slashing.MaxHeight))
		}
	}
	return nil
}

// Raise lifts the record of each of the keys, which must differ, or without any of each key on record, so that nothing at or
// below the heights is signed, except that a source may be equal. It cannot be undone.
func (a *Admin) Raise(ctx context.Context, l Lift, keys []bls.PublicKey, dryRun bool, tell Tell) (Summary, error) {
	s := Summary{DryRun: dryRun}
	lift, err := l.record()
	if err != nil {
		return s, err
	}
	var before, records []slashing.Record
	add := func(key bls.PublicKey) {
		lift.Key = key
		records = append(records, lift)
	}
	if keys == nil {
		err = a.each(ctx, func(r slashing.Record) {
			before = append(before, r)
			add(r.Key)
		})
	} else {
		for _, key := range keys {
			add(key)
		}
		before, err = a.standing(ctx, records)
	}
	if err != nil {
		return s, err
	}
	if len(records) == 0 {
		return s, malformed("the store has no key on record; name keys, or import their history")
	}
	err = a.apply(ctx, before, records, &s, tell)
	return s, err
}

// Init gives each of the keys, which must differ, the lowest record if it has none at all, so that the store knows the key: what
// has that record signs no attestation of target 0 and no block of slot 0, and everything above. It is for keys that have never signed.
// What has any record is left as it is.
func (a *Admin) Init(ctx context.Context, keys []bls.PublicKey, dryRun bool, tell Tell) (Summary, error) {
	s := Summary{DryRun: dryRun}
	if len(keys) == 0 {
		return s, malformed("want at least one key")
	}
	records := make([]slashing.Record, len(keys))
	for i, key := range keys {
		records[i].Key = key
	}
	before, err := a.standing(ctx, records)
	if err != nil {
		return s, err
	}
	for i, r := range before {
		if r.Attestation == nil && r.Block == nil {
			records[i].Attestation, records[i].Block = &slashing.Attestation{RootUnknown: true}, &slashing.Block{RootUnknown: true}
		}
	}
	err = a.apply(ctx, before, records, &s, tell)
	return s, err
}
