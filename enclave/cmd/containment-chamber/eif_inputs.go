package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif/layout"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif/oci"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// input is a file that went into an image.
type input struct {
	What   string `json:"what"`
	Path   string `json:"path"`
	Digest string `json:"digest"` // sha256:…
}

// inputs reads what an image is made of.
type inputs struct {
	read []input
	warn func(string)
}

// maxInput is the most bytes of a kernel, an init or a module. Those of AWS have about 6 MB.
const maxInput = 256 << 20

// image reads everything and puts it together.
func (in *inputs) image(f *buildFlags) (eif.Image, error) {
	kernel, err := in.pinned("kernel", f.kernel)
	if err != nil {
		return eif.Image{}, err
	}
	cmdline, err := in.commandLine(f)
	if err != nil {
		return eif.Image{}, err
	}
	boot, err := in.boot(f)
	if err != nil {
		return eif.Image{}, err
	}
	application, err := in.application(f)
	if err != nil {
		return eif.Image{}, err
	}
	if err := errors.Join(sameMachine(boot, f.architecture()), sameMachine(application, f.architecture())); err != nil {
		return eif.Image{}, err
	}
	img := eif.Image{Arch: f.architecture(), Memory: 1 << 30, CPUs: 2, Kernel: section(kernel), Cmdline: cmdline}
	for _, t := range []*ramdisk.Tree{boot, application} {
		disk, err := pack(t, f.gzip)
		if err != nil {
			return eif.Image{}, err
		}
		img.Ramdisks = append(img.Ramdisks, section(disk))
		if t == application && f.rootfs != "" {
			in.read = append(in.read, input{"ramdisk", f.rootfs, fmt.Sprintf("sha256:%x", sha256.Sum256(disk))})
		}
	}
	img.Metadata, err = f.metadata()
	return img, err
}

func section(b []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
}

func (f *buildFlags) architecture() eif.Arch {
	if f.arch == eif.ARM64.String() {
		return eif.ARM64
	}
	return eif.X8664
}

// metadata is what AWS's tools want to find. Nothing in it depends on when or where it is written.
func (f *buildFlags) metadata() ([]byte, error) {
	version := f.version
	if version == "" {
		version = wire.Release
	}
	return eif.ImageMetadata{
		Name: f.name, Version: version,
		Build: eif.BuildMetadata{
			Time: "1970-01-01T00:00:00Z", Tool: "containment-chamber", ToolVersion: wire.Release,
			OperatingSystem: "Linux", KernelVersion: f.kernelVersion,
		},
	}.Marshal()
}

// commandLine is the kernel's; a file of it may end with a line break, which is no part of it.
func (in *inputs) commandLine(f *buildFlags) (string, error) {
	text := f.cmdline
	if f.cmdlineFile != "" {
		raw, err := in.pinned("cmdline-file", f.cmdlineFile)
		if err != nil {
			return "", err
		}
		text = strings.TrimRight(string(raw), "\n")
	}
	for _, r := range text {
		if r < ' ' || r > '~' {
			return "", usageError{fmt.Errorf("kernel command line: character %q, want printable ASCII in one line", r)}
		}
	}
	return text, nil
}

func (in *inputs) boot(f *buildFlags) (*ramdisk.Tree, error) {
	init, err := in.pinned("init", f.init)
	if err != nil {
		return nil, err
	}
	var modules []layout.Module
	for _, m := range f.modules {
		body, err := in.pinned("module", m)
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(body, []byte("\x7fELF")) {
			return nil, usageError{fmt.Errorf("--module: %s: not an ELF file; a compressed module must be unpacked first", m)}
		}
		path, _, _ := strings.Cut(m, pinMark)
		modules = append(modules, layout.Module{Name: filepath.Base(path), Body: body})
	}
	return layout.Boot(init, modules)
}

func (in *inputs) application(f *buildFlags) (*ramdisk.Tree, error) {
	if f.rootfs != "" {
		root, err := ramdisk.FromDirectory(f.rootfs)
		if err != nil {
			return nil, usageError{fmt.Errorf("--rootfs: %w", err)}
		}
		return layout.Application(root, f.cmd, f.env)
	}
	dir, ref, _ := strings.Cut(f.oci, ":")
	if _, err := os.Stat(dir); err != nil {
		return nil, usageError{fmt.Errorf("--oci: %w", err)}
	}
	arch := map[eif.Arch]string{eif.X8664: "amd64", eif.ARM64: "arm64"}[f.architecture()]
	img, err := oci.Read(dir, ref, arch)
	if err != nil {
		return nil, err
	}
	in.read = append(in.read, input{"container image", f.oci, img.Digest})
	cmd, env := f.cmd, f.env
	if len(cmd) == 0 {
		cmd = slices.Concat(img.Config.Entrypoint, img.Config.Cmd)
	}
	if len(env) == 0 && !f.noEnv {
		env = img.Config.Env
	}
	if u := img.Config.User; u != "" && u != "root" && u != "0" && u != "0:0" && u != "root:root" {
		in.warn(fmt.Sprintf("the container image runs as user %q; in an enclave its program runs as root, which is alone there", u))
	}
	if w := img.Config.WorkingDir; w != "" && w != "/" {
		in.warn(fmt.Sprintf("the container image works in %q; in an enclave its program starts in /", w))
	}
	return layout.Application(img.Root, cmd, env)
}

// sameMachine refuses programs and modules for another processor than the image's, of which nobody would hear: such an enclave is silent.
// What is no ELF file, or neither is executed nor a module, is not looked at.
func sameMachine(t *ramdisk.Tree, arch eif.Arch) error {
	want := map[eif.Arch]elf.Machine{eif.X8664: elf.EM_X86_64, eif.ARM64: elf.EM_AARCH64}[arch]
	for _, name := range t.Names() {
		e, _ := t.Get(name)
		runs := e.Mode.Type() == ramdisk.Regular && (e.Mode&0o111 != 0 || strings.HasSuffix(name, ".ko"))
		if !runs || len(e.Body) < 20 || !bytes.HasPrefix(e.Body, []byte(elf.ELFMAG)) {
			continue
		}
		if got := elf.Machine(binary.LittleEndian.Uint16(e.Body[18:])); got != want { // e_machine, System V ABI, chapter 4
			return usageError{fmt.Errorf("%s is for %v, want %v for --arch %v", name, got, want, arch)}
		}
	}
	return nil
}

// pack writes a ramdisk.
func pack(t *ramdisk.Tree, compress bool) ([]byte, error) {
	var out bytes.Buffer
	if !compress {
		err := ramdisk.Write(&out, t)
		return out.Bytes(), err
	}
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(ramdisk.Write(z, t), z.Close()); err != nil {
		return nil, err
	}
	for out.Len()%4 != 0 { // the ramdisk that follows begins where a kernel looks for it; the zeros between are skipped
		out.WriteByte(0)
	}
	return out.Bytes(), nil
}

// pinMark stands between a file and its digest.
const pinMark = "@sha256:"

// pinned reads a file, which must have the digest that its name ends with.
func (in *inputs) pinned(what, argument string) ([]byte, error) {
	path, want, has := strings.Cut(argument, pinMark)
	if raw, err := hex.DecodeString(want); has && (err != nil || len(raw) != sha256.Size) {
		return nil, usageError{fmt.Errorf("--%s: %q after %s, want 64 hexadecimal digits", what, want, pinMark)}
	}
	content, err := readBounded(path)
	if err != nil {
		return nil, usageError{fmt.Errorf("--%s: %w", what, err)}
	}
	sum := sha256.Sum256(content)
	got := hex.EncodeToString(sum[:])
	if has && !strings.EqualFold(got, want) {
		return nil, fmt.Errorf("--%s: %s has the digest sha256:%s, want sha256:%s", what, path, got, want)
	}
	in.read = append(in.read, input{what, path, "sha256:" + got})
	return content, nil
}

// readBounded reads a regular file.
func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // which may wait for a writer when it is opened
		return nil, fmt.Errorf("%s: is no regular file", path)
	case info.Size() > maxInput:
		return nil, fmt.Errorf("%s: %d bytes, at most %d are allowed", path, info.Size(), maxInput)
	}
	return os.ReadFile(path)
}
