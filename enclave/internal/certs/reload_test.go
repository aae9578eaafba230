package certs_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/certs"
)

// watched is a pair of files that is read again and again, in virtual time, with its log and its metrics.
type watched struct {
	*certs.File
	t        *testing.T
	logs     *observer.ObservedLogs
	registry *prometheus.Registry
	reloads  float64 // told in the log so far
}

// watch reads the files once a minute until the test ends.
func watch(t *testing.T, f files) *watched {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	o := f.options(zap.New(core))
	file, err := certs.NewFile(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- file.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &watched{File: file, t: t, logs: logs, registry: o.Metrics.(*prometheus.Registry)}
}

// after lets looks pass, and holds to what is expected what is served then, what all looks so far have counted, and what these told. The
// warnings are parts of their reasons, in their order.
func (w *watched) after(looks int, serves string, rotations, failures float64, warnings ...string) {
	w.t.Helper()
	<-time.After(time.Duration(looks) * time.Minute)
	synctest.Wait()
	cert, err := w.GetCertificate(nil)
	if err != nil || cert.Leaf.Subject.CommonName != serves {
		w.t.Errorf("%v serves %v, want %s", err, cert.Leaf.Subject, serves)
	}
	if r, f := w.metric("containment_tls_rotations_total"), w.metric("containment_tls_rotation_failures_total"); r != rotations || f != failures {
		w.t.Errorf("%v rotations and %v failures counted, want %v and %v", r, f, rotations, failures)
	}
	if end := w.metric("containment_tls_certificate_expiry_timestamp_seconds"); end != float64(cert.Leaf.NotAfter.Unix()) {
		w.t.Errorf("ends at %v by its metric, at %v in truth", end, cert.Leaf.NotAfter.Unix())
	}
	var reasons []string
	for _, e := range w.logs.TakeAll() {
		switch e.Message {
		case "certificate reloaded":
			w.reloads++
		default:
			reasons = append(reasons, e.Message+": "+e.ContextMap()["error"].(string))
		}
	}
	if w.reloads != rotations {
		w.t.Errorf("told %v times of a rotation, want %v", w.reloads, rotations)
	}
	if !slices.EqualFunc(reasons, warnings, func(got, want string) bool {
		return strings.HasPrefix(got, "certificate not reloaded, the old one stays: ") && strings.Contains(got, want)
	}) {
		w.t.Errorf("warnings %q, want %q", reasons, warnings)
	}
}

func (w *watched) metric(name string) float64 {
	w.t.Helper()
	return (&house{t: w.t, registry: w.registry}).metric(name)
}

// TestFileReload replaces the pair, one file after the other with looks between, then breaks it and mends it.
func TestFileReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFiles(t)
		cert, key := selfSigned(t, "old", ec(t))
		f.write(t, cert, key)
		w := watch(t, f)
		w.after(3, "old", 0, 0)
		cert, key = selfSigned(t, "new", ec(t))
		put(t, f.cert, cert)
		w.after(5, "old", 0, 5, f.cert+" and key "+f.key+" do not match") // told once, counted each time
		put(t, f.key, key)
		w.after(1, "new", 1, 5)
		put(t, f.cert, []byte("hello"))
		w.after(2, "new", 1, 7, "malformed PEM: no CERTIFICATE block")
		if err := os.Remove(f.key); err != nil {
			t.Fatal(err)
		}
		w.after(2, "new", 1, 9, "key not found") // another reason
		if err := w.Healthy(); err != nil {
			t.Errorf("unhealthy with the old pair: %v", err)
		}
		f.write(t, cert, key)
		w.after(2, "new", 1, 9) // as it was
		cert, key = selfSigned(t, "newer", ec(t))
		f.write(t, cert, key)
		w.after(1, "newer", 2, 9)
		<-time.After(25 * time.Hour)
		if err := w.Healthy(); err == nil || !strings.Contains(err.Error(), f.cert+" expired at ") {
			t.Errorf("health of an expired certificate = %v", err)
		}
	})
}

// TestFileReloadsWhatIsValid: a pair that no client would accept does not take the place of one that clients do.
func TestFileReloadsWhatIsValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFiles(t)
		cert, key := selfSigned(t, "old", ec(t))
		f.write(t, cert, key)
		w := watch(t, f)
		cert, key = valid(t, "expired", ec(t), -2*time.Hour, -time.Hour)
		f.write(t, cert, key)
		w.after(2, "old", 0, 2, "certificate "+f.cert+" expired at ")
		cert, key = valid(t, "early", ec(t), 150*time.Second, time.Hour)
		f.write(t, cert, key)
		w.after(2, "old", 0, 4, "certificate "+f.cert+" is not valid before ")
		w.after(1, "early", 1, 4) // by itself, now that it is valid
	})
}

// TestFileBeginsWithWhatThereIs: at the start there is no better pair, so that an expired one is served, and the probes tell.
func TestFileBeginsWithWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFiles(t)
		cert, key := valid(t, "expired", ec(t), -2*time.Hour, -time.Hour)
		f.write(t, cert, key)
		w := watch(t, f)
		w.after(1, "expired", 0, 0)
		if err := w.Healthy(); err == nil || !strings.Contains(err.Error(), "expired at ") {
			t.Errorf("health of an expired certificate = %v", err)
		}
		cert, key = selfSigned(t, "new", ec(t))
		f.write(t, cert, key)
		w.after(1, "new", 1, 0)
		if err := w.Healthy(); err != nil {
			t.Error(err)
		}
	})
}

// TestFileInAVolume: Kubernetes mounts a secret as links through ..data, and exchanges all its files at once by renaming that one.
func TestFileInAVolume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFiles(t)
		publish := func(version, name string) {
			t.Helper()
			dir := filepath.Join(f.dir, version)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			cert, key := selfSigned(t, name, ec(t))
			put(t, filepath.Join(dir, "tls.crt"), cert)
			put(t, filepath.Join(dir, "tls.key"), key)
			if err := os.Symlink(version, filepath.Join(f.dir, "..data_tmp")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(f.dir, "..data_tmp"), filepath.Join(f.dir, "..data")); err != nil {
				t.Fatal(err)
			}
		}
		publish("..2026_1", "old")
		for _, path := range []string{f.cert, f.key} {
			if err := os.Symlink(filepath.Join("..data", filepath.Base(path)), path); err != nil {
				t.Fatal(err)
			}
		}
		w := watch(t, f)
		publish("..2026_2", "new")
		w.after(1, "new", 1, 0)
		if err := os.RemoveAll(filepath.Join(f.dir, "..2026_1")); err != nil {
			t.Fatal(err)
		}
		w.after(2, "new", 1, 0)
	})
}
