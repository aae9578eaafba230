// Command guest is the signer of an emulated enclave, whose security module signs no documents: they are signed here, under a development root.
//
// It is platform nitro, as cmd/chamber-enclave composes it, with that one part replaced. Before it begins, it writes to the console what the
// device and the sockets do.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
)

func main() { os.Exit(run(context.Background(), os.Stdout, os.Stderr)) }

// run is the whole command; it returns the exit code.
func run(ctx context.Context, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := probe(ctx, stdout); err != nil {
		_, _ = fmt.Fprintf(stderr, "guest: %v\n", err)
		return 1
	}
	platform := app.Nitro()
	platform.TEE.OpenNSM = openNSM
	if err := app.Run(ctx, app.Options{Platform: platform}); err != nil {
		_, _ = fmt.Fprintf(stderr, "guest: %v\n", err)
		return 1
	}
	return 0
}
