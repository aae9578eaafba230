package keymanager_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/keymanager"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

// held is a hook that holds its first caller until release is closed.
func held() (hook func(), inside, release chan struct{}) {
	inside, release = make(chan struct{}), make(chan struct{})
	first := true
	return func() {
		if first {
			first = false
			close(inside)
			<-release
		}
	}, inside, release
}

func TestFullIs503AtOnce(t *testing.T) {
	d, ledger := watchedDesk(t, func(s *settings) { s.MaxReads, s.MaxWrites = 1, 1 })
	history := map[string]any{"slashing_protection": votes(map[int]uint64{1: 10})}
	var inside, release chan struct{}
	answered := make(chan string, 1)
	begin := func(method, body string) {
		go func() {
			a, err := answerOf(d.ask(method, body))
			answered <- fmt.Sprint(a.statuses(), err)
		}()
		<-inside
	}

	ledger.merging, inside, release = held()
	begin("POST", importBody(history, 1))
	d.refused(d.ask("POST", importBody(nil, 2)), 503, "1 imports are under way already")
	d.listed(d.caller) // reads have places of their own
	close(release)
	if got := <-answered; got != "imported<nil>" {
		t.Error(got)
	}

	ledger.reading, inside, release = held()
	begin("DELETE", deleteBody(1))
	d.refused(d.ask("GET", ""), 503, "1 lists and deletions are under way already")
	d.refused(d.ask("DELETE", deleteBody(2)), 503, "under way already")
	close(release)
	if got := <-answered; got != "deleted<nil>" {
		t.Error(got)
	}
	d.did("POST", importBody(nil, 2), "imported") // all places are free again
	d.listed(d.caller)
}

func TestTooManyItems(t *testing.T) {
	d := newDesk(t, func(s *settings) { s.MaxItems = 2 })
	d.did("POST", importBody(nil, 1, 2), "imported imported")
	d.refused(d.ask("POST", importBody(nil, 3, 4, 5)), 400, "keystores: has more than 2, the most of a request (http.key_manager_api.max_items_per_request)")
	d.refused(d.ask("DELETE", deleteBody(1, 2, 3)), 400, "pubkeys: has more than 2")
	d.did("DELETE", deleteBody(1, 2), "deleted deleted")
	d.did("POST", `{"keystores":[],"passwords":[]}`, "")
}

// TestTimedOut: what was not begun is told, and can be sent again.
func TestTimedOut(t *testing.T) {
	d := newDesk(t, func(s *settings) { s.Timeout = -1 })
	a := d.did("POST", importBody(nil, 1, 2), "error error")
	for _, r := range a.Data {
		if !strings.HasPrefix(r.Message, "timed out") {
			t.Error(r.Message)
		}
	}
	if d.loaded.Len() != 0 {
		t.Error("keys are loaded")
	}
}

// TestCallerWhoIsGone gets nothing imported.
func TestCallerWhoIsGone(t *testing.T) {
	d := newDesk(t, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	d.refused(d.askIn(ctx, "POST", importBody(nil, 1)), 503, "nothing was imported")
	if d.loaded.Len() != 0 {
		t.Error("keys are loaded")
	}
}

// TestKeystoresThatAskForTooMuch are refused before any work; the others are imported.
func TestKeystoresThatAskForTooMuch(t *testing.T) {
	d := newDesk(t, func(s *settings) { s.memory = filesystem.NewKDFMemory(100, 64<<20) })
	pbkdf2 := func(rounds int) string { return with(t, keystoreOf(1), map[string]any{"c": rounds}) }
	scrypt := func(n, r, p int) string {
		return strings.Replace(with(t, keystoreOf(1), map[string]any{"n": n, "r": r, "p": p, "c": 0, "prf": ""}), `"pbkdf2"`, `"scrypt"`, 1)
	}
	texts := []string{pbkdf2(1 << 30), scrypt(1<<26, 8, 1), scrypt(1<<18, 8, 1<<30), scrypt(1<<18, 8, 1), scrypt(2, 1<<30, 1), scrypt(1<<62, 1<<62, 4), keystoreOf(2)}
	passwords := make([]string, len(texts))
	for n := range passwords {
		passwords[n] = password
	}
	a := d.did("POST", encode(map[string]any{"keystores": texts, "passwords": passwords}), "error error error error error error imported")
	for n, words := range []string{
		"takes too long", "takes too long", "takes too long", "needs 256 MiB of memory", "takes too long", "takes too long", "",
	} {
		if !strings.Contains(a.Data[n].Message, words) {
			t.Errorf("%d: %q, want %q", n, a.Data[n].Message, words)
		}
	}
}

// with is a keystore with other parameters of its key derivation.
func with(t *testing.T, keystore string, params map[string]any) string {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(keystore), &doc); err != nil {
		t.Fatal(err)
	}
	of := doc["crypto"].(map[string]any)["kdf"].(map[string]any)["params"].(map[string]any)
	for name, value := range params {
		of[name] = value
	}
	return encode(doc)
}

// TestRequestOutlivesTheServersTimes: a server that gives bodies and answers a moment lets an import take what its own limit allows.
func TestRequestOutlivesTheServersTimes(t *testing.T) {
	d, ledger := watchedDesk(t, nil)
	const moment = 300 * time.Millisecond
	ended := make(chan error, 1)
	ledger.merging = func() { // until the server's times are over, as a connection of their length tells
		server, client := net.Pipe()
		defer client.Close()
		_ = server.SetReadDeadline(time.Now().Add(2 * moment))
		_, err := server.Read(make([]byte, 1))
		ended <- err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		ReadTimeout: moment, WriteTimeout: moment,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.handler.ServeHTTP(w, api.WithCaller(r, authtest.Management()))
		}),
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	body := importBody(map[string]any{"slashing_protection": votes(map[int]uint64{1: 10})}, 1)
	request, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+listener.Addr().String()+keymanager.Route, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got answer
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil || got.statuses() != "imported" {
		t.Errorf("%d %s: %v", response.StatusCode, got.statuses(), err)
	}
	if err := <-ended; err == nil {
		t.Error("no time has passed")
	}
}
