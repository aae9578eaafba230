package chamber

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

const (
	backupFormat = 1
	backupType   = "containment-chamber backup"
	// maxLine is more than the largest item takes in base64, in bytes.
	maxLine = 1 << 20
	// stateSection is the section of the signer state.
	stateSection = "state"
)

// A backup is text, a JSON object on each line: the header, records, and an end with their number and the SHA-256 of all lines before. All
// bodies are ciphertext. The hash finds damage; only the master key finds forgery.

// BackupInfo is what a backup says of itself.
type BackupInfo struct {
	Format  int    `json:"format"`
	Type    string `json:"type"`
	Chamber string `json:"chamber"`
	Version uint64 `json:"version"` // of the manifest
	Created int64  `json:"created"` // seconds since 1970
	// Records is how many there are of each section. It is known when the whole file has been read.
	Records map[string]int `json:"-"`
}

// Record is one stored thing.
type Record struct {
	Section string `json:"section"`
	Name    string `json:"name"`
	Version uint64 `json:"version"`
	Status  string `json:"status,omitempty"`
	Body    []byte `json:"body"`
}

// backupEnd is the last line.
type backupEnd struct {
	End    int    `json:"end"` // records before it
	SHA256 string `json:"sha256"`
}

// Section is a part of a backup that belongs to another room.
type Section struct {
	Name string
	// Backup gives all records of the section.
	Backup func(ctx context.Context, put func(Record) error) error
	// Restore stores one. It may be called again for the same.
	Restore func(ctx context.Context, r Record) error
}

// Backup writes the manifest, the items that it names, and other sections, as ciphertext. What else stands in the signer state is left out. The
// file is whole only if it returns nil.
func (c *Chamber) Backup(ctx context.Context, w io.Writer, others ...Section) error {
	if err := c.backup(ctx, w, others); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	c.metrics.changes.WithLabelValues("backup").Inc()
	c.audit("backup", c.view.Load())
	return nil
}

func (c *Chamber) backup(ctx context.Context, w io.Writer, others []Section) error {
	m, records, err := c.collect(ctx)
	if err != nil {
		return err
	}
	out := &lines{to: bufio.NewWriter(w), sum: sha256.New()}
	if err := out.put(BackupInfo{Format: backupFormat, Type: backupType, Chamber: m.Chamber, Version: m.Version, Created: c.o.Now().Unix()}); err != nil {
		return err
	}
	for _, s := range others {
		if err := s.Backup(ctx, func(r Record) error {
			r.Section = s.Name
			return out.put(r)
		}); err != nil {
			return fmt.Errorf("section %s: %w", s.Name, err)
		}
	}
	for _, r := range records { // last, and the manifest last of all: a restore that stops half-way has not made a chamber
		if err := out.put(r); err != nil {
			return err
		}
	}
	after, err := c.current(ctx)
	if err != nil {
		return err
	}
	if after.m.Chamber != m.Chamber || after.m.rotating() != m.rotating() {
		return errors.New("a rotation of the master key began or ended meanwhile, so that not all of it could be opened: try again")
	}
	return out.end()
}

// current reads the manifest.
func (c *Chamber) current(ctx context.Context) (stored, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.read(ctx)
	if err == nil && s.m == nil {
		err = ErrUninitialized
	}
	return s, err
}

// collect reads the items that the manifest names, and the manifest as the last record. What else stands in the signer state is not the
// chamber's: whoever can write there could plant an item that a restore refuses, and with it the whole file. One that is named and is missing
// or damaged is left out, and named in the log: who restores that has all keys frozen.
func (c *Chamber) collect(ctx context.Context) (*manifest, []Record, error) {
	for range attempts {
		s, err := c.current(ctx)
		if err != nil {
			return nil, nil, err
		}
		var records []Record
		var missing []string
		for _, i := range s.m.Items {
			item, err := c.getContent(ctx, i)
			switch {
			case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrCorrupt):
				missing = append(missing, fmt.Sprintf("%s: %v", i.Name, err))
				continue
			case err != nil:
				return nil, nil, fmt.Errorf("item %s: %w", i.Name, err)
			}
			records = append(records, Record{Section: stateSection, Name: item.Name, Version: item.Version, Body: item.Body})
		}
		last, err := c.getItem(ctx, manifestName)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil, nil, fmt.Errorf("%w: there is no manifest any more", ErrRolledBack)
		case err != nil:
			return nil, nil, fmt.Errorf("read the signer state: %w", err)
		case sha256.Sum256(last.Body) != s.sum:
			continue // what was missing may have been removed
		}
		if len(missing) > 0 {
			c.o.Log.Error("items of the signer state are missing or damaged, and not in the backup", zap.Strings("items", missing))
		}
		return s.m, append(records, Record{Section: stateSection, Name: last.Name, Version: last.Version, Body: last.Body}), nil
	}
	return nil, nil, errors.New("the signer state changes all the time: try again")
}

// lines writes lines and hashes them.
type lines struct {
	to    *bufio.Writer
	sum   hash.Hash
	count int // header included
}

func (l *lines) put(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	l.sum.Write(line)
	l.count++
	_, err = l.to.Write(line)
	return err
}

func (l *lines) end() error {
	if err := l.put(backupEnd{l.count - 1, hex.EncodeToString(l.sum.Sum(nil))}); err != nil {
		return err
	}
	return l.to.Flush()
}
