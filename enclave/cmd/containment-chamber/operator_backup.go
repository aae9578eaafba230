package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
)

func newOperatorBackup() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Write signer state and stored keys, all of it ciphertext, to a file",
		Long: `Write signer state and stored keys, all of it ciphertext, to a file. Who opens it needs the KMS keys. The record of slashing
protection is not in it: "slashing export". A FILE is replaced only when the whole backup is on disk.` + operatorExit,
		Args: usage(cobra.NoArgs),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	path := cmd.Flags().String("output-file", "", "`FILE` to write")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *path == "" {
			return usageError{errors.New("--output-file is needed")}
		}
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		size := int64(0)
		if err := replaceFile(*path, func(w io.Writer) error {
			req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, signer.base.JoinPath(chamber.RouteBackup).String(), http.NoBody)
			if err != nil {
				return err
			}
			bar := newProgress(cmd.ErrOrStderr(), "bytes", 0)
			defer bar.end()
			return signer.send(req, func(body io.Reader) error {
				return eachPiece(body, func(b []byte) error {
					size += int64(len(b))
					bar.add(int64(len(b)))
					_, err := w.Write(b)
					return err
				})
			})
		}); err != nil {
			return err
		}
		text, err := json.Marshal(map[string]any{"file": *path, "bytes": size})
		if err != nil {
			return err
		}
		return flags.show(text, &struct{}{}, func(row rows) { row("backup", "%s, %d bytes", shown(*path), size) })
	}
	return cmd
}

// eachPiece reads to the end.
func eachPiece(r io.Reader, f func([]byte) error) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			if err := f(buffer[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func newOperatorRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Load a backup into empty stores",
		Long: `Load a backup into the empty stores of a signer without a chamber. What is in the file is shown first: what was revoked,
frozen, approved or changed since it was made comes back as it was then.` + operatorExit,
		Args: usage(cobra.ExactArgs(1)),
	}
	flags := newOperatorFlags(cmd, flagSetupToken)
	yes := newYesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		_, found, err := signer.restore(cmd, args[0], "")
		if err != nil {
			return err
		}
		if err := printTable(cmd.ErrOrStderr(), func(row rows) { printBackup(row, found) }); err != nil {
			return err
		}
		if err := confirm(cmd, *yes, "What happened since then is forgotten."); err != nil {
			return err
		}
		answer, _, err := signer.restore(cmd, args[0], found.SHA256)
		if err != nil {
			return err
		}
		var done chamber.Backup
		return flags.show(answer, &done, func(row rows) {
			row("restored", "%t", done.Restored)
			if done.Chamber != nil {
				printDone(row, *done.Chamber)
			}
		})
	}
	return cmd
}

func printBackup(row rows, b chamber.Backup) {
	row("backup of chamber", "%s, version %d", shown(b.ChamberID), b.Version)
	row("made", "%s", b.Created.Format(time.RFC3339))
	counts := make([]string, 0, len(b.Records))
	for _, section := range slices.Sorted(maps.Keys(b.Records)) {
		counts = append(counts, fmt.Sprintf("%d of %s", b.Records[section], shown(section)))
	}
	row("records", "%s", strings.Join(counts, ", "))
}

// restore sends a backup, to be loaded if its hash confirms it.
func (s *operatorSigner) restore(cmd *cobra.Command, path, confirm string) (answer []byte, found chamber.Backup, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, found, usageError{err}
	}
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, found, usageError{err}
	}
	to := s.base.JoinPath(chamber.RouteRestore)
	if confirm != "" {
		to.RawQuery = url.Values{chamber.ParameterConfirm: {confirm}}.Encode()
	}
	bar := newProgress(cmd.ErrOrStderr(), "sending "+path, info.Size())
	defer bar.end()
	req, err := http.NewRequestWithContext(cmd.Context(), http.MethodPost, to.String(), io.TeeReader(file, counting{bar}))
	if err != nil {
		return nil, found, err
	}
	req.ContentLength = info.Size()
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Expect", "100-continue") // nothing of it is sent to a signer that refuses the token
	err = s.send(req, func(r io.Reader) (err error) {
		if answer, err = io.ReadAll(io.LimitReader(r, maxAnswer)); err != nil {
			return err
		}
		return json.Unmarshal(answer, &found)
	})
	return answer, found, err
}

// counting draws how much passes.
type counting struct{ bar *progress }

func (c counting) Write(b []byte) (int, error) {
	c.bar.add(int64(len(b)))
	return len(b), nil
}
