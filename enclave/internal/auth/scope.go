package auth

import (
	"fmt"
	"slices"
	"strings"
)

// Scope is what a call does, as a rule names it.
type Scope string

// The scopes. Whoever may [Sign] may list the public keys that he may sign with.
const (
	Sign       Scope = "sign"        // signatures, of one key or many
	PublicKeys Scope = "public_keys" // the public keys that are loaded, and the high watermark

	ListKeys        Scope = "list_keys"        // Key Manager API
	ImportKeystores Scope = "import_keystores" // the same
	DeleteKeys      Scope = "delete_keys"      // the same
	Reload          Scope = "reload"           // reads the keys in files again

	ChamberKeysList     Scope = "chamber_keys_list"
	ChamberKeysGenerate Scope = "chamber_keys_generate"
	ChamberKeysImport   Scope = "chamber_keys_import"
	ChamberKeysPatch    Scope = "chamber_keys_patch"
	ChamberKeysDelete   Scope = "chamber_keys_delete"

	ChamberStatus Scope = "chamber_status" // everything about a running signer but secrets
	ChamberSeal   Scope = "chamber_seal"   // stops signatures: seal, freeze
	ChamberRotate Scope = "chamber_rotate" // of KMS keys, master key, slashing store

	SlashingRead  Scope = "slashing_read"  // status and export of the record
	SlashingWrite Scope = "slashing_write" // what keeps keys from signing for good
)

// duties are the scopes of a rule that names none.
var duties = []Scope{Sign, PublicKeys} //nolint:gochecknoglobals // constant; Go has no constant lists

// ofKeys are the scopes of calls that are about single keys, which a rule may name.
var ofKeys = []Scope{ //nolint:gochecknoglobals // as above
	Sign, PublicKeys, ListKeys, ImportKeystores, DeleteKeys, ChamberKeysList, ChamberKeysGenerate, ChamberKeysImport, ChamberKeysPatch, ChamberKeysDelete,
}

// Scopes are all of them.
func Scopes() []Scope {
	return []Scope{
		Sign, PublicKeys, ListKeys, ImportKeystores, DeleteKeys, Reload,
		ChamberKeysList, ChamberKeysGenerate, ChamberKeysImport, ChamberKeysPatch, ChamberKeysDelete,
		ChamberStatus, ChamberSeal, ChamberRotate, SlashingRead, SlashingWrite,
	}
}

func (s Scope) check() error {
	if slices.Contains(Scopes(), s) {
		return nil
	}
	var names []string
	for _, known := range Scopes() {
		names = append(names, string(known))
	}
	return fmt.Errorf("%.40q is no scope, want %s", string(s), strings.Join(names, ", "))
}
