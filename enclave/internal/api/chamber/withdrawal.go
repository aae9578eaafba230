package chamber

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/sha3"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/deposit"
)

// wantedDeposit is what a request says of the deposits of new keys; nil wants none.
type wantedDeposit struct {
	address, credentials string
	amount               uint64 // Gwei; zero is deposit.DefaultAmount
}

// UnmarshalJSON implements json.Unmarshaler.
func (w *wantedDeposit) UnmarshalJSON(text []byte) error {
	return read(text, map[string]field{
		"withdrawal_address":     {(*filled)(&w.address), wantFilled, false},
		"withdrawal_credentials": {(*filled)(&w.credentials), wantFilled, false},
		"amount_gwei":            {&w.amount, "a whole number", false},
	})
}

// terms checks what was wanted.
func (w *wantedDeposit) terms(network *eth2.Network) (*deposit.Terms, error) {
	if w == nil {
		return nil, nil //nolint:nilnil // nobody wants any
	}
	var credentials [32]byte
	var err error
	switch {
	case (w.address == "") == (w.credentials == ""):
		return nil, errors.New("want either withdrawal_address or withdrawal_credentials")
	case w.address != "":
		credentials[0] = 0x01
		err = inField("withdrawal_address", parseAddress(w.address, credentials[12:]))
	default:
		err = inField("withdrawal_credentials", parseHex(w.credentials, credentials[:]))
	}
	if err != nil {
		return nil, err
	}
	terms, err := deposit.NewTerms(network, credentials, w.amount)
	return &terms, err
}

func inField(field string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// parseHex reads 0x and the digits of as many bytes as to has.
func parseHex(text string, to []byte) error {
	digits, prefixed := strings.CutPrefix(text, "0x")
	b, err := hex.DecodeString(digits)
	if !prefixed || err != nil || len(b) != len(to) {
		return fmt.Errorf("want 0x and %d hexadecimal digits", 2*len(to))
	}
	copy(to, b)
	return nil
}

// parseAddress reads an address. One in mixed case has a checksum (EIP-55), which must be right: what goes to a wrong address is lost.
func parseAddress(text string, to []byte) error {
	if err := parseHex(text, to); err != nil {
		return err
	}
	digits := text[2:]
	lower := strings.ToLower(digits)
	if digits == lower || digits == strings.ToUpper(digits) {
		return nil
	}
	h := sha3.NewLegacyKeccak256()
	_, _ = h.Write([]byte(lower))
	nibbles := hex.EncodeToString(h.Sum(nil))
	for i := range lower {
		if upper := digits[i] != lower[i]; lower[i] >= 'a' && upper != (nibbles[i] >= '8') {
			return errors.New("the checksum of its upper and lower case is wrong (EIP-55): a digit is not as it was")
		}
	}
	return nil
}
