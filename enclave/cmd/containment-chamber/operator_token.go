package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
)

// newOperatorToken makes "operator token", which works client tokens.
func newOperatorToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list, rotate and revoke client tokens",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenList(), newTokenCreate(), newTokenRotate(), newTokenRevoke())
	return cmd
}

func newTokenList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List client tokens and certificates",
		Long: "List client tokens and certificates, without their secrets. When one was last used is what this replica has seen since it started." + operatorExit,
		Args: usage(cobra.NoArgs),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	cmd.RunE = func(*cobra.Command, []string) error {
		var all routes.Tokens
		return flags.run(http.MethodGet, routes.RouteTokens, nil, &all, func(row rows) {
			for _, t := range all.Data {
				row(shown(t.ID), "%s", shown(tokenText(t, time.Now())))
			}
		})
	}
	return cmd
}

// tokenText is a token in words.
func tokenText(t auth.Token, now time.Time) string {
	out := t.Name + ", policies " + strings.Join(t.Policies, ", ")
	switch {
	case t.Expires.IsZero():
	case now.Before(t.Expires):
		out += ", until " + t.Expires.Format(time.RFC3339)
	default:
		out += ", ENDED " + t.Expires.Format(time.RFC3339)
	}
	if now.Before(t.RotatedUntil) {
		out += ", the secret before until " + t.RotatedUntil.Format(time.RFC3339)
	}
	switch {
	case t.SPKI != "":
		out += ", certificate of key " + t.SPKI
	case t.Subject != "":
		out += ", certificate of " + t.Subject
	}
	if t.LastUsed.IsZero() {
		return out + ", not used here"
	}
	return out + ", last used here " + t.LastUsed.Format(time.RFC3339)
}

func newTokenCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create NAME --policies POLICY,...",
		Short: "Make a client token",
		Long: `Make a client token, which is printed once and not to be had again. With --spki-sha256, or with --subject and --ca-file, a client's
certificate takes the place of a token: auth.client_certificates has the signer ask for one.` + operatorExit,
		Args: usage(cobra.ExactArgs(1)),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	policies := cmd.Flags().StringSlice("policies", nil, "what it may do; needed")
	lifetime := cmd.Flags().Duration("lifetime", 0, "how long it is valid, such as 720h; 0 is for ever")
	spki := cmd.Flags().String("spki-sha256", "", "SHA-256 of the certificate's public key (SubjectPublicKeyInfo), 64 hexadecimal digits")
	subject := cmd.Flags().String("subject", "", "distinguished name of the certificate, such as CN=teku,O=Example")
	ca := cmd.Flags().String("ca-file", "", "PEM `FILE` of the authorities that vouch for --subject")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		seconds, err := wholeSeconds("--lifetime", *lifetime)
		if err != nil {
			return err
		}
		if len(*policies) == 0 {
			return usageError{errors.New("--policies is needed")}
		}
		body := map[string]any{"name": args[0], "policies": *policies, "lifetime_seconds": seconds}
		if cmd.Flags().Changed("spki-sha256") {
			body["spki_sha256"] = *spki
		}
		if cmd.Flags().Changed("subject") {
			body["subject"] = *subject
		}
		if *ca != "" {
			text, err := readSmall(*ca)
			if err != nil {
				return usageError{fmt.Errorf("--ca-file: %w", err)}
			}
			body["ca_pem"] = string(text)
		}
		return flags.showToken(routes.RouteTokens, body)
	}
	return cmd
}

// showToken asks for a token, and shows it.
func (f *operatorFlags) showToken(route string, body any) error {
	var made routes.ClientToken
	return f.run(http.MethodPost, route, body, &made, func(row rows) {
		if made.Secret != "" {
			row("token", "%s", shown(made.Secret))
		}
		row("id", "%s", shown(made.ID))
		row("name", "%s", shown(made.Name))
		row("policies", "%s", shown(strings.Join(made.Policies, ", ")))
		row("expires", "%s", expiry(made.Expires))
		if !made.RotatedUntil.IsZero() {
			row("the secret before", "until %s", made.RotatedUntil.Format(time.RFC3339))
		}
	})
}

func wholeSeconds(flag string, d time.Duration) (int64, error) {
	if d < 0 || d%time.Second != 0 {
		return 0, usageError{errors.New(flag + ": want whole seconds, not below 0")}
	}
	return int64(d / time.Second), nil
}

func newTokenRotate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give a client token another secret",
		Long:  "Give a client token another secret, which is printed once. With --overlap the one before is good for so long beside it." + operatorExit,
		Args:  usage(cobra.ExactArgs(1)),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	overlap := cmd.Flags().Duration("overlap", 0, "how long the secret before is good as well, such as 1h")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		seconds, err := wholeSeconds("--overlap", *overlap)
		if err != nil {
			return err
		}
		return flags.showToken(routes.RouteTokens+"/"+url.PathEscape(args[0])+"/rotate", map[string]int64{"overlap_seconds": seconds})
	}
	return cmd
}

func newTokenRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a client token or certificate",
		Long:  "End a client token or certificate, on every replica within two refresh intervals." + operatorExit,
		Args:  usage(cobra.ExactArgs(1)),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	yes := newYesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := confirm(cmd, *yes, "Whoever has the token cannot sign any more."); err != nil {
			return err
		}
		return flags.change(http.MethodDelete, routes.RouteTokens+"/"+url.PathEscape(args[0]))
	}
	return cmd
}
