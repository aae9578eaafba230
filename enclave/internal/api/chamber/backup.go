package chamber

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// errUnconfirmed ends a restore that has told what it would do.
var errUnconfirmed = errors.New("not confirmed")

// backup streams the file. One that cannot be finished must not look like a whole one.
func (a *API) backup(w http.ResponseWriter, r *http.Request, _ *event) (any, error) {
	if err := none(r); err != nil {
		return nil, err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	err := a.o.Chamber.Backup(r.Context(), w, a.o.Sections...)
	if err != nil {
		w.Header().Del("Content-Type") // of an answer that has not begun
	}
	return nil, refused(err)
}

// restore reads the whole file, and tells what is in it. It loads it only if the request says that this is what it means, by the file's hash.
func (a *API) restore(w http.ResponseWriter, r *http.Request, e *event) (any, error) {
	confirmed, err := confirmation(r)
	if err != nil {
		return nil, err
	}
	if !a.restoring.TryLock() {
		return nil, refused(chamber.ErrBusy)
	}
	defer a.restoring.Unlock()
	file, err := io.ReadAll(http.MaxBytesReader(w, r.Body, a.o.MaxBackup))
	if err != nil {
		return nil, unread(err)
	}
	hash := sha256.Sum256(file)
	sum := hex.EncodeToString(hash[:])
	if confirmed != "" && subtle.ConstantTimeCompare([]byte(confirmed), []byte(sum)) != 1 {
		return nil, problem.New(problem.Malformed, "%s: the SHA-256 of this file is %s", ParameterConfirm, sum)
	}
	return a.load(r, e, file, sum, confirmed != "")
}

func (a *API) load(r *http.Request, e *event, file []byte, sum string, confirmed bool) (any, error) {
	var found Backup
	begun := false
	err := a.o.Chamber.Restore(r.Context(), bytes.NewReader(file), func(info chamber.BackupInfo) error {
		found = backupOf(sum, info)
		e.fields = []zap.Field{
			zap.String("backup", sum), zap.String("backup_chamber", info.Chamber), zap.Uint64("backup_version", info.Version), zap.Bool("confirmed", confirmed),
		}
		if !confirmed {
			return errUnconfirmed
		}
		begun = true
		return nil
	}, a.o.Sections...)
	switch now := a.done(); {
	case errors.Is(err, errUnconfirmed):
		return found, nil
	case begun && (err == nil || now.ChamberID == found.ChamberID): // the manifest is written last: with it all is there, unsealed or not
		found.Restored, found.Chamber = true, &now
		if err != nil && now.Reason == "" {
			found.Chamber.Reason = err.Error()
		}
		return found, nil
	case !begun && rowOf(err) == 0: // nothing but the file was looked at
		return nil, problem.New(problem.Malformed, "%v", err)
	}
	return nil, refused(err)
}

// unread is the refusal of a file that did not come whole.
func unread(err error) error {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem.New(problem.TooLarge, "the backup is larger than %d bytes; nothing was restored", large.Limit)
	}
	if errors.As(err, new(*problem.Error)) {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem.Wrap(problem.Malformed, err, "the backup came too slowly; nothing was restored")
	}
	return problem.Wrap(problem.Malformed, err, "the backup broke off on its way; nothing was restored")
}
