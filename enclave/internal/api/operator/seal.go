package operator

import (
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

// SealStatus says whether keys can be used: NotApplicable, or a state of the chamber.
type SealStatus string

// NotApplicable is the state of a signer that has nothing to seal.
const NotApplicable SealStatus = "not_applicable"

// Seal is whether keys can be used, and why not, or why that is no question.
type Seal struct {
	Status SealStatus `json:"status"`
	Reason string     `json:"reason"` // "" if all is well
	// Chamber is nil where nothing can be sealed. Its fields stand beside the two above.
	*Chamber
}

// Chamber is what keeps the master key. Before it is unsealed nothing of it is known to be authentic.
type Chamber struct {
	ID         string `json:"chamber_id"`
	PreviousID string `json:"previous_chamber_id,omitempty"` // while the master key is being replaced
	Version    uint64 `json:"version"`                       // of the signer state, one more with each change
	Generation uint64 `json:"generation"`                    // of the master key, from 1

	Attested  bool    `json:"attested"`
	KMS       string  `json:"kms"`  // what attested means
	Wrap      string  `json:"wrap"` // data_key or encrypt
	Threshold int     `json:"threshold"`
	Shares    []Share `json:"shares"`

	ConfigDigest    string     `json:"config_digest"` // this process's: SHA-384 in hex, "" if nothing is measured
	ApprovedConfigs []Approval `json:"approved_configs"`
	SlashingStore   string     `json:"slashing_store"` // the pinned one

	SealedByOperator bool   `json:"sealed_by_operator"` // until an operator unseals
	Frozen           string `json:"frozen"`             // none, keys or all
	FrozenKeys       int    `json:"frozen_keys"`        // with keys

	RootTokens []RootToken `json:"root_tokens"`

	Refreshed    int64    `json:"refreshed_seconds_ago"` // when the signer state was last read; -1 is never
	Unreachable  string   `json:"unreachable,omitempty"` // why it could not be read since
	MissingItems []string `json:"missing_items,omitempty"`
}

// Share is how the last use of a share went.
type Share struct {
	Number  int       `json:"number"`
	KeyARN  string    `json:"kms_key_arn"`
	OK      bool      `json:"ok"`
	Error   string    `json:"error,omitempty"`
	Checked time.Time `json:"checked,omitzero"` // not there while nobody has tried
}

// Approval is a configuration that may run the chamber.
type Approval struct {
	Digest string    `json:"digest"` // SHA-384 in hex; "" is an unmeasured one
	Label  string    `json:"label"`
	Since  time.Time `json:"since"`
}

// RootToken is a root token without its secret.
type RootToken struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // not there if never
}

// What KMS knows.
const (
	kmsAttested = "attested: KMS answers to this enclave alone"
	kmsStandard = "standard mode: KMS answers in the clear inside TLS, to whoever has the role"
)

// notSealable is the state of every signer whose keys come from files.
func notSealable() Seal {
	return Seal{Status: NotApplicable, Reason: "nothing is sealed: all keys come from files, and can sign from the start"}
}

// SealOf tells an operator what a chamber's status is.
func SealOf(s chamber.Status) Seal {
	c := &Chamber{
		ID: s.ChamberID, PreviousID: s.PreviousID, Version: s.Version, Generation: s.Generation,
		Attested: s.Attested, KMS: kmsStandard, Wrap: s.Wrap.String(), Threshold: s.Threshold, Shares: []Share{},
		ConfigDigest: s.ConfigDigest, ApprovedConfigs: []Approval{}, SlashingStore: s.SlashingStore,
		SealedByOperator: s.OperatorSeal, Frozen: string(s.Freeze), FrozenKeys: s.FrozenKeys, RootTokens: []RootToken{},
		Refreshed: -1, Unreachable: s.Unreachable, MissingItems: s.MissingItems,
	}
	if s.Attested {
		c.KMS = kmsAttested
	}
	if s.Refreshed >= 0 {
		c.Refreshed = int64(s.Refreshed / time.Second)
	}
	for _, h := range s.Shares {
		c.Shares = append(c.Shares, Share{h.Number, h.KeyARN, h.OK, h.Error, inUTC(h.Checked)})
	}
	for _, a := range s.Approved {
		c.ApprovedConfigs = append(c.ApprovedConfigs, Approval{a.Digest, a.Label, time.Unix(a.Since, 0).UTC()})
	}
	for _, t := range s.RootTokens {
		c.RootTokens = append(c.RootTokens, RootToken{t.ID, inUTC(t.Created), inUTC(t.Expires)})
	}
	return Seal{Status: SealStatus(s.State.String()), Reason: s.Reason, Chamber: c}
}

// inUTC leaves no time at all as it is.
func inUTC(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}
