package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newCompletionCommand makes "completion". Cobra's own ends well whatever shell it is asked for.
func newCompletionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that has a shell complete commands, flags and their values",
		Long: `Print a script that has a shell complete commands, flags and their values.

  bash        source <(containment-chamber completion bash), with the package bash-completion installed; for
              everybody in /etc/bash_completion.d/containment-chamber
  zsh         in a file _containment-chamber of a directory in $fpath, before compinit
  fish        in ~/.config/fish/completions/containment-chamber.fish
  powershell  containment-chamber completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      usage(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		root, out := cmd.Root(), cmd.OutOrStdout()
		switch args[0] {
		case "bash":
			return root.GenBashCompletionV2(out, true)
		case "zsh":
			return root.GenZshCompletion(out)
		case "fish":
			return root.GenFishCompletion(out, true)
		}
		return root.GenPowerShellCompletionWithDesc(out)
	}
	return cmd
}

// closedSets are the values of flags that take no others, by the flag's name.
var closedSets = map[string][]string{ //nolint:gochecknoglobals // constant; Go has no constant maps
	"arch":      {"x86_64", "arm64"},
	"log-level": {"debug", "info", "warn", "error"},
	"network":   {"mainnet", "sepolia", "hoodi", "holesky", "gnosis"},
	"output":    {"json", "table"},
	"proof":     {"certificate", "per-connection"},
}

// completeValues has shells offer what the flags and arguments of a command and those below it take: one of a closed set, a directory, a
// file, or nothing that a shell could know.
func completeValues(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if offer := completionOf(f); offer != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, offer) // fails for a flag that is not there, or has one already
		}
	})
	if !strings.Contains(cmd.Use, " ") && cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, below := range cmd.Commands() {
		completeValues(below)
	}
}

// completionOf is nil for a flag that may take a file, which is what shells offer by themselves.
func completionOf(f *pflag.Flag) cobra.CompletionFunc {
	kind, _ := pflag.UnquoteUsage(f)
	kind = strings.ToLower(kind)
	switch closed := closedSets[f.Name]; {
	case strings.Contains(kind, "file"), f.Name == "config":
		return nil
	case strings.Contains(kind, "|"):
		return cobra.FixedCompletions(strings.Split(kind, "|"), cobra.ShellCompDirectiveNoFileComp)
	case closed != nil:
		return cobra.FixedCompletions(closed, cobra.ShellCompDirectiveNoFileComp)
	case kind == "directory":
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	case f.Value.Type() == "string" && (kind == "string" || kind == "text"):
		return nil // it may be a path
	}
	return cobra.NoFileCompletions
}
