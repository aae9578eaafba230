package attestation_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

func verify(t testing.TB, h hostile, opts attestation.Options) (*attestation.Document, error) {
	t.Helper()
	raw, trusted := h.make(t)
	opts.Roots = []*x509.Certificate{trusted}
	if opts.Now.IsZero() {
		opts.Now = now
	}
	return attestation.Verify(raw, opts)
}

// replace changes one place of the payload, and the test fails if it is not there exactly once.
func replace(t *testing.T, old, replacement string) func([]byte) []byte {
	return func(b []byte) []byte {
		if n := bytes.Count(b, []byte(old)); n != 1 {
			t.Fatalf("payload holds %q %d times", old, n)
		}
		return bytes.Replace(b, []byte(old), []byte(replacement), 1)
	}
}

// with adds entries to the payload's map of nine.
func with(n int, entries string) func([]byte) []byte {
	return func(b []byte) []byte {
		return append([]byte{0xa0 | byte(9+n)}, append(slices.Clone(b[1:]), entries...)...)
	}
}

func TestPayloadRefused(t *testing.T) {
	long := bytes.Repeat([]byte{1}, 1025)
	fields := func(change func(*issuer.Fields)) hostile { return hostile{fields: change} }
	payload := func(change func([]byte) []byte) hostile { return hostile{payload: change} }
	for name, test := range map[string]struct {
		h     hostile
		step  attestation.Step
		words string
	}{
		"duplicate key":                 {payload(with(1, "\x65nonce\xf6")), attestation.StepDecoding, `duplicate key "nonce"`},
		"duplicate register":            {payload(replace(t, "\x01\x58\x30\x02", "\x00\x58\x30\x02")), attestation.StepDecoding, "duplicate key 0"},
		"duplicate in unknown":          {payload(with(1, "\x61x\xa2\x01\xf6\x01\xf6")), attestation.StepDecoding, "duplicate key 1"},
		"tag":                           {payload(with(1, "\x61x\xc0\x01")), attestation.StepDecoding, "tag not allowed"},
		"float":                         {payload(with(1, "\x61x\xf9\x00\x00")), attestation.StepDecoding, "float"},
		"undefined":                     {payload(with(1, "\x61x\xf7")), attestation.StepDecoding, "simple value 23"},
		"chunked bytes":                 {payload(replace(t, "\x65nonce\xf6", "\x65nonce\x5f\x41\x01\xff")), attestation.StepDecoding, "chunked byte string"},
		"chunked text":                  {payload(replace(t, "\x66digest\x66SHA384", "\x66digest\x7f\x66SHA384\xff")), attestation.StepDecoding, "chunked text"},
		"long form of a number":         {payload(with(1, "\x61x\x18\x01")), attestation.StepDecoding, "shortest form"},
		"too deep":                      {payload(with(1, "\x61x\x81\x81\x81\x81\x01")), attestation.StepDecoding, "nested more than 4 deep"},
		"array as key":                  {payload(with(1, "\x80\x01")), attestation.StepDecoding, "array as key"},
		"reserved byte":                 {payload(with(1, "\x61x\x1c")), attestation.StepDecoding, "cannot begin an item"},
		"break without beginning":       {payload(with(1, "\x61x\xff")), attestation.StepDecoding, "cannot begin an item"},
		"not UTF-8":                     {payload(with(1, "\x61\xff\xf6")), attestation.StepDecoding, "not UTF-8"},
		"trailing bytes":                {payload(with(0, "\x00")), attestation.StepDecoding, "1 trailing bytes"},
		"truncated":                     {payload(func(b []byte) []byte { return b[:len(b)-1] }), attestation.StepDecoding, "0 left"},
		"huge map":                      {payload(func([]byte) []byte { return []byte("\xbb\xff\xff\xff\xff\xff\xff\xff\xff") }), attestation.StepDecoding, "0 left"},
		"huge string":                   {payload(func([]byte) []byte { return []byte("\x5b\xff\xff\xff\xff\xff\xff\xff\xff") }), attestation.StepDecoding, "bytes expected"},
		"33 certificates":               {fields(func(f *issuer.Fields) { f.CABundle = make([][]byte, 33) }), attestation.StepDecoding, "more than 32"},
		"too large":                     {fields(func(f *issuer.Fields) { f.ModuleID = string(make([]byte, 16<<10)) }), attestation.StepSize, "bytes, want 1 to 16"},
		"payload one byte too large":    {payload(func(b []byte) []byte { return append(b, make([]byte, 16<<10+1-len(b))...) }), attestation.StepSize, "payload: 16385 bytes, want 1 to 16384"},
		"empty payload":                 {payload(func([]byte) []byte { return nil }), attestation.StepSize, "payload: 0 bytes"},
		"no map":                        {payload(func([]byte) []byte { return []byte{0x80} }), attestation.StepSyntax, "type array, want map"},
		"integer key":                   {payload(with(1, "\x01\xf6")), attestation.StepSyntax, "key 1 is not text"},
		"upper case key":                {payload(replace(t, "\x64pcrs", "\x64PCRS")), attestation.StepSyntax, "pcrs: missing"},
		"no module":                     {fields(func(f *issuer.Fields) { f.ModuleID = "" }), attestation.StepSyntax, "module_id: empty"},
		"other digest":                  {fields(func(f *issuer.Fields) { f.Digest = "SHA256" }), attestation.StepSyntax, `digest: "SHA256"`},
		"null digest":                   {payload(replace(t, "\x66digest\x66SHA384", "\x66digest\xf6")), attestation.StepSyntax, "digest: is of type simple value"},
		"time 0":                        {fields(func(f *issuer.Fields) { f.Timestamp = 0 }), attestation.StepSyntax, "timestamp: 0"},
		"time in nanoseconds":           {fields(func(f *issuer.Fields) { f.Timestamp *= 1e6 }), attestation.StepSyntax, "want milliseconds"},
		"time as text":                  {payload(replace(t, "\x69timestamp\x1b", "\x69timestamp\x68")), attestation.StepDecoding, "byte"},
		"no registers":                  {fields(func(f *issuer.Fields) { f.PCRs = nil }), attestation.StepSyntax, "pcrs: empty"},
		"register 32":                   {fields(func(f *issuer.Fields) { f.PCRs[32] = attestation.PCR{} }), attestation.StepSyntax, "register 32"},
		"negative register":             {payload(replace(t, "\x01\x58\x30\x02", "\x20\x58\x30\x02")), attestation.StepSyntax, "register -1-0"},
		"register of 33 bytes":          {payload(replace(t, "\x58\x30\x03"+string(make([]byte, 47)), "\x58\x21"+string(make([]byte, 33)))), attestation.StepSyntax, "33 bytes"},
		"no certificate":                {fields(func(f *issuer.Fields) { f.Certificate = nil }), attestation.StepSyntax, "certificate: 0 bytes"},
		"long certificate":              {fields(func(f *issuer.Fields) { f.Certificate = long }), attestation.StepSyntax, "certificate: 1025 bytes"},
		"no bundle (as QEMU writes it)": {fields(func(f *issuer.Fields) { f.CABundle = nil }), attestation.StepSyntax, "cabundle: empty"},
		"long bundle entry":             {fields(func(f *issuer.Fields) { f.CABundle[1] = long }), attestation.StepSyntax, "entry 1: 1025 bytes"},
		"empty public key":              {fields(func(f *issuer.Fields) { f.PublicKey = []byte{} }), attestation.StepSyntax, "public_key: 0 bytes"},
		"long public key":               {fields(func(f *issuer.Fields) { f.PublicKey = long }), attestation.StepSyntax, "public_key: 1025 bytes"},
		"long user data":                {fields(func(f *issuer.Fields) { f.UserData = long }), attestation.StepSyntax, "user_data: 1025 bytes"},
		"long nonce":                    {fields(func(f *issuer.Fields) { f.Nonce = long }), attestation.StepSyntax, "nonce: 1025 bytes"},
		"nonce as text":                 {payload(replace(t, "\x65nonce\xf6", "\x65nonce\x61x")), attestation.StepSyntax, "nonce: is of type text"},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := verify(t, test.h, attestation.Options{})
			refusedAt(t, doc, err, test.step, test.words)
		})
	}
}

func TestEnvelopeRefused(t *testing.T) {
	// cut replaces the first bytes of the document.
	cut := func(n int, begin string) hostile {
		return hostile{raw: func(b []byte) []byte { return append([]byte(begin), b[n:]...) }}
	}
	signature := func(change func([]byte)) hostile {
		return hostile{raw: func(b []byte) []byte { change(b[len(b)-96:]); return b }}
	}
	order := elliptic.P384().Params().N
	for name, test := range map[string]struct {
		h     hostile
		step  attestation.Step
		words string
	}{
		"empty":              {hostile{raw: func([]byte) []byte { return nil }}, attestation.StepSize, "document: 0 bytes"},
		"17 KiB":             {hostile{raw: func([]byte) []byte { return make([]byte, 17<<10) }}, attestation.StepSize, "document: 17408 bytes"},
		"two tags":           {cut(0, "\xd2\xd2"), attestation.StepDecoding, "begins with d284"},
		"other tag":          {cut(0, "\xd1"), attestation.StepDecoding, "begins with d1"},
		"array of 5":         {cut(1, "\x85"), attestation.StepDecoding, "begins with 85"},
		"indefinite array":   {cut(1, "\x9f"), attestation.StepDecoding, "begins with 9f"},
		"ES256":              {cut(6, "\x84\x43\xa1\x01\x26"), attestation.StepDecoding, "begins with 8443a10126"},
		"alg -1 (QEMU)":      {cut(6, "\x84\x43\xa1\x01\x20"), attestation.StepDecoding, "begins with 8443a10120"},
		"unprotected header": {cut(7, "\x84\x44\xa1\x01\x38\x22\xa1\x01\x01"), attestation.StepDecoding, "begins with"},
		"payload as text":    {cut(8, "\x84\x44\xa1\x01\x38\x22\xa0\x79"), attestation.StepDecoding, "payload: byte 0: text, want byte string"},
		"truncated":          {hostile{raw: func(b []byte) []byte { return b[:len(b)-1] }}, attestation.StepDecoding, "signature: byte"},
		"trailing":           {hostile{raw: func(b []byte) []byte { return append(b, 0) }}, attestation.StepDecoding, "1 trailing bytes"},
		"no signature": {
			hostile{raw: func(b []byte) []byte { return append(b[:len(b)-98], 0x40) }},
			attestation.StepSignature, "signature: 0 bytes, want 96",
		},
		"short signature": {
			hostile{raw: func(b []byte) []byte { return append(append(b[:len(b)-98], 0x58, 95), make([]byte, 95)...) }},
			attestation.StepSignature, "signature: 95 bytes, want 96",
		},
		"r and s zero":  {signature(func(s []byte) { clear(s) }), attestation.StepSignature, "is not between 1 and the order"},
		"r zero":        {signature(func(s []byte) { clear(s[:48]) }), attestation.StepSignature, "r: 0 is not"},
		"s zero":        {signature(func(s []byte) { clear(s[48:]) }), attestation.StepSignature, "s: 0 is not"},
		"r is n":        {signature(func(s []byte) { order.FillBytes(s[:48]) }), attestation.StepSignature, "r: ff"},
		"s is n":        {signature(func(s []byte) { order.FillBytes(s[48:]) }), attestation.StepSignature, "s: ff"},
		"s is 2^384-1":  {signature(func(s []byte) { copy(s[48:], bytes.Repeat([]byte{0xff}, 48)) }), attestation.StepSignature, "s: ff"},
		"other payload": {hostile{raw: func(b []byte) []byte { b[30] ^= 1; return b }}, attestation.StepSignature, "over this payload"},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := verify(t, test.h, attestation.Options{})
			refusedAt(t, doc, err, test.step, test.words)
		})
	}
}

// A signature that is wrong is looked at only after the chain: nothing of a stranger's certificate is used.
func TestChainBeforeSignature(t *testing.T) {
	raw, _ := hostile{
		curve: map[int]elliptic.Curve{leaf: elliptic.P521()},
		raw:   func(b []byte) []byte { clear(b[len(b)-96:]); return b },
	}.make(t)
	doc, err := attestation.Verify(raw, attestation.Options{Now: now})
	refusedAt(t, doc, err, attestation.StepChain, "unknown authority")
}

func TestAccepted(t *testing.T) {
	full := bytes.Repeat([]byte{7}, 1024)
	for name, test := range map[string]struct {
		h    hostile
		want func(*attestation.Document) bool
	}{
		"plain": {hostile{}, func(d *attestation.Document) bool {
			return d.PublicKey == nil && d.UserData == nil && d.Nonce == nil && d.Timestamp.Equal(now) && d.PCRs[1] == attestation.PCR{2}
		}},
		"full fields": {
			hostile{fields: func(f *issuer.Fields) { f.PublicKey, f.UserData, f.Nonce = full, full, full }},
			func(d *attestation.Document) bool {
				return bytes.Equal(d.PublicKey, full) && bytes.Equal(d.UserData, full) && bytes.Equal(d.Nonce, full)
			},
		},
		"empty but present": {
			hostile{fields: func(f *issuer.Fields) { f.UserData, f.Nonce = []byte{}, []byte{} }},
			func(d *attestation.Document) bool {
				return d.UserData != nil && len(d.UserData) == 0 && d.Nonce != nil && len(d.Nonce) == 0
			},
		},
		"locked PCR16": {
			hostile{fields: func(f *issuer.Fields) { f.PCRs[16] = attestation.PCR{9} }},
			func(d *attestation.Document) bool { return d.PCRs[16] == attestation.PCR{9} && len(d.PCRs) == 4 },
		},
		"indefinite map": {
			hostile{payload: func(b []byte) []byte { return append(append([]byte{0xbf}, b[1:]...), 0xff) }},
			func(d *attestation.Document) bool { return len(d.CABundle) == 4 },
		},
		"indefinite registers": {
			hostile{payload: func(b []byte) []byte {
				b = bytes.Replace(b, []byte("\x64pcrs\xa3"), []byte("\x64pcrs\xbf"), 1)
				return bytes.Replace(b, []byte("\x6bcertificate"), []byte("\xff\x6bcertificate"), 1)
			}},
			func(d *attestation.Document) bool { return len(d.PCRs) == 3 },
		},
		"optional fields left away": {
			hostile{payload: func(b []byte) []byte { return append([]byte{0xa6}, b[1:bytes.Index(b, []byte("\x6apublic_key"))]...) }},
			func(d *attestation.Document) bool { return d.PublicKey == nil && d.UserData == nil && d.Nonce == nil },
		},
		"unknown fields": {
			hostile{payload: with(3, "\x64PCRS\xa1\x00\xf5\x61x\x82\x20\x41\x01\x61y\xf4")},
			func(d *attestation.Document) bool {
				return cmp.Equal(d.Unknown, []string{"PCRS", "x", "y"}) && len(d.PCRs) == 3
			},
		},
		"COSE tag": {
			hostile{raw: func(b []byte) []byte { return append([]byte{0xd2}, b...) }},
			func(d *attestation.Document) bool { return d.ModuleID != "" },
		},
		"other form of s": {
			hostile{raw: func(b []byte) []byte {
				half := b[len(b)-48:]
				new(big.Int).Sub(elliptic.P384().Params().N, new(big.Int).SetBytes(half)).FillBytes(half)
				return b
			}},
			func(d *attestation.Document) bool { return d.ModuleID != "" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := verify(t, test.h, attestation.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !test.want(doc) {
				t.Errorf("got %+v", doc)
			}
		})
	}
}

func TestFreshness(t *testing.T) {
	nonce := []byte("0123456789abcdef0123456789abcdef")
	with := hostile{fields: func(f *issuer.Fields) { f.Nonce = nonce }}
	for name, test := range map[string]struct {
		h     hostile
		opts  attestation.Options
		words string // empty: accepted
	}{
		"not asked":        {with, attestation.Options{Now: now.Add(2 * time.Hour)}, ""},
		"right nonce":      {with, attestation.Options{Nonce: nonce}, ""},
		"wrong nonce":      {with, attestation.Options{Nonce: append([]byte("x"), nonce[1:]...)}, "not the one that was asked for"},
		"short nonce":      {with, attestation.Options{Nonce: nonce[:31]}, "not the one that was asked for"},
		"empty nonce":      {with, attestation.Options{Nonce: []byte{}}, "not the one that was asked for"},
		"absent nonce":     {hostile{}, attestation.Options{Nonce: nonce}, "nonce: absent"},
		"as old as may be": {with, attestation.Options{Now: now.Add(time.Minute), MaxAge: time.Minute}, ""},
		"too old":          {with, attestation.Options{Now: now.Add(time.Minute + time.Millisecond), MaxAge: time.Minute}, "at most 1m0s is allowed"},
		"clock behind":     {with, attestation.Options{Now: now.Add(-attestation.Leeway), MaxAge: time.Minute}, ""},
		"seconds for milliseconds": {
			hostile{fields: func(f *issuer.Fields) { f.Timestamp /= 1000 }},
			attestation.Options{MaxAge: time.Hour},
			"1970-01-21",
		},
		"from the future": {
			hostile{fields: func(f *issuer.Fields) { f.Timestamp += 31_000 }},
			attestation.Options{MaxAge: time.Hour},
			"31s in the future",
		},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := verify(t, test.h, test.opts)
			if test.words != "" {
				refusedAt(t, doc, err, attestation.StepFreshness, test.words)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// A document does not change when the caller uses its buffer again.
func TestDocumentOwnsItsBytes(t *testing.T) {
	raw, trusted := hostile{fields: func(f *issuer.Fields) { f.UserData = []byte("mine") }}.make(t)
	doc, err := attestation.Verify(raw, attestation.Options{Roots: []*x509.Certificate{trusted}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	clear(raw)
	if string(doc.UserData) != "mine" {
		t.Errorf("user data is %q", doc.UserData)
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	_, err := verify(t, hostile{cert: at(leaf, expired)}, attestation.Options{})
	cause, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok || cause.Reason != x509.Expired {
		t.Errorf("cause of %v is %v", err, cause)
	}
}
