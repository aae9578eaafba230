package chamber

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/shamir"
)

// kmsLimit is the longest that shares are waited for.
const kmsLimit = 30 * time.Second

// Wrap is how a share is sealed.
type Wrap int

const (
	// WrapDataKey seals a share under a data key that KMS generates for the enclave: no role needs kms:Encrypt.
	WrapDataKey Wrap = iota + 1
	// WrapEncrypt has KMS encrypt the share itself.
	WrapEncrypt
)

func checkWrap(w Wrap) error {
	if w != WrapDataKey && w != WrapEncrypt {
		return fmt.Errorf("%w: %s", ErrInvalid, w)
	}
	return nil
}

// String is the name in the manifest.
func (w Wrap) String() string {
	switch w {
	case WrapDataKey:
		return "data_key"
	case WrapEncrypt:
		return "encrypt"
	}
	return fmt.Sprintf("Wrap(%d)", int(w))
}

// MarshalJSON implements json.Marshaler.
func (w Wrap) MarshalJSON() ([]byte, error) { return json.Marshal(w.String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (w *Wrap) UnmarshalJSON(text []byte) error {
	for _, known := range []Wrap{WrapDataKey, WrapEncrypt} {
		if string(text) == strconv.Quote(known.String()) {
			*w = known
			return nil
		}
	}
	return fmt.Errorf("wrap %.20s is not known", text)
}

// share is one share of the master key as it is stored.
type share struct {
	Number  int    `json:"number"` // from 1
	KeyARN  string `json:"kms_key_arn"`
	DataKey []byte `json:"data_key"` // sealed by KMS; null if KMS sealed the share itself
	Sealed  []byte `json:"sealed"`
}

// context is what KMS binds a share to. A key policy can ask for it.
func (s share) context(chamber string) map[string]string {
	return map[string]string{"containment-chamber:chamber": chamber, "containment-chamber:share": strconv.Itoa(s.Number)}
}

// data is what a share under a data key is bound to.
func (s share) data(m *manifest) []byte {
	return bind("share", m.Chamber, strconv.Itoa(s.Number), strconv.Itoa(m.Threshold), strconv.Itoa(len(m.Shares)), s.KeyARN)
}

// split fills the shares of m: the master key in as many parts as there are keys. It asks each of the keys for something, and in the end
// for all shares again: what cannot be opened today will not be at the next start.
func (c *Chamber) split(ctx context.Context, g *generation, m *manifest, threshold int, keys []kms.ARN) error {
	ctx, cancel := context.WithTimeout(ctx, 2*kmsLimit)
	defer cancel()
	parts, err := shamir.Split(g.master, threshold, len(keys), rand.Reader)
	if err != nil {
		return err
	}
	defer wipeShares(parts)
	m.Chamber, m.Wrap, m.Threshold, m.Shares = g.id, c.o.Wrap, threshold, make([]share, len(keys))
	faults := make([]error, len(keys))
	var sealing sync.WaitGroup
	for i := range parts {
		m.Shares[i] = share{Number: i + 1, KeyARN: keys[i].String()}
	}
	for i, part := range parts {
		sealing.Go(func() { faults[i] = c.sealShare(ctx, m, &m.Shares[i], keys[i], part.Value) })
	}
	sealing.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	return c.verifySplit(ctx, g, m)
}

// verifySplit opens all new shares and rebuilds the master key from them.
func (c *Chamber) verifySplit(ctx context.Context, g *generation, m *manifest) error {
	var opened []shamir.Share
	defer func() { wipeShares(opened) }()
	for a := range c.opened(ctx, m) {
		if a.err != nil {
			return fmt.Errorf("try the new share %d (%s): %w", a.share.Number, a.share.KeyARN, a.err)
		}
		opened = append(opened, a.part)
	}
	rebuilt, err := shamir.Combine(opened, m.Threshold)
	if err != nil {
		return fmt.Errorf("try the new shares: %w", err)
	}
	defer rebuilt.Wipe()
	return rebuilt.Use(func(got []byte) error {
		return g.master.Use(func(want []byte) error {
			if !bytes.Equal(got, want) {
				return errors.New("try the new shares: they do not give the master key")
			}
			return nil
		})
	})
}

func (c *Chamber) sealShare(ctx context.Context, m *manifest, s *share, key kms.ARN, part secret.Bytes) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("seal share %d: %w", s.Number, err)
		}
	}()
	if m.Wrap == WrapEncrypt {
		s.Sealed, err = c.o.KMS.Encrypt(ctx, key, part, s.context(m.Chamber))
		return err
	}
	data, wrapped, err := c.o.KMS.GenerateDataKey(ctx, key, s.context(m.Chamber))
	if err != nil {
		return err
	}
	defer data.Wipe()
	s.DataKey = wrapped
	return data.Use(func(key []byte) error {
		return withGCM(key, func(a cipher.AEAD) error {
			return part.Use(func(value []byte) error {
				s.Sealed = a.Seal(nil, nil, value, s.data(m)) //nolint:gosec // this cipher makes its own nonces
				return nil
			})
		})
	})
}

// openShare has KMS open a share.
func (c *Chamber) openShare(ctx context.Context, m *manifest, s share) (shamir.Share, error) {
	key, ok := c.allowed[s.KeyARN]
	if !ok {
		return shamir.Share{}, errors.New("its KMS key is not among those that the configuration allows")
	}
	wrapped := s.DataKey
	if m.Wrap == WrapEncrypt {
		wrapped = s.Sealed
	}
	value, err := c.o.KMS.Decrypt(ctx, key, wrapped, s.context(m.Chamber))
	if err != nil {
		return shamir.Share{}, err
	}
	if m.Wrap == WrapDataKey {
		defer value.Wipe()
		if value, err = unseal(value, s, m); err != nil {
			return shamir.Share{}, err
		}
	}
	part := shamir.Share{Number: byte(s.Number), Value: value}
	if err := value.Use(func(b []byte) error {
		if len(b) != shamir.KeySize {
			return fmt.Errorf("%w: the share has %d bytes, not %d", ErrCorrupt, len(b), shamir.KeySize)
		}
		return nil
	}); err != nil {
		part.Wipe()
		return shamir.Share{}, err
	}
	return part, nil
}

// unseal opens a share under its data key.
func unseal(data secret.Bytes, s share, m *manifest) (value secret.Bytes, err error) {
	err = data.Use(func(key []byte) error {
		return withGCM(key, func(a cipher.AEAD) error {
			plain, err := a.Open(nil, nil, s.Sealed, s.data(m))
			if err != nil {
				return fmt.Errorf("the share: %w", ErrCorrupt)
			}
			value = secret.New(plain)
			return nil
		})
	})
	return value, err
}

// answer is what became of one share.
type answer struct {
	share share
	part  shamir.Share // the receiver's, to be wiped
	err   error
}

// opened asks for all shares at once and gives the answers as they come. Who stops early cancels the rest.
func (c *Chamber) opened(ctx context.Context, m *manifest) iter.Seq[answer] {
	return func(yield func(answer) bool) {
		ctx, cancel := context.WithTimeout(ctx, kmsLimit)
		answers := make(chan answer, len(m.Shares))
		var asking sync.WaitGroup
		for _, s := range m.Shares {
			asking.Go(func() {
				part, err := c.openShare(ctx, m, s)
				answers <- answer{s, part, err}
			})
		}
		defer func() {
			cancel()
			asking.Wait()
			close(answers)
			for a := range answers {
				a.part.Wipe()
			}
		}()
		for range m.Shares {
			if !yield(<-answers) {
				return
			}
		}
	}
}

func wipeShares(shares []shamir.Share) {
	for _, s := range shares {
		s.Wipe()
	}
}

// sameShares says whether two manifests have the key in the same parts.
func sameShares(a, b *manifest) bool {
	return a != nil && b != nil && slices.EqualFunc(a.Shares, b.Shares, func(x, y share) bool { return bytes.Equal(x.Sealed, y.Sealed) })
}
