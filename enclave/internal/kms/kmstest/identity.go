package kmstest

import (
	"fmt"
	"regexp"
	"strings"
)

// maxIdentityPolicy is the most bytes of the inline policies of a role, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html.
const maxIdentityPolicy = 10240

// IdentityPolicy is an identity policy of IAM: what a role or user may do, with services of all kinds.
type IdentityPolicy struct{ policy policy }

var identityAction = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z*?]+$`)

// ParseIdentityPolicy reads an identity policy. As in key policies, what is not known here is refused.
func ParseIdentityPolicy(text []byte) (IdentityPolicy, error) {
	if len(text) > maxIdentityPolicy {
		return IdentityPolicy{}, fmt.Errorf("%d bytes, more than %d", len(text), maxIdentityPolicy)
	}
	p, err := parseStatements(text, parseIdentityStatement, "Version", "Statement")
	return IdentityPolicy{p}, err
}

func parseIdentityStatement(raw []byte) (statement, error) {
	fields, err := object(raw, "Sid", "Effect", "Action", "Resource", "Condition")
	if err != nil {
		return statement{}, err
	}
	s, err := fields.statement()
	if err != nil {
		return statement{}, err
	}
	s.principals = []string{"*"} // whose policy it is
	for _, r := range s.resources {
		if r != "*" && (strings.Count(r, ":") < 5 || !strings.HasPrefix(r, "arn:")) {
			return statement{}, within("Resource", fmt.Errorf("%q is no ARN", r))
		}
	}
	for i, a := range s.actions {
		if !identityAction.MatchString(a) {
			return statement{}, within("Action", fmt.Errorf("%q is no action", a))
		}
		s.actions[i] = strings.ToLower(a)
	}
	return s, nil
}

// Allows tells whether the policy alone allows an action, such as dynamodb:GetItem, on a resource, an ARN, for a request that no service makes
// for the caller and that has nothing else that a condition could ask for. The reason names the statement, or what was missing.
func (p IdentityPolicy) Allows(action, resource string) (allowed bool, reason string) {
	d := p.policy.decide(request{caller: caller{principal: &principal{}}, action: action, key: resource})
	return d.allowed, d.reason
}

// identity is what the caller's identity policies say about a request.
func (c caller) identity(r request) decision {
	if c.policy == nil {
		return decision{allowed: c.identityAllows, reason: "what its identity policies are told to say"}
	}
	return c.policy.policy.decide(r)
}

// elsewhere tells whether an identity policy is wanted besides that of the key, which is of another account. One that is not known says nothing.
func (c caller) elsewhere(keyAccount string) bool { return c.policy != nil && c.account != keyAccount }
