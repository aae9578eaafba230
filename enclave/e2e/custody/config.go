package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/template"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
)

const (
	stateTable       = "containment-state"
	keyTable         = "containment-keys"
	slashingDatabase = "slashing"
	otherDatabase    = "elsewhere"
	databaseRole     = "enclave"
)

//go:embed config.yaml.tmpl
var configTemplate string

// settings are what differs between the configurations of the story.
type settings struct {
	ChamberID        string
	SetupTokenSHA256 string
	StateTable       string
	KeyTable         string
	Database         string // of the slashing record
	SlashingAPI      bool
	OpenExits        bool
	ImpostorPort     int // of a server in the place of the database; 0 is none
	KMSImpostorPort  int // the same of KMS
}

// configured is a configuration on disk: the same keys for both sides, which see each other's sockets in different directories.
type configured struct {
	settings
	parent, enclave string // files
}

// configure writes a configuration.
func (w *world) configure(name string, s settings) (configured, error) {
	t, err := template.New("config.yaml").Parse(configTemplate)
	if err != nil {
		return configured{}, err
	}
	c := configured{settings: s, parent: w.path(name + ".yaml"), enclave: w.path(name + "-enclave.yaml")}
	for side, path := range map[string]string{parentSide: c.parent, enclaveSide: c.enclave} {
		var text strings.Builder
		if err := t.Execute(&text, w.fields(s, side)); err != nil {
			return configured{}, fmt.Errorf("write the configuration: %w", err)
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			return configured{}, err
		}
	}
	return c, nil
}

// sealPassword encrypts the database's password as an operator does, for the server that the right configuration names, and for no other.
func (w *world) sealPassword(ctx context.Context) error {
	w.sealed = "AAAA" // the encryption context does not depend on it
	made, err := w.configure("unsealed", settings{SetupTokenSHA256: sha256Hex(""), StateTable: stateTable, KeyTable: keyTable, Database: slashingDatabase})
	if err != nil {
		return err
	}
	c, err := config.Load(config.Sources{Path: made.enclave})
	if err != nil {
		return err
	}
	credential, err := c.AntiSlashing.Sealed()
	if err != nil {
		return err
	}
	w.sealedContext = credential.Context
	w.sealed, err = w.aws.seal(ctx, w.password, credential.Context)
	return err
}

// fields are what the template wants.
func (w *world) fields(s settings, side string) map[string]any {
	port, ca := w.database.Port(), w.database.CAPEM()
	if s.ImpostorPort != 0 {
		port, ca = s.ImpostorPort, w.aws.CA().PEM()
	}
	kms := portOf(w.aws.URL)
	if s.KMSImpostorPort != 0 {
		kms = strconv.Itoa(s.KMSImpostorPort)
	}
	return map[string]any{
		"Settings": s, "Refresh": w.refresh, "Ports": w.ports, "Sockets": w.path(side), "NSM": w.path("nsm"),
		"Role": rig.KMSRole, "STS": stsHost, "Region": dynamodbtest.Region,
		"KMSPort": kms, "TablesPort": portOf(w.tables.Endpoint()), "DatabasePort": port,
		"KMSCA": oneLine(w.aws.CA().PEM()), "DatabaseCA": oneLine(ca),
		"Tables": "http://localhost:" + portOf(w.tables.Endpoint()),
		"Keys":   rig.ShareKeys(), "PasswordKey": rig.SealingKey, "Sealed": w.sealed, "DatabaseRole": databaseRole,
		"KMSVsock": vsockKMS, "TablesVsock": vsockTables, "DatabaseVsock": vsockDatabase, "STSVsock": vsockSTS,
	}
}

// portOf is the port in a URL that has one and ends with it.
func portOf(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }

func oneLine(pem []byte) string { return strings.Join(strings.Fields(string(pem)), " ") }
