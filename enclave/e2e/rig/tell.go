package rig

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Tell shows a demonstration, which SIGINT and SIGTERM interrupt, and returns the exit code.
func Tell(name string, stdout, stderr io.Writer, tell func(context.Context, *Transcript) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := tell(ctx, NewTranscript(stdout)); err != nil {
		_, _ = fmt.Fprintf(stderr, "\n%s: %v\n", name, err)
		return 1
	}
	return 0
}

// Binaries is where the product's binaries are: in the directory that is named, or beside this program.
func Binaries(named string) (string, error) {
	if named == "" {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find the product binaries: %w", err)
		}
		named = filepath.Dir(self)
	}
	dir, err := filepath.Abs(named)
	if err != nil {
		return "", fmt.Errorf("find the product binaries: %w", err)
	}
	return dir, nil
}
