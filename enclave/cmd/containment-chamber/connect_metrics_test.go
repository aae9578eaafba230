package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestConnectMetricsAreDocumented: what a running proxy shows of itself is what docs/metrics.md says, and no less.
func TestConnectMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## The proxy beside a client\n")
	if !found {
		t.Fatal("docs/metrics.md has no section of the proxy")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	text := metricsOfConnect(t)
	names := func(pattern, text string) (out []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return out
	}
	shown, told := names(`(?m)^# HELP (containment_\S+)`, text), names("(?m)^\\| `(containment_connect_\\w+)`", section)
	for _, name := range shown {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/metrics.md does not know %s", name)
		}
	}
	shown = slices.DeleteFunc(shown, func(name string) bool { return !strings.HasPrefix(name, "containment_connect_") })
	if len(shown) == 0 || !slices.Equal(shown, told) {
		t.Errorf("shown: %q, documented: %q", shown, told)
	}
}

// metricsOfConnect runs the proxy of an enclave, with a certificate of its own, and asks it for its metrics.
func metricsOfConnect(t *testing.T) string {
	t.Helper()
	e := newEnclave(t)
	signer := e.serve(http.HandlerFunc(echo))
	key, err := x509.MarshalPKCS8PrivateKey(e.key)
	e.check(err)
	certFile := e.write("tls.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.certificate(time.Hour)}))
	keyFile := e.write("tls.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	e.check(err)
	address := free.Addr().String()
	e.check(free.Close())

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var out, errs strings.Builder
	go func() {
		defer close(ended)
		if code := run(ctx, []string{
			"connect", "--signer", signer.URL, "--listen", "127.0.0.1:0", "--health-listen", address, "--tls-cert", certFile, "--tls-key", keyFile,
			"--policy", e.policy("policy.yaml"), "--attestation-root", e.rootFile,
		}, &out, &errs); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}()
	defer func() {
		stop()
		<-ended
		if t.Failed() {
			t.Log(out.String(), errs.String())
		}
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			t.Fatal("the proxy has ended")
		case <-tick.C:
		}
		if text, ok := answerOf(t, client, "http://"+address+"/metrics"); ok && strings.Contains(text, "containment_connect_signer_up 1") {
			return text
		}
	}
}

// answerOf is what stands at an address, if anything does.
func answerOf(t *testing.T, client *http.Client, address string) (string, bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return "", false
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err == nil && res.StatusCode == http.StatusOK
}
