package chamber

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// Listed is the answer of the list of stored keys.
type Listed struct {
	Data []ListedKey `json:"data"`
}

// ListedKey is a stored key in the list.
type ListedKey struct {
	Pubkey  string    `json:"pubkey"`
	Status  string    `json:"status"` // active or inactive
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	Backup  bool      `json:"backup"` // whether the encrypted mnemonic stands beside it
	Usable  bool      `json:"usable"` // as far as it is known: a key that is not loaded is not opened for this
	Reason  string    `json:"reason,omitempty"`
}

// listedKey is what is held of each key until all are known: there may be 100,000.
type listedKey struct {
	public           bls.PublicKey
	created, updated int64 // in milliseconds
	status           store.Status
	backup           bool
	fault            string
}

// listKeys tells of the stored keys that the caller may see, in ascending order. It writes them one by one: all of them may have 20 MB.
func (a *API) listKeys(w http.ResponseWriter, r *http.Request, e *event) (any, error) {
	if err := none(r); err != nil {
		return nil, err
	}
	caller := api.Caller(r)
	var keys []listedKey
	err := a.o.Lister.List(r.Context(), func(item store.Key, backup bool, fault error) error {
		if !caller.Sees(auth.ChamberKeysList, item.PublicKey) {
			return nil
		}
		k := listedKey{item.PublicKey, item.Created.UnixMilli(), item.Updated.UnixMilli(), item.Status, backup, ""}
		if fault != nil {
			k.fault = fault.Error()
		}
		keys = append(keys, k)
		return nil
	})
	if err == nil {
		err = a.o.Chamber.Sealed() // meanwhile: what is said of single keys would not be right
	}
	if err != nil {
		return nil, refused(err)
	}
	slices.SortFunc(keys, func(a, b listedKey) int { return bytes.Compare(a.public[:], b.public[:]) })
	e.fields = []zap.Field{zap.Int("listed", len(keys))}
	return nil, writeList(w, keys)
}

func writeList(w http.ResponseWriter, keys []listedKey) error {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	out := bufio.NewWriterSize(w, 32<<10)
	_, _ = out.WriteString(`{"data":[`) // a bufio.Writer keeps its error for Flush
	for i, k := range keys {
		if i > 0 {
			_ = out.WriteByte(',')
		}
		text, err := json.Marshal(ListedKey{
			Pubkey: k.public.String(), Status: k.status.String(), Created: time.UnixMilli(k.created).UTC(), Updated: time.UnixMilli(k.updated).UTC(),
			Backup: k.backup, Usable: k.fault == "", Reason: k.fault,
		})
		if err != nil {
			return err
		}
		_, _ = out.Write(text)
	}
	_, _ = out.WriteString("]}\n")
	return out.Flush()
}

// KeyBackup is the answer of the call for the backup of a key.
type KeyBackup struct {
	Pubkey string `json:"pubkey"`
	Backup string `json:"backup"` // the text of an age file
}

// keyBackup returns the encrypted mnemonic that a key was made of, to whoever may make such keys: they got it when it was made, if the answer
// reached them.
func (a *API) keyBackup(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	if err := none(r); err != nil {
		return nil, err
	}
	key, err := bls.ParsePublicKey(r.PathValue("pubkey"))
	if err != nil {
		return nil, problem.New(problem.Malformed, "pubkey: %v", err)
	}
	e.fields = []zap.Field{zap.Stringer("pubkey", key)}
	if err := api.Caller(r).MayFor(auth.ChamberKeysGenerate, key); err != nil {
		return nil, err
	}
	backup, err := a.o.Lister.Backup(r.Context(), key)
	switch {
	case isNotFound(err):
		return nil, problem.New(problem.NotFound, "key %s is not stored", key)
	case err != nil:
		return nil, refused(err)
	case len(backup) == 0:
		return nil, problem.New(problem.NotFound, "no backup is stored beside key %s", key)
	}
	return KeyBackup{Pubkey: key.String(), Backup: string(backup)}, nil
}
