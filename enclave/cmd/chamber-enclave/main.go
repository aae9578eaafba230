// Command chamber-enclave is the signer as an enclave image holds it: platform nitro and nothing else.
//
// It takes no flags and reads no environment, which the untrusted parent could set: its configuration comes over
// vsock, and is measured.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	_ "golang.org/x/crypto/x509roots/fallback" // the public authorities: an enclave image has no files of a system

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
)

func main() { os.Exit(run(context.Background(), os.Stderr)) }

// run is the whole command; it returns the exit code. What it prints is seen on the console of a debug enclave alone;
// everything is in the log as well.
func run(ctx context.Context, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := app.Run(ctx, app.Options{Platform: app.Nitro()})
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintf(stderr, "chamber-enclave: %v\n", err)
	return 1
}
