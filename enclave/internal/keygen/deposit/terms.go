package deposit

import (
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// Amounts in Gwei.
const (
	// MinAmount is the least that the deposit contract takes, 1 ETH.
	MinAmount = 1_000_000_000
	// DefaultAmount is the stake of a validator that does not compound, 32 ETH.
	DefaultAmount = 32 * MinAmount
	// MaxAmount is the most that counts, 2048 ETH, of a validator that compounds (EIP-7251).
	MaxAmount = 2048 * MinAmount
)

// Terms are what the deposits of a request have in common. The zero Terms sign nothing.
type Terms struct {
	credentials [32]byte
	amount      uint64
	forkVersion eth2.Version
	networkName string
}

// NewTerms checks withdrawal credentials and an amount in Gwei; zero is DefaultAmount. Credentials begin with 0x00, the hash of a BLS key,
// or with 0x01 or, for a validator that compounds, 0x02 and 11 zero bytes before an address. The amount is 1 to 32 ETH, with 0x02 to 2048.
// The deposits are valid on the network's chain alone.
func NewTerms(network *eth2.Network, credentials [32]byte, amount uint64) (Terms, error) {
	if amount == 0 {
		amount = DefaultAmount
	}
	if err := checkCredentials(credentials); err != nil {
		return Terms{}, fmt.Errorf("withdrawal credentials: %w", err)
	}
	most := uint64(DefaultAmount)
	if credentials[0] == 0x02 {
		most = MaxAmount
	}
	if amount < MinAmount || amount > most {
		return Terms{}, fmt.Errorf("amount: %d Gwei, want %d to %d with withdrawal credentials of type 0x%02x", amount, MinAmount, most, credentials[0])
	}
	return Terms{credentials: credentials, amount: amount, forkVersion: network.GenesisForkVersion, networkName: network.Name}, nil
}

// checkCredentials refuses what nobody could withdraw with, as far as it shows.
func checkCredentials(c [32]byte) error {
	switch {
	case c[0] > 0x02:
		return fmt.Errorf("type 0x%02x, want 0x00, 0x01 or 0x02", c[0])
	case c[0] != 0x00 && [11]byte(c[1:12]) != [11]byte{}:
		return fmt.Errorf("type 0x%02x has 11 zero bytes before the address", c[0])
	case [20]byte(c[12:]) == [20]byte{}:
		return errors.New("the last 20 bytes are zero: nobody could withdraw")
	}
	return nil
}
