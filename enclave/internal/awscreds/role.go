package awscreds

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// ErrAnotherRole is in the error when credentials are not of the role that they must be of.
var ErrAnotherRole = errors.New("credentials of another role than tee.role_arn")

// role is what a role's ARN and that of its sessions have in common: the path of a role is not in the ARN of a session
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html). Names are unique in an account, whatever the path.
type role struct{ partition, account, name string }

// parseRole reads arn:PARTITION:iam::ACCOUNT:role/PATH/NAME.
func parseRole(arn string) (role, error) {
	parts := strings.Split(arn, ":")
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" || parts[3] != "" || !strings.HasPrefix(parts[5], "role/") {
		return role{}, fmt.Errorf("%q is not the ARN of a role", arn)
	}
	r := role{parts[1], parts[4], parts[5][strings.LastIndexByte(parts[5], '/')+1:]}
	if r.partition == "" || r.account == "" || r.name == "" {
		return role{}, fmt.Errorf("%q is not the ARN of a role", arn)
	}
	return r, nil
}

// parseSession reads arn:PARTITION:sts::ACCOUNT:assumed-role/NAME/SESSION; ok is false for anybody else's, as a user's.
func parseSession(arn string) (r role, ok bool) {
	parts := strings.Split(arn, ":")
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "sts" || parts[3] != "" {
		return role{}, false
	}
	session := strings.Split(parts[5], "/")
	if len(session) != 3 || session[0] != "assumed-role" {
		return role{}, false
	}
	return role{parts[1], parts[4], session[1]}, true
}

// checkRole asks STS, which the parent cannot answer for, whose credentials these are. It needs no permission.
func (p *Provider) checkRole(ctx context.Context, c aws.Credentials) error {
	if p.options.RoleARN == "" {
		return nil
	}
	fixed := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
	answer, err := p.stsClient.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.Options) { o.Credentials = fixed })
	if err != nil {
		return fmt.Errorf("see with STS GetCallerIdentity whether they are of tee.role_arn: %s", err.Error())
	}
	arn := aws.ToString(answer.Arn)
	if got, ok := parseSession(arn); !ok || got != p.role {
		return fmt.Errorf("%w: they are of %.300q, and tee.role_arn is %s", ErrAnotherRole, arn, p.options.RoleARN)
	}
	return nil
}
