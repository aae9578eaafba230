package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// impostor is a PostgreSQL server of the host's own, whose certificate the host's configuration vouches for. It tries to get into the real
// database with what a signer says.
type impostor struct {
	listener net.Listener
	secured  *tls.Config
	real     string // address of the real server; "" to ask for the password in clear
	verdicts chan verdict
	serving  sync.WaitGroup
}

// impostorLimit is how long a connection may take.
const impostorLimit = 10 * time.Second

// verdict is what a connection was worth: what came of it, or why nothing did.
type verdict struct {
	password string // in clear
	entered  bool   // the real server took the impostor for the enclave
	err      error
}

func newImpostor(secured *tls.Config, real string) (*impostor, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i := &impostor{listener: l, secured: secured, real: real, verdicts: make(chan verdict, 1000)}
	i.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			v := i.meet(c)
			_ = c.Close()
			i.verdicts <- v
		}
	})
	return i, nil
}

func (i *impostor) port() int { return i.listener.Addr().(*net.TCPAddr).Port }

func (i *impostor) stop() {
	_ = i.listener.Close()
	i.serving.Wait()
}

// meet takes one connection as far as it goes.
func (i *impostor) meet(c net.Conn) verdict {
	if err := c.SetDeadline(time.Now().Add(impostorLimit)); err != nil {
		return verdict{err: err}
	}
	if m, err := pgproto3.NewBackend(c, c).ReceiveStartupMessage(); err != nil {
		return verdict{err: err}
	} else if _, ok := m.(*pgproto3.SSLRequest); !ok {
		return verdict{err: errors.New("it does not ask for TLS")}
	}
	if _, err := c.Write([]byte("S")); err != nil {
		return verdict{err: err}
	}
	secured := tls.Server(c, i.secured)
	signer := pgproto3.NewBackend(secured, secured)
	m, err := signer.ReceiveStartupMessage()
	if err != nil {
		return verdict{err: err}
	}
	startup, ok := m.(*pgproto3.StartupMessage)
	switch {
	case !ok:
		return verdict{err: fmt.Errorf("it begins with a %T", m)}
	case i.real == "":
		return askInClear(signer)
	}
	return i.relay(signer, startup)
}

func askInClear(signer *pgproto3.Backend) verdict {
	signer.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := errors.Join(signer.Flush(), signer.SetAuthType(pgproto3.AuthTypeCleartextPassword)); err != nil {
		return verdict{err: err}
	}
	m, err := signer.Receive()
	if p, ok := m.(*pgproto3.PasswordMessage); ok {
		return verdict{password: p.Password}
	}
	if err == nil {
		err = fmt.Errorf("it says %T", m)
	}
	return verdict{err: err}
}

// relay has the signer answer the real server's challenge. What would bind the answer to this connection is not offered, and cannot be missed by
// the real server either: it is reached without TLS.
func (i *impostor) relay(signer *pgproto3.Backend, startup *pgproto3.StartupMessage) verdict {
	c, err := net.DialTimeout("tcp", i.real, impostorLimit)
	if err != nil {
		return verdict{err: err}
	}
	defer func() { _ = c.Close() }()
	server := pgproto3.NewFrontend(c, c)
	server.Send(startup)
	for {
		if err := server.Flush(); err != nil {
			return verdict{err: err}
		}
		m, err := server.Receive()
		if err != nil {
			return verdict{err: err}
		}
		kind := uint32(pgproto3.AuthTypeSASLFinal)
		switch m := m.(type) {
		case *pgproto3.AuthenticationOk:
			return verdict{entered: true}
		case *pgproto3.ErrorResponse:
			return verdict{err: fmt.Errorf("the real server: %s", m.Message)}
		case *pgproto3.AuthenticationSASL:
			kind = pgproto3.AuthTypeSASL
			m.AuthMechanisms = slices.DeleteFunc(m.AuthMechanisms, func(name string) bool { return strings.HasSuffix(name, "-PLUS") })
		case *pgproto3.AuthenticationSASLContinue:
			kind = pgproto3.AuthTypeSASLContinue
		}
		signer.Send(m)
		if err := signer.Flush(); err != nil {
			return verdict{err: err}
		}
		if kind == pgproto3.AuthTypeSASLFinal {
			continue
		}
		if err := signer.SetAuthType(kind); err != nil {
			return verdict{err: err}
		}
		answer, err := signer.Receive()
		if err != nil {
			return verdict{err: err}
		}
		switch answer.(type) {
		case *pgproto3.SASLInitialResponse, *pgproto3.SASLResponse:
			server.Send(answer)
		default:
			return verdict{err: fmt.Errorf("to the challenge it says %T", answer)}
		}
	}
}
