// Package chamber lets operators work the chamber of a running signer.
package chamber

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// The routes.
const (
	prefix = "/api/v1/chamber/operator/"

	RouteInit           = prefix + "init"
	RouteSeal           = prefix + "seal"
	RouteUnseal         = prefix + "unseal"
	RouteRotateKMS      = prefix + "rotate/kms"
	RouteRotateMaster   = prefix + "rotate/master-key"
	RouteRotateSlashing = prefix + "rotate/slashing-store"
	RouteGenerateToken  = prefix + "generate-root-token"
	RouteRevokeToken    = prefix + "revoke-root-token"
	RouteFreeze         = prefix + "freeze"
	RouteUnfreeze       = prefix + "unfreeze"
	RouteApproveConfig  = prefix + "approve-config"
	RouteRevokeConfig   = prefix + "revoke-config"
	RouteBackup         = prefix + "backup"
	RouteRestore        = prefix + "restore"
	RouteImport         = "/api/v1/chamber/keys/import"
	RouteKeys           = "/api/v1/chamber/keys"
)

// ParameterConfirm is the SHA-256 of the backup, in hex, that is to be restored. Without it a restore tells what it would do.
const ParameterConfirm = "confirm"

// Importer stores validator keys. It may be called by more than one request at once.
type Importer interface {
	// Import stores the keys of EIP-2335 keystores, each for itself, and tells of each, once and one after the other, what became of it: its
	// public key as far as it is known, and whether it was stored before, or why it was not stored. It is durable when that is told. There are
	// as many passwords.
	Import(ctx context.Context, keystores, passwords []string, tell func(n int, publicKey string, duplicate bool, err error))
}

// Changer changes keys that are stored. It may be called by more than one request at once. Both calls return store.ErrNotFound for a key
// that is not stored, and are durable when they return nil; this process signs with the key then, or does not, accordingly. If the change is
// stored, and the process does not sign by it, the error says so.
type Changer interface {
	// SetStatus makes a key active or inactive.
	SetStatus(ctx context.Context, public bls.PublicKey, status store.Status) error
	// Delete deletes a key, also one that cannot be opened.
	Delete(ctx context.Context, public bls.PublicKey) error
}

// Options are what the calls work on. Chamber, KMSKeyARNs, SlashingStore and Log must be set.
type Options struct {
	Chamber *chamber.Chamber
	// KMSKeyARNs and KMSThreshold are what the configuration allows new shares to be; threshold zero is any.
	KMSKeyARNs   []string
	KMSThreshold int
	// SlashingStore returns the identity of the slashing store that this process uses, as it does for the chamber.
	SlashingStore func(ctx context.Context) (string, error)
	// Reencrypt seals anew what is sealed with the master key before, and returns how much is left; nil if nothing is.
	Reencrypt func(ctx context.Context) (left int, err error)
	// Sections are what a backup has beside the signer state.
	Sections []chamber.Section
	// Importer takes imported keys, and Changer changes stored ones. Without one there is no route for that.
	Importer Importer
	Changer  Changer
	// MaxBackup is the most bytes of a backup that is restored, which is in memory then, because an enclave has no disk; zero is 128 MiB,
	// some 200,000 keys.
	MaxBackup int64
	Log       *zap.Logger
}

// API answers the calls. Each is one line of the log, and asks for a token: for the setup token if there is no chamber yet, else for a root
// token. Whoever has that can have the master key under KMS keys that the configuration allows, and keep everything from signing.
type API struct {
	o Options

	restoring sync.Mutex // held for a whole restore: the file is in memory, once
	rotating  sync.Mutex // held for a whole rotation of the master key
}

// New makes the calls' handlers.
func New(o Options) *API {
	if o.MaxBackup == 0 {
		o.MaxBackup = 128 << 20
	}
	return &API{o: o}
}

// Register adds the routes.
func (a *API) Register(mux api.Router) {
	mux.HandleFunc("POST "+RouteInit, a.recorded(a.setup(a.initialize)))
	mux.HandleFunc("POST "+RouteSeal, a.recorded(a.root(a.seal)))
	mux.HandleFunc("POST "+RouteUnseal, a.recorded(a.unseal))
	mux.HandleFunc("POST "+RouteRotateKMS, a.recorded(a.root(a.rotateKMS)))
	mux.HandleFunc("POST "+RouteRotateMaster, a.recorded(a.root(a.rotateMasterKey)))
	mux.HandleFunc("POST "+RouteRotateSlashing, a.recorded(a.root(a.rotateSlashingStore)))
	mux.HandleFunc("POST "+RouteGenerateToken, a.recorded(a.root(a.generateToken)))
	mux.HandleFunc("POST "+RouteRevokeToken, a.recorded(a.root(a.revokeToken)))
	mux.HandleFunc("POST "+RouteFreeze, a.recorded(a.root(a.freeze)))
	mux.HandleFunc("POST "+RouteUnfreeze, a.recorded(a.root(a.unfreeze)))
	mux.HandleFunc("POST "+RouteApproveConfig, a.recorded(a.root(a.approveConfig)))
	mux.HandleFunc("POST "+RouteRevokeConfig, a.recorded(a.root(a.revokeConfig)))
	mux.HandleFunc("GET "+RouteBackup, a.recorded(a.root(a.backup)))
	mux.HandleFunc("POST "+RouteRestore, a.recorded(a.setup(a.restore)))
	if a.o.Importer != nil {
		mux.HandleFunc("POST "+RouteImport, a.recorded(a.root(a.importKeys)))
	}
	if a.o.Changer != nil {
		mux.HandleFunc("PATCH "+RouteKeys, a.recorded(a.root(a.setStatus)))
		mux.HandleFunc("DELETE "+RouteKeys, a.recorded(a.root(a.deleteKeys)))
	}
}
