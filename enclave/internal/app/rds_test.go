package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

const rdsRegion = "eu-central-1"

func rdsCredentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "canary-hush", SessionToken: "session"}
}

// rdsFront is what RDS has before a PostgreSQL server: it asks for the token as a password in clear, over TLS, and checks it as AWS
// does. Behind it the connection is the superuser's.
type rdsFront struct {
	net.Listener

	behind *postgrestest.Server
	cert   tls.Certificate
	work   sync.WaitGroup

	mu     sync.Mutex
	tokens int
}

func newRDSFront(t *testing.T, behind *postgrestest.Server) *rdsFront {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(filepath.Join(behind.SocketDir(), "cert"), filepath.Join(behind.SocketDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &rdsFront{Listener: l, behind: behind, cert: cert}
	f.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.work.Go(func() {
				defer c.Close()
				if err := f.serve(c); err != nil && !errors.Is(err, io.EOF) {
					t.Logf("front: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		f.work.Wait()
	})
	return f
}

func (f *rdsFront) serve(c net.Conn) error {
	client := pgproto3.NewBackend(c, c)
	if m, err := client.ReceiveStartupMessage(); err != nil {
		return err
	} else if _, ok := m.(*pgproto3.SSLRequest); !ok {
		return errors.New("no TLS was asked for")
	}
	if _, err := c.Write([]byte("S")); err != nil {
		return err
	}
	secured := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{f.cert}, MinVersion: tls.VersionTLS12})
	defer secured.Close()
	client = pgproto3.NewBackend(secured, secured)
	first, err := client.ReceiveStartupMessage()
	if err != nil {
		return err
	}
	startup, ok := first.(*pgproto3.StartupMessage)
	if !ok {
		return fmt.Errorf("a %T", first)
	}
	client.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := errors.Join(client.Flush(), client.SetAuthType(pgproto3.AuthTypeCleartextPassword)); err != nil {
		return err
	}
	answer, err := client.Receive()
	if err != nil {
		return err
	}
	password, ok := answer.(*pgproto3.PasswordMessage)
	if !ok {
		return fmt.Errorf("a %T", answer)
	}
	if err := f.check(password.Password, startup.Parameters["user"]); err != nil {
		client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28000", Message: "PAM authentication failed: " + err.Error()})
		return errors.Join(err, client.Flush())
	}
	startup.Parameters["user"] = "admin"
	return f.relay(secured, startup)
}

// check signs what the token says itself, with the credentials that AWS knows, and compares.
func (f *rdsFront) check(token, user string) error {
	u, err := url.Parse("https://" + token)
	if err != nil {
		return err
	}
	q := u.Query()
	at, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
	if err != nil || q.Get("DBUser") != user || q.Get("Action") != "connect" || q.Get("X-Amz-Expires") != "900" || u.Host != strings.Replace(f.Addr().String(), "127.0.0.1", "localhost", 1) {
		return errors.New("not a token for this user and server")
	}
	if time.Since(at).Abs() > 15*time.Minute {
		return errors.New("expired")
	}
	bare := url.Values{"Action": {"connect"}, "DBUser": {user}, "X-Amz-Expires": {"900"}}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+u.Host+"/?"+bare.Encode(), nil)
	if err != nil {
		return err
	}
	r.URL.Path = u.Path
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of nothing
	want, _, err := v4.NewSigner().PresignHTTP(context.Background(), rdsCredentials(), r, empty, "rds-db", rdsRegion, at)
	if err != nil {
		return err
	}
	expected, err := url.Parse(want)
	if err != nil || expected.Query().Get("X-Amz-Signature") != q.Get("X-Amz-Signature") {
		return errors.New("another signature")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens++
	return nil
}

func (f *rdsFront) relay(client net.Conn, startup *pgproto3.StartupMessage) error {
	server, err := new(net.Dialer).DialContext(context.Background(), "unix", fmt.Sprintf("%s/.s.PGSQL.%d", f.behind.SocketDir(), f.behind.Port()))
	if err != nil {
		return err
	}
	defer server.Close()
	text, err := startup.Encode(nil)
	if err != nil {
		return err
	}
	if _, err := server.Write(text); err != nil {
		return err
	}
	var back sync.WaitGroup
	defer back.Wait()
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	_, err = io.Copy(server, client)
	return errors.Join(err, server.Close())
}

// TestRDSTokens: with password_source rds_iam each connection gets a token that AWS takes, and one for another region is refused.
func TestRDSTokens(t *testing.T) {
	if testing.Short() { // it needs a database
		return
	}
	server, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	database, _, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	front := newRDSFront(t, server)
	_, port, _ := net.SplitHostPort(front.Addr().String())
	// Certificates have names, and the token is for an address: the name is looked up by the dialer.
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, strings.Replace(address, "localhost", "127.0.0.1", 1))
	}
	c := config.AntiSlashing{
		URL: "postgres://signer@localhost:" + port + "/" + database, CAPEM: string(server.CAPEM()), PasswordSource: "rds_iam", Region: rdsRegion,
		PoolSize: 2, WriteTimeout: 5 * time.Second,
	}
	found := func(context.Context, string, egress.DialFunc) (aws.CredentialsProvider, error) {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return rdsCredentials(), nil }), nil
	}
	store, err := Postgres(found)(t.Context(), c, dial)
	if err != nil {
		t.Fatal(err)
	}
	vote := slashing.Block{Slot: 3}
	outcomes, err := store.Advance(t.Context(), []slashing.Claim{{Key: bls.PublicKey{1}, Vote: vote}})
	if err != nil || !outcomes[0].Permits(vote) {
		t.Errorf("%+v, %v", outcomes, err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	front.mu.Lock()
	if front.tokens < 2 {
		t.Errorf("%d tokens were taken, want one for each connection", front.tokens)
	}
	front.mu.Unlock()

	c.Region = "eu-west-1"
	if _, err := Postgres(found)(t.Context(), c, dial); err == nil || !strings.Contains(err.Error(), "another signature") || strings.Contains(err.Error(), "hush") {
		t.Errorf("token for another region: %v", err)
	}
	if _, err := Postgres(NoCredentials)(t.Context(), c, dial); err == nil || !strings.Contains(err.Error(), "anti_slashing.password_source: this binary has no source") {
		t.Errorf("without credentials: %v", err)
	}
}
