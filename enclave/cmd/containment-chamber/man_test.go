package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestManualPages: one for each command, with every flag, in requests that roff knows and lines that its linters take.
func TestManualPages(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1772366400")
	dir := filepath.Join(t.TempDir(), "man1")
	if code, out, errs := command(t, "man", dir); code != exitOK || out != "" || errs != "" {
		t.Fatalf("exit code %d, %s%s", code, out, errs)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	request := regexp.MustCompile(`^\.(TH [A-Z0-9-]+ 1 2026-03-01 "containment-chamber \S+" "Containment Chamber"|SH "[A-Z ]+"|PP|TP|nf|fi|BR \S+ \(1\))$`)
	pages := 0
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		pages++
		text, err := os.ReadFile(filepath.Join(dir, manName(cmd)+".1"))
		if err != nil {
			t.Error(err)
			return
		}
		verbatim := false
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			verbatim = line == ".nf" || verbatim && line != ".fi"
			switch {
			case strings.HasPrefix(line, ".") && !request.MatchString(line), strings.HasPrefix(line, "'"), line == "" && !verbatim:
				t.Errorf("%s: %q is no request", cmd.CommandPath(), line)
			case regexp.MustCompile(`\\[^-efR(&]`).MatchString(strings.NewReplacer(`\fB`, "", `\fI`, "").Replace(line)):
				t.Errorf("%s: %q has an escape of its own", cmd.CommandPath(), line)
			case len(line) > 80 && strings.Contains(line, " ") && !verbatim && !strings.HasPrefix(line, ".TH") && !strings.HasPrefix(line, `\fB`):
				t.Errorf("%s: %q is a long line", cmd.CommandPath(), line)
			}
		}
		if verbatim {
			t.Errorf("%s: what is left as it is does not end", cmd.CommandPath())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if found := strings.Contains(string(text), `\fB`+roff("--"+f.Name)+`\fR`); found == f.Hidden {
				t.Errorf("%s: --%s stands there: %v", cmd.CommandPath(), f.Name, found)
			}
		})
		for _, below := range cmd.Commands() {
			if below.IsAvailableCommand() {
				visit(below)
			}
		}
	}
	visit(newRootCommand())
	if pages != len(files) || pages < 50 {
		t.Errorf("%d commands and %d pages", pages, len(files))
	}
	for variable, args := range map[string]string{"today": "man " + dir, "0": "man", "1": "man a b"} {
		t.Setenv("SOURCE_DATE_EPOCH", variable)
		if code, _, errs := command(t, strings.Fields(args)...); code != exitUsage {
			t.Errorf("%s: exit code %d, %s", args, code, errs)
		}
	}
}

func TestManualPage(t *testing.T) {
	cmd := &cobra.Command{
		Use: "x FILE", Short: "Do 'it'", Run: func(*cobra.Command, []string) {},
		Long: "It does.\n.so /etc/passwd\n\n  a  \\n\n  .b-c\n\n" + strings.Repeat("word ", 30) + "\n\n'end",
	}
	cmd.Flags().StringP("why", "w", "because", "the `reason`, and\nno other")
	cmd.Flags().Bool("quiet", false, "say nothing")
	want := `.TH X 1 2026-03-01 "containment-chamber 0.1.0" "Containment Chamber"
.SH "NAME"
x \- Do \(aqit\(aq
.SH "SYNOPSIS"
\fBx FILE [flags]\fR
.SH "DESCRIPTION"
It does. .so /etc/passwd
.PP
.nf
  a  \en
  .b\-c
.fi
.PP
` + strings.TrimSpace(strings.Repeat("word ", 15)) + "\n" + strings.TrimSpace(strings.Repeat("word ", 15)) + `
.PP
\(aqend
.SH "OPTIONS"
.TP
\fB\-h\fR, \fB\-\-help\fR
help for x
.TP
\fB\-\-quiet\fR
say nothing
.TP
\fB\-w\fR, \fB\-\-why\fR \fIreason\fR
the reason, and no other (default because)
`
	same(t, manPage(cmd, "2026-03-01"), want)
}
