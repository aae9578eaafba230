package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// TestMain is the program itself where a test starts it in a role.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == simulatedRole || os.Args[1] == floodRole) {
		os.Exit(start(os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// served runs jobs against a handler over two connections.
func served(t *testing.T, handler http.HandlerFunc, jobs []job) (*run, error) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	var clients []*client
	for range 2 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, newClient(conn))
	}
	defer disconnect(clients)
	return drive(clients, jobs)
}

// signedJobs are n requests of one key each, and the answers they must get.
func signedJobs(t *testing.T, n int) (jobs []job, answers map[string]string) {
	t.Helper()
	c, answers := testChain(t), map[string]string{}
	key, err := seedKey(1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		m := c.attestation(firstEpoch, uint64(i))
		signature, err := key.Sign(m.root)
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, m.single(key.PublicKey()))
		answers[string(m.body)] = fmt.Sprintf(`{"signature":"%s"}`, signature)
	}
	return jobs, answers
}

func TestDrive(t *testing.T) {
	jobs, answers := signedJobs(t, 40)
	for _, test := range []struct {
		name    string
		answer  func(w http.ResponseWriter, right string)
		failure string // of the run
		unsound string // of the signatures
	}{
		{"answered", func(w http.ResponseWriter, right string) { _, _ = io.WriteString(w, right) }, "", ""},
		{"in chunks", func(w http.ResponseWriter, right string) {
			_, _ = io.WriteString(w, right[:50])
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, right[50:])
		}, "", ""},
		{"overloaded", func(w http.ResponseWriter, _ string) { http.Error(w, "too much", http.StatusServiceUnavailable) }, "40 of 40 requests failed, the first: status 503: too much", ""},
		{"no signature", func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, `{}`) }, "0 signatures for 1 keys", ""},
		{"cut off", func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }, "read the status line", ""},
		{"wrong signature", func(w http.ResponseWriter, right string) {
			_, _ = io.WriteString(w, strings.Replace(right, right[20:22], "00", 1))
		}, "", "does not verify"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := served(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				test.answer(w, answers[string(body)])
			}, jobs)
			expect(t, "run", err, test.failure)
			if test.failure == "" {
				expect(t, "verification", r.verify(), test.unsound)
			}
		})
	}
}

func expect(t *testing.T, what string, err error, want string) {
	t.Helper()
	if want == "" && err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: error %v, want one with %q", what, err, want)
	}
}

func TestVerifyBatch(t *testing.T) {
	root := eth2.Root{5}
	var signers []bls.PublicKey
	var entries []string
	for i := range 3 {
		key, err := seedKey(i)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := key.Sign(root)
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, key.PublicKey())
		entries = append(entries, fmt.Sprintf(`{"identifier":"%s","signature":"%s"}`, key.PublicKey(), signature))
	}
	j := job{root: root, signers: signers}
	for _, test := range []struct{ name, answer, want string }{
		{"in order", strings.Join(entries, ","), ""},
		{"one missing", strings.Join(entries[:2], ","), "not an answer for 3 keys"},
		{"another order", strings.Join([]string{entries[1], entries[0], entries[2]}, ","), "instead of"},
		{"refused", entries[0] + "," + entries[1] + `,{"identifier":"` + signers[2].String() + `","error":{"code":412}}`, "not a signature"},
	} {
		t.Run(test.name, func(t *testing.T) { expect(t, "verification", j.verify([]byte("["+test.answer+"]")), test.want) })
	}
}
