package terraform_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
)

// shared is the server of all tests.
var shared *dynamodbtest.Server

// onward is how guards reach it.
var onward = &http.Transport{MaxIdleConnsPerHost: 100}

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() { // a server is a service
		return
	}
	var err error
	if shared, err = dynamodbtest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "a DynamoDB server for the tests:", err)
		os.Exit(1)
	}
	code := m.Run()
	onward.CloseIdleConnections()
	shared.Stop()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// rendered reads an output of a Terraform module into value: sh scripts/terraform-test.sh compares the file with what the module renders now.
func rendered(t *testing.T, file, output string, value any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "terraform", file+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var outputs map[string]struct{ Value json.RawMessage }
	if err := json.Unmarshal(text, &outputs); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if err := json.Unmarshal(outputs[output].Value, value); err != nil {
		t.Fatalf("%s: output %s: %v", file, output, err)
	}
}
