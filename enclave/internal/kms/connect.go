package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/awshttp"
)

// newAPI makes the SDK's client, of no region in particular. It connects by o.Dial alone.
func newAPI(o Options) *kms.Client {
	return kms.New(kms.Options{
		Credentials: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			c, err := o.Credentials.Retrieve(ctx)
			if err != nil {
				err = &credentialsError{"AWS credentials: " + err.Error()}
			}
			return c, err
		}),
		HTTPClient: awshttp.New(o.Dial, o.RootCAs),
		// What is sent again is decided by send: the SDK's own retryer asks the environment.
		Retryer: aws.NopRetryer{},
	})
}

// credentialsError is why there are no credentials. It is text, because as a value it would be taken for an answer of KMS.
type credentialsError struct{ text string }

func (e *credentialsError) Error() string { return e.text }
