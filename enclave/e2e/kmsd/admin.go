package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
)

// maxOrder is the largest order in bytes: a policy, and what is around it.
const maxOrder = 64 << 10

// admin takes orders, in YAML or JSON:
//
//	GET  /trail                               what was asked, a line each
//	GET  /trail.json                          the same as a list of objects
//	PUT  /state    {key: ARN, state: Disabled}
//	PUT  /policy   {key: ARN, policy: TEXT}
//	PUT  /faults   {key: ARN, throttle: 0.5, latency: 200ms, error: NAME, drop_recipient: true, garbage: KIND}
//	               without key for all that have no faults of their own; what is not named is off
//	PUT  /denied   {principal: ARN, denied: true}
//	PUT  /clock    {ahead: 1h}                of this machine's, or -1h; 0s is this machine's again
//	PUT  /token    {role: ARN, token: TEXT}   the web identity token from now on
//	POST /session  {role: ARN, name: NAME, life: 1h}
//	               answers credentials as the AWS CLI's credential_process wants them
func admin(s *kmstest.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /trail", func(w http.ResponseWriter, _ *http.Request) {
		for _, e := range s.Trail() {
			fmt.Fprintln(w, e)
		}
	})
	mux.HandleFunc("GET /trail.json", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.Trail()) })
	mux.HandleFunc("PUT /state", order(func(o struct {
		Key   string        `yaml:"key"`
		State kmstest.State `yaml:"state"`
	},
	) (any, error) {
		return nil, s.SetState(o.Key, o.State)
	}))
	mux.HandleFunc("PUT /policy", order(func(o struct {
		Key    string `yaml:"key"`
		Policy string `yaml:"policy"`
	},
	) (any, error) {
		return nil, s.SetPolicy(o.Key, []byte(o.Policy))
	}))
	mux.HandleFunc("PUT /faults", order(func(o struct {
		Key            string `yaml:"key"`
		kmstest.Faults `yaml:",inline"`
	},
	) (any, error) {
		return nil, s.SetFaults(o.Key, o.Faults)
	}))
	mux.HandleFunc("PUT /denied", order(func(o struct {
		Principal string `yaml:"principal"`
		Denied    bool   `yaml:"denied"`
	},
	) (any, error) {
		return nil, s.DenyPrincipal(o.Principal, o.Denied)
	}))
	mux.HandleFunc("PUT /clock", order(func(o struct {
		Ahead *time.Duration `yaml:"ahead"`
	},
	) (any, error) {
		if o.Ahead == nil {
			return nil, errors.New("ahead: not given")
		}
		s.SetClock(*o.Ahead)
		return nil, nil
	}))
	mux.HandleFunc("PUT /token", order(func(o struct {
		Role  string `yaml:"role"`
		Token string `yaml:"token"`
	},
	) (any, error) {
		return nil, s.SetWebIdentityToken(o.Role, o.Token)
	}))
	mux.HandleFunc("POST /session", order(func(o struct {
		Role string        `yaml:"role"`
		Name string        `yaml:"name"`
		Life time.Duration `yaml:"life"`
	},
	) (any, error) {
		c, err := s.NewSession(o.Role, o.Name, o.Life)
		return map[string]any{
			"Version": 1, "AccessKeyId": c.AccessKeyID, "SecretAccessKey": c.SecretAccessKey, "SessionToken": c.SessionToken,
			"Expiration": c.Expires.UTC().Format(time.RFC3339),
		}, err
	}))
	return mux
}

// order reads an order and answers what became of it: 204 if there is nothing to say, 422 if it cannot be.
func order[T any](do func(T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		var o T
		if err := decode(text, &o); err != nil && !errors.Is(err, io.EOF) {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, err := do(o)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		case out == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			answer(w, out)
		}
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // nobody is left to tell
}
