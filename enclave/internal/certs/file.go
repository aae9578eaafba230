package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// FileOptions say where the operator's certificate lies.
type FileOptions struct {
	CertPath string        // tls.file.cert_path: PEM, the leaf first, then its intermediates
	KeyPath  string        // tls.file.key_path: PEM, PKCS #8, PKCS #1 or SEC 1, not encrypted
	Reload   time.Duration // tls.file.reload_interval_seconds; 0 reads the files once
	Log      *zap.Logger
	Metrics  prometheus.Registerer
}

// File serves a certificate from two files, which it reads again and again. The files are trusted.
type File struct {
	opts    FileOptions
	metrics *tlsMetrics
	current atomic.Pointer[tls.Certificate] // replaced whole by reload
	seen    [sha256.Size]byte               // of the bytes behind current; owned by NewFile, then Run
}

// NewFile reads the pair once. Its error names the setting and the file, and is one of: not found, unreadable,
// malformed PEM, certificate and key that do not belong together. A pair that is not valid at this time is served: there is no better one,
// and Healthy tells.
func NewFile(o FileOptions) (*File, error) {
	f := &File{opts: o}
	if _, err := f.reload(); err != nil {
		return nil, err
	}
	m, err := newTLSMetrics(o.Metrics, f.notAfter)
	if err != nil {
		return nil, err
	}
	f.metrics = m
	return f, nil
}

// Run reads the files every Reload until ctx ends. A pair that cannot be used leaves the old one in service, as does the moment
// between the writing of the two files; it is counted at each look, and told in the log when it is found and when the reason changes.
// Whatever stands there at a later look counts. The error is always nil.
func (f *File) Run(ctx context.Context) error {
	if f.opts.Reload <= 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(f.opts.Reload)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		changed, err := f.reload()
		switch {
		case err != nil:
			f.metrics.failures.Inc()
			if err.Error() != last { // the same fault at every tick would bury it
				f.opts.Log.Warn("certificate not reloaded, the old one stays", zap.Error(err))
			}
			last = err.Error()
		case changed:
			f.metrics.rotations.Inc()
			f.opts.Log.Info("certificate reloaded", zap.Time("not_after", f.notAfter()))
			last = ""
		default:
			last = ""
		}
	}
}

// reload takes a pair that differs from the one in service, and refuses one that no client would accept at this time in its place. A pair
// that begins later is taken when it does.
func (f *File) reload() (changed bool, err error) {
	cert, digest, err := loadPair(f.opts.CertPath, f.opts.KeyPath)
	if err != nil || (f.current.Load() != nil && digest == f.seen) {
		return false, err
	}
	if f.current.Load() != nil {
		if err := f.validNow(cert.Leaf); err != nil {
			return false, err
		}
	}
	f.current.Store(cert)
	f.seen = digest
	return true, nil
}

func (f *File) validNow(leaf *x509.Certificate) error {
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("certificate %s expired at %s", f.opts.CertPath, leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("certificate %s is not valid before %s", f.opts.CertPath, leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

func (f *File) notAfter() time.Time { return f.current.Load().Leaf.NotAfter }

// GetCertificate is for [tls.Config]. An expired certificate is served still: it proves nothing false, and the client
// sees it.
func (f *File) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.current.Load(), nil
}

// Healthy fails when the certificate has expired or is not valid yet.
func (f *File) Healthy() error { return f.validNow(f.current.Load().Leaf) }

// ServerConfig serves the current certificate over TLS 1.2 or later.
func (f *File) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     protocols(),
		GetCertificate: f.GetCertificate,
	}
}
