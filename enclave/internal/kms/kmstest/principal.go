package kmstest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Principal is a role or user that may sign requests.
type Principal struct {
	ARN string // arn:PARTITION:iam::ACCOUNT:role/PATH/NAME, or of a user
	// IdentityAllows tells whether its identity policies allow everything of KMS, or nothing. They count where a key policy
	// delegates to the account, and for GenerateRandom, which has no key.
	IdentityAllows bool
	// Policy is its identity policy, if what IdentityAllows says is not enough: it counts there too, and for keys of other accounts.
	Policy []byte
	// AccessKey is what it signs with; of a role it is a session that does not end. Empty is none.
	AccessKey AccessKey
	// WebIdentityToken is what STS gives a session of the role for; empty is none.
	WebIdentityToken string
}

// AccessKey are the credentials of a user, or with a token those of a role's session.
type AccessKey struct{ ID, Secret, Token string }

// principal is a Principal with its ARN taken apart.
type principal struct {
	arn, partition, account string
	kind, name              string // role or user, and without its path
	identityAllows          bool
	policy                  *IdentityPolicy // nil: identityAllows
	token                   string          // guarded by Server.mu
}

// caller is who signed a request.
type caller struct {
	*principal

	arn string // of the session, or of the user
}

// session is what an access key stands for.
type session struct {
	secret, token string
	caller        caller
	expires       time.Time // zero is never
}

var (
	principalARN = regexp.MustCompile(`^arn:(aws[a-z-]*):iam::(\d{12}):(role|user)/((?:[!-~]+/)?[\w+=,.@-]{1,64})$`)
	sessionName  = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
)

func (s *Server) addPrincipal(p Principal) error {
	parts := principalARN.FindStringSubmatch(p.ARN)
	switch {
	case parts == nil:
		return errors.New("not the ARN of a role or user")
	case s.principals[p.ARN] != nil:
		return errors.New("it is there twice")
	case parts[3] == "user" && (p.WebIdentityToken != "" || p.AccessKey.Token != ""):
		return errors.New("a user has no sessions here, only a role")
	case (p.AccessKey.ID == "") != (p.AccessKey.Secret == ""):
		return errors.New("access key: only one of ID and secret")
	case p.IdentityAllows && p.Policy != nil:
		return errors.New("IdentityAllows and a policy: only one of them")
	}
	made := &principal{
		arn: p.ARN, partition: parts[1], account: parts[2], kind: parts[3], name: parts[4][strings.LastIndexByte(parts[4], '/')+1:],
		identityAllows: p.IdentityAllows, token: p.WebIdentityToken,
	}
	if p.Policy != nil {
		parsed, err := ParseIdentityPolicy(p.Policy)
		if err != nil {
			return within("policy", err)
		}
		made.policy = &parsed
	}
	s.principals[p.ARN] = made
	if p.AccessKey.ID == "" {
		return nil
	}
	if _, taken := s.sessions[p.AccessKey.ID]; taken {
		return fmt.Errorf("access key %s: it is another's", p.AccessKey.ID)
	}
	s.sessions[p.AccessKey.ID] = session{secret: p.AccessKey.Secret, token: p.AccessKey.Token, caller: made.as("kmstest")}
	return nil
}

// as is the principal as it signs requests: a role does in a session.
func (p *principal) as(sessionName string) caller {
	if p.kind == "user" {
		return caller{p, p.arn}
	}
	return caller{p, fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/%s", p.partition, p.account, p.name, sessionName)}
}

// NewSession gives temporary credentials of a role, as an instance has them, for so long; 0 is an hour.
func (s *Server) NewSession(roleARN, name string, life time.Duration) (aws.Credentials, error) {
	if !sessionName.MatchString(name) {
		return aws.Credentials{}, fmt.Errorf("session %q is no name of a session", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.principals[roleARN]
	if p == nil || p.kind != "role" {
		return aws.Credentials{}, fmt.Errorf("no role %q", roleARN)
	}
	return s.give(p, name, life), nil
}

// give wants the lock.
func (s *Server) give(p *principal, name string, life time.Duration) aws.Credentials {
	if life == 0 {
		life = time.Hour
	}
	expires := s.now().Add(life).Truncate(time.Second) // as it is written in the answer
	c := aws.Credentials{
		AccessKeyID: "ASIA" + rand.Text()[:16], SecretAccessKey: rand.Text() + rand.Text()[:14], SessionToken: strings.Repeat(rand.Text(), 8),
		Source: "kmstest", CanExpire: true, Expires: expires, AccountID: p.account,
	}
	s.sessions[c.AccessKeyID] = session{secret: c.SecretAccessKey, token: c.SessionToken, caller: p.as(name), expires: expires}
	return c
}

// SetWebIdentityToken changes the token that STS takes for a role; empty is none. Sessions that were given go on.
func (s *Server) SetWebIdentityToken(roleARN, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.principals[roleARN]
	if p == nil || p.kind != "role" {
		return fmt.Errorf("no role %q", roleARN)
	}
	p.token = token
	return nil
}
