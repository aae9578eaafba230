package chamber

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// What fields are, in words.
const (
	wantARNs   = "an array of ARNs of KMS keys"
	wantNumber = "a whole number"
	wantKeys   = "an array of public keys"
	wantText   = "a string"
)

// shares are the fields that say how the master key is shared.
func shares(arns *[]string, threshold *int) map[string]field {
	return map[string]field{"kms_key_arns": {arns, wantARNs, true}, "threshold": {threshold, wantNumber, true}}
}

// permitted holds KMS keys and a threshold against the configuration.
func (a *API) permitted(arns []string, threshold int) error {
	for i, arn := range arns {
		if slices.Contains(a.o.KMSKeyARNs, arn) {
			continue
		}
		if part := strings.Split(arn, ":"); len(part) != 6 || part[0] != "arn" || part[2] != "kms" {
			return problem.New(problem.Malformed, "kms_key_arns[%d]: %s is not the ARN of a KMS key", i, quote(arn))
		}
		return problem.New(problem.Forbidden, "kms_key_arns[%d]: KMS key %.120s is not in chamber.kms_key_arns of the configuration", i, arn)
	}
	if want := a.o.KMSThreshold; want != 0 && threshold != want {
		return problem.New(problem.Forbidden, "threshold: %d, and chamber.kms_threshold of the configuration is %d", threshold, want)
	}
	return nil
}

// initialize takes the first root token from a caller who has made one, so that it is not lost with the answer.
func (a *API) initialize(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var request chamber.InitRequest
	fields := shares(&request.KeyARNs, &request.Threshold)
	fields["root_token"] = field{&request.RootToken, wantText, false}
	if err := decode(r, fields); err != nil {
		return nil, err
	}
	e.fields = []zap.Field{zap.Strings("kms_key_arns", request.KeyARNs), zap.Int("threshold", request.Threshold)}
	if err := a.permitted(request.KeyARNs, request.Threshold); err != nil {
		return nil, err
	}
	result, err := a.o.Chamber.Init(r.Context(), request)
	if err != nil {
		return nil, refused(err)
	}
	return Initialized{a.done(), result.RootToken}, nil
}

// conclude answers a call that asked the chamber for something.
func (a *API) conclude(err error) (any, error) {
	if err != nil {
		return nil, refused(err)
	}
	return a.done(), nil
}

func (a *API) seal(_ http.ResponseWriter, r *http.Request, _ *event) (any, error) {
	if err := decode(r, nil); err != nil {
		return nil, err
	}
	return a.conclude(a.o.Chamber.SealChamber(r.Context()))
}

// unseal has the chamber check the token: nobody else can as long as it is sealed.
func (a *API) unseal(_ http.ResponseWriter, r *http.Request, _ *event) (any, error) {
	token, err := bearer(r)
	if err == nil {
		err = decode(r, nil)
	}
	if err != nil {
		return nil, err
	}
	return a.conclude(a.o.Chamber.Unseal(r.Context(), token))
}

func (a *API) rotateKMS(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var arns []string
	var threshold int
	if err := decode(r, shares(&arns, &threshold)); err != nil {
		return nil, err
	}
	e.fields = []zap.Field{zap.Strings("kms_key_arns", arns), zap.Int("threshold", threshold)}
	if err := a.permitted(arns, threshold); err != nil {
		return nil, err
	}
	return a.conclude(a.o.Chamber.RotateKMS(r.Context(), arns, threshold))
}

func (a *API) rotateMasterKey(_ http.ResponseWriter, r *http.Request, _ *event) (any, error) {
	if err := decode(r, nil); err != nil {
		return nil, err
	}
	if !a.rotating.TryLock() {
		return nil, refused(chamber.ErrBusy)
	}
	defer a.rotating.Unlock()
	return a.conclude(a.o.Chamber.RotateMasterKey(r.Context(), a.o.Reencrypt))
}

func (a *API) rotateSlashingStore(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var id string
	if err := decode(r, map[string]field{"store_id": {&id, wantText, false}}); err != nil {
		return nil, err
	}
	if id == "" {
		var err error
		if id, err = a.o.SlashingStore(r.Context()); err != nil {
			return nil, problem.New(problem.StoreUnavailable, "the identity of the slashing store in use: %v", err)
		}
	}
	e.fields = []zap.Field{zap.String("store_id", id)}
	return a.conclude(a.o.Chamber.PinSlashingStore(r.Context(), id))
}

// maxLifetime is the longest lifetime of a root token; none at all is longer.
const maxLifetime = 10 * 365 * 24 * time.Hour

func (a *API) generateToken(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var seconds int64
	if err := decode(r, map[string]field{"lifetime_seconds": {&seconds, "a whole number of seconds", false}}); err != nil {
		return nil, err
	}
	if most := int64(maxLifetime / time.Second); seconds < 0 || seconds > most {
		return nil, problem.New(problem.Malformed, "lifetime_seconds: %d, want 0, for a token that does not expire, to %d", seconds, most)
	}
	text, t, err := a.o.Chamber.GenerateRootToken(r.Context(), time.Duration(seconds)*time.Second)
	if err != nil {
		return nil, refused(err)
	}
	e.fields = []zap.Field{zap.String("generated", t.ID)}
	out := Token{ID: t.ID, RootToken: text, Created: t.Created.UTC()}
	if !t.Expires.IsZero() {
		out.Expires = t.Expires.UTC()
	}
	return out, nil
}

// revokeToken refuses an id that there is not: who misspells one must not take the token for revoked.
func (a *API) revokeToken(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var id string
	if err := decode(r, map[string]field{"id": {&id, wantText, true}}); err != nil {
		return nil, err
	}
	if _, err := tokenID(id); err != nil {
		return nil, err
	}
	if err := a.o.Chamber.Refresh(r.Context()); err != nil {
		return nil, refused(err)
	}
	if !slices.ContainsFunc(a.o.Chamber.Status().RootTokens, func(t chamber.Token) bool { return t.ID == id }) {
		return nil, problem.New(problem.Malformed, "id: there is no root token %s", quote(id))
	}
	e.fields = []zap.Field{zap.String("revoked", id)}
	return a.conclude(a.o.Chamber.RevokeRootToken(r.Context(), id))
}

func (a *API) freeze(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	keys, err := named(r, e)
	if err != nil {
		return nil, err
	}
	return a.conclude(a.o.Chamber.Freeze(r.Context(), keys))
}

func (a *API) unfreeze(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	keys, err := named(r, e)
	if err != nil {
		return nil, err
	}
	return a.conclude(a.o.Chamber.Unfreeze(r.Context(), keys))
}

func named(r *http.Request, e *event) ([][48]byte, error) {
	var texts *[]string
	if err := decode(r, map[string]field{"pubkeys": {&texts, wantKeys, false}}); err != nil {
		return nil, err
	}
	keys, err := publicKeys(texts)
	e.fields = []zap.Field{zap.Int("keys", len(keys)), zap.Bool("all", texts == nil)}
	return keys, err
}

func (a *API) approveConfig(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var digest, label string
	if err := decode(r, map[string]field{"digest": {&digest, wantText, true}, "label": {&label, wantText, false}}); err != nil {
		return nil, err
	}
	e.fields = []zap.Field{zap.String("digest", digest), zap.String("label", label)}
	return a.conclude(a.o.Chamber.ApproveConfig(r.Context(), digest, label))
}

// revokeConfig refuses a digest that is not approved, as revokeToken does an id.
func (a *API) revokeConfig(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var digest string
	if err := decode(r, map[string]field{"digest": {&digest, wantText, true}}); err != nil {
		return nil, err
	}
	if err := a.o.Chamber.Refresh(r.Context()); err != nil {
		return nil, refused(err)
	}
	if !slices.ContainsFunc(a.o.Chamber.Status().Approved, func(p chamber.Approval) bool { return p.Digest == digest }) {
		return nil, problem.New(problem.Malformed, "digest: configuration %s is not approved", quote(digest))
	}
	e.fields = []zap.Field{zap.String("digest", digest)}
	return a.conclude(a.o.Chamber.RevokeConfig(r.Context(), digest))
}
