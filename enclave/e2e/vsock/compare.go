package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// patience is how long nothing may happen until it is said that nothing happens.
const patience = 20 * time.Second

// questionLimit is how long one question may take of one proxy.
const questionLimit = 5 * time.Minute

// question is asked of AWS's vsock-proxy and of the product's in the same way.
type question struct {
	name string
	ask  func(ctx context.Context, p proxied) (answer, error)
}

// answer is what a proxy did. An error beside it is that of a question that could not be asked.
type answer struct {
	seen string
	well bool // as one wishes it
}

// proxied is one of the two proxies.
type proxied struct {
	binary string
	ready  string // what it says when it listens
	args   func(relay) ([]string, error)
	whole  *proxied // the same in a process that has more parts, if it can be
}

// relay is what a proxy has to do.
type relay struct {
	host  string
	port  int
	limit int    // connections at once; 0 for the default
	cid   uint32 // of the enclave
}

// to is a relay to a listener of this machine.
func to(target net.Listener) relay {
	relay := relay{host: "127.0.0.1", cid: vsock.CIDLocal}
	if address, ok := target.Addr().(*net.TCPAddr); ok {
		relay.port = address.Port
	}
	return relay
}

func (g guest) ours() proxied {
	return proxied{binary: g.shipped(proxy), ready: `"message":"listening"`, args: func(r relay) ([]string, error) {
		args := proxyTo(net.JoinHostPort(r.host, fmt.Sprint(r.port)), r.cid)
		if r.limit > 0 {
			args = append(args, "--max-connections", fmt.Sprint(r.limit))
		}
		return args, nil
	}, whole: &proxied{binary: g.shipped(proxy), ready: `"event":"started"`, args: func(r relay) ([]string, error) {
		config := filepath.Join(os.TempDir(), "route.yaml")
		return []string{"run", "-c", config}, os.WriteFile(config, []byte(routes(r)), 0o600)
	}}}
}

// theirs is AWS's, as its README says how to run it; RUST_LOG=info, without which it is silent, comes from the environment.
// https://github.com/aws/aws-nitro-enclaves-cli/blob/main/vsock_proxy/README.md
func theirs(binary string) proxied {
	return proxied{binary: binary, ready: "listening state", args: func(r relay) ([]string, error) {
		allowed := filepath.Join(os.TempDir(), "vsock-proxy.yaml")
		text := fmt.Sprintf("allowlist:\n- {address: %s, port: %d}\n", r.host, r.port)
		if err := os.WriteFile(allowed, []byte(text), 0o600); err != nil {
			return nil, err
		}
		args := []string{fmt.Sprint(egressPort), r.host, fmt.Sprint(r.port), "--config", allowed}
		if r.limit > 0 {
			args = append(args, "--num_workers", fmt.Sprint(r.limit))
		}
		return args, nil
	}}
}

func (p proxied) start(r relay) (*rig.Process, error) {
	args, err := p.args(r)
	if err != nil {
		return nil, err
	}
	return rig.Start(rig.Command{Name: "proxy", Binary: p.binary, Args: args})
}

// with starts the proxy, waits until it listens, asks f and stops it.
func (p proxied) with(ctx context.Context, r relay, f func(*rig.Process) (answer, error)) (answer, error) {
	process, err := p.start(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = process.Terminate() }()
	if err := awaitLine(ctx, process, p.ready); err != nil {
		return answer{}, rig.Explain(err, process)
	}
	seen, err := f(process)
	if err != nil {
		return answer{}, rig.Explain(err, process)
	}
	return seen, nil
}

// enter connects to the proxy as an enclave does. The connection ends with ctx, and each wait on it after patience.
func enter(ctx context.Context) (vsock.Conn, error) {
	c, err := vsock.Kernel{}.Dial(ctx, vsock.CIDParent, egressPort)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	context.AfterFunc(ctx, func() { _ = c.Close() })
	return c, nil
}

// compare asks every question of both and prints a table; it returns how many could not be asked, or the product did not answer well.
func (g guest) compare(binary string) (failures int) {
	rows := []string{"| question | AWS's vsock-proxy | ours |", "|---|---|---|"}
	for _, q := range questions() {
		row := "| " + q.name
		for _, p := range []proxied{theirs(binary), g.ours()} {
			var a answer
			err := within(questionLimit, func(ctx context.Context) (err error) {
				a, err = q.ask(ctx, p)
				return err
			})
			if err != nil {
				a.seen = "could not be asked"
				comment(g.out, err.Error())
			}
			if err != nil || !a.well && p.binary != binary {
				failures++
			}
			comment(g.out, fmt.Sprintf("%s: %s: %s", q.name, filepath.Base(p.binary), a.seen))
			row += " | " + a.seen
		}
		rows = append(rows, row+" |")
	}
	_, _ = io.WriteString(g.out, strings.Join(rows, "\n")+"\n")
	return failures
}

func questions() []question {
	return []question{
		{"the client ends its direction, then the server answers 1 MiB", clientEnds},
		{"the server ends its direction, then the client says 1 MiB", serverEnds},
		{"4 MiB each way at once, both ends read all the while", func(ctx context.Context, p proxied) (answer, error) { return bothWays(ctx, p, false) }},
		{"4 MiB each way at once, the client reads only when it has said all", func(ctx context.Context, p proxied) (answer, error) { return bothWays(ctx, p, true) }},
		{"a fifth connection, where four are the limit", fifth},
		{"600 connections at once, where 1024 are the limit", many},
		{"twelve connections to a server that refuses them, then one that it takes", refusing},
		{"a name with two addresses, the first of which refuses", secondAddress},
		{"a name that does not resolve at the start, but later", lateName},
		{"a name that resolves no more, while a connection lives", lostName},
		{"SIGTERM, while the server has not answered yet", terminated},
		{"a peer that is not the enclave", stranger},
		{"metrics", metrics},
	}
}
