package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// count answers with how much came, and why no more.
func count(w http.ResponseWriter, r *http.Request) {
	var total int64
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.Body.Read(buffer)
		if total += int64(n); err != nil {
			_, _ = io.WriteString(w, fmt.Sprintf("%d bytes, %v", total, errors.Is(err, io.EOF))) //nolint:gosec // no browser reads it
			return
		}
	}
}

// TestABodyOfAnOperatorIsNotHeld: it may be larger than all that is kept in memory.
func TestABodyOfAnOperatorIsNotHeld(t *testing.T) {
	l := limits(t, 1)
	l.memory.most.Store(0)
	address, transport := overTLS(t, l, http.HandlerFunc(count))
	const size = MaxBody + 1
	for _, version := range []int{1, 2} {
		transport.ForceAttemptHTTP2 = version == 2
		client := &http.Client{Transport: transport.Clone()}
		defer client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+filePaths[0], strings.NewReader(repeat(size)))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		says, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if want := fmt.Sprintf("%d bytes, true", size); err != nil || string(says) != want || res.ProtoMajor != version {
			t.Errorf("HTTP/%d: %s, %v; want %s", res.ProtoMajor, says, err, want)
		}
	}
	nothingHeld(t, l)
}

// TestAnOperatorHasTime: for a file, for each piece of an answer, and for the work between, beyond what any other request has.
func TestAnOperatorHasTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limits(t, 1)
		r := inMemory(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !fromOperator(r) {
				echo(w, r)
				return
			}
			body, err := io.ReadAll(r.Body)
			select {
			case <-time.After(10 * requestTimeout):
			case <-r.Context().Done():
				err = r.Context().Err()
			}
			for range 10 {
				_, _ = fmt.Fprintf(w, "%s%v ", body, err)
				_ = http.NewResponseController(w).Flush()
				<-time.After(writeTimeout)
			}
		}))
		p := r.connect()
		p.send("POST %s HTTP/1.1\r\nHost: signer\r\nContent-Length: 10\r\n\r\n", filePaths[0])
		for range 10 {
			<-time.After(operatorPause/10 - time.Millisecond)
			p.send("x")
		}
		if status, says, _ := p.answer(); status != 200 || says != strings.Repeat("xxxxxxxxxx<nil> ", 10) {
			t.Errorf("%d %s", status, says)
		}
		// The next request on the connection has the limits of any other.
		p.post("/", "x")
		if status, _, _ := p.answer(); status != 200 {
			t.Errorf("%d", status)
		}
		p.send("POST / HTTP/1.1\r\nHost: signer\r\nContent-Length: 2\r\n\r\nx")
		began := time.Now()
		if status, says, _ := p.answer(); status != 400 || time.Since(began) != readTimeout {
			t.Errorf("%d %s after %v", status, says, time.Since(began))
		}
		_ = p.Close()
		nothingHeld(t, l)
	})
}

// TestAnOperatorMustNotRest: who sends nothing is given up, and so is what takes an hour.
func TestAnOperatorMustNotRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, ended := time.Now(), make(chan error, 1)
		r := inMemory(t, limits(t, 1), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			if err == nil {
				<-r.Context().Done()
				err = r.Context().Err()
			}
			ended <- err
		}))
		p := r.connect()
		p.send("POST %s HTTP/1.1\r\nHost: signer\r\nContent-Length: 2\r\n\r\nx", filePaths[0])
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != operatorPause {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		p, began = r.connect(), time.Now()
		p.post(filePaths[0], "xx")
		if err := <-ended; err == nil || time.Since(began) != operatorTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestSlowBodiesOfOperatorsAreCut sends a part and then a byte each second, or nothing, and expects the end when it is due.
func TestSlowBodiesOfOperatorsAreCut(t *testing.T) {
	const raise = operatorPrefix + "raise"
	for name, tc := range map[string]struct {
		path     string
		begin    int
		trickles bool
		due      time.Duration
	}{
		"no file":                   {raise, 1, true, readTimeout},
		"no file, after much":       {raise, 4 << 20, true, readTimeout},
		"no file, nothing":          {raise, 1, false, readTimeout},
		"file":                      {filePaths[0], 1, true, operatorPause},
		"backup":                    {filePaths[1], 1, true, operatorPause},
		"file, after much":          {filePaths[0], 8 << 20, true, operatorPause + 8*importPerMiB},
		"file, nothing, after much": {filePaths[0], 8 << 20, false, operatorPause},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, ended := time.Now(), make(chan error, 1)
				p := inMemory(t, limits(t, 1), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, err := io.Copy(io.Discard, r.Body)
					ended <- err
				})).connect()
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					p.send("POST %s HTTP/1.1\r\nHost: signer\r\nContent-Length: 16777216\r\n\r\n%s", tc.path, repeat(tc.begin))
					tick := time.NewTicker(time.Second)
					defer tick.Stop()
					for tc.trickles {
						<-tick.C
						if _, err := p.Write([]byte("x")); err != nil {
							return
						}
					}
				}()
				if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != tc.due {
					t.Errorf("%v after %v, want %v", err, time.Since(began), tc.due)
				}
				_ = p.Close()
				<-gone
			})
		})
	}
}

// TestAFileIsNotCutForItsReader, who takes its time between two pieces.
func TestAFileIsNotCutForItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := inMemory(t, limits(t, 1), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for piece := make([]byte, 1); ; <-time.After(2 * operatorPause) {
				if _, err := io.ReadFull(r.Body, piece); err != nil {
					_, _ = fmt.Fprint(w, err)
					return
				}
			}
		})).connect()
		p.post(filePaths[0], "xxx")
		if status, says, _ := p.answer(); status != http.StatusOK || says != "EOF" {
			t.Errorf("%d %s", status, says)
		}
	})
}

// TestFewOperatorsAtOnce, while others are served as ever.
func TestFewOperatorsAtOnce(t *testing.T) {
	l := limits(t, 1)
	entered, leave := make(chan struct{}), make(chan struct{})
	r := overTCP(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fromOperator(r) {
			entered <- struct{}{}
			<-leave
		}
		_, _ = io.WriteString(w, "done")
	}))
	peers := make([]*peer, maxOperators)
	for i := range peers {
		peers[i] = r.connect()
		peers[i].get(operatorPrefix + "status")
		<-entered
	}
	late := r.connect()
	late.post(filePaths[0], "x")
	if status, _, _ := late.answer(); status != http.StatusServiceUnavailable {
		t.Errorf("one more: %d", status)
	}
	keys := r.connect() // have places of their own
	keys.get(keysPath)
	<-entered
	other := r.connect()
	other.post("/sign", "x")
	if status, _, _ := other.answer(); status != http.StatusOK {
		t.Errorf("a request that signs: %d", status)
	}
	close(leave)
	for _, p := range append(peers, keys) {
		if status, says, _ := p.answer(); status != http.StatusOK || says != "done" {
			t.Errorf("%d %s", status, says)
		}
	}
	nothingHeld(t, l)
}

// TestABrokenAnswerIsNoFault: a handler that breaks its own connection is no panic for the log.
func TestABrokenAnswerIsNoFault(t *testing.T) {
	for _, test := range []struct {
		panics any
		lines  int
	}{{http.ErrAbortHandler, 0}, {"a fault", 1}} {
		core, lines := observer.New(zap.DebugLevel)
		h := guarded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(test.panics) }), zap.New(core))
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // this very one
					t.Errorf("%v ends as %v", test.panics, p)
				}
			}()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		}()
		if got := lines.FilterMessage("a handler panicked").Len(); got != test.lines {
			t.Errorf("%v: %d lines, want %d", test.panics, got, test.lines)
		}
	}
}

// TestPathsOfKeys: what is at and below the path, and no other.
func TestPathsOfKeys(t *testing.T) {
	for path, want := range map[string]bool{
		keysPath: true, keysPath + "/generate": true, keysPath + "/0x80/backup": true, keysPath + "s": false, "/api/v1/chamber": false, "/eth/v1/keystores": false,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if got := toKeys(r); got != want || got && !fromOperator(r) {
			t.Errorf("%s: %t", path, got)
		}
	}
}
