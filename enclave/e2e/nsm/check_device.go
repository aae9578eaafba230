package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// deviceChecks boot the image and judge what it found before it became the signer.
func deviceChecks() []check {
	return []check{
		{"the init of our image boots, loads the driver and tells the host by vsock 3:9000", (*story).bootGuest},
		{"the guest reaches the parent at CID 3: 1 MiB there and back, half-close included", told1(func(s *story) error { return said(s.facts.Echo) })},
		{"DescribeNSM: version 1.0.0, SHA384, 32 registers, 0 to 15 locked, the machine's module id", told1((*story).describes)},
		{"PCR0, PCR1 and PCR2 of the device are those of eif measure", told1((*story).measures)},
		{"PCR3 and PCR4 of the device are those of the role and the instance, PCR8 that of who signed the image", told1((*story).measuresInstance)},
		{"GetRandom: 256 bytes an answer, none like another", told1(func(s *story) error { return said(s.facts.Random) })},
		{"registers 0 to 15 answer ExtendPCR and LockPCR with ReadOnlyIndex, and stay", told1(func(s *story) error { return said(s.facts.Fixed) })},
		{"ExtendPCR is SHA-384 of old value and data; a locked register answers ReadOnlyIndex", told1(func(s *story) error { return said(s.facts.Extend) })},
		{"the kernel's hardware random generator is nsm-hwrng", told1((*story).drawsFromDevice)},
		{"the device's unsigned document is refused by attest verify, whatever root is named", (*story).refusesUnsigned},
	}
}

// told1 is a check of what the guest has told.
func told1(judge func(*story) error) func(*story, context.Context) error {
	return func(s *story, _ context.Context) error { return judge(s) }
}

// said is an error of the guest, which is text here.
func said(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}

func (s *story) bootGuest(ctx context.Context) error {
	s.tokens.setup = chamber.NewSetupToken(time.Now().Add(time.Hour))
	var err error
	if _, s.pcr16, err = s.world.configure(s.tokens.setup); err != nil {
		return err
	}
	if err := s.startParent(); err != nil {
		return err
	}
	if err := s.boot(s.world.guest); err != nil {
		return err
	}
	err = rig.Await(ctx, "the heartbeat", func() (bool, error) {
		return s.world.instance.heartbeats.Load() == 1, s.machine.over()
	})
	if err != nil {
		return err
	}
	if s.facts, err = s.machine.facts(ctx); err != nil {
		return err
	}
	s.note("Linux %s", s.facts.Kernel)
	return nil
}

func (s *story) describes() error {
	f := s.facts
	var fixed []int
	for i := range 16 {
		fixed = append(fixed, i)
	}
	if f.Version != "1.0.0" || f.Digest != "SHA384" || f.MaxPCRs != 32 || f.ModuleID != moduleID || !slices.Equal(f.Locked, fixed) {
		return fmt.Errorf("version %s, digest %s, %d registers, module id %s, locked %d", f.Version, f.Digest, f.MaxPCRs, f.ModuleID, f.Locked)
	}
	return nil
}

func (s *story) measures() error {
	for i := range 3 {
		name := "PCR" + strconv.Itoa(i)
		got, want := s.facts.PCRs[strconv.Itoa(i)], s.world.guest.pcrs[name]
		if got != want || strings.Trim(want, "0") == "" {
			return fmt.Errorf("%s: device %s, eif measure %q", name, got, want)
		}
		s.note("%s %s…", name, got[:32])
	}
	return nil
}

func (s *story) measuresInstance() error {
	for register, want := range map[string]string{
		"3": eif.PCR3(rig.KMSRole).String(), "4": eif.PCR4(instanceID).String(), "8": s.world.guest.pcrs["PCR8"],
		"5": strings.Repeat("0", 96), "15": strings.Repeat("0", 96), "16": strings.Repeat("0", 96),
	} {
		if got := s.facts.PCRs[register]; got != want {
			return fmt.Errorf("PCR%s is %s, want %s", register, got, want)
		}
	}
	return nil
}

func (s *story) drawsFromDevice() error {
	if s.facts.HardwareRNG != "nsm-hwrng" {
		return fmt.Errorf("it is %q", s.facts.HardwareRNG)
	}
	return nil
}

// refusesUnsigned saves the document, and shows it to the verifier that operators have.
func (s *story) refusesUnsigned(ctx context.Context) error {
	file := s.world.path("unsigned.cose")
	if len(s.facts.Document) == 0 {
		return errors.New("there is no document")
	}
	if err := os.WriteFile(file, s.facts.Document, 0o600); err != nil {
		return err
	}
	for _, more := range [][]string{nil, {"--attestation-root", s.world.rootFile()}} {
		_, err := s.world.product(ctx, append([]string{"attest", "verify", file}, more...)...)
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok || failed.ExitCode() != 1 {
			return fmt.Errorf("attest verify %s: want exit code 1: %w", more, err)
		}
		s.note("%s", strings.TrimSpace(string(failed.Stderr)))
	}
	return nil
}
