package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
)

// operatorExit explains the exit codes of all commands that ask a chamber for something.
const operatorExit = `

Exit code: 0 it is done; 1 it was refused, or there was no answer, and it may be done all the same; 2 the
command line, or a file that it names, is wrong.`

// verb is a command that asks the chamber for one thing with a root token, and shows the chamber afterwards.
type verb struct {
	use, short, long string
	args             cobra.PositionalArgs // nil is none
	route            string
	question         string // is asked first; "" asks nothing
	// flags adds the verb's own flags, and returns what makes the body; nil has none.
	flags func(cmd *cobra.Command) func(args []string) (any, error)
}

func newVerb(v verb) *cobra.Command {
	if v.args == nil {
		v.args = cobra.NoArgs
	}
	cmd := &cobra.Command{Use: v.use, Short: v.short, Long: v.long + operatorExit, Args: usage(v.args)}
	flags := newOperatorFlags(cmd, flagAuthToken)
	body := func([]string) (any, error) { return nil, nil }
	if v.flags != nil {
		body = v.flags(cmd)
	}
	yes := new(bool)
	if *yes = v.question == ""; !*yes {
		yes = newYesFlag(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		b, err := body(args)
		if err != nil {
			return err
		}
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		if err := confirm(cmd, *yes, v.question); err != nil {
			return err
		}
		answer, err := signer.post(cmd.Context(), v.route, b)
		if err != nil {
			return err
		}
		var done chamber.Done
		return flags.show(answer, &done, func(row rows) { printDone(row, done) })
	}
	return cmd
}

// newOperatorVerbs are the commands that are alike.
func newOperatorVerbs() (all []*cobra.Command) {
	for _, v := range []verb{
		{
			use: "seal", short: "Wipe the master key on every replica, until an operator unseals", route: chamber.RouteSeal,
			long:     "Wipe the master key: on this replica at once, on the others when they read the signer state. Nothing signs until\n\"operator unseal\".",
			question: "Every replica stops signing until somebody unseals.",
		},
		{
			use: "unseal", short: "Rebuild the master key, and end an operator's seal on every replica", route: chamber.RouteUnseal,
			long: "Rebuild the master key from its shares now, and end an operator's seal on every replica. A chamber that no\noperator has sealed unseals by itself.",
		},
		{
			use: "freeze", short: "Have keys sign nothing that can be slashed, on every replica", route: chamber.RouteFreeze, flags: pubkeyFlags,
			long: "Have the keys of a file, or without one all keys there are and will be, sign nothing that can be slashed.",
		},
		{
			use: "unfreeze", short: "End the freeze of keys", route: chamber.RouteUnfreeze, flags: pubkeyFlags,
			long: "End the freeze of the keys of a file, or without one every freeze.",
		},
		{
			use: "approve-config", short: "Let signers with a configuration run this chamber", route: chamber.RouteApproveConfig, flags: configFlags(true),
			long: "Let signers with a configuration run this chamber: to be done before that configuration is rolled out. A file is\nmeasured as written, without environment and flags; \"config digest\" measures with them.",
		},
		{
			use: "revoke-config", short: "Take the approval of a configuration back", route: chamber.RouteRevokeConfig, flags: configFlags(false),
			long:     "Take the approval of a configuration back. Signers with it wipe the master key.",
			question: "Signers with that configuration wipe the master key.",
		},
		{
			use: "revoke-root-token ID", short: "End a root token", route: chamber.RouteRevokeToken, args: cobra.ExactArgs(1),
			long:     "End a root token by its id, which \"operator status\" shows. The last one that does not expire cannot be revoked.",
			question: "Whoever uses that root token cannot any more.",
			flags: func(*cobra.Command) func([]string) (any, error) {
				return func(args []string) (any, error) { return map[string]string{"id": args[0]}, nil }
			},
		},
	} {
		all = append(all, newVerb(v))
	}
	return all
}

// pubkeyFlags name keys by a file; without one all are meant.
func pubkeyFlags(cmd *cobra.Command) func([]string) (any, error) {
	file := cmd.Flags().String("pubkeys", "", "`FILE` of public keys, one on each line, # before a comment; - is standard input")
	return func([]string) (any, error) {
		if !cmd.Flags().Changed("pubkeys") {
			return nil, nil //nolint:nilnil // no body is all keys
		}
		keys, err := readKeysFile(cmd, *file)
		if err != nil {
			return nil, err
		}
		var body struct {
			Pubkeys []string `json:"pubkeys"`
		}
		for _, key := range keys {
			body.Pubkeys = append(body.Pubkeys, key.String())
		}
		return body, nil
	}
}

// unmeasured is the name of the configuration of signers that measure none.
const unmeasured = "none"

// configFlags name a configuration, with or without a label for it.
func configFlags(labelled bool) func(cmd *cobra.Command) func([]string) (any, error) {
	return func(cmd *cobra.Command) func([]string) (any, error) {
		digest := cmd.Flags().String("digest", "", "its `digest`, 96 hexadecimal digits; none for signers that measure nothing")
		path := cmd.Flags().String("config", "", "YAML `file` to be measured")
		label := new(string)
		if labelled {
			label = cmd.Flags().String("label", "", "`text` by which people know it")
		}
		return func([]string) (any, error) {
			text, err := digestOf(*digest, *path)
			body := map[string]string{"digest": text}
			if *label != "" {
				body["label"] = *label
			}
			return body, err
		}
	}
}

func digestOf(digest, path string) (string, error) {
	switch {
	case (digest == "") == (path == ""):
		return "", usageError{errors.New("either --digest or --config is needed")}
	case digest == unmeasured:
		return "", nil
	case digest != "":
		return strings.ToLower(digest), nil
	}
	cfg, err := config.Load(config.Sources{Path: path})
	if err != nil {
		return "", usageError{err}
	}
	return fmt.Sprintf("%x", cfg.Digest()), nil
}
