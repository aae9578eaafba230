package connect

import (
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
)

// Paths of the signer's API.
const (
	// signPath is where signatures are asked for, one or a batch at a time.
	signPath = "/api/v1/eth2/sign"
	// operatorPath is where bodies are larger than memory should hold.
	operatorPath = "/api/v1/slashing/"
)

// forwarder takes requests to the signer and brings its answers back. Status, header and body stay as they are, except for what
// concerns one connection alone (RFC 9110, section 7.6.1). Redirects are answers like others. Both bodies go on as they come, but a
// request that is no operator's is read first, so that it can be sent again.
type forwarder struct {
	signer *Signer
	token  Token
	log    *zap.Logger
	proxy  httputil.ReverseProxy
}

func newForwarder(s *Signer, rt http.RoundTripper, token Token, log *zap.Logger) *forwarder {
	f := &forwarder{signer: s, token: token, log: log}
	f.proxy = httputil.ReverseProxy{
		Rewrite:      f.rewrite,
		Transport:    rt,
		ErrorHandler: f.fail,
		BufferPool:   &buffers{},
		ErrorLog:     zap.NewStdLog(zap.NewNop()), // of bodies that broke off; their connections do as well
	}
	return f
}

// handler is what clients reach. It refuses what browsers send from other sites: they run programs of strangers.
func (f *forwarder) handler() http.Handler {
	browsers := http.NewCrossOriginProtection()
	browsers.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "a request of another site's page in a browser")
	}))
	return browsers.Handler(http.HandlerFunc(f.serve))
}

func (f *forwarder) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		refuse(w, http.StatusMethodNotAllowed, "this is a proxy to one signer, and CONNECT is for others")
		return
	}
	if !strings.HasPrefix(r.URL.Path, operatorPath) {
		data, err := api.ReadBody(r)
		if err != nil {
			api.WriteProblem(w, err)
			return
		}
		h := &held{data: data}
		defer h.release()
		h.put(r)
	}
	f.proxy.ServeHTTP(w, r)
}

// rewrite makes the signer's request of a client's.
func (f *forwarder) rewrite(p *httputil.ProxyRequest) {
	out := p.Out
	p.SetURL(f.signer.url)
	out.URL.RawQuery = p.In.URL.RawQuery // unparsed: the signer judges it
	out.Header.Del("Connection")         // what a client wants to upgrade to is not spoken here
	out.Header.Del("Upgrade")
	if isSigning(p.In) {
		// The same message has the same signature, and the record allows it again. An entry without a value is a word to the transport, and
		// is not sent.
		out.Header["Idempotency-Key"] = nil
	}
	f.token.addTo(out.Header)
}

func isSigning(r *http.Request) bool {
	rest, ok := strings.CutPrefix(r.URL.Path, signPath)
	return ok && r.Method == http.MethodPost && (rest == "" || rest[0] == '/')
}

// fail answers a request that the signer did not.
func (f *forwarder) fail(w http.ResponseWriter, r *http.Request, err error) {
	t, ok := errors.AsType[*trouble](err)
	if !ok { // of the proxy itself, such as an answer that switches protocols
		t = &trouble{kind: unreachable, err: err}
	}
	f.log.Debug("request not answered", zap.String("method", r.Method), zap.String("path", r.URL.Path),
		zap.Int("status", t.status()), zap.String("result", string(t.kind)), zap.Error(t.err))
	refuse(w, t.status(), t.public())
}

// held is the body of a request in memory, for as long as its handler runs.
type held struct {
	mu   sync.Mutex // held while data is read: a connection may still read when its answer has come
	data []byte     // nil after release
	size int
}

// put makes it the body of a request, which can be sent more than once.
func (h *held) put(r *http.Request) {
	h.size = len(h.data)
	r.ContentLength = int64(h.size)
	if h.size == 0 {
		r.Body, r.GetBody = http.NoBody, nil
		return
	}
	r.TransferEncoding = nil
	r.GetBody = func() (io.ReadCloser, error) { return &reader{held: h}, nil }
	r.Body = &reader{held: h}
}

func (h *held) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.data = nil
}

// errReleased is what a connection reads that still sends a request whose answer has come.
var errReleased = errors.New("the request has ended")

// reader reads a held body from its beginning.
type reader struct {
	held *held
	at   int
}

func (r *reader) Read(b []byte) (int, error) {
	r.held.mu.Lock()
	defer r.held.mu.Unlock()
	switch {
	case r.held.data == nil:
		return 0, errReleased
	case r.at == r.held.size:
		return 0, io.EOF
	}
	n := copy(b, r.held.data[r.at:])
	r.at += n
	return n, nil
}

func (r *reader) Close() error { return nil }

// buffers are what answers are copied with.
type buffers struct{ pool sync.Pool }

// bufferSize is that of a frame of HTTP/2 with room to spare; most answers have 200 bytes.
const bufferSize = 16 << 10

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return buffer[:]
	}
	return make([]byte, bufferSize)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }
