package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/deposit"
)

// keyFiles are what is written of new keys.
type keyFiles struct {
	dir, stamp string
	publics    *os.File
	deposits   []deposit.Data

	Keys    int                    `json:"keys"`
	Files   []string               `json:"files"`
	Backups int                    `json:"backups"`
	Errors  []chamber.GeneratedKey `json:"errors"`
}

// openKeyFiles makes the directory and the first file, so that what cannot be written shows before there are keys.
func openKeyFiles(dir string, now time.Time) (*keyFiles, error) {
	f := &keyFiles{dir: dir, stamp: fmt.Sprint(now.Unix()), Files: []string{}, Errors: []chamber.GeneratedKey{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("--output-dir: %w", err)
	}
	var err error
	if f.publics, err = f.create("public_keys-" + f.stamp + ".txt"); err != nil {
		return nil, fmt.Errorf("--output-dir: %w", err)
	}
	return f, nil
}

// create makes a file that is not there.
func (f *keyFiles) create(name string) (*os.File, error) {
	path := filepath.Join(f.dir, name)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		f.Files = append(f.Files, path)
	}
	return file, err
}

// write makes a whole file that is on disk when it returns.
func (f *keyFiles) write(name string, text []byte) error {
	file, err := f.create(name)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// add writes what an answer has of one mnemonic, the mnemonic first.
func (f *keyFiles) add(made chamber.Generated, g generation) error {
	if made.Backup != "" {
		if err := checkAge(made.Backup); err != nil {
			return err
		}
		if err := f.write(fmt.Sprintf("backup-%s-%d.age", f.stamp, f.Backups+1), []byte(made.Backup)); err != nil {
			return err
		}
		f.Backups++
	}
	for _, k := range made.Data {
		if k.Status == chamber.Failed {
			f.Errors = append(f.Errors, k)
			continue
		}
		if _, err := fmt.Fprintf(f.publics, "%s # %s\n", shown(k.Pubkey), shown(k.Path)); err != nil {
			return err
		}
		f.Keys++
	}
	for _, d := range made.DepositData {
		if err := checkDeposit(d, g); err != nil {
			return err
		}
		f.deposits = append(f.deposits, d)
	}
	return f.publics.Sync()
}

// close writes the deposit data: launchpads want one file.
func (f *keyFiles) close() error {
	err := errors.Join(f.publics.Sync(), f.publics.Close())
	if len(f.deposits) == 0 {
		return err
	}
	text, e := json.Marshal(f.deposits)
	if e == nil {
		e = f.write("deposit_data-"+f.stamp+".json", text)
	}
	return errors.Join(err, e)
}

func (f *keyFiles) print(flags *operatorFlags) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return flags.show(text, &struct{}{}, func(row rows) {
		for _, k := range f.Errors {
			row(shown(k.Pubkey), "%s", shown(k.Message))
		}
		row("keys", "%d", f.Keys)
		row("failed", "%d", len(f.Errors))
		if f.Keys > 0 && f.Backups == 0 {
			row("backup", "none: the signer has no recipients; \"operator backup\" has all there is of these keys")
		}
		for _, path := range f.Files {
			row("file", "%s", shown(path))
		}
	})
}

func (f *keyFiles) failed(count int) error {
	if f.Keys < count {
		return fmt.Errorf("%d of %d keys were not made, or are not known to be stored", count-f.Keys, count)
	}
	return nil
}
