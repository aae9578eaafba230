package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

func newEIFDiff() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff BEFORE AFTER",
		Short: "Tell by what two images differ: registers, sections, and files of the ramdisks",
		Long: `Tell by what two images differ: registers, sections, and files of the ramdisks.

Exit code: 0 what is measured is the same, and so are its registers; 1 it differs, or an image is refused; 2 the command line, or a file
that it names, is wrong.`,
		Args: usage(cobra.ExactArgs(2)),
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := diffImages(args[0], args[1])
		if err != nil {
			return err
		}
		if *asJSON {
			err = printJSON(cmd.OutOrStdout(), d)
		} else {
			_, err = fmt.Fprint(cmd.OutOrStdout(), d)
		}
		if err == nil && !d.SameMeasured {
			err = errors.New("what is measured differs")
		}
		return err
	}
	return cmd
}

// imageDiff is by what two images differ.
type imageDiff struct {
	SameMeasured bool           `json:"measured_same"`
	Registers    []registerDiff `json:"registers"`
	Header       []string       `json:"unmeasured_header"`
	Sections     []sectionDiff  `json:"sections"`
}

type registerDiff struct {
	Register string `json:"register"`
	Before   string `json:"before"` // empty if the image has none
	After    string `json:"after"`
}

type sectionDiff struct {
	Section  string           `json:"section"` // such as "ramdisk 1"
	Measured bool             `json:"measured"`
	Before   *sectionContent  `json:"before"` // null if the image has none
	After    *sectionContent  `json:"after"`
	Files    []ramdisk.Change `json:"files,omitempty"` // of a ramdisk
	Note     string           `json:"note,omitempty"`
}

type sectionContent struct {
	Size   int64  `json:"size_bytes"`
	SHA256 string `json:"sha256"`
	body   *io.SectionReader
}

func diffImages(before, after string) (imageDiff, error) {
	a, err := openImage(before)
	if err != nil {
		return imageDiff{}, err
	}
	defer a.close()
	b, err := openImage(after)
	if err != nil {
		return imageDiff{}, err
	}
	defer b.close()
	d := imageDiff{Registers: diffRegisters(a.PCRs, b.PCRs), Header: diffHeaders(a.File, b.File)}
	d.Sections, err = diffSections(a, b)
	d.SameMeasured = len(d.Registers) == 0
	for _, s := range d.Sections {
		d.SameMeasured = d.SameMeasured && !s.Measured
	}
	return d, err
}

func diffRegisters(a, b attestation.Measurements) (out []registerDiff) {
	for _, register := range verifyRegisters() {
		before, had := a[register]
		after, has := b[register]
		if had == has && before == after {
			continue
		}
		d := registerDiff{Register: fmt.Sprintf("PCR%d", register)}
		if had {
			d.Before = before.String()
		}
		if has {
			d.After = after.String()
		}
		out = append(out, d)
	}
	return out
}

// diffHeaders compares what no register holds.
func diffHeaders(a, b *eif.File) (out []string) {
	for _, field := range []struct{ name, before, after string }{
		{"version", fmt.Sprint(a.Version), fmt.Sprint(b.Version)},
		{"architecture", a.Arch.String(), b.Arch.String()},
		{"default memory", fmt.Sprint(a.Memory), fmt.Sprint(b.Memory)},
		{"default CPUs", fmt.Sprint(a.CPUs), fmt.Sprint(b.CPUs)},
	} {
		if field.before != field.after {
			out = append(out, fmt.Sprintf("%s %s → %s", field.name, field.before, field.after))
		}
	}
	return out
}

// diffSections compares the sections of a kind in their order.
func diffSections(a, b openedImage) (out []sectionDiff, err error) {
	before, err := a.sections()
	if err != nil {
		return nil, err
	}
	after, err := b.sections()
	if err != nil {
		return nil, err
	}
	for _, kind := range []eif.SectionType{eif.KernelSection, eif.CmdlineSection, eif.RamdiskSection, eif.MetadataSection, eif.SignatureSection} {
		for i := range max(len(before[kind]), len(after[kind])) {
			d := sectionDiff{Section: kind.String(), Measured: kind != eif.MetadataSection && kind != eif.SignatureSection}
			if kind == eif.RamdiskSection {
				d.Section = fmt.Sprintf("ramdisk %d", i)
			}
			if i < len(before[kind]) {
				d.Before = &before[kind][i]
			}
			if i < len(after[kind]) {
				d.After = &after[kind][i]
			}
			if d.Before != nil && d.After != nil && d.Before.SHA256 == d.After.SHA256 && d.Before.Size == d.After.Size {
				continue
			}
			if kind == eif.RamdiskSection {
				d.look()
			}
			out = append(out, d)
		}
	}
	return out, nil
}

// look compares the files of two ramdisks. One that cannot be read is no reason to say nothing of the rest.
func (d *sectionDiff) look() {
	var files [2][]ramdisk.File
	for i, s := range []*sectionContent{d.Before, d.After} {
		if s == nil {
			continue
		}
		var err error
		if files[i], err = ramdisk.Read(io.NewSectionReader(s.body, 0, s.body.Size())); err != nil {
			d.Note = fmt.Sprintf("files of the %s one are not compared: %v", []string{"first", "second"}[i], err)
			return
		}
	}
	d.Files = ramdisk.Compare(files[0], files[1])
	if len(d.Files) == 0 {
		d.Note = "the files are the same; order, numbering or compression is not"
	}
}

// sections hashes the sections, by their kinds.
func (f openedImage) sections() (map[eif.SectionType][]sectionContent, error) {
	out := map[eif.SectionType][]sectionContent{}
	for _, s := range f.Sections {
		sum, err := f.Sum(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.path, err)
		}
		out[s.Type] = append(out[s.Type], sectionContent{s.Size, hex.EncodeToString(sum[:]), f.Body(s)})
	}
	return out, nil
}

// String is the difference in lines. Names are quoted: they come from the images.
func (d imageDiff) String() string {
	var out strings.Builder
	for _, r := range d.Registers {
		fmt.Fprintf(&out, "%s differs\n  - %s\n  + %s\n", r.Register, orNone(r.Before), orNone(r.After))
	}
	for _, line := range d.Header {
		fmt.Fprintf(&out, "header, not measured: %s\n", line)
	}
	for _, s := range d.Sections {
		measured := "not measured"
		if s.Measured {
			measured = "measured"
		}
		fmt.Fprintf(&out, "%s differs, %s\n  - %s\n  + %s\n", s.Section, measured, s.Before, s.After)
		for _, f := range s.Files {
			fmt.Fprintf(&out, "  %-7s %q: %s\n", f.Kind, f.Name, strings.Join(f.What, ", "))
		}
		if s.Note != "" {
			fmt.Fprintf(&out, "  %s\n", s.Note)
		}
	}
	if out.Len() == 0 {
		return "the images are the same\n"
	}
	if d.SameMeasured {
		out.WriteString("what is measured is the same\n")
	}
	return out.String()
}

func (s *sectionContent) String() string {
	if s == nil {
		return "none"
	}
	return fmt.Sprintf("%d bytes, sha256:%s", s.Size, s.SHA256)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
