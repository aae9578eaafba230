package app

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
)

// dial is the way out: the route table in an enclave, elsewhere the network.
func (s *signer) dial() egress.DialFunc {
	if s.options.Platform.TEE != nil {
		return s.dialer.DialContext
	}
	return s.options.Platform.Direct
}

// Postgres makes the OpenStore of anti_slashing.backend postgres.
func Postgres(find Credentials) OpenStore {
	return postgresWith(func(ctx context.Context, c config.AntiSlashing, dial egress.DialFunc) (passwords, error) {
		if c.PasswordSource != "rds_iam" {
			return nil, nil //nolint:nilnil // no function means the URL's password
		}
		return rdsTokens(ctx, find, "anti_slashing.password_source", c.AWSRegion(), dial)
	})
}

// postgresWith has the passwords come from a function, unless that returns none.
func postgresWith(source func(ctx context.Context, c config.AntiSlashing, dial egress.DialFunc) (passwords, error)) OpenStore {
	return func(ctx context.Context, c config.AntiSlashing, dial egress.DialFunc) (slashing.Store, error) {
		cas, err := c.CAs()
		if err != nil {
			return nil, err
		}
		password, err := source(ctx, c, dial)
		if err != nil {
			return nil, err
		}
		s, err := postgres.Open(ctx, postgres.Options{
			URL: c.URL, CAs: cas, Dial: dial, ForceIPv4: c.ForceIPv4, PoolSize: c.PoolSize, Timeout: c.WriteTimeout, CheckOnly: c.Migrate == "check",
			Password: password, SCRAM: c.PasswordSource == "kms",
		})
		if err != nil {
			return nil, err // and not a Store that holds a nil
		}
		return s, nil
	}
}

// rdsTokens makes a password for each new connection: a signed request that RDS takes for 15 minutes
// (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html). A connection stays when its token has expired.
func rdsTokens(ctx context.Context, find Credentials, key, region string, dial egress.DialFunc) (passwords, error) {
	provider, err := find(ctx, region, dial)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return func(ctx context.Context, t pgurl.Target) (string, error) {
		token, err := auth.BuildAuthToken(ctx, t.Address(), region, t.User, provider)
		if err != nil {
			return "", fmt.Errorf("token of %s rds_iam: %w", key, err)
		}
		return token, nil
	}, nil
}
