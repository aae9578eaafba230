package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestAPortInUseIsNamed(t *testing.T) {
	config, url, _ := standard(t, "")
	address := strings.TrimPrefix(url, "http://")
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	p := start(t, "containment-chamber", "server", "-c", config)
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, want := range []string{"server.listen_port", address, "address already in use"} {
		if !strings.Contains(p.text(), want) {
			t.Errorf("the error lacks %q:\n%s", want, p.text())
		}
	}
}

// TestBadKeysAreNamedAndTheOthersSign starts with one good key among a wrong password, a copy and a file that is no descriptor.
func TestBadKeysAreNamedAndTheOthersSign(t *testing.T) {
	config, url, _ := standard(t, "")
	keys := filepath.Join(filepath.Dir(config), "keys")
	writeFile(t, filepath.Join(keys, "second-copy.yaml"), fmt.Sprintf("type: file-raw\nkeyType: BLS\nprivateKey: %q\n", interopSecret))
	writeFile(t, filepath.Join(keys, "garbage.yaml"), "\x00\x01")
	writeFile(t, filepath.Join(keys, "locked.yaml"), "type: file-keystore\nkeyType: BLS\nkeystoreFile: locked.json\nkeystorePasswordFile: locked.password\n")
	writeFile(t, filepath.Join(keys, "locked.password"), "not the password\n")
	writeFile(t, filepath.Join(keys, "locked.json"), eipKeystore)

	p := start(t, "containment-chamber", "server", "-c", config)
	client := newClient(t)
	awaitReady(t, client, url, p)
	if status, body := call(t, client, http.MethodPost, url+"/api/v1/eth2/sign/"+interopPublic, vote(10, 11)); status != http.StatusOK {
		t.Errorf("sign: %d %s", status, body)
	}
	if _, body := call(t, client, http.MethodGet, url+"/healthcheck", ""); !strings.Contains(body, `"error-count":3`) || !strings.Contains(body, `"keys-loaded":1`) {
		t.Errorf("healthcheck does not count the keys: %s", body)
	}
	for _, want := range []string{"second-copy.yaml", "interop.yaml", "garbage.yaml", "locked.yaml", "password"} {
		if !strings.Contains(p.text(), want) {
			t.Errorf("the log does not name %q", want)
		}
	}
	for _, secret := range []string{interopSecret, "not the password"} {
		if strings.Contains(p.text(), secret) {
			t.Errorf("the log holds the secret %q", secret)
		}
	}
}

// eipKeystore is the PBKDF2 test vector of EIP-2335.
const eipKeystore = `{"crypto":{"kdf":{"function":"pbkdf2","params":{"dklen":32,"c":262144,"prf":"hmac-sha256",
"salt":"d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"},"message":""},
"checksum":{"function":"sha256","params":{},"message":"8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1"},
"cipher":{"function":"aes-128-ctr","params":{"iv":"264daa3f303d7259501c93d997d84fe6"},
"message":"cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad"}},
"description":"","pubkey":"9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07",
"path":"m/12381/60/0/0","uuid":"64625def-3331-4eea-ab6f-782f3ed16a83","version":4}`

// TestGarbageOnEveryListener throws bytes that mean nothing at every TCP port and every socket, in both directions, and then signs.
func TestGarbageOnEveryListener(t *testing.T) {
	dir := shortDir(t)
	ports := freePorts(t, 4)
	sockets := filepath.Join(dir, "v")
	config := splitWorld(t, dir, sockets, ports)
	parent := start(t, "containment-chamber-enclave-proxy", "run", "-c", config)
	signer := start(t, "containment-chamber", "server", "-c", config)
	health := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	awaitReady(t, newClient(t), health, signer)

	garbage := []byte(strings.Repeat("\x00\xff garbage \x1b[31m\n", 4000))
	for _, p := range ports {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			t.Fatal(err)
		}
		throw(t, c, garbage)
	}
	for _, p := range []uint32{wire.PortLogs, wire.PortBoot, wire.PortAPI, wire.PortHealth, wire.PortMetrics} {
		c, err := unixvsock.Dir(sockets).Dial(t.Context(), vsock.CIDParent, p)
		if err != nil {
			t.Fatal(err)
		}
		throw(t, c, garbage)
	}
	status, body := call(t, attestedClient(t, dir), http.MethodPost,
		fmt.Sprintf("https://127.0.0.1:%d/api/v1/eth2/sign/%s", ports[2], interopPublic), vote(10, 11))
	if status != http.StatusOK {
		t.Errorf("sign after the garbage: %d %s", status, body)
	}
	if strings.Contains(parent.text(), "\x1b") {
		t.Error("the log sink passed an escape character on to the terminal")
	}
	if code := signer.terminate(); code != 0 {
		t.Errorf("signer: exit code %d", code)
	}
	if code := parent.terminate(); code != 0 {
		t.Errorf("parent: exit code %d", code)
	}
}

// throw writes what it can, then waits until the other end has had enough.
func throw(t *testing.T, c net.Conn, garbage []byte) {
	t.Helper()
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(garbage) // the other end may close at the first byte
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	buf := make([]byte, 4096)
	for {
		if _, err := c.Read(buf); err != nil {
			if os.IsTimeout(err) {
				t.Errorf("%v did not close the connection", c.RemoteAddr())
			}
			return
		}
	}
}

// TestAWrongMeasurementIsRefused expects another program than the one that answers, under the same root.
func TestAWrongMeasurementIsRefused(t *testing.T) {
	dir := shortDir(t)
	ports := freePorts(t, 4)
	config := splitWorld(t, dir, filepath.Join(dir, "v"), ports)
	start(t, "containment-chamber-enclave-proxy", "run", "-c", config)
	signer := start(t, "containment-chamber", "server", "-c", config)
	awaitReady(t, newClient(t), fmt.Sprintf("http://127.0.0.1:%d", ports[0]), signer)

	client := attestedClientFor(t, dir, filepath.Join(binaries, "demo")) // expects another program
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/upcheck", ports[2]), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err == nil {
		_ = res.Body.Close()
		t.Fatal("a client that expects another program accepted the signer")
	}
	if !strings.Contains(err.Error(), "PCR0") {
		t.Errorf("the error does not name the register: %v", err)
	}
}
