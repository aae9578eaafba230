package chamber

import (
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// attempt is how a rebuild of the key went.
type attempt struct {
	sum   [32]byte // of the manifest that it was for
	err   error
	final bool      // only another manifest helps
	next  time.Time // when KMS may be asked again, for whatever manifest
	pause backoff.BackOff
}

// refuses says why the key of a manifest is not rebuilt now, nil if it is. The pause holds for every manifest: whoever writes the signer
// state would have KMS asked at every refresh.
func (a *attempt) refuses(s stored) error {
	switch {
	case a.err == nil:
		return nil
	case a.sum == s.sum && (a.final || time.Now().Before(a.next)):
		return a.err
	case time.Now().Before(a.next):
		return fmt.Errorf("the manifest is another one since the master key could not be rebuilt, and waits for the end of the pause: %s", a.err.Error())
	}
	return nil
}

// fail notes an attempt without success. What the configuration refuses is not for KMS to tell another time, so that it neither begins a
// pause nor ends one.
func (a *attempt) fail(s stored, err error) {
	if a.err == nil {
		*a = attempt{pause: newPause()}
	}
	refused := errors.Is(err, ErrPinned) || errors.Is(err, ErrNotApproved)
	a.sum, a.err, a.final = s.sum, err, refused || errors.Is(err, ErrForeign)
	if !refused {
		a.next = time.Now().Add(a.pause.NextBackOff())
	}
}
