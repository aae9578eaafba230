package admin

import (
	"context"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Status says which store it is, and how much it has on record. In JSON a height is a decimal string, as in the eth2 API, and null
// where there is nothing on record.
type Status struct {
	Backend               string  `json:"backend"`
	StoreID               string  `json:"store_id"` // 32 hexadecimal digits
	Network               string  `json:"network"`
	GenesisValidatorsRoot *string `json:"genesis_validators_root"` // nil until a network is pinned
	Keys                  int     `json:"keys"`
	Attestations          int     `json:"attestations"`
	Blocks                int     `json:"blocks"`
	HighestSourceEpoch    *uint64 `json:"highest_source_epoch,string"`
	HighestTargetEpoch    *uint64 `json:"highest_target_epoch,string"`
	HighestSlot           *uint64 `json:"highest_slot,string"`
	HighWatermark         Limit   `json:"high_watermark"`      // of all keys
	HighWatermarkKeys     int     `json:"high_watermark_keys"` // how many keys have one of their own
}

// Status reads the whole store.
func (a *Admin) Status(ctx context.Context) (Status, error) {
	id, err := a.identify(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{Backend: a.backend, StoreID: id.ID, Network: a.network.Name}
	if id.Pinned {
		root := rootText(id.ValidatorsRoot)
		s.GenesisValidatorsRoot = &root
	}
	high, err := a.HighWatermarks(ctx)
	if err != nil {
		return Status{}, err
	}
	s.HighWatermark, s.HighWatermarkKeys = high.All, len(high.Keys)
	if err := a.each(ctx, s.count); err != nil {
		return Status{}, err
	}
	return s, nil
}

func (s *Status) count(r slashing.Record) {
	s.Keys++
	if a := r.Attestation; a != nil {
		s.Attestations++
		s.HighestSourceEpoch, s.HighestTargetEpoch = higher(s.HighestSourceEpoch, a.Source), higher(s.HighestTargetEpoch, a.Target)
	}
	if b := r.Block; b != nil {
		s.Blocks++
		s.HighestSlot = higher(s.HighestSlot, b.Slot)
	}
}

func higher(old *uint64, height uint64) *uint64 {
	if old != nil {
		height = max(height, *old)
	}
	return &height
}

// String is the status as lines of words.
func (s Status) String() string {
	pinned := "not pinned yet"
	if s.GenesisValidatorsRoot != nil {
		pinned = *s.GenesisValidatorsRoot
	}
	return fmt.Sprintf(`store                    %s %s
network                  %s
genesis validators root  %s
keys                     %d
attestations             %d, highest source epoch %s, highest target epoch %s
blocks                   %d, highest slot %s
high watermark           %s; %d keys have their own
`, s.Backend, s.StoreID, s.Network, pinned, s.Keys,
		s.Attestations, heightText(s.HighestSourceEpoch), heightText(s.HighestTargetEpoch), s.Blocks, heightText(s.HighestSlot),
		s.HighWatermark, s.HighWatermarkKeys)
}

func heightText(height *uint64) string {
	if height == nil {
		return "none"
	}
	return fmt.Sprint(*height)
}
