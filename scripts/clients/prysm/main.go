// Command prysm asks a signer for signatures with the remote signer client of Prysm's validator.
//
// It links Prysm, which is under GPL-3.0: it is built and run by make clients alone and is no part of the product.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/OffchainLabs/prysm/v7/config/params"
	"github.com/OffchainLabs/prysm/v7/consensus-types/primitives"
)

// Results of one question.
const (
	resultOK      = "ok"      // signed, and the signature verifies
	resultRefused = "refused" // refused, as it must be
	resultFailed  = "failed"  // anything else
)

// result is one line of the output.
type result struct {
	Type   string `json:"type"`
	Fork   string `json:"fork"`
	Result string `json:"result"`
	Says   string `json:"says"`
	Reason string `json:"reason"` // words of the refusal that must be in the signer's log
}

// afterFork is how many epochs after a fork its duties are, so that a vote's source is in the fork too.
const afterFork = 5

func main() { os.Exit(run(context.Background(), os.Args[1:])) }

func run(ctx context.Context, args []string) (code int) {
	if len(args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: prysm URL NETWORK FORK...")
		return 2
	}
	if err := drive(ctx, args[0], args[1], args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "prysm:", err)
		return 1
	}
	return 0
}

// drive asks for every duty of the forks and writes a line for each.
func drive(ctx context.Context, url, networkName string, forks []string) error {
	cfg, err := network(networkName)
	if err != nil {
		return err
	}
	if err := params.SetActive(cfg); err != nil {
		return fmt.Errorf("set the network %s: %w", networkName, err)
	}
	c, err := newClient(ctx, url, cfg)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(c.countKeys()); err != nil {
		return err
	}
	for _, name := range forks {
		f, err := forkOf(cfg, name)
		if err != nil {
			return err
		}
		for _, d := range duties(f, c.key) {
			r := c.ask(ctx, d)
			r.Fork = name
			if err := out.Encode(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func network(name string) (*params.BeaconChainConfig, error) {
	switch name {
	case "sepolia":
		return params.SepoliaConfig(), nil
	case "hoodi":
		return params.HoodiConfig(), nil
	}
	return nil, fmt.Errorf("network %q is not known here", name)
}

// fork is a fork of the active network and the epoch of its duties.
type fork struct {
	name  string
	epoch primitives.Epoch
}

func forkOf(cfg *params.BeaconChainConfig, name string) (fork, error) {
	epochs := map[string]primitives.Epoch{
		"phase0":    cfg.GenesisEpoch,
		"altair":    cfg.AltairForkEpoch,
		"bellatrix": cfg.BellatrixForkEpoch,
		"capella":   cfg.CapellaForkEpoch,
		"deneb":     cfg.DenebForkEpoch,
		"electra":   cfg.ElectraForkEpoch,
		"fulu":      cfg.FuluForkEpoch,
	}
	epoch, known := epochs[name]
	if !known || epoch == cfg.FarFutureEpoch {
		return fork{}, fmt.Errorf("fork %q is not one of %s that Prysm knows", name, cfg.ConfigName)
	}
	return fork{name: name, epoch: epoch + afterFork}, nil
}

// from says whether the fork is the named one or a later one.
func (f fork) from(name string) bool {
	order := []string{"phase0", "altair", "bellatrix", "capella", "deneb", "electra", "fulu"}
	return slices.Index(order, f.name) >= slices.Index(order, name)
}
