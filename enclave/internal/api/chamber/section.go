package chamber

import (
	"context"
	"encoding/hex"
	"fmt"
	"iter"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// sectionKeys is the section of the stored keys in a backup.
const sectionKeys = "keys"

// Table is what a backup asks of the stored keys. [stored.Source] says what the calls mean.
type Table interface {
	Export(ctx context.Context) iter.Seq2[store.Key, error]
	Restore(ctx context.Context, item store.Key) error
}

// StoredKeys is the section of a backup that has the stored keys, sealed as they are. When they were made and changed is not in it.
func StoredKeys(t Table) chamber.Section {
	return chamber.Section{
		Name: sectionKeys,
		Backup: func(ctx context.Context, put func(chamber.Record) error) error {
			for item, err := range t.Export(ctx) {
				if err == nil {
					err = put(chamber.Record{Name: hex.EncodeToString(item.PublicKey[:]), Version: item.Version, Status: item.Status.String(), Body: item.Body})
				}
				if err != nil {
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
