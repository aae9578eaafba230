// Command release writes the files of a release that say what the others are: archives, notices, an SBOM and the provenance.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

const usage = `usage: release COMMAND -out FILE [flags] FILE...

  archive     put FILEs into a tar.gz under -prefix
  chart       write a chart package again, with the times and owners of a release
  notices     the licences of everything that is linked into the binaries FILE...
  sbom        SPDX 2.3 of the binaries FILE... and of the enclave image -image
  provenance  SLSA provenance v1, unsigned, of the artefacts FILE...

Every time in what it writes is -time, in seconds since 1970.
`

// errUsage is a mistake in the command line, which has been explained.
var errUsage = errors.New("wrong command line")

func main() {
	err := run(os.Args[1:], os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "release:", err)
	code := 1
	if errors.Is(err, errUsage) {
		code = 2
	}
	os.Exit(code) //nolint:forbidigo // this is main
}

// job is what a command is told.
type job struct {
	time    time.Time // of everything, from -time
	version string    // without v
	arch    string    // as Go calls it
	prefix  string    // folder inside the archive
	build   string    // file of NAME=VALUE lines about the build, see readBuild
	modules string    // Go's module cache
	image   string    // enclave image with two of the programs
	files   []string
}

func run(args []string, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return errUsage
	}
	var j job
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("out", "", "`file` to write")
	seconds := flags.Int64("time", -1, "time of everything that is written, in `seconds` since 1970")
	flags.StringVar(&j.version, "version", "", "version of the release")
	flags.StringVar(&j.arch, "arch", "", "architecture of the binaries, as Go calls it")
	flags.StringVar(&j.prefix, "prefix", "", "folder inside the archive")
	flags.StringVar(&j.build, "build", "", "`file` of NAME=VALUE lines about the build")
	flags.StringVar(&j.modules, "modules", "", "Go's module cache")
	flags.StringVar(&j.image, "image", "", "enclave image `file` that an SBOM describes as well")
	if err := flags.Parse(args[1:]); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	j.files = flags.Args()
	commands := map[string]func(job, io.Writer) error{
		"archive": writeArchive, "chart": writeChart, "notices": writeNotices, "sbom": writeSBOM, "provenance": writeProvenance,
	}
	command, ok := commands[args[0]]
	switch {
	case !ok:
		return fmt.Errorf("%w: no command %q", errUsage, args[0])
	case *out == "":
		return fmt.Errorf("%w: %s needs -out", errUsage, args[0])
	case len(j.files) == 0:
		return fmt.Errorf("%w: %s needs a file", errUsage, args[0])
	case *seconds < 0:
		return fmt.Errorf("%w: %s needs -time", errUsage, args[0])
	}
	j.time = time.Unix(*seconds, 0).UTC()
	return replace(*out, func(w io.Writer) error { return command(j, w) })
}

// replace writes a file beside its name first, so that one that failed half-way is never taken for whole.
func replace(name string, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(name), ".release-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name()) //nolint:gosec // it was made here, beside -out
		}
	}()
	if err := errors.Join(write(file), file.Chmod(0o644), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(file.Name(), name) //nolint:gosec // -out is what whoever calls wants written
}
