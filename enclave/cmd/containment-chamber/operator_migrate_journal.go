package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// journal is the file of the keys that have passed, one on each line after a title. The zero journal keeps nothing.
type journal struct {
	file *os.File
	done map[bls.PublicKey]bool
}

// openJournal reads the file at path, or makes it. One of another comparison is refused: what passed there says nothing here.
func openJournal(path, title string) (*journal, error) {
	if path == "" {
		return &journal{}, nil
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, usageError{fmt.Errorf("--resume: %w", err)}
	}
	j := &journal{file: file}
	if err := j.read(title); err != nil {
		j.close()
		return nil, usageError{fmt.Errorf("--resume %s: %w", path, err)}
	}
	return j, nil
}

func (j *journal) read(title string) error {
	text, err := io.ReadAll(io.LimitReader(j.file, maxKeyList))
	if err != nil {
		return err
	}
	end := strings.LastIndexByte(string(text), '\n') + 1 // what follows was cut off when it was written
	first, rest, _ := strings.Cut(string(text[:end]), "\n")
	var keys keySet
	switch {
	case len(text) == 0:
		_, err := j.file.WriteString(title + "\n")
		return err
	case first != title:
		return errors.New("it is of another comparison, or no such file at all: name another one")
	case rest != "":
		if err := keys.addLines(strings.NewReader(rest)); err != nil {
			return err
		}
	}
	j.done = keysIn(keys.list)
	_, err = j.file.Seek(int64(end), io.SeekStart) // the next line is longer than one that was cut off
	return err
}

// left are the keys that have not passed before.
func (j *journal) left(keys []bls.PublicKey) (left []bls.PublicKey) {
	for _, key := range keys {
		if !j.done[key] {
			left = append(left, key)
		}
	}
	return left
}

func (j *journal) add(key bls.PublicKey) error {
	if j.file == nil {
		return nil
	}
	if _, err := j.file.WriteString(key.String() + "\n"); err != nil {
		return fmt.Errorf("--resume: %w", err)
	}
	return nil
}

func (j *journal) close() {
	if j.file != nil {
		_ = j.file.Close() // every line was written as it came; one that is lost is compared again
	}
}
