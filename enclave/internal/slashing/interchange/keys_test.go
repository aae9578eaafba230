package interchange

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// TestKeysAreBounded: a key that is there several times counts once.
func TestKeysAreBounded(t *testing.T) {
	file := func(keys ...byte) *strings.Reader {
		entries := make([]string, len(keys))
		for i, key := range keys {
			entries[i] = fmt.Sprintf(`{"pubkey": "%s", "signed_blocks": [], "signed_attestations": []}`, bls.PublicKey{key})
		}
		return strings.NewReader(fmt.Sprintf(`{"metadata": {"interchange_format_version": "5", "genesis_validators_root": "0x%064d"}, "data": [%s]}`,
			0, strings.Join(entries, ",")))
	}
	if c, err := read(file(1, 2, 1), eth2.Root{}, 2); err != nil || len(c.Records) != 2 {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := read(file(1, 2, 1, 3), eth2.Root{}, 2); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "data[3]: ") || !strings.Contains(err.Error(), "more than 2 keys") {
		t.Errorf("%v", err)
	}
}
