package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
)

// newOperatorRotate makes "operator rotate", which replaces what a chamber rests on while it goes on signing.
func newOperatorRotate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace KMS keys, master key or slashing store",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, v := range []verb{
		{
			use: "kms", short: "Share the master key anew, among other KMS keys or with another threshold", route: chamber.RouteRotateKMS,
			long:     "Share the same master key anew. All new shares have been opened before the old ones are dropped; nothing stops\nsigning. The signers' configurations must allow the new KMS keys.",
			question: "The shares under the KMS keys of now are dropped.",
			flags: func(cmd *cobra.Command) func([]string) (any, error) {
				s := newShareFlags(cmd)
				return func([]string) (any, error) { return s.body() }
			},
		},
		{
			use: "master-key", short: "Replace the master key, and seal all stored keys anew", route: chamber.RouteRotateMaster,
			long:     "Replace the master key, and seal all stored keys anew. It takes a while, in which the chamber is awaiting_rotation\nand signs. One that was stopped goes on with the same command; after one that is done it begins another, so look at\n\"operator status\" first if there was no answer. The chamber gets another id: where chamber.id is set, set the new one,\napprove that configuration, roll it out, and give the command again.",
			question: "The chamber gets a new master key and a new id; backups of before stay sealed with the old one.",
		},
		{
			use: "slashing-store", short: "Pin another slashing store", route: chamber.RouteRotateSlashing,
			long:     "Pin the slashing store that this signer uses, or the one with an id. All keys must be frozen; what the old store\nhas on record must be in the new one. Signers that use another do not sign any more as soon\nas they read the signer state: put a high watermark on the old store first, for those that are kept from it.",
			question: "Only signers that use that slashing store sign from then on. Does it hold everything that the old one has on record?",
			flags: func(cmd *cobra.Command) func([]string) (any, error) {
				id := cmd.Flags().String("store-id", "", "`id` of the store, as \"slashing status\" shows it, in place of the one in use")
				return func([]string) (any, error) {
					if err := refuseEmpty(cmd.Flags(), "store-id"); err != nil || *id == "" {
						return nil, err
					}
					return map[string]string{"store_id": *id}, nil
				}
			},
		},
	} {
		cmd.AddCommand(newVerb(v))
	}
	return cmd
}

// shareFlags say how the master key is shared.
type shareFlags struct {
	arns      *[]string
	threshold *int
}

func newShareFlags(cmd *cobra.Command) shareFlags {
	return shareFlags{
		arns:      cmd.Flags().StringSlice("kms-key-arns", nil, "`ARNs` of the KMS keys that get one share each, with commas between"),
		threshold: cmd.Flags().Int("kms-threshold", 0, "how many shares rebuild the master key"),
	}
}

// shareBody is what the signer is told.
type shareBody struct {
	KeyARNs   []string `json:"kms_key_arns"`
	Threshold int      `json:"threshold"`
	RootToken string   `json:"root_token,omitempty"`
}

func (f shareFlags) body() (shareBody, error) {
	switch {
	case len(*f.arns) == 0:
		return shareBody{}, usageError{errors.New("--kms-key-arns is needed")}
	case *f.threshold < 1:
		return shareBody{}, usageError{errors.New("--kms-threshold: want at least 1")}
	case *f.threshold > len(*f.arns):
		return shareBody{}, usageError{errors.New("--kms-threshold: there are fewer KMS keys")}
	}
	return shareBody{KeyARNs: *f.arns, Threshold: *f.threshold}, nil
}
