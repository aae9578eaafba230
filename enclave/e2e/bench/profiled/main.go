// Command profiled runs the signer as the product does, with profiles of the Go runtime written to files: the product itself has
// no way to be looked into while it runs.
//
// SIGUSR1 begins the CPU profile, so that the start is not in it. Both profiles are complete when the signer has ended.
package main

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole command; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("profiled", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("c", "", "YAML configuration file")
	profile := flags.String("profile", "", "the profiles' path; .cpu.pprof and .heap.pprof are added")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	begin := make(chan os.Signal, 1)
	signal.Notify(begin, syscall.SIGUSR1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *path, *profile, stdout, begin); err != nil {
		_, _ = fmt.Fprintf(stderr, "profiled: %v\n", err)
		return 1
	}
	return 0
}

// serve runs the signer and then writes the profiles.
func serve(ctx context.Context, path, profile string, stdout io.Writer, begin <-chan os.Signal) (err error) {
	cfg, err := config.Load(config.Sources{Path: path})
	if err != nil {
		return err
	}
	cpu, err := os.OpenFile(profile+".cpu.pprof", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("make the CPU profile: %w", err)
	}
	ended, profiled := make(chan struct{}), make(chan error, 1)
	go func() {
		select {
		case <-begin:
			profiled <- pprof.StartCPUProfile(cpu)
		case <-ended:
			profiled <- nil // the CPU profile stays empty
		}
	}()
	err = app.Run(ctx, app.Options{Platform: platform(cfg), Config: cfg, Stdout: stdout})
	close(ended)
	failure := <-profiled
	pprof.StopCPUProfile()
	return errors.Join(err, failure, cpu.Close(), writeHeap(profile+".heap.pprof"))
}

// writeHeap writes what is alive, and all that was ever allocated, by place.
func writeHeap(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("make the heap profile: %w", err)
	}
	runtime.GC() // what is alive is known only after a collection
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}

// platform composes a signer without an enclave or in a simulated one.
func platform(cfg *config.Config) app.Platform {
	p := app.Platform{Name: "none", Stores: map[string]app.OpenStore{
		"sqlite": func(ctx context.Context, c config.AntiSlashing) (slashing.Store, error) {
			return sqlite.Open(ctx, c.SQLite.Path)
		},
	}}
	if cfg.TEE.Platform == "simulated" {
		p.Name, p.TEE = "simulated", &app.TEE{
			Network: unixvsock.Dir(cfg.TEE.Simulated.SocketDir),
			OpenNSM: func() (nsm.Session, []*x509.Certificate, error) { return openSoftware(cfg.TEE) },
		}
	}
	return p
}

// openSoftware opens the software NSM, which measures this very binary.
func openSoftware(c config.TEE) (nsm.Session, []*x509.Certificate, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("measure this binary: %w", err)
	}
	s, err := software.Open(software.Options{Dir: c.Simulated.StateDir, Executable: self, RoleARN: c.RoleARN})
	if err != nil {
		return nil, nil, err
	}
	return s, []*x509.Certificate{s.Root()}, nil
}
