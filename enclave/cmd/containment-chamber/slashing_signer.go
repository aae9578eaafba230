package main

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// Limits of a signer's patience with us are its own; these are ours with it.
const (
	handshakeLimit = 10 * time.Second
	answerLimit    = 15 * time.Minute // from the end of a request to the beginning of its answer: a merge of 100,000 keys takes a while
	refusalLimit   = 2 * time.Second  // until a body is sent to a signer that has not said that it wants it
)

// dialSigner makes a client of the signer with a URL, and says on standard error which one it is. To end releases its connections.
func dialSigner(cmd *cobra.Command, text string, flags *attestedFlags, secret tokenFlags) (client *admin.Client, end func(), err error) {
	base, err := parseSignerURL("--signer-url", text)
	if err != nil {
		return nil, nil, err
	}
	token, err := secret.read(base)
	if err != nil {
		return nil, nil, err
	}
	trust, err := flags.recognize(cmd, base)
	if err != nil {
		return nil, nil, err
	}
	transport, err := trust.transport(atls.TransportOptions{DialTimeout: handshakeLimit, MaxConnections: 1}, &http.Transport{
		TLSHandshakeTimeout:   handshakeLimit,
		ResponseHeaderTimeout: answerLimit,
		ExpectContinueTimeout: refusalLimit,
		DisableKeepAlives:     true, // one command, one request
	})
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "signer:", base.Redacted())
	if base.Scheme == "http" && !loopback(base.Hostname()) {
		warn(cmd, []string{"http to another machine: whoever stands between can change what is asked and what is answered"})
	}
	return admin.NewClient(base, &http.Client{
		Transport:     withToken(transport, token),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}), transport.Close, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
