package kmstest

import (
	"crypto/subtle"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	stsVersion  = "2011-06-15"
	minDuration = 900
	maxDuration = 43200
)

// stsError is how STS answers errors.
type stsError struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

type assumed struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
	ARN       string   `xml:"AssumeRoleWithWebIdentityResult>AssumedRoleUser>Arn"`
	RoleID    string   `xml:"AssumeRoleWithWebIdentityResult>AssumedRoleUser>AssumedRoleId"`
	ID        string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>AccessKeyId"`
	Secret    string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>SecretAccessKey"`
	Session   string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>SessionToken"`
	Expires   string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>Expiration"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

type identity struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
	ARN       string   `xml:"GetCallerIdentityResult>Arn"`
	UserID    string   `xml:"GetCallerIdentityResult>UserId"`
	Account   string   `xml:"GetCallerIdentityResult>Account"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

// serveSTS answers the query protocol, https://docs.aws.amazon.com/STS/latest/APIReference/. The faults of keys are not its.
func (s *Server) serveSTS(w http.ResponseWriter, r *http.Request, body []byte) {
	event := s.newEvent("sts")
	form, err := url.ParseQuery(string(body))
	var answer any
	switch event.Operation = form.Get("Action"); {
	case err != nil || form.Get("Version") != stsVersion:
		err = refusal(http.StatusBadRequest, "InvalidAction", "not a request of version %s", stsVersion)
	case event.Operation == "AssumeRoleWithWebIdentity":
		answer, err = s.assumeRole(r, form, &event)
	case event.Operation == "GetCallerIdentity":
		answer, err = s.callerIdentity(r, body, &event)
	default:
		err = refusal(http.StatusBadRequest, "InvalidAction", "kmstest has no %s", event.Operation)
	}
	status := http.StatusOK
	if err != nil {
		refused, _ := errors.AsType[*awsError](err)
		if refused == nil {
			refused = refusal(http.StatusInternalServerError, "InternalFailure", "%v", err)
		}
		status, event.Error, event.Reason = refused.status, refused.code, refused.message
		answer = stsError{Type: "Sender", Code: refused.code, Message: refused.message, RequestID: event.ID}
	}
	s.note(event)
	text, err := xml.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("X-Amzn-Requestid", event.ID)
	w.WriteHeader(status)
	_, _ = w.Write(text) // nobody is left to tell
}

// assumeRole gives a session for a token. The request is not signed: the token is all that the caller has.
func (s *Server) assumeRole(r *http.Request, form url.Values, event *Event) (any, error) {
	life := time.Hour
	if text := form.Get("DurationSeconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < minDuration || seconds > maxDuration {
			return nil, refusal(http.StatusBadRequest, "ValidationError", "DurationSeconds is not between %d and %d", minDuration, maxDuration)
		}
		life = time.Duration(seconds) * time.Second
	}
	name := form.Get("RoleSessionName")
	if !sessionName.MatchString(name) || r.Header.Get("Authorization") != "" {
		return nil, refusal(http.StatusBadRequest, "ValidationError", "RoleSessionName is no name of a session, or the request is signed")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token := form.Get("WebIdentityToken")
	var told bool
	for _, p := range s.principals {
		told = told || p.hasToken(token)
	}
	p := s.principals[form.Get("RoleArn")]
	switch {
	case !told:
		return nil, refusal(http.StatusBadRequest, "InvalidIdentityToken", "The token is not one that was told.")
	case p == nil, !p.hasToken(token):
		return nil, refusal(http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	c := s.give(p, name, life)
	event.Principal, event.Allowed, event.Reason = p.as(name).arn, true, "the token of "+p.arn
	return assumed{
		ARN: event.Principal, RoleID: "AROAKMSTEST:" + name, ID: c.AccessKeyID, Secret: c.SecretAccessKey, Session: c.SessionToken,
		Expires: c.Expires.UTC().Format(time.RFC3339), RequestID: event.ID,
	}, nil
}

func (p *principal) hasToken(token string) bool {
	return p.token != "" && subtle.ConstantTimeCompare([]byte(p.token), []byte(token)) == 1
}

// callerIdentity needs no permission.
func (s *Server) callerIdentity(r *http.Request, body []byte, event *Event) (any, error) {
	who, region, err := s.authenticate(r, body, "sts")
	if err != nil {
		return nil, asSTS(err)
	}
	event.Principal, event.Region, event.Allowed, event.Reason = who.arn, region, true, "no permission is needed"
	return identity{ARN: who.arn, UserID: "AROAKMSTEST", Account: who.account, RequestID: event.ID}, nil
}

// asSTS is an error of authentication by the name that it has there.
func asSTS(err error) error {
	refused, ok := errors.AsType[*awsError](err)
	if !ok {
		return err
	}
	name := map[string]string{
		"UnrecognizedClientException": "InvalidClientTokenId", "InvalidSignatureException": "SignatureDoesNotMatch", "ExpiredTokenException": "ExpiredToken",
		"MissingAuthenticationTokenException": "MissingAuthenticationToken", "IncompleteSignatureException": "IncompleteSignature",
	}[refused.code]
	return refusal(http.StatusForbidden, name, "%s", refused.message)
}
