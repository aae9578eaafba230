package chamber

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// maxSteps is the highest version of an item, other than the manifest, that is restored: each takes a write.
const maxSteps = 1000

// Restore loads a backup into an empty signer state. It reads all of r before it asks confirm, and nothing is written unless that returns
// nil: the backup may be old, and a chamber that goes on from an old one forgets what was revoked and frozen since. A restore that was stopped
// half-way is done again with the same file.
func (c *Chamber) Restore(ctx context.Context, r io.ReadSeeker, confirm func(BackupInfo) error, others ...Section) error {
	info, err := c.restore(ctx, r, confirm, others)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	c.metrics.changes.WithLabelValues("restore").Inc()
	c.audit("restore", &view{stored: stored{m: &manifest{Chamber: info.Chamber, Version: info.Version}}})
	return c.Refresh(ctx)
}

func (c *Chamber) restore(ctx context.Context, r io.ReadSeeker, confirm func(BackupInfo) error, others []Section) (BackupInfo, error) {
	targets := map[string]func(context.Context, Record) error{stateSection: c.restoreItem}
	for _, s := range others {
		targets[s.Name] = s.Restore
	}
	names := map[string]bool{}
	var last Record
	info, err := readBackup(r, func(r Record) error {
		if targets[r.Section] == nil {
			return fmt.Errorf("section %.40q is not known", r.Section)
		}
		if r.Section == stateSection {
			names[r.Name], last = true, r
		}
		return nil
	})
	if err != nil {
		return info, err
	}
	if err := c.mayRestore(ctx, info, last, names); err != nil {
		return info, err
	}
	if err := confirm(info); err != nil {
		return info, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return info, err
	}
	again, err := readBackup(r, func(r Record) error {
		if err := targets[r.Section](ctx, r); err != nil {
			return fmt.Errorf("%s %s: %w", r.Section, r.Name, err)
		}
		return nil
	})
	if err == nil && again.Version != info.Version {
		err = errors.New("the file has changed while it was read")
	}
	return info, err
}

// mayRestore checks that the file has a chamber, the one that is expected, and that the signer state has nothing else.
func (c *Chamber) mayRestore(ctx context.Context, info BackupInfo, last Record, names map[string]bool) error {
	m, err := parseManifest(last.Body)
	switch {
	case last.Name != manifestName:
		return fmt.Errorf("%w: the last record is not the manifest", ErrCorrupt)
	case err != nil:
		return err
	case m.Chamber != info.Chamber || m.Version != info.Version:
		return fmt.Errorf("%w: the header and the manifest are of different chambers or versions", ErrCorrupt)
	case c.o.PinnedID != "" && c.o.PinnedID != m.Chamber && (!m.rotating() || m.Previous.Chamber != c.o.PinnedID):
		return fmt.Errorf("%w: the backup is of chamber %s, and `chamber.id` is %s", ErrPinned, m.Chamber, c.o.PinnedID)
	}
	listed, err := c.o.State.List(ctx)
	if err != nil {
		return err
	}
	for _, l := range listed {
		if l.Name == manifestName {
			return ErrInitialized
		}
		if !names[l.Name] {
			return fmt.Errorf("%w: the signer state is not empty: it has item %s, which the backup has not", ErrInvalid, l.Name)
		}
	}
	return nil
}

// restoreItem writes an item. Stores begin with version 1; the manifest has its own version inside, for others the version is part of what
// they are sealed with.
func (c *Chamber) restoreItem(ctx context.Context, r Record) error {
	first := r.Version
	if r.Name == manifestName {
		first, r.Version = 1, 1
	} else if item, err := c.o.State.Get(ctx, r.Name); errors.Is(err, store.ErrNotFound) {
		first = 1
	} else if err != nil {
		return err
	} else {
		first = min(item.Version+1, first) // an earlier try got so far; if all the way, the same is written again
	}
	if r.Version > maxSteps {
		return fmt.Errorf("%w: version %d, more than %d", ErrInvalid, r.Version, maxSteps)
	}
	for version := first; version <= r.Version; version++ {
		if err := c.putItem(ctx, store.Item{Name: r.Name, Version: version, Body: r.Body}); err != nil {
			return err
		}
	}
	return nil
}

// readBackup gives the records of a backup and checks the hash in the end: what was given before is not checked when an error is returned.
func readBackup(r io.Reader, record func(Record) error) (BackupInfo, error) {
	info := BackupInfo{Records: map[string]int{}}
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), maxLine)
	sum := sha256.New()
	for n := -1; in.Scan(); n++ { // records seen
		line := in.Bytes()
		end := backupEnd{}
		switch {
		case n < 0:
			if err := json.Unmarshal(line, &info); err != nil || info.Type != backupType {
				return info, fmt.Errorf("%w: not a backup of a chamber", ErrCorrupt)
			}
			if info.Format > backupFormat {
				return info, fmt.Errorf("%w: backup of format %d, this release reads %d", ErrNewer, info.Format, backupFormat)
			}
		case strict(line, &end) == nil:
			if end.End != n || end.SHA256 != hex.EncodeToString(sum.Sum(nil)) || in.Scan() {
				return info, fmt.Errorf("%w: the backup's checksum is wrong, or it goes on after its end", ErrCorrupt)
			}
			return info, nil
		default:
			rec := Record{}
			if err := strict(line, &rec); err != nil {
				return info, fmt.Errorf("%w: line %d: %w", ErrCorrupt, n+2, err)
			}
			info.Records[rec.Section]++
			if err := record(rec); err != nil {
				return info, err
			}
		}
		sum.Write(line)
		sum.Write([]byte{'\n'})
	}
	if err := in.Err(); err != nil {
		return info, fmt.Errorf("read the backup: %w", err)
	}
	return info, fmt.Errorf("%w: the backup ends before its end", ErrCorrupt)
}

// strict reads a line that has no other fields.
func strict(line []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	return decoder.Decode(v)
}
