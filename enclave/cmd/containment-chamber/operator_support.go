package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/diagnostics"
)

// maxSupportFiles is more than a bundle has.
const maxSupportFiles = 100

// newOperatorSupportBundle makes "operator support-bundle", which asks one replica.
func newOperatorSupportBundle() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "support-bundle",
		Short: "Write what a signer knows of itself to a file, to be sent with a report",
		Long: `Write what the replica that is asked knows of itself to a FILE, a tar.gz that must not exist: its build, its configuration,
status, timings, metrics, goroutines, memory, clock, and the last lines of its log. Keys, tokens and passwords are left out; public
keys, addresses and the names of hosts and KMS keys are in it.` + operatorExit,
		Args: usage(cobra.NoArgs),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	path := cmd.Flags().String("output-file", "", "`FILE` to write, which must not exist")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *path == "" {
			return usageError{errors.New("--output-file is needed")}
		}
		if _, err := os.Lstat(*path); err == nil { // nothing is asked for in vain; when it is made it must not exist either
			return usageError{fmt.Errorf("--output-file: %s exists", *path)}
		}
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		files, err := signer.supportBundle(cmd)
		if err != nil {
			return noDiagnostics(err)
		}
		size, err := writeSupport(*path, files)
		if err != nil {
			return err
		}
		text, err := json.Marshal(supportWritten{*path, size, files})
		if err != nil {
			return err
		}
		return flags.show(text, &struct{}{}, func(row rows) {
			row("support bundle", "%s, %d bytes", shown(*path), size)
			for _, f := range files {
				row("", "%s, %d bytes", f.Name, f.Bytes)
			}
			row("secrets", "none: keys, tokens and passwords are left out; public keys, addresses and names are in it")
		})
	}
	return cmd
}

// supportWritten is the result of the command.
type supportWritten struct {
	File  string        `json:"file"`
	Bytes int64         `json:"bytes"`
	Files []supportFile `json:"files"`
}

// supportFile is one file of a bundle.
type supportFile struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
	text  []byte
}

func (s *operatorSigner) supportBundle(cmd *cobra.Command) (files []supportFile, err error) {
	req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, s.base.JoinPath(diagnostics.RouteBundle).String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	err = s.send(req, func(body io.Reader) error {
		archive, err := io.ReadAll(io.LimitReader(body, diagnostics.MaxBundle+1))
		switch {
		case err != nil:
			return err
		case len(archive) > diagnostics.MaxBundle:
			return fmt.Errorf("it has more than %d bytes", diagnostics.MaxBundle)
		}
		files, err = readSupport(archive)
		return err
	})
	return files, err
}

// readSupport takes an archive apart. It is made anew from the names and texts: nothing else of what a signer sends reaches a disk.
func readSupport(archive []byte) (files []supportFile, err error) {
	plain := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		switch {
		case errors.Is(err, io.EOF) && len(files) > 0:
			return files, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("there is nothing in the archive")
		case err != nil:
			return nil, err
		case len(files) == maxSupportFiles:
			return nil, fmt.Errorf("it has more than %d files", maxSupportFiles)
		}
		name, ok := strings.CutPrefix(header.Name, diagnostics.Folder)
		if !ok || header.Typeflag != tar.TypeReg || !plain.MatchString(name) {
			return nil, fmt.Errorf("%.80q is no file of a support bundle", header.Name)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		files = append(files, supportFile{name, len(text), text})
	}
}

// writeSupport makes a file of mode 0600 that was not there, and leaves none if that fails.
func writeSupport(path string, files []supportFile) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, usageError{fmt.Errorf("--output-file: %w", err)}
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(path))
		}
	}()
	if err := errors.Join(packSupport(f, files, time.Now()), f.Sync()); err != nil {
		return 0, errors.Join(err, f.Close())
	}
	info, err := f.Stat()
	if err != nil {
		return 0, errors.Join(err, f.Close())
	}
	return info.Size(), f.Close()
}

func packSupport(w io.Writer, files []supportFile, now time.Time) error {
	squeezed := gzip.NewWriter(w)
	archive := tar.NewWriter(squeezed)
	for _, f := range files {
		header := &tar.Header{Name: diagnostics.Folder + f.Name, Mode: 0o600, Size: int64(len(f.text)), ModTime: now.Truncate(time.Second)}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(f.text); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), squeezed.Close())
}
