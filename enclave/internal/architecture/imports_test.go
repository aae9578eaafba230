package architecture

import (
	"strings"
	"testing"
)

// forbidden imports, each with where it is forbidden and why.
var forbidden = []struct {
	imported string // this package and all below it
	in       []string
	except   []string
	tests    bool // in tests too
	why      string
}{
	{
		home + "enclave",
		[]string{"parent", "shared"},
		nil, true, "the parent is not trusted with the enclave's code, and shared is what both sides see",
	},
	{
		home + "parent",
		[]string{"enclave", "shared"},
		nil, true, "what runs in the enclave does not depend on the code of the untrusted side",
	},
	{
		"testing",
		[]string{"enclave", "parent", "shared"},
		[]string{"enclave/internal/slashing/storetest", "enclave/internal/store/storetest"},
		false, "production code does not know that it is tested",
	},
	{
		"go.uber.org/zap", []string{
			"enclave/internal/eth2", "enclave/internal/bls", "enclave/internal/slashing", "enclave/internal/secret",
			"enclave/internal/problem",
		}, nil, false, "libraries return errors; their callers log",
	},
	{
		"github.com/prometheus", []string{
			"enclave/internal/eth2", "enclave/internal/bls", "enclave/internal/slashing", "enclave/internal/secret",
			"enclave/internal/problem",
		}, nil, false, "libraries return counts; their callers export them",
	},
	{
		"github.com/supranational/blst",
		[]string{"enclave"},
		[]string{"enclave/internal/bls"},
		false, "one package parses, uses and wipes what the curve library holds",
	},
	{
		"github.com/hf/nsm",
		[]string{"enclave", "parent", "shared"},
		[]string{"enclave/internal/nsm", "enclave/e2e/nsm/guest"},
		true, "one goroutine owns the security module",
	},
	{
		"github.com/mdlayher/vsock",
		[]string{"enclave", "parent", "shared"},
		[]string{"shared/vsock"},
		true, "a socket opened elsewhere goes around the write cap",
	},
	{
		"os/exec",
		[]string{"enclave", "parent", "shared"},
		[]string{"enclave/e2e", "enclave/internal/slashing/postgres/postgrestest", "enclave/internal/slashing/dynamodb/dynamodbtest"},
		false, "nothing in an enclave image can be started, and the parent has no reason to",
	},
	{
		"unsafe",
		[]string{"enclave", "parent", "shared"},
		[]string{"enclave/internal/bls"},
		false, "memory that holds keys is not guessed at; package bls calls C",
	},
	{
		"net/http/pprof",
		[]string{"enclave", "parent", "shared"},
		nil, false, "a memory profile of the signer holds what the signer holds",
	},
	{
		"expvar",
		[]string{"enclave", "parent", "shared"},
		nil, false, "it registers itself on the default mux, with the command line",
	},
}

func TestForbiddenImports(t *testing.T) {
	for _, s := range tree(t) {
		for imported := range s.imports {
			for _, rule := range forbidden {
				if within(imported, rule.imported) && within(s.dir, rule.in...) && !within(s.dir, rule.except...) && (rule.tests || !s.test) {
					t.Errorf("%s imports %s: %s", s.path, imported, rule.why)
				}
			}
		}
	}
}

// sharedImports is what other people's clients get with our verifier.
var sharedImports = []string{
	"golang.org/x/sys", "github.com/mdlayher/vsock", "github.com/fxamacker/cbor/v2", home + "shared",
}

// sharedTestImports are allowed in tests beside them.
var sharedTestImports = []string{"github.com/google/go-cmp", "go.uber.org/goleak", "golang.org/x/net/nettest"}

func TestSharedImportsLittle(t *testing.T) {
	for _, s := range tree(t) {
		if !within(s.dir, "shared") {
			continue
		}
		for imported := range s.imports {
			if standard(imported) || within(imported, sharedImports...) || s.test && within(imported, sharedTestImports...) {
				continue
			}
			t.Errorf("%s imports %s: shared is linked into both sides and into other people's clients", s.path, imported)
		}
	}
}

// A room is a folder below enclave/internal or parent/internal. A library is a room that everyone may enter.
var libraries = []string{
	"enclave/internal/eth2", "enclave/internal/bls", "enclave/internal/problem", "enclave/internal/secret",
	"enclave/internal/pgurl", "enclave/internal/pgpool", "enclave/internal/awshttp", "enclave/internal/dynamoclient",
	"parent/internal/lines", "parent/internal/logging", "parent/internal/streak", "parent/internal/supervisor", "parent/internal/accept",
}

// composers put rooms together.
var composers = []string{"enclave/internal/app", "enclave/cmd", "enclave/e2e", "parent/cmd"}

// doors lead from one room into another. There are no others.
var doors = []struct{ from, to, why string }{
	{"enclave/internal/signing", "enclave/internal/auth", "a request is signed for a Grant only"},
	{"enclave/internal/signing", "enclave/internal/keystore", "the key is found before anything is written"},
	{"enclave/internal/signing", "enclave/internal/slashing", "the Permit comes before the signature"},
	{"enclave/internal/keystore", "enclave/internal/slashing", "a key signs for a Permit only"},
	{"enclave/internal/keystore", "enclave/internal/keygen", "new keys are stored before anybody hears of them"},
	{"enclave/internal/keystore", "enclave/internal/store", "stored keys are read where ciphertext is kept"},
	{"enclave/internal/chamber", "enclave/internal/store", "the wrapped master key outlives the process there"},
	{"enclave/internal/chamber", "enclave/internal/kms", "KMS opens the shares of the master key"},
	{"enclave/internal/chamber", "enclave/internal/shamir", "the master key is in shares while it is not in memory"},
	{"enclave/internal/api", "enclave/internal/store", "a backup holds what is stored as it is, and a conflict there is one here"},
	{"enclave/internal/api", "enclave/internal/chamber", "operators open and close it"},
	{"enclave/internal/api", "enclave/internal/auth", "the caller is known at the door"},
	{"enclave/internal/api", "enclave/internal/keygen", "deposit data goes out as it was signed"},
	{"enclave/internal/config", "enclave/internal/keygen", "a recipient that is none is refused with the rest of the file"},
	{"enclave/internal/api", "enclave/internal/slashing", "operators see and move what is on record; permits have no door there"},
	{"enclave/internal/connect", "enclave/internal/api", "the proxy beside a client takes requests in as the signer does"},
	{"enclave/internal/certs", "enclave/internal/nsm", "a certificate is made around a document, which has a type"},
	{"parent/internal/egress", "parent/internal/forward", "bytes are moved in one place"},
	{"parent/internal/egress", "parent/internal/resolve", "a route leads where its host's name leads now"},
	{"parent/internal/ingress", "parent/internal/forward", "bytes are moved in one place"},
}

func TestRoomsKeepToTheirDoors(t *testing.T) {
	used := map[int]bool{}
	for _, s := range tree(t) {
		from := room(s.dir)
		if s.test || from == "" || within(s.dir, composers...) {
			continue
		}
		for imported := range s.imports {
			to := room(strings.TrimPrefix(imported, home))
			if to == "" || to == from || within(to, libraries...) {
				continue
			}
			door := find(from, to)
			if door < 0 {
				t.Errorf("%s imports %s: no door leads from %s to %s", s.path, imported, from, to)
			}
			used[door] = true
		}
	}
	for i, door := range doors {
		if !used[i] {
			t.Errorf("nobody uses the door from %s to %s: close it", door.from, door.to)
		}
	}
}

func find(from, to string) int {
	for i, door := range doors {
		if door.from == from && door.to == to {
			return i
		}
	}
	return -1
}

// room is the room that a package lies in, "" if in none.
func room(dir string) string {
	for _, house := range []string{"enclave/internal/", "parent/internal/"} {
		if rest, ok := strings.CutPrefix(dir, house); ok {
			name, _, _ := strings.Cut(rest, "/")
			return house + name
		}
	}
	return ""
}
