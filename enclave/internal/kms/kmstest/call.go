package kmstest

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// maxBody is the largest request in bytes: a document of 256 KiB in base64, and a ciphertext.
const maxBody = 1 << 20

// call is one call of KMS on its way.
type call struct {
	event     *Event
	in        input
	caller    caller
	region    string
	doc       *attestation.Document // nil if none came
	recipient *rsa.PublicKey        // of the document
	key       *key                  // nil for GenerateRandom
	faults    Faults
}

// input is that of all operations together.
type input struct {
	KeyID               string `json:"KeyId"`
	CiphertextBlob      []byte
	Plaintext           []byte
	EncryptionContext   map[string]string
	EncryptionAlgorithm string
	KeySpec             string
	NumberOfBytes       *int
	Recipient           *struct {
		AttestationDocument    []byte
		KeyEncryptionAlgorithm string
	}
	GrantTokens []string
	DryRun      bool
}

// ServeHTTP answers KMS where a request names an operation of it, STS elsewhere.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat)) // by which an SDK corrects its clock
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	switch {
	case err != nil:
		writeJSON(w, "", refusal(http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "the request has more than %d bytes", maxBody))
	case r.Method != http.MethodPost || r.URL.Path != "/":
		writeJSON(w, "", refusal(http.StatusNotFound, "UnknownOperationException", "%s %s", r.Method, r.URL.Path))
	case r.Header.Get("X-Amz-Target") != "":
		s.serveKMS(w, r, body)
	default:
		s.serveSTS(w, r, body)
	}
}

func (s *Server) serveKMS(w http.ResponseWriter, r *http.Request, body []byte) {
	event := s.newEvent("kms")
	answer, err := s.call(r, body, &event)
	if err != nil {
		refused, ok := errors.AsType[*awsError](err)
		if !ok {
			refused = refusal(http.StatusInternalServerError, "KMSInternalException", "%v", err)
		}
		event.Error = refused.code
		if refused.message != "" && (event.Reason == "" || event.Allowed) {
			event.Reason = refused.message
		}
		answer = refused
	}
	s.note(event)
	writeJSON(w, event.ID, answer)
}

// call takes a request through the steps that AWS takes, in this order: who asks, what, with which document, for which key, whether
// that is permitted, whether the key can, and only then is it done.
func (s *Server) call(r *http.Request, body []byte, event *Event) (any, error) {
	c := &call{event: event}
	var named bool
	if event.Operation, named = strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService."); !named || r.Header.Get("Content-Type") != jsonType {
		return nil, refusal(http.StatusBadRequest, "UnknownOperationException", "want %s and X-Amz-Target: TrentService.OPERATION", jsonType)
	}
	var err error
	if c.caller, c.region, err = s.authenticate(r, body, "kms"); err != nil {
		return nil, err
	}
	event.Principal, event.Region = c.caller.arn, c.region
	op, there := operations[event.Operation]
	if !there {
		return nil, refusal(http.StatusBadRequest, "UnknownOperationException", "kmstest has no %s", event.Operation)
	}
	if err := json.Unmarshal(body, &c.in); err != nil {
		return nil, refusal(http.StatusBadRequest, "SerializationException", "%v", err)
	}
	if err := op.check(c.in); err != nil {
		return nil, err
	}
	if op.takesDocument && c.in.Recipient != nil { // elsewhere AWS passes over it, and there is nothing for conditions to ask for
		if err := s.attest(c); err != nil {
			return nil, err
		}
	}
	if op.find != nil {
		if c.key, err = op.find(s, c); err != nil {
			return nil, err
		}
		event.Key = c.key.arn
	}
	if err := s.fail(r.Context(), c); err != nil {
		return nil, err
	}
	return s.perform(c, op)
}

func (s *Server) perform(c *call, op operation) (any, error) {
	if err := s.authorize(c); err != nil {
		return nil, err
	}
	if c.key != nil && !op.anyState {
		s.mu.Lock()
		state := c.key.state
		s.mu.Unlock()
		if err := state.usable(c.key.arn); err != nil {
			return nil, err
		}
	}
	answer, err := op.run(s, c)
	if err == nil && c.faults.Garbage != "" {
		c.event.Fault = "garbage: " + string(c.faults.Garbage)
		if c.faults.Garbage == GarbageBody {
			return garbled("<html>\x00\xffnot found"), nil
		}
	}
	return answer, err
}

// attest verifies the document of a request. What AWS says about one that is not good is not documented.
func (s *Server) attest(c *call) error {
	r := c.in.Recipient
	if r.KeyEncryptionAlgorithm != "RSAES_OAEP_SHA_256" {
		return invalid("1 validation error detected: Value '%s' at 'recipient.keyEncryptionAlgorithm' failed to satisfy constraint: "+
			"Member must satisfy enum value set: [RSAES_OAEP_SHA_256]", r.KeyEncryptionAlgorithm)
	}
	doc, err := s.documents.Verify(r.AttestationDocument, attestation.Options{Roots: s.roots, Now: s.now(), MaxAge: s.maxAge})
	if err != nil {
		return invalid("The attestation document is refused: %v", err)
	}
	public, err := x509.ParsePKIXPublicKey(doc.PublicKey)
	if err != nil {
		return invalid("The attestation document's public_key is no SubjectPublicKeyInfo in DER: %v", err)
	}
	recipient, ok := public.(*rsa.PublicKey)
	if !ok || recipient.Size() < 2048/8 {
		return invalid("The attestation document's public_key is no RSA key of 2048 bits or more")
	}
	c.doc, c.recipient = doc, recipient
	c.event.Attested = true
	if image, there := doc.PCRs[0]; there {
		c.event.PCR0 = image.String()
	}
	return nil
}

// authorize asks the key's policy, for a key of another account an identity policy of the caller's too, and for what has no key that alone.
func (s *Server) authorize(c *call) error {
	action, resource := "kms:"+c.event.Operation, "*"
	s.mu.Lock()
	denied := s.denied[c.caller.principal.arn]
	var p policy
	if c.key != nil {
		p, resource = c.key.policy, c.key.arn
	}
	s.mu.Unlock()
	r := newRequest(c.caller, action, resource, c.in.EncryptionContext, c.doc)
	identity := c.caller.identity(r)
	d, why := identity, "because no identity-based policy allows the "+action+" action"
	switch {
	case denied:
		d = decision{reason: "the principal is denied everything"}
		why = "with an explicit deny in a service control policy"
	case identity.explicit:
		why = "with an explicit deny in an identity-based policy"
	case c.key == nil:
	default:
		d, why = p.decide(r), "because no resource-based policy allows the "+action+" action"
		switch {
		case d.explicit:
			why = "with an explicit deny in a resource-based policy"
		case d.allowed && c.caller.elsewhere(c.key.account) && !identity.allowed:
			d, why = identity, "because no identity-based policy allows the "+action+" action"
		}
	}
	c.event.Allowed, c.event.Reason = d.allowed, d.reason
	if d.allowed {
		return nil
	}
	return refusal(http.StatusBadRequest, "AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s %s", c.caller.arn, action, resource, why)
}
