package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
)

// awsCredentials finds AWS credentials where every AWS tool does: in the environment, the profile, a web identity token, the
// container's or the instance's role. Whatever is asked over a network is asked by dial.
func awsCredentials(ctx context.Context, region string, dial egress.DialFunc) (aws.CredentialsProvider, error) {
	client := awshttp.NewBuildableClient().WithTimeout(10 * time.Second).WithTransportOptions(func(t *http.Transport) {
		t.Proxy, t.DialContext = nil, dial
	})
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(region), config.WithHTTPClient(client))
	if err != nil {
		return nil, fmt.Errorf("AWS credentials: %w", err)
	}
	return c.Credentials, nil
}
