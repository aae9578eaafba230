package chamber

import (
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/shamir"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

const (
	manifestName = "chamber"
	// manifestFormat is the newest format. One with policies is of format 2, which a release that knows of none does not take for damaged.
	manifestFormat = 2
	// maxListed is how many configurations, and how many root tokens, a chamber has at most.
	maxListed = 100
	maxLabel  = 100 // bytes
	// maxWrapped is the most that KMS makes of a plaintext of 4096 bytes (AWS KMS API Reference, Encrypt: CiphertextBlob).
	maxWrapped = 6144
	macSize    = 32
)

// Freeze says which keys must not sign what can be slashed.
type Freeze string

// What can be frozen.
const (
	FreezeNone Freeze = "none"
	FreezeAll  Freeze = "all"
	FreezeKeys Freeze = "keys" // those listed in items of the manifest
)

// manifest is the chamber's own state: everything that must change together. Its text is JSON as encoding/json writes these fields, byte for
// byte.
type manifest struct {
	Format        int         `json:"format"`
	Chamber       string      `json:"chamber"`    // id of the master key
	Version       uint64      `json:"version"`    // one more with each change. The store's is another: it begins anew with a restore
	Generation    uint64      `json:"generation"` // of the master key, from 1
	Wrap          Wrap        `json:"wrap"`
	Threshold     int         `json:"threshold"`
	Shares        []share     `json:"shares"` // in order of their numbers
	Approved      []Approval  `json:"approved"`
	SlashingStore string      `json:"slashing_store"`
	Sealed        bool        `json:"sealed"` // until an operator unseals
	Frozen        Freeze      `json:"frozen"`
	TokenKey      []byte      `json:"token_key"` // sealed: the tokens outlive the master key
	Tokens        []rootToken `json:"root_tokens"`
	Items         []content   `json:"items"`
	Previous      *previous   `json:"previous"` // null before the first rotation of the master key
	MAC           []byte      `json:"mac"`      // over all of the above, with mac null
}

// content names an item that does not change: version 1, its name kind/random.
type content struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Version uint64 `json:"version"`
	SHA256  []byte `json:"sha256"`
}

// previous is the master key before this one.
type previous struct {
	Chamber     string `json:"chamber"`
	Key         []byte `json:"key"`         // sealed with the new one; null when the rotation is finished
	Endorsement []byte `json:"endorsement"` // of the new chamber's id, under the old one
}

// stored is the manifest as it stands in the store; the zero one says that there is none.
type stored struct {
	m       *manifest
	version uint64   // the store's
	sum     [32]byte // of the text
}

var printable = regexp.MustCompile(`^[ -~]*$`)

// parseManifest reads a manifest's text. It returns ErrNewer or ErrCorrupt. Nothing in it is authentic before authenticate.
func parseManifest(text []byte) (*manifest, error) {
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(text, &format); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if format.Format > manifestFormat {
		return nil, fmt.Errorf("%w: format %d, this release reads %d", ErrNewer, format.Format, manifestFormat)
	}
	m := &manifest{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	again, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if !bytes.Equal(again, text) { // fields twice, in other case or order, spaces, and whatever follows
		return nil, fmt.Errorf("%w: not in canonical form", ErrCorrupt)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return m, nil
}

// check holds a manifest against what every part of it must be.
func (m *manifest) check() error {
	switch {
	case m.Format != m.format():
		return fmt.Errorf("format %d", m.Format)
	case !hexOf(m.Chamber, idSize):
		return fmt.Errorf("chamber %.40q", m.Chamber)
	case m.Version == 0 || m.Generation == 0:
		return errors.New("version or generation 0")
	case len(m.Shares) > shamir.MaxShares || m.Threshold < 1 || m.Threshold > len(m.Shares):
		return fmt.Errorf("threshold %d of %d shares", m.Threshold, len(m.Shares))
	case m.Frozen != FreezeNone && m.Frozen != FreezeAll && m.Frozen != FreezeKeys:
		return fmt.Errorf("frozen %.20q", m.Frozen)
	case (m.Frozen == FreezeKeys) != slices.ContainsFunc(m.Items, func(i content) bool { return i.Kind == frozenKind }):
		return fmt.Errorf("frozen %s, and the lists of keys do not say so", m.Frozen)
	case len(m.SlashingStore) > maxLabel || !printable.MatchString(m.SlashingStore):
		return fmt.Errorf("slashing store %.40q", m.SlashingStore)
	case len(m.Approved) > maxListed || len(m.Tokens) > maxListed:
		return fmt.Errorf("%d configurations and %d tokens, more than %d", len(m.Approved), len(m.Tokens), maxListed)
	case len(m.itemsOf(frozenKind)) > maxFrozenItems || len(m.itemsOf(policyKind)) > maxPolicyItems:
		return fmt.Errorf("%d items, more than %d and %d", len(m.Items), maxFrozenItems, maxPolicyItems)
	case len(m.MAC) != macSize:
		return fmt.Errorf("a MAC of %d bytes", len(m.MAC))
	}
	if err := checkWrap(m.Wrap); err != nil {
		return err
	}
	return errors.Join(m.checkShares(), m.checkLists())
}

func (m *manifest) checkShares() error {
	seen := map[string]bool{}
	for i, s := range m.Shares {
		_, err := kms.ParseARN(s.KeyARN)
		switch {
		case err != nil:
			return err
		case s.Number != i+1 || seen[s.KeyARN]:
			return fmt.Errorf("share %d is numbered %d, or has the key of another", i+1, s.Number)
		case len(s.Sealed) == 0 || len(s.Sealed) > maxWrapped || len(s.DataKey) > maxWrapped || (len(s.DataKey) > 0) != (m.Wrap == WrapDataKey):
			return fmt.Errorf("share %d of %d bytes with a data key of %d", s.Number, len(s.Sealed), len(s.DataKey))
		}
		seen[s.KeyARN] = true
	}
	return nil
}

func (m *manifest) checkLists() error {
	for _, a := range m.Approved {
		if err := errors.Join(checkDigest(a.Digest), checkLabel(a.Label)); err != nil {
			return err
		}
	}
	for _, t := range m.Tokens {
		if !hexOf(t.ID, tokenIDSize) || len(t.HMAC) != macSize || t.Created < 0 || t.Expires < 0 {
			return fmt.Errorf("root token %.20q", t.ID)
		}
	}
	for _, i := range m.Items {
		if err := store.CheckName(i.Name); err != nil {
			return err
		}
		if i.Kind != frozenKind && i.Kind != policyKind || i.Version != 1 || len(i.SHA256) != 32 || i.Name == manifestName {
			return fmt.Errorf("item %s of kind %.20q", i.Name, i.Kind)
		}
	}
	if p := m.Previous; p != nil && (!hexOf(p.Chamber, idSize) || p.Chamber == m.Chamber || len(p.Endorsement) != macSize) {
		return errors.New("previous master key")
	}
	return nil
}

func checkDigest(digest string) error {
	if digest != "" && !hexOf(digest, 48) {
		return fmt.Errorf("%w: configuration digest %.100q: want SHA-384 in 96 hexadecimal digits", ErrInvalid, digest)
	}
	return nil
}

func checkLabel(label string) error {
	if len(label) > maxLabel || !printable.MatchString(label) {
		return fmt.Errorf("%w: label %.100q: want at most %d printable ASCII characters", ErrInvalid, label, maxLabel)
	}
	return nil
}

// sign gives the text of a manifest, authenticated with a master key.
func (m *manifest) sign(g *generation) (text []byte, err error) {
	if m.MAC, err = m.mac(g); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("the new manifest is refused: %w", err)
	}
	return json.Marshal(m)
}

// authenticate returns ErrForeign for a manifest that was not made with this master key.
func (m *manifest) authenticate(g *generation) error {
	want, err := m.mac(g)
	if err != nil {
		return err
	}
	if !hmac.Equal(m.MAC, want) {
		return fmt.Errorf("the manifest of chamber %s, version %d: %w: its authentication code is wrong", m.Chamber, m.Version, ErrForeign)
	}
	return nil
}

func (m *manifest) mac(g *generation) ([]byte, error) {
	bare := *m
	bare.MAC = nil
	text, err := json.Marshal(bare)
	if err != nil {
		return nil, err
	}
	return g.mac(forMAC, text)
}

// format is that of a manifest with these items.
func (m *manifest) format() int {
	if len(m.itemsOf(policyKind)) > 0 {
		return manifestFormat
	}
	return 1
}

// itemsOf are the items of a kind, in their order.
func (m *manifest) itemsOf(kind string) (out []content) {
	for _, i := range m.Items {
		if i.Kind == kind {
			out = append(out, i)
		}
	}
	return out
}

// rotating says whether the master key is being replaced: the one before is still there.
func (m *manifest) rotating() bool { return m.Previous != nil && len(m.Previous.Key) > 0 }

// clone is a copy whose lists can be changed.
func (m *manifest) clone() *manifest {
	c := *m
	c.Approved, c.Tokens, c.Items = slices.Clone(m.Approved), slices.Clone(m.Tokens), slices.Clone(m.Items)
	return &c
}
