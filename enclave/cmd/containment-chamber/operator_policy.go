package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
)

// newOperatorPolicy makes "operator policy", which says what client tokens may do.
func newOperatorPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "See and change the policies of client tokens",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPolicyList(), newPolicyCreate(), newPolicyDelete(), newPolicyReset())
	return cmd
}

func newPolicyList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List policies and their rules", Long: "List policies and their rules." + operatorExit, Args: usage(cobra.NoArgs)}
	flags := newOperatorFlags(cmd, flagAuthToken)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var all routes.Policies
		return flags.run(http.MethodGet, routes.RoutePolicies, nil, &all, func(row rows) {
			for _, p := range all.Data {
				for i, r := range p.Rules {
					name := ""
					if i == 0 {
						name = p.Name
					}
					row(shown(name), "%s", shown(ruleText(r)))
				}
			}
		})
	}
	return cmd
}

// ruleText is a rule in words.
func ruleText(r auth.Rule) string {
	scopes := make([]string, len(r.Scopes))
	for i, s := range r.Scopes {
		scopes[i] = string(s)
	}
	out := string(r.Effect)
	switch {
	case len(scopes) > 0:
		out += " " + strings.Join(scopes, ", ")
	case r.Effect == auth.Allow:
		out += " sign, public_keys"
	default:
		out += " everything"
	}
	if len(r.Operations) > 0 {
		out += ", operations " + strings.Join(r.Operations, ", ")
	}
	if n := len(r.Keys); n > 0 {
		out += fmt.Sprintf(", with %d keys", n)
	}
	return out
}

func newPolicyCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a policy, or replace one",
		Long: `Make a policy: of one rule that allows --scopes, with --pubkeys and --operations if they are given, or of the rules in a file,
a JSON array as "operator policy list --output json" shows it. Without --scopes a rule is about signatures and the list of public
keys; without --operations about all but VOLUNTARY_EXIT and DEPOSIT. With --replace a policy of that name is replaced, and the tokens
that have it follow on every replica within two refresh intervals.` + operatorExit,
		Args: usage(cobra.ExactArgs(1)),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	file := cmd.Flags().String("rules", "", "`FILE` of rules")
	scopes := cmd.Flags().StringSlice("scopes", nil, "what is allowed, such as sign,list_keys")
	keys := cmd.Flags().String("pubkeys", "", "`FILE` of public keys, one on each line, # before a comment; - is standard input")
	operations := cmd.Flags().StringSlice("operations", nil, "signing types, such as ATTESTATION,BLOCK_V2")
	replace := cmd.Flags().Bool("replace", false, "replace a policy of that name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p := auth.Policy{Name: args[0]}
		var err error
		if *file != "" {
			if len(*scopes) > 0 || *keys != "" || len(*operations) > 0 {
				return usageError{errors.New("--rules goes without --scopes, --pubkeys and --operations")}
			}
			p.Rules, err = readRules(*file)
		} else {
			p.Rules, err = oneRule(cmd, *scopes, *keys, *operations)
		}
		if err != nil {
			return err
		}
		if err := p.Check(); err != nil {
			return usageError{err}
		}
		return flags.putPolicy(p, *replace)
	}
	return cmd
}

func readRules(path string) (rules []auth.Rule, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &rules)
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("--rules: %w", err)}
	}
	return rules, nil
}

func oneRule(cmd *cobra.Command, scopes []string, keys string, operations []string) ([]auth.Rule, error) {
	r := auth.Rule{Effect: auth.Allow, Operations: operations}
	for _, s := range scopes {
		r.Scopes = append(r.Scopes, auth.Scope(s))
	}
	if keys != "" {
		list, err := readKeysFile(cmd, keys)
		if err != nil {
			return nil, err
		}
		for _, key := range list {
			r.Keys = append(r.Keys, key.String())
		}
	}
	return []auth.Rule{r}, nil
}

// putPolicy looks first whether it would replace one.
func (f *operatorFlags) putPolicy(p auth.Policy, replace bool) error {
	signer, err := f.dial()
	if err != nil {
		return err
	}
	defer signer.end()
	if !replace {
		answer, err := signer.ask(f.cmd.Context(), http.MethodGet, routes.RoutePolicies, nil)
		if err != nil {
			return err
		}
		var all routes.Policies
		if err := json.Unmarshal(answer, &all); err != nil {
			return fmt.Errorf("the signer's answer: %w", err)
		}
		if slices.ContainsFunc(all.Data, func(x auth.Policy) bool { return x.Name == p.Name }) {
			return fmt.Errorf("there is a policy %s already: --replace replaces it", p.Name)
		}
	}
	answer, err := signer.ask(f.cmd.Context(), http.MethodPut, routes.RoutePolicies+"/"+url.PathEscape(p.Name), map[string]any{"rules": p.Rules})
	if err != nil {
		return err
	}
	var made auth.Policy
	return f.show(answer, &made, func(row rows) {
		for _, r := range made.Rules {
			row(shown(made.Name), "%s", shown(ruleText(r)))
		}
	})
}

func newPolicyDelete() *cobra.Command {
	cmd := &cobra.Command{Use: "delete NAME", Short: "Delete a policy that no token has", Long: "Delete a policy that no token has." + operatorExit, Args: usage(cobra.ExactArgs(1))}
	flags := newOperatorFlags(cmd, flagAuthToken)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		return flags.change(http.MethodDelete, routes.RoutePolicies+"/"+url.PathEscape(args[0]))
	}
	return cmd
}

func newPolicyReset() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Drop all policies, client tokens and certificates",
		Long: `Drop all policies, client tokens and certificates: in an incident, or because what is kept of them is missing or damaged.
Root tokens stay. With auth.mode policies nobody signs until there are new ones.` + operatorExit,
		Args: usage(cobra.NoArgs),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	yes := newYesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := confirm(cmd, *yes, "Every client token ends on every replica."); err != nil {
			return err
		}
		return flags.change(http.MethodPost, routes.RouteResetAuth)
	}
	return cmd
}

// run asks the signer for one thing, and shows the answer.
func (f *operatorFlags) run(method, route string, body, into any, table func(rows)) error {
	signer, err := f.dial()
	if err != nil {
		return err
	}
	defer signer.end()
	answer, err := signer.ask(f.cmd.Context(), method, route, body)
	if err != nil {
		return err
	}
	return f.show(answer, into, table)
}

// change asks for something of which there is nothing more to tell.
func (f *operatorFlags) change(method, route string) error {
	var done routes.Changed
	return f.run(method, route, nil, &done, func(row rows) { row("done", "%s", shown(done.Changed)) })
}
