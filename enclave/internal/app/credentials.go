package app

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/awscreds"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/boot"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// Credentials finds the AWS credentials of this process, asking by dial what is asked over a network.
type Credentials func(ctx context.Context, region string, dial egress.DialFunc) (aws.CredentialsProvider, error)

// NoCredentials is for a process that has none.
func NoCredentials(context.Context, string, egress.DialFunc) (aws.CredentialsProvider, error) {
	return nil, errors.New("this binary has no source of AWS credentials")
}

// relayed are the Credentials of a signer in an enclave: the parent says what AWS gives them for, and AWS, reached through the route
// table, whose they are. It returns when they are there. What is in the enclave's own environment and files has no say. All that needs
// credentials shares those of the first that asked.
func (s *signer) relayed(ctx context.Context, region string, dial egress.DialFunc) (aws.CredentialsProvider, error) {
	if s.credentials != nil {
		return s.credentials, nil
	}
	network := s.options.Platform.TEE.Network
	p, err := awscreds.New(awscreds.Options{
		Ask:  func(ctx context.Context) (wire.Identity, error) { return boot.Identity(ctx, network) },
		Dial: dial, Region: region, RoleARN: s.cfg.TEE.RoleARN, Log: s.log.Named("credentials"), Registry: s.registry,
	})
	if err != nil {
		return nil, err
	}
	s.house.start("AWS credentials", p.Run)
	if err := p.Await(ctx, func(reason error) { boot.Retrying(ctx, reason) }); err != nil {
		return nil, err
	}
	s.credentials = p
	return p, nil
}
