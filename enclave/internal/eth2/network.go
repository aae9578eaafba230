package eth2

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"
)

// Version is a fork version, as it goes into a domain.
type Version [4]byte

// String is 0x and 8 lower-case digits.
func (v Version) String() string { return "0x" + hex.EncodeToString(v[:]) }

// ParseVersion reads 0x and 8 hexadecimal digits of either case.
func ParseVersion(s string) (Version, error) {
	var v Version
	err := parseHex(v[:], s)
	return v, err
}

// ParseRoot reads 0x and 64 hexadecimal digits of either case.
func ParseRoot(s string) (Root, error) {
	var r Root
	err := parseHex(r[:], s)
	return r, err
}

// parseHex fills dst, or leaves it zero.
func parseHex(dst []byte, s string) error {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok {
		return fmt.Errorf("%q does not begin with 0x", s)
	}
	if len(digits) != 2*len(dst) {
		return fmt.Errorf("%q has %d hexadecimal digits, want %d", s, len(digits), 2*len(dst))
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return fmt.Errorf("%q is not hexadecimal", s)
	}
	copy(dst, b)
	return nil
}

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

// ParseFork returns the fork with a name, in either case; ok is false if there is none.
func ParseFork(name string) (f Fork, ok bool) {
	for f := Phase0; f <= Gloas; f++ {
		if strings.EqualFold(name, f.String()) {
			return f, true
		}
	}
	return 0, false
}

// Network is what a signer must know of a chain beyond what a request says. It knows versions and no epochs, so
// that scheduling a fork whose version is listed needs no release.
type Network struct {
	Name string
	// ValidatorsRoot is the genesis validators root, which the network guard compares.
	ValidatorsRoot Root
	// GenesisForkVersion is what validator registrations and builder request auths are signed for.
	GenesisForkVersion Version
	// GenesisTime is the start of slot 0 in Unix seconds.
	GenesisTime uint64
	// SlotsPerEpoch and SecondsPerSlot are the chain's time. Zero slots are the 32 of the mainnet preset.
	SlotsPerEpoch, SecondsPerSlot uint64
	// Versions are the fork versions from Phase0 on, in the order of Fork. A fork whose version is not fixed yet
	// is not listed; without any, every version is unknown.
	Versions []Version
}

// fork is the fork with a version, or zero if no fork of the network's table has it.
func (n *Network) fork(v Version) Fork {
	for i, known := range n.Versions {
		if v == known {
			return Phase0 + Fork(i)
		}
	}
	return 0
}

// EpochOf is the epoch that a slot is in.
func (n *Network) EpochOf(slot uint64) uint64 { return slot / cmp.Or(n.SlotsPerEpoch, 32) }
