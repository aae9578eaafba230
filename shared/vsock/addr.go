package vsock

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Addr is the address of one listener. It has one of three forms:
//
//	vsock://CID:PORT          AF_VSOCK
//	unix:///DIR/PORT.sock     a unix socket that stands for one port
//	unix:///DIR/NAME:PORT     a hypervisor's hybrid socket: one file for all ports, reached by "CONNECT PORT\n"
type Addr struct {
	CID  uint32 // context identifier; 0 in the unix forms
	Port uint32
	// Path is empty in the vsock form, the directory in the second, the socket file in the third.
	Path   string
	Hybrid bool // the third form
}

// Unix reports whether the address is of one of the unix forms.
func (a Addr) Unix() bool { return a.Path != "" }

// Network names the transport, as in [net.Addr].
func (a Addr) Network() string {
	if a.Unix() {
		return "unix"
	}
	return "vsock"
}

// String gives the form that [ParseAddr] reads.
func (a Addr) String() string {
	switch {
	case a.Hybrid:
		return fmt.Sprintf("unix://%s:%d", a.Path, a.Port)
	case a.Unix():
		return "unix://" + filepath.Join(a.Path, SocketName(a.Port))
	}
	return fmt.Sprintf("vsock://%d:%d", a.CID, a.Port)
}

// SocketName is the file name of the unix socket that stands for a port.
func SocketName(port uint32) string {
	return strconv.FormatUint(uint64(port), 10) + ".sock"
}

// ParseAddr reads an address in one of the forms of [Addr]. What it accepts, String gives back
// letter for letter: one listener has one name.
func ParseAddr(s string) (Addr, error) {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		return Addr{}, fmt.Errorf("address %q: want vsock://CID:PORT or unix:///DIR/PORT.sock", s)
	}
	switch scheme {
	case "vsock":
		return parseKernel(s, rest)
	case "unix":
		return parseUnix(s, rest)
	}
	return Addr{}, fmt.Errorf("address %q: unknown scheme %q, want vsock or unix", s, scheme)
}

func parseKernel(s, rest string) (Addr, error) {
	cid, port, found := strings.Cut(rest, ":")
	if !found {
		return Addr{}, fmt.Errorf("address %q: no port, want vsock://CID:PORT", s)
	}
	c, err := strconv.ParseUint(cid, 10, 32)
	if err != nil || strconv.FormatUint(c, 10) != cid {
		return Addr{}, fmt.Errorf("address %q: context identifier %q is not a number below 2^32", s, cid)
	}
	p, err := parsePort(s, port)
	if err != nil {
		return Addr{}, err
	}
	return Addr{CID: uint32(c), Port: p}, nil
}

func parseUnix(s, path string) (Addr, error) {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return Addr{}, fmt.Errorf("address %q: path %q is not absolute and clean", s, path)
	}
	dir, name := filepath.Split(path)
	if file, port, found := strings.Cut(name, ":"); found {
		p, err := parsePort(s, port)
		if err != nil {
			return Addr{}, err
		}
		if file == "" || file == "." || file == ".." {
			return Addr{}, fmt.Errorf("address %q: no socket file before the port", s)
		}
		return Addr{Path: dir + file, Port: p, Hybrid: true}, nil
	}
	port, found := strings.CutSuffix(name, ".sock")
	if !found {
		return Addr{}, fmt.Errorf("address %q: file %q is neither PORT.sock nor NAME:PORT", s, name)
	}
	p, err := parsePort(s, port)
	if err != nil {
		return Addr{}, err
	}
	return Addr{Path: filepath.Clean(dir), Port: p}, nil
}

func parsePort(s, port string) (uint32, error) {
	p, err := strconv.ParseUint(port, 10, 32)
	if err != nil || p == 0 || strconv.FormatUint(p, 10) != port {
		return 0, fmt.Errorf("address %q: port %q is not a number from 1 to 2^32-1", s, port)
	}
	return uint32(p), nil
}
