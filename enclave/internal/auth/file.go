package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	maxFile      = 16 << 20 // bytes
	minSecret    = 16       // characters of a token of a file
	fileInterval = 5 * time.Second
)

// File is policies and tokens in a file, for signers without a master key. It is read again when it, or the file of a secret, has changed;
// one that is wrong leaves those before in force. It is safe for concurrent use.
type File struct {
	path   string
	lookup func(name string) (string, bool)
	log    *zap.Logger
	now    atomic.Pointer[fileContent]
}

// fileContent is what a file said.
type fileContent struct {
	tokens       []fileToken
	certificates []keptCertificate
	sum          [32]byte // of the file, and of its tokens' secrets
}

type fileToken struct {
	id      string
	hash    [32]byte // SHA-256 of the token
	expires int64
	holder  *holder
}

// OpenFile reads a file. lookup finds variables of the environment.
func OpenFile(path string, lookup func(name string) (string, bool), log *zap.Logger) (*File, error) {
	f := &File{path: path, lookup: lookup, log: log}
	content, err := f.read()
	if err != nil {
		return nil, fmt.Errorf("auth.policy_file: %s: %w", path, err)
	}
	f.now.Store(content)
	return f, nil
}

// Run follows the file until ctx ends.
func (f *File) Run(ctx context.Context) error {
	tick := time.NewTicker(fileInterval)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		told = f.look(told)
	}
}

// look reads the file again; told is the error that was logged last.
func (f *File) look(told string) string {
	next, err := f.read()
	switch {
	case err != nil && err.Error() != told:
		f.log.Error("auth.policy_file is wrong: the policies and tokens before stay in force", zap.String("file", f.path), zap.Error(err))
		return err.Error()
	case err != nil:
		return told
	case next.sum != f.now.Load().sum:
		f.now.Store(next)
		f.log.Info("policies and tokens read again", zap.String("audit", "policy-file"), zap.String("file", f.path),
			zap.Int("tokens", len(next.tokens)), zap.Int("certificates", len(next.certificates)))
	}
	return ""
}

// find returns the holder of a token, nil if it is none of the file's. It takes as long wherever the token stands.
func (f *File) find(token string, now time.Time, used func(id string)) *holder {
	sum := sha256.Sum256([]byte(token))
	var found *fileToken
	for _, t := range f.now.Load().tokens {
		if subtle.ConstantTimeCompare(sum[:], t.hash[:]) == 1 {
			found = &t
		}
	}
	if found == nil || expired(found.expires, now) {
		return nil
	}
	used(found.id)
	return found.holder
}

func (f *File) certificates() []keptCertificate { return f.now.Load().certificates }
