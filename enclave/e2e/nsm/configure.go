package main

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	_ "embed"
	"fmt"
	"os"
	"strings"
	"text/template"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

const (
	stateTable   = "containment-state"
	keyTable     = "containment-keys"
	databaseRole = "enclave"
	tablePrefix  = "arn:aws:dynamodb:" + rig.Region + ":111122223333:table/"
)

//go:embed config.yaml.tmpl
var configTemplate string

func (w *world) configFile() string { return w.path("config.yaml") }

// configure writes the configuration, and returns what PCR16 is of an enclave that has it.
func (w *world) configure(setupToken string) (*config.Config, attestation.PCR, error) {
	t, err := template.New("config.yaml").Parse(configTemplate)
	if err != nil {
		return nil, attestation.PCR{}, err
	}
	var text strings.Builder
	err = t.Execute(&text, map[string]any{
		"Ports": w.ports, "CID": enclaveCID, "Role": rig.KMSRole, "KMS": kmsHost, "STS": stsHost, "Tables": tablesHost,
		"KMSVsock": vsockKMS, "STSVsock": vsockSTS, "TablesVsock": vsockTables, "DatabaseVsock": vsockDatabase,
		"Keys": rig.ShareKeys(), "PasswordKey": rig.SealingKey, "Sealed": w.sealed,
		"SetupTokenSHA256": fmt.Sprintf("%x", sha256.Sum256([]byte(setupToken))),
		"StateTable":       tablePrefix + stateTable, "KeyTable": tablePrefix + keyTable,
		"DatabaseRole": databaseRole, "DatabasePort": w.database.Port(), "DatabaseCA": strings.Join(strings.Fields(string(w.database.CAPEM())), " "),
	})
	if err != nil {
		return nil, attestation.PCR{}, err
	}
	c, err := config.LoadBytes([]byte(text.String()))
	if err != nil {
		return nil, attestation.PCR{}, err
	}
	digest := c.Digest()
	told := attestation.PCR(sha512.Sum384(append(make([]byte, sha512.Size384), digest[:]...)))
	return c, told, os.WriteFile(w.configFile(), []byte(text.String()), 0o600)
}

// sealPassword encrypts the database's password as an operator does, for the server that the configuration names, and for no other.
func (w *world) sealPassword(ctx context.Context, password string) error {
	w.sealed = "AAAA" // the encryption context does not depend on it
	c, _, err := w.configure("")
	if err != nil {
		return err
	}
	credential, err := c.AntiSlashing.Sealed()
	if err != nil {
		return err
	}
	w.sealed, err = w.aws.seal(ctx, password, credential.Context)
	return err
}
