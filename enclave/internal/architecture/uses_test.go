package architecture

import (
	"go/ast"
	"regexp"
	"testing"
)

// reserved names, each with the packages that may use it outside tests, and why.
var reserved = []struct {
	pkg   string
	names *regexp.Regexp
	in    string   // where the rule holds
	only  []string // directories or files
	why   string
}{
	{
		"net", regexp.MustCompile(`^(Dial\w*|Lookup\w*|Resolve\w+Addr|Resolver|DefaultResolver)$`),
		"enclave",
		[]string{"enclave/internal/egress", "enclave/e2e"},
		"only egress dials, in an enclave by its route table",
	},
	{
		"net", regexp.MustCompile(`^Listen(TCP|UDP|Unix\w*|IP|Packet|MulticastUDP|Config)?$`),
		"enclave",
		[]string{"enclave/internal/app", "enclave/internal/slashing/dynamodb/dynamodbtest", "enclave/cmd/containment-chamber/connect_host.go", "enclave/e2e"},
		"only app opens listeners, and the proxy beside a client, which is in no enclave",
	},
	{
		home + "enclave/internal/egress", regexp.MustCompile(`^Direct$`),
		"enclave",
		[]string{"enclave/cmd/containment-chamber"},
		"an enclave has no way around the route table: its program cannot even name one",
	},
	{
		"crypto/tls", regexp.MustCompile(`^(Dial\w*|Listen)$`),
		"enclave",
		[]string{"enclave/e2e"},
		"only egress dials, by its route table, and only app opens listeners",
	},
	{
		"net/http", regexp.MustCompile(`^(Default\w*|Get|Post|PostForm|Head|Handle|HandleFunc|ListenAndServe\w*)$`),
		"enclave",
		[]string{"enclave/internal/egress", "enclave/e2e"},
		"the default client and mux are shared by the whole process; egress locks them",
	},
	{
		home + "enclave/internal/bls", regexp.MustCompile(`SecretKey`),
		"enclave",
		[]string{"enclave/internal/keystore", "enclave/internal/keygen", "enclave/e2e"},
		"only the keystore sees secret keys, and what makes new ones",
	},
	{
		"golang.org/x/sys/unix", regexp.MustCompile(`^(Connect|Sendto|SockaddrVM)$`),
		"",
		[]string{"enclave/cmd/chamber-init"},
		"a socket opened by system calls goes around the route table and the write cap; the init's heartbeat is one byte, before there are routes",
	},
	{
		"os", regexp.MustCompile(`^StartProcess$`),
		"",
		[]string{"enclave/cmd/chamber-init"},
		"nothing in an enclave image can be started but the one program that the init runs",
	},
	{
		"os", regexp.MustCompile(`^(Getenv|LookupEnv|Environ|ExpandEnv)$`),
		"enclave",
		[]string{"enclave/internal/config", "enclave/cmd/containment-chamber", "enclave/e2e"},
		"the environment is read once; in an enclave the parent could set it",
	},
	{
		"os", regexp.MustCompile(`^Exit$`),
		"",
		[]string{"enclave/cmd", "enclave/e2e", "parent/cmd"},
		"only main exits: an exit elsewhere skips the wiping of keys",
	},
}

func TestReservedNames(t *testing.T) {
	for _, s := range tree(t) {
		if s.test {
			continue
		}
		for _, rule := range reserved {
			name, imported := s.imports[rule.pkg]
			if !imported || rule.in != "" && !within(s.path, rule.in) || within(s.path, rule.only...) {
				continue
			}
			if name == "." {
				t.Errorf("%s imports %s without its name", s.path, rule.pkg)
			}
			ast.Inspect(s.ast, func(n ast.Node) bool {
				selector, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if of, ok := selector.X.(*ast.Ident); ok && of.Name == name && rule.names.MatchString(selector.Sel.Name) {
					t.Errorf("%s uses %s.%s: %s", s.position(selector.Pos()), name, selector.Sel.Name, rule.why)
				}
				return true
			})
		}
	}
}
