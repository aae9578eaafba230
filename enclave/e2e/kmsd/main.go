// Command kmsd is the KMS stand-in of package kmstest as a process, for demonstrations that scripts run.
//
// It serves all accounts and regions of its configuration at one address over TLS, and at a second one, for the same machine only, takes
// orders: to disable a key, to throttle, to deny a principal, to have another time, and to print what was asked.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() { os.Exit(start(os.Args[1:], os.Stdout, os.Stderr)) }

func start(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("kmsd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "", "configuration in YAML; its relative paths are from where it lies")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *file == "" || flags.NArg() > 0 {
		_, _ = fmt.Fprintln(stderr, "kmsd: want -config FILE, and no arguments")
		return 2
	}
	if err := run(ctx, *file, stdout); err != nil {
		_, _ = fmt.Fprintf(stderr, "kmsd: %v\n", err)
		return 1
	}
	return 0
}

// headerLimit is how long a client may take to ask.
const headerLimit = 10 * time.Second

// run serves until the context ends. It says ready when both addresses are open.
func run(ctx context.Context, file string, out io.Writer) error {
	c, err := load(file)
	if err != nil {
		return err
	}
	s, err := c.server()
	if err != nil {
		return err
	}
	secured, err := s.TLSConfig()
	if err != nil {
		return err
	}
	service, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	orders, err := listenAdmin(ctx, c.Admin)
	if err != nil {
		return errors.Join(fmt.Errorf("admin: %w", err), service.Close())
	}
	quiet := log.New(io.Discard, "", 0) // a client that does not trust the server says so itself
	servers := []*http.Server{
		{Handler: s, TLSConfig: secured, ReadHeaderTimeout: headerLimit, ErrorLog: quiet},
		{Handler: admin(s), ReadHeaderTimeout: headerLimit, ErrorLog: quiet},
	}
	ended := make(chan error, len(servers))
	var serving sync.WaitGroup
	serving.Go(func() { ended <- servers[0].ServeTLS(service, "", "") })
	serving.Go(func() { ended <- servers[1].Serve(orders) })
	_, _ = fmt.Fprintf(out, "kmsd: ready: https://%s, admin %s\n", service.Addr(), c.adminAddress(orders.Addr()))
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-ended:
	}
	for _, server := range servers {
		_ = server.Close()
	}
	serving.Wait()
	return failed
}

// listenAdmin listens for whoever is on this machine: orders are not authenticated.
func listenAdmin(ctx context.Context, address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return new(net.ListenConfig).Listen(ctx, "unix", path)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%s is not an address of loopback, nor unix:PATH", address)
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}
