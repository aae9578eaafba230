package software_test

import (
	"bytes"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	hf "github.com/hf/nsm"
	"github.com/hf/nsm/request"
	"github.com/hf/nsm/response"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

const role = "arn:aws:iam::123456789012:role/signer"

// options are of an enclave in a fresh directory.
func options(t *testing.T) software.Options {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("the program"), 0o700); err != nil {
		t.Fatal(err)
	}
	return software.Options{Dir: filepath.Join(dir, "state"), Executable: program, RoleARN: role}
}

func open(t *testing.T, o software.Options) *software.Session {
	t.Helper()
	s, err := software.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t *testing.T, s *software.Session, r request.Request) response.Response {
	t.Helper()
	res, err := s.Send(r)
	if err != nil {
		t.Fatalf("%T: %v", r, err)
	}
	return res
}

func attest(t *testing.T, s *software.Session, r request.Attestation, now time.Time) *attestation.Document {
	t.Helper()
	res := send(t, s, &r)
	if res.Attestation == nil {
		t.Fatalf("attestation refused: %s", res.Error)
	}
	if n := len(res.Attestation.Document); n > 12288-64 {
		t.Errorf("document of %d bytes does not fit into an answer of 12288", n)
	}
	doc, err := attestation.Verify(res.Attestation.Document, attestation.Options{Roots: []*x509.Certificate{s.Root()}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// measure is the rule written out once more, independent of the code under test.
func measure(parts ...[]byte) (p attestation.PCR) {
	copy(p[:], digest(append(make([]byte, 48), bytes.Join(parts, nil)...)))
	return p
}

func digest(b []byte) []byte {
	d := sha512.Sum384(b)
	return d[:]
}

func TestDescribesItselfAsTheDevice(t *testing.T) {
	s := open(t, options(t))
	got := send(t, s, &request.DescribeNSM{}).DescribeNSM
	if !regexp.MustCompile(`^i-[0-9a-f]{17}-enc[0-9a-f]{16}$`).MatchString(got.ModuleID) {
		t.Errorf("module id %s", got.ModuleID)
	}
	want := &response.DescribeNSM{
		VersionMajor: 1, ModuleID: got.ModuleID, MaxPCRs: 32, Digest: "SHA384",
		LockedPCRs: []uint16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDocumentShowsWhatRuns(t *testing.T) {
	o := options(t)
	s := open(t, o)
	field := bytes.Repeat([]byte{7}, 1024)
	doc := attest(t, s, request.Attestation{UserData: field, Nonce: field, PublicKey: field}, time.Now())
	if !bytes.Equal(doc.UserData, field) || !bytes.Equal(doc.Nonce, field) || !bytes.Equal(doc.PublicKey, field) {
		t.Error("fields of 1024 bytes are not in the document")
	}
	image := measure(digest([]byte("the program")))
	boot := measure(digest([]byte("containment-chamber simulated boot")))
	instance, _, _ := strings.Cut(doc.ModuleID, "-enc")
	want := map[int]attestation.PCR{0: image, 1: boot, 2: image, 3: measure([]byte(role)), 4: measure([]byte(instance))}
	for i := 5; i < 16; i++ {
		want[i] = attestation.PCR{}
	}
	want[8] = measure(digest(s.Root().Raw))
	if diff := cmp.Diff(want, doc.PCRs); diff != "" {
		t.Error(diff)
	}
	computed, err := software.Measure(o.Executable)
	if diff := cmp.Diff(software.Measurements{PCR0: image, PCR1: boot, PCR2: image}, computed); err != nil || diff != "" {
		t.Errorf("Measure: %v\n%s", err, diff)
	}
	bare := attest(t, s, request.Attestation{}, time.Now())
	if bare.UserData != nil || bare.Nonce != nil || bare.PublicKey != nil {
		t.Error("absent fields are present")
	}

	o.RoleARN = ""
	if doc := attest(t, open(t, o), request.Attestation{}, time.Now()); !doc.PCRs[3].IsZero() {
		t.Errorf("PCR3 without a role = %s", doc.PCRs[3])
	}
}

func TestRegisterRules(t *testing.T) {
	s := open(t, options(t))
	data := []byte("configuration")
	once := measure(data)
	twice := attestation.PCR(digest(append(once[:], data...)))
	for i, c := range []struct {
		req  request.Request
		want response.Response
	}{
		{&request.ExtendPCR{Index: 0, Data: data}, response.Response{Error: "ReadOnlyIndex"}},
		{&request.ExtendPCR{Index: 15, Data: data}, response.Response{Error: "ReadOnlyIndex"}},
		{&request.LockPCR{Index: 3}, response.Response{Error: "ReadOnlyIndex"}},
		{&request.DescribePCR{Index: 32}, response.Response{Error: "InvalidIndex"}},
		{&request.ExtendPCR{Index: 32, Data: data}, response.Response{Error: "InvalidIndex"}},
		{&request.LockPCR{Index: 32}, response.Response{Error: "InvalidIndex"}},
		{&request.LockPCRs{Range: 33}, response.Response{Error: "InvalidIndex"}},
		{&request.DescribePCR{Index: 16}, response.Response{DescribePCR: &response.DescribePCR{Data: make([]byte, 48)}}},
		{&request.ExtendPCR{Index: 16, Data: data}, response.Response{ExtendPCR: &response.ExtendPCR{Data: once[:]}}},
		{&request.ExtendPCR{Index: 16, Data: data}, response.Response{ExtendPCR: &response.ExtendPCR{Data: twice[:]}}},
		{&request.LockPCR{Index: 16}, response.Response{LockPCR: &response.LockPCR{}}},
		{&request.LockPCR{Index: 16}, response.Response{Error: "ReadOnlyIndex"}},
		{&request.ExtendPCR{Index: 16, Data: data}, response.Response{Error: "ReadOnlyIndex"}},
		{&request.DescribePCR{Index: 16}, response.Response{DescribePCR: &response.DescribePCR{Lock: true, Data: twice[:]}}},
		{&request.ExtendPCR{Index: 17, Data: data}, response.Response{ExtendPCR: &response.ExtendPCR{Data: once[:]}}},
	} {
		if diff := cmp.Diff(c.want, send(t, s, c.req)); diff != "" {
			t.Errorf("step %d, %T: %s", i, c.req, diff)
		}
	}
	doc := attest(t, s, request.Attestation{}, time.Now())
	if _, ok := doc.PCRs[17]; len(doc.PCRs) != 17 || ok || doc.PCRs[16] != twice {
		t.Errorf("document has %d registers, PCR16 %s; want 0 to 16 with %s", len(doc.PCRs), doc.PCRs[16], twice)
	}
	if res := send(t, s, &request.LockPCRs{Range: 18}); res.LockPCRs == nil {
		t.Errorf("LockPCRs = %+v", res)
	}
	if doc := attest(t, s, request.Attestation{}, time.Now()); doc.PCRs[17] != once {
		t.Errorf("PCR17 = %s after its lock, want %s", doc.PCRs[17], once)
	}
}

func TestLimits(t *testing.T) {
	s := open(t, options(t))
	long := make([]byte, 1025)
	for _, r := range []*request.Attestation{{UserData: long}, {Nonce: long}, {PublicKey: long}} {
		if res := send(t, s, r); res.Error != "InputTooLarge" {
			t.Errorf("field of 1025 bytes: %+v", res)
		}
	}
	_, err := s.Send(&request.ExtendPCR{Index: 16, Data: make([]byte, 4096)})
	if failed, ok := errors.AsType[*hf.ErrorIoctlFailed](err); !ok || failed.Errno != syscall.EMSGSIZE {
		t.Errorf("request above 4096 bytes = %v, want EMSGSIZE as of the driver", err)
	}
	if res := send(t, s, unknown{}); res.Error != "InvalidOperation" {
		t.Errorf("unknown request: %+v", res)
	}
	a, b := send(t, s, &request.GetRandom{}).GetRandom.Random, send(t, s, &request.GetRandom{}).GetRandom.Random
	if len(a) != 256 || bytes.Equal(a, b) {
		t.Errorf("GetRandom gave %d bytes, twice the same: %t", len(a), bytes.Equal(a, b))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(&request.GetRandom{}); !errors.Is(err, hf.ErrSessionClosed) {
		t.Errorf("after Close: %v", err)
	}
}

type unknown struct{}

func (unknown) Encoded() any { return "Unknown" }

// TestLeafIsRenewed: the signing certificate lives for 3 h, and is replaced 15 minutes before its end.
func TestLeafIsRenewed(t *testing.T) {
	start := time.Now()
	now := start
	o := options(t)
	o.Now = func() time.Time { return now }
	s := open(t, o)
	first := attest(t, s, request.Attestation{}, now)
	if left := first.NotAfter.Sub(now); left < 3*time.Hour-2*time.Second || left > 3*time.Hour {
		t.Errorf("new document is good for %s, want 3h", left)
	}
	now = start.Add(2*time.Hour + 44*time.Minute)
	if doc := attest(t, s, request.Attestation{}, now); !doc.NotAfter.Equal(first.NotAfter) {
		t.Error("certificate was replaced 16 minutes before its end")
	}
	now = start.Add(2*time.Hour + 46*time.Minute)
	if doc := attest(t, s, request.Attestation{}, now); !doc.NotAfter.After(first.NotAfter) {
		t.Error("certificate was not replaced 14 minutes before its end")
	}
}

func TestRootIsMadeOnceAndKept(t *testing.T) {
	o := options(t)
	first, second := open(t, o), open(t, o)
	if !first.Root().Equal(second.Root()) {
		t.Error("second start has another root")
	}
	a, b := send(t, first, &request.DescribeNSM{}).DescribeNSM.ModuleID, send(t, second, &request.DescribeNSM{}).DescribeNSM.ModuleID
	if a == b || a[:19] != b[:19] {
		t.Errorf("module ids %s and %s: want the same instance and another enclave", a, b)
	}
	for path, want := range map[string]os.FileMode{
		o.Dir: 0o700 | os.ModeDir, software.RootFile(o.Dir): 0o600, filepath.Join(o.Dir, "root.key"): 0o600,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want mode %v", path, info, err, want)
		}
	}
	pem, err := os.ReadFile(software.RootFile(o.Dir))
	if err != nil {
		t.Fatal(err)
	}
	if root, err := attestation.ParseRoot(pem); err != nil || !root.Equal(first.Root()) {
		t.Errorf("root.pem is not the root: %v", err)
	}
	if entries, err := os.ReadDir(o.Dir); err != nil || len(entries) != 2 {
		t.Errorf("%d files in the directory, %v; want 2", len(entries), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*testing.T, *software.Options)
		want  string
	}{
		"no directory":  {func(_ *testing.T, o *software.Options) { o.Dir = "" }, "no directory for the development root"},
		"no executable": {func(_ *testing.T, o *software.Options) { o.Executable += "-not" }, "measure executable: open "},
		"file in the way": {func(t *testing.T, o *software.Options) {
			o.Dir = o.Executable
		}, "not a directory"},
		"certificate lost": {func(t *testing.T, o *software.Options) {
			open(t, *o)
			if err := os.Remove(software.RootFile(o.Dir)); err != nil {
				t.Fatal(err)
			}
		}, "root.key to have a new one made"},
		"another root's key": {func(t *testing.T, o *software.Options) {
			open(t, *o)
			other := options(t)
			open(t, other)
			if err := os.Rename(filepath.Join(other.Dir, "root.key"), filepath.Join(o.Dir, "root.key")); err != nil {
				t.Fatal(err)
			}
		}, "does not belong to the root certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			c.spoil(t, &o)
			s, err := software.Open(o)
			if s != nil || err == nil || !strings.HasPrefix(err.Error(), "software NSM: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open = %v, want %q", err, c.want)
			}
		})
	}
}
