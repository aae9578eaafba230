// Package certs holds the certificate that the TLS listener serves.
package certs

import (
	"errors"
)

// ErrNoCertificate is returned until the first certificate is there.
var ErrNoCertificate = errors.New("no certificate has been issued yet")

// protocols offers HTTP/2 first: a validator client with thousands of keys then asks for all its signatures over one
// connection, where HTTP/1.1 would cost a handshake, with its 6 KB certificate, for each that runs in parallel.
// HTTP/1.1 stays for the clients that know nothing else.
func protocols() []string { return []string{"h2", "http/1.1"} }
