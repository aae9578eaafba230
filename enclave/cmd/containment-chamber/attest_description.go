package main

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// documentDescription is a document as people want to see it. Bytes are in hexadecimal; null is absent.
type documentDescription struct {
	ModuleID  string                   `json:"module_id"`
	Issued    string                   `json:"issued"`
	Digest    string                   `json:"digest"`
	PCRs      map[string]string        `json:"pcrs"`
	PublicKey *string                  `json:"public_key"`
	UserData  *string                  `json:"user_data"`
	Nonce     *string                  `json:"nonce"`
	Binding   bindingDescription       `json:"binding"`
	Chain     []certificateDescription `json:"chain"` // root first
	Unknown   []string                 `json:"unknown_fields,omitempty"`
	registers []uint                   // of PCRs, in their order
}

// bindingDescription is what this program's documents say in user_data, or why it cannot be read.
type bindingDescription struct {
	Error    string `json:"error,omitempty"`
	Purpose  string `json:"purpose,omitempty"`
	SPKI     string `json:"spki_sha256,omitempty"`
	Config   string `json:"config_digest,omitempty"`
	Build    string `json:"build,omitempty"`
	Exporter string `json:"exporter,omitempty"` // of proofs
}

// certificateDescription is a certificate, or why it cannot be read.
type certificateDescription struct {
	Error     string `json:"error,omitempty"`
	Subject   string `json:"subject,omitempty"`
	Issuer    string `json:"issuer,omitempty"`
	NotBefore string `json:"not_before,omitempty"`
	NotAfter  string `json:"not_after,omitempty"`
	Key       string `json:"key,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
}

func (d rawDocument) describe() documentDescription {
	out := documentDescription{
		ModuleID: d.ModuleID, Issued: issued(d.Timestamp), Digest: d.Digest, PCRs: map[string]string{},
		PublicKey: inHex(d.PublicKey), UserData: inHex(d.UserData), Nonce: inHex(d.Nonce),
		Binding: describeBinding(d.UserData), Unknown: d.Unknown, registers: slices.Sorted(maps.Keys(d.PCRs)),
	}
	for index, value := range d.PCRs {
		out.PCRs[fmt.Sprintf("PCR%d", index)] = hex.EncodeToString(value)
	}
	for _, c := range d.chain() {
		if c.err != nil {
			out.Chain = append(out.Chain, certificateDescription{Error: c.err.Error()})
			continue
		}
		out.Chain = append(out.Chain, describeCertificate(c.certificate))
	}
	return out
}

// verifiedDocument is a document that holds, in the form for descriptions.
func verifiedDocument(doc *attestation.Document) rawDocument {
	out := rawDocument{Unknown: doc.Unknown, rawPayload: rawPayload{
		ModuleID: doc.ModuleID, Digest: "SHA384", Timestamp: uint64(doc.Timestamp.UnixMilli()), PCRs: map[uint][]byte{},
		Certificate: doc.Certificate, CABundle: doc.CABundle, PublicKey: doc.PublicKey, UserData: doc.UserData, Nonce: doc.Nonce,
	}}
	for index, value := range doc.PCRs {
		out.PCRs[uint(index)] = value[:]
	}
	return out
}

// issued is a document's time; one that no calendar has is told as it stands there.
func issued(milliseconds uint64) string {
	const year10000 = 253402300800000
	if milliseconds >= year10000 {
		return fmt.Sprintf("%d milliseconds after 1970", milliseconds)
	}
	return time.UnixMilli(int64(milliseconds)).UTC().Format(time.RFC3339Nano)
}

// inHex is nil for an absent field.
func inHex(b []byte) *string {
	if b == nil {
		return nil
	}
	text := hex.EncodeToString(b)
	return &text
}

func describeBinding(userData []byte) bindingDescription {
	if userData == nil {
		return bindingDescription{Error: "there is no user_data"}
	}
	b, err := atls.ParseBinding(userData)
	if err != nil {
		return bindingDescription{Error: err.Error()}
	}
	out := bindingDescription{
		Purpose: string(b.Purpose), SPKI: hex.EncodeToString(b.SPKI[:]), Config: hex.EncodeToString(b.Config[:]), Build: b.Build,
	}
	if b.Purpose == atls.PurposeProof {
		out.Exporter = hex.EncodeToString(b.Exporter[:])
	}
	return out
}

func describeCertificate(c *x509.Certificate) certificateDescription {
	sum := sha256.Sum256(c.Raw)
	key := c.PublicKeyAlgorithm.String()
	if ec, ok := c.PublicKey.(*ecdsa.PublicKey); ok {
		key = "ECDSA " + ec.Params().Name
	}
	return certificateDescription{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), Key: key, SHA256: hex.EncodeToString(sum[:]),
		NotBefore: c.NotBefore.UTC().Format(time.RFC3339), NotAfter: c.NotAfter.UTC().Format(time.RFC3339),
	}
}

// String is the description in lines. What stands in the document as text is in quotes.
func (d documentDescription) String() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("module", "%q", d.ModuleID)
	line("issued", "%s", d.Issued)
	line("digest", "%q", d.Digest)
	zero := 0
	for _, index := range d.registers {
		name := fmt.Sprintf("PCR%d", index)
		value := d.PCRs[name]
		empty := strings.Trim(value, "0") == ""
		if empty && !slices.Contains(attestation.Registers(), int(index)) {
			zero++
			continue
		}
		line(name, "%s  %s", value, policyfile.Meaning(int(index)))
	}
	if zero > 0 {
		line("", "and %d others, all zero", zero)
	}
	for _, field := range []struct {
		name  string
		value *string
	}{{"public_key", d.PublicKey}, {"user_data", d.UserData}, {"nonce", d.Nonce}} {
		if field.value == nil {
			line(field.name, "none")
			continue
		}
		line(field.name, "%d bytes %s", len(*field.value)/2, *field.value)
	}
	b.WriteString(d.Binding.String())
	for i, c := range d.Chain {
		name := "chain"
		if i > 0 {
			name = ""
		}
		line(name, "%s", c)
	}
	for _, name := range d.Unknown {
		line("unknown", "%q", name)
	}
	return b.String()
}

func (d bindingDescription) String() string {
	if d.Error != "" {
		return fmt.Sprintf("%-11s none that this program makes: %s\n", "binding", d.Error)
	}
	out := fmt.Sprintf("%-11s purpose %q, build %q\n%-11s SPKI SHA-256 %s\n%-11s configuration %s\n", "binding", d.Purpose, d.Build, "", d.SPKI, "", d.Config)
	if d.Exporter != "" {
		out += fmt.Sprintf("%-11s exporter %s\n", "", d.Exporter)
	}
	return out
}

func (d certificateDescription) String() string {
	if d.Error != "" {
		return "cannot be read: " + d.Error
	}
	return fmt.Sprintf("%q, %s, %s to %s, SHA-256 %s", d.Subject, d.Key, d.NotBefore, d.NotAfter, d.SHA256)
}
