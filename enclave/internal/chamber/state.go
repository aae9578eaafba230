package chamber

import (
	"errors"
	"fmt"
	"time"
)

// State is what the chamber can do.
type State int

const (
	// Uninitialized has no master key. Nothing signs.
	Uninitialized State = iota + 1
	// Sealed has a master key, which is not in memory. Nothing signs.
	Sealed
	// Unsealed has the master key in memory.
	Unsealed
	// AwaitingRotation is unsealed, and the master key is being replaced by another.
	AwaitingRotation
)

// States are all of them.
func States() []State { return []State{Uninitialized, Sealed, Unsealed, AwaitingRotation} }

// String is the documented name.
func (s State) String() string {
	switch s {
	case Uninitialized:
		return "uninitialized"
	case Sealed:
		return "sealed"
	case Unsealed:
		return "unsealed"
	case AwaitingRotation:
		return "awaiting_rotation"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Errors of operations are of these kinds, or of packages store and kms.
var (
	// ErrInvalid: the request is refused whatever the state; the text says which part.
	ErrInvalid = errors.New("not valid")
	// ErrUninitialized: there is no master key yet.
	ErrUninitialized = errors.New("the chamber is not initialized")
	// ErrInitialized: there is a master key already.
	ErrInitialized = errors.New("the chamber is initialized already")
	// ErrSealed: the master key is not in memory.
	ErrSealed = errors.New("the chamber is sealed")
	// ErrForeign: it was made with the master key of another chamber, or by somebody without one.
	ErrForeign = errors.New("not of this chamber")
	// ErrNewer: it was written in a format of a newer release.
	ErrNewer = errors.New("written by a newer release")
	// ErrCorrupt: it was damaged, or stood for something else.
	ErrCorrupt = errors.New("damaged, or in the place of another")
	// ErrRolledBack: the signer state is older than what this process has seen.
	ErrRolledBack = errors.New("the signer state went back")
	// ErrPinned: the chamber is not the one that the configuration names.
	ErrPinned = errors.New("not the chamber that the configuration names")
	// ErrNotApproved: the configuration, or the slashing store, is not among those that the chamber was told to work with.
	ErrNotApproved = errors.New("not approved")
	// ErrToken: the token is wrong, expired, or was used up.
	ErrToken = errors.New("the token is not valid")
	// ErrStale: the signer state was not read lately, so that another key may be in use by now.
	ErrStale = errors.New("the signer state was not read lately")
	// ErrBusy: the same is under way already.
	ErrBusy = errors.New("under way already")
	// ErrUnfinished: a rotation of the master key is not finished. The same call goes on with it.
	ErrUnfinished = errors.New("the rotation is not finished")
)

// Closed says of an error of Seal or Open that it is about the chamber and not about the item: the same can go well later.
func Closed(err error) bool {
	return errors.Is(err, ErrSealed) || errors.Is(err, ErrUninitialized) || errors.Is(err, ErrStale)
}

// ShareHealth is what the last use of a share said.
type ShareHealth struct {
	Number  int
	KeyARN  string
	OK      bool
	Error   string    // why not; "" while nobody has tried
	Checked time.Time // zero while nobody has tried
}

// Approval is a configuration that may run this chamber.
type Approval struct {
	Digest string `json:"digest"` // SHA-384 in hex; "" is an unmeasured one
	Label  string `json:"label"`
	Since  int64  `json:"since"` // seconds since 1970
}

// Token is a root token without its secret.
type Token struct {
	ID      string
	Created time.Time
	Expires time.Time // zero for never
}

// Status is what an operator may know.
type Status struct {
	State     State
	Reason    string // in words, "" if all is well
	ChamberID string
	Version   uint64 // of the manifest
	// Generation counts the rotations of the master key from 1. PreviousID is the chamber's id before the one that is under way.
	Generation uint64
	PreviousID string

	Attested  bool // KMS answers to this enclave alone; false is standard mode
	Wrap      Wrap
	Threshold int
	Shares    []ShareHealth

	ConfigDigest  string // this process's
	Approved      []Approval
	SlashingStore string // the pinned one
	RootTokens    []Token

	OperatorSeal bool   // sealed until an operator unseals
	Freeze       Freeze // as the manifest says
	FrozenKeys   int

	Refreshed    time.Duration // since the signer state was last read; -1 for never
	Unreachable  string        // why it could not be read since
	MissingItems []string
}

// Status tells what is known now. Before the chamber is unsealed it is not known to be authentic.
func (c *Chamber) Status() Status {
	v := c.outside()
	s := Status{
		State: v.state(), Reason: v.reason(), ChamberID: v.id(), Version: v.version(),
		Attested: c.o.KMS.Attested(), Wrap: c.o.Wrap, ConfigDigest: c.o.ConfigDigest,
		Refreshed: -1, MissingItems: v.missing,
	}
	if v.read() {
		s.Refreshed = time.Since(v.refreshed)
	}
	if v.unreachable != nil {
		s.Unreachable = v.unreachable.Error()
	}
	if v.m == nil {
		if c.o.PinnedID != "" && v.state() == Uninitialized && v.fault == nil {
			s.Reason = fmt.Sprintf("the signer state is empty, and the configuration names chamber %s: a wrong table, or a backup to restore", c.o.PinnedID)
		}
		return s
	}
	s.Generation, s.Wrap, s.Threshold, s.Shares = v.m.Generation, v.m.Wrap, v.m.Threshold, c.health.of(v.m)
	if v.m.rotating() {
		s.PreviousID = v.m.Previous.Chamber
	}
	s.Approved, s.SlashingStore, s.OperatorSeal, s.Freeze = v.m.Approved, v.m.SlashingStore, v.operatorSeal(), v.m.Frozen
	if v.frozen != nil {
		s.FrozenKeys = len(v.frozen.keys)
	}
	if s.Reason == "" {
		s.Reason = c.frozenHere()
	}
	for _, t := range v.m.Tokens {
		s.RootTokens = append(s.RootTokens, t.public())
	}
	return s
}

// Sealed returns nil while the master key is in memory and no operator's seal is under way, and else an ErrSealed with the reason. It waits for
// nothing.
func (c *Chamber) Sealed() error {
	v := c.outside()
	if v.keys != nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %s", ErrSealed, v.state(), v.reason())
}

// Unsealed is the id of the master key in memory, "" if there is none, and from the first moment of an operator's seal.
func (c *Chamber) Unsealed() string { return c.outside().unsealed() }

// Changed returns a channel that is closed when State or Unsealed have changed. Who looks at them gets it before.
func (c *Chamber) Changed() <-chan struct{} { return *c.turn.Load() }

func (v *view) unsealed() string {
	if v.keys == nil {
		return ""
	}
	return v.keys.now.id
}

// Ready returns nil if this replica can sign and knows what stands in the signer state, and else why not. A store that does not answer for
// a while is no reason: the other replicas have the same one.
func (c *Chamber) Ready() error {
	v := c.outside()
	if why := v.reason(); v.keys == nil || why != "" {
		return fmt.Errorf("chamber %s: %s", v.state(), why)
	}
	return nil
}

func (v *view) state() State {
	switch {
	case v.m == nil && v.read():
		return Uninitialized
	case v.keys == nil:
		return Sealed
	case v.m.rotating():
		return AwaitingRotation
	}
	return Unsealed
}

// read says whether the signer state was ever read. Until then it is not known whether there is a chamber.
func (v *view) read() bool { return !v.refreshed.IsZero() }

// reason is what is wrong, in words.
func (v *view) reason() string {
	switch {
	case v.fault != nil:
		return v.fault.Error()
	case v.m == nil && v.unreachable != nil:
		return v.unreachable.Error()
	case !v.read():
		return "the signer state has not been read yet"
	case v.m == nil:
		return ErrUninitialized.Error()
	case v.keys == nil:
		return v.sealed
	case v.displaced != "":
		return v.displaced
	case len(v.missing) > 0:
		return fmt.Sprintf("items of the signer state are missing or damaged, and %s: %v", v.instead(), v.missing)
	}
	return ""
}

// instead is what holds without the items that are missing.
func (v *view) instead() string {
	switch {
	case v.frozen == nil || !v.frozen.whole:
		return "all keys are frozen"
	case v.policies.missing != "":
		return "no client token is known"
	}
	return "what they said when they were last read holds"
}

// operatorSeal says whether only an operator ends the seal.
func (v *view) operatorSeal() bool {
	return v.m != nil && v.m.Sealed || v.sealed == hereAlone || v.sealed == sealUnderWay
}

func (v *view) id() string {
	if v.m == nil {
		return ""
	}
	return v.m.Chamber
}

func (v *view) version() uint64 {
	if v.m == nil {
		return 0
	}
	return v.m.Version
}

// errSealed says why the chamber is sealed.
func (v *view) errSealed() error {
	if v.m == nil && v.read() {
		return ErrUninitialized
	}
	return fmt.Errorf("%w: %s", ErrSealed, v.reason())
}
