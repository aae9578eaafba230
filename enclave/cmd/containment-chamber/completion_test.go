package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompletionScripts(t *testing.T) {
	for shell, words := range map[string]string{
		"bash": "__start_containment-chamber", "zsh": "#compdef containment-chamber", "fish": "complete -c containment-chamber",
		"powershell": "Register-ArgumentCompleter -CommandName 'containment-chamber'",
	} {
		code, out, errs := command(t, "completion", shell)
		if code != exitOK || errs != "" || !strings.Contains(out, words) {
			t.Errorf("%s: exit code %d, %d bytes, %s", shell, code, len(out), errs)
		}
	}
	for _, wrong := range []string{"completion", "completion tcsh", "completion bash zsh", "completion bash --bogus"} {
		if code, out, _ := command(t, strings.Fields(wrong)...); code != exitUsage || out != "" {
			t.Errorf("%s: exit code %d, %q", wrong, code, out)
		}
	}
}

// TestCompletionInBash has bash itself ask for a flag's values, with a program of that name that answers as this one does.
func TestCompletionInBash(t *testing.T) {
	_, script, _ := command(t, "completion", "bash")
	_, answer, _ := command(t, "__complete", "operator", "import-keys", "--output", "")
	bash := exec.CommandContext(t.Context(), "bash", "-c", script+`
compopt() { :; }
containment-chamber() { [ "$*" = "__complete operator import-keys --output " ] && printf '%s' "$ANSWER"; }
_get_comp_words_by_ref() { words=(containment-chamber operator import-keys --output '') cword=4 cur='' prev=--output; }
COMP_WORDS=(containment-chamber operator import-keys --output '') COMP_CWORD=4 COMP_LINE='containment-chamber operator import-keys --output ' COMP_POINT=50 COMP_TYPE=9
__start_containment-chamber
echo "${COMPREPLY[@]}"`)
	bash.Env = append(bash.Environ(), "ANSWER="+answer)
	out, err := bash.CombinedOutput()
	if got := strings.Fields(string(out)); err != nil || !cmp.Equal(got, []string{"json", "table"}) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestCompletedValues: closed sets, directories, files, and nothing where a shell can know nothing. The last line is cobra's directive.
func TestCompletedValues(t *testing.T) {
	for line, want := range map[string]string{
		"operator import-keys --output ":      "json table :4",
		"operator status --output t":          "json table :4", // the shell sifts
		"operator import-keys --retry-for ":   ":4",
		"operator import-keys --policy ":      ":0",
		"operator import-keys ":               ":0",
		"operator seal --signer-url ":         ":4",
		"operator seal ":                      ":4",
		"operator migrate compare --network ": "mainnet sepolia hoodi holesky gnosis :4",
		"server --tee-platform ":              "none nitro simulated :4",
		"server --tls-file-cert-path ":        ":0",
		"server --config ":                    ":0",
		"connect --log-level ":                "debug info warn error :4",
		"connect --drain-timeout ":            ":4",
		"attest policy --proof ":              "certificate per-connection :4",
		"eif build --arch ":                   "x86_64 arm64 :4",
		"eif build --output ":                 ":0",
		"eif build --rootfs ":                 ":16",
		"completion ":                         "bash zsh fish powershell :4",
		"man ":                                ":0",
	} {
		before, last, _ := strings.Cut(line, "  ")
		args := append([]string{"__complete"}, strings.Fields(before)...)
		if strings.HasSuffix(line, " ") {
			args = append(args, last)
		}
		code, out, _ := command(t, args...)
		if got := strings.Join(strings.Fields(out), " "); code != exitOK || got != want {
			t.Errorf("%s: exit code %d, %q, want %q", line, code, got, want)
		}
	}
}
