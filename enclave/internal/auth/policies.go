package auth

import (
	"context"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// What tokens begin with. Those of a policy file may begin with anything else.
const (
	ManagementPrefix = "cc-root-"
	SetupPrefix      = "cc-setup-"
	ClientPrefix     = "cc-client-"
)

// ErrUnknown is a token that is not one, or not any more.
var ErrUnknown = errors.New("the token is not valid")

// Keeper keeps policies and tokens under the master key. It waits for nothing but in Change.
type Keeper interface {
	// CheckSetupToken returns nil for the token that may make a chamber, as long as there is none, and else an ErrUnknown.
	CheckSetupToken(token string) error
	// CheckManagementToken returns the id of a token, or an ErrUnknown; any other error means that nobody can tell.
	CheckManagementToken(token string) (id string, err error)
	// MAC is what is kept of a client token.
	MAC(token string) ([]byte, error)
	// Document is what Change has kept, empty if it was never called, and a text that is another whenever the document is.
	Document() (document []byte, version string, err error)
	// Change replaces the document by what edit makes of it, which may be called more than once.
	Change(ctx context.Context, what string, edit func(document []byte) ([]byte, error)) error
	// Reset drops the document, also one that is damaged.
	Reset(ctx context.Context) error
}

// Options are what Policies are made of.
type Options struct {
	// Open has everybody do duties, [Sign] and [PublicKeys], without a token.
	Open bool
	// OpenExits has voluntary exits and deposits be as all other operations. Else a rule has to name them, also with Open.
	OpenExits bool
	// Keeper is nil without a master key.
	Keeper Keeper
	// File holds policies and tokens that are not kept; nil if there is none.
	File *File
	// Now is the clock for the ends of tokens; nil is time.Now.
	Now func() time.Time
	// Log gets a line for each refusal, and Registry the metrics.
	Log      *zap.Logger
	Registry prometheus.Registerer
}

// Policies say who a caller is, and what they may do. Without any, nobody may do anything that Options.Open does not open. They are safe for
// concurrent use.
type Policies struct {
	o Options

	changing   sync.Mutex // held while kept is made anew
	kept       atomic.Pointer[version]
	rejections *prometheus.CounterVec
	used       sync.Map // id of a token or certificate → *atomic.Int64: when it was last used here, in seconds since 1970
}

// version is what was made of a document of the keeper.
type version struct {
	of  string
	doc *document
	*compiled
}

// New makes policies, and registers containment_auth_….
func New(o Options) (*Policies, error) {
	if o.Log == nil || o.Registry == nil {
		return nil, errors.New("auth: Log and Registry must be set")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Policies{o: o, rejections: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "containment_auth_rejections_total",
		Help: "Calls that were refused because of who made them: unauthenticated (no token, or a wrong one) or forbidden (no policy allows it).",
	}, []string{"reason"})}
	for _, kind := range []problem.Kind{problem.Unauthenticated, problem.Forbidden} {
		p.rejections.WithLabelValues(kind.String())
	}
	return p, o.Registry.Register(p.rejections)
}

// tell leaves a line and a count of a refusal; that nobody can be told from anybody is none.
func (p *Policies) tell(c Caller, refusal *problem.Error) {
	if refusal.Kind == problem.Sealed {
		return
	}
	p.rejections.WithLabelValues(refusal.Kind.String()).Inc()
	p.o.Log.Warn("refused", zap.String("audit", "refused"), zap.String("caller", c.String()), zap.String("from", c.request.From),
		zap.String("request", c.request.Method+" "+c.request.Path), zap.Int("status", refusal.Kind.Status()), zap.Error(refusal))
}

// Credential is what a caller shows.
type Credential struct {
	Token string // "" without one
	// Chain is the client's certificate and those that it sent with it; the handshake has shown that it has the key. Nil without one.
	Chain []*x509.Certificate
	// Fault is why what was sent is no credential; nil if it may be one.
	Fault error
	// Request is for the log, and decides nothing.
	Request Request
}

// Request is what is asked for, and the address that it came from as far as that is known.
type Request struct{ From, Method, Path string }

// Identify returns who shows a credential. A token that is not known is nobody's, also where nobody needs one, unless there can be none. A
// certificate that is not known is none.
func (p *Policies) Identify(c Credential) Caller {
	caller := Caller{open: p.o.Open, exits: p.o.OpenExits, policies: p, request: c.Request}
	if c.Fault != nil {
		caller.refused = problem.New(problem.Unauthenticated, "%v", c.Fault)
		return caller
	}
	if c.Token == "" {
		var err error
		if caller.by, err = p.certified(c.Chain); err != nil && !p.o.Open {
			caller.refused = closed(err)
		}
		return caller
	}
	if p.o.File == nil && p.o.Keeper == nil && p.o.Open {
		return caller
	}
	found, err := p.holderOf(c.Token, &caller)
	switch {
	case err == nil:
		caller.by = found
	case errors.Is(err, ErrUnknown):
		caller.refused = problem.New(problem.Unauthenticated, "%v", err) // more than that only for who has a token that was right
	default:
		caller.refused = closed(err)
	}
	return caller
}

// closed is what callers hear while nobody can be told from anybody.
func closed(err error) error {
	return problem.Wrap(problem.Sealed, err, "the signer cannot tell who you are: "+err.Error())
}

func (p *Policies) holderOf(token string, caller *Caller) (*holder, error) {
	if p.o.File != nil {
		if found := p.o.File.find(token, p.o.Now(), p.touch); found != nil {
			return found, nil
		}
	}
	if p.o.Keeper == nil {
		return nil, ErrUnknown
	}
	switch {
	case strings.HasPrefix(token, SetupPrefix):
		err := p.o.Keeper.CheckSetupToken(token)
		caller.setup = err == nil
		return nil, err
	case strings.HasPrefix(token, ManagementPrefix):
		id, err := p.o.Keeper.CheckManagementToken(token)
		if err != nil {
			return nil, err
		}
		p.touch(id)
		return &holder{label: "management token " + id, management: true}, nil
	}
	return p.client(token)
}

// maxChain is the most certificates that a client may send: each costs a verification, and strangers send what they like.
const maxChain = 4

var clientTokens = regexp.MustCompile(`^` + ClientPrefix + `([0-9a-f]{16})-[A-Z2-7]{52}$`)

// client finds a client token by the id in it, which is no secret.
func (p *Policies) client(token string) (*holder, error) {
	parts := clientTokens.FindStringSubmatch(token)
	if parts == nil {
		return nil, ErrUnknown
	}
	v, err := p.now()
	if err != nil {
		return nil, err
	}
	sum, err := p.o.Keeper.MAC(token)
	if err != nil {
		return nil, err
	}
	t, now := v.tokens[parts[1]], p.o.Now()
	good := subtle.ConstantTimeCompare(sum, t.HMAC) == 1
	before := subtle.ConstantTimeCompare(sum, t.Before) == 1 && !expired(t.BeforeUntil, now)
	if !good && !before {
		return nil, ErrUnknown
	}
	if expired(t.Expires, now) {
		return nil, fmt.Errorf("%w: it has expired", ErrUnknown)
	}
	p.touch(t.ID)
	return t.holder, nil
}

// certified finds the certificate of a client; nil if it is none of ours. The error means that nobody can tell.
func (p *Policies) certified(chain []*x509.Certificate) (found *holder, err error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, nil //nolint:nilnil // nobody is one of the answers
	}
	var all []keptCertificate
	if p.o.File != nil {
		all = append(all, p.o.File.certificates()...)
	}
	if p.o.Keeper != nil {
		var v *version
		if v, err = p.now(); err == nil {
			all = append(all, v.certificates...)
		}
	}
	for _, k := range all {
		if k.is(chain, p.o.Now()) {
			p.touch(k.ID)
			return k.holder, nil
		}
	}
	return nil, err
}

// now is the keeper's document as it is now.
func (p *Policies) now() (*version, error) {
	text, of, err := p.o.Keeper.Document()
	if err != nil {
		return nil, err
	}
	if v := p.kept.Load(); v != nil && v.of == of {
		return v, nil
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	if v := p.kept.Load(); v != nil && v.of == of {
		return v, nil
	}
	doc, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	made, err := doc.compile()
	if err != nil {
		return nil, err
	}
	v := &version{of, doc, made}
	p.kept.Store(v)
	return v, nil
}

// touch notes a use.
func (p *Policies) touch(id string) {
	last, ok := p.used.Load(id)
	if !ok {
		last, _ = p.used.LoadOrStore(id, new(atomic.Int64))
	}
	if at, ok := last.(*atomic.Int64); ok {
		at.Store(p.o.Now().Unix())
	}
}

// lastUsed is when a token was last used here, zero if it was not since the process began.
func (p *Policies) lastUsed(id string) time.Time {
	if last, ok := p.used.Load(id); ok {
		if at, ok := last.(*atomic.Int64); ok {
			return time.Unix(at.Load(), 0).UTC()
		}
	}
	return time.Time{}
}
