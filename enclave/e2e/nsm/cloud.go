package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// AWS's names, which an enclave takes no others for.
const (
	kmsHost    = "kms." + rig.Region + ".amazonaws.com"
	stsHost    = "sts." + rig.Region + ".amazonaws.com"
	tablesHost = "dynamodb." + rig.Region + ".amazonaws.com"
)

// Vsock ports of the routes.
const (
	vsockKMS uint32 = wire.PortEgressFirst + iota
	vsockSTS
	vsockTables
	vsockDatabase
)

// cloud is KMS and STS.
type cloud struct{ *kmstest.Running }

// startCloud makes KMS keys that nobody may use yet, and a role whose token the parent has.
func (w *world) startCloud(context.Context) error {
	token := rig.RandomText()
	o := kmstest.Options{
		Roots:      []*x509.Certificate{w.root.Certificate},
		Principals: []kmstest.Principal{{ARN: rig.KMSRole, WebIdentityToken: token}},
		Hosts:      []string{tablesHost},
	}
	none := strings.Repeat("f", 96)
	for _, arn := range append(rig.ShareKeys(), rig.SealingKey) {
		o.Keys = append(o.Keys, kmstest.Key{ARN: arn, Policy: rig.KeyPolicy(arn, rig.Measured{PCR0: []string{none}, PCR3: none, PCR8: none})})
	}
	running, err := kmstest.Start(o)
	if err != nil {
		return err
	}
	w.aws = &cloud{running}
	w.cleanup = append(w.cleanup, func() error { running.Stop(); return nil })
	return os.WriteFile(w.path("token"), []byte(token), 0o600)
}

// allowImage has the image of the guest, run by this role, use the keys.
func (w *world) allowImage(context.Context) error {
	m := rig.Measured{PCR0: []string{w.guest.pcrs["PCR0"]}, PCR3: eif.PCR3(rig.KMSRole).String(), PCR8: w.guest.pcrs["PCR8"]}
	for _, arn := range append(rig.ShareKeys(), rig.SealingKey) {
		if err := w.aws.SetPolicy(arn, rig.KeyPolicy(arn, m)); err != nil {
			return err
		}
	}
	return nil
}

// seal encrypts a password as a person with the role does with "aws kms encrypt".
func (c *cloud) seal(ctx context.Context, password string, encryptionContext map[string]string) (string, error) {
	session, err := c.NewSession(rig.KMSRole, "operator", 0)
	if err != nil {
		return "", err
	}
	client := kms.New(kms.Options{
		BaseEndpoint: aws.String(c.URL), Region: rig.Region, HTTPClient: c.Client(), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(session.AccessKeyID, session.SecretAccessKey, session.SessionToken),
	})
	out, err := client.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String(rig.SealingKey), Plaintext: []byte(password), EncryptionContext: encryptionContext})
	if err != nil {
		return "", fmt.Errorf("encrypt the database's password: %w", err)
	}
	return base64.StdEncoding.EncodeToString(out.CiphertextBlob), nil
}

// serveAWS answers at the routes of KMS, STS and DynamoDB in the place of the parent's last hop: their hosts are AWS's, at port 443, where on
// this machine nobody is. TLS ends in the enclave as ever.
func (w *world) serveAWS(context.Context) error {
	secured, err := w.aws.TLSConfig()
	if err != nil {
		return err
	}
	local, err := url.Parse(w.tables.Endpoint())
	if err != nil {
		return err
	}
	inClear := httputil.NewSingleHostReverseProxy(local) // DynamoDB Local has no TLS
	inClear.ModifyResponse = nameTables
	for port, handler := range map[uint32]http.Handler{vsockKMS: w.aws, vsockSTS: w.aws, vsockTables: inClear} {
		if err := w.serve(port, handler, secured); err != nil {
			return err
		}
	}
	return nil
}

// localTables is what DynamoDB Local calls its tables, whatever region and account it was asked for.
const localTables = "arn:aws:dynamodb:ddblocal:000000000000:table/"

// nameTables has an answer of DynamoDB Local name its tables as AWS does.
func nameTables(r *http.Response) error {
	body, err := io.ReadAll(r.Body)
	if err := errors.Join(err, r.Body.Close()); err != nil {
		return err
	}
	body = bytes.ReplaceAll(body, []byte(localTables), []byte(tablePrefix))
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	r.Header.Del("X-Amz-Crc32") // of the answer as it was
	return nil
}

func (w *world) serve(port uint32, handler http.Handler, secured *tls.Config) error {
	l, err := unixvsock.Hybrid(w.socket()).Listen(port)
	if err != nil {
		return err
	}
	w.cleanup = append(w.cleanup, rig.ServeTLS(l, handler, secured))
	return nil
}

// linkSockets shows each side the sockets of the other, but for those that serveAWS has.
func (w *world) linkSockets(context.Context) error {
	links := map[string]string{w.socket(): w.parentSocket()}
	for _, port := range []uint32{wire.PortLogs, wire.PortBoot, vsockDatabase} {
		links[fmt.Sprintf("%s_%d", w.parentSocket(), port)] = fmt.Sprintf("%s_%d", w.socket(), port)
	}
	for to, name := range links {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(to, name); err != nil {
			return err
		}
	}
	return nil
}
