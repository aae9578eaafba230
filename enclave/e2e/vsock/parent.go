package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

const (
	egressPort  = 8001 // vsock
	ingressPort = 7443 // TCP
)

// parentChecks run binaries as they are shipped, which use AF_VSOCK on their own account.
func (g guest) parentChecks() []check {
	return []check{
		{"shared/vsock passes the conformance suite of package net", g.conformance},
		{"vsock-proxy carries a connection of the enclave to TCP, half-close included", g.egress},
		{"vsock-proxy admits no peer but the enclave", g.egressStranger},
		{"a parent that is killed lets go of connection and port at once", g.killed},
		{"ingress carries a TCP connection to the enclave, half-close included", g.ingress},
		{"ingress refuses clients at once while the enclave is away", g.ingressAlone},
		{"vsock-stdout writes the enclave's lines", g.stdout},
		{"run, on platform nitro, gives its configuration to no peer but the enclave", g.bootStranger},
		{"run says that another parent has its port", g.secondParent},
		{"the enclave's program says that another one has its port", g.secondEnclave},
	}
}

// conformance runs golang.org/x/net/nettest, which came as a test binary.
func (g guest) conformance(ctx context.Context) error {
	p, err := rig.Start(rig.Command{
		Name: "tests", Binary: filepath.Join(g.binaries, "shared-vsock.test"), Args: []string{"-test.v", "-test.run", "^TestKernelConn$"},
	})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
	}
	err = errors.Join(p.Terminate(), awaitLine(ctx, p, "--- PASS: TestKernelConn "))
	if err == nil && hasLine(p.Lines(), []string{"--- SKIP"}) {
		err = errors.New("a part was skipped")
	}
	if err != nil {
		return rig.Explain(err, p)
	}
	return nil
}

func proxyTo(address string, cid uint32) []string {
	return []string{
		"vsock-proxy", "--listen", fmt.Sprintf("vsock://%d:%d", vsock.CIDLocal, egressPort), "--connect", address,
		"--plain", "--allow-loopback", "--enclave-cid", fmt.Sprint(cid),
	}
}

func (g guest) egress(ctx context.Context) error {
	target, err := listenTCP(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	question, answer := random(3<<20), random(5<<20)
	return g.parent(ctx, `"message":"listening"`, proxyTo(target.Addr().String(), vsock.CIDLocal), func(*rig.Process) error {
		c, err := dial(ctx, egressPort)
		if err != nil {
			return err
		}
		answered := answering(target, question, answer)
		return errors.Join(ask(c, question, answer), <-answered)
	})
}

// egressStranger leaves the enclave's context identifier at its value of production, which nobody has on loopback.
func (g guest) egressStranger(ctx context.Context) error {
	target, err := listenTCP(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }()
	return g.parent(ctx, `"message":"listening"`, proxyTo(target.Addr().String(), 16), func(p *rig.Process) error {
		return turnedAway(ctx, p, egressPort)
	})
}

// turnedAway connects to a listener that must not like who comes.
func turnedAway(ctx context.Context, p *rig.Process, port uint32) error {
	c, err := dial(ctx, port)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || ctx.Err() != nil {
		return fmt.Errorf("it spoke to a stranger, or let it wait: %d bytes, %s", n, told(err))
	}
	return awaitLine(ctx, p, "connection refused…peer has context identifier 1, want 16")
}

// killed has an enclave wait for an answer through a parent that dies, and then use the next one.
func (g guest) killed(ctx context.Context) error {
	target, err := listenTCP(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }()
	defer context.AfterFunc(ctx, func() { _ = target.Close() })()
	args := proxyTo(target.Addr().String(), vsock.CIDLocal)
	if err := g.dies(ctx, args, target); err != nil {
		return err
	}
	question, answer := random(1000), random(1000)
	return g.parent(ctx, `"message":"listening"`, args, func(*rig.Process) error {
		c, err := dial(ctx, egressPort)
		if err != nil {
			return err
		}
		answered := answering(target, question, answer)
		return errors.Join(ask(c, question, answer), <-answered)
	})
}

// dies kills a parent under a connection, which must end.
func (g guest) dies(ctx context.Context, args []string, target net.Listener) error {
	p, err := rig.Start(rig.Command{Name: "parent", Binary: g.shipped(proxy), Args: args})
	if err != nil {
		return err
	}
	defer func() { _ = p.Terminate() }()
	if err := awaitLine(ctx, p, `"message":"listening"`); err != nil {
		return err
	}
	c, err := dial(ctx, egressPort)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	server, err := target.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		return err
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || ctx.Err() != nil {
		return fmt.Errorf("the connection outlives the parent: %d bytes, %s", n, told(err))
	}
	<-p.Done()
	return nil
}

func (g guest) ingressArgs() []string {
	return []string{
		"ingress", "--listen", fmt.Sprintf("127.0.0.1:%d", ingressPort), "--enclave", fmt.Sprintf("vsock://%d:%d", vsock.CIDLocal, wire.PortAPI),
	}
}

func (g guest) ingress(ctx context.Context) error {
	enclave, err := vsock.Kernel{}.Listen(wire.PortAPI)
	if err != nil {
		return err
	}
	question, answer := random(3<<20), random(5<<20)
	answered := answering(enclave, question, answer)
	return g.parent(ctx, `"message":"listening"`, g.ingressArgs(), func(*rig.Process) error {
		c, err := dialTCP(ctx, ingressPort)
		if err != nil {
			return err
		}
		return errors.Join(ask(c, question, answer), <-answered)
	})
}

func (g guest) ingressAlone(ctx context.Context) error {
	return g.parent(ctx, `"message":"listening"`, g.ingressArgs(), func(p *rig.Process) error {
		c, err := dialTCP(ctx, ingressPort)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		defer context.AfterFunc(ctx, func() { _ = c.Close() })()
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || ctx.Err() != nil {
			return fmt.Errorf("somebody spoke, or let the client wait: %d bytes, %s", n, told(err))
		}
		return awaitLine(ctx, p, "dial vsock://1:9443…connection reset by peer")
	})
}

func (g guest) stdout(ctx context.Context) error {
	args := []string{"vsock-stdout", "--listen", fmt.Sprintf("vsock://%d:%d", vsock.CIDLocal, wire.PortLogs), "--enclave-cid", "1"}
	return g.parent(ctx, `"message":"listening"`, args, func(p *rig.Process) error {
		c, err := dial(ctx, wire.PortLogs)
		if err != nil {
			return err
		}
		for _, part := range []string{`{"message":"half of a `, `line"}` + "\n" + `{"message":"another line"}` + "\n"} {
			if _, err := io.WriteString(c, part); err != nil {
				return errors.Join(err, c.Close())
			}
		}
		return errors.Join(c.Close(), awaitLine(ctx, p, `{"message":"half of a line"}`), awaitLine(ctx, p, `{"message":"another line"}`))
	})
}

// ask says the question, hears the answer, and closes.
func ask(c clientConn, question, answer []byte) error {
	defer func() { _ = c.Close() }()
	var asking error
	var both sync.WaitGroup
	both.Go(func() { asking = say(c, question) })
	err := hear(c, answer)
	both.Wait()
	if err = errors.Join(asking, err); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return nil
}

type clientConn interface {
	net.Conn
	CloseWrite() error
}

func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp4", address)
}

func dialTCP(ctx context.Context, port int) (*net.TCPConn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a %T is no TCP connection", c), c.Close())
	}
	return tcp, nil
}
