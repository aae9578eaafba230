package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// TestImportProgress: lines now and then, a bar as often as it can be seen, and the pace of what was not skipped.
func TestImportProgress(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var out strings.Builder
			p := newImportProgress(&out, 1000)
			if p.bar != nil {
				t.Fatal("a bar where there is no terminal")
			}
			want := "keys 300 of 1000  20/s  35s left\nkeys 400 of 1000  15/s  40s left  3 failed\nlost\n"
			if terminal {
				p.bar, p.pause = &progress{w: &out, name: "keys", total: 1000}, progressPause
				const bar = "keys [%s%s]  %d %%  %d/1000"
				want = fmt.Sprintf("\r"+bar+"  20/s  35s left\x1b[K\r"+bar+"  15/s  40s left  3 failed\x1b[K\r\x1b[Klost\n\r\x1b[K",
					strings.Repeat("#", 9), strings.Repeat(" ", 21), 30, 300, strings.Repeat("#", 12), strings.Repeat(" ", 18), 40, 400)
			}
			for range 100 {
				p.skip()
			}
			<-time.After(10 * time.Second)
			p.add(200, 0)
			<-time.After(progressPause / 2)
			p.add(50, 1) // too soon to be shown
			<-time.After(10*time.Second - progressPause/2)
			p.add(50, 2)
			p.note("lost")
			p.end()
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestImportBatchSize(t *testing.T) {
	b := batchSize{most: firstBatch, limit: chamber.MaxKeystores}
	for _, step := range []struct {
		sent int
		took time.Duration
		want int
	}{
		{firstBatch, time.Second, 16}, // short
		{3, time.Second, 16},          // short, because there was little
		{16, 5 * time.Second, 16},     // as it should be
		{16, 3 * time.Second, 32},
		{32, time.Millisecond, 64},
		{64, time.Millisecond, chamber.MaxKeystores},
		{chamber.MaxKeystores, time.Millisecond, chamber.MaxKeystores},
		{chamber.MaxKeystores, 17 * time.Second, 50},
		{chamber.MaxKeystores, 20 * time.Second, 50}, // sent before that was known
		{3, time.Minute, 1},
		{1, time.Minute, 1},
		{1, time.Second, 2},
	} {
		if b.learn(step.sent, step.took); b.most != step.want {
			t.Fatalf("%d in %s: %d, want %d", step.sent, step.took, b.most, step.want)
		}
	}
	b.bound(5)
	if b.learn(2, time.Second); b.most != 4 {
		t.Errorf("%d", b.most)
	}
	if b.learn(4, time.Second); b.most != 5 {
		t.Errorf("%d of at most 5", b.most)
	}
	if b.bound(2); b.most != 2 {
		t.Errorf("%d of at most 2", b.most)
	}
	ready := make(chan readyKeystore, 5)
	for n := range 5 {
		ready <- readyKeystore{n: n + 1}
	}
	if got := b.fill(readyKeystore{}, ready); len(got) != 2 || got[1].n != 1 {
		t.Errorf("%+v", got)
	}
	b.most = 100
	if got := b.fill(readyKeystore{}, ready); len(got) != 5 || got[4].n != 5 {
		t.Errorf("%+v", got)
	}
	close(ready)
	if got := b.fill(readyKeystore{}, ready); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestImportBody is JSON that holds what was given, and is gone when it was sent.
func TestImportBody(t *testing.T) {
	texts := []string{`{"a": "\n"}`, "", "\x00\x1f\t\"\\/\u007f\u2028ä🔑</script>"}
	var batch []readyKeystore
	for _, text := range texts {
		batch = append(batch, readyKeystore{text: []byte(text), password: []byte(text + "!")})
	}
	body := newImportBody(batch)
	text := body.text
	sent, err := io.ReadAll(body)
	if err != nil || int64(len(sent)) != body.size() || cap(text) < len(text) {
		t.Fatalf("%d bytes of %d, %v", len(sent), body.size(), err)
	}
	var got struct{ Keystores, Passwords []string }
	if err := json.Unmarshal(sent, &got); err != nil {
		t.Fatalf("%s: %v", sent, err)
	}
	for i, want := range texts {
		if got.Keystores[i] != want || got.Passwords[i] != want+"!" {
			t.Errorf("%q, %q, want %q", got.Keystores[i], got.Passwords[i], want)
		}
	}
	if err := body.Close(); err != nil || strings.Trim(string(text), "\x00") != "" {
		t.Errorf("closed it still holds %q, %v", text, err)
	}
	if n, err := body.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // io.Reader returns it as it is
		t.Errorf("closed it reads %d bytes, %v", n, err)
	}
	batch[2].wipe()
	if strings.Trim(string(batch[2].text)+string(batch[2].password), "\x00") != "" {
		t.Errorf("wiped it still holds %+v", batch[2])
	}
}

func TestImportPassingErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{io.ErrUnexpectedEOF, true},
		{fmt.Errorf("no answer of the signer: %w", errors.New("connection reset")), true},
		{fmt.Errorf("x: %w", atls.ErrNotFetched), true},
		{&refusalError{status: http.StatusServiceUnavailable}, true},
		{&refusalError{status: http.StatusBadGateway}, true},
		{&refusalError{status: http.StatusTooManyRequests}, true},
		{&refusalError{status: http.StatusInternalServerError}, false},
		{&refusalError{status: http.StatusUnauthorized}, false},
		{fmt.Errorf("x: %w", &atls.Error{Check: atls.CheckDocument}), false},
		{&tls.CertificateVerificationError{}, false},
	} {
		if got := passing(test.err); got != test.want {
			t.Errorf("%v: %v", test.err, got)
		}
	}
}

// TestImportPatience: pauses grow, one note tells of an outage, the end of ctx ends the wait, and the next outage is told again.
func TestImportPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		k := &keyImport{patience: time.Minute, bar: newImportProgress(&out, 1)}
		var tries []time.Time
		failing := func(n int) func(context.Context) error {
			tries = nil
			return func(context.Context) error {
				if tries = append(tries, time.Now()); len(tries) > n {
					return nil
				}
				return io.ErrUnexpectedEOF
			}
		}
		if err := k.patiently(t.Context(), failing(1)); !errors.Is(err, io.ErrUnexpectedEOF) || len(tries) != 1 {
			t.Errorf("a signer that never answered is asked %d times: %v", len(tries), err)
		}
		k.met.Store(true)
		if err := k.patiently(t.Context(), failing(5)); err != nil || len(tries) != 6 || tries[5].Sub(tries[4]) < 2*tries[2].Sub(tries[1]) {
			t.Errorf("%v: %v", tries, err)
		}
		if err := k.patiently(t.Context(), failing(99)); !errors.Is(err, io.ErrUnexpectedEOF) || time.Since(tries[0]) != time.Minute || len(tries) > 15 {
			t.Errorf("given up after %s: %v", time.Since(tries[0]), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := k.patiently(ctx, failing(99)); !errors.Is(err, io.ErrUnexpectedEOF) || time.Since(tries[0]) != time.Second {
			t.Errorf("ended after %s: %v", time.Since(tries[0]), err)
		}
		if notes := strings.Count(out.String(), "unexpected EOF; it is asked again for 1m0s\n"); notes != 2 {
			t.Errorf("%d notes: %s", notes, &out)
		}
	})
}
