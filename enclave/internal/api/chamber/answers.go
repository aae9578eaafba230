package chamber

import (
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

// Done is the chamber after a call, as this replica sees it.
type Done struct {
	Status        string `json:"status"`
	Reason        string `json:"reason,omitempty"` // why it is not as it should be
	ChamberID     string `json:"chamber_id"`
	Version       uint64 `json:"version"` // of the signer state, one more with each change
	SlashingStore string `json:"slashing_store"`
	Frozen        string `json:"frozen"` // none, keys or all
	FrozenKeys    int    `json:"frozen_keys"`
}

func (a *API) done() Done {
	s := a.o.Chamber.Status()
	return Done{
		Status: s.State.String(), Reason: s.Reason, ChamberID: s.ChamberID, Version: s.Version, SlashingStore: s.SlashingStore,
		Frozen: string(s.Freeze), FrozenKeys: s.FrozenKeys,
	}
}

// Initialized is the answer of init.
type Initialized struct {
	Done
	RootToken string `json:"root_token"` // not to be had again
}

// Token is the answer of generate-root-token.
type Token struct {
	ID        string    `json:"id"`
	RootToken string    `json:"root_token"` // not to be had again
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires,omitzero"` // not there if never
}

// Backup is what restore found in a file, and did.
type Backup struct {
	SHA256    string         `json:"sha256"` // of the file: what confirms it
	ChamberID string         `json:"chamber_id"`
	Version   uint64         `json:"version"` // of the signer state in it
	Created   time.Time      `json:"created"`
	Records   map[string]int `json:"records"`  // by section
	Restored  bool           `json:"restored"` // false if it was not confirmed
	// Chamber is the chamber afterwards.
	Chamber *Done `json:"chamber,omitempty"`
}

func backupOf(sum string, info chamber.BackupInfo) Backup {
	return Backup{SHA256: sum, ChamberID: info.Chamber, Version: info.Version, Created: time.Unix(info.Created, 0).UTC(), Records: info.Records}
}

// What becomes of an imported keystore or of a key that is to be changed, in the words of the Key Manager API. A key whose status is changed
// has that for a result.
const (
	Imported  = "imported"
	Duplicate = "duplicate" // it was stored before, and is as it was
	Deleted   = "deleted"
	NotFound  = "not_found"
	Failed    = "error"
)

// KeyResults is the answer of an import or a change: what became of each keystore or key, in their order.
type KeyResults struct {
	Data []KeyResult `json:"data"`
}

// KeyResult is what became of one keystore or key.
type KeyResult struct {
	Status  string `json:"status"`
	Message string `json:"message"`          // why not
	Pubkey  string `json:"pubkey,omitempty"` // as far as it is known
}
