// Package pgurl reads the URLs of PostgreSQL servers, and nothing but them: no environment and no file changes what one says.
package pgurl

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Target is what a URL says. Its String has no password.
type Target struct {
	Host     string // name, IP address, or the directory of a unix socket
	Port     uint16
	User     string
	Database string
	SSLMode  string // disable, require, verify-ca or verify-full
	password string
}

// Unix says that the server is on this machine, behind a unix socket.
func (t Target) Unix() bool { return strings.HasPrefix(t.Host, "/") }

// Weak says that the connection does not verify whose server it is. That of a unix socket is the machine's own.
func (t Target) Weak() bool { return t.Host != "" && !t.Unix() && t.SSLMode != "verify-full" }

// Address is host:port.
func (t Target) Address() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }

// Password is the one in the URL, "" if there is none.
func (t Target) Password() string { return t.password }

func (t Target) String() string {
	where := t.Address()
	if t.Unix() {
		where = t.Host
	}
	return fmt.Sprintf("%s on %s as %s", t.Database, where, t.User)
}

// Parse reads postgres://user:password@host:port/database with the parameters host (the directory of a unix socket), password
// and sslmode. Without sslmode it is verify-full, and disable on a unix socket, which has no TLS. Nothing else is taken from
// anywhere: no environment variable, password file or service file. Errors never repeat the text, which may hold a password.
func Parse(text string) (Target, error) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return Target{}, errors.New("want postgres://user@host:port/database")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Target{}, errors.New("the parameters after ? cannot be read")
	}
	t := Target{Host: u.Hostname(), Port: 5432, User: u.User.Username(), Database: strings.TrimPrefix(u.Path, "/")}
	t.password, _ = u.User.Password()
	for name, values := range query {
		if err := t.set(name, values[0]); err != nil {
			return Target{}, err
		}
		if len(values) > 1 {
			return Target{}, fmt.Errorf("parameter %q stands there twice", name)
		}
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Target{}, errors.New("want a port from 1 to 65535")
		}
		t.Port = uint16(n)
	}
	return t.checked()
}

func (t *Target) set(name, value string) error {
	switch name {
	case "sslmode":
		t.SSLMode = value
	case "password":
		t.password = value
	case "host":
		if !strings.HasPrefix(value, "/") || t.Host != "" {
			return errors.New("parameter host is for the directory of a unix socket, with no other host")
		}
		t.Host = value
	default:
		return errors.New("unknown parameter, want host, password or sslmode") // its name may be what follows a & or ? in a password
	}
	return nil
}

func (t Target) checked() (Target, error) {
	if t.SSLMode == "" {
		t.SSLMode = "verify-full"
		if t.Unix() {
			t.SSLMode = "disable"
		}
	}
	switch {
	case t.Host == "" || strings.ContainsAny(t.Host, ",\x00"):
		return Target{}, errors.New("want exactly one host")
	case t.User == "":
		return Target{}, errors.New("want a user")
	case t.Database == "" || strings.Contains(t.Database, "/"):
		return Target{}, errors.New("want a database after the host")
	case t.Unix() && t.SSLMode != "disable":
		return Target{}, errors.New("a unix socket has no TLS; leave sslmode away")
	}
	switch t.SSLMode {
	case "disable", "require", "verify-ca", "verify-full":
		return t, nil
	case "allow", "prefer":
		return Target{}, fmt.Errorf("sslmode %s would use TLS or not, as the server likes; want verify-full, or a weaker mode that keeps its word: verify-ca, require, disable", t.SSLMode)
	}
	return Target{}, errors.New("want sslmode verify-full, verify-ca, require or disable")
}
