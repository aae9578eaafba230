package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// TestDemo runs the demonstration twice in one directory: on made and on found state.
func TestDemo(t *testing.T) {
	dir := shortDir(t)
	ports := freePorts(t, 6)
	for run, chamber := range [][]string{
		{"uninitialized", "is unsealed", "1 imported, 0 stored before"}, {"unsealed; attested", "an earlier run did", "0 imported, 1 stored before"},
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(binaries, "demo"), "--dir", dir,
			"--port-api", fmt.Sprint(ports[0]), "--port-health", fmt.Sprint(ports[1]),
			"--port-metrics", fmt.Sprint(ports[2]), "--port-parent", fmt.Sprint(ports[3]),
			"--port-kms", fmt.Sprint(ports[4]), "--port-agent", fmt.Sprint(ports[5]))
		cmd.Env = environment()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("run %d: %v\n%s", run, err, out)
		}
		for _, want := range append(chamber, "development root", "first signature", "412", "surround", "BLOCK_V2", "dropped so far",
			"signs the same vote: the same signature", "exit code 0") {
			if !strings.Contains(string(out), want) {
				t.Errorf("run %d: the transcript lacks %q:\n%s", run, want, out)
			}
		}
		if diff := cmp.Diff(steps(readme(t)), steps(string(out))); diff != "" {
			t.Errorf("run %d: README.md shows other steps (-README +demo):\n%s", run, diff)
		}
	}
}

// readme is the transcript in the project's README.
func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "$ make run\n")
	transcript, _, found := strings.Cut(after, "```")
	if !found {
		t.Fatal("README.md has no transcript that begins with $ make run")
	}
	return transcript
}

// steps are the numbered lines of a transcript, without the numbers in them, which change from run to run, and without the one that is
// there only if the demonstration stays up.
func steps(transcript string) []string {
	var titles []string
	for _, line := range regexp.MustCompile(`(?m)^\d+\. .*$`).FindAllString(transcript, -1) {
		if !strings.Contains(line, "It stays up") {
			titles = append(titles, regexp.MustCompile(`\d+`).ReplaceAllString(line, "N"))
		}
	}
	return titles
}

// splitWorld writes what a simulated split needs and returns the configuration, which names sockets as socket directory.
func splitWorld(t *testing.T, dir, sockets string, ports []int) string {
	t.Helper()
	writeFile(t, filepath.Join(dir, "keys", "interop.yaml"), fmt.Sprintf("type: file-raw\nkeyType: BLS\nprivateKey: %q\n", interopSecret))
	writeFile(t, filepath.Join(sockets, ".keep"), "")
	config := sockets + ".yaml"
	writeFile(t, config, fmt.Sprintf(`network: hoodi
server: {listen_port: %d}
metrics: {listen_address: 127.0.0.1, listen_port: %d}
tls: {mode: atls, listen_port: %d}
tee: {platform: simulated, simulated: {socket_dir: %s, state_dir: %s/nsm}}
key_sources: {filesystem: {paths: [%[5]s/keys]}}
anti_slashing: {backend: sqlite, sqlite: {path: %[5]s/slashing.sqlite}}
parent: {health: {listen_port: %[6]d}}
`, ports[0], ports[1], ports[2], sockets, dir, ports[3]))
	return config
}

// shortDir is a directory whose name leaves room for socket names.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(binaries, "w")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestTheParentSeesNoSecret puts a recorder between the two processes, on every vsock port, and looks in all that passed for
// the key in each form it could take, and for the requests and signatures that only TLS may carry.
func TestTheParentSeesNoSecret(t *testing.T) {
	dir := shortDir(t)
	ports := freePorts(t, 4)
	enclaveSide, parentSide := filepath.Join(dir, "e"), filepath.Join(dir, "p")
	signerConfig := splitWorld(t, dir, enclaveSide, ports)
	parentConfig := splitWorld(t, dir, parentSide, ports)
	r := record(t, enclaveSide, parentSide)

	parent := start(t, "containment-chamber-enclave-proxy", "run", "-c", parentConfig)
	signer := start(t, "containment-chamber", "server", "-c", signerConfig)
	health := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	awaitReady(t, newClient(t), health, signer)

	client := attestedClient(t, dir)
	url := fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	status, body := call(t, client, "POST", url+"/api/v1/eth2/sign/"+interopPublic, vote(10, 11))
	if status != 200 {
		t.Fatalf("sign: %d %s", status, body)
	}
	signature := strings.TrimSuffix(strings.SplitAfter(body, "0x")[1], `"}`)[:192]
	parent.await(`"kind":"ATTESTATION"`)
	if code := signer.terminate(); code != 0 {
		t.Errorf("signer: exit code %d", code)
	}
	if code := parent.terminate(); code != 0 {
		t.Errorf("parent: exit code %d", code)
	}

	for _, p := range []uint32{wire.PortLogs, wire.PortBoot, wire.PortAPI, wire.PortHealth} {
		if r.size(p) == 0 {
			t.Errorf("nothing passed through port %d: the recorder is not in the way", p)
		}
	}
	key, err := hex.DecodeString(interopSecret)
	if err != nil {
		t.Fatal(err)
	}
	reversed := slices.Clone(key)
	slices.Reverse(reversed)
	for form, secret := range map[string][]byte{
		"raw": key, "raw little-endian": reversed, "hex": []byte(interopSecret),
		"hex upper": []byte(strings.ToUpper(interopSecret)),
		"base64":    []byte(base64.RawStdEncoding.EncodeToString(key)[:40]),
		"decimals":  fmt.Append(nil, key),
		"signature": []byte(signature), "request": []byte("beacon_block_root"),
	} {
		if port, found := r.find(secret); found {
			t.Errorf("the %s passed the parent in clear on port %d", form, port)
		}
	}
	if strings.Contains(parent.text()+signer.text(), interopSecret) {
		t.Error("the secret key is in the processes' output")
	}
}

// recorder copies every byte between two socket directories, and keeps it.
type recorder struct {
	mu     sync.Mutex // held while passed changes or is read
	passed map[uint32][]byte
}

// record forwards the parent's ports, those of routes included, from the enclave's directory to the parent's, and the enclave's the
// other way.
func record(t *testing.T, enclaveSide, parentSide string, routes ...uint32) *recorder {
	t.Helper()
	r := &recorder{passed: map[uint32][]byte{}}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, p := range append(routes, wire.PortLogs, wire.PortBoot) {
		r.forward(ctx, t, &all, unixvsock.Dir(enclaveSide), unixvsock.Dir(parentSide), p)
	}
	for _, p := range []uint32{wire.PortAPI, wire.PortHealth, wire.PortMetrics} {
		r.forward(ctx, t, &all, unixvsock.Dir(parentSide), unixvsock.Dir(enclaveSide), p)
	}
	t.Cleanup(func() { cancel(); all.Wait() })
	return r
}

func (r *recorder) forward(ctx context.Context, t *testing.T, all *sync.WaitGroup, from, to vsock.Network, port uint32) {
	t.Helper()
	l, err := from.Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := to.Dial(ctx, vsock.CIDParent, port)
			if err != nil {
				_ = near.Close()
				continue
			}
			context.AfterFunc(ctx, func() { _ = near.Close(); _ = far.Close() })
			all.Go(func() { r.copy(port, far, near.(vsock.Conn)) })
			all.Go(func() { r.copy(port, near.(vsock.Conn), far) })
		}
	})
}

func (r *recorder) copy(port uint32, dst, src vsock.Conn) {
	_, _ = io.Copy(io.MultiWriter(dst, &keeper{r, port}), struct{ io.Reader }{src})
	_ = dst.CloseWrite()
}

type keeper struct {
	r    *recorder
	port uint32
}

func (k *keeper) Write(b []byte) (int, error) {
	k.r.mu.Lock()
	defer k.r.mu.Unlock()
	k.r.passed[k.port] = append(k.r.passed[k.port], b...)
	return len(b), nil
}

func (r *recorder) size(port uint32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.passed[port])
}

func (r *recorder) find(secret []byte) (uint32, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for port, b := range r.passed {
		if bytes.Contains(b, secret) {
			return port, true
		}
	}
	return 0, false
}

func (r *recorder) contains(port uint32, secret []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Contains(r.passed[port], secret)
}
