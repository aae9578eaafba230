package app

import (
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// NetworkOf is the network that the configuration names or describes.
func NetworkOf(c *config.Config) (*eth2.Network, error) {
	if c.Network != "custom" {
		return eth2.NetworkByName(c.Network)
	}
	custom, err := describe(c.CustomNetwork)
	if err == nil {
		var network *eth2.Network
		if network, err = eth2.NewCustomNetwork(custom); err == nil {
			return network, nil
		}
	}
	return nil, fmt.Errorf("custom_network: %w", err)
}

// describe reads what the configuration holds as text.
func describe(c config.CustomNetwork) (n eth2.CustomNetwork, err error) {
	n.GenesisTime, n.SlotsPerEpoch, n.SecondsPerSlot = c.GenesisTime, c.SlotsPerEpoch, c.SecondsPerSlot
	if n.ValidatorsRoot, err = eth2.ParseRoot(c.GenesisValidatorsRoot); err != nil {
		return n, fmt.Errorf("genesis_validators_root: %w", err)
	}
	if n.GenesisForkVersion, err = eth2.ParseVersion(c.GenesisForkVersion); err != nil {
		return n, fmt.Errorf("genesis_fork_version: %w", err)
	}
	n.Forks = make([]eth2.ForkVersion, len(c.Forks))
	for i, f := range c.Forks {
		n.Forks[i].Name = f.Name
		if n.Forks[i].Version, err = eth2.ParseVersion(f.Version); err != nil {
			return n, fmt.Errorf("forks[%d].version: %w", i, err)
		}
	}
	return n, nil
}
