package e2e

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestAttestScripts runs what needs no enclave: on real documents of AWS, and on images that AWS's own library built.
func TestAttestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script/attest",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", binaries+string(os.PathListSeparator)+env.Getenv("PATH"))
			for _, from := range []string{"../../shared/attestation/testdata/*.cose", "../../shared/attestation/testdata/*.pem", "../../shared/eif/testdata/*.eif"} {
				if err := copyAll(from, env.WorkDir); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: attestCommands(),
	})
}

// TestAttestSplitScripts runs what needs an enclave, which is a simulated one.
func TestAttestSplitScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script/attest-split",
		Setup: func(env *testscript.Env) error {
			ports := freePorts(t, 4)
			for name, value := range map[string]string{
				"PATH": binaries + string(os.PathListSeparator) + env.Getenv("PATH"),
				"HOME": env.WorkDir, // for what is remembered
				"API":  fmt.Sprintf("https://127.0.0.1:%d", ports[2]), "HEALTH": fmt.Sprintf("http://127.0.0.1:%d", ports[0]),
				"NAME": fmt.Sprintf("127.0.0.1:%d", ports[2]), "KEY": interopPublic, "ROOT": "--attestation-root=nsm/root.pem", "AUTH": "--auth-token=" + operatorToken,
			} {
				env.Setenv(name, value)
			}
			return attestWorld(env.WorkDir, ports)
		},
		Cmds: attestCommands(),
	})
}

// attestWorld writes the configurations of two enclaves that differ in what they are told alone, and a key.
func attestWorld(dir string, ports []int) error {
	for _, d := range []string{"keys", "sock"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	key := fmt.Sprintf("type: file-raw\nkeyType: BLS\nprivateKey: %q\n", interopSecret)
	if err := os.WriteFile(filepath.Join(dir, "keys", "interop.yaml"), []byte(key), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "policies.yaml"), []byte(operatorPolicies()), 0o600); err != nil {
		return err
	}
	for name, role := range map[string]string{"config.yaml": "arn:aws:iam::111122223333:role/signer", "diverted.yaml": "arn:aws:iam::444455556666:role/stranger"} {
		text := fmt.Sprintf(`network: hoodi
server: {listen_port: %d}
metrics: {listen_address: 127.0.0.1, listen_port: %d}
tls: {mode: atls, listen_port: %d}
tee: {platform: simulated, role_arn: %q, simulated: {socket_dir: ./sock, state_dir: ./nsm}}
key_sources: {filesystem: {paths: [./keys]}}
anti_slashing: {backend: sqlite, api: true, sqlite: {path: ./slashing.sqlite}}
auth: {policy_file: ./policies.yaml}
parent: {health: {listen_port: %d}}
`, ports[0], ports[1], ports[2], role, ports[3])
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func attestCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"ready":       awaitEnclave,
		"certificate": saveCertificate,
		"flip":        flipByte,
		"replace":     replaceText,
	}
}

// awaitEnclave waits until the enclave at $HEALTH is ready.
func awaitEnclave(ts *testscript.TestScript, _ bool, _ []string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last := "nothing"
	for range 1200 {
		res, err := client.Get(ts.Getenv("HEALTH") + "/readyz")
		if err == nil {
			last = res.Status
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		<-tick.C
	}
	ts.Fatalf("not ready within a minute: %s", last)
}

// saveCertificate writes the certificate that the server at $NAME shows, in PEM and in DER.
func saveCertificate(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := tls.Dial("tcp", ts.Getenv("NAME"), &tls.Config{InsecureSkipVerify: true})
	ts.Check(err)
	der := conn.ConnectionState().PeerCertificates[0].Raw
	ts.Check(conn.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), der, 0o600))
}

// flipByte writes a copy of a file whose byte in the middle differs.
func flipByte(ts *testscript.TestScript, _ bool, args []string) {
	text := []byte(ts.ReadFile(args[0]))
	text[len(text)/2] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o600))
}

// replaceText writes a copy of a file in which one text, which must be there, is another everywhere.
func replaceText(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[2]) {
		ts.Fatalf("%s does not hold %q", args[0], args[2])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.ReplaceAll(text, args[2], args[3])), 0o600))
}

// copyAll copies files into a directory; a pattern that nothing matches is an error.
func copyAll(pattern, dir string) error {
	files, err := filepath.Glob(pattern)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: %w", pattern, fs.ErrNotExist)
	}
	for _, file := range files {
		var text []byte
		if err == nil {
			text, err = os.ReadFile(file)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600)
		}
	}
	return err
}
