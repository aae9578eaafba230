package eth2

import (
	"errors"
	"fmt"
	"strings"
)

// CustomNetwork describes a chain that is in no table, as its operators publish it.
type CustomNetwork struct {
	ValidatorsRoot     Root // genesis validators root
	GenesisForkVersion Version
	GenesisTime        uint64 // the start of slot 0 in Unix seconds; zero if it is not known
	SlotsPerEpoch      uint64 // 32 in the mainnet preset, 8 in the minimal one
	SecondsPerSlot     uint64
	// Forks are those after phase0, from altair on in the order of Fork and without a gap. Those at the end may be
	// left out; requests then name a version that is not known.
	Forks []ForkVersion
}

// ForkVersion is a fork's name, in either case, and its version.
type ForkVersion struct {
	Name    string
	Version Version
}

// NewCustomNetwork returns the network, whose Name is "custom". An error names the
// entry that cannot be right.
func NewCustomNetwork(c CustomNetwork) (*Network, error) {
	switch {
	case c.ValidatorsRoot == Root{}:
		return nil, errors.New("genesis validators root: is zero")
	case c.SlotsPerEpoch == 0:
		return nil, errors.New("slots per epoch: is zero")
	case c.SecondsPerSlot == 0:
		return nil, errors.New("seconds per slot: is zero")
	}
	n := &Network{
		Name:               "custom",
		ValidatorsRoot:     c.ValidatorsRoot,
		GenesisForkVersion: c.GenesisForkVersion,
		GenesisTime:        c.GenesisTime,
		SlotsPerEpoch:      c.SlotsPerEpoch,
		SecondsPerSlot:     c.SecondsPerSlot,
		Versions:           []Version{c.GenesisForkVersion},
	}
	for i, f := range c.Forks {
		next := Altair + Fork(min(i, int(Gloas)))
		if !strings.EqualFold(f.Name, next.String()) {
			return nil, fmt.Errorf("forks[%d]: %s", i, wrongFork(f.Name, next))
		}
		if earlier := n.fork(f.Version); earlier != 0 {
			return nil, fmt.Errorf("forks[%d]: %s has the version of %s, %s", i, next, earlier, f.Version)
		}
		n.Versions = append(n.Versions, f.Version)
	}
	return n, nil
}

// wrongFork says why a fork of that name cannot stand where next should.
func wrongFork(name string, next Fork) string {
	f, ok := ParseFork(name)
	switch {
	case !ok:
		return fmt.Sprintf("%q is not a fork from altair to gloas", name)
	case next > Gloas:
		return fmt.Sprintf("%s comes after gloas", f)
	}
	return fmt.Sprintf("%s stands where %s should", f, next)
}
