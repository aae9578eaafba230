package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

//go:embed kmsd.yaml.tmpl
var kmsdTemplate string

// cloud is the stand-in of AWS KMS, with a key in each of three accounts, and what gives a pod credentials for it.
type cloud struct {
	kmsd      *rig.Process
	agent     *http.Server
	ended     chan error // has how the agent ended
	url       string     // of the agent
	tokenFile string
	keys      accessKey
}

// accessKey is of the role that the key policies name. It is as worthless as they are.
type accessKey struct{ ID, Secret, Token string }

// startCloud returns when KMS answers. Its keys are those of the first run, for the images of this one.
func startCloud(ctx context.Context, w *world) (*cloud, error) {
	c := &cloud{
		url: fmt.Sprintf("http://127.0.0.1:%d/v1/credentials", w.ports.Agent), tokenFile: w.path("kms", "agent-token"),
		keys: accessKey{"ASIA" + rig.RandomText(), rig.RandomText(), rig.RandomText()},
	}
	if err := c.configure(w); err != nil {
		return nil, err
	}
	if err := c.serveCredentials(ctx, w.ports.Agent); err != nil {
		return nil, err
	}
	var err error
	if c.kmsd, err = rig.Start(rig.Command{
		Name: "KMS stand-in", Binary: filepath.Join(w.binaries, "kmsd"), Args: []string{"-config", w.path("kms", "kmsd.yaml")},
	}); err != nil {
		return nil, errors.Join(err, c.stopAgent())
	}
	err = rig.During(ctx, func(ctx context.Context) error {
		return rig.Await(ctx, "the KMS stand-in", func() (bool, error) {
			return strings.Contains(strings.Join(c.kmsd.Lines(), "\n"), "kmsd: ready"), context.Cause(ctx)
		})
	}, c.kmsd)
	if err != nil {
		return nil, errors.Join(rig.Explain(err, c.kmsd), c.stop())
	}
	return c, nil
}

// configure writes what kmsd reads: key policies that allow this build of the signer alone.
func (c *cloud) configure(w *world) error {
	root, err := rig.MakeRoot(w.path("nsm"), w.signer, "")
	if err != nil {
		return err
	}
	m, err := software.Measure(w.signer)
	if err != nil {
		return err
	}
	allowed := rig.Measured{PCR0: []string{m.PCR0.String()}, PCR8: eif.PCR8(root.Raw).String()}
	files := map[string][]byte{"agent-token": []byte(rig.RandomText())}
	for _, arn := range rig.ShareKeys() {
		files[rig.Account(arn)+".json"] = rig.KeyPolicy(arn, allowed)
	}
	t, err := template.New("kmsd.yaml").Funcs(template.FuncMap{"account": rig.Account}).Parse(kmsdTemplate)
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := t.Execute(&text, map[string]any{
		"Port": w.ports.KMS, "Root": w.rootFile(), "Keys": rig.ShareKeys(), "Role": rig.KMSRole, "AccessKey": c.keys,
	}); err != nil {
		return err
	}
	files["kmsd.yaml"] = []byte(text.String())
	for name, text := range files {
		if err := os.WriteFile(w.path("kms", name), text, 0o600); err != nil {
			return err
		}
	}
	if err := os.Remove(w.adminSocket()); err != nil && !errors.Is(err, os.ErrNotExist) { // one that was killed leaves it
		return err
	}
	return nil
}

func (w *world) adminSocket() string { return w.path("kms", "admin.sock") }

// serveCredentials answers as the agent of EKS Pod Identity does
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html).
func (c *cloud) serveCredentials(ctx context.Context, port int) error {
	token, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return fmt.Errorf("--port-agent: %w", err)
	}
	c.agent = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != string(token) {
			http.Error(w, `{"code":"AccessDenied","message":"another token"}`, http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{
			"AccessKeyId": c.keys.ID, "SecretAccessKey": c.keys.Secret, "Token": c.keys.Token,
		}) // a caller that is gone does not want it
	})}
	c.ended = make(chan error, 1)
	go func() { c.ended <- c.agent.Serve(l) }()
	return nil
}

// environment is what EKS tells a pod.
func (c *cloud) environment() []string {
	return []string{
		"AWS_WEB_IDENTITY_TOKEN_FILE=", "AWS_CONTAINER_CREDENTIALS_FULL_URI=" + c.url, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + c.tokenFile,
	}
}

func (c *cloud) stop() error { return errors.Join(c.kmsd.Terminate(), c.stopAgent()) }

func (c *cloud) stopAgent() error {
	err := c.agent.Close()
	if reason := <-c.ended; !errors.Is(reason, http.ErrServerClosed) {
		err = errors.Join(err, reason)
	}
	return err
}
