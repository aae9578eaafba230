package attestation

import (
	"encoding/hex"
	"fmt"
)

// PCRSize is the size of a register in bytes, SHA-384.
const PCRSize = 48

// registers is the number of registers an NSM has; they count from 0.
const registers = 32

// PCR is the value of one measurement register.
type PCR [PCRSize]byte

// ParsePCR reads 96 hexadecimal digits, without prefix.
func ParsePCR(s string) (PCR, error) {
	if len(s) != 2*PCRSize {
		return PCR{}, fmt.Errorf("register value has %d characters, want %d hexadecimal digits", len(s), 2*PCRSize)
	}
	var p PCR
	if _, err := hex.Decode(p[:], []byte(s)); err != nil {
		return PCR{}, fmt.Errorf("register value: %w", err)
	}
	return p, nil
}

// String is the value in 96 lower case hexadecimal digits.
func (p PCR) String() string { return hex.EncodeToString(p[:]) }

// IsZero tells whether nothing was measured. In PCR0, 1 and 2 that is the mark of debug mode.
func (p PCR) IsZero() bool { return p == PCR{} }
