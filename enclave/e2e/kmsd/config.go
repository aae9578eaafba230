package main

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// config is the file. JSON is YAML too.
type config struct {
	// Listen is where KMS and STS are, as 127.0.0.1:8443; port 0 is any.
	Listen string `yaml:"listen"`
	// Admin is where orders are taken: an address of loopback, or unix: and a path.
	Admin string `yaml:"admin"`
	// CACertFile is what clients trust, in PEM; it is written. With CAKeyFile both are kept: the next start reads them.
	CACertFile string `yaml:"ca_cert_file"`
	CAKeyFile  string `yaml:"ca_key_file"`
	// AttestationRootFiles hold a root each, in PEM, that attestation documents may end in.
	AttestationRootFiles []string `yaml:"attestation_root_files"`
	// Hosts are names of the server beside AWS's and localhost.
	Hosts      []string          `yaml:"hosts"`
	Keys       []keyConfig       `yaml:"keys"`
	Principals []principalConfig `yaml:"principals"`

	dir string // of the file
}

type keyConfig struct {
	ARN        string        `yaml:"arn"` // tells region and account
	PolicyFile string        `yaml:"policy_file"`
	State      kmstest.State `yaml:"state"` // empty is Enabled
	// MaterialFile keeps what the key encrypts with from start to start, 32 bytes; it is made if it is not there. Empty: ciphertexts
	// end with the process.
	MaterialFile string `yaml:"material_file"`
}

type principalConfig struct {
	ARN                  string `yaml:"arn"`
	IdentityAllows       bool   `yaml:"identity_allows"`
	AccessKeyID          string `yaml:"access_key_id"`
	SecretAccessKey      string `yaml:"secret_access_key"`
	SessionToken         string `yaml:"session_token"`
	WebIdentityTokenFile string `yaml:"web_identity_token_file"` // read at the start
}

func load(file string) (config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return config{}, err
	}
	c := config{dir: filepath.Dir(file)}
	if err := decode(text, &c); err != nil {
		return config{}, fmt.Errorf("%s: %w", file, err)
	}
	for name, value := range map[string]string{"listen": c.Listen, "admin": c.Admin, "ca_cert_file": c.CACertFile} {
		if value == "" {
			return config{}, fmt.Errorf("%s: %s: empty", file, name)
		}
	}
	if path, ok := strings.CutPrefix(c.Admin, "unix:"); ok {
		c.Admin = "unix:" + c.path(path)
	}
	return c, nil
}

// decode reads YAML in which every name is known.
func decode(text []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	return d.Decode(into)
}

// path is a path of the file, from where it lies.
func (c config) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.dir, p)
}

func (c config) adminAddress(a net.Addr) string {
	if strings.HasPrefix(c.Admin, "unix:") {
		return c.Admin
	}
	return "http://" + a.String()
}

// server reads what the file names, and writes what it wants written.
func (c config) server() (*kmstest.Server, error) {
	o := kmstest.Options{Hosts: c.Hosts}
	for _, file := range c.AttestationRootFiles {
		root, err := readRoot(c.path(file))
		if err != nil {
			return nil, fmt.Errorf("attestation_root_files: %s: %w", file, err)
		}
		o.Roots = append(o.Roots, root)
	}
	for _, k := range c.Keys {
		policy, err := os.ReadFile(c.path(k.PolicyFile))
		if err != nil {
			return nil, fmt.Errorf("key %s: policy_file: %w", k.ARN, err)
		}
		material, err := c.material(k.MaterialFile)
		if err != nil {
			return nil, fmt.Errorf("key %s: material_file: %w", k.ARN, err)
		}
		o.Keys = append(o.Keys, kmstest.Key{ARN: k.ARN, Policy: policy, State: k.State, Material: material})
	}
	for _, p := range c.Principals {
		made := kmstest.Principal{
			ARN: p.ARN, IdentityAllows: p.IdentityAllows,
			AccessKey: kmstest.AccessKey{ID: p.AccessKeyID, Secret: p.SecretAccessKey, Token: p.SessionToken},
		}
		if p.WebIdentityTokenFile != "" {
			token, err := os.ReadFile(c.path(p.WebIdentityTokenFile))
			if err != nil {
				return nil, fmt.Errorf("principal %s: web_identity_token_file: %w", p.ARN, err)
			}
			made.WebIdentityToken = strings.TrimSpace(string(token))
		}
		o.Principals = append(o.Principals, made)
	}
	ca, err := c.authority()
	if err != nil {
		return nil, err
	}
	o.CA = ca
	return kmstest.New(o)
}

func readRoot(file string) (*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return attestation.ParseRoot(text)
}

func (c config) material(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	material, err := os.ReadFile(c.path(file))
	if !errors.Is(err, fs.ErrNotExist) {
		return material, err
	}
	material = make([]byte, 32)
	_, _ = rand.Read(material) // it does not fail
	return material, os.WriteFile(c.path(file), material, 0o600)
}

// authority is the one of the last start, or a new one, which is written.
func (c config) authority() (*kmstest.CA, error) {
	if c.CAKeyFile != "" {
		cert, err := os.ReadFile(c.path(c.CACertFile))
		key, missing := os.ReadFile(c.path(c.CAKeyFile))
		if err == nil && missing == nil {
			return kmstest.ParseCA(cert, key)
		}
		if err = errors.Join(err, missing); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("ca_cert_file, ca_key_file: %w", err)
		}
	}
	ca, err := kmstest.NewCA(time.Now())
	if err != nil {
		return nil, err
	}
	cert, key, err := ca.MarshalPEM()
	if err != nil {
		return nil, err
	}
	if c.CAKeyFile != "" {
		if err := os.WriteFile(c.path(c.CAKeyFile), key, 0o600); err != nil {
			return nil, fmt.Errorf("ca_key_file: %w", err)
		}
	}
	if err := os.WriteFile(c.path(c.CACertFile), cert, 0o600); err != nil {
		return nil, fmt.Errorf("ca_cert_file: %w", err)
	}
	return ca, nil
}
