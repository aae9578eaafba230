package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// showAll is the demonstration.
func showAll(ctx context.Context, w *world, s *split, t *transcript) error {
	t.title("Wait until the signer says that it is ready")
	if err := waitReady(ctx, w, t); err != nil {
		return err
	}
	client, err := showAttestedTLS(ctx, w, t)
	if err != nil {
		return err
	}
	defer client.close()
	keys, err := showKeys(ctx, client, w, t)
	if err != nil {
		return err
	}
	if err := showVotes(ctx, client, keys[0], t); err != nil {
		return err
	}
	if err := showBlock(ctx, client, keys[1], t); err != nil {
		return err
	}
	return showLogs(ctx, w, s, t)
}

func waitReady(ctx context.Context, w *world, t *transcript) error {
	t.note("GET %s/readyz, which tells the stage of the start that is missing", w.healthURL())
	if err := rig.AwaitReady(ctx, w.healthURL()); err != nil {
		return err
	}
	t.note("ready after %v", t.since())
	return nil
}

func showAttestedTLS(ctx context.Context, w *world, t *transcript) (*client, error) {
	t.title("Connect with attested TLS and verify the enclave before sending anything")
	policy, root, err := rig.Trust(w.signer, w.config, w.rootFile())
	if err != nil {
		return nil, err
	}
	c, err := newClient(w, policy, root)
	if err != nil {
		return nil, err
	}
	peer, err := c.handshake(ctx)
	if err != nil {
		return nil, err
	}
	t.note("127.0.0.1:%d showed an attestation document in its certificate, verified in the handshake:", w.ports.api)
	t.note("  signed by     a chain to the development root in %s", filepath.Join(w.shown, "nsm", "root.pem"))
	t.note("  module        %s, %v old", peer.Document.ModuleID, time.Since(peer.Document.Timestamp).Round(time.Second))
	for i, what := range []string{"the binary", "the simulated kernel", "the binary"} {
		t.note("  PCR%-2d         %s… as measured from %s", i, peer.Document.PCRs[i].String()[:32], what)
	}
	t.note("  PCR16         %s… as computed from config.yaml", peer.Document.PCRs[16].String()[:32])
	t.note("  bound to      this TLS key, SHA-256(SPKI) %x…", peer.Binding.SPKI[:8])
	if err := refuseStranger(ctx, w, policy); err != nil {
		return nil, err
	}
	t.note("a client that trusts the AWS root alone refuses the same server, as it must")
	return c, nil
}

// refuseStranger proves that the development root is trusted only by whoever names it.
func refuseStranger(ctx context.Context, w *world, policy atlsPolicy) error {
	c, err := newClient(w, policy, nil)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err = c.handshake(ctx); err == nil {
		return errors.New("a client without the development root accepted the server")
	}
	if !errors.As(err, new(*atls.Error)) {
		return fmt.Errorf("a client without the development root failed for another reason: %w", err)
	}
	return nil
}

func showKeys(ctx context.Context, c *client, w *world, t *transcript) ([]string, error) {
	t.title("List the public keys")
	var keys []string
	status, body, err := get(ctx, c.http, c.url+"/api/v1/eth2/publicKeys")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("list public keys: status %d: %s", status, body)
	}
	if err := json.Unmarshal(body, &keys); err != nil {
		return nil, fmt.Errorf("list public keys: %w", err)
	}
	for _, k := range keys {
		t.note("%s", k)
	}
	if len(keys) != w.keyCount() {
		return nil, fmt.Errorf("the signer lists %d keys, %d were made", len(keys), w.keyCount())
	}
	return keys, nil
}

// showVotes signs a vote of the present epoch, signs it again, and tries one that surrounds it.
func showVotes(ctx context.Context, c *client, key string, t *transcript) error {
	epoch := currentEpoch()
	t.title("Sign an ATTESTATION, source %d, target %d", epoch-1, epoch)
	vote := voteRequest(epoch-1, epoch)
	first, err := c.sign(ctx, key, vote)
	if err != nil {
		return err
	}
	if err := verify(key, vote, first); err != nil {
		return err
	}
	t.note("first signature after %v: %s…", t.since(), first[:34])
	t.note("it verifies under the key, over the signing root computed here")

	t.title("Sign the identical vote again")
	second, err := c.sign(ctx, key, voteRequest(epoch-1, epoch))
	if err != nil {
		return err
	}
	if first != second {
		return errors.New("the identical vote got another signature")
	}
	t.note("the same signature: a client that lost the answer may ask again")

	t.title("Try a vote that surrounds it, source %d, target %d", epoch-2, epoch+1)
	_, err = c.sign(ctx, key, voteRequest(epoch-2, epoch+1))
	var refusal *refused
	if !errors.As(err, &refusal) {
		return fmt.Errorf("the surrounding vote was not refused: %w", err)
	}
	if refusal.status != http.StatusPreconditionFailed {
		return fmt.Errorf("the surrounding vote was refused with another status: %w", err)
	}
	t.note("%d %s: %s", refusal.status, http.StatusText(refusal.status), refusal.message)
	return nil
}

func showBlock(ctx context.Context, c *client, key string, t *transcript) error {
	slot := currentEpoch() * slotsPerEpoch
	t.title("Sign a BLOCK_V2 header, slot %d", slot)
	block := blockHeader(slot)
	signature, err := c.sign(ctx, key, block)
	if err != nil {
		return err
	}
	if err := verify(key, block, signature); err != nil {
		return err
	}
	t.note("signature: %s…", signature[:34])
	return nil
}

// showLogs prints what the enclave wrote, as it came out of the parent.
func showLogs(ctx context.Context, w *world, s *split, t *transcript) error {
	t.title("Read the enclave's log, which came over vsock port 7000 to the parent's output")
	lines, err := awaitEnclaveLines(ctx, s)
	if err != nil {
		return err
	}
	t.note("%d lines; the last four:", len(lines))
	for _, l := range lines[max(0, len(lines)-4):] {
		t.note("%s", l)
	}
	const counter = "containment_enclave_log_events_dropped_total"
	status, body, err := get(ctx, http.DefaultClient, w.metricsURL())
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("read %s: status %d: %w", w.metricsURL(), status, err)
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, counter+" "); ok {
			t.note("dropped so far (%s): %s", counter, strings.TrimSpace(value))
			return nil
		}
	}
	return fmt.Errorf("%s has no %s", w.metricsURL(), counter)
}

// awaitEnclaveLines waits until the line of the refused vote has come through.
func awaitEnclaveLines(ctx context.Context, s *split) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		var lines []string
		complete := false
		for _, l := range s.parent.Lines() {
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
func (t *transcript) next(w *world) {
	t.title("It stays up; try")
	t.note("curl -s %s/healthcheck", w.healthURL())
	t.note("curl -s %s | grep ^containment_", w.metricsURL())
	t.note("curl -sk https://127.0.0.1:%d/api/v1/eth2/publicKeys     # -k: curl cannot verify an attestation", w.ports.api)
	t.note("curl -s http://127.0.0.1:%d/metrics | grep ^containment_parent_     # the parent", w.ports.parent)
	t.note("Ctrl-C drains both processes.")
}
