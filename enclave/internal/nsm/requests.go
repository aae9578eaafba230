package nsm

import (
	"bytes"
	"context"
	"fmt"

	"github.com/hf/nsm/request"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

const (
	// MaxField is the most bytes that each field of an attestation request may have. Third-party verifiers
	// may stop at 512, as one of the two AWS pages on the subject does.
	MaxField = 1024
	// MaxRandom is the most bytes that one call of Random returns; nobody needs more at once.
	MaxRandom = 64 << 10
)

// Attestation is what a document shall carry besides the measurements. A nil field is absent, any other has 1 to
// [MaxField] bytes.
type Attestation struct {
	UserData  []byte
	Nonce     []byte
	PublicKey []byte // SubjectPublicKeyInfo, DER, for which somebody may encrypt
}

// Attest returns a document signed by the device: an untagged COSE_Sign1 of at most 12 KiB.
func (d *Device) Attest(ctx context.Context, a Attestation) ([]byte, error) {
	for _, f := range []struct {
		name  string
		value []byte
	}{{"user_data", a.UserData}, {"nonce", a.Nonce}, {"public_key", a.PublicKey}} {
		if f.value != nil && (len(f.value) == 0 || len(f.value) > MaxField) {
			return nil, fmt.Errorf("nsm Attestation: %s has %d bytes, not 1 to %d", f.name, len(f.value), MaxField)
		}
	}
	res, err := d.send(ctx, "Attestation", &request.Attestation{ // copies: a caller that gave up may reuse its own
		UserData:  bytes.Clone(a.UserData),
		Nonce:     bytes.Clone(a.Nonce),
		PublicKey: bytes.Clone(a.PublicKey),
	})
	if err != nil {
		return nil, err
	}
	if res.Attestation == nil || len(res.Attestation.Document) == 0 {
		return nil, wrongAnswer("Attestation")
	}
	return res.Attestation.Document, nil
}

// Random returns n bytes, at most [MaxRandom], of the device's hardware generator, which gives 256 a request.
func (d *Device) Random(ctx context.Context, n int) ([]byte, error) {
	if n < 0 || n > MaxRandom {
		return nil, fmt.Errorf("nsm GetRandom: %d bytes asked for, not 0 to %d", n, MaxRandom)
	}
	out := make([]byte, 0, n)
	for len(out) < n {
		res, err := d.send(ctx, "GetRandom", &request.GetRandom{})
		if err != nil {
			return nil, err
		}
		if res.GetRandom == nil || len(res.GetRandom.Random) == 0 {
			return nil, wrongAnswer("GetRandom")
		}
		got := res.GetRandom.Random
		out = append(out, got[:min(len(got), n-len(out))]...)
	}
	return out, nil
}

// Description is what the device says of itself.
type Description struct {
	Version  string // such as 1.0.0
	ModuleID string // i-<17 hexadecimal digits>-enc<16 hexadecimal digits>
	MaxPCRs  int    // 32
	Locked   []int  // the registers that nobody can extend any more, 0 to 15 from the start
	Digest   string // SHA384
}

// Describe asks the device what it is.
func (d *Device) Describe(ctx context.Context) (Description, error) {
	res, err := d.send(ctx, "DescribeNSM", &request.DescribeNSM{})
	if err != nil {
		return Description{}, err
	}
	r := res.DescribeNSM
	if r == nil {
		return Description{}, wrongAnswer("DescribeNSM")
	}
	locked := make([]int, len(r.LockedPCRs))
	for i, n := range r.LockedPCRs {
		locked[i] = int(n)
	}
	return Description{
		Version:  fmt.Sprintf("%d.%d.%d", r.VersionMajor, r.VersionMinor, r.VersionPatch),
		ModuleID: r.ModuleID,
		MaxPCRs:  int(r.MaxPCRs),
		Locked:   locked,
		Digest:   string(r.Digest),
	}, nil
}

// DescribePCR returns register i and whether it is locked.
func (d *Device) DescribePCR(ctx context.Context, i uint16) (value [attestation.PCRSize]byte, locked bool, err error) {
	op := fmt.Sprintf("DescribePCR %d", i)
	res, err := d.send(ctx, op, &request.DescribePCR{Index: i})
	if err != nil {
		return value, false, err
	}
	if res.DescribePCR == nil || len(res.DescribePCR.Data) != attestation.PCRSize {
		return value, false, wrongAnswer(op)
	}
	return [attestation.PCRSize]byte(res.DescribePCR.Data), res.DescribePCR.Lock, nil
}

// ExtendPCR sets register i to SHA-384(old value || data) and returns the new value. Registers 0 to 15 and locked
// ones are refused with ReadOnlyIndex in a [CodeError].
func (d *Device) ExtendPCR(ctx context.Context, i uint16, data []byte) ([attestation.PCRSize]byte, error) {
	op := fmt.Sprintf("ExtendPCR %d", i)
	res, err := d.send(ctx, op, &request.ExtendPCR{Index: i, Data: bytes.Clone(data)})
	if err != nil {
		return [attestation.PCRSize]byte{}, err
	}
	if res.ExtendPCR == nil || len(res.ExtendPCR.Data) != attestation.PCRSize {
		return [attestation.PCRSize]byte{}, wrongAnswer(op)
	}
	return [attestation.PCRSize]byte(res.ExtendPCR.Data), nil
}

// LockPCR makes register i read-only until the enclave ends; from then on it stands in documents.
func (d *Device) LockPCR(ctx context.Context, i uint16) error {
	op := fmt.Sprintf("LockPCR %d", i)
	res, err := d.send(ctx, op, &request.LockPCR{Index: i})
	if err != nil {
		return err
	}
	if res.LockPCR == nil {
		return wrongAnswer(op)
	}
	return nil
}

// wrongAnswer is an answer that fits another request, or none.
func wrongAnswer(op string) error {
	return fmt.Errorf("nsm %s: the device's answer has no such part", op)
}
