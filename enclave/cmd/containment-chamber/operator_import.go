package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

// importMemoryPercent is how much of this machine's memory keystores may take that are decrypted here.
const importMemoryPercent = 50

func newOperatorImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import-keys DIR|FILE...",
		Short: "Store the keys of EIP-2335 keystores, sealed under the master key",
		Long: `Store the keys of EIP-2335 keystores: of files, and of all *.json of directories, but deposit_data-*.json, which is
skipped. Without --password or --password-file the password of NAME.json is in NAME.password or NAME.txt beside it. Keys
that are stored already stay as they are, so that an import that was stopped goes on with the same command; a signer that
lists its keys is not sent those again. The first interrupt lets the requests under way end, a second one does not.

Scrypt takes a signer with few CPUs half a second and more for each keystore. With --decrypt-here this machine opens them,
on all its CPUs, and sends each key in a keystore with a random password of 256 bits, of which one round of PBKDF2 makes
the key, so that the signer has almost nothing left to do. Understand what that means: every key is in the memory of this
machine for a moment, and on the way TLS alone protects it. Only https is taken for that.

The keys sign as soon as they are stored: stop their old signer and import its slashing record first.` + operatorExit,
		Args: usage(cobra.MinimumNArgs(1)),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	passwords := newPasswordFlags(cmd)
	decryptHere := cmd.Flags().Bool("decrypt-here", false, "decrypt the keystores on this machine, which has the keys in its memory then; goes with https alone")
	patience := cmd.Flags().Duration("retry-for", 5*time.Minute, "how long a signer is asked again that answers 503, or not any more; 0 gives up at once")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *patience < 0 {
			return usageError{errors.New("--retry-for: want 0 or more")}
		}
		files, err := findKeystores(args, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		if err := passwords.read(); err != nil {
			return err
		}
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		if *decryptHere && signer.base.Scheme != "https" {
			return usageError{errors.New("--decrypt-here: the keys would go over http, as good as in the clear")}
		}
		k := newKeyImport(signer, files, passwords, cmd.ErrOrStderr())
		k.patience = *patience
		if *decryptHere {
			k.memory = filesystem.NewKDFMemory(importMemoryPercent, filesystem.Memory())
		}
		err = k.run(cmd.Context())
		done := k.results.sum()
		return errors.Join(done.print(flags), err, done.failed())
	}
	return cmd
}

// errInterrupted is the end of an import that a person stopped.
var errInterrupted = errors.New("stopped: the same command goes on with the rest")

// run imports the files. The error is that of a request, or errInterrupted; what was imported before stays.
func (k *keyImport) run(ctx context.Context) error {
	defer k.bar.end()
	if err := k.lookUp(ctx); err != nil {
		return err
	}
	err := k.send(ctx)
	if errors.Is(err, context.Canceled) {
		err = nil
		if k.results.sum().Left > 0 {
			err = errInterrupted
		}
	}
	return err
}
