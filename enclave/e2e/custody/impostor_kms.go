package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// kmsImpostor is a KMS of the host's own. It has the role's credentials, as every parent, and takes the enclave's attestation document out of its
// requests, so that it can have the real KMS open what it likes for the enclave, with what encryption context it likes.
type kmsImpostor struct {
	server *http.Server
	port   int
	ended  chan error
}

func (w *world) newKMSImpostor() (*kmsImpostor, error) {
	secured, err := w.aws.TLSConfig()
	if err != nil {
		return nil, err
	}
	client, err := w.aws.as("host")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i := &kmsImpostor{port: l.Addr().(*net.TCPAddr).Port, ended: make(chan error, 1)}
	i.server = &http.Server{
		TLSConfig: secured, ReadHeaderTimeout: impostorLimit, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			answer, err := w.openAnyway(r.Context(), client, r)
			if err != nil {
				http.Error(out, err.Error(), http.StatusInternalServerError)
				return
			}
			out.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_ = json.NewEncoder(out).Encode(answer) // an enclave that is gone does not want it
		}),
	}
	go func() { i.ended <- i.server.ServeTLS(l, "", "") }()
	return i, nil
}

// openAnyway opens the password with the context that it was encrypted with, whatever the enclave has asked for.
func (w *world) openAnyway(ctx context.Context, client *kms.Client, r *http.Request) (map[string]any, error) {
	var asked struct {
		CiphertextBlob []byte
		Recipient      struct{ AttestationDocument []byte }
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return nil, fmt.Errorf("the enclave's request: %w", err)
	}
	out, err := client.Decrypt(ctx, &kms.DecryptInput{
		CiphertextBlob: asked.CiphertextBlob, EncryptionContext: w.sealedContext,
		Recipient: &types.RecipientInfo{
			AttestationDocument: asked.Recipient.AttestationDocument, KeyEncryptionAlgorithm: types.KeyEncryptionMechanismRsaesOaepSha256,
		},
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"KeyId": aws.ToString(out.KeyId), "EncryptionAlgorithm": out.EncryptionAlgorithm, "CiphertextForRecipient": out.CiphertextForRecipient,
	}, nil
}

func (i *kmsImpostor) stop() error {
	err := i.server.Close()
	if reason := <-i.ended; !errors.Is(reason, http.ErrServerClosed) {
		err = errors.Join(err, reason)
	}
	return err
}

// meetBothImpostors has the host stand between enclave and KMS as well, with an authority of its own: it gets around the encryption context, and
// the enclave has the password. That must be of no use to whom it takes for its database.
func (s *story) meetBothImpostors(ctx context.Context, i *impostor) error {
	k, err := s.world.newKMSImpostor()
	if err != nil {
		return err
	}
	defer func() { _ = k.stop() }()
	c := s.config.settings
	c.ImpostorPort, c.KMSImpostorPort = i.port(), k.port
	made, err := s.world.configure("impostors", c)
	if err != nil {
		return err
	}
	if err := s.begin(s.image, made); err != nil {
		return err
	}
	select {
	case v := <-i.verdicts:
		if v.password != "" || v.entered {
			return fmt.Errorf("an impostor has the database: password in clear %t, login %t", v.password == s.world.password, v.entered)
		}
		s.t.Note("with KMS impersonated too it sees the enclave, and gets nothing: %v", v.err)
	case <-s.split.Signer.Done():
		return errors.New("the enclave ended before it connected")
	case <-time.After(rig.AwaitLimit):
		return errors.New("the enclave did not connect")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := s.split.Signer.Kill(); err != nil {
		return err
	}
	s.forget()
	return nil
}
