package egress

import (
	"context"
	"fmt"
	"net"
	"net/http"
)

// Lockdown closes the ways out that libraries take by themselves: http.DefaultTransport, and so http.DefaultClient, and
// net.DefaultResolver refuse from now on, with an error that names what was wanted. It does not stop a library that
// dials an address on its own; an enclave has no network that would carry it. It is called before anything else runs,
// because nothing guards these variables; restore puts the old ones back, for tests.
func Lockdown() (restore func()) {
	transport, resolver := http.DefaultTransport, net.DefaultResolver //nolint:forbidigo // to close them
	// A true http.Transport, because libraries clone the default one by its type: their clone refuses too.
	http.DefaultTransport = &http.Transport{DialContext: refuse}            //nolint:forbidigo // to close it
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: refuseServer} // its error names the host looked up
	return func() {
		http.DefaultTransport = transport //nolint:forbidigo // to restore it
		net.DefaultResolver = resolver
	}
}

func refuse(_ context.Context, _, address string) (net.Conn, error) {
	return nil, fmt.Errorf("egress is locked: %s is wanted through http.DefaultTransport instead of a client with egress.Dialer", address)
}

func refuseServer(_ context.Context, _, server string) (net.Conn, error) {
	return nil, fmt.Errorf("egress is locked: name server %s is wanted through net.DefaultResolver instead of egress.Dialer", server)
}
