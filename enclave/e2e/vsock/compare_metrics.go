package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// healthPort is where the parent tells its metrics.
const healthPort = 3001

// metrics looks for a number that a connection has changed. AWS's has no option that names a place to ask, so that every TCP port on
// which somebody listens is counted, of which one is the target's. The product's whole parent takes nobody on loopback for an
// enclave, and counts that.
func metrics(ctx context.Context, p proxied) (answer, error) {
	target, err := echoing(ctx, "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = target.Close() }()
	r := to(target)
	if p.whole != nil {
		p, r.cid = *p.whole, 16
	}
	return p.with(ctx, r, func(*rig.Process) (answer, error) {
		if c, err := served(ctx); err == nil {
			defer func() { _ = c.Close() }()
		}
		ports, err := listening()
		if err != nil {
			return answer{}, err
		}
		if ports == 1 {
			return answer{seen: "none: it listens on no TCP port"}, nil
		}
		const series = `containment_parent_connections_refused_total{listener="egress/target",reason="peer"}`
		value, err := metric(ctx, series)
		if err != nil {
			return answer{}, err
		}
		return answer{seen: fmt.Sprintf("of `run`, over HTTP: `%s` is %s", series, value), well: value == "1"}, nil
	})
}

// routes is a configuration with one route, to the target.
func routes(r relay) string {
	return fmt.Sprintf(`tee: {platform: nitro, enclave_cid: %d, egress: [{name: target, host: %s, port: %d, vsock_port: %d, plain: true}]}
tls: {mode: atls, listen_port: 0}
server: {listen_port: 0}
metrics: {listen_address: 127.0.0.1, listen_port: 0}
parent: {health: {listen_port: %d}, egress: {allow_loopback: true}}
`, r.cid, r.host, r.port, egressPort, healthPort)
}

// listening counts the TCP ports of this machine on which somebody listens. https://docs.kernel.org/networking/proc_net_tcp.html
func listening() (n int, err error) {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) > 3 && fields[3] == "0A" {
				n++
			}
		}
	}
	return n, nil
}

// metric is the value of the first series that begins so.
func metric(ctx context.Context, series string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", healthPort), nil)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DialContext: new(net.Dialer).DialContext, DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	scanner := bufio.NewScanner(res.Body)
	for scanner.Scan() {
		if strings.HasPrefix(scanner.Text(), series) {
			fields := strings.Fields(scanner.Text())
			return fields[len(fields)-1], nil
		}
	}
	return "", fmt.Errorf("no series begins with %s: %w", series, scanner.Err())
}
