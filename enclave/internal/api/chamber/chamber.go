// Package chamber lets operators work the chamber of a running signer.
package chamber

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
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
	RouteKeys           = "/api/v1/chamber/keys"
	RouteImport         = RouteKeys
	RouteGenerate       = RouteKeys + "/generate"
	RoutePolicies       = "/api/v1/chamber/auth/policies"
	RouteTokens         = "/api/v1/chamber/auth/tokens" //nolint:gosec // G101: a path
	RouteResetAuth      = "/api/v1/chamber/auth/reset"
)

// ParameterConfirm is the SHA-256 of the backup, in hex, that is to be restored. Without it a restore tells what it would do.
const ParameterConfirm = "confirm"

// Options are what the calls work on. Chamber, Policies, KMSKeyARNs, SlashingStore and Log must be set.
type Options struct {
	Chamber  *chamber.Chamber
	Policies *auth.Policies
	// KMSKeyARNs and KMSThreshold are what the configuration allows new shares to be; threshold zero is any.
	KMSKeyARNs   []string
	KMSThreshold int
	// SlashingStore returns the identity of the slashing store that this process uses, as it does for the chamber.
	SlashingStore func(ctx context.Context) (string, error)
	// Reencrypt seals anew what is sealed with the master key before, and returns how much is left; nil if nothing is.
	Reencrypt func(ctx context.Context) (left int, err error)
	// Sections are what a backup has beside the signer state.
	Sections []chamber.Section
	// Lister reads stored keys, Generator makes new ones, Importer stores imported ones, and Changer changes stored ones. Without one there is
	// no route for that. Holder takes imported keys that are to be in memory alone; it is set if Importer is.
	Lister    Lister
	Generator Generator
	Importer  Importer
	Holder    Importer
	Changer   Changer
	// Network is that of deposits; it is set if Generator is.
	Network *eth2.Network
	// Bounds of the calls to stored keys; what is zero has its default.
	List, Generate, Import, Lifecycle Bound
	// MaxBackup is the most bytes of a backup that is restored, which is in memory then, because an enclave has no disk; zero is 128 MiB,
	// some 200,000 keys.
	MaxBackup int64
	Log       *zap.Logger
}

// API answers the calls. Each is one line of the log, and asks for a token: for the setup token if there is no chamber yet, else for a
// management token, or for a client token with the scope of the call. Whoever manages can have the master key under KMS keys that the
// configuration allows, and keep everything from signing.
type API struct {
	o Options

	restoring sync.Mutex // held for a whole restore: the file is in memory, once
	rotating  sync.Mutex // held for a whole rotation of the master key

	lists, generations, imports, changes places
}

// New makes the calls' handlers.
func New(o Options) *API {
	if o.MaxBackup == 0 {
		o.MaxBackup = 128 << 20
	}
	o.List, o.Generate = o.List.or(defaultItems), o.Generate.or(defaultItems)
	o.Import, o.Lifecycle = o.Import.or(defaultItems), o.Lifecycle.or(defaultChanges)
	return &API{
		o: o, lists: make(places, o.List.MaxRequests), generations: make(places, o.Generate.MaxRequests),
		imports: make(places, o.Import.MaxRequests), changes: make(places, o.Lifecycle.MaxRequests),
	}
}

// Register adds the routes.
func (a *API) Register(mux api.Router) {
	mux.HandleFunc("POST "+RouteInit, a.recorded(setup(a.initialize)))
	mux.HandleFunc("POST "+RouteSeal, a.recorded(scoped(auth.ChamberSeal, a.seal)))
	mux.HandleFunc("POST "+RouteUnseal, a.recorded(a.unseal))
	mux.HandleFunc("POST "+RouteRotateKMS, a.recorded(scoped(auth.ChamberRotate, a.rotateKMS)))
	mux.HandleFunc("POST "+RouteRotateMaster, a.recorded(scoped(auth.ChamberRotate, a.rotateMasterKey)))
	mux.HandleFunc("POST "+RouteRotateSlashing, a.recorded(scoped(auth.ChamberRotate, a.rotateSlashingStore)))
	mux.HandleFunc("POST "+RouteGenerateToken, a.recorded(managed(a.generateToken)))
	mux.HandleFunc("POST "+RouteRevokeToken, a.recorded(managed(a.revokeToken)))
	mux.HandleFunc("POST "+RouteFreeze, a.recorded(scoped(auth.ChamberSeal, a.freeze)))
	mux.HandleFunc("POST "+RouteUnfreeze, a.recorded(managed(a.unfreeze)))
	mux.HandleFunc("POST "+RouteApproveConfig, a.recorded(managed(a.approveConfig)))
	mux.HandleFunc("POST "+RouteRevokeConfig, a.recorded(managed(a.revokeConfig)))
	mux.HandleFunc("GET "+RouteBackup, a.recorded(managed(a.backup)))
	mux.HandleFunc("POST "+RouteRestore, a.recorded(setup(a.restore)))
	mux.HandleFunc("GET "+RoutePolicies, a.recorded(managed(a.policies)))
	mux.HandleFunc("PUT "+RoutePolicies+"/{name}", a.recorded(managed(a.putPolicy)))
	mux.HandleFunc("DELETE "+RoutePolicies+"/{name}", a.recorded(managed(a.deletePolicy)))
	mux.HandleFunc("GET "+RouteTokens, a.recorded(managed(a.tokens)))
	mux.HandleFunc("POST "+RouteTokens, a.recorded(managed(a.createToken)))
	mux.HandleFunc("POST "+RouteTokens+"/{id}/rotate", a.recorded(managed(a.rotateClientToken)))
	mux.HandleFunc("DELETE "+RouteTokens+"/{id}", a.recorded(managed(a.revokeClientToken)))
	mux.HandleFunc("POST "+RouteResetAuth, a.recorded(managed(a.resetAuth)))
	a.registerKeys(mux)
}

// registerKeys adds the routes to stored keys.
func (a *API) registerKeys(mux api.Router) {
	add := func(pattern string, scope auth.Scope, p places, b Bound, c call) {
		mux.HandleFunc(pattern, a.recorded(scoped(scope, a.bounded(p, b, c))))
	}
	if a.o.Lister != nil {
		add("GET "+RouteKeys, auth.ChamberKeysList, a.lists, a.o.List, a.listKeys)
		add("GET "+RouteKeys+"/{pubkey}/backup", auth.ChamberKeysGenerate, a.lists, a.o.List, a.keyBackup)
	}
	if a.o.Generator != nil {
		add("POST "+RouteGenerate, auth.ChamberKeysGenerate, a.generations, a.o.Generate, a.generateKeys)
	}
	if a.o.Importer != nil {
		add("POST "+RouteImport, auth.ChamberKeysImport, a.imports, a.o.Import, a.importKeys)
	}
	if a.o.Changer != nil {
		add("PATCH "+RouteKeys, auth.ChamberKeysPatch, a.changes, a.o.Lifecycle, a.setStatus)
		add("DELETE "+RouteKeys, auth.ChamberKeysDelete, a.changes, a.o.Lifecycle, a.deleteKeys)
	}
}
