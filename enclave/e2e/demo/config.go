package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/template"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
)

//go:embed config.yaml.tmpl
var configTemplate string

// configure writes the configuration. A chamber runs with configurations that were approved in it, so that each has a chamber of its own here: its
// directory, which is not measured, is named after the digest.
func (w *world) configure(ctx context.Context) error {
	token, err := w.setupToken(ctx)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(w.path("kms", "ca.pem"))
	if err != nil {
		return fmt.Errorf("read the authority of the KMS stand-in: %w", err)
	}
	text, err := w.configuration(token, ca)
	if err != nil {
		return err
	}
	c, err := config.LoadBytes(text)
	if err != nil {
		return err
	}
	digest := c.Digest()
	w.chamber = w.path(fmt.Sprintf("chamber-%x", digest[:4]))
	if err := os.MkdirAll(w.importDir(), 0o700); err != nil {
		return fmt.Errorf("make the chamber's directory: %w", err)
	}
	if text, err = w.configuration(token, ca); err != nil {
		return err
	}
	if err := os.WriteFile(w.config, text, 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

func (w *world) configuration(token string, ca []byte) ([]byte, error) {
	t, err := template.New("config.yaml").Parse(configTemplate)
	if err != nil {
		return nil, fmt.Errorf("read the configuration template: %w", err)
	}
	var text bytes.Buffer
	err = t.Execute(&text, map[string]any{
		"Dir": w.dir, "Sockets": w.sockets, "Chamber": w.chamber, "Ports": w.ports, "Keys": rig.ShareKeys(),
		"CA": strings.Join(strings.Fields(string(ca)), " "), "SetupTokenSHA256": fmt.Sprintf("%x", sha256.Sum256([]byte(token))),
	})
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return text.Bytes(), nil
}

// setupToken is that of the first run: it is measured, so that another one would be another configuration.
func (w *world) setupToken(ctx context.Context) (string, error) {
	file := w.path("setup-token")
	text, err := os.ReadFile(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return string(text), err
	}
	var made rig.SetupToken
	if err := (rig.Operator{Binary: w.signer}).Run(ctx, &made, "setup-token", "--lifetime", "87600h"); err != nil {
		return "", fmt.Errorf("make a setup token: %w", err)
	}
	return made.Token, os.WriteFile(file, []byte(made.Token), 0o600)
}
