package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

const (
	flooders      = 16 // connections at a time
	floodRequests = 8  // on each connection; the signer makes two proofs for it
	// floodBegun is written when the first answers are there.
	floodBegun = "begun"
	floodFirst = 100
)

// flooder asks for something without end, and counts the answers.
type flooder struct {
	address, path string
	began         func() // called once

	connections, answered, refused, all atomic.Int64
}

// runFlood is the whole process of a flood. It writes what the flooders got when ctx ends.
func runFlood(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flooder{began: func() { _, _ = fmt.Fprintln(stdout, floodBegun) }}
	flags := flag.NewFlagSet(floodRole, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&f.address, "address", "", "of the signer")
	flags.StringVar(&f.path, "path", "", "that is asked for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	failures := make([]error, flooders)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	for i := range flooders {
		all.Go(func() {
			for ctx.Err() == nil {
				if failures[i] = f.connection(ctx); failures[i] != nil {
					cancel()
				}
			}
		})
	}
	all.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return json.NewEncoder(stdout).Encode(tally{f.connections.Load(), f.answered.Load(), f.refused.Load()})
}

// connection makes one connection and its requests. What ctx interrupts is no failure.
func (f *flooder) connection(ctx context.Context) error {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", f.address)
	if err != nil {
		return unlessEnded(ctx, err)
	}
	defer func() { _ = raw.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	conn := tls.Client(raw, &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // who floods does not care whom
		MinVersion:         tls.VersionTLS13, NextProtos: []string{"http/1.1"},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return unlessEnded(ctx, err)
	}
	f.connections.Add(1)
	answers := bufio.NewReader(conn)
	for range floodRequests {
		if err := f.request(conn, answers); err != nil {
			return unlessEnded(ctx, err)
		}
	}
	return nil
}

func (f *flooder) request(conn io.Writer, answers *bufio.Reader) error {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: signer\r\n\r\n", f.path); err != nil {
		return err
	}
	res, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return err
	}
	switch res.StatusCode {
	case http.StatusOK:
		f.answered.Add(1)
	case http.StatusServiceUnavailable:
		f.refused.Add(1)
	default:
		return fmt.Errorf("%s: %s", res.Status, body)
	}
	if f.all.Add(1) == floodFirst {
		f.began()
	}
	return nil
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was interrupted
	}
	return err
}
