package app

import (
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

func TestOneLine(t *testing.T) {
	for text, good := range map[string]bool{"hush": true, "hush\n": false, "hush\r\n": false, "hu\nsh": false} {
		if err := oneLine(secret.New([]byte(text))); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAccessKey(t *testing.T) {
	for text, want := range map[string]string{"AKIATEST:hu:sh": "hu:sh", "AKIATEST": "", ":hush": "", "AKIATEST:": ""} {
		provider, err := accessKey(secret.New([]byte(text)))(t.Context(), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := provider.Retrieve(t.Context())
		if got.SecretAccessKey != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got.AccessKeyID, err)
		}
	}
}
