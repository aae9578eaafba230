package diagnostics_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/diagnostics"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
)

func TestBundle(t *testing.T) {
	files := newDesk(t, text("status.json", "{}"), text("log.jsonl", "a line\n")).bundle()
	want := []string{"README.txt", "goroutines.txt", "log.jsonl", "runtime.json", "status.json"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files))); diff != "" {
		t.Fatal(diff)
	}
	if files["status.json"] != "{}" || files["log.jsonl"] != "a line\n" {
		t.Errorf("%q %q", files["status.json"], files["log.jsonl"])
	}
	for _, name := range want[1:] {
		if !strings.Contains(files["README.txt"], "\n"+name+" ") {
			t.Errorf("no %s in\n%s", name, files["README.txt"])
		}
	}
	var numbers struct {
		Goroutines int
		HeapAlloc  uint64 `json:"heap_alloc"`
		Go         string
	}
	if err := json.Unmarshal([]byte(files["runtime.json"]), &numbers); err != nil || numbers.Goroutines < 2 || numbers.HeapAlloc == 0 || numbers.Go == "" {
		t.Errorf("%v %s", err, files["runtime.json"])
	}
}

// wait is a function with an argument that a dump must not show.
//
//go:noinline
func wait(secret uint64, until <-chan struct{}, begun chan<- struct{}) uint64 {
	close(begun)
	<-until
	return secret
}

// TestGoroutinesHaveNoArguments: functions and lines are there, the words that they were called with are not.
func TestGoroutinesHaveNoArguments(t *testing.T) {
	until, begun, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); wait(0xdeadbeefcafe, until, begun) }()
	<-begun
	dump := newDesk(t).bundle()["goroutines.txt"]
	close(until)
	<-ended
	if !strings.Contains(dump, "diagnostics_test.wait+") || !strings.Contains(dump, "bundle_test.go:") {
		t.Errorf("not the goroutines:\n%s", dump)
	}
	if strings.Contains(dump, "deadbeefcafe") || strings.Contains(dump, "wait(") {
		t.Errorf("arguments:\n%s", dump)
	}
}

// TestAFaultIsOfItsFileAlone, and what was made with it is sent.
func TestAFaultIsOfItsFileAlone(t *testing.T) {
	files := newDesk(t,
		diagnostics.File{Name: "half.txt", Make: func(context.Context) ([]byte, error) { return []byte("half"), errors.New("disk full") }},
		diagnostics.File{Name: "none.txt", Make: func(context.Context) ([]byte, error) { panic("out of range") }},
		text("whole.txt", "whole"),
	).bundle()
	if _, there := files["none.txt"]; there || files["half.txt"] != "half" || files["whole.txt"] != "whole" {
		t.Errorf("%v", slices.Sorted(maps.Keys(files)))
	}
	for _, words := range []string{"INCOMPLETE: disk full\n", "INCOMPLETE: panic: out of range\n"} {
		if strings.Count(files["README.txt"], words) != 1 {
			t.Errorf("no %q in\n%s", words, files["README.txt"])
		}
	}
}

// TestNothingHoldsABundleUp: what heeds its context has the time to say so, what does not is left behind, and out of the bundles to come until
// it has ended.
func TestNothingHoldsABundleUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var made atomic.Int64
		d := newDesk(t,
			diagnostics.File{Name: "hangs.txt", Make: func(context.Context) ([]byte, error) { made.Add(1); <-release; return []byte("late"), nil }},
			diagnostics.File{Name: "heeds.txt", Make: func(ctx context.Context) ([]byte, error) {
				<-ctx.Done()
				return []byte("so far"), ctx.Err()
			}},
			text("whole.txt", "whole"),
		)
		for _, words := range []string{"INCOMPLETE: not made within 3s", "INCOMPLETE: it hangs since an earlier bundle"} {
			began := time.Now()
			files := d.bundle()
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
			if _, there := files["hangs.txt"]; there || files["heeds.txt"] != "so far" || files["whole.txt"] != "whole" {
				t.Errorf("%v", slices.Sorted(maps.Keys(files)))
			}
			if !strings.Contains(files["README.txt"], words) || !strings.Contains(files["README.txt"], "INCOMPLETE: context deadline exceeded") {
				t.Error(files["README.txt"])
			}
		}
		if n := made.Load(); n != 1 {
			t.Errorf("begun %d times", n)
		}
		close(release)
		synctest.Wait()
		if files := d.bundle(); files["hangs.txt"] != "late" {
			t.Errorf("after it has ended: %v", slices.Sorted(maps.Keys(files)))
		}
	})
}

// TestOneBundleAtATime: the second is refused, and does not wait.
func TestOneBundleAtATime(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	d := newDesk(t, diagnostics.File{Name: "slow.txt", Make: func(context.Context) ([]byte, error) {
		close(begun)
		<-release
		return []byte("slow"), nil
	}})
	first := make(chan map[string]string)
	go func() { first <- d.bundle() }()
	<-begun
	w := d.ask(authtest.Management(), "GET", diagnostics.RouteBundle, "")
	if w.Code != 503 || !strings.Contains(w.Body.String(), "another support bundle is being made") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	close(release)
	if files := <-first; files["slow.txt"] != "slow" {
		t.Errorf("%v", slices.Sorted(maps.Keys(files)))
	}
}

func TestTheBundleIsBounded(t *testing.T) {
	large := strings.Repeat("0123456789abcde\n", 2<<20) // 32 MiB
	files := newDesk(t, text("a.txt", large), text("b.txt", large), text("c.txt", "small"),
		text("one-line.txt", strings.Repeat("cc-root-0123456789abcdef", 1<<20))).bundle()
	sum := 0
	for _, name := range []string{"a.txt", "b.txt"} {
		text := files[name]
		sum += len(text)
		if !strings.HasPrefix(large, text[:len(text)-100]) || !strings.HasSuffix(text, "\n0123456789abcde\n(cut: it has 33554432 bytes)\n") {
			t.Errorf("%s ends %q", name, text[len(text)-100:])
		}
	}
	if files["one-line.txt"] != "(cut: it has 25165824 bytes)\n" {
		t.Errorf("one line ends %q", files["one-line.txt"][:100])
	}
	if files["c.txt"] != "small" || sum < 3<<20 {
		t.Errorf("%d bytes of the large ones, and %q", sum, files["c.txt"])
	}
}

// TestSecretsAreMasked: also where they stand within what others wrote, and nothing else is.
func TestSecretsAreMasked(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"setup token":      {`"setup_token":"cc-setup-20261122T000000Z-ABC234","x":1`, `"setup_token":"cc-setup-[left out]","x":1`},
		"management token": {`Bearer cc-root-0123456789abcdef-ABC234 refused`, `Bearer cc-root-[left out] refused`},
		"client token":     {`cc-client-0123456789abcdef-ABC234.`, `cc-client-[left out].`},
		"URL":              {`dial postgres://signer:hunter2@db:5432/x?sslmode=off`, `dial postgres://signer:[left out]@db:5432/x?sslmode=off`},
		"URL in JSON":      {`{"url":"https://a:hunter2@host/"}`, `{"url":"https://a:[left out]@host/"}`},
		"query":            {`db:5432/x?password=hunter2&sslmode=off`, `db:5432/x?password=[left out]&sslmode=off`},
		"keywords":         {`host=db user=signer password=hunter2 sslpassword=hunter3`, `host=db user=signer password=[left out] sslpassword=[left out]`},
		"field":            {`{"keystore_password": "a \"b\" c","n":1}`, `{"keystore_password": "[left out]","n":1}`},
		"mnemonic":         {`{"mnemonic":"abandon abandon about"}`, `{"mnemonic":"[left out]"}`},
		"address":          {`http://10.0.0.1:9000/a@b`, `http://10.0.0.1:9000/a@b`},
		"public key":       {`key 0xa99a76ed7796f7be22d5b7e8`, `key 0xa99a76ed7796f7be22d5b7e8`},
		"token id":         {`"caller":"management token 0123456789abcdef"`, `"caller":"management token 0123456789abcdef"`},
		"metric":           {`requests{route="token"} 1`, `requests{route="token"} 1`},
		"source":           {`"password_source":"kms"`, `"password_source":"kms"`},
		"program":          {`cc-root is a prefix`, `cc-root is a prefix`},
	} {
		t.Run(name, func(t *testing.T) {
			files := newDesk(t, text("log.jsonl", test.text),
				diagnostics.File{Name: "half.txt", Make: func(context.Context) ([]byte, error) { return nil, errors.New(test.text) }}).bundle()
			if files["log.jsonl"] != test.want {
				t.Errorf("%s\nwant %s", files["log.jsonl"], test.want)
			}
			if !strings.Contains(files["README.txt"], test.want) {
				t.Errorf("%s\nwant %s", files["README.txt"], test.want)
			}
		})
	}
}
