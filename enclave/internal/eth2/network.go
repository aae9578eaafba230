package eth2

import (
	"encoding/hex"
	"fmt"
)

// Slot timing, the same in every supported network.
const (
	SlotsPerEpoch  = 32
	SecondsPerSlot = 12
)

// Version is a fork version, as it goes into a domain.
type Version [4]byte

// String is 0x and 8 lower-case digits.
func (v Version) String() string { return "0x" + hex.EncodeToString(v[:]) }

// Fork is an upgrade of the consensus layer. Zero is no known fork.
type Fork uint8

// The forks, oldest first, so that they can be compared.
const (
	Phase0 Fork = iota + 1
	Altair
	Bellatrix
	Capella
	Deneb
	Electra
	Fulu
	Gloas
)

// String is the fork's name in lower case.
func (f Fork) String() string {
	switch f {
	case Phase0:
		return "phase0"
	case Altair:
		return "altair"
	case Bellatrix:
		return "bellatrix"
	case Capella:
		return "capella"
	case Deneb:
		return "deneb"
	case Electra:
		return "electra"
	case Fulu:
		return "fulu"
	case Gloas:
		return "gloas"
	}
	return "unknown"
}

// Network is what a signer must know of a chain beyond what a request says. It knows versions and no epochs, so
// that scheduling a fork whose version is listed needs no release.
type Network struct {
	Name string
	// ValidatorsRoot is the genesis validators root, which the network guard compares.
	ValidatorsRoot Root
	// GenesisForkVersion is what validator registrations are signed for.
	GenesisForkVersion Version
	// GenesisTime is the start of slot 0 in Unix seconds.
	GenesisTime uint64
	// Versions are the fork versions from Phase0 on, in the order of Fork. A fork whose version is not fixed yet
	// is not listed; without any, every version is unknown.
	Versions []Version
}

// NetworkByName returns mainnet, sepolia or hoodi. The numbers are those of the repositories
// github.com/eth-clients/{mainnet,sepolia,hoodi}.
func NetworkByName(name string) (*Network, error) {
	switch name {
	case "mainnet":
		return mainnet(), nil
	case "sepolia":
		return sepolia(), nil
	case "hoodi":
		return hoodi(), nil
	}
	return nil, fmt.Errorf("network %q is not known: use mainnet, sepolia or hoodi", name)
}

func mainnet() *Network {
	return &Network{
		Name: "mainnet",
		ValidatorsRoot: Root{
			0x4b, 0x36, 0x3d, 0xb9, 0x4e, 0x28, 0x61, 0x20, 0xd7, 0x6e, 0xb9, 0x05, 0x34, 0x0f, 0xdd, 0x4e,
			0x54, 0xbf, 0xe9, 0xf0, 0x6b, 0xf3, 0x3f, 0xf6, 0xcf, 0x5a, 0xd2, 0x7f, 0x51, 0x1b, 0xfe, 0x95,
		},
		GenesisForkVersion: Version{0x00, 0, 0, 0},
		GenesisTime:        1606824023,
		Versions: []Version{
			{0x00, 0, 0, 0},
			{0x01, 0, 0, 0},
			{0x02, 0, 0, 0},
			{0x03, 0, 0, 0},
			{0x04, 0, 0, 0},
			{0x05, 0, 0, 0},
			{0x06, 0, 0, 0},
			{0x07, 0, 0, 0},
		},
	}
}

func sepolia() *Network {
	return &Network{
		Name: "sepolia",
		ValidatorsRoot: Root{
			0xd8, 0xea, 0x17, 0x1f, 0x3c, 0x94, 0xae, 0xa2, 0x1e, 0xbc, 0x42, 0xa1, 0xed, 0x61, 0x05, 0x2a,
			0xcf, 0x3f, 0x92, 0x09, 0xc0, 0x0e, 0x4e, 0xfb, 0xaa, 0xdd, 0xac, 0x09, 0xed, 0x9b, 0x80, 0x78,
		},
		GenesisForkVersion: Version{0x90, 0, 0, 0x69},
		GenesisTime:        1655733600,
		Versions: []Version{
			{0x90, 0, 0, 0x69},
			{0x90, 0, 0, 0x70},
			{0x90, 0, 0, 0x71},
			{0x90, 0, 0, 0x72},
			{0x90, 0, 0, 0x73},
			{0x90, 0, 0, 0x74},
			{0x90, 0, 0, 0x75},
			{0x90, 0, 0, 0x76},
		},
	}
}

func hoodi() *Network {
	return &Network{
		Name: "hoodi",
		ValidatorsRoot: Root{
			0x21, 0x2f, 0x13, 0xfc, 0x4d, 0xf0, 0x78, 0xb6, 0xcb, 0x7d, 0xb2, 0x28, 0xf1, 0xc8, 0x30, 0x75,
			0x66, 0xdc, 0xec, 0xf9, 0x00, 0x86, 0x74, 0x01, 0xa9, 0x20, 0x23, 0xd7, 0xba, 0x99, 0xcb, 0x5f,
		},
		GenesisForkVersion: Version{0x10, 0, 0x09, 0x10},
		GenesisTime:        1742213400,
		Versions: []Version{
			{0x10, 0, 0x09, 0x10},
			{0x20, 0, 0x09, 0x10},
			{0x30, 0, 0x09, 0x10},
			{0x40, 0, 0x09, 0x10},
			{0x50, 0, 0x09, 0x10},
			{0x60, 0, 0x09, 0x10},
			{0x70, 0, 0x09, 0x10},
		},
	}
}

// fork is the fork with a version, or zero if the network's table has none.
func (n *Network) fork(v Version) Fork {
	for i, known := range n.Versions {
		if v == known {
			return Phase0 + Fork(i)
		}
	}
	return 0
}
