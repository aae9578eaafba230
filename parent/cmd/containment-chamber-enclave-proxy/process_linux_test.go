package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// command prepares the command as a process of its own, behind words of the shell such as "ulimit -n 64".
func command(t *testing.T, binary, shell string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", shell + `; exec "$0" "$@"`, binary}, args...)...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	return cmd
}

// spawn starts it, and ends it with the test.
func spawn(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// terminate expects exit code 0 after SIGTERM.
func terminate(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the end: %v", err)
	}
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNobodyReadsStandardOutput has an enclave log without end into a pipe that nobody reads: its connection is drained all the same,
// and requests pass. When somebody reads again he is told how many lines are missing.
func TestNobodyReadsStandardOutput(t *testing.T) {
	w := newWorld(t, "")
	output, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := command(t, self(t), ":", "run", "-c", w.config, anyHealthPort, "--set=parent.log_sink.max_lines_per_second=0")
	cmd.Stdout = stdout
	spawn(t, cmd)
	_ = stdout.Close()
	first := make([]byte, 64<<10)
	var start []byte // what is read until it has started; then nobody does
	for !bytes.Contains(start, []byte(`"event":"started"`)) {
		n, err := output.Read(first)
		if err != nil {
			t.Fatal(err)
		}
		start = append(start, first[:n]...)
	}
	api := regexp.MustCompile(`"listener":"ingress/api","address":"([^"]+)"`).FindSubmatch(start)
	if api == nil {
		t.Fatalf("no address of the API:\n%s", start)
	}

	const lines = 100_000
	line := []byte(`{"level":"info","message":"` + strings.Repeat("signed ", 12) + `"}` + "\n") // 11 MB in all, more than may wait
	logs := w.dial(t, wire.PortLogs)
	_ = logs.SetDeadline(time.Now().Add(3 * patience))
	for range lines {
		if _, err := logs.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	_ = logs.CloseWrite()
	if _, err := logs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) { // it has read all, and closed
		t.Fatalf("the log stream's end: %v", err)
	}
	w.serve(t, wire.PortAPI)
	if got := ask(t, dialTCP(t, string(api[1])), "sign"); got != "SIGN" {
		t.Errorf("answer %q", got)
	}

	taken := newOutput()
	read := make(chan error, 1)
	go func() { _, err := io.Copy(taken, output); read <- err }()
	var lost int
	if _, err := fmt.Sscanf(regexp.MustCompile(`"lost":\d+`).FindString(taken.await(t, `"event":"log_lines_lost"`)), `"lost":%d`, &lost); err != nil {
		t.Fatal(err)
	}
	terminate(t, cmd)
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	text, _ := taken.read()
	if got := strings.Count(text, `"message":"signed `); lost == 0 || got+lost != lines {
		t.Errorf("%d lines arrived and %d are told as lost, of %d", got, lost, lines)
	}
}

// TestRunsWithoutRights runs as nobody, where the test may choose, and where the kernel refuses each byte to a regular file (ulimit -f).
func TestRunsWithoutRights(t *testing.T) {
	w := newWorld(t, route("db", "127.0.0.1", tcpServer(t), "8001", true))
	home := filepath.Dir(w.config)
	binary := filepath.Join(home, "command")
	program, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.WriteFile(binary, program, 0o755), os.Chmod(home, 0o755), os.Chmod(w.config, 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	out := newOutput()
	cmd := command(t, binary, "ulimit -f 0; ulimit -S -n 64; ulimit -H -n 2000", "run", "-c", w.config, anyHealthPort)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", out, out
	if os.Geteuid() == 0 {
		const nobody = 65534
		if err := os.Chown(string(w.dir), nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	spawn(t, cmd)
	p := process{out: out}
	out.await(t, `"event":"started"`)

	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`Max file size\s+0\s+0\s`, `Max open files\s+(1999|2000)\s+2000\s`} { // Go has raised the soft one
		if !regexp.MustCompile(want).Match(limits) {
			t.Errorf("no %s in\n%s", want, limits)
		}
	}
	out.await(t, `"event":"few_file_descriptors"`, `,"needed":26752`) // 2 x (3 x 4096 + 1024) + 128

	session, _ := w.boot(t)
	if status, body := get(t, p.address(t, "health"), "/readyz"); status != 200 {
		t.Errorf("/readyz: %d %q", status, body)
	}
	if got := ask(t, w.dial(t, 8001), "query"); got != "QUERY" {
		t.Errorf("answer %q", got)
	}
	terminate(t, cmd)
	_ = session.Close()
	if left, err := os.ReadDir(string(w.dir)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestHeartbeatLost takes as long as the enclave may be silent; other tests run meanwhile.
func TestHeartbeatLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	out := newOutput()
	cmd := command(t, self(t), ":", "run", "-c", w.config, anyHealthPort)
	cmd.Stdout = out
	spawn(t, cmd)
	out.await(t, `"event":"started"`)
	health := (&process{out: out}).address(t, "health")
	session, _ := w.boot(t)
	out.await(t, `"event":"enclave_came"`)
	if status, body := get(t, health, "/readyz"); status != 200 {
		t.Errorf("/readyz with a heartbeat: %d %q", status, body)
	}
	out.await(t, `"message":"heartbeat of the enclave is lost"`)
	out.await(t, `"event":"enclave_lost"`, "no heartbeat of the enclave for 1")
	if status, body := get(t, health, "/readyz"); status != 503 || !strings.Contains(body, "no heartbeat of the enclave for ") {
		t.Errorf("/readyz without: %d %q", status, body)
	}
	for _, line := range []string{"containment_parent_enclave_alive 0", "containment_parent_heartbeat_losses_total 1"} {
		awaitMetric(t, health, line)
	}
	_ = session.Close()

	session, _ = w.boot(t) // another enclave
	out.await(t, `"message":"heartbeat of the enclave is back"`)
	if status, body := get(t, health, "/readyz"); status != 200 {
		t.Errorf("/readyz with a heartbeat again: %d %q", status, body)
	}
	terminate(t, cmd)
	_ = session.Close()
}
