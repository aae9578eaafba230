package chamber

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// sectionKeys is the section of the stored keys in a backup.
const sectionKeys = "keys"

// Table is what a backup asks of the stored keys. [stored.Source] says what the calls mean.
type Table interface {
	Export(ctx context.Context) (items []store.Key, leftOut int, err error)
	Restore(ctx context.Context, item store.Key) error
}

// StoredKeys is the section of a backup that has the stored keys, sealed as they are. When they were made and changed is not in it.
func StoredKeys(t Table) chamber.Section {
	return chamber.Section{
		Name: sectionKeys,
		Backup: func(ctx context.Context, put func(chamber.Record) error) error {
			items, _, err := t.Export(ctx) // what it leaves out is in the log: the file has no place for it
			if err != nil {
				return err
			}
			for _, item := range items {
				if err := put(chamber.Record{Name: hex.EncodeToString(item.PublicKey[:]), Version: item.Version, Status: item.Status.String(), Body: item.Body}); err != nil {
					return err
				}
			}
			return nil
		},
		Restore: func(ctx context.Context, r chamber.Record) error {
			item := store.Key{Version: r.Version, Body: r.Body}
			public, err := hex.DecodeString(r.Name)
			if err != nil || len(public) != len(item.PublicKey) {
				return fmt.Errorf("%w: name %.100q is not a public key", chamber.ErrCorrupt, r.Name)
			}
			item.PublicKey = [48]byte(public)
			if item.Status, err = store.ParseStatus(r.Status); err != nil {
				return fmt.Errorf("%w: %w", chamber.ErrCorrupt, err)
			}
			return t.Restore(ctx, item)
		},
	}
}
