// Package told is what the guest of the check writes to its console, for the check to judge.
package told

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Prefix begins the one line that has the facts.
const Prefix = "e2e-nsm facts: "

// EchoPort is where the parent's side sends back what it gets.
const EchoPort = 5005

// EchoBytes is how much the guest sends there.
const EchoBytes = 1 << 20

// Facts are what the guest found out before it became the signer. A check whose field is an empty string passed; other texts are errors.
type Facts struct {
	Kernel      string            `json:"kernel"`
	Version     string            `json:"version"` // of the device
	ModuleID    string            `json:"module_id"`
	MaxPCRs     int               `json:"max_pcrs"`
	Digest      string            `json:"digest"`
	Locked      []int             `json:"locked"`
	PCRs        map[string]string `json:"pcrs"` // by number, in hex
	HardwareRNG string            `json:"hardware_rng"`
	Document    []byte            `json:"document"` // of the device, as it is
	Nonce       []byte            `json:"nonce"`    // that the document was asked for with

	Echo   string `json:"echo"`   // bytes to the parent and back
	Random string `json:"random"` // GetRandom
	Fixed  string `json:"fixed"`  // registers 0 to 15 are read-only
	Extend string `json:"extend"` // ExtendPCR and LockPCR of a register of the enclave's
}

// Write writes the line.
func (f Facts) Write(w io.Writer) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", Prefix, text)
	return err
}

// Read finds the facts in a line of the console.
func Read(line string) (f Facts, found bool, err error) {
	_, text, found := strings.Cut(line, Prefix)
	if !found {
		return f, false, nil
	}
	return f, true, json.Unmarshal([]byte(text), &f)
}
