package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/certs"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/connect"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/telemetry"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// tlsReload is how often the certificate for clients is read again.
const tlsReload = time.Minute

// connectFlags are the flags of connect.
type connectFlags struct {
	listen, health, signer, token string
	tlsCert, tlsKey, logLevel     string
	requests                      int
	drain                         time.Duration
	trust                         *attestedFlags
}

func newConnectCommand() *cobra.Command {
	f := &connectFlags{}
	cmd := &cobra.Command{
		Use:   "connect",
		Short: "Let a validator client that cannot verify an enclave reach one that is verified",
		Long: `Let a validator client that cannot verify an enclave reach one that is verified.

It listens on this machine, verifies the signer on each connection before it sends anything, and takes requests and answers
from one side to the other as they are. A signer that is refused is answered for with 502 and the reason, one that cannot be
reached with 503. It runs until SIGTERM, and then lets requests under way finish.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:9000", "`address` for validator clients")
	flags.StringVar(&f.health, "health-listen", "127.0.0.1:9010", "`address` for /upcheck, /readyz and /metrics of the proxy itself; empty for none")
	flags.StringVar(&f.signer, "signer", "", "`URL` of the signer, https://HOST:PORT")
	flags.StringVar(&f.token, "auth-token", "", "where the token is that requests without one get, `env:VARIABLE or file:PATH`")
	flags.StringVar(&f.tlsCert, "tls-cert", "", "PEM `file` of a certificate for clients, to be reached from other machines")
	flags.StringVar(&f.tlsKey, "tls-key", "", "PEM `file` of its key")
	flags.IntVar(&f.requests, "max-requests", api.DefaultRequests, "requests under way at once; more are answered 503")
	flags.DurationVar(&f.drain, "drain-timeout", 15*time.Second, "time for requests under way when it is asked to stop")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error; debug tells of each request that was not answered")
	f.trust = newAttestedFlags(flags)
	return cmd
}

// check refuses what no proxy can be made of.
func (f *connectFlags) check(cmd *cobra.Command) error {
	if err := refuseEmpty(cmd.Flags(), "listen", "signer", "auth-token", "tls-cert", "tls-key"); err != nil {
		return err
	}
	switch {
	case f.signer == "":
		return usageError{errors.New("--signer is needed")}
	case readOnce(f.trust.policy):
		return usageError{fmt.Errorf("--%s: %s is no regular file, and is to be read again and again", flagPolicy, f.trust.policy)}
	case (f.tlsCert == "") != (f.tlsKey == ""):
		return usageError{errors.New("--tls-cert and --tls-key go together")}
	case f.requests < 1:
		return usageError{errors.New("--max-requests: want 1 or more")}
	case f.drain < 0:
		return usageError{errors.New("--drain-timeout: want 0 or more")}
	}
	return nil
}

// readOnce tells whether a file may not be there any more once it was read, such as a pipe of the shell's.
func readOnce(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir() // reading a directory has an error of its own
}

// run is the life of the proxy.
func (f *connectFlags) run(cmd *cobra.Command) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	log, err := newLineLog(cmd.OutOrStdout(), f.logLevel)
	if err != nil {
		return usageError{fmt.Errorf("--log-level: %w", err)}
	}
	registry := telemetry.NewRegistry(wire.Release, "connect")
	signer, transport, err := f.open(cmd, log, registry)
	if err != nil {
		return err
	}
	defer transport.Close()
	o := connect.Options{
		Signer: signer, Transport: transport, Requests: f.requests, Drain: f.drain, Log: log.Named("connect"),
		Registry: registry, Metrics: telemetry.Handler(registry),
	}
	if o.Token, err = f.readToken(); err != nil {
		return err
	}
	certificate, err := f.certificate(log, registry)
	if err != nil {
		return err
	}
	if certificate != nil {
		o.TLS = certificate.ServerConfig()
	}
	if o.Listener, o.Health, err = f.bind(cmd, o.TLS != nil); err != nil {
		return err
	}
	proxy, err := connect.New(o)
	if err != nil {
		return err // of a registry that has the metrics already: the process ends
	}
	group, ctx := errgroup.WithContext(cmd.Context())
	log.Info("listening", zap.Stringer("address", o.Listener.Addr()), zap.Bool("tls", o.TLS != nil), zap.String("signer", f.signer), zap.String("version", wire.Release))
	if transport.follower != nil {
		group.Go(func() error { return transport.follower.Run(ctx) })
	}
	if certificate != nil {
		group.Go(func() error { return certificate.Run(ctx) })
	}
	group.Go(func() error { return proxy.Run(ctx) })
	notifySystemd(ctx, log, "READY=1")
	<-ctx.Done()
	notifySystemd(context.WithoutCancel(ctx), log, "STOPPING=1")
	err = group.Wait()
	log.Info("stopped", zap.Error(err))
	return err
}

// open recognizes the signer and makes the connections to it.
func (f *connectFlags) open(cmd *cobra.Command, log *zap.Logger, r prometheus.Registerer) (*connect.Signer, *signerTransport, error) {
	base, err := parseSignerURL("--signer", f.signer)
	if err != nil {
		return nil, nil, err
	}
	signer, err := connect.NewSigner(base, log.Named("signer"), r)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--signer: %w", err)}
	}
	trust, err := f.trust.recognize(cmd, base)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case trust.attested != nil:
		trust.attested.OnVerified = signer.Verified
		transport, err := trust.following(log.Named("trust"))
		return signer, transport, err
	case f.trust.ca == "" && !f.trust.unverified: // and not what flags were given: one of them may say no
		return nil, nil, usageError{fmt.Errorf("nothing says which enclave to accept: name --%s or --%s", flagPolicy, flagFirstUse)}
	}
	transport, err := trust.transport(atls.TransportOptions{}, &http.Transport{
		TLSHandshakeTimeout: handshakeLimit, ForceAttemptHTTP2: true, DisableCompression: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second,
	})
	return signer, transport, err
}

func (f *connectFlags) readToken() (connect.Token, error) {
	if f.token == "" {
		return connect.Token{}, nil
	}
	token, err := connect.ReadToken(f.token, os.LookupEnv)
	if err != nil {
		return token, usageError{fmt.Errorf("--auth-token: %w", err)}
	}
	return token, nil
}

// certificate is what clients are shown; nil is plain HTTP.
func (f *connectFlags) certificate(log *zap.Logger, r prometheus.Registerer) (*certs.File, error) {
	if f.tlsCert == "" {
		return nil, nil //nolint:nilnil // none is asked for
	}
	file, err := certs.NewFile(certs.FileOptions{
		CertPath: f.tlsCert, KeyPath: f.tlsKey, Reload: tlsReload, Log: log.Named("certs"), Metrics: r,
	})
	if err != nil {
		flags := strings.NewReplacer("tls.file.cert_path:", "--tls-cert:", "tls.file.key_path:", "--tls-key:", "tls.file:", "--tls-cert, --tls-key:")
		return nil, usageError{errors.New(flags.Replace(err.Error()))} // there is no configuration here
	}
	return file, nil
}

// exposed are the warnings of a listener that other machines reach.
func (f *connectFlags) exposed(secured bool) (warnings []string) {
	if !secured {
		warnings = append(warnings, fmt.Sprintf("--listen %s is reached from other machines without TLS: whoever stands between sees and changes what is asked and answered, and whoever gets there gets signatures", f.listen))
	}
	if f.token != "" { // a certificate tells clients who the proxy is, and the proxy nothing of them
		warnings = append(warnings, fmt.Sprintf("--listen %s is reached from other machines, with --auth-token: no client is asked who it is, and whoever gets there signs with the token", f.listen))
	}
	return warnings
}

// bind opens the listeners, and warns of one that gives signatures to whoever reaches it. There is none for probes if none is asked for.
func (f *connectFlags) bind(cmd *cobra.Command, secured bool) (clients, probes net.Listener, err error) {
	if clients, err = listen("--listen", f.listen); err != nil {
		return nil, nil, err
	}
	if at, ok := clients.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		warn(cmd, f.exposed(secured))
	}
	if f.health == "" {
		return clients, nil, nil
	}
	if probes, err = listen("--health-listen", f.health); err != nil {
		return nil, nil, errors.Join(err, clients.Close())
	}
	return clients, probes, nil
}
