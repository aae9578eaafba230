package interchange

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Write writes a minimal file: of each key the last attestation and the last block, without a root where it is not known. Read
// elsewhere, it refuses all that the records refuse. each calls its argument with every record, as slashing.Ledger's
// Each does; the same records give the same bytes. One key is one line.
func Write(w io.Writer, validatorsRoot eth2.Root, each func(func(slashing.Record) error) error) error {
	buffered := bufio.NewWriter(w) // keeps its first error until Flush
	fmt.Fprintf(buffered, `{
  "metadata": {
    "interchange_format_version": "%s",
    "genesis_validators_root": "0x%s"
  },
  "data": [`, Version, hex.EncodeToString(validatorsRoot[:]))
	separator := "\n"
	err := each(func(r slashing.Record) error {
		_, err := fmt.Fprintf(buffered, `%s    {"pubkey": "%s", "signed_blocks": [%s], "signed_attestations": [%s]}`,
			separator, r.Key, block(r.Block), attestation(r.Attestation))
		separator = ",\n"
		return err
	})
	if err != nil {
		return err
	}
	if separator != "\n" {
		fmt.Fprint(buffered, "\n  ")
	}
	fmt.Fprint(buffered, "]\n}\n")
	return buffered.Flush()
}

func block(b *slashing.Block) string {
	if b == nil {
		return ""
	}
	return fmt.Sprintf(`{"slot": "%d"%s}`, b.Slot, signingRoot(b.Root, b.RootUnknown))
}

func attestation(a *slashing.Attestation) string {
	if a == nil {
		return ""
	}
	return fmt.Sprintf(`{"source_epoch": "%d", "target_epoch": "%d"%s}`, a.Source, a.Target, signingRoot(a.Root, a.RootUnknown))
}

func signingRoot(root eth2.Root, unknown bool) string {
	if unknown {
		return ""
	}
	return `, "signing_root": "0x` + hex.EncodeToString(root[:]) + `"`
}
