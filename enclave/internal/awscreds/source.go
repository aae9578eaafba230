package awscreds

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

const (
	// sessionName is how CloudTrail names what the signer did with a web identity.
	sessionName = "containment-chamber"
	// metadata is the instance metadata service.
	metadata = "http://169.254.169.254"
)

// refresh gets new credentials and sees whose they are.
//
// An error of the SDK's becomes text here: as a value it would be taken for the answer of the service that the credentials are for.
func (p *Provider) refresh(ctx context.Context) (c aws.Credentials, source string, err error) {
	identity, err := p.options.Ask(ctx)
	if err != nil {
		return aws.Credentials{}, "", fmt.Errorf("ask the parent for its token: %s", err.Error())
	}
	provider, step, err := p.source(identity)
	if err != nil {
		return aws.Credentials{}, "", err
	}
	if c, err = provider.Retrieve(ctx); err != nil {
		return aws.Credentials{}, "", fmt.Errorf("%s: %s", step, err.Error())
	}
	switch {
	case !c.HasKeys():
		return aws.Credentials{}, "", fmt.Errorf("%s: the answer holds no keys", step)
	case !usable(c, time.Now()):
		return aws.Credentials{}, "", fmt.Errorf("%s: the answer's credentials end at %v", step, c.Expires.UTC().Format(time.RFC3339))
	}
	return c, step, p.checkRole(ctx, c)
}

// source is who gives credentials for an identity, and what asking it is called.
func (p *Provider) source(identity wire.Identity) (provider aws.CredentialsProvider, step string, err error) {
	switch identity.Source {
	case wire.WebIdentity:
		if want := p.options.RoleARN; want != "" && identity.Name != want {
			return nil, "", fmt.Errorf("%w: the parent has a token for %s, and tee.role_arn is %s", ErrAnotherRole, identity.Name, want)
		}
		return stscreds.NewWebIdentityRoleProvider(p.stsClient, identity.Name, token(identity.Token), func(o *stscreds.WebIdentityRoleOptions) {
			o.RoleSessionName = sessionName
		}), "STS AssumeRoleWithWebIdentity of " + identity.Name, nil
	case wire.PodIdentity:
		return endpointcreds.New(identity.Name, func(o *endpointcreds.Options) {
			o.HTTPClient, o.Retryer, o.AuthorizationToken = p.client, aws.NopRetryer{}, identity.Token
		}), "agent " + identity.Name, nil
	case wire.NoSource:
		// Every option that would otherwise come from the environment is set.
		client := imds.New(imds.Options{
			Endpoint: metadata, ClientEnableState: imds.ClientEnabled, EnableFallback: aws.FalseTernary,
			HTTPClient: p.client, Retryer: aws.NopRetryer{},
		})
		return ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = client }), "the instance's role (the parent's environment has neither " +
			"AWS_WEB_IDENTITY_TOKEN_FILE nor AWS_CONTAINER_CREDENTIALS_FULL_URI, and a route to 169.254.169.254, port 80, plain, is the last resort)", nil
	}
	return nil, "", errors.New("ask the parent for its token: its answer has no source")
}

// token is a web identity's.
type token string

// GetIdentityToken implements [stscreds.IdentityTokenRetriever].
func (t token) GetIdentityToken() ([]byte, error) { return []byte(t), nil }
