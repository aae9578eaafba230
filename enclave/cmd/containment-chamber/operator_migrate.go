package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

const (
	defaultAtOnce = 8
	maxAtOnce     = 256
)

// newOperatorMigrate makes "operator migrate", which helps to move keys here from another signer.
func newOperatorMigrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Move keys here from another signer",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMigrateCompare())
	return cmd
}

// compareFlags are those of "operator migrate compare".
type compareFlags struct {
	signer                 newSignerFlags
	old                    oldSignerFlags
	network, root          *string
	pubkeys, progress, out *string
	atOnce                 *int
}

func newMigrateCompare() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "See that this signer signs with every key of another one, as that does",
		Long: `Ask the signer and the one before it for the same signature under every key that the old one lists, and demand that the two
are identical and verify under the key. What is signed is an AGGREGATION_SLOT of a slot that no chain will see: it can
neither be slashed nor used. Both signers may serve their clients meanwhile.

Without --old the keys of --pubkeys are asked of the new signer alone: for a signer that does not speak the Web3Signer
API. There is exactly one valid signature for a key and a message, so that one that verifies is the one that any other
signer with the key makes.

Keys that the new signer alone has are named, and are no failure. 503 and 429 are waited out, as is a lost connection;
then the key is a failure. With --resume FILE the keys that passed are kept in FILE, and the same command goes on with
the others.

Exit code: 0 every key passed; 1 a key is missing, its signatures differ or do not verify, it was refused, or a signer
does not answer; 2 the command line, or a file that it names, is wrong.`,
		Args: usage(cobra.NoArgs),
	}
	f := &compareFlags{
		signer:   addNewSignerFlags(cmd),
		old:      addOldSignerFlags(cmd),
		network:  cmd.Flags().String("network", "", "`name` of the chain: mainnet, sepolia, hoodi, holesky or gnosis; without it that which the new signer names"),
		root:     cmd.Flags().String("genesis-validators-root", "", "`root` of a chain that has no such name, in place of --network"),
		pubkeys:  cmd.Flags().String("pubkeys", "", "`FILE` of the public keys to compare, one on each line, # before a comment; without it all of the old signer"),
		progress: cmd.Flags().String("resume", "", "`FILE` that keeps which keys have passed, and is made if it is not there"),
		atOnce:   cmd.Flags().Int("concurrency", defaultAtOnce, "`number` of keys that are asked for at once; the old signer has its duties to do beside"),
		out:      cmd.Flags().String("output", "table", "json or table"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd) }
	return cmd
}

func (f *compareFlags) check(cmd *cobra.Command) error {
	if err := refuseEmpty(cmd.Flags(), "old", "old-ca", "old-client-cert", "old-client-key", "network", "genesis-validators-root", "pubkeys", "resume"); err != nil {
		return err
	}
	switch {
	case *f.out != "json" && *f.out != "table":
		return usageError{fmt.Errorf("--output: %.40q, want json or table", *f.out)}
	case *f.old.url == "" && *f.pubkeys == "":
		return usageError{errors.New("--old is needed, or --pubkeys")}
	case *f.old.url != "" && sameServer(*f.old.url, *f.signer.url):
		return usageError{errors.New("--old and --signer-url are one and the same")}
	case *f.network != "" && *f.root != "":
		return usageError{errors.New("--network goes without --genesis-validators-root")}
	case *f.atOnce < 1 || *f.atOnce > maxAtOnce:
		return usageError{fmt.Errorf("--concurrency: %d, want 1 to %d", *f.atOnce, maxAtOnce)}
	}
	return nil
}

// sameServer tells whether two URLs lead to one server, however they are written. One that compares a signer with itself would find all well.
func sameServer(a, b string) bool {
	at := func(text string) string {
		u, err := url.Parse(text)
		if err != nil {
			return text // refused by whoever dials it
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		return net.JoinHostPort(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), port) + path.Clean("/"+u.Path)
	}
	return at(a) == at(b)
}

func (f *compareFlags) run(cmd *cobra.Command) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	var named []bls.PublicKey
	if *f.pubkeys != "" {
		var err error
		if named, err = readKeysFile(cmd, *f.pubkeys); err != nil {
			return err
		}
	}
	signer, err := f.signer.dial(cmd, *f.atOnce)
	if err != nil {
		return err
	}
	defer signer.end()
	old, err := f.old.dial(cmd, *f.atOnce)
	if err != nil {
		return err
	}
	if old != nil {
		defer old.end()
	}
	duty, err := f.duty(cmd.Context(), signer)
	if err != nil {
		return err
	}
	c := &comparison{old: old, signer: signer, duty: duty, atOnce: *f.atOnce}
	report, left, err := c.plan(cmd.Context(), named)
	if err != nil {
		return err
	}
	journal, err := openJournal(*f.progress, c.title())
	if err != nil {
		return err
	}
	defer journal.close()
	left = journal.left(left)
	report.Earlier = report.Compared - len(left)
	bar := newProgress(cmd.ErrOrStderr(), "comparing", int64(len(left)))
	failed := c.run(cmd.Context(), left, func(r comparedKey) error {
		bar.add(1)
		return report.add(r, journal)
	})
	bar.end()
	return errors.Join(report.print(cmd.OutOrStdout(), *f.out), failed, report.verdict())
}
