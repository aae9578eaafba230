package software

import (
	"crypto/sha512"
	"fmt"
	"os"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// simulatedBoot stands for the kernel, command line and first ramdisk, which a simulated enclave does not have.
const simulatedBoot = "containment-chamber simulated boot"

// Measurements are the registers that tell which program runs.
type Measurements struct{ PCR0, PCR1, PCR2 attestation.PCR }

// Measure computes what a simulated enclave that runs the executable at path shows in PCR0, PCR1 and PCR2, by the
// rule of enclave images: SHA-384(48 zero bytes || SHA-384(content)). PCR0 and PCR2 are both of the executable.
func Measure(path string) (Measurements, error) {
	program, err := os.ReadFile(path)
	if err != nil {
		return Measurements{}, fmt.Errorf("measure executable: %w", err)
	}
	image := measured(program)
	return Measurements{PCR0: image, PCR1: measured([]byte(simulatedBoot)), PCR2: image}, nil
}

func measured(content []byte) attestation.PCR {
	inner := sha512.Sum384(content)
	return extend(attestation.PCR{}, inner[:])
}

// extend is the only way in which a register changes: SHA-384(old || data).
func extend(old attestation.PCR, data []byte) attestation.PCR {
	return sha512.Sum384(append(old[:], data...))
}
