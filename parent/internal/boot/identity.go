package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// What AWS clients are told where they run: by EKS with an IAM role for the service account
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-configuration.html), and by EKS Pod Identity
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html).
const (
	roleVariable       = "AWS_ROLE_ARN"
	webTokenVariable   = "AWS_WEB_IDENTITY_TOKEN_FILE" //nolint:gosec // the name of a variable
	agentVariable      = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	agentTokenVariable = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" //nolint:gosec // the name of a variable
)

// identityFailed is, beside the sources, a result of a request.
const identityFailed = "failed"

// newIdentities makes the counter of requests, with every result at once, so that an alert sees the first failure.
func newIdentities(auto promauto.Factory) *prometheus.CounterVec {
	c := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "containment_parent_identity_requests_total",
		Help: "Requests of the enclave for what AWS gives credentials for, by the source that it was told, or failed.",
	}, []string{"result"})
	for _, result := range []string{wire.NoSource.String(), wire.WebIdentity.String(), wire.PodIdentity.String(), identityFailed} {
		c.WithLabelValues(result)
	}
	return c
}

// identify answers one request. The token goes to the enclave and nowhere else.
func (s *Service) identify(ctx context.Context, c net.Conn, m wire.IdentityRequest) {
	identity, err := s.identity(m)
	if err != nil {
		_ = send(c, wire.Refusal{Reason: err.Error()}) // it is told, if it is still there; the log tells it anyway
	} else {
		err = send(c, identity)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.metrics.identities.WithLabelValues(identityFailed).Inc()
		s.unidentified.Fail(s.log, "the enclave was given no AWS identity", err.Error(), err)
	default:
		s.metrics.identities.WithLabelValues(identity.Source.String()).Inc()
		s.unidentified.Heal(s.log, "the enclave is given an AWS identity again")
	}
}

// identity is what the environment says, in the order of the AWS SDKs: a web identity before a container's. Files are read at each
// request, because tokens rotate.
func (s *Service) identity(m wire.IdentityRequest) (wire.Identity, error) {
	if m.Version != wire.Version {
		return wire.Identity{}, versionError(m.Version)
	}
	if path := s.getenv(webTokenVariable); path != "" {
		return readIdentity(wire.WebIdentity, roleVariable, s.getenv(roleVariable), webTokenVariable, path)
	}
	if url := s.getenv(agentVariable); url != "" {
		return readIdentity(wire.PodIdentity, agentVariable, url, agentTokenVariable, s.getenv(agentTokenVariable))
	}
	return wire.Identity{Source: wire.NoSource}, nil
}

// readIdentity joins a variable's value and the token in the file that another variable names.
func readIdentity(source wire.Source, nameVariable, name, tokenVariable, path string) (wire.Identity, error) {
	switch {
	case name == "":
		return wire.Identity{}, fmt.Errorf("%s is set, but %s is not", tokenVariable, nameVariable)
	case path == "":
		return wire.Identity{}, fmt.Errorf("%s is set, but %s is not", nameVariable, tokenVariable)
	}
	token, err := readToken(path)
	if err != nil {
		return wire.Identity{}, fmt.Errorf("%s: %w", tokenVariable, err)
	}
	identity := wire.Identity{Source: source, Name: name, Token: token}
	if err := identity.Check(); err != nil {
		return wire.Identity{}, fmt.Errorf("%s and %s (%s): %w", nameVariable, tokenVariable, path, err)
	}
	return identity, nil
}

// readToken is the file's text without white space around it. The errors name the file and do not repeat the text.
func readToken(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // a pipe would be waited for
		return "", &os.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, wire.MaxToken+2)) // a line's end, and one more byte to see that it is too long
	return strings.TrimSpace(string(text)), err
}
