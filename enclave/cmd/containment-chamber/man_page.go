package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// manPage is a command's page in the macros of man(7).
func manPage(cmd *cobra.Command, date string) string {
	cmd.InitDefaultHelpFlag()
	p := &roffPage{}
	fmt.Fprintf(p, ".TH %s 1 %s \"containment-chamber %s\" \"Containment Chamber\"\n", strings.ToUpper(manName(cmd)), date, wire.Release)
	p.section("NAME")
	p.fill(roff(manName(cmd)) + ` \- ` + roff(cmd.Short))
	p.section("SYNOPSIS")
	p.fill(`\fB` + roff(cmd.UseLine()) + `\fR`)
	p.section("DESCRIPTION")
	if cmd.Long != "" {
		p.paragraphs(cmd.Long)
	} else {
		p.paragraphs(cmd.Short + ".")
	}
	if cmd.HasAvailableSubCommands() {
		p.section("COMMANDS")
	}
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			fmt.Fprintf(p, ".TP\n.BR %s (1)\n", roff(manName(below)))
			p.fill(roff(below.Short))
		}
	}
	p.section("OPTIONS") // --help at least
	cmd.Flags().VisitAll(p.flag)
	if cmd.HasParent() {
		p.section("SEE ALSO")
		fmt.Fprintf(p, ".BR %s (1)\n", roff(manName(cmd.Parent())))
	}
	return p.String()
}

// roffPage is a page that is being written.
type roffPage struct{ strings.Builder }

func (p *roffPage) section(name string) { fmt.Fprintf(p, ".SH %q\n", name) }

func (p *roffPage) flag(f *pflag.Flag) {
	if f.Hidden {
		return
	}
	kind, text := pflag.UnquoteUsage(f)
	name := `\fB` + roff("--"+f.Name) + `\fR`
	if f.Shorthand != "" {
		name = `\fB` + roff("-"+f.Shorthand) + `\fR, ` + name
	}
	if kind != "" {
		name += ` \fI` + roff(kind) + `\fR`
	}
	switch f.DefValue {
	case "", "0", "0s", "false", "[]":
	default:
		if !strings.Contains(text, "(default ") {
			text += " (default " + f.DefValue + ")"
		}
	}
	fmt.Fprintf(p, ".TP\n%s\n", name)
	p.fill(roff(text))
}

// paragraphs writes a text whose paragraphs have an empty line between them. Indented lines stay as they are.
func (p *roffPage) paragraphs(text string) {
	for i, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			p.WriteString(".PP\n")
		}
		if !strings.HasPrefix(block, " ") && !strings.Contains(block, "\n ") {
			p.fill(roff(block))
			continue
		}
		p.WriteString(".nf\n")
		for line := range strings.SplitSeq(block, "\n") {
			p.line(roff(line))
		}
		p.WriteString(".fi\n")
	}
}

// fillColumn is where a line ends that may: mandoc's linter wants 80 at most.
const fillColumn = 78

// fill writes words in lines. They are escaped.
func (p *roffPage) fill(words string) {
	line := ""
	for word := range strings.FieldsSeq(words) {
		if line != "" && len(line)+1+len(word) > fillColumn {
			p.line(line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	p.line(line)
}

// line writes a line that roff does not take for a request.
func (p *roffPage) line(line string) {
	if strings.HasPrefix(line, ".") {
		line = `\&` + line
	}
	p.WriteString(line + "\n")
}

// roff escapes what roff would obey, and what it would set as other characters than people type (groff_char(7)).
func roff(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
}
