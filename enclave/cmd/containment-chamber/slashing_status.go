package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// status is what "slashing status --json" prints. A height is null where there is nothing on record.
type status struct {
	Backend               string  `json:"backend"`
	StoreID               string  `json:"store_id"`
	Network               string  `json:"network"`
	GenesisValidatorsRoot *string `json:"genesis_validators_root"` // null until a network is pinned
	Keys                  int     `json:"keys"`
	Attestations          int     `json:"attestations"`
	Blocks                int     `json:"blocks"`
	HighestSourceEpoch    *uint64 `json:"highest_source_epoch"`
	HighestTargetEpoch    *uint64 `json:"highest_target_epoch"`
	HighestSlot           *uint64 `json:"highest_slot"`
}

func newSlashingStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show which store it is, and how much it has on record",
		Args:  usage(cobra.NoArgs),
	}
	load := loader(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		return withProtection(cmd.Context(), cfg, false, func(p protection) error {
			s := status{Backend: cfg.AntiSlashing.Backend, StoreID: p.identity.ID, Network: cfg.Network}
			if p.identity.Pinned {
				root := rootText(p.identity.ValidatorsRoot)
				s.GenesisValidatorsRoot = &root
			}
			err := p.Each(cmd.Context(), func(r slashing.Record) error {
				s.count(r)
				return cmd.Context().Err()
			})
			if err != nil {
				return fmt.Errorf("read the store: %w", err)
			}
			if *asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(s)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), s)
			return err
		})
	}
	return cmd
}

func (s *status) count(r slashing.Record) {
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
func (s status) String() string {
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
`, s.Backend, s.StoreID, s.Network, pinned, s.Keys,
		s.Attestations, heightText(s.HighestSourceEpoch), heightText(s.HighestTargetEpoch), s.Blocks, heightText(s.HighestSlot))
}

func heightText(height *uint64) string {
	if height == nil {
		return "none"
	}
	return fmt.Sprint(*height)
}
