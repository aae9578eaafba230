package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
)

func TestCredential(t *testing.T) {
	for name, tc := range map[string]struct {
		headers []string
		want    string
		fault   string
	}{
		"none":                     {nil, "", ""},
		"bearer":                   {[]string{"Bearer t-1"}, "t-1", ""},
		"bearer in lower case":     {[]string{"bearer  t-1 "}, "t-1", ""},
		"basic":                    {[]string{"Basic dXNlcjp0LTE="}, "t-1", ""},
		"basic without user":       {[]string{"Basic OnQtMQ=="}, "t-1", ""},
		"basic that is no base64":  {[]string{"Basic t-1"}, "", "want Authorization: Bearer and a token, or Basic"},
		"basic without a password": {[]string{"Basic dXNlcg=="}, "", "want Authorization: Bearer and a token, or Basic"},
		"another scheme":           {[]string{"Digest t-1"}, "", "want Authorization: Bearer and a token, or Basic"},
		"token alone":              {[]string{"t-1"}, "", "want Authorization: Bearer and a token, or Basic"},
		"bearer alone":             {[]string{"Bearer"}, "", "want Authorization: Bearer and a token, or Basic"},
		"nothing":                  {[]string{""}, "", "want Authorization: Bearer and a token, or Basic"},
		"two":                      {[]string{"Bearer t-1", "Bearer t-1"}, "t-1", "want one header Authorization, and there are 2"},
		"huge":                     {[]string{"Bearer " + strings.Repeat("x", maxToken+1)}, strings.Repeat("x", maxToken+1), "want Authorization: Bearer and a token"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x?secret=1", nil)
		r.Header["Authorization"] = tc.headers
		c := CredentialOf(r)
		fault := ""
		if c.Fault != nil {
			fault = c.Fault.Error()
		}
		if c.Token != tc.want || !strings.Contains(fault, tc.fault) || (fault == "") != (tc.fault == "") {
			t.Errorf("%s: token %.20q, fault %q; want %.20q, %q", name, c.Token, fault, tc.want, tc.fault)
		}
		if want := (auth.Request{From: r.RemoteAddr, Method: "GET", Path: "/x"}); c.Request != want || c.Request.From == "" {
			t.Errorf("%s: request %+v", name, c.Request)
		}
	}
}

// gate is what a server has before its handlers.
func gate(t *testing.T, p *auth.Policies) http.Handler {
	t.Helper()
	l, err := NewLimits(DefaultRequests, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	l.Identify(p.Identify, Penalty)
	return l.Identified(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := Caller(r).Manages(); err != nil {
			WriteProblem(w, err)
		}
	}))
}

func ask(ctx context.Context, h http.Handler, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestGuessesWait: a wrong token costs time, a right one and none at all do not, whoever else guesses.
func TestGuessesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := gate(t, authtest.New(auth.Options{Keeper: &authtest.Keeper{}, Open: true}))
		took := map[string]time.Duration{}
		status := map[string]int{}
		measure := func(name, path, token string) {
			began := time.Now()
			status[name] = ask(t.Context(), h, path, token).Code
			took[name] = time.Since(began)
		}
		var guessing sync.WaitGroup
		for range 2 * seats {
			guessing.Go(func() { ask(t.Context(), h, "/x", "wrong") })
		}
		synctest.Wait() // all seats are taken
		measure("right", "/x", authtest.ManagementToken)
		measure("none", "/x", "")
		measure("probe", "/upcheck", "wrong")
		measure("no seat left", "/x", "wrong")
		guessing.Wait()
		measure("wrong", "/x", "wrong")
		want := map[string]time.Duration{"right": 0, "none": 0, "probe": 0, "no seat left": 0, "wrong": Penalty}
		if diff := cmp.Diff(want, took); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]int{"right": 200, "none": 401, "probe": 401, "no seat left": 401, "wrong": 401}, status); diff != "" {
			t.Error(diff) // the probe's 401 is the handler's: it is nobody, and was not refused before
		}
		gone, cancel := context.WithCancel(t.Context())
		guessing.Go(func() { ask(gone, h, "/x", "wrong") })
		synctest.Wait()
		began := time.Now()
		cancel()
		guessing.Wait()
		if d := time.Since(began); d != 0 {
			t.Errorf("who has gone was waited for, %v", d)
		}
	})
}

// TestNobodyIsReadWhereNothingIsOpen: who shows nothing has the answer before a byte of the body takes memory; where duties are open, bodies are
// read.
func TestNobodyIsReadWhereNothingIsOpen(t *testing.T) {
	for open, want := range map[bool]int{true: 200, false: 401} {
		l := limits(t, 8)
		l.Identify(authtest.New(auth.Options{Keeper: &authtest.Keeper{}, Open: open}).Identify, 0)
		read := 0
		h := l.Identified(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { read++ }))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/eth2/sign/0x00", strings.NewReader("{}")))
		if w.Code != want || read != map[bool]int{true: 1, false: 0}[open] {
			t.Errorf("open %t: %d, %d handled", open, w.Code, read)
		}
	}
}

// TestRefusalsBreakTheConnection, so that each guess costs a handshake.
func TestRefusalsBreakTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ask(t.Context(), gate(t, authtest.New(auth.Options{Keeper: &authtest.Keeper{}})), "/x", "wrong")
		if w.Header().Get("Connection") != "close" || len(w.Header().Values("Www-Authenticate")) == 0 {
			t.Errorf("headers %v", w.Header())
		}
	})
}

// TestNobodyHoldsAnOperatorsPlace: who has no token, and sends a file that does not come, has the answer and leaves the place.
func TestNobodyHoldsAnOperatorsPlace(t *testing.T) {
	l := limits(t, 1)
	l.Identify(authtest.New(auth.Options{Keeper: &authtest.Keeper{}}).Identify, time.Millisecond)
	r := overTCP(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := Caller(r).Manages(); err != nil {
			WriteProblem(w, err)
		}
	}))
	for range 4 * maxOperators {
		p := r.connect()
		p.send("POST %s HTTP/1.1\r\nHost: signer\r\nContent-Length: 1000000\r\n\r\nx", filePaths[0])
		if status, _, _ := p.answer(); status != http.StatusUnauthorized {
			t.Fatalf("without a token: %d", status)
		}
	}
	await(t, func() bool { return l.operators.taken.Load() == 0 }) // although nobody has sent more, or gone
	p := r.connect()
	p.send("POST %s HTTP/1.1\r\nHost: signer\r\nContent-Length: 1\r\nAuthorization: Bearer %s\r\n\r\nx", filePaths[0], authtest.ManagementToken)
	if status, says, _ := p.answer(); status != http.StatusOK {
		t.Errorf("with one: %d %s", status, says)
	}
}
