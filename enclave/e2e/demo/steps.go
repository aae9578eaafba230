package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

func showAttestedTLS(ctx context.Context, w *world, t *rig.Transcript) (*rig.Client, error) {
	t.Title("Connect with attested TLS and verify the enclave before sending anything")
	policy, root, err := rig.Trust(w.signer, w.config, w.rootFile())
	if err != nil {
		return nil, err
	}
	if err := rig.WritePolicy(w.policyFile(), policy); err != nil {
		return nil, err
	}
	c, err := rig.NewClient(w.ports.API, policy, root)
	if err != nil {
		return nil, err
	}
	peer, err := c.Handshake(ctx)
	if err != nil {
		return nil, err
	}
	t.Note("127.0.0.1:%d showed an attestation document in its certificate, verified in the handshake:", w.ports.API)
	t.Note("  signed by     a chain to the development root in %s", filepath.Join(w.shown, "nsm", "root.pem"))
	t.Note("  module        %s, %v old", peer.Document.ModuleID, time.Since(peer.Document.Timestamp).Round(time.Second))
	for i, what := range []string{"the binary", "the simulated kernel", "the binary"} {
		t.Note("  PCR%-2d         %s… as measured from %s", i, peer.Document.PCRs[i].String()[:32], what)
	}
	t.Note("  PCR16         %s… as computed from config.yaml", peer.Document.PCRs[16].String()[:32])
	t.Note("  bound to      this TLS key, SHA-256(SPKI) %x…", peer.Binding.SPKI[:8])
	if err := refuseStranger(ctx, w, policy); err != nil {
		return nil, err
	}
	t.Note("a client that trusts the AWS root alone refuses the same server, as it must")
	return c, nil
}

// refuseStranger proves that the development root is trusted only by whoever names it.
func refuseStranger(ctx context.Context, w *world, policy attestation.Policy) error {
	c, err := rig.NewClient(w.ports.API, policy, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err = c.Handshake(ctx); err == nil {
		return errors.New("a client without the development root accepted the server")
	}
	if !errors.As(err, new(*atls.Error)) {
		return fmt.Errorf("a client without the development root failed for another reason: %w", err)
	}
	return nil
}

// showKeys returns those in files, sorted, and the stored one.
func showKeys(ctx context.Context, c *rig.Client, w *world, t *rig.Transcript) (inFiles []string, stored string, err error) {
	t.Title("List the public keys")
	var keys []string
	status, body, err := c.Send(ctx, http.MethodGet, "/api/v1/eth2/publicKeys", nil)
	if err != nil {
		return nil, "", err
	}
	if status != http.StatusOK {
		return nil, "", fmt.Errorf("list public keys: status %d: %s", status, body)
	}
	if err := json.Unmarshal(body, &keys); err != nil {
		return nil, "", fmt.Errorf("list public keys: %w", err)
	}
	inFiles, err = keysIn(w.keyDir(), ".yaml")
	if err != nil {
		return nil, "", err
	}
	imported, err := w.storedKeys()
	if err != nil {
		return nil, "", err
	}
	for _, k := range keys {
		where := ""
		if !slices.Contains(inFiles, k) {
			where = " (stored)"
		}
		t.Note("%s%s", k, where)
	}
	for _, k := range append(slices.Clone(inFiles), imported...) {
		if !slices.Contains(keys, k) {
			return nil, "", fmt.Errorf("the signer does not list %s, which was made", k)
		}
	}
	if len(inFiles) != keystores+rawKeys {
		return nil, "", fmt.Errorf("%s has %d keys, %d were made", w.keyDir(), len(inFiles), keystores+rawKeys)
	}
	return inFiles, imported[0], nil
}

// showVotes signs a vote of the present epoch, signs it again, and tries one that surrounds it.
func showVotes(ctx context.Context, c *rig.Client, key string, t *rig.Transcript) error {
	epoch := rig.CurrentEpoch()
	t.Title("Sign an ATTESTATION, source %d, target %d", epoch-1, epoch)
	vote := rig.Vote(epoch-1, epoch)
	first, err := c.Sign(ctx, key, vote)
	if err != nil {
		return err
	}
	if err := rig.Verify(key, vote, first); err != nil {
		return err
	}
	t.Note("first signature after %v: %s…", t.Since(), first[:34])
	t.Note("it verifies under the key, over the signing root computed here")

	t.Title("Sign the identical vote again")
	second, err := c.Sign(ctx, key, rig.Vote(epoch-1, epoch))
	if err != nil {
		return err
	}
	if first != second {
		return errors.New("the identical vote got another signature")
	}
	t.Note("the same signature: a client that lost the answer may ask again")

	t.Title("Try a vote that surrounds it, source %d, target %d", epoch-2, epoch+1)
	_, err = c.Sign(ctx, key, rig.Vote(epoch-2, epoch+1))
	refusal, ok := errors.AsType[*rig.Refused](err)
	if !ok {
		return fmt.Errorf("the surrounding vote was not refused: %w", err)
	}
	if refusal.Status != http.StatusPreconditionFailed {
		return fmt.Errorf("the surrounding vote was refused with another status: %w", err)
	}
	t.Note("%v", refusal)
	return nil
}

func showBlock(ctx context.Context, c *rig.Client, key string, t *rig.Transcript) error {
	n, _ := rig.Hoodi()
	slot := rig.CurrentEpoch() * n.SlotsPerEpoch
	t.Title("Sign a BLOCK_V2 header, slot %d", slot)
	block := rig.BlockHeader(slot)
	signature, err := c.Sign(ctx, key, block)
	if err != nil {
		return err
	}
	if err := rig.Verify(key, block, signature); err != nil {
		return err
	}
	t.Note("signature: %s…", signature[:34])
	return nil
}

// showLogs prints what the enclave wrote, as it came out of the parent.
func showLogs(ctx context.Context, w *world, s *rig.Split, t *rig.Transcript) error {
	t.Title("Read the enclave's log, which came over vsock port 7000 to the parent's output")
	lines, err := awaitEnclaveLines(ctx, s)
	if err != nil {
		return err
	}
	t.Note("%d lines; the last four:", len(lines))
	for _, l := range lines[max(0, len(lines)-4):] {
		t.Note("%s", l)
	}
	const counter = "containment_enclave_log_events_dropped_total"
	status, body, err := rig.Get(ctx, w.metricsURL())
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("read %s: status %d: %w", w.metricsURL(), status, err)
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, counter+" "); ok {
			t.Note("dropped so far (%s): %s", counter, strings.TrimSpace(value))
			return nil
		}
	}
	return fmt.Errorf("%s has no %s", w.metricsURL(), counter)
}

// awaitEnclaveLines waits until the line of the refused vote has come through.
func awaitEnclaveLines(ctx context.Context, s *rig.Split) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		var lines []string
		complete := false
		for _, l := range s.Parent.Lines() {
			if strings.Contains(l, `"process":"enclave"`) {
				lines = append(lines, l)
				complete = complete || strings.Contains(l, "BLOCK_V2")
			}
		}
		if complete {
			return lines, nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("no log line of the block signature came through the parent; %d lines of the enclave did", len(lines))
		}
	}
}

// next prints what a person would try next.
func (w *world) next(t *rig.Transcript) {
	t.Title("It stays up; try")
	t.Note("curl -s %s/healthcheck", w.healthURL())
	t.Note("curl -s %s | grep ^containment_", w.metricsURL())
	t.Note("curl -sk https://127.0.0.1:%d/api/v1/eth2/publicKeys     # -k: curl cannot verify an attestation", w.ports.API)
	t.Note("curl -s http://127.0.0.1:%d/metrics | grep ^containment_parent_     # the parent", w.ports.Parent)
	t.Note("curl -s --unix-socket %s http://kms/trail     # what KMS was asked", w.show(w.adminSocket()))
	t.Note("AT=\"--signer-url https://127.0.0.1:%d --policy %s --attestation-root %s\"", w.ports.API, w.show(w.policyFile()), w.show(w.rootFile()))
	t.Note("build/containment-chamber operator status $AT --auth-token file:%s --output table", w.show(w.rootTokenFile()))
	t.Note("build/containment-chamber operator import-keys $AT --auth-token file:%s DIR     # of keystores", w.show(w.rootTokenFile()))
	t.Note("Ctrl-C drains both processes.")
}
