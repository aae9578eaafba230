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

// Backup writes all of the signer state, and other sections, as ciphertext. The file is whole only if it returns nil.
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
	if after.Chamber != m.Chamber || after.rotating() != m.rotating() {
		return errors.New("a rotation of the master key began or ended meanwhile, so that not all of it could be opened: try again")
	}
	return out.end()
}

// current reads the manifest.
func (c *Chamber) current(ctx context.Context) (*manifest, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.read(ctx)
	if err == nil && s.m == nil {
		err = ErrUninitialized
	}
	return s.m, err
}

// collect reads the whole signer state, with the manifest as the last record.
func (c *Chamber) collect(ctx context.Context) (*manifest, []Record, error) {
	for range attempts {
		m, err := c.current(ctx)
		if err != nil {
			return nil, nil, err
		}
		listed, err := c.o.State.List(ctx)
		if err != nil {
			return nil, nil, err
		}
		var records []Record
		for _, l := range append(listed, store.Listed{Name: manifestName}) {
			if l.Name == manifestName && l.Version != 0 {
				continue
			}
			item, err := c.o.State.Get(ctx, l.Name)
			if errors.Is(err, store.ErrNotFound) {
				continue // removed since; if it is needed the manifest has changed too
			}
			if err != nil {
				return nil, nil, err
			}
			records = append(records, Record{Section: stateSection, Name: item.Name, Version: item.Version, Body: item.Body})
		}
		if len(records) == 0 {
			return nil, nil, fmt.Errorf("%w: there is no manifest any more", ErrRolledBack)
		}
		last, err := parseManifest(records[len(records)-1].Body)
		if err != nil {
			return nil, nil, err
		}
		if last.Version == m.Version {
			return m, records, nil
		}
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
