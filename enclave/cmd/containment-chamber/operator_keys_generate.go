package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/deposit"
)

// Bounds of the keys of one mnemonic, which are made by one request.
const (
	mostPerMnemonic    = 5000 // whose answer with deposit data has 5 MB
	defaultPerMnemonic = 100  // as signers are set by default
)

// generation is what the flags of generate-keys say.
type generation struct {
	count, perMnemonic           int
	status, address, credentials string
	amount                       uint64
	canary                       bool
	dir                          string
}

// generateBody is the body of a request.
type generateBody struct {
	Count   int          `json:"count"`
	Status  string       `json:"status"`
	Canary  bool         `json:"canary,omitempty"`
	Deposit *depositBody `json:"deposit,omitempty"`
}

type depositBody struct {
	Address     string `json:"withdrawal_address,omitempty"`
	Credentials string `json:"withdrawal_credentials,omitempty"`
	Amount      uint64 `json:"amount_gwei,omitempty"`
}

func newOperatorGenerateKeys() *cobra.Command {
	var g generation
	cmd := &cobra.Command{
		Use:   "generate-keys --count N --output-dir DIR",
		Short: "Make new keys in the signer, and deposit data for them",
		Long: `Make new keys in the signer, which stores them, and write to a directory what is known of them outside: the public
keys, the deposit data if a withdrawal address or credentials are given, and the mnemonic, encrypted to the recipients
of the signer's configuration, if there are any. The files are readable for their owner alone; none is overwritten.
Nothing is written of a key that was not stored. Every deposit is checked before it is written: what it says, and its
signature. It needs a token with scope chamber_keys_generate.

A command that ends in the middle has written what it got. Keys of which the answer was lost are stored; "list-keys"
has them, and "key-backup" their mnemonic.` + operatorExit,
		Args: usage(cobra.NoArgs),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	f := cmd.Flags()
	f.IntVar(&g.count, "count", 0, "how many keys")
	f.IntVar(&g.perMnemonic, "keys-per-mnemonic", defaultPerMnemonic, "how many keys one mnemonic makes, by one request; a signer takes as many as chamber.keys.generate.max_items_per_request")
	f.StringVar(&g.status, "status", "active", "active, or inactive for keys that sign nothing yet")
	f.BoolVar(&g.canary, "canary", false, "keys that nobody should ever ask for: whoever does raises an alert")
	f.StringVar(&g.address, "withdrawal-address", "", "make deposit data, with withdrawals to this `0x…` address")
	f.StringVar(&g.credentials, "withdrawal-credentials", "", "make deposit data, with these withdrawal credentials, `0x…` and 64 digits")
	f.Uint64Var(&g.amount, "amount-gwei", deposit.DefaultAmount, "amount of each deposit, in `Gwei`")
	f.StringVar(&g.dir, "output-dir", "", "`DIR` for the files; made if it is not there")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := g.check(cmd.Flags().Changed("amount-gwei")); err != nil {
			return usageError{err}
		}
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		files, err := openKeyFiles(g.dir, time.Now())
		if err != nil {
			return usageError{err}
		}
		err = errors.Join(signer.generateKeys(cmd.Context(), g, files), files.close())
		return errors.Join(files.print(flags), err, files.failed(g.count))
	}
	return cmd
}

func (g generation) check(amount bool) error {
	switch {
	case g.count < 1:
		return errors.New("--count: want 1 or more")
	case g.perMnemonic < 1 || g.perMnemonic > mostPerMnemonic:
		return fmt.Errorf("--keys-per-mnemonic: want 1 to %d", mostPerMnemonic)
	case g.status != "active" && g.status != "inactive":
		return fmt.Errorf("--status: %.40q, want active or inactive", g.status)
	case g.dir == "":
		return errors.New("--output-dir is needed")
	case g.address != "" && g.credentials != "":
		return errors.New("--withdrawal-address and --withdrawal-credentials exclude each other")
	case amount && g.address == "" && g.credentials == "":
		return errors.New("--amount-gwei: without --withdrawal-address or --withdrawal-credentials there are no deposits")
	case g.amount == 0:
		return errors.New("--amount-gwei: want more than 0")
	}
	_, err := g.wanted()
	return err
}

// wanted are the withdrawal credentials of the deposits, in lower case without 0x; "" if there are none.
func (g generation) wanted() (string, error) {
	flag, text, size := "--withdrawal-credentials", g.credentials, 32
	if g.address != "" {
		flag, text, size = "--withdrawal-address", g.address, 20
	}
	if text == "" {
		return "", nil
	}
	digits, prefixed := strings.CutPrefix(text, "0x")
	b, err := hex.DecodeString(digits)
	if !prefixed || err != nil || len(b) != size {
		return "", fmt.Errorf("%s: want 0x and %d hexadecimal digits", flag, 2*size)
	}
	if size == 20 {
		b = append(append([]byte{1}, make([]byte, 11)...), b...)
	}
	return hex.EncodeToString(b), nil
}

// generateKeys makes keys, one request for each mnemonic, and writes each answer before the next request.
func (s *operatorSigner) generateKeys(ctx context.Context, g generation, files *keyFiles) error {
	body := generateBody{Status: g.status, Canary: g.canary}
	if g.address != "" || g.credentials != "" {
		body.Deposit = &depositBody{g.address, g.credentials, g.amount}
	}
	for left := g.count; left > 0; left -= body.Count {
		body.Count = min(left, g.perMnemonic)
		answer, err := s.post(ctx, chamber.RouteGenerate, body)
		if err != nil {
			return err
		}
		var made chamber.Generated
		if err := json.Unmarshal(answer, &made); err != nil {
			return fmt.Errorf("the signer's answer: %w", err)
		}
		if len(made.Data) != body.Count {
			return fmt.Errorf("the signer's answer: %d keys, and %d were asked for", len(made.Data), body.Count)
		}
		if err := files.add(made, g); err != nil {
			return err
		}
	}
	return nil
}

// checkDeposit makes sure that a deposit is what was asked for, and would be taken: what is sent with another is lost.
func checkDeposit(d deposit.Data, g generation) error {
	credentials, err := g.wanted()
	if err != nil {
		return err
	}
	public, err := bls.ParsePublicKey(d.PublicKey)
	if err != nil {
		return err
	}
	if d.WithdrawalCredentials != credentials || d.Amount != g.amount {
		return fmt.Errorf("deposit of %s: the signer made it with other credentials or another amount than were asked for", public.Short())
	}
	message := eth2.DepositMessage{PublicKey: public, Amount: d.Amount}
	signature, err := hex.DecodeString(d.Signature)
	version, errVersion := hex.DecodeString(d.ForkVersion)
	_, errCredentials := hex.Decode(message.WithdrawalCredentials[:], []byte(credentials))
	if err := errors.Join(err, errVersion, errCredentials); err != nil || len(signature) != len(bls.Signature{}) || len(version) != len(eth2.Version{}) {
		return fmt.Errorf("deposit of %s: a field is malformed", public.Short())
	}
	message.GenesisForkVersion = eth2.Version(version)
	root := message.DataRoot(bls.Signature(signature))
	if !bls.Verify(public, eth2.NewDeposit(message).SigningRoot(), bls.Signature(signature)) || d.DataRoot != hex.EncodeToString(root[:]) {
		return fmt.Errorf("deposit of %s: its signature or its root is wrong", public.Short())
	}
	return nil
}
