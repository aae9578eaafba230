package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/OffchainLabs/prysm/v7/beacon-chain/core/signing"
	"github.com/OffchainLabs/prysm/v7/config/params"
	"github.com/OffchainLabs/prysm/v7/crypto/bls"
	remote "github.com/OffchainLabs/prysm/v7/validator/keymanager/remote-web3signer"
	"github.com/sirupsen/logrus"
)

// keysLoaded is how many keys the signer is started with.
const keysLoaded = 2

// otherValidatorsRoot is that of no network.
func otherValidatorsRoot() []byte { return repeat(0xee, 32) }

// hidden is in the error that Prysm v7.0.0 returns for every answer but 200: to log the answer it dumps the request a second time,
// whose body is spent by then, fails at that, and so neither logs nor returns what the signer said.
const hidden = "with Body length 0"

// client asks with Prysm's key manager.
type client struct {
	manager *remote.Keymanager
	astray  *remote.Keymanager // the same, with the validators root of another network
	key     [48]byte
	keys    int
	logged  *lastResponse
}

func newClient(ctx context.Context, url string, cfg *params.BeaconChainConfig) (*client, error) {
	logged := new(lastResponse)
	logrus.SetOutput(io.Discard)
	logrus.AddHook(logged)
	setup := &remote.SetupConfig{
		BaseEndpoint:          url,
		GenesisValidatorsRoot: cfg.GenesisValidatorsRoot[:],
		PublicKeysURL:         url + "/api/v1/eth2/publicKeys",
	}
	manager, err := remote.NewKeymanager(ctx, setup)
	if err != nil {
		return nil, fmt.Errorf("make the key manager: %w", err)
	}
	other := *setup
	other.GenesisValidatorsRoot = otherValidatorsRoot()
	astray, err := remote.NewKeymanager(ctx, &other)
	if err != nil {
		return nil, fmt.Errorf("make the key manager of another network: %w", err)
	}
	keys, err := manager.FetchValidatingPublicKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetch the public keys: %w", err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("the signer at %s has no keys", url)
	}
	return &client{manager: manager, astray: astray, key: keys[0], keys: len(keys), logged: logged}, nil
}

func (c *client) countKeys() result {
	r := result{Type: "(public keys)", Result: resultOK, Says: fmt.Sprintf("%d keys", c.keys)}
	if c.keys != keysLoaded {
		r.Result = resultFailed
	}
	return r
}

// ask asks for one signature and says what became of it.
func (c *client) ask(ctx context.Context, d duty) result {
	r := result{Type: d.row, Result: resultFailed}
	domain, err := d.domain()
	if err != nil {
		r.Says = fmt.Sprintf("domain: %v", err)
		return r
	}
	root, err := signing.ComputeSigningRoot(d.object, domain)
	if err != nil {
		r.Says = fmt.Sprintf("signing root: %v", err)
		return r
	}
	d.request.PublicKey, d.request.SigningRoot, d.request.SigningSlot = c.key[:], root[:], d.slot
	manager := c.manager
	if d.astray {
		manager = c.astray
	}
	c.logged.text = ""
	signature, err := manager.Sign(ctx, d.request)
	switch {
	case err != nil && d.refused == "":
		r.Says = fmt.Sprintf("%v %s", err, c.logged.body())
	case err != nil:
		r.Says, r.Reason = fmt.Sprintf("%v %s", err, c.logged.body()), d.refused
		// Where Prysm hides the reason, it is looked for in the signer's log.
		if strings.Contains(c.logged.body(), d.refused) || strings.Contains(err.Error(), hidden) {
			r.Result = resultRefused
		}
	case d.refused != "":
		r.Says = "signed, and should have been refused"
	default:
		r.Result, r.Says = verify(c.key, root, signature)
	}
	return r
}

func verify(key [48]byte, root [32]byte, signature bls.Signature) (outcome, says string) {
	public, err := bls.PublicKeyFromBytes(key[:])
	if err != nil {
		return resultFailed, err.Error()
	}
	if !signature.Verify(public, root[:]) {
		return resultFailed, "the signature does not verify"
	}
	return resultOK, ""
}

// lastResponse is a log hook that keeps the response which Prysm logs when it is not 200.
type lastResponse struct{ text string }

func (*lastResponse) Levels() []logrus.Level { return []logrus.Level{logrus.ErrorLevel} }

func (l *lastResponse) Fire(e *logrus.Entry) error {
	if response, ok := e.Data["response"].(string); ok {
		l.text = response
	}
	return nil
}

// body is the last response without its headers.
func (l *lastResponse) body() string {
	_, body, _ := strings.Cut(l.text, "\r\n\r\n")
	return strings.TrimSpace(body)
}
