package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// buildFlags say what an image is made of.
type buildFlags struct {
	output, arch         string
	kernel, init         string
	cmdline, cmdlineFile string
	modules              []string
	rootfs, oci          string
	cmd, env             []string
	noEnv                bool
	gzip                 bool
	certificate, key     string
	name, version        string
	kernelVersion        string
	jsonOutput           bool
}

func newEIFBuild() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build --output FILE --kernel FILE --init FILE --cmdline TEXT (--rootfs DIR | --oci DIR[:REF])",
		Short: "Build an image, whose bytes depend on nothing but what goes into it",
		Long: `Build an image, whose bytes depend on nothing but what goes into it: not on times, users, umask or directories, nor, when it
is signed, on random numbers.

FILE of --kernel, --cmdline-file, --init and --module may end in @sha256:DIGEST, 64 hexadecimal digits: a file of another digest is refused. The
kernel starts with a ramdisk of the init and the modules (PCR1); the program is in a second one (PCR2): the files of --rootfs with
--cmd and --env, or a container image in the OCI image layout with its own command and environment where these flags are not given. Builders put
a PATH into every container image's environment; --no-env leaves it out of what is measured. The layout of both ramdisks is what AWS's stock
init expects as well as chamber-init.

Exit code: 0 done; 1 what goes into the image is refused; 2 the command line, or a file that it names, is wrong.`,
		Args: usage(cobra.NoArgs),
	}
	f, flags := &buildFlags{}, cmd.Flags()
	flags.StringVar(&f.output, "output", "", "image `file` to write, or to replace")
	flags.StringVar(&f.arch, "arch", "x86_64", "`processor`: x86_64 or arm64")
	flags.StringVar(&f.kernel, "kernel", "", "kernel `file`: bzImage for x86_64, Image for arm64")
	flags.StringVar(&f.init, "init", "", "`file` of the first program, chamber-init or the init of AWS")
	flags.StringVar(&f.cmdline, "cmdline", "", "`text` for the kernel, such as 'reboot=k panic=30 pci=off console=ttyS0 random.trust_cpu=on'")
	flags.StringVar(&f.cmdlineFile, "cmdline-file", "", "`file` with that text in one line, as AWS has it beside its kernel")
	flags.StringArrayVar(&f.modules, "module", nil, "`file` of a kernel module, .ko; as often as needed, in the order of loading")
	flags.StringVar(&f.rootfs, "rootfs", "", "`directory` with the program's files")
	flags.StringVar(&f.oci, "oci", "", "`directory` with a container image in the OCI image layout, and after a colon which one of several")
	flags.StringArrayVar(&f.cmd, "cmd", nil, "`argument` of the program's command line, as often as needed: its path first")
	flags.StringArrayVar(&f.env, "env", nil, "`NAME=value` of the program's environment, as often as needed")
	flags.BoolVar(&f.noEnv, "no-env", false, "give the program no environment, whatever that of the container image is")
	flags.BoolVar(&f.gzip, "gzip", false, "compress the ramdisks; the bytes are then those of this program's version of Go, too")
	flags.StringVar(&f.certificate, "signing-certificate", "", "PEM `file` of the certificate to sign with, P-384: names PCR8")
	flags.StringVar(&f.key, "private-key", "", "PEM `file` of its private key")
	flags.StringVar(&f.name, "name", "containment-chamber", "`name` in the metadata, which is not measured")
	flags.StringVar(&f.version, "image-version", "", "`version` in the metadata (default this program's)")
	flags.StringVar(&f.kernelVersion, "kernel-version", "unknown", "`version` of the kernel in the metadata")
	flags.BoolVar(&f.jsonOutput, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd) }
	return cmd
}

// built is what "eif build" and "eif sign" print.
type built struct {
	File   string            `json:"file"`
	Size   int64             `json:"size_bytes"`
	SHA256 string            `json:"sha256"` // of the file
	PCRs   map[string]string `json:"pcrs"`
	Inputs []input           `json:"inputs,omitempty"` // of a build
}

func (f *buildFlags) run(cmd *cobra.Command) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	in := &inputs{warn: func(text string) { warn(cmd, []string{text}) }}
	img, err := in.image(f)
	if err != nil {
		return err
	}
	key, err := signingKey(f.certificate, f.key)
	if err != nil {
		return err
	}
	var raw bytes.Buffer
	if key == nil {
		err = eif.Write(&raw, img)
	} else {
		err = eif.WriteSigned(&raw, img, key)
	}
	if err != nil {
		return err
	}
	file, summary, err := writeImage(f.output, raw.Bytes())
	if err != nil {
		return err
	}
	summary.Inputs = in.read
	warn(cmd, dateWarnings(file))
	return printBuilt(cmd.OutOrStdout(), f.jsonOutput, file.PCRs, summary)
}

// writeImage writes an image to a file after it was held to what every other image is.
func writeImage(path string, raw []byte) (*eif.File, built, error) {
	file, err := eif.Parse(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return nil, built{}, err
	}
	err = replaceFile(path, func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
	if err == nil {
		err = os.Chmod(path, 0o644) //nolint:gosec // nothing in it is secret, and whoever starts it may be another user
	}
	if err != nil {
		return nil, built{}, usageError{fmt.Errorf("output: %w", err)}
	}
	sum := sha256.Sum256(raw)
	return file, built{File: path, Size: file.Size, SHA256: hex.EncodeToString(sum[:]), PCRs: file.Describe().PCRs}, nil
}

func printBuilt(out io.Writer, asJSON bool, pcrs attestation.Measurements, b built) error {
	if asJSON {
		return printJSON(out, b)
	}
	for _, in := range b.Inputs {
		if _, err := fmt.Fprintf(out, "%s %s  %s\n", in.What, in.Digest, in.Path); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(out, "image sha256:%s  %s, %d bytes\n", b.SHA256, b.File, b.Size); err != nil {
		return err
	}
	return printRegisters(out, pcrs)
}

// printRegisters prints what is measured, one register in each line.
func printRegisters(out io.Writer, pcrs attestation.Measurements) error {
	for _, index := range attestation.Registers() {
		value, ok := pcrs[index]
		if !ok {
			continue
		}
		if _, err := fmt.Fprintf(out, "PCR%d %s  %s\n", index, value, policyfile.Meaning(index)); err != nil {
			return err
		}
	}
	return nil
}

func (f *buildFlags) check(cmd *cobra.Command) error {
	if err := refuseEmpty(cmd.Flags(), "output", "arch", "kernel", "init", "cmdline", "cmdline-file", "rootfs", "oci", "signing-certificate", "private-key", "name"); err != nil {
		return err
	}
	switch {
	case f.output == "" || f.kernel == "" || f.init == "":
		return usageError{errors.New("want --output, --kernel and --init")}
	case f.arch != eif.X8664.String() && f.arch != eif.ARM64.String():
		return usageError{fmt.Errorf("--arch: %q, want x86_64 or arm64", f.arch)}
	case (f.cmdline == "") == (f.cmdlineFile == ""):
		return usageError{errors.New("want one of --cmdline and --cmdline-file")}
	case (f.rootfs == "") == (f.oci == ""):
		return usageError{errors.New("want one of --rootfs and --oci")}
	case f.rootfs != "" && below(f.rootfs, f.output):
		return usageError{errors.New("--output lies in --rootfs: the next image would hold this one")}
	case f.rootfs != "" && len(f.cmd) == 0:
		return usageError{errors.New("--rootfs needs --cmd")}
	case f.noEnv && len(f.env) > 0:
		return usageError{errors.New("--no-env and --env exclude each other")}
	case (f.certificate == "") != (f.key == ""):
		return usageError{errors.New("--signing-certificate and --private-key go together")}
	}
	return nil
}

// below tells whether a file is to be made in a directory or in one below it. What cannot be told is found by who opens it.
func below(dir, file string) bool {
	where, err := filepath.EvalSymlinks(filepath.Dir(file))
	root, err2 := filepath.EvalSymlinks(dir)
	if err != nil || err2 != nil {
		return false
	}
	for _, path := range []*string{&where, &root} {
		if *path, err = filepath.Abs(*path); err != nil {
			return false
		}
	}
	rel, err := filepath.Rel(root, where)
	return err == nil && filepath.IsLocal(rel)
}

// signingKey reads a certificate and its key; nil if none are named.
func signingKey(certificate, key string) (*eif.SigningKey, error) {
	if certificate == "" {
		return nil, nil
	}
	certificateText, err := os.ReadFile(certificate)
	if err != nil {
		return nil, usageError{fmt.Errorf("--signing-certificate: %w", err)}
	}
	keyText, err := os.ReadFile(key)
	if err != nil {
		return nil, usageError{fmt.Errorf("--private-key: %w", err)}
	}
	defer clear(keyText)
	signing, err := eif.NewSigningKey(certificateText, keyText)
	if err != nil {
		return nil, usageError{err}
	}
	return signing, nil
}
