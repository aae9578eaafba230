//go:build linux

package faults

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
)

// agent stands for the one of EKS Pod Identity, from which signers of all worlds have their AWS credentials.
var agent *httptest.Server

// startAgent tells of the agent as EKS does.
func startAgent(dir string) error {
	agent = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":"session","Expiration":%q}`,
			dynamodbtest.KeyID, dynamodbtest.SecretKey, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
	}))
	token := filepath.Join(dir, "token")
	return errors.Join(os.WriteFile(token, []byte("token"), 0o600),
		os.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", fmt.Sprintf("http://localhost:%d/v1/credentials", agentPort())),
		os.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token))
}

func agentPort() int { return agent.Listener.Addr().(*net.TCPAddr).Port }

// agented stops the agent after the tests, before leaks are looked for.
type agented struct{ *testing.M }

func (a agented) Run() int {
	defer agent.Close()
	return a.M.Run()
}
