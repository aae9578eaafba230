package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/nsm/told"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// probe writes the facts, by a session of its own.
func probe(ctx context.Context, out io.Writer) error {
	session, err := nsm.Open()
	if err != nil {
		return err
	}
	device := nsm.New(session)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- device.Run(running) }()
	f, err := facts(ctx, device)
	stop()
	return errors.Join(err, <-ended, f.Write(out))
}

// facts stops at what makes the rest pointless.
func facts(ctx context.Context, device *nsm.Device) (told.Facts, error) {
	f := told.Facts{
		Kernel: line("/proc/sys/kernel/osrelease"), HardwareRNG: line("/sys/class/misc/hw_random/rng_current"), PCRs: map[string]string{},
		Echo: text(echo(ctx)), Random: text(random(ctx, device)),
	}
	d, err := device.Describe(ctx)
	if err != nil {
		return f, err
	}
	f.Version, f.ModuleID, f.MaxPCRs, f.Digest, f.Locked = d.Version, d.ModuleID, d.MaxPCRs, d.Digest, d.Locked
	for _, i := range []uint16{0, 1, 2, 3, 4, 5, 8, 15, 16} {
		value, _, err := device.DescribePCR(ctx, i)
		if err != nil {
			return f, err
		}
		f.PCRs[strconv.Itoa(int(i))] = fmt.Sprintf("%x", value)
	}
	f.Fixed, f.Extend = text(fixed(ctx, device, d.Locked)), text(extend(ctx, device))
	f.Nonce = make([]byte, 32)
	_, _ = rand.Read(f.Nonce) // never fails
	f.Document, err = device.Attest(ctx, nsm.Attestation{Nonce: f.Nonce})
	return f, err
}

func line(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(content))
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// echo sends bytes to the parent, ends that direction, and wants all of them back.
func echo(ctx context.Context) error {
	c, err := vsock.Kernel{}.Dial(ctx, vsock.CIDParent, told.EchoPort)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	sent := make([]byte, told.EchoBytes)
	_, _ = rand.Read(sent) // never fails
	var writing error
	var both sync.WaitGroup
	both.Go(func() {
		_, err := c.Write(sent)
		writing = errors.Join(err, c.CloseWrite())
	})
	got, err := io.ReadAll(c)
	both.Wait()
	if err := errors.Join(writing, err); err != nil {
		return err
	}
	if !bytes.Equal(got, sent) {
		return fmt.Errorf("%d bytes came back, and not those %d that were sent", len(got), len(sent))
	}
	return nil
}

// random wants bytes that are not alike.
func random(ctx context.Context, device *nsm.Device) error {
	const part = 256
	b, err := device.Random(ctx, 8*part)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for chunk := range slices.Chunk(b, part) {
		seen[string(chunk)] = true
	}
	if len(b) != 8*part || len(seen) != 8 {
		return fmt.Errorf("%d bytes, in %d parts that differ", len(b), len(seen))
	}
	return nil
}

// fixed makes sure that nobody changes a register of the image.
func fixed(ctx context.Context, device *nsm.Device, locked []int) error {
	for _, i := range locked {
		before, _, err := device.DescribePCR(ctx, uint16(i))
		if err != nil {
			return err
		}
		_, extending := device.ExtendPCR(ctx, uint16(i), []byte("more"))
		for _, err := range []error{extending, device.LockPCR(ctx, uint16(i))} {
			if refusal, ok := errors.AsType[*nsm.CodeError](err); !ok || refusal.Code != nsm.CodeReadOnlyIndex {
				return fmt.Errorf("register %d: want ReadOnlyIndex: %w", i, err)
			}
		}
		if after, _, err := device.DescribePCR(ctx, uint16(i)); err != nil || after != before {
			return fmt.Errorf("register %d has changed: %w", i, err)
		}
	}
	return nil
}

// ownRegister is one that the signer does not use.
const ownRegister = 23

// extend extends a register twice, locks it, and finds it read-only.
func extend(ctx context.Context, device *nsm.Device) error {
	var want [sha512.Size384]byte
	for _, data := range [][]byte{[]byte("first"), bytes.Repeat([]byte("second"), 100)} {
		want = sha512.Sum384(append(want[:], data...))
		got, err := device.ExtendPCR(ctx, ownRegister, data)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("register %d is %x…, want %x…", ownRegister, got[:8], want[:8])
		}
	}
	if err := device.LockPCR(ctx, ownRegister); err != nil {
		return err
	}
	value, locked, err := device.DescribePCR(ctx, ownRegister)
	if err != nil || !locked || value != want {
		return fmt.Errorf("register %d reads back as %x…, locked %t: %w", ownRegister, value[:8], locked, err)
	}
	return fixed(ctx, device, []int{ownRegister})
}
