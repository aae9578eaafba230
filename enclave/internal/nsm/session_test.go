package nsm

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	hf "github.com/hf/nsm"
	"github.com/hf/nsm/request"
	"github.com/hf/nsm/response"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

func TestOpenWithoutDeviceNamesWhatToCheck(t *testing.T) {
	s, err := open(hf.Options{Open: func() (hf.FileDescriptor, error) { return os.Open("testdata/no-such-device") }})
	if s != nil || !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "NSM initialization failed") {
		t.Fatalf("open = %v, %v", s, err)
	}
	for _, want := range []string{"/dev/nsm", "enclave", "launch template", "EnclaveOptions", "device plugin", "resource limits"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %q: %v", want, err)
		}
	}
	if _, err := os.Stat("/dev/nsm"); errors.Is(err, fs.ErrNotExist) {
		if _, err := Open(); err == nil || !strings.HasPrefix(err.Error(), "NSM initialization failed: open /dev/nsm: ") {
			t.Errorf("Open = %v", err)
		}
	}
}

// device is the ioctl of a security module: it notes the request's bytes and gives back what it was told to.
type device struct {
	request string // hexadecimal
	answer  []byte
	errno   syscall.Errno
}

func (d *device) Fd() uintptr  { return 42 }
func (d *device) Close() error { return nil }

func (d *device) ioctl(trap, fd, command, arg uintptr) (uintptr, uintptr, syscall.Errno) {
	if trap != syscall.SYS_IOCTL || fd != 42 || command != 0xc0200a00 { // _IOWR(0x0A, 0, two iovecs)
		return 0, 0, syscall.ENOTTY
	}
	if d.errno != 0 {
		return 0, 0, d.errno
	}
	msg := *(**[2]syscall.Iovec)(unsafe.Pointer(&arg))
	d.request = hex.EncodeToString(unsafe.Slice(msg[0].Base, msg[0].Len))
	n := copy(unsafe.Slice(msg[1].Base, msg[1].Len), d.answer)
	msg[1].SetLen(n)
	return 0, 0, 0
}

// grow makes the stack large enough that it does not move during an ioctl, whose argument is a bare address on it.
//
//go:noinline
func grow(n int) byte {
	var room [32 << 10]byte
	room[n] = 1
	return room[n/2]
}

// TestWire sends each request through the real client and compares the bytes that the kernel would see and the answer
// that a device gave, in the encoding of the AWS library (serde): a unit is a text, all else a map of one entry.
func TestWire(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection may shrink the stack, see grow
	digest := strings.Repeat("ab", attestation.PCRSize)
	for _, c := range []struct {
		req     request.Request
		request string
		answer  string
		want    response.Response
	}{
		{
			&request.GetRandom{}, "69" + text("GetRandom"), "a1" + "69" + text("GetRandom") + "a1" + "66" + text("random") + "420102",
			response.Response{GetRandom: &response.GetRandom{Random: []byte{1, 2}}},
		},
		{
			&request.DescribePCR{Index: 16}, "a1" + "6b" + text("DescribePCR") + "a1" + "65" + text("index") + "10",
			"a1" + "6b" + text("DescribePCR") + "a2" + "64" + text("lock") + "f5" + "64" + text("data") + "5830" + digest,
			response.Response{DescribePCR: &response.DescribePCR{Lock: true, Data: unhex(t, digest)}},
		},
		{
			&request.ExtendPCR{Index: 0, Data: []byte{9}}, "a1" + "69" + text("ExtendPCR") + "a2" + "65" + text("index") + "00" + "64" + text("data") + "4109",
			"a1" + "65" + text("Error") + "6d" + text("ReadOnlyIndex"),
			response.Response{Error: response.ECReadOnlyIndex},
		},
		{
			&request.LockPCR{Index: 16}, "a1" + "67" + text("LockPCR") + "a1" + "65" + text("index") + "10", "67" + text("LockPCR"),
			response.Response{LockPCR: &response.LockPCR{}},
		},
		{
			&request.Attestation{UserData: []byte{7}}, "a1" + "6b" + text("Attestation") + "a3" + "69" + text("user_data") + "4107" +
				"65" + text("nonce") + "f6" + "6a" + text("public_key") + "f6",
			"a1" + "6b" + text("Attestation") + "a1" + "68" + text("document") + "43848586",
			response.Response{Attestation: &response.Attestation{Document: []byte{0x84, 0x85, 0x86}}},
		},
	} {
		dev := &device{answer: unhex(t, c.answer)}
		s, err := open(hf.Options{Open: func() (hf.FileDescriptor, error) { return dev, nil }, Syscall: dev.ioctl})
		if err != nil {
			t.Fatal(err)
		}
		_ = grow(1)
		got, err := s.Send(c.req)
		if err != nil || dev.request != c.request {
			t.Errorf("%T: %v, device saw\n%s, want\n%s", c.req, err, dev.request, c.request)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%T: %s", c.req, diff)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestIoctlFailureIsAnError(t *testing.T) {
	dev := &device{errno: syscall.EPERM}
	s, err := open(hf.Options{Open: func() (hf.FileDescriptor, error) { return dev, nil }, Syscall: dev.ioctl})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Send(&request.GetRandom{})
	if failed, ok := errors.AsType[*hf.ErrorIoctlFailed](err); !ok || failed.Errno != syscall.EPERM {
		t.Errorf("Send = %v, want EPERM", err)
	}
}

func text(s string) string { return hex.EncodeToString([]byte(s)) }

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
