package nsm

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// MaxClockOffset is how far the local clock may be from the device's, which agrees with NTP within a second. The local
// one is kvm-clock: nothing in the enclave corrects it, and it drifts up to six seconds a week.
const MaxClockOffset = 2 * time.Second

// ClockError says that the local clock cannot be relied on.
type ClockError struct {
	Local, NSM time.Time     // NSM's reading, and the middle of the two local ones around it
	Spread     time.Duration // between those two
}

func (e *ClockError) Error() string {
	const layout = "2006-01-02T15:04:05.000Z"
	return fmt.Sprintf("local clock reads %s (within %s), NSM %s: more than %s apart",
		e.Local.UTC().Format(layout), e.Spread/2, e.NSM.UTC().Format(layout), MaxClockOffset)
}

// Evidence is an attestation document that was just made, with what it says.
type Evidence struct {
	Raw      []byte
	Document *attestation.Document
	Offset   time.Duration // local clock minus the device's
}

// attester signs what it is given into an attestation document.
type attester interface {
	Attest(ctx context.Context, a Attestation) ([]byte, error)
}

// Fetch has a document made and verifies it under roots (nil are AWS's), as a client will. Its timestamp must agree with
// the local clock, else the error is a [*ClockError]: a wrong clock would make certificates that nobody accepts.
func Fetch(ctx context.Context, from attester, a Attestation, roots []*x509.Certificate, now func() time.Time) (Evidence, error) {
	before := now()
	raw, err := from.Attest(ctx, a)
	if err != nil {
		return Evidence{}, err
	}
	after := now()
	doc, err := attestation.Verify(raw, attestation.Options{Roots: roots, Now: after})
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired && invalid.Cert != nil {
		// A clock that is far off is the likelier reason than a device that signs with expired certificates.
		// This second look serves to say so; the document stays refused.
		if then, e := attestation.Verify(raw, attestation.Options{Roots: roots, Now: invalid.Cert.NotBefore}); e == nil {
			if _, e := compare(before, then.Timestamp, after); e != nil {
				return Evidence{}, e
			}
		}
	}
	if err != nil {
		return Evidence{}, fmt.Errorf("own document: %w", err)
	}
	offset, err := compare(before, doc.Timestamp, after)
	if err != nil {
		return Evidence{}, err
	}
	return Evidence{Raw: raw, Document: doc, Offset: offset}, nil
}

// CheckClock compares the local clock with the device's. An offset of more than [MaxClockOffset] either way, or so slow
// an answer that it cannot be told, is a [*ClockError].
func CheckClock(ctx context.Context, d *Device, roots []*x509.Certificate, now func() time.Time) (offset time.Duration, err error) {
	e, err := Fetch(ctx, d, Attestation{}, roots, now)
	if err != nil {
		return 0, fmt.Errorf("clock check: %w", err)
	}
	return e.Offset, nil
}

// compare takes a reading of the device between two local ones.
func compare(before, device, after time.Time) (time.Duration, error) {
	spread := after.Sub(before)
	local := before.Add(spread / 2)
	offset := local.Sub(device)
	if offset.Abs()+spread/2 > MaxClockOffset {
		return 0, &ClockError{Local: local, NSM: device, Spread: spread}
	}
	return offset, nil
}
